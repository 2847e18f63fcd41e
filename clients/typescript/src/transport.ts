/** One request and its repetitions: key, deadline, idempotency, errors. */

import { AuthenticationError, ConnectionFailedError, ReelgateError, errorOf } from "./errors.ts";

export const VERSION = "0.1.0";
const RETRY_AFTER_SECONDS_MAX = 60;
const BACKOFF_SECONDS = 0.5;
const BACKOFF_SECONDS_MAX = 8;

export interface ClientOptions {
  /** Default: the variable REELGATE_API_KEY. */
  apiKey?: string | undefined;
  /** Such as `https://api.example.com`. Default: the variable REELGATE_BASE_URL. */
  baseUrl?: string | undefined;
  /** Seconds for one attempt. Default 30. */
  timeout?: number;
  /** How often a request is repeated that may be. Default 3. */
  maxRetries?: number;
  /** Refuses a key of the other environment. Default: that of the key. */
  environment?: "live" | "test" | undefined;
  /** Your own `fetch`, for proxies and tests. */
  fetch?: (url: string, init?: RequestInit) => Promise<Response>;
  /** Sees every answer, also those that are repeated: limits, replays and request ids are in its headers. */
  onResponse?: (response: { method: string; path: string; status: number; headers: Headers }) => void;
  /** A page gives its key to everybody who opens it. Say true if yours is meant for that. */
  dangerouslyAllowBrowser?: boolean;
}

export interface CallOptions {
  /** Ends the call, not the job. */
  signal?: AbortSignal | undefined;
  /** Of a POST. Default: a new one for each call, kept while the call is repeated. */
  idempotencyKey?: string | undefined;
}

export interface Request extends CallOptions {
  query?: object | undefined;
  body?: unknown;
  headers?: Record<string, string>;
  /** Seconds beyond `timeout` that the service may take. */
  patience?: number;
}

const KEYS = { seedancee2: /^sk_seedancee2_(live|test)_./, nextapi: /^nxa_(live|test)_sk_./ };

/** Returns a key, its contract and its environment. */
export function readKey(apiKey: string | undefined) {
  const key = apiKey ?? variable("REELGATE_API_KEY") ?? "";
  for (const [contract, form] of Object.entries(KEYS)) {
    const environment = form.exec(key)?.[1];
    if (environment) return { key, contract, environment };
  }
  throw new AuthenticationError("give apiKey or set REELGATE_API_KEY, to a whole key: sk_seedancee2_… or nxa_…");
}

export class Transport {
  readonly baseUrl: string;
  readonly environment: string;
  readonly maxRetries: number;
  readonly #headers: Record<string, string>;
  readonly #options: ClientOptions;

  constructor(contract: string, options: ClientOptions) {
    if ("document" in globalThis && !options.dangerouslyAllowBrowser)
      throw new ReelgateError(
        "a secret key does not belong in a page: call from your server, or say dangerouslyAllowBrowser: true",
      );
    const known = readKey(options.apiKey);
    if (known.contract !== contract)
      throw new AuthenticationError(`the key is of the contract ${known.contract}, and this client of ${contract}`);
    if (options.environment && options.environment !== known.environment)
      throw new AuthenticationError(`the key is of ${known.environment}, and environment says ${options.environment}`);
    const baseUrl = options.baseUrl ?? variable("REELGATE_BASE_URL") ?? "";
    if (!/^https?:\/\/[^?#\s]+$/.test(baseUrl))
      throw new ReelgateError(`give baseUrl, or set REELGATE_BASE_URL, like https://api.example.com: it is "${baseUrl}"`);
    this.baseUrl = baseUrl.replace(/\/+$/, "");
    this.environment = known.environment;
    this.maxRetries = options.maxRetries ?? 3;
    this.#options = { ...options, apiKey: undefined };
    this.#headers = { authorization: `Bearer ${known.key}`, "user-agent": `reelgate-client-typescript/${VERSION}` };
    if (contract === "nextapi" && options.environment) this.#headers["x-nextapi-environment"] = options.environment;
  }

  /** Returns the JSON of a success. Repeats what may be repeated, and throws a ReelgateError for the rest. */
  async send(method: string, path: string, request: Request = {}) {
    const idempotencyKey = method === "POST" ? (request.idempotencyKey ?? crypto.randomUUID()) : undefined;
    const headers = { ...request.headers, ...(idempotencyKey && { "idempotency-key": idempotencyKey }) };
    return this.repeated(request, idempotencyKey, async (signal) => {
      const response = await accepted(await this.#fetched(method, path, { ...request, headers, signal }), idempotencyKey);
      return { status: response.status, headers: response.headers, body: (await response.json()) as unknown };
    });
  }

  /** Returns an answer whose body is still coming. */
  async open(path: string, headers: Record<string, string>, signal: AbortSignal): Promise<Response> {
    return accepted(await this.#fetched("GET", path, { headers, signal }));
  }

  /** Calls the media host: without the key, which is none of its business. */
  async transfer(url: string, init: RequestInit): Promise<Response> {
    return accepted(await (this.#options.fetch ?? fetch)(url, init));
  }

  /** Makes attempts, each with a deadline, until one succeeds or its error is final. */
  async repeated<T>(request: Request, idempotencyKey: string | undefined, attempt: (signal: AbortSignal) => Promise<T>) {
    const seconds = (this.#options.timeout ?? 30) + (request.patience ?? 0);
    for (let tries = 0; ; tries++) {
      const deadline = AbortSignal.timeout(seconds * 1000);
      try {
        return await attempt(request.signal ? AbortSignal.any([deadline, request.signal]) : deadline);
      } catch (cause) {
        request.signal?.throwIfAborted();
        const message = deadline.aborted ? `no answer within ${seconds} s` : "no answer, or not a whole one";
        const error = cause instanceof ReelgateError ? cause : new ConnectionFailedError(message, { cause, idempotencyKey });
        if (tries >= this.maxRetries || !mayRepeat(error)) throw error;
        await sleep(error.retryAfter ?? backoff(tries), request.signal);
      }
    }
  }

  async #fetched(method: string, path: string, { query, body, headers, signal }: Request): Promise<Response> {
    const given = Object.entries(query ?? {}).filter(([, value]) => value !== undefined);
    const url = this.baseUrl + path + (given.length ? `?${new URLSearchParams(given)}` : "");
    const response = await (this.#options.fetch ?? fetch)(url, {
      method,
      headers: { ...this.#headers, ...headers, ...(body === undefined ? {} : { "content-type": "application/json" }) },
      body: body === undefined ? null : JSON.stringify(body),
      signal: signal ?? null,
      redirect: "manual", // a redirect would turn a POST into a GET
    });
    this.#options.onResponse?.({ method, path, status: response.status, headers: response.headers });
    return response;
  }
}

/** Tells whether the same request may succeed later. */
export function mayRepeat(error: unknown): error is ReelgateError {
  if (error instanceof ConnectionFailedError) return true;
  if (!(error instanceof ReelgateError) || !error.status || (error.retryAfter ?? 0) > RETRY_AFTER_SECONDS_MAX) return false;
  const isRunning = error.status === 409 && error.retryAfter !== undefined;
  return isRunning || error.status === 429 || error.status >= 500;
}

/** Returns the seconds before repetition number `tries`, counted from 0. */
export function backoff(tries: number): number {
  return Math.min(BACKOFF_SECONDS * 2 ** tries, BACKOFF_SECONDS_MAX) * (0.5 + Math.random() / 2);
}

export async function sleep(seconds: number, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted();
  let stop = () => {};
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(resolve, seconds * 1000);
    stop = () => [clearTimeout(timer), reject(signal?.reason)];
    signal?.addEventListener("abort", stop);
  }).finally(() => signal?.removeEventListener("abort", stop));
}

const variable = (name: string): string | undefined => (globalThis as any).process?.env?.[name];

async function accepted(response: Response, idempotencyKey?: string): Promise<Response> {
  if (response.ok) return response;
  throw errorOf(response.status, response.headers, await response.text(), idempotencyKey);
}
