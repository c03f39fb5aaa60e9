// SPDX-License-Identifier: Apache-2.0
/* What the usage page asks for, from its URL; and the bars of its chart. Pure. */

export type Group = "model" | "user" | "key" | "operation" | "route";
export type Period = "hour" | "day" | "week" | "month";
export type Range = "24h" | "7d" | "30d" | "90d" | "all";

export const groups: readonly Group[] = ["model", "user", "key", "operation", "route"];
export const ranges: readonly Range[] = ["24h", "7d", "30d", "90d", "all"];

const hour = 3_600_000;
const lengths: Record<Range, number> = {
  "24h": 24 * hour,
  "7d": 7 * 24 * hour,
  "30d": 30 * 24 * hour,
  "90d": 90 * 24 * hour,
  all: 0,
};
const periods: Record<Range, Period> = {
  "24h": "hour",
  "7d": "day",
  "30d": "day",
  "90d": "week",
  all: "month",
};

export interface Question {
  range: Range;
  group: Group;
  models: number[];
  users: number[];
  keys: number[];
}

function ids(text: string | null): number[] {
  return (text ?? "")
    .split(",")
    .map(Number)
    .filter((id) => Number.isInteger(id) && id >= 0 && text);
}

export function readQuestion(query: URLSearchParams): Question {
  const range = query.get("range") as Range | null;
  const group = query.get("group") as Group | null;
  return {
    range: range && ranges.includes(range) ? range : "7d",
    group: group && groups.includes(group) ? group : "model",
    models: ids(query.get("models")),
    users: ids(query.get("users")),
    keys: ids(query.get("keys")),
  };
}

/**
 * Parameters of GET /v2/usage that both its answers share. `all` begins in 2020, before the first
 * release.
 */
export function parameters(question: Question, now: number) {
  const begin = lengths[question.range] ? now - lengths[question.range] : Date.UTC(2020, 0);
  return {
    start: new Date(Math.floor(begin / hour) * hour).toISOString(),
    ...(question.models.length > 0 ? { model_ids: question.models } : {}),
    ...(question.users.length > 0 ? { user_ids: question.users } : {}),
    ...(question.keys.length > 0 ? { key_ids: question.keys } : {}),
  };
}

export const periodOf = (range: Range): Period => periods[range];

export interface Counts {
  prompt_tokens: number;
  completion_tokens: number;
  requests: number;
  errors: number;
}
export interface Bar extends Counts {
  at: number;
}

/** A bar per period, also for those in which nothing happened. Weeks begin on Mondays, UTC. */
export function bars(
  rows: readonly (Counts & Partial<Record<Period, string>>)[],
  period: Period,
  start: number,
  end: number,
): Bar[] {
  const byTime = new Map(rows.map((row) => [Date.parse(row[period] ?? ""), row]));
  // Months of all time: from the first one that has something.
  const first = period === "month" ? Math.min(end, ...byTime.keys()) : begin(start, period);
  const out: Bar[] = [];
  for (let at = first; at <= end && out.length < 400; at = following(at, period)) {
    const row = byTime.get(at);
    out.push({
      at,
      prompt_tokens: row?.prompt_tokens ?? 0,
      completion_tokens: row?.completion_tokens ?? 0,
      requests: row?.requests ?? 0,
      errors: row?.errors ?? 0,
    });
  }
  return out;
}

function begin(time: number, period: Period): number {
  const at = new Date(time);
  if (period === "hour") return Math.floor(time / hour) * hour;
  const day = Date.UTC(at.getUTCFullYear(), at.getUTCMonth(), at.getUTCDate());
  if (period === "week") return day - ((at.getUTCDay() + 6) % 7) * 24 * hour;
  return period === "month" ? Date.UTC(at.getUTCFullYear(), at.getUTCMonth()) : day;
}

function following(at: number, period: Period): number {
  if (period === "hour") return at + hour;
  if (period === "day") return at + 24 * hour;
  if (period === "week") return at + 7 * 24 * hour;
  const day = new Date(at);
  return Date.UTC(day.getUTCFullYear(), day.getUTCMonth() + 1);
}
