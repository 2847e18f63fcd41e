/** Runs drive.php with PHP as WebAssembly: `node php.mjs <folder of the package> <verify.php> <drive.php>`. */

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [tools, verifier, driver] = process.argv.slice(2);
const { resolve } = createRequire(`${tools}/package.json`);
const { PHP, loadPHPRuntime } = await import(pathToFileURL(resolve("@php-wasm/universal")));
const { getPHPLoaderModule } = await import(pathToFileURL(resolve("@php-wasm/node-8-4")));

const php = new PHP(await loadPHPRuntime(await getPHPLoaderModule(), {}));
php.writeFile("/verify.php", readFileSync(verifier));
php.writeFile("/drive.php", readFileSync(driver));
php.writeFile("/cases", readFileSync(0));
const { text, exitCode } = await php.run({ scriptPath: "/drive.php" });
process.stdout.write(text, () => process.exit(exitCode));
