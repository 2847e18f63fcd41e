/** Files, where the runtime has them: Node, Deno and Bun do, workers and pages do not. */

import { ReelgateError } from "./errors.ts";

const IMAGES = { jpg: "jpeg", jpeg: "jpeg", png: "png", webp: "webp", bmp: "bmp", tif: "tiff", tiff: "tiff", gif: "gif" };
const OTHERS = { mp4: "video/mp4", mov: "video/quicktime", wav: "audio/wav", mp3: "audio/mpeg" };

/** Writes a file that is there whole or not at all. */
export async function save(path: string, chunks: AsyncIterable<Uint8Array>): Promise<void> {
  const files = await filesHere();
  const part = `${path}.part`;
  const file = await files.open(part, "w");
  try {
    for await (const chunk of chunks) await file.write(chunk);
    await file.close();
    await files.rename(part, path);
  } catch (error) {
    await file.close().catch(() => {});
    await files.rm(part, { force: true });
    throw error;
  }
}

/** Returns a file, of the type that its name says. */
export async function read(path: string): Promise<Blob> {
  const ending = path.slice(path.lastIndexOf(".") + 1).toLowerCase();
  const type = ending in IMAGES ? `image/${IMAGES[ending as "jpg"]}` : (OTHERS[ending as "mp4"] ?? "");
  return new Blob([await (await filesHere()).readFile(path)], { type });
}

/** Returns Node's module. */
async function filesHere(): Promise<any> {
  const name = "node:fs/promises"; // in a variable, so that bundlers for workers leave it alone
  try {
    return await import(name);
  } catch (cause) {
    throw new ReelgateError("this runtime has no files: give and take bytes instead of a path", { cause });
  }
}
