/** A client of either contract. */

import { InvalidRequestError } from "./errors.ts";
import { Models, Redeliveries, Resource, Uploads, WebhookDeliveries, WebhookEndpoints, WebhookListeners } from "./resources.ts";
import { type CallOptions, type ClientOptions, type Request, Transport, readKey } from "./transport.ts";
import type { Answer, Body, Data, NextAPIOperations, Query, Seedancee2Operations, Shared } from "./types.ts";
import { type Contract, Video, type WaitOptions } from "./video.ts";

export type Seedancee2Video = Video<Data<Seedancee2Operations["createVideo" | "getVideo"]>>;
export type NextAPIVideo = Video<Answer<NextAPIOperations["createVideo" | "getVideo"]>>;

const SEEDANCEE2: Contract = {
  path: "/v1/videos/generations",
  states: { pending: "running", processing: "running", completed: "completed", failed: "failed" },
  unwrap: (body) => body.data,
};
const NEXTAPI: Contract = {
  path: "/v1/video/generations",
  states: { queued: "running", running: "running", succeeded: "completed", failed: "failed", canceled: "failed" },
  unwrap: (body) => body,
};

/** Videos of one contract: V is their handle, O the operations. */
export class Videos<V extends Video<any>, O extends { createVideo: unknown; listVideos: unknown }> extends Resource {
  readonly #contract: Contract;
  constructor(transport: Transport, contract: Contract) {
    super(transport, contract.path);
    this.#contract = contract;
  }

  /** Accepts a job and reserves its price. Repeating it with its `idempotencyKey` gives the same job. */
  async create(body: Body<O["createVideo"]>, options: CallOptions = {}): Promise<V> {
    refusePaths(body);
    const idempotencyKey = options.idempotencyKey ?? crypto.randomUUID();
    const answer = await this.transport.send("POST", this.path, { ...options, body, idempotencyKey });
    return this.#handle(this.#contract.unwrap(answer.body), idempotencyKey);
  }

  /** Creates a video and waits for it. */
  async generate(body: Body<O["createVideo"]>, options: CallOptions & WaitOptions<V> = {}): Promise<V> {
    return (await this.create(body, options)).wait(options as WaitOptions<any>);
  }

  get(id: string, options: { wait?: number; signal?: AbortSignal } = {}): Promise<V> {
    return this.#handle({ id }).refresh(options);
  }

  /** Yields all videos, newest first, page by page. */
  async *list(query?: Query<O["listVideos"]>, options: CallOptions = {}): AsyncGenerator<V> {
    let seen = new Set<string>();
    for (let next: object | undefined = query ?? {}; next; ) {
      const { body } = await this.transport.send("GET", this.path, { ...options, query: next });
      const page = body as { data: { id: string }[]; next_after?: string; offset?: number; has_more?: boolean };
      for (const task of page.data) if (!seen.has(task.id)) yield this.#handle(task);
      seen = new Set(page.data.map((task) => task.id)); // by offset, a new job moves others to the next page
      if (page.next_after) next = { ...next, after: page.next_after };
      else next = page.has_more ? { ...next, offset: (page.offset ?? 0) + page.data.length } : undefined;
    }
  }

  #handle(task: object, idempotencyKey?: string): V {
    return new Video<any>(this.transport, this.#contract, task, idempotencyKey) as V;
  }
}

export class Seedancee2Videos extends Videos<Seedancee2Video, Seedancee2Operations> {
  /** Says what a video would cost, and creates nothing. */
  async estimate(body: Body<Shared["estimateVideo"]>, options?: CallOptions): Promise<Data<Shared["estimateVideo"]>> {
    const answer = await this.transport.send("POST", "/v1/videos/estimates", { ...options, body });
    return (answer.body as Answer<Shared["estimateVideo"]>).data;
  }
}

class Client extends Resource {
  /** `live` or `test`, as the key says. */
  readonly environment = this.transport.environment;
  readonly uploads = new Uploads(this.transport, "/v1/uploads");
  readonly webhookEndpoints = new WebhookEndpoints(this.transport, "/v1/webhook_endpoints");
  readonly webhookDeliveries = new WebhookDeliveries(this.transport, "/v1/webhook_deliveries");
  readonly redeliveries = new Redeliveries(this.transport, "/v1/webhook_redeliveries");
  readonly webhookListeners = new WebhookListeners(this.transport, "/v1/webhook_listeners");

  balance(options?: CallOptions): Promise<Data<Shared["getBalance"]>> {
    return this.data("GET", "/balance", options);
  }

  /** Sends any request as the methods do, and returns its status, headers and body. */
  request(method: string, path: string, request?: Request): ReturnType<Transport["send"]> {
    return this.transport.send(method, path, request);
  }
}

/** A client of the contract Seedancee2: keys `sk_seedancee2_…`. */
export class Seedancee2 extends Client {
  readonly videos = new Seedancee2Videos(this.transport, SEEDANCEE2);
  readonly models = new Models(this.transport, "/v1/models");

  constructor(options: ClientOptions = {}) {
    super(new Transport("seedancee2", options), "/v1");
  }

  usage(query: Query<Shared["getUsage"]> = {}, options?: CallOptions): Promise<Data<Shared["getUsage"]>> {
    return this.data("GET", "/usage", { ...options, query });
  }
}

/** A client of the contract NextAPI: keys `nxa_…`. */
export class NextAPI extends Client {
  readonly videos = new Videos<NextAPIVideo, NextAPIOperations>(this.transport, NEXTAPI);

  constructor(options: ClientOptions = {}) {
    super(new Transport("nextapi", options), "/v1");
  }
}

/** Returns a client of the contract that the key is of. */
export function connect(options: ClientOptions = {}): Seedancee2 | NextAPI {
  return readKey(options.apiKey).contract === "seedancee2" ? new Seedancee2(options) : new NextAPI(options);
}

/** Throws where a file's path stands in place of its address. */
function refusePaths(body: unknown, path = ""): void {
  for (const [name, value] of Object.entries(Object(body))) {
    if (name === "input") refusePaths(value, "input.");
    const isPath = (url: unknown) => typeof url === "string" && url && !/^[a-z][a-z0-9+.-]+:/i.test(url);
    const file = /_urls?$/.test(name) && [value].flat().find(isPath);
    if (file) throw new InvalidRequestError(`${path}${name}: send the file by client.uploads.create("${file}"), and name its url`);
  }
}
