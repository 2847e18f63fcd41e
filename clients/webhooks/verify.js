/** Tells whether a webhook comes from Reelgate. Needs nothing but Node, Deno or Bun: copy it into your program. */

import { createHmac, timingSafeEqual } from "node:crypto";

const TIMED_HEADERS = ["x-seedancee2-signature", "x-nextapi-signature", "x-webhook-signature"];

/** Its message is `no_signature`, `no_match`, `too_old` or `too_new`. */
export class SignatureError extends Error {}

/**
 * Returns if one of the secrets signed the body within `tolerance` seconds of `now`. Throws SignatureError if not.
 * Give the body as bytes, as it came, before anything parsed it, and two secrets while you rotate.
 */
export function verify(rawBody, headers, secrets, tolerance = 300, now = Date.now() / 1000) {
  const named = new Map(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), String(value)]));
  const signatures = [...signaturesIn(named)];
  if (signatures.length === 0) throw new SignatureError("no_signature");
  for (const { scheme, timestamp, prefix, presented } of signatures)
    for (const secret of secrets) {
      const [expected, given] = [Buffer.from(sign(scheme, secret, prefix, rawBody)), Buffer.from(presented)];
      if (expected.length !== given.length || !timingSafeEqual(expected, given)) continue;
      const age = now - Number(timestamp);
      if (Math.abs(age) > tolerance) throw new SignatureError(age > 0 ? "too_old" : "too_new");
      return;
    }
  throw new SignatureError("no_match");
}

function* signaturesIn(headers) {
  // Those of the contracts: t=…,v1=…,v1=…
  for (const name of TIMED_HEADERS) {
    const parts = (headers.get(name) ?? "").split(",").map((part) => part.trim());
    const timestamp = parts.find((part) => part.startsWith("t="))?.slice(2) ?? "";
    for (const part of parts)
      if (part.startsWith("v1=") && /^[0-9]+$/.test(timestamp))
        yield { scheme: "v1=", timestamp, prefix: `${timestamp}.`, presented: part };
  }
  // That of Standard Webhooks: v1,… v1,…
  const [id, timestamp] = [headers.get("webhook-id"), headers.get("webhook-timestamp") ?? ""];
  for (const part of (headers.get("webhook-signature") ?? "").split(" "))
    if (part.startsWith("v1,") && id && /^[0-9]+$/.test(timestamp))
      yield { scheme: "v1,", timestamp, prefix: `${id}.${timestamp}.`, presented: part };
}

/** The contracts' key is the whole secret, that of Standard Webhooks what follows whsec_, decoded. */
function sign(scheme, secret, prefix, rawBody) {
  const isStandard = scheme === "v1,";
  const key = isStandard ? Buffer.from(secret.slice("whsec_".length), "base64") : secret;
  return scheme + createHmac("sha256", key).update(prefix).update(rawBody).digest(isStandard ? "base64" : "hex");
}
