// A part of the reference (zod) would see by trying whether it may make programs of texts. It may not.
globalThis.__zod_globalConfig = { jitless: true };
