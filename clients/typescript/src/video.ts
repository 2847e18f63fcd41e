/** A video that is being made: waiting for it, watching, cancelling, downloading. */

import { ConnectionFailedError, ReelgateError, VideoFailedError, WaitTimeoutError, errorOf } from "./errors.ts";
import { save } from "./files.ts";
import { type Bytes, pieces, serverEvents } from "./streams.ts";
import { type CallOptions, type Transport, backoff, mayRepeat, sleep } from "./transport.ts";

const WAIT_SECONDS = 900;
const POLL_SECONDS = 60;
const QUICK_SECONDS = 1;

/** What differs between the contracts. */
export interface Contract {
  path: string;
  /** What each status means. Any other ends the waiting, and is no success. */
  states: Readonly<Record<string, "running" | "completed" | "failed">>;
  /** Takes a task out of the answer around it. */
  unwrap(body: any): any;
}

export interface WaitOptions<V> {
  /** Seconds. Default 900. Afterwards the job goes on. */
  timeout?: number;
  /** Called whenever status or progress change; `progress` is a percentage, as far as it is known. */
  onProgress?: (video: V, progress: number | undefined) => void;
  /** Default true. With false a failed job is returned like a completed one. */
  throwOnFailure?: boolean;
  signal?: AbortSignal | undefined;
}

export interface DownloadOptions {
  /** Which file. Default `video_url`. */
  file?: "video_url" | "thumbnail_url" | "last_frame_url";
  signal?: AbortSignal | undefined;
}

export type VideoEvent<V> = { type: "status" | "end"; video: V } | { type: "progress"; video: V; progress: number };

export class Video<D extends { id: string; status: string }> {
  /** The contract's own JSON, as it came last. */
  data: D;
  /** Of the creation. Undefined for a video that was looked up. */
  readonly idempotencyKey: string | undefined;
  readonly #transport: Transport;
  readonly #contract: Contract;

  constructor(transport: Transport, contract: Contract, data: D, idempotencyKey?: string) {
    this.#transport = transport;
    this.#contract = contract;
    this.data = data;
    this.idempotencyKey = idempotencyKey;
  }

  get id(): string { return this.data.id; }
  get status(): D["status"] { return this.data.status; }

  /** Asks for the present state; with `wait`, as soon as the job has ended, or after that many seconds. */
  async refresh({ wait, signal }: { wait?: number | undefined; signal?: AbortSignal | undefined } = {}): Promise<this> {
    return this.#take(await this.#transport.send("GET", this.#path, { query: { wait }, patience: wait ?? 0, signal }));
  }

  /**
   * Waits for the end. Throws VideoFailedError if there is no video then, and WaitTimeoutError if the end does not come
   * in time. While the service cannot be reached it goes on waiting.
   */
  async wait(options: WaitOptions<this> = {}): Promise<this> {
    const { timeout = WAIT_SECONDS, onProgress, throwOnFailure = true, signal } = options;
    const deadline = AbortSignal.timeout(timeout * 1000);
    const stop = signal ? AbortSignal.any([deadline, signal]) : deadline;
    const trouble: unknown[] = [];
    try {
      if (onProgress) await this.#follow(onProgress, stop, trouble);
      else await this.#poll(performance.now() + timeout * 1000, stop, trouble);
    } catch (error) {
      throw deadline.aborted && !signal?.aborted ? this.#late(timeout, trouble.at(-1)) : error;
    }
    return this.#settled(throwOnFailure);
  }

  /** Yields what happens until the job has ended, over lost connections. `timeout` in seconds, 900 by default. */
  async *events(options: { timeout?: number; signal?: AbortSignal } = {}): AsyncGenerator<VideoEvent<this>> {
    const { timeout = WAIT_SECONDS, signal } = options;
    const deadline = AbortSignal.timeout(timeout * 1000);
    try {
      yield* this.#watch(signal ? AbortSignal.any([deadline, signal]) : deadline, this.#transport.maxRetries, []);
    } catch (error) {
      throw deadline.aborted && !signal?.aborted ? this.#late(timeout, error) : error;
    }
  }

  /** Stops the job, and its credits come back. Throws ConflictError if that is too late. */
  async cancel(options: CallOptions = {}): Promise<this> {
    return this.#take(await this.#transport.send("POST", `${this.#path}/cancel`, options));
  }

  /** Deletes prompt, references, metadata and media of a job that has ended. */
  async delete(options: CallOptions = {}): Promise<void> {
    await this.#transport.send("DELETE", this.#path, options);
  }

  /** Downloads the video into a file, or returns its bytes. Continues where a lost connection left off. */
  download(path: string, options?: DownloadOptions): Promise<void>;
  download(path?: undefined, options?: DownloadOptions): Promise<Bytes>;
  async download(path?: string, options: DownloadOptions = {}): Promise<void | Bytes> {
    const chunks = this.#chunks(options.file ?? "video_url", options.signal);
    if (path !== undefined) return save(path, chunks);
    const all: Bytes[] = [];
    for await (const chunk of chunks) all.push(chunk);
    return new Uint8Array(await new Blob(all).arrayBuffer());
  }

  get #path() { return `${this.#contract.path}/${encodeURIComponent(this.id)}`; }
  get #state() { return this.#contract.states[this.status]; }

  #take(answer: { body: unknown }): this {
    this.data = this.#contract.unwrap(answer.body);
    return this;
  }

  async #poll(ends: number, stop: AbortSignal, trouble: unknown[]): Promise<void> {
    for (let quick = 0; this.#state === "running"; ) {
      const began = performance.now();
      const wait = Math.max(0, Math.min(POLL_SECONDS, Math.floor((ends - began) / 1000)));
      await this.refresh({ wait, signal: stop }).catch((error: unknown) => trouble.push(passing(error)));
      quick = performance.now() - began < QUICK_SECONDS * 1000 ? quick + 1 : 0;
      if (this.#state === "running" && quick) await sleep(backoff(quick), stop);
    }
  }

  async #follow(onProgress: Required<WaitOptions<this>>["onProgress"], stop: AbortSignal, trouble: unknown[]): Promise<void> {
    if (this.#state !== "running") return;
    for await (const event of this.#watch(stop, Infinity, trouble)) {
      onProgress(this, event.type === "progress" ? event.progress : (this.data as { progress?: number }).progress);
      if (this.#state !== "running") return;
    }
  }

  async *#watch(stop: AbortSignal, failuresMax: number, trouble: unknown[]): AsyncGenerator<VideoEvent<this>> {
    let lastId: string | undefined;
    for (let failures = 0; ; failures++) {
      const headers = { accept: "text/event-stream", ...(lastId && { "last-event-id": lastId }) };
      const open = (signal: AbortSignal) => this.#transport.open(`${this.#path}/events`, headers, signal);
      try {
        for await (const { id, event, data } of serverEvents(pieces(open, stop))) {
          if (!data) continue;
          const body = JSON.parse(data);
          if (event === "error") throw errorOf(body.error?.code === "internal_error" ? 500 : 400, new Headers(), data);
          [lastId, failures] = [id ?? lastId, 0];
          if (event === "progress") yield { type: event, video: this, progress: body.progress };
          if (event === "status" || event === "end") yield { type: event, video: this.#take({ body }) };
          if (event === "end") return;
        }
        trouble.push(new ConnectionFailedError("the stream of events ended before the job"));
      } catch (error) {
        trouble.push(passing(error));
      }
      if (failures >= failuresMax) throw trouble.at(-1);
      await sleep(backoff(failures), stop);
    }
  }

  async *#chunks(file: Required<DownloadOptions>["file"], signal?: AbortSignal): AsyncGenerator<Bytes> {
    let [url, at, size, etag, isRenewed] = [await this.#address(file, signal), 0, NaN, "", false];
    const open = async (stop: AbortSignal): Promise<Response> => {
      const range = { ...(at > 0 && { range: `bytes=${at}-` }), ...(etag && { "if-range": etag }) };
      const response = await this.#transport.transfer(url, { headers: range, signal: stop });
      if (at > 0 && response.status !== 206) throw new ReelgateError("the file changed while it was downloaded");
      const { headers } = response;
      if (at === 0) [etag, size] = [headers.get("etag") ?? "", Number(headers.get("content-length") ?? NaN)];
      return response;
    };
    for (let failures = 0; ; failures++) {
      try {
        for await (const chunk of pieces(open, signal)) {
          [at, failures] = [at + chunk.length, 0];
          yield chunk;
        }
        if (at === size || Number.isNaN(size)) return;
        throw new ConnectionFailedError(`the file ended after ${at} of ${size} bytes`);
      } catch (error) {
        const hasExpired = error instanceof ReelgateError && error.status === 403 && !isRenewed;
        if (hasExpired) [url, isRenewed] = [await this.#address(file, signal, true), true];
        else if (failures >= this.#transport.maxRetries) throw error;
        else await sleep((passing(error) as ReelgateError).retryAfter ?? backoff(failures), signal);
      }
    }
  }

  async #address(file: Required<DownloadOptions>["file"], signal?: AbortSignal, anew = false): Promise<string> {
    if (anew || this.#state !== "completed") await this.refresh({ signal });
    const { output, ...task } = this.data as { output?: Record<string, string> };
    const url = (output ?? (task as Record<string, string>))[file];
    if (url) return url;
    throw new ReelgateError(`the job ${this.id} is ${this.status} and has no ${file}`);
  }

  #settled(throwOnFailure: boolean): this {
    if (this.#state === "completed" || (this.#state === "failed" && !throwOnFailure)) return this;
    const unknown = { code: "unknown_status", message: `this client knows no status ${this.status}: job ${this.id}` };
    const { code, message } = (this.data as { error?: typeof unknown }).error ?? unknown;
    throw new VideoFailedError(message, { code, video: this });
  }

  #late(timeout: number, cause: unknown): WaitTimeoutError {
    return new WaitTimeoutError(`the job ${this.id} is ${this.status} after ${timeout} s, and goes on`, { video: this, cause });
  }
}

/** Returns an error that may pass, and throws any other. */
function passing(error: unknown): unknown {
  if (mayRepeat(error)) return error;
  throw error;
}
