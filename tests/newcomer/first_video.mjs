// A newcomer in a real browser: from the printed address to the reference, a video there, and its address, printed as JSON.
// Arguments: the folder of the tools, the address of the edge, and a test key.
import { created, launched, sent, sentAgain } from "../browser.mjs";

const [, , tools, base, key] = process.argv;
const videos = `${base}/v1/videos/generations`;
const browser = await launched(tools);
const page = await browser.newPage({ viewport: { width: 1280, height: 900 }, locale: "en-US" });
page.setDefaultTimeout(60_000);
await page.goto(base);
await page.getByRole("link", { name: "Try it in the reference" }).click();
const made = await created(page, base, key);
if (made.status !== 200) throw new Error(JSON.stringify(made));
await page.keyboard.press("Escape");
let listed = await sent(page, videos, "get", /^list videos/i);
const newest = () => listed.body.data.find(({ id }) => id === made.body.data.id);
while (["pending", "processing"].includes(newest().status)) {
  await page.waitForTimeout(1000);
  listed = await sentAgain(page, videos);
}
const { status, output } = newest();
if (status !== "completed") throw new Error(JSON.stringify(newest()));
const answer = await page.goto(output.video_url);
if (!answer.headers()["content-type"].startsWith("video/mp4")) throw new Error(`no video: ${answer.status()}`);
await browser.close();
process.stdout.write(JSON.stringify({ video_url: output.video_url }));
