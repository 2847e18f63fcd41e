/** Whatever the OpenAPI documents have, the client has: operations, parameters, errors, statuses, events. */

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import test from "node:test";
import { ERROR_CODES, NextAPI, ReelgateError, Seedancee2 } from "reelgate-client";
import { KEYS } from "./support.mjs";

const ID = "some/id";
const POST = { idempotencyKey: "mine" };
const VIDEO = { model: "mini", input: { prompt: "waves" } };
const first = async (list) => (await list.next()).value;

/** One call of each operation, with every parameter that it has. */
const ACCOUNT = {
  getBalance: (client) => client.balance(),
  createUpload: (client) => client.uploads.create(new Uint8Array(1), { contentType: "image/png", ...POST }),
  getUpload: (client) => client.uploads.get(ID),
  deleteUpload: (client) => client.uploads.delete(ID),
  createWebhookEndpoint: (client) => client.webhookEndpoints.create({ url: "https://example.com" }, POST),
  listWebhookEndpoints: (client) => client.webhookEndpoints.list(),
  getWebhookEndpoint: (client) => client.webhookEndpoints.get(ID),
  updateWebhookEndpoint: (client) => client.webhookEndpoints.update(ID, { enabled: false }),
  deleteWebhookEndpoint: (client) => client.webhookEndpoints.delete(ID),
  testWebhookEndpoint: (client) => client.webhookEndpoints.test(ID, POST),
  rotateWebhookSecret: (client) => client.webhookEndpoints.rotateSecret(ID, POST),
  confirmWebhookSecret: (client) => client.webhookEndpoints.confirmSecret(ID, POST),
  listWebhookDeliveries: (client) => {
    const range = { start: "2026-06-29T10:00:00Z", end: "2026-06-30T10:00:00Z" };
    const query = { endpoint_id: "whe_1", job_id: "vid_1", status: "pending", ...range, limit: 5, after: "x" };
    return first(client.webhookDeliveries.list(query));
  },
  getWebhookDelivery: (client) => client.webhookDeliveries.get(ID),
  redeliver: (client) => client.webhookDeliveries.redeliver(ID, POST),
  createRedelivery: (client) => client.redeliveries.create({ start: "2026-06-29T10:00:00Z" }, POST),
  getRedelivery: (client) => client.redeliveries.get(ID),
  createWebhookListener: (client) => client.webhookListeners.create({}, POST),
  listWebhookListeners: (client) => client.webhookListeners.list(),
  deleteWebhookListener: (client) => client.webhookListeners.delete(ID),
  readWebhookListener: (client) => client.webhookListeners.read(ID, { after: 3, wait: 30, limit: 5 }),
};
const VIDEOS = {
  createVideo: (client) => client.videos.create(VIDEO, POST),
  getVideo: (client) => client.videos.get(ID, { wait: 60 }),
  cancelVideo: async (client) => (await client.videos.get(ID)).cancel(POST),
  deleteVideo: async (client) => (await client.videos.get(ID)).delete(),
  streamVideoEvents: async (client) => Array.fromAsync((await client.videos.get(ID)).events()),
};
const CONTRACTS = {
  seedancee2: {
    ...ACCOUNT,
    ...VIDEOS,
    listVideos: (client) => first(client.videos.list({ status: "failed", limit: 5, after: "x" })),
    estimateVideo: (client) => client.videos.estimate(VIDEO, POST),
    listModels: (client) => client.models.list(),
    getModel: (client) => client.models.get(ID),
    getUsage: (client) => client.usage({ start: "2026-06-29T10:00:00Z", end: "2026-06-30T10:00:00Z", limit: 5 }),
  },
  nextapi: { ...ACCOUNT, ...VIDEOS, listVideos: (client) => first(client.videos.list({ limit: 5, offset: 20 })) },
};
const CLASSES = { seedancee2: Seedancee2, nextapi: NextAPI };

/** Answers everything with something, and takes down what was asked. The first stream breaks off. */
function recorder() {
  const asked = [];
  const streams = ["id: 1\nevent: progress\ndata: {}\n\n", 'event: end\ndata: {"data": {"id": "some/id"}, "id": "some/id"}\n\n'];
  const data = { id: ID, status: "failed", put: { url: "http://media", headers: {} } };
  const fetch = async (url, init) => {
    asked.push({ url: new URL(url), method: init.method, headers: new Headers(init.headers) });
    if (url.endsWith("/events")) return new Response(streams.shift());
    const isList = /\/(webhook_deliveries|generations)(\?|$)/.test(url) && init.method === "GET";
    return Response.json(isList ? { data: [data] } : { ...data, data });
  };
  return { asked, fetch };
}

for (const [contract, calls] of Object.entries(CONTRACTS)) {
  const document = JSON.parse(await readFile(new URL(`../../../gen/openapi/${contract}.json`, import.meta.url)));
  const resolved = (part) => (part.$ref ? part.$ref.split("/").slice(1).reduce((at, name) => at[name], document) : part);
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods)
      .filter(([, operation]) => operation.operationId)
      .map(([method, operation]) => ({ path, method: method.toUpperCase(), ...operation })),
  );

  test(`${contract}: the client has the operations of the document, and no others`, () => {
    assert.deepEqual(Object.keys(calls).sort(), operations.map((each) => each.operationId).sort());
  });

  for (const { operationId, method, path, parameters = [] } of operations)
    test(`${contract}: ${operationId} can be called with everything it takes`, async (t) => {
      t.mock.method(Math, "random", () => -1); // no wait between streams
      const { asked, fetch } = recorder();
      const options = { apiKey: KEYS[contract], baseUrl: "http://reelgate", environment: "test", fetch };

      await calls[operationId](new CLASSES[contract](options));

      const place = path.replace("{id}", encodeURIComponent(ID));
      const sent = asked.filter((each) => each.method === method && each.url.pathname === place);
      assert.ok(sent.length > 0, `nothing asked for ${method} ${place}`);
      for (const { in: where, name } of parameters.map(resolved)) {
        const isSent = { query: (each) => each.url.searchParams.has(name), header: (each) => each.headers.has(name) }[where];
        assert.ok(where === "path" || sent.some(isSent), `${name} was not sent in the ${where}`);
      }
    });

  test(`${contract}: every error has a class and a known code`, async () => {
    const answers = operations.flatMap(({ responses }) => Object.entries(responses).map(([status, each]) => [+status, resolved(each)]));
    const found = answers.flatMap(([status, each]) => (each["x-error-codes"] ?? []).map((code) => [status, code]));
    assert.ok(found.length > 0);
    for (const [status, code] of found) {
      const fetch = async () => Response.json({ error: { code, message: "no" } }, { status });
      const client = new CLASSES[contract]({ apiKey: KEYS[contract], baseUrl: "http://reelgate", fetch, maxRetries: 0 });
      const error = await client.balance().catch((caught) => caught);
      assert.ok(ERROR_CODES.includes(code), `${code} is not known`);
      assert.notEqual(error.constructor, ReelgateError, `${status} ${code} has no class`);
    }
  });

  test(`${contract}: every status of a task is known`, async () => {
    const statuses = Object.values(document.components.schemas).map((schema) => schema.properties?.status?.const).filter(Boolean);
    assert.ok(statuses.length >= 4);
    for (const status of new Set(statuses)) {
      const body = { id: ID, status, error: { code: "c", message: "m" }, data: { id: ID, status, error: { code: "c", message: "m" } } };
      const options = { apiKey: KEYS[contract], baseUrl: "http://reelgate", fetch: async () => Response.json(body) };
      const video = await new CLASSES[contract](options).videos.get(ID);
      const ended = await video.wait({ timeout: 0.01 }).catch((error) => error);
      assert.notEqual(ended.code, "unknown_status", status);
    }
  });
}
