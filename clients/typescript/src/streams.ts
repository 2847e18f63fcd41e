/** Bodies that come in pieces: each piece in time, or none. */

import { ConnectionFailedError, ReelgateError } from "./errors.ts";

export type Bytes = Uint8Array<ArrayBuffer>;
const SILENCE_SECONDS_MAX = 45;

/** Opens a body, and yields its pieces. Throws ConnectionFailedError if it breaks off or falls silent. */
export async function* pieces(open: (signal: AbortSignal) => Promise<Response>, signal?: AbortSignal): AsyncGenerator<Bytes> {
  const silence = new AbortController();
  const wind = () => setTimeout(() => silence.abort(), SILENCE_SECONDS_MAX * 1000);
  let clock = wind();
  let reader;
  try {
    const response = await open(signal ? AbortSignal.any([silence.signal, signal]) : silence.signal);
    reader = response.body!.getReader();
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      clearTimeout(clock);
      yield next.value;
      clock = wind();
    }
  } catch (cause) {
    signal?.throwIfAborted();
    throw cause instanceof ReelgateError ? cause : new ConnectionFailedError("the answer broke off", { cause });
  } finally {
    clearTimeout(clock);
    await reader?.cancel().catch(() => {});
  }
}

type ServerEvent = { id?: string; event?: string; data?: string };

/** Yields server-sent events. An unfinished last one is none. */
export async function* serverEvents(body: AsyncIterable<Bytes>): AsyncGenerator<ServerEvent> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const piece of body) {
    const blocks = (text + decoder.decode(piece, { stream: true })).replaceAll("\r\n", "\n").split("\n\n");
    text = blocks.pop() ?? "";
    for (const block of blocks) {
      const fields = block.split("\n").map((line) => /^(\w+): ?(.*)$/.exec(line)?.slice(1) ?? ["comment", line]);
      yield Object.fromEntries(fields) as ServerEvent;
    }
  }
}
