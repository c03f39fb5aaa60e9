// SPDX-License-Identifier: Apache-2.0
/*
 * Lines of several logs as one list: by the lines' own times where they have them, else by when
 * they came. Lines without a time stay behind the line before them. Pure.
 */
import type { Line } from "./log_lines.js";
import { isDated, shown } from "./log_text.js";

export interface Stream {
  lines: readonly Line[];
  /** There is more before the first line, which could belong between others. */
  hasMoreBefore: boolean;
}

export interface Merged {
  line: Line;
  /** Place of its stream. */
  source: number;
}

/** Times that only grow within a stream, so that its own order stays. */
function timesOf(lines: readonly Line[]): Float64Array {
  const times = new Float64Array(lines.length);
  let last = -Infinity;
  // What stands before the first time belongs to it.
  const first = lines.find((line) => isDated(shown(line).stamp));
  if (first) last = shown(first).stamp?.time ?? last;
  lines.forEach((line, i) => {
    const { stamp } = shown(line);
    if (isDated(stamp)) last = Math.max(last, stamp.time);
    else if (!first) last = Math.max(last, line.arrived);
    times[i] = last;
  });
  return times;
}

/**
 * `horizon`: the latest first time of a stream that has more before it. What is older than it is
 * left out, for lines would come in between later; `oldest` is the stream that must be read on.
 */
export function mergeLines(streams: readonly Stream[]): { lines: Merged[]; oldest: number } {
  const times = streams.map((stream) => timesOf(stream.lines));
  let horizon = -Infinity;
  let oldest = -1;
  streams.forEach((stream, i) => {
    const first = times[i]?.[0];
    if (!stream.hasMoreBefore || first === undefined || first < horizon) return;
    horizon = first;
    oldest = i;
  });
  const at = streams.map((_, i) => {
    const own = times[i];
    let k = 0;
    while (own && k < own.length && (own[k] ?? 0) < horizon) k++;
    return k;
  });
  const lines: Merged[] = [];
  for (;;) {
    let best = -1;
    for (let i = 0; i < streams.length; i++) {
      const time = times[i]?.[at[i] ?? 0];
      if (time !== undefined && (best < 0 || time < (times[best]?.[at[best] ?? 0] ?? 0))) best = i;
    }
    if (best < 0) return { lines, oldest };
    const stream = streams[best];
    const place = at[best] ?? 0;
    const line = stream?.lines[place];
    if (line) lines.push({ line, source: best });
    at[best] = place + 1;
  }
}

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/** A, B, … Z, A1, B1, … */
export function tagOf(place: number): string {
  const round = Math.floor(place / letters.length);
  return `${letters[place % letters.length] ?? ""}${round || ""}`;
}
