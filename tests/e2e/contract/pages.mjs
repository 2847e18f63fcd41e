// A real browser at the pages of a stack: prints what it saw as JSON. Arguments: the folder of the tools, the address of the
// edge, a test key, and the paths of the pages.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

import { created, launched } from "../../browser.mjs";

const [, , tools, base, key, ...paths] = process.argv;
const require = createRequire(join(tools, "package.json"));
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf-8");
const PATIENCE_MS = 60_000;
const VIEWS = {
  light: { viewport: { width: 1280, height: 900 }, colorScheme: "light" },
  dark: { viewport: { width: 1280, height: 900 }, colorScheme: "dark" },
  phone: { viewport: { width: 360, height: 740 }, colorScheme: "light" },
};

// Guides are alike: all of them are looked at, and one of them in the dark too.
const [guide] = paths.filter((path) => path.startsWith("/docs/guides/"));
const sample = new Set(paths.filter((path) => !path.startsWith("/docs/guides/") || path === guide));
const complaints = [];
const foreign = [];

async function opened(browser, view) {
  const context = await browser.newContext({ ...VIEWS[view], locale: "en-US" });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  const note = (kind, text) => complaints.push(`${view} ${page.url()}: ${kind} ${text}`.slice(0, 400));
  page.on("console", (message) => {
    if (message.type() !== "info") note(message.type(), message.text());
  });
  page.on("pageerror", (error) => note("error", String(error)));
  page.on("requestfailed", (request) => {
    if (request.failure()?.errorText !== "net::ERR_ABORTED") note("failed", request.url());
  });
  page.on("request", (request) => {
    if (!/^(data|blob):/.test(request.url()) && new URL(request.url()).origin !== base) foreign.push(request.url());
  });
  await page.exposeFunction("reportViolation", (text) => note("policy", text));
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => {
      window.reportViolation(`${event.violatedDirective} ${event.blockedURI}`);
    });
  });
  return page;
}

async function shown(page, path) {
  const answer = await page.goto(base + path, { waitUntil: "load" });
  if (path === "/docs") await page.getByRole("button", { name: /test request/i }).first().waitFor();
  return answer.status();
}

async function looked(browser, view) {
  const page = await opened(browser, view);
  const found = {};
  for (const path of view === "dark" ? sample : paths) {
    const status = await shown(page, path);
    const size = await page.evaluate(() => ({
      wide: document.documentElement.scrollWidth,
      seen: document.documentElement.clientWidth,
      paper: getComputedStyle(document.body).backgroundColor,
    }));
    found[path] = { status, ...size, faults: [] };
    if (view !== "light" && !sample.has(path)) continue;
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
    found[path].faults = violations.map(({ id, impact, nodes }) => ({ id, impact, where: nodes.map((node) => node.target.join(" ")) }));
  }
  await page.context().close();
  return found;
}

// From the first page to the reference and a copied block of code, without a mouse.
async function typed(browser) {
  const page = await opened(browser, "light");
  await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await shown(page, "/");
  const steps = [];
  for (let step = 0; step < 40 && !steps.some((each) => each.text === "Copy"); step += 1) {
    await page.keyboard.press("Tab");
    steps.push(await page.evaluate(() => {
      const at = document.activeElement;
      const { outlineStyle, opacity } = getComputedStyle(at);
      return { text: at.textContent.trim().slice(0, 40), visible: outlineStyle !== "none" && opacity === "1" };
    }));
  }
  await page.keyboard.press("Enter");
  const copied = await page.evaluate(() => navigator.clipboard.readText());
  await page.evaluate(() => document.activeElement.blur());
  await shown(page, "/");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  const skipped = page.url();
  await page.keyboard.press("Tab");
  const after = await page.evaluate(() => document.activeElement.getAttribute("href"));
  await page.keyboard.press("Enter");
  await page.waitForURL(base + after);
  await page.context().close();
  return { steps, copied, skipped, after };
}

async function tried(browser) {
  const page = await opened(browser, "light");
  await shown(page, "/docs");
  const made = await created(page, base, key);
  await page.getByText(made.body.data?.id ?? "none").first().waitFor();
  const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]));
  await page.context().close();
  return { ...made, kept: kept.includes(key) };
}

const browser = await launched(tools);
const views = {};
for (const view of Object.keys(VIEWS)) views[view] = await looked(browser, view);
const report = { views, keyboard: await typed(browser), tried: await tried(browser), complaints, foreign };
await browser.close();
process.stdout.write(JSON.stringify(report));
