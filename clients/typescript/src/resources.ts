/** What a client offers besides videos: models, uploads, and everything about webhooks. */

import { ConflictError, ReelgateError } from "./errors.ts";
import { read } from "./files.ts";
import type { CallOptions, Request, Transport } from "./transport.ts";
import type { Answer, Body, Data, Query, Shared } from "./types.ts";

type Name = keyof Shared;
/** Calls of an operation that takes nothing, the id of something, or a body. */
type Call<N extends Name> = (options?: CallOptions) => Promise<Data<Shared[N]>>;
type CallOn<N extends Name> = (id: string, options?: CallOptions) => Promise<Data<Shared[N]>>;
type CallWith<N extends Name> = (body: Body<Shared[N]>, options?: CallOptions) => Promise<Data<Shared[N]>>;

const PUT_PATIENCE_SECONDS = 30;

export class Resource {
  protected readonly transport: Transport;
  protected readonly path: string;
  constructor(transport: Transport, path: string) {
    this.transport = transport;
    this.path = path;
  }

  protected async data(method: string, path: string, request?: Request): Promise<any> {
    return ((await this.transport.send(method, this.path + path, request)).body as { data: unknown }).data;
  }

  protected on<N extends Name>(method: string, action = ""): CallOn<N> {
    return (id, options) => this.data(method, `/${encodeURIComponent(id)}${action}`, options);
  }
}

export class Models extends Resource {
  list: Call<"listModels"> = (options) => this.data("GET", "", options);
  get = this.on<"getModel">("GET");
}

export type Upload = Data<Shared["createUpload"]>;

export class Uploads extends Resource {
  get = this.on<"getUpload">("GET");
  delete = this.on<"deleteUpload">("DELETE");

  /** Sends a file, by its path or as bytes. Name the `url` of the result in requests. */
  async create(file: string | Blob | Uint8Array, options: CallOptions & { contentType?: string } = {}): Promise<Upload> {
    const found = typeof file === "string" ? await read(file) : file instanceof Blob ? file : new Blob([file as BlobPart]);
    const content_type = options.contentType ?? found.type;
    if (!content_type) throw new ReelgateError("say what the file is: contentType, such as image/png");
    const body = { content_type, size_bytes: found.size } as Body<Shared["createUpload"]>;
    const upload: Upload = await this.data("POST", "", { ...options, body });
    const { url, headers } = upload.put as { url: string; headers: Record<string, string> };
    let tries = 0;
    await this.transport.repeated({ signal: options.signal, patience: PUT_PATIENCE_SECONDS }, undefined, async (signal) => {
      try {
        tries++;
        await this.transport.transfer(url, { method: "PUT", headers, body: found, signal });
      } catch (error) {
        if (!(error instanceof ConflictError && tries > 1)) throw error; // it had arrived, and the answer was lost
      }
    });
    return upload;
  }
}

export class WebhookEndpoints extends Resource {
  /** Registers an address. Only this answer contains its `secret`. */
  create: CallWith<"createWebhookEndpoint"> = (body, options) => this.data("POST", "", { ...options, body });
  list: Call<"listWebhookEndpoints"> = (options) => this.data("GET", "", options);
  get = this.on<"getWebhookEndpoint">("GET");
  delete = this.on<"deleteWebhookEndpoint">("DELETE");
  /** Sends it a `webhook.test` event. */
  test = this.on<"testWebhookEndpoint">("POST", "/test");
  /** Makes a new secret. Both sign, the old one first, until confirmSecret. */
  rotateSecret = this.on<"rotateWebhookSecret">("POST", "/rotate_secret");
  confirmSecret = this.on<"confirmWebhookSecret">("POST", "/confirm_secret");

  update(id: string, body: Body<Shared["updateWebhookEndpoint"]>, options?: CallOptions): ReturnType<this["get"]> {
    return this.data("PATCH", `/${encodeURIComponent(id)}`, { ...options, body }) as ReturnType<this["get"]>;
  }
}

export type WebhookDelivery = Data<Shared["listWebhookDeliveries"]>[number];

export class WebhookDeliveries extends Resource {
  get = this.on<"getWebhookDelivery">("GET");
  redeliver = this.on<"redeliver">("POST", "/redeliver");

  /** Yields all deliveries, newest first, page by page. */
  async *list(query: Query<Shared["listWebhookDeliveries"]> = {}, options: CallOptions = {}): AsyncGenerator<WebhookDelivery> {
    for (let next: typeof query | undefined = query; next; ) {
      const { body } = await this.transport.send("GET", this.path, { ...options, query: next });
      const page = body as Answer<Shared["listWebhookDeliveries"]>;
      yield* page.data;
      next = page.next_after === undefined ? undefined : { ...query, after: page.next_after };
    }
  }
}

export class Redeliveries extends Resource {
  /** Sends again what was given up between `start` and `end`. */
  create: CallWith<"createRedelivery"> = (body, options) => this.data("POST", "", { ...options, body });
  get = this.on<"getRedelivery">("GET");
}

export class WebhookListeners extends Resource {
  /** Makes a place from which webhooks are fetched, where no request from outside arrives. Only this answer has its `secret`. */
  create: CallWith<"createWebhookListener"> = (body, options) => this.data("POST", "", { ...options, body });
  list: Call<"listWebhookListeners"> = (options) => this.data("GET", "", options);
  delete = this.on<"deleteWebhookListener">("DELETE");

  /** Returns what came after the sequence number `after`, and waits up to `wait` seconds for it. */
  read(id: string, query: Query<Shared["readWebhookListener"]> = {}, options: CallOptions = {}) {
    const request = { ...options, query, patience: query.wait ?? 0 };
    return this.data("GET", `/${encodeURIComponent(id)}/deliveries`, request) as Promise<Data<Shared["readWebhookListener"]>>;
  }
}
