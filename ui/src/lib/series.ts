// SPDX-License-Identifier: Apache-2.0
/*
 * Spans of time as the URL has them, and the history that the server keeps for them. What loads and
 * refreshes it is in series.svelte.ts.
 *
 *     ?range=6h                   the last six hours, growing
 *     ?start=1700000000&end=1700003600     seconds since 1970, fixed
 */

export const ranges = ["15m", "1h", "6h", "24h", "7d", "14d"] as const;
export type Range = (typeof ranges)[number];

const rangeSeconds: Record<Range, number> = {
  "15m": 900,
  "1h": 3600,
  "6h": 6 * 3600,
  "24h": 24 * 3600,
  "7d": 7 * 86_400,
  "14d": 14 * 86_400,
};

/** Seconds since 1970. */
export interface Span {
  start: number;
  end: number;
  /** Seconds from one value to the next. */
  step: number;
  /** The range that it is, or null for a fixed part of the past. */
  range: Range | null;
}

/** The server has 10 s for six hours and minutes for 14 days. */
const steps = [10, 30, 60, 120, 300, 600, 1800, 3600];
const mostPoints = 400;
const fineSeconds = 6 * 3600;

export function secondsOf(range: Range): number {
  return rangeSeconds[range];
}

/** So that a picture has some hundred points; `age` is how long ago the span begins. */
export function stepFor(length: number, age = length): number {
  const least = age > fineSeconds ? 60 : 10;
  return steps.find((step) => step >= least && length / step <= mostPoints) ?? 3600;
}

function time(text: string | null): number | null {
  if (text === null || !/^\d{1,12}$/.test(text)) return null;
  return Number(text);
}

/** `now` in milliseconds. */
export function spanOf(query: URLSearchParams, now: number, fallback: Range = "1h"): Span {
  const seconds = Math.floor(now / 1000);
  const start = time(query.get("start"));
  const end = time(query.get("end"));
  if (start !== null && end !== null && end > start)
    return { start, end, step: stepFor(end - start, seconds - start), range: null };
  const range = ranges.find((one) => one === query.get("range")) ?? fallback;
  const length = rangeSeconds[range];
  const step = stepFor(length);
  const last = Math.floor(seconds / step) * step;
  return { start: last - length, end: last, step, range };
}

/** How a value of a metric is written. */
export type Unit = "percent" | "bytes" | "celsius" | "watt" | "rate" | "ms" | "count";

/** Times of a series' values. */
export function timesOf(start: number, step: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => start + i * step);
}

/** The last value that is known. */
export function lastOf(values: readonly (number | null | undefined)[]): number | null {
  for (let i = values.length - 1; i >= 0; i--) {
    const value = values[i];
    if (value != null) return value;
  }
  return null;
}
