// Unpacks the browser and the libraries that a bare machine lacks, into `unpacked` beside node_modules of the folder given.
import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

const folder = resolve(process.argv[2]);
const half = join(folder, "unpacking");
const whole = join(folder, "unpacked");
for (const left of [half, whole]) rmSync(left, { recursive: true, force: true });
mkdirSync(half);
process.env.TMPDIR = half;  // where the package puts what it unpacks
const packed = join(folder, "node_modules", "@sparticuz", "chromium");
const { inflate } = await import(join(packed, "build", "index.js"));
await Promise.all(["chromium.br", "fonts.tar.br", "al2023.tar.br"].map((name) => inflate(join(packed, "bin", name))));
// Only these: the same everywhere. A character that no font has would end the browser.
const alias = (family, preferred) => `<alias><family>${family}</family><prefer><family>${preferred}</family></prefer></alias>`;
writeFileSync(join(half, "fonts.conf"), `<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>
<dir>${join(whole, "fonts", "fonts")}</dir><dir>${join(folder, "node_modules", "dejavu-fonts-ttf", "ttf")}</dir>
<cachedir>${join(whole, "cache")}</cachedir>${alias("sans-serif", "Open Sans")}${alias("monospace", "DejaVu Sans Mono")}</fontconfig>
`);
renameSync(half, whole);
