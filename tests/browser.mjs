// The browser of `make tools`, and what scripts do alike on the page of the reference.
import { createRequire } from "node:module";
import { join } from "node:path";

export function launched(tools) {
  const { chromium } = createRequire(join(tools, "package.json"))("playwright-core");
  const unpacked = join(tools, "unpacked");
  return chromium.launch({
    executablePath: join(unpacked, "chromium"),
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
    env: { ...process.env, LD_LIBRARY_PATH: join(unpacked, "al2023", "lib"), FONTCONFIG_FILE: join(unpacked, "fonts.conf") },
  });
}

// Opens the request of one operation, sends it, and returns its status and body.
export async function sent(page, address, method, name) {
  await page.getByRole("link", { name }).first().click();
  const button = new RegExp(`^test request ?\\(${method} /v1/videos/generations\\)`, "i");
  await page.getByRole("button", { name: button }).click();
  return sentAgain(page, address);
}

export async function sentAgain(page, address) {
  const answering = page.waitForResponse((answer) => answer.url().split("?")[0] === address);
  await page.getByRole("button", { name: /^send/i }).first().click();
  const answer = await answering;
  return { status: answer.status(), body: await answer.json() };
}

// Creates the example's video with a key.
export async function created(page, base, key) {
  await page.getByPlaceholder("Token").first().fill(key);
  return sent(page, `${base}/v1/videos/generations`, "post", /^create a video/i);
}
