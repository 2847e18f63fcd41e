export { NextAPI, type NextAPIVideo, Seedancee2, type Seedancee2Video, Seedancee2Videos, Videos, connect } from "./client.ts";
export * from "./errors.ts";
export { VERSION, type CallOptions, type ClientOptions } from "./transport.ts";
export type { NextAPIOperations, Seedancee2Operations } from "./types.ts";
export { type DownloadOptions, Video, type VideoEvent, type WaitOptions } from "./video.ts";
export * as webhooks from "./webhooks.ts";
