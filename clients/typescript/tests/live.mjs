/**
 * A customer's program against a real service. Its environment names the service, a key of either contract, a proxy for
 * each that lets two answers get lost, a picture and a folder.
 */

import assert from "node:assert/strict";
import { open, stat } from "node:fs/promises";
import test from "node:test";
import { NextAPI, Seedancee2, webhooks } from "reelgate-client";

const { BASE_URL, PICTURE, FOLDER, ...environment } = process.env;
const CONTRACTS = {
  seedancee2: {
    Class: Seedancee2,
    statuses: ["pending", "completed"],
    body: (prompt, { metadata, ...input } = {}) => ({
      model: "mini",
      input: { prompt, duration: 4, resolution: "480p", ...input },
      ...(metadata && { metadata }),
    }),
  },
  nextapi: {
    Class: NextAPI,
    statuses: ["queued", "succeeded"],
    body: (prompt, more) => ({ model: "seedance-2.0-mini", prompt, duration_seconds: 4, resolution: "480p", ...more }),
  },
};

for (const [contract, { Class, statuses, body }] of Object.entries(CONTRACTS)) {
  const apiKey = environment[`KEY_${contract}`];
  const client = new Class({ apiKey, baseUrl: BASE_URL, environment: "test" });

  test(contract, { concurrency: true }, async (t) => {
    t.test("a video is made of an upload, saved, listed and deleted", async () => {
      const upload = await client.uploads.create(PICTURE);
      const wanted = body("red", { image_urls: [upload.url], metadata: { order: 7 }, return_last_frame: true });
      const told = [];

      const video = await client.videos.create(wanted);
      await video.wait({ onProgress: (each) => told.push(each.status) });
      await video.download(`${FOLDER}/${contract}.mp4`);

      assert.deepEqual([told[0], told.at(-1), video.data.metadata], [...statuses, { order: 7 }]);
      assert.equal(await text(`${FOLDER}/${contract}.mp4`, 4, 8), "ftyp");
      const frame = await video.download(undefined, { file: "last_frame_url" });
      assert.deepEqual([...frame.subarray(0, 2)], [0xff, 0xd8]);
      const again = await client.videos.get(video.id);
      assert.deepEqual(again.data, video.data);
      assert.equal((await Array.fromAsync(again.events())).at(-1).type, "end");
      assert.ok((await Array.fromAsync(client.videos.list({ limit: 1 }))).some((each) => each.id === video.id));
      await again.delete();
      await client.uploads.delete(upload.id);
      await assert.rejects(client.uploads.get(upload.id), { name: "NotFoundError" });
    });

    t.test("a failure is an error, and what has ended cannot be cancelled", async () => {
      const error = await client.videos.generate(body("[simulate: fail]")).catch((caught) => caught);

      assert.deepEqual([error.name, error.code], ["VideoFailedError", "generation_failed"]);
      await assert.rejects(error.video.cancel(), { name: "ConflictError" });
    });

    t.test("a wait ends in time, and the job can be cancelled", async () => {
      const error = await client.videos.generate(body("[simulate: queue 600]"), { timeout: 0.5 }).catch((caught) => caught);

      assert.equal(error.name, "WaitTimeoutError");
      assert.match((await error.video.cancel()).data.error.code, /^cancell?ed$/);
    });

    t.test("refusals have their classes", async () => {
      const refused = client.videos.create(body("x", { aspect_ratio: "2:1" }));
      await assert.rejects(refused, { name: "InvalidRequestError", message: /aspect_ratio/, requestId: /./ });
      await assert.rejects(client.videos.create(body("[simulate: no credits]")), { name: "InsufficientCreditsError" });
      const { idempotencyKey } = await client.videos.create(body("[simulate: fail]"));
      await assert.rejects(client.videos.create(body("other"), { idempotencyKey }), { name: "ConflictError", status: 422 });
    });

    t.test("lost answers and retries are one job", async () => {
      const metadata = { lost: "answer" };
      const robbed = new Class({ apiKey, baseUrl: environment[`PROXY_${contract}`] });

      const video = await robbed.videos.create(body("[simulate: fail]", { metadata }));

      const all = await Array.fromAsync(client.videos.list({ limit: 100 }));
      assert.deepEqual(all.filter((each) => each.data.metadata?.lost).map((each) => each.id), [video.id]);
    });

    t.test("webhooks come by a listener, and are verified", async () => {
      const { id, secret } = await client.webhookListeners.create({});
      await client.videos.create(body("[simulate: fail]"));

      let found = [];
      while (found.length === 0) found = await client.webhookListeners.read(id, { after: 0, wait: 30 });

      const headers = found[0].headers.map(({ name, value }) => [name, value]);
      assert.ok(await webhooks.verify(found[0].body, new Headers(headers), secret));
      await assert.rejects(webhooks.verify(`${found[0].body} `, new Headers(headers), secret), { code: "no_match" });
      await client.webhookListeners.delete(id);
    });

    t.test("endpoints are managed", async () => {
      const made = await client.webhookEndpoints.create({ url: "http://127.0.0.1:9/hook" });
      assert.equal((await client.webhookEndpoints.update(made.id, { description: "bills" })).description, "bills");
      const delivery = await client.webhookEndpoints.test(made.id);
      assert.equal((await client.webhookDeliveries.get(delivery.id)).event_type, "webhook.test");
      const listed = await Array.fromAsync(client.webhookDeliveries.list({ endpoint_id: made.id, limit: 1 }));
      assert.ok(listed.some((each) => each.id === delivery.id));
      assert.notEqual((await client.webhookEndpoints.rotateSecret(made.id)).secret, made.secret);
      assert.equal((await client.webhookEndpoints.confirmSecret(made.id)).rotating, false);
      const redelivery = await client.redeliveries.create({ start: made.created_at, endpoint_id: made.id });
      assert.equal((await client.redeliveries.get(redelivery.id)).id, redelivery.id);
      assert.ok((await client.webhookEndpoints.list()).some((each) => each.id === made.id));
      assert.equal((await client.webhookEndpoints.delete(made.id)).deleted, true);
      await assert.rejects(client.webhookEndpoints.get(made.id), { name: "NotFoundError" });
    });

    t.test("an account is looked at", async () => {
      assert.deepEqual(Object.keys(await client.balance()).sort(), ["available", "held"]);
      if (contract === "nextapi") return;
      const [model] = await client.models.list();
      assert.deepEqual(Object.keys((await client.models.get(model.id)).credits_per_second).sort(), model.resolutions.toSorted());
      assert.equal((await client.videos.estimate(body("x"))).credits, 20);
      assert.ok((await client.usage({ limit: 7 })).summary);
    });
  });
}

async function text(path, from, to) {
  const file = await open(path);
  try {
    assert.ok((await stat(path)).size > to);
    return (await file.read({ position: from, length: to - from })).buffer.subarray(0, to - from).toString();
  } finally {
    await file.close();
  }
}
