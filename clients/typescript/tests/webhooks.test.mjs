import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import test from "node:test";
import { SignatureError, webhooks } from "reelgate-client";
import { verify } from "reelgate-client/webhooks";

const { cases, tolerance_seconds: tolerance } = JSON.parse(await readFile(new URL("../../webhooks/vectors.json", import.meta.url)));

test("there are vectors", () => assert.ok(cases.length > 50));

for (const { name, body_base64, headers, secrets, now, result, json } of cases)
  test(`vector ${name}: ${result}`, async () => {
    const body = Buffer.from(body_base64, "base64");
    const judging = webhooks.verify(body, headers, secrets, { tolerance, now });

    if (result === "valid" && json) return assert.deepEqual(await judging, JSON.parse(body));
    const error = await judging.catch((caught) => caught);
    assert.ok(error instanceof SignatureError, `${error}`);
    assert.equal(error.code, result === "valid" ? "not_json" : result);
  });

test("bodies and headers come in the forms that servers have", async () => {
  const { body_base64, headers, secrets, now } = cases[0];
  const bytes = Buffer.from(body_base64, "base64");
  const lists = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), [value]]));

  for (const body of [bytes, new Uint8Array(bytes), new Uint8Array(bytes).buffer, bytes.toString()])
    for (const given of [headers, new Headers(headers), lists]) assert.ok(await verify(body, given, secrets[0], { now }));
});

test("parsed JSON and missing secrets are mistakes of the caller", async () => {
  await assert.rejects(verify({ data: {} }, {}, "whsec_x"), { name: "TypeError", message: /raw body/ });
  for (const secrets of [[], "", [""]]) await assert.rejects(verify("{}", {}, secrets), { message: /no secret/ });
});

test("the clock is the default", async () => {
  const { body_base64, headers, secrets } = cases[0];

  await assert.rejects(verify(Buffer.from(body_base64, "base64"), headers, secrets), { code: "too_old" });
});
