/** Compiles, or the types of the client are not those of the contracts. It never runs. */

import { NextAPI, Seedancee2, webhooks } from "reelgate-client";

const a = new Seedancee2();
const b = new NextAPI();

export async function seedancee2(): Promise<void> {
  const video = await a.videos.generate({ model: "mini", input: { prompt: "waves", duration: 5, resolution: "720p" } });
  if (video.data.status === "completed") video.data.output.video_url.startsWith("https:");
  if (video.data.status === "failed") video.data.error.code.startsWith("g");
  const credits: number = (await a.videos.estimate({ model: "mini", input: { prompt: "waves" } })).credits;
  for await (const each of a.videos.list({ status: "failed" })) each.id.at(credits);
  (await a.usage({ limit: 7 })).summary.net_credits.toFixed();
  (await a.models.list())[0]?.resolutions.includes("720p");

  // @ts-expect-error  there is no such field
  await a.videos.create({ model: "mini", input: { prompt: "waves", seconds: 5 } });
  // @ts-expect-error  the other contract's body
  await a.videos.create({ model: "mini", prompt: "waves" });
  // @ts-expect-error  no such status
  a.videos.list({ status: "succeeded" });
}

export async function nextapi(): Promise<void> {
  const video = await b.videos.create({ model: "seedance-2.0-mini", prompt: "waves", duration_seconds: 5 });
  if (video.data.status === "succeeded" && "video_url" in video.data) video.data.video_url.startsWith("https:");
  for await (const each of b.videos.list({ offset: 20 })) each.status.at(0);

  // @ts-expect-error  NextAPI has no estimates
  b.videos.estimate({});
  // @ts-expect-error  nor does it list by status
  b.videos.list({ status: "failed" });
}

export async function receive(body: string, headers: Headers): Promise<void> {
  const event = await webhooks.verify<webhooks.NextAPIEvent>(body, headers, ["whsec_old", "whsec_new"]);
  if (event.type === "job.succeeded") event.data.video_url.startsWith("https:");
}
