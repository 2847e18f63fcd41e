/** Tells whether a webhook comes from Reelgate: by the signature of its contract, or that of Standard Webhooks. */

import { ReelgateError, SignatureError } from "./errors.ts";
import type { NextAPIEvent, Seedancee2Event } from "./types.ts";

export type { NextAPIEvent, Seedancee2Event };

const TIMED_HEADERS = ["x-seedancee2-signature", "x-nextapi-signature", "x-webhook-signature"];
const SECRET_PREFIX = "whsec_";

export interface VerifyOptions {
  /** How many seconds the signature may be away from our clock. Default 300. */
  tolerance?: number;
  /** Unix seconds. Default: the clock. */
  now?: number;
}

type Bytes = Uint8Array<ArrayBuffer>;
interface Signature {
  time: string;
  /** What was signed stands before the body. */
  prefix: string;
  digest: Bytes;
  isStandard: boolean;
}

/**
 * Returns the event. Throws SignatureError unless one of the signatures is by one of the secrets, and recent.
 * `rawBody` is what came, before anything parsed it. Give two secrets while you rotate.
 */
export async function verify<E = Seedancee2Event | NextAPIEvent>(
  rawBody: string | Uint8Array | ArrayBuffer,
  headers: Headers | Record<string, string | readonly string[] | undefined>,
  secrets: string | readonly string[],
  { tolerance = 300, now = Date.now() / 1000 }: VerifyOptions = {},
): Promise<E> {
  const body = bytesOf(rawBody);
  const known = [secrets].flat().filter((secret) => secret);
  if (known.length === 0) throw new ReelgateError("there is no secret to verify with");
  const signatures = signaturesOf(headers instanceof Headers ? [...headers] : Object.entries(headers));
  if (signatures.length === 0) throw new SignatureError("there is no signature", { code: "no_signature" });
  const time = await timeSigned(known, signatures, body);
  if (time === undefined) throw new SignatureError("no signature is by one of the secrets", { code: "no_match" });
  if (now - time > tolerance) throw new SignatureError(`signed ${Math.round(now - time)} s ago`, { code: "too_old" });
  if (time - now > tolerance) throw new SignatureError(`signed ${Math.round(time - now)} s ahead of our clock`, { code: "too_new" });
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body)) as E;
  } catch (cause) {
    throw new SignatureError("the signature holds, and the body is not JSON", { code: "not_json", cause });
  }
}

/** Returns the time of the first signature that one of the secrets made. */
async function timeSigned(secrets: readonly string[], signatures: Signature[], body: Bytes): Promise<number | undefined> {
  for (const secret of secrets) {
    const [whole, decoded] = [new TextEncoder().encode(secret), fromBase64(secret.replace(SECRET_PREFIX, ""))];
    for (const { isStandard, prefix, digest, time } of signatures) {
      const bytes = isStandard ? decoded : whole;
      if (bytes.length === 0) continue;
      const key = await crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, ["verify"]);
      const signed = new Uint8Array([...new TextEncoder().encode(prefix), ...body]);
      if (await crypto.subtle.verify("HMAC", key, digest, signed)) return Number(time);
    }
  }
  return undefined;
}

function signaturesOf(headers: [string, string | readonly string[] | undefined][]): Signature[] {
  const named = new Map(headers.map(([name, value]) => [name.toLowerCase(), String(value ?? "")]));
  return [...TIMED_HEADERS.flatMap((name) => timed(named.get(name) ?? "")), ...standard(named)];
}

/** `t=…,v1=…,v1=…`: over the time and the body, in hexadecimal. */
function timed(header: string): Signature[] {
  const parts = header.split(",").map((part) => part.trim());
  const time = parts.find((part) => part.startsWith("t="))?.slice(2) ?? "";
  const digests = parts.filter((part) => part.startsWith("v1=") && /^\d+$/.test(time));
  return digests.map((part) => ({ time, prefix: `${time}.`, digest: fromHex(part.slice(3)), isStandard: false }));
}

/** `v1,… v1,…`: over id, time and body, in base64. */
function standard(headers: Map<string, string>): Signature[] {
  const [id, time, signatures] = ["id", "timestamp", "signature"].map((name) => headers.get(`webhook-${name}`) ?? "");
  if (!id || !time || !/^\d+$/.test(time)) return [];
  const digests = signatures!.split(" ").filter((part) => part.startsWith("v1,"));
  return digests.map((part) => ({ time, prefix: `${id}.${time}.`, digest: fromBase64(part.slice(3)), isStandard: true }));
}

function bytesOf(rawBody: unknown): Bytes {
  if (typeof rawBody === "string") return new TextEncoder().encode(rawBody);
  if (rawBody instanceof ArrayBuffer || rawBody instanceof Uint8Array) return new Uint8Array(rawBody);
  throw new TypeError("verify needs the raw body, as text or bytes: parsed JSON is not what was signed");
}

/** Both return nothing for what is not of their kind. */
function fromHex(text: string): Bytes {
  return Uint8Array.from(/^([0-9a-f]{2})+$/.test(text) ? text.match(/../g)! : [], (pair) => parseInt(pair, 16));
}

function fromBase64(text: string): Bytes {
  const isBase64 = /^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text);
  return Uint8Array.from(isBase64 ? atob(text) : "", (character) => character.charCodeAt(0));
}
