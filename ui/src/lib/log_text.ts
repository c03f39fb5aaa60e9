// SPDX-License-Identifier: Apache-2.0
/*
 * What a line of a log says: its level, its time, its text as it is shown. Pure. Reckoned when a
 * line is looked at and then kept with it, for most lines of a large log are never seen.
 */
import { hasAnsi, parseAnsi, stripAnsi, type Span } from "./ansi.js";
import type { Line } from "./log_lines.js";

export type Level = "fatal" | "error" | "warning" | "info" | "debug";

const words: Record<string, Level> = {
  fatal: "fatal",
  critical: "fatal",
  crit: "fatal",
  panic: "fatal",
  alert: "fatal",
  emerg: "fatal",
  error: "error",
  err: "error",
  severe: "error",
  warning: "warning",
  warn: "warning",
  info: "info",
  notice: "info",
  debug: "debug",
  trace: "debug",
  verbose: "debug",
};
// In capitals anywhere in the head, as of Python, Go, MindIE, vLLM; or as a field of structured
// logs.
const capital =
  /(?:^|[\s[(<|:])(FATAL|CRITICAL|CRIT|PANIC|ALERT|EMERG|ERROR|ERR|SEVERE|WARNING|WARN|INFO|NOTICE|DEBUG|TRACE|VERBOSE)(?=$|[\s\])>|:,])/;
const field = /\b(?:level|lvl|severity)"?\s*[=:]\s*"?([a-z]+)/i;
const atStart = /^\W*(fatal|panic|critical|error|warning|warn|info|debug|trace)(?:\[[^\]]*\])?:/i;
// glog ("E0102 03:04:05.6 …") and llama.cpp's letter behind a time ("0.01.234.567 W …").
const letter = /^(?:([FEWID])\d{4} \d\d:|\d+\.\d\d\.\d\d\d(?:\.\d\d\d)? ([EWID]) )/;
const letters: Record<string, Level> = {
  F: "fatal",
  E: "error",
  W: "warning",
  I: "info",
  D: "debug",
};
// Exceptions and what comes before the end of a program.
const trouble =
  /^(?:Traceback \(most recent call last\)|terminate called|Segmentation fault|(?:[A-Za-z_][\w.]*\.)?[A-Z]\w*(?:Error|Exception)\b|[\w.]+: (?:error|failed to)\b|(?:CUDA|ACL|HCCL|NCCL) error)/;

/** Null: it doesn't say. */
export function levelOf(text: string): Level | null {
  const head = text.slice(0, 160);
  const byLetter = letter.exec(head);
  if (byLetter) return letters[byLetter[1] ?? byLetter[2] ?? ""] ?? null;
  const word = capital.exec(head)?.[1] ?? field.exec(head)?.[1] ?? atStart.exec(head)?.[1];
  const level = word === undefined ? undefined : words[word.toLowerCase()];
  if (level) return level;
  return trouble.test(head) ? "error" : null;
}

export interface Stamp {
  /** Milliseconds since 1970, or since the start where the line has no date. */
  time: number;
  /** Characters of the plain text that it takes, blanks behind it included. */
  length: number;
}

// Date and time; a zone or none, which is then taken for ours as of all replicas.
const full =
  /^[[(]?(\d{4})[-/](\d\d)[-/](\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?(?: ?(Z|[+-]\d\d:?\d\d))?/;
// vLLM: "INFO 01-02 03:04:05", "INFO 01-02 03:04:05.123"; glog: "I0102 03:04:05.678901".
const yearless =
  /^(?:\(\w+[^)]*\) )?(?:[A-Z]+ |[FEWID])(\d\d)-?(\d\d) (\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?/;
// llama.cpp: minutes, seconds, milliseconds, microseconds since its start.
const sinceStart = /^(\d+)\.(\d\d)\.(\d\d\d)(?:\.(\d\d\d))? /;

function milliseconds(fraction: string | undefined): number {
  return fraction ? Math.floor(Number(`0.${fraction}`) * 1000) : 0;
}

function offsetOf(zone: string | undefined): number | null {
  if (!zone) return null;
  if (zone === "Z") return 0;
  const minutes = Number(zone.slice(1, 3)) * 60 + Number(zone.slice(-2));
  return (zone[0] === "-" ? -1 : 1) * minutes * 60_000;
}

/** The time that a line begins with. `year` is for those without one. */
export function stampOf(text: string, year: number): Stamp | null {
  const first = text.charCodeAt(0);
  // Digits, "[", "(" and capitals: all others can't be any of these.
  if (!(
    (first >= 48 && first <= 57) ||
    first === 91 ||
    first === 40 ||
    (first >= 65 && first <= 90)
  ))
    return null;
  const found = full.exec(text);
  if (found) {
    const n = (i: number) => Number(found[i]);
    const zone = offsetOf(found[8]);
    const at = [n(1), n(2) - 1, n(3), n(4), n(5), n(6), milliseconds(found[7])] as const;
    const time = zone === null ? new Date(...at).getTime() : Date.UTC(...at) - zone;
    // What closes a bracket goes with it only where nothing else stands inside.
    const close = /^[\])]/.test(text.slice(found[0].length)) && /^[[(]/.test(text) ? 1 : 0;
    if (!close && /^[[(]/.test(text)) return { time, length: 0 };
    const length = found[0].length + close;
    return { time, length: length + blanks(text, length) };
  }
  const short = yearless.exec(text);
  if (short) {
    const n = (i: number) => Number(short[i]);
    const time = new Date(year, n(1) - 1, n(2), n(3), n(4), n(5), milliseconds(short[6])).getTime();
    return { time, length: 0 }; // It stands behind the level, which stays.
  }
  const relative = sinceStart.exec(text);
  if (!relative) return null;
  const n = (i: number) => Number(relative[i] ?? 0);
  return { time: n(1) * 60_000 + n(2) * 1000 + n(3), length: relative[0].length };
}

function blanks(text: string, from: number): number {
  let at = from;
  while (text[at] === " " || text[at] === "\t") at++;
  return at - from;
}

/** Times since the start of a program can't be compared with those of another. */
export function isDated(stamp: Stamp | null): stamp is Stamp {
  return stamp !== null && stamp.time > 86_400_000 * 365;
}

/** What a terminal would show after the last carriage return; how many states it replaced. */
export function collapse(raw: string): { text: string; replaced: number } {
  if (!raw.includes("\r")) return { text: raw, replaced: 0 };
  const parts = raw.split("\r").filter((part) => part !== "");
  return { text: parts.at(-1) ?? "", replaced: Math.max(0, parts.length - 1) };
}

function expandTabs(text: string): string {
  if (!text.includes("\t")) return text;
  let out = "";
  for (const part of text.split(/(\t)/))
    out += part === "\t" ? " ".repeat(8 - (out.length % 8)) : part;
  return out;
}

export interface Shown {
  /** Without escape sequences, tabs as blanks. */
  plain: string;
  level: Level | null;
  stamp: Stamp | null;
  /** Progress lines that this one has overwritten. */
  replaced: number;
  /** Columns of a terminal. */
  cells: number;
}

const kept = new WeakMap<Line, Shown>();

export function shown(line: Line): Shown {
  let known = kept.get(line);
  if (known) return known;
  const { text, replaced } = collapse(line.raw);
  const plain = expandTabs(stripAnsi(text));
  const year = new Date(line.arrived).getFullYear();
  known = {
    plain,
    level: levelOf(plain),
    stamp: stampOf(plain, year),
    replaced,
    cells: cellsOf(plain),
  };
  kept.set(line, known);
  return known;
}

/** The spans that stand in the page; `skip` characters at the start are left out. */
export function spansOf(line: Line, skip: number): Span[] {
  const { text } = collapse(line.raw);
  const { plain } = shown(line);
  if (!hasAnsi(text)) return [{ text: plain.slice(skip), look: null }];
  const spans: Span[] = [];
  let column = 0;
  let left = skip;
  for (const span of parseAnsi(text)) {
    let out = "";
    for (const part of span.text.split(/(\t)/)) {
      const piece = part === "\t" ? " ".repeat(8 - (column % 8)) : part;
      column += piece.length;
      out += piece;
    }
    const cut = Math.min(left, out.length);
    left -= cut;
    if (out.length > cut) spans.push({ text: out.slice(cut), look: span.look });
  }
  return spans;
}

const wide =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60\uffe0-\uffe6\ud83c-\ud83e]/g;
const beyondAscii = /[^\x20-\x7e]/;

/** How many columns a terminal needs; what is wide takes two. */
export function cellsOf(plain: string): number {
  if (!beyondAscii.test(plain)) return plain.length;
  return plain.length + (plain.match(wide)?.length ?? 0);
}

/** Places where the words are, whatever their case; at most `most`. */
export function hitsIn(plain: string, query: string, most = 200): number[] {
  if (query === "") return [];
  const text = plain.toLowerCase();
  const wanted = query.toLowerCase();
  if (text.length !== plain.length) return []; // Lower case of another length: no places to tell.
  const hits: number[] = [];
  for (
    let at = text.indexOf(wanted);
    at >= 0 && hits.length < most;
    at = text.indexOf(wanted, at + wanted.length)
  )
    hits.push(at);
  return hits;
}

export interface MarkedSpan extends Span {
  isHit: boolean;
}

/** Spans cut where the words begin and end. */
export function markHits(spans: readonly Span[], query: string): MarkedSpan[] {
  const plain = spans.map((span) => span.text).join("");
  const hits = hitsIn(plain, query);
  if (hits.length === 0) return spans.map((span) => ({ ...span, isHit: false }));
  const marked: MarkedSpan[] = [];
  let base = 0;
  let next = 0;
  for (const span of spans) {
    const end = base + span.text.length;
    let at = base;
    while (at < end) {
      while (next < hits.length && (hits[next] ?? 0) + query.length <= at) next++;
      const from = hits[next] ?? Infinity;
      const isHit = at >= from;
      const to = Math.min(end, isHit ? from + query.length : from);
      marked.push({ text: span.text.slice(at - base, to - base), look: span.look, isHit });
      at = to;
    }
    base = end;
  }
  return marked;
}
