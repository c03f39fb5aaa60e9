// SPDX-License-Identifier: Apache-2.0
/*
 * The management API for the UI. Paths, parameters, bodies and answers have the types that
 * api/openapi.yaml gives them: schema.d.ts is made of it at build time ("npm run types").
 *
 *     const api = connect();                      // in a browser: the cookie says who calls
 *     const page = unwrap(await api.GET("/v2/models", { params: { query: { search: "qwen" } } }));
 *     page.items[0]?.ready_replicas
 */
import createClient, { type Client } from "openapi-fetch";
import type { components, paths } from "./schema.js";

export type Schemas = components["schemas"];
export type Problem = Schemas["Problem"];
/** Streams (text/event-stream) are no answers of this client: the UI opens them itself. */
type Media = "application/json" | "text/plain";
export type Api = Client<paths, Media>;

/** An answer that is an error, with the server's words as message. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly problem: Problem,
  ) {
    super(problem.message);
  }
}

/** Without a key the browser's cookie is sent. */
export function connect(server = "", key?: string): Api {
  return createClient<paths, Media>({
    baseUrl: server,
    credentials: "same-origin",
    ...(key === undefined ? {} : { headers: { Authorization: `Bearer ${key}` } }),
  });
}

interface Answer<Data> {
  data?: Data;
  error?: unknown;
  response: Response;
}

function isProblem(value: unknown): value is Problem {
  return typeof value === "object" && value !== null && "message" in value && "reason" in value;
}

/** The data of an answer; throws ApiError for anything but success. */
export function unwrap<Data>(answer: Answer<Data>): Data {
  if (answer.response.ok) return answer.data as Data;
  const { status, statusText } = answer.response;
  throw new ApiError(
    status,
    isProblem(answer.error)
      ? answer.error
      : { code: status, reason: statusText, message: `the server answered ${status}` },
  );
}
