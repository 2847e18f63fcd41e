/** What can go wrong. Every error is a ReelgateError; the classes say what to do about it. */

export interface Refusal {
  /** HTTP status. Undefined where no answer came. */
  readonly status?: number | undefined;
  /** What the service calls it, such as `invalid_request`. Codes that this client does not know stay readable. */
  readonly code?: string | undefined;
  readonly type?: string | undefined;
  /** Quote it when you report a problem. */
  readonly requestId?: string | undefined;
  /** Seconds after which the service asks to repeat the request. */
  readonly retryAfter?: number | undefined;
  /** The whole answer: parsed if it is JSON, otherwise text. */
  readonly body?: unknown;
  /** Repeat a creation with it, and you get one video, whatever became of the lost answer. */
  readonly idempotencyKey?: string | undefined;
  cause?: unknown;
  /** What was waited for. */
  readonly video?: any;
}

export interface ReelgateError extends Refusal {}
export class ReelgateError extends Error {
  constructor(message: string, refusal: Refusal = {}) {
    super(message);
    Object.assign(this, { name: new.target.name }, refusal);
  }
}
/** The key is missing, mistyped, revoked, or of another contract or environment. */
export class AuthenticationError extends ReelgateError {}
export class PermissionDeniedError extends ReelgateError {}
/** The request is wrong. The message names the field, and what is allowed. */
export class InvalidRequestError extends ReelgateError {}
export class InsufficientCreditsError extends ReelgateError {}
export class NotFoundError extends ReelgateError {}
/** The request does not fit the state of what it is about, or its idempotency key is taken. */
export class ConflictError extends ReelgateError {}
export class RateLimitError extends ReelgateError {}
export class ServerError extends ReelgateError {}
/** No answer came, or not in time. The request may have been carried out. */
export class ConnectionFailedError extends ReelgateError {}
/** A webhook was not signed with any of the secrets, or not recently. */
export class SignatureError extends ReelgateError {}
/** The deadline passed. The job goes on: wait for `video` again. */
export class WaitTimeoutError extends ReelgateError {}
/** The job ended without a video, and costs nothing. */
export class VideoFailedError extends ReelgateError {}

/** Which statuses, and which codes of both contracts, each class is for. */
const CLASSES: ReadonlyArray<[typeof ReelgateError, statuses: number[], codes: string[]]> = [
  [InvalidRequestError, [400, 413, 415, 422], ["invalid_request", "content_policy_violation", "request_too_large"]],
  [AuthenticationError, [401], ["invalid_api_key", "unauthorized"]],
  [InsufficientCreditsError, [402], ["insufficient_credits", "spend_limit_exceeded"]],
  [PermissionDeniedError, [403], []],
  [NotFoundError, [404], ["not_found", "task_not_found", "model_not_found"]],
  [ConflictError, [409], ["conflict", "idempotency_conflict"]],
  [RateLimitError, [429], ["rate_limit_exceeded"]],
  [ServerError, [500, 502, 503, 504], ["internal_error"]],
];
export const ERROR_CODES: readonly string[] = CLASSES.flatMap(([, , codes]) => codes);

/** Returns the error that an answer means; `text` is its body. */
export function errorOf(status: number, headers: Headers, text: string, idempotencyKey?: string): ReelgateError {
  let body: unknown = text;
  try {
    body = JSON.parse(text);
  } catch {} // from somebody in between, who does not speak JSON
  const { error = {} } = Object(body) as { error?: { code?: string; message?: string; type?: string } };
  const { code, type, message = `the answer has status ${status}` } = error;
  const byCode = CLASSES.find(([, , codes]) => code !== undefined && codes.includes(code));
  const [Class] = byCode ?? CLASSES.find(([, statuses]) => statuses.includes(status)) ?? [ReelgateError];
  const retryAfter = secondsOf(headers.get("retry-after"));
  const requestId = headers.get("x-request-id") ?? undefined;
  return new Class(message, { status, code, type, requestId, retryAfter, body, idempotencyKey });
}

function secondsOf(text: string | null): number | undefined {
  if (text === null) return undefined;
  const seconds = /^\d+$/.test(text) ? Number(text) : (Date.parse(text) - Date.now()) / 1000;
  return Number.isNaN(seconds) ? undefined : Math.max(0, seconds);
}
