// SPDX-License-Identifier: Apache-2.0
/*
 * Logs of instances by bytes over HTTP: what api.GET can't do, for it has text and no headers.
 */
import type { Problem } from "./api/client.js";
import { ask } from "./session.svelte.js";

/** One log: an instance's, or one rank's of an instance over several workers. */
export interface LogSource {
  id: number;
  name: string;
  rank?: number | undefined;
}

export interface LogPart {
  run: number;
  /** The first byte that is kept. */
  first: number;
  /** Bytes that the run has written. */
  size: number;
  offset: number;
  bytes: Uint8Array;
}

export interface LogMatch {
  offset: number;
  line_start: number;
  text: string;
}
export interface LogMatches {
  matches: LogMatch[];
  scanned_to: number;
  size: number;
  complete: boolean;
}

export function sourceKey(source: LogSource): string {
  return source.rank === undefined ? `${source.id}` : `${source.id}r${source.rank}`;
}

type Query = Record<string, string | number | boolean | null | undefined>;

export function logUrl(
  source: LogSource,
  what: "logs" | "logs/search" | "log-options",
  query: Query,
): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries({ ...query, rank: source.rank }))
    if (value != null) parameters.set(name, String(value));
  const text = parameters.toString();
  return `/v2/model-instances/${source.id}/${what}${text ? `?${text}` : ""}`;
}

async function get(url: string, signal: AbortSignal | undefined): Promise<Response> {
  const response = await fetch(url, {
    credentials: "same-origin",
    cache: "no-store",
    ...(signal ? { signal } : {}),
  });
  if (response.ok) return response;
  const error = (await response.json().catch(() => undefined)) as Problem | undefined;
  return ask<Response>(Promise.resolve({ error, response }));
}

export async function getJson<T>(url: string, signal?: AbortSignal): Promise<T> {
  return (await (await get(url, signal)).json()) as T;
}

function partOf(response: Response, bytes: Uint8Array): LogPart {
  const header = (name: string) => Number(response.headers.get(name) ?? 0);
  return {
    run: header("X-Log-Run"),
    first: header("X-Log-First"),
    size: header("X-Log-Size"),
    offset: header("X-Log-Offset"),
    bytes,
  };
}

/** `offset` below 0: from the end. */
export async function readLog(
  source: LogSource,
  where: { run: number | null; offset: number; limit: number },
  signal: AbortSignal,
): Promise<LogPart> {
  const response = await get(logUrl(source, "logs", { ...where }), signal);
  return partOf(response, new Uint8Array(await response.arrayBuffer()));
}

/** From `offset` on, as it is written; ends when the engine does or the connection. */
export async function followLog(
  source: LogSource,
  where: { run: number; offset: number },
  signal: AbortSignal,
  take: (offset: number, bytes: Uint8Array) => void,
): Promise<void> {
  const response = await get(logUrl(source, "logs", { ...where, follow: true }), signal);
  let { offset } = partOf(response, new Uint8Array(0));
  const reader = response.body?.getReader();
  for (;;) {
    const part = await reader?.read();
    if (!part || part.done) return;
    take(offset, part.value);
    offset += part.value.length;
  }
}

export async function runsOf(source: LogSource): Promise<number[]> {
  return (await getJson<{ runs: number[] }>(logUrl(source, "log-options", {}))).runs;
}

/** The latest places before the byte `from` (null: the end), latest first. */
export function searchLog(
  source: LogSource,
  query: { q: string; run: number; from: number | null; limit: number },
  signal: AbortSignal,
): Promise<LogMatches> {
  return getJson<LogMatches>(
    logUrl(source, "logs/search", { ...query, direction: "backward" }),
    signal,
  );
}
