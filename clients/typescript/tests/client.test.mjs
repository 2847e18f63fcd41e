import assert from "node:assert/strict";
import { inspect } from "node:util";
import test from "node:test";
import * as reelgate from "reelgate-client";
import { KEYS, job, quickly, refusal, serve, task } from "./support.mjs";

const { NextAPI, Seedancee2, connect } = reelgate;
const VIDEO = { model: "mini", input: { prompt: "waves" } };
const JOB = { model: "seedance-2.0-mini", prompt: "waves" };

const seedancee2 = (url, more = {}) => new Seedancee2({ apiKey: KEYS.seedancee2, baseUrl: url, ...more });
const nextapi = (url, more = {}) => new NextAPI({ apiKey: KEYS.nextapi, baseUrl: url, ...more });

test("a creation sends the contract's own body, with the key", async (t) => {
  const { url, asked } = await serve(t, task("pending"), job("queued"));

  const video = await seedancee2(`${url}/`).videos.create(VIDEO);
  const other = await nextapi(url).videos.create(JOB);

  assert.deepEqual([video.id, video.status, other.id, other.status], ["vid_1", "pending", "job_1", "queued"]);
  assert.deepEqual(asked.map((each) => [each.method, each.url, each.json]), [
    ["POST", "/v1/videos/generations", VIDEO],
    ["POST", "/v1/video/generations", JOB],
  ]);
  assert.equal(asked[0].headers.authorization, `Bearer ${KEYS.seedancee2}`);
  assert.match(asked[0].headers["user-agent"], /^reelgate-client-typescript\/\d/);
});

for (const [name, ...troubles] of [
  ["lost answers", "drop", "drop"],
  ["half an answer", { headers: { "content-length": "100" }, body: '{"data"' }, { body: '{"data"' }],
  ["server errors", refusal(500, "internal_error"), refusal(503, "internal_error"), { status: 502, body: "<html>" }],
  ["a full queue", refusal(429, "rate_limit_exceeded", { "retry-after": "2" })],
  ["the first one still running", refusal(409, "idempotency_conflict", { "retry-after": "1" })],
])
  test(`a creation is repeated with the same key after ${name}`, async (t) => {
    const waits = quickly(t);
    const answers = troubles.map((each) => (each.headers?.["content-length"] ? half : each));
    const { url, asked } = await serve(t, ...answers, task("pending"));

    const video = await seedancee2(url).videos.create(VIDEO);

    assert.equal(asked.length, troubles.length + 1);
    assert.deepEqual(new Set(asked.map((each) => each.headers["idempotency-key"])), new Set([video.idempotencyKey]));
    assert.deepEqual(asked.at(-1).json, VIDEO);
    const told = troubles.map((each) => Number(each.headers?.["retry-after"] ?? NaN)).filter((each) => each > 0);
    for (const seconds of told) assert.ok(waits.includes(seconds), `${waits}`);
  });

function half(_, response) {
  response.writeHead(200, { "content-length": "100" });
  response.write('{"data"', () => response.socket.destroy());
}

test("what cannot succeed is sent once", async (t) => {
  for (const [status, code, name] of [
    [400, "invalid_request", "InvalidRequestError"],
    [401, "invalid_api_key", "AuthenticationError"],
    [402, "insufficient_credits", "InsufficientCreditsError"],
    [403, "forbidden", "PermissionDeniedError"],
    [404, "task_not_found", "NotFoundError"],
    [409, "conflict", "ConflictError"],
    [413, "request_too_large", "InvalidRequestError"],
    [422, "idempotency_conflict", "ConflictError"],
    [301, "moved", "ReelgateError"],
  ]) {
    const { url, asked } = await serve(t, refusal(status, code));

    const error = await seedancee2(url).videos.create(VIDEO).catch((caught) => caught);

    assert.equal(error.name, name);
    assert.ok(error instanceof reelgate[name] && error instanceof reelgate.ReelgateError);
    assert.deepEqual(
      [error.status, error.code, error.type, error.message, error.requestId, asked.length],
      [status, code, "some_error", `it was ${code}`, "req_1", 1],
    );
    assert.equal(error.body.error.code, code);
  }
});

test("repetitions end, and the error has the key with which to go on", async (t) => {
  quickly(t);
  const { url, asked } = await serve(t, "drop");

  const error = await seedancee2(url, { maxRetries: 2 }).videos.create(VIDEO, { idempotencyKey: "mine" }).catch((e) => e);

  assert.equal(error.name, "ConnectionFailedError");
  assert.equal(error.idempotencyKey, "mine");
  assert.deepEqual(asked.map((each) => each.headers["idempotency-key"]), ["mine", "mine", "mine"]);
});

test("a service that asks for more than a minute is not asked again", async (t) => {
  const { url, asked } = await serve(t, refusal(503, "internal_error", { "retry-after": "61" }));

  const error = await seedancee2(url).balance().catch((caught) => caught);

  assert.deepEqual([error.retryAfter, asked.length], [61, 1]);
});

test("an attempt has a deadline, and a caller may end the call", async (t) => {
  const { url } = await serve(t, () => new Promise(() => {}));

  const late = await seedancee2(url, { timeout: 0.05, maxRetries: 0 }).balance().catch((caught) => caught);
  const ended = await seedancee2(url).balance({ signal: AbortSignal.abort("enough") }).catch((caught) => caught);

  assert.equal(late.name, "ConnectionFailedError");
  assert.match(late.message, /within 0.05 s/);
  assert.equal(ended, "enough");
});

test("codes that nobody knows stay readable", async (t) => {
  const { url } = await serve(t, refusal(418, "teapot"), { status: 400, body: "<html>no</html>" });

  const teapot = await seedancee2(url).balance().catch((caught) => caught);
  const html = await seedancee2(url).balance().catch((caught) => caught);

  assert.deepEqual([teapot.name, teapot.code], ["ReelgateError", "teapot"]);
  assert.deepEqual([html.name, html.code, html.body], ["InvalidRequestError", undefined, "<html>no</html>"]);
});

test("a client takes keys of its contract only, and of the environment it names", () => {
  const of = (Class, apiKey, more = {}) => () => new Class({ apiKey, baseUrl: "http://127.0.0.1", ...more });

  assert.throws(of(Seedancee2, KEYS.nextapi), { name: "AuthenticationError", message: /contract nextapi/ });
  assert.throws(of(NextAPI, KEYS.seedancee2), { name: "AuthenticationError", message: /contract seedancee2/ });
  assert.throws(of(Seedancee2, "sk_live_x"), { name: "AuthenticationError", message: /whole key/ });
  assert.throws(of(Seedancee2, "sk_seedancee2_live_x", { environment: "test" }), { message: /of live/ });
  assert.throws(of(Seedancee2, ""), { message: /REELGATE_API_KEY/ });
  assert.throws(of(Seedancee2, KEYS.seedancee2, { baseUrl: "api.example.com" }), { message: /baseUrl/ });
  assert.equal(of(Seedancee2, KEYS.seedancee2, { environment: "test" })().environment, "test");
});

test("connect takes the class that the key says, from the environment too", () => {
  process.env.REELGATE_API_KEY = KEYS.nextapi;
  process.env.REELGATE_BASE_URL = "http://127.0.0.1";
  try {
    assert.ok(connect() instanceof NextAPI);
    assert.ok(connect({ apiKey: KEYS.seedancee2 }) instanceof Seedancee2);
  } finally {
    delete process.env.REELGATE_API_KEY;
    delete process.env.REELGATE_BASE_URL;
  }
});

test("a page is refused unless it insists", (t) => {
  globalThis.document = {};
  t.after(() => delete globalThis.document);

  assert.throws(() => seedancee2("http://127.0.0.1"), { message: /does not belong in a page/ });
  assert.ok(seedancee2("http://127.0.0.1", { dangerouslyAllowBrowser: true }));
});

test("nothing that is printed of a client has its key", async (t) => {
  const { url } = await serve(t, task("pending"), refusal(400, "invalid_request"));
  const client = seedancee2(url);

  const printed = [client, client.videos, await client.videos.create(VIDEO), await client.balance().catch((e) => e)];

  for (const each of printed) {
    assert.ok(!inspect(each, { depth: 9, showHidden: true }).includes(KEYS.seedancee2));
    assert.ok(!JSON.stringify(each).includes(KEYS.seedancee2));
  }
});

test("a path in place of an address says what to do", async () => {
  const client = seedancee2("http://127.0.0.1:9");
  const body = { model: "mini", input: { prompt: "waves", image_urls: ["https://example.com/a.png", "./cat.png"] } };

  await assert.rejects(client.videos.create(body), { name: "InvalidRequestError", message: /input\.image_urls.*uploads\.create/ });
  await assert.rejects(nextapi("http://127.0.0.1:9").videos.create({ ...JOB, start_image_url: "C:\\a.png" }), {
    message: /start_image_url/,
  });
});

test("lists go over all pages, by either way of paging", async (t) => {
  const page = (ids, more) => ({ body: { data: ids.map((id) => ({ id, status: "failed" })), ...more } });
  const a = await serve(t, page(["v1", "v2"], { next_after: "v2" }), page(["v3"]));
  const b = await serve(t, page(["j1", "j2"], { offset: 0, has_more: true }), page(["j2", "j3"], { offset: 2, has_more: false }));

  const videos = await Array.fromAsync(seedancee2(a.url).videos.list({ status: "failed", limit: 2 }));
  const jobs = await Array.fromAsync(nextapi(b.url).videos.list({ limit: 2 }));

  assert.deepEqual(videos.map((each) => each.id), ["v1", "v2", "v3"]);
  assert.deepEqual(jobs.map((each) => each.id), ["j1", "j2", "j3"], "a job that moved on comes once");
  assert.deepEqual([...a.asked, ...b.asked].map((each) => each.url), [
    "/v1/videos/generations?status=failed&limit=2",
    "/v1/videos/generations?status=failed&limit=2&after=v2",
    "/v1/video/generations?limit=2",
    "/v1/video/generations?limit=2&offset=2",
  ]);
});

test("headers of answers can be seen, and any request can be sent", async (t) => {
  const { url } = await serve(t, { headers: { "x-ratelimit-remaining": "7" }, body: { data: { available: 1, held: 0 } } });
  const seen = [];
  const client = seedancee2(url, { onResponse: (response) => seen.push(response) });

  const answer = await client.request("GET", "/v1/balance");

  assert.deepEqual([answer.status, answer.body.data.available], [200, 1]);
  assert.deepEqual([seen[0].path, seen[0].headers.get("x-ratelimit-remaining")], ["/v1/balance", "7"]);
});

test("an upload is announced, sent without the key, and sent again when its answer is lost", async (t) => {
  quickly(t);
  const media = await serve(t, "drop", refusal(409, "conflict"));
  const put = { url: `${media.url}/put`, headers: { "Content-Type": "image/png" } };
  const { url, asked } = await serve(t, { body: { data: { id: "upl_1", url: "https://media.example.com/upl_1.png", put } } });

  const upload = await seedancee2(url).uploads.create(new Uint8Array([1, 2, 3]), { contentType: "image/png" });

  assert.equal(upload.url, "https://media.example.com/upl_1.png");
  assert.deepEqual(asked.map((each) => each.json), [{ content_type: "image/png", size_bytes: 3 }]);
  assert.deepEqual(media.asked.map((each) => [each.method, each.headers["content-type"], each.headers["content-length"], [...each.raw]]), [
    ["PUT", "image/png", "3", [1, 2, 3]],
    ["PUT", "image/png", "3", [1, 2, 3]],
  ]);
  assert.equal(media.asked[0].headers.authorization, undefined);
});

test("an upload that is refused is refused", async (t) => {
  const media = await serve(t, refusal(409, "conflict"));
  const { url } = await serve(t, { body: { data: { id: "upl_1", put: { url: media.url, headers: {} } } } });

  await assert.rejects(seedancee2(url).uploads.create(new Uint8Array(3), { contentType: "image/png" }), { status: 409 });
  await assert.rejects(seedancee2(url).uploads.create(new Uint8Array(3)), { message: /contentType/ });
});
