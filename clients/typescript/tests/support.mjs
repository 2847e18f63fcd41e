/** A service of the test's own: answers in turn what it was told, and takes down what it was asked. */

import { createServer } from "node:http";

export const KEYS = { seedancee2: "sk_seedancee2_test_abc", nextapi: "nxa_test_sk_abc" };

/**
 * Starts a server that ends with the test. Each of `answers` is `{status, headers, body}`, a function of the request
 * that returns one, or "drop"; the last one is given again and again.
 */
export async function serve(t, ...answers) {
  const asked = [];
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const raw = Buffer.concat(chunks);
    const taken = { method: request.method, url: request.url, headers: request.headers, raw };
    asked.push({ ...taken, json: raw.length && raw[0] === 123 ? JSON.parse(raw) : undefined, at: performance.now() });
    const next = answers.length > 1 ? answers.shift() : answers[0];
    const answer = typeof next === "function" ? await next(taken, response) : next;
    if (answer === "drop") return request.socket.destroy();
    if (answer === undefined) return;
    const { status = 200, headers = {}, body = {} } = answer;
    response.writeHead(status, { "content-type": "application/json", ...headers });
    response.end(typeof body === "string" || body instanceof Uint8Array ? body : JSON.stringify(body));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => (server.closeAllConnections(), server.close()));
  return { url: `http://127.0.0.1:${server.address().port}`, asked };
}

export const refusal = (status, code, headers = {}) => ({
  status,
  headers: { "x-request-id": "req_1", ...headers },
  body: { error: { code, message: `it was ${code}`, type: "some_error" } },
});

export const task = (status, more = {}) => ({ body: { data: { id: "vid_1", status, model: "mini", ...more } } });
export const job = (status, more = {}) => ({ body: { id: "job_1", status, ...more } });

/** Has waits between repetitions pass at once, and returns what they would have been, in seconds. */
export function quickly(t) {
  const waits = [];
  const original = globalThis.setTimeout;
  t.mock.method(globalThis, "setTimeout", (callback, milliseconds = 0, ...more) => {
    if (milliseconds < 45_000) waits.push(milliseconds / 1000);
    return original(callback, milliseconds < 45_000 ? 0 : milliseconds, ...more);
  });
  return waits;
}
