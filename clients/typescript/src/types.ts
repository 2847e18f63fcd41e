/** The contracts' own types, by the names of their operations. They are generated from the OpenAPI documents. */

import type { operations as NextAPIOperations, webhooks as NextAPIWebhooks } from "./generated/nextapi.ts";
import type { operations as Seedancee2Operations, webhooks as Seedancee2Webhooks } from "./generated/seedancee2.ts";

export type { NextAPIOperations, Seedancee2Operations };
/** What serves both contracts has the same types in both. */
export type Shared = Seedancee2Operations;

/** The JSON that an operation takes. */
export type Body<O> = O extends { requestBody?: { content: { "application/json": infer B } } } ? B : never;
/** What may stand behind the question mark of its address. */
export type Query<O> = O extends { parameters: { query?: infer Q } } ? NonNullable<Q> : never;
/** The JSON of its success. */
export type Answer<O> = O extends { responses: { 200: { content: { "application/json": infer A } } } } ? A : never;
/** What stands under `data` there. */
export type Data<O> = Answer<O> extends { data: infer D } ? D : never;

type BodyOf<W> = W extends { post: { requestBody?: { content: { "application/json": infer B } } } } ? B : never;
/** What is POSTed to webhooks. */
export type Seedancee2Event = BodyOf<Seedancee2Webhooks[keyof Seedancee2Webhooks]>;
export type NextAPIEvent = BodyOf<NextAPIWebhooks[keyof NextAPIWebhooks]>;
