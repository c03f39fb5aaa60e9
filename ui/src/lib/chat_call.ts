// SPDX-License-Identifier: Apache-2.0
/*
 * Inference requests as the logged-in user: same origin, the session's cookie. Errors are ApiError,
 * so that <ErrorBox> has words for them.
 */
import { ApiError } from "./api/client.js";
import { failureOf, type Failure } from "./chat.js";
import { findSession } from "./session.svelte.js";

const reasons: Record<number, string> = {
  400: "Invalid",
  401: "Unauthorized",
  403: "Forbidden",
  404: "NotFound",
  413: "TooLarge",
  422: "Invalid",
  429: "TooManyRequests",
  500: "InternalServerError",
  502: "InternalServerError",
  503: "ServiceUnavailable",
  504: "GatewayTimeout",
};

/** For <ErrorBox>; without a status the network failed. */
export function errorOf({ status, message }: Failure): Error {
  if (status === 0) return new TypeError(message);
  return new ApiError(status, { code: status, reason: reasons[status] ?? "Other", message });
}

export function failureOfError(error: unknown): Failure {
  if (error instanceof ApiError) return { status: error.status, message: error.message };
  return { status: 0, message: error instanceof Error ? error.message : String(error) };
}

async function bodyOf(response: Response): Promise<unknown> {
  const text = await response.text();
  try {
    return JSON.parse(text);
  } catch {
    return text.slice(0, 500);
  }
}

/** The response, which is a success. */
export async function call(path: string, body?: unknown, signal?: AbortSignal): Promise<Response> {
  const response = await fetch(path, {
    credentials: "same-origin",
    ...(signal ? { signal } : {}),
    ...(body === undefined
      ? {}
      : {
          method: "POST",
          headers: { "Content-Type": "application/json" },
          body: JSON.stringify(body),
        }),
  });
  if (response.ok) return response;
  if (response.status === 401) void findSession();
  throw errorOf(failureOf(response.status, await bodyOf(response)));
}

/** Names that can be served now. */
export async function listModels(): Promise<string[]> {
  const list = (await (await call("/v1/models")).json()) as { data?: { id: string }[] };
  return (list.data ?? []).map(({ id }) => id);
}
