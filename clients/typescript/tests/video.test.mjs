import assert from "node:assert/strict";
import { mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { NextAPI, Seedancee2, VideoFailedError, WaitTimeoutError } from "reelgate-client";
import { KEYS, job, quickly, refusal, serve, task } from "./support.mjs";

const VIDEO = { model: "mini", input: { prompt: "waves" } };
const MP4 = Uint8Array.from({ length: 100_000 }, (_, index) => index % 251);
const seedancee2 = (url, more = {}) => new Seedancee2({ apiKey: KEYS.seedancee2, baseUrl: url, ...more });
const nextapi = (url) => new NextAPI({ apiKey: KEYS.nextapi, baseUrl: url });
const completed = (url) => task("completed", { output: { video_url: `${url}/v.mp4`, thumbnail_url: `${url}/v.jpg` } });

test("generating creates, waits on the server's side, and returns the video", async (t) => {
  quickly(t);
  const { url, asked } = await serve(t, task("pending"), task("processing"), completed("http://media"));

  const video = await seedancee2(url).videos.generate(VIDEO);

  assert.equal(video.status, "completed");
  assert.equal(video.data.output.video_url, "http://media/v.mp4");
  assert.deepEqual(asked.map((each) => each.url).slice(1), Array(2).fill("/v1/videos/generations/vid_1?wait=60"));
});

test("a failed job is an error with its reason and the handle, unless it may be returned", async (t) => {
  const failed = { error: { code: "content_policy_violation", message: "Change the prompt." } };
  const a = await serve(t, task("failed", failed));
  const b = await serve(t, job("canceled", { error: { code: "canceled", message: "You cancelled it." } }));

  const error = await (await seedancee2(a.url).videos.get("vid_1")).wait().catch((caught) => caught);
  const canceled = await (await nextapi(b.url).videos.get("job_1")).wait().catch((caught) => caught);
  const returned = await (await seedancee2(a.url).videos.get("vid_1")).wait({ throwOnFailure: false });

  assert.ok(error instanceof VideoFailedError);
  assert.deepEqual([error.code, error.message, error.video.id], ["content_policy_violation", "Change the prompt.", "vid_1"]);
  assert.equal(canceled.code, "canceled");
  assert.equal(returned.status, "failed");
});

for (const throwOnFailure of [true, false])
  test(`a status that nobody knows ends the waiting, and is no success (${throwOnFailure})`, async (t) => {
    const { url, asked } = await serve(t, task("pending"), task("archived"));
    const video = await seedancee2(url).videos.create(VIDEO);

    const error = await video.wait({ throwOnFailure }).catch((caught) => caught);

    assert.ok(error instanceof VideoFailedError);
    assert.deepEqual([error.code, error.video, asked.length], ["unknown_status", video, 2]);
  });

test("a deadline passes with the handle, and the job goes on", async (t) => {
  const { url, asked } = await serve(t, task("processing"));
  const video = await seedancee2(url).videos.get("vid_1");

  const error = await video.wait({ timeout: 0.2 }).catch((caught) => caught);

  assert.ok(error instanceof WaitTimeoutError);
  assert.equal(error.video, video);
  assert.ok(asked.every((each) => each.method === "GET"));
  assert.ok(asked.length < 10, "polls that answer at once are not repeated at once");
});

test("waiting outlasts an outage, and ends at what cannot pass", async (t) => {
  quickly(t);
  const outage = Array(9).fill(refusal(503, "internal_error"));
  const a = await serve(t, task("pending"), ...outage, "drop", completed("http://media"));
  const b = await serve(t, task("pending"), refusal(401, "invalid_api_key"));

  assert.equal((await seedancee2(a.url).videos.generate(VIDEO)).status, "completed");
  await assert.rejects(seedancee2(b.url).videos.generate(VIDEO), { name: "AuthenticationError" });
});

test("the deadline of waiting holds in an outage, and says what the trouble was", async (t) => {
  const { url } = await serve(t, task("pending"), "drop");
  const video = await seedancee2(url, { maxRetries: 0 }).videos.create(VIDEO);

  const error = await video.wait({ timeout: 1 }).catch((caught) => caught);

  assert.ok(error instanceof WaitTimeoutError);
  assert.equal(error.cause.name, "ConnectionFailedError");
});

test("a caller ends the waiting, and not the job", async (t) => {
  const enough = new AbortController();
  const { url, asked } = await serve(t, task("pending"), () => (enough.abort("enough"), new Promise(() => {})));
  const video = await seedancee2(url).videos.create(VIDEO);

  await assert.rejects(video.wait({ signal: enough.signal }), (reason) => reason === "enough");
  assert.deepEqual(asked.map((each) => each.method), ["POST", "GET"]);
});

const event = (name, id, data) => `${id ? `id: ${id}\n` : ""}event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
const stream = (...parts) => ({ headers: { "content-type": "text/event-stream" }, body: parts.join("") });
const pending = event("status", "vid_1/pending", task("pending").body);
const processing = event("status", "vid_1/processing", task("processing").body);
const halfway = event("progress", "", { id: "vid_1", progress: 50 });
const end = event("end", "vid_1/end", completed("http://media").body);

test("events are yielded over lost connections, and go on where they broke off", async (t) => {
  quickly(t);
  const cut = stream(": keep-alive\n\n", pending, processing, halfway, processing.slice(0, 40));
  const { url, asked } = await serve(t, task("pending"), cut, "drop", refusal(503, "internal_error"), stream(end));
  const video = await seedancee2(url).videos.create(VIDEO);

  const events = await Array.fromAsync(video.events());

  assert.deepEqual(events.map((each) => [each.type, each.progress]), [
    ["status", undefined],
    ["status", undefined],
    ["progress", 50],
    ["end", undefined],
  ]);
  assert.equal(video.status, "completed");
  assert.deepEqual(asked.slice(1).map((each) => each.headers["last-event-id"]), [undefined, ...Array(3).fill("vid_1/processing")]);
});

test("waiting with progress follows the events, in any pieces they come", async (t) => {
  const bytes = Buffer.from([pending, processing, halfway, end].join("").replaceAll("\n", "\r\n"));
  const dripped = async (_, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    for (const byte of bytes) await new Promise((resolve) => response.write(Uint8Array.of(byte), resolve));
    response.end();
  };
  const { url } = await serve(t, task("pending"), dripped);
  const seen = [];

  const video = await seedancee2(url).videos.generate(VIDEO, { onProgress: (each, progress) => seen.push([each.status, progress]) });

  assert.equal(video.status, "completed");
  assert.deepEqual(seen, [["pending", undefined], ["processing", undefined], ["processing", 50], ["completed", undefined]]);
});

test("a stream that never ends the job ends at the deadline", async (t) => {
  const { url } = await serve(t, task("pending"), stream(pending));
  const video = await seedancee2(url).videos.create(VIDEO);

  await assert.rejects(video.wait({ timeout: 0.4, onProgress: () => {} }), { name: "WaitTimeoutError" });
  await assert.rejects(Array.fromAsync(video.events({ timeout: 0.4 })), { name: "WaitTimeoutError" });
});

test("an error in the stream is an error", async (t) => {
  const refused = event("error", "", { error: { code: "task_not_found", message: "It is gone." } });
  const { url } = await serve(t, task("pending"), stream(pending, refused));
  const video = await seedancee2(url).videos.create(VIDEO);

  await assert.rejects(Array.fromAsync(video.events()), { name: "NotFoundError", message: "It is gone." });
});

test("cancelling, refreshing and deleting are one request each", async (t) => {
  const { url, asked } = await serve(t, task("pending"), task("processing"), task("failed"), { body: { data: {} } });
  const video = await seedancee2(url).videos.create(VIDEO);

  assert.equal((await video.refresh()).status, "processing");
  assert.equal((await video.cancel()).status, "failed");
  await video.delete();

  assert.deepEqual(asked.slice(1).map((each) => `${each.method} ${each.url}`), [
    "GET /v1/videos/generations/vid_1",
    "POST /v1/videos/generations/vid_1/cancel",
    "DELETE /v1/videos/generations/vid_1",
  ]);
});

/** Serves MP4, in part if asked so, and drops the connection after `most` bytes. */
const file = (most = Infinity) => (request, response) => {
  const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "bytes=0-")[1]);
  const rest = MP4.subarray(from);
  response.writeHead(from ? 206 : 200, { "content-length": rest.length, etag: '"1"' });
  response.write(rest.subarray(0, most), () => (most < rest.length ? response.socket.destroy() : response.end()));
};

test("a download goes on where the connection was lost, without the key", async (t) => {
  quickly(t);
  const media = await serve(t, file(40_000), file(30_000), "drop", file());
  const { url } = await serve(t, completed(media.url));
  const folder = await mkdtemp(join(tmpdir(), "reelgate-"));
  t.after(() => rm(folder, { recursive: true }));
  const video = await seedancee2(url).videos.get("vid_1");

  await video.download(join(folder, "boat.mp4"));

  assert.deepEqual(new Uint8Array(await readFile(join(folder, "boat.mp4"))), MP4);
  assert.deepEqual(await readdir(folder), ["boat.mp4"]);
  assert.equal(media.asked[0].headers.range, undefined);
  assert.ok(media.asked.slice(1).every((each) => /^bytes=\d+-$/.test(each.headers.range) && each.headers["if-range"] === '"1"'));
  assert.ok(media.asked.every((each) => each.headers.authorization === undefined && each.url === "/v.mp4"));
});

test("a download that cannot be finished leaves no file", async (t) => {
  quickly(t);
  const media = await serve(t, file(40_000), { status: 404 });
  const { url } = await serve(t, completed(media.url));
  const folder = await mkdtemp(join(tmpdir(), "reelgate-"));
  t.after(() => rm(folder, { recursive: true }));

  const downloading = (await seedancee2(url).videos.get("vid_1")).download(join(folder, "boat.mp4"));

  await assert.rejects(downloading, { name: "NotFoundError" });
  assert.deepEqual(await readdir(folder), []);
});

test("a file that changed meanwhile is not glued together", async (t) => {
  quickly(t);
  const other = (_, response) => void response.writeHead(200).end(MP4);
  const media = await serve(t, file(40_000), other);
  const { url } = await serve(t, completed(media.url));

  await assert.rejects((await seedancee2(url).videos.get("vid_1")).download(), { message: /changed/ });
});

test("an address that has expired is asked for again", async (t) => {
  const media = await serve(t, { status: 403, body: "expired" }, file());
  const { url, asked } = await serve(t, completed(`${media.url}/old`), completed(`${media.url}/new`));
  const video = await seedancee2(url).videos.get("vid_1");

  const bytes = await video.download(undefined, { file: "thumbnail_url" });

  assert.deepEqual(bytes, MP4);
  assert.deepEqual([media.asked.map((each) => each.url), asked.length], [["/old/v.jpg", "/new/v.jpg"], 2]);
});

test("what is not there yet cannot be downloaded", async (t) => {
  const { url } = await serve(t, task("processing"));

  await assert.rejects((await seedancee2(url).videos.get("vid_1")).download(), { message: /is processing and has no video_url/ });
});
