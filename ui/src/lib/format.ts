// SPDX-License-Identifier: Apache-2.0
/*
 * Numbers, sizes and times as people read them, in the language of the page. Pure: the locale is an
 * argument; components use the functions of i18n.svelte.ts that pass it.
 */

const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** Bytes with a binary unit and three figures: 21.4 GiB. "–" for what is not known. */
export function bytes(value: number | null | undefined, locale: string): string {
  if (value == null || !Number.isFinite(value)) return "–";
  let unit = 0;
  let size = Math.abs(value);
  while (size >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit++;
  }
  const digits = unit === 0 || size >= 100 ? 0 : 1;
  const text = new Intl.NumberFormat(locale, {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  }).format(value < 0 ? -size : size);
  return `${text} ${units[unit]}`;
}

/** A number with separators; `digits` behind the point at most. */
export function number(value: number | null | undefined, locale: string, digits = 0): string {
  if (value == null || !Number.isFinite(value)) return "–";
  return new Intl.NumberFormat(locale, { maximumFractionDigits: digits }).format(value);
}

/** Large counts, short: 1.2M (English), 120万 (Chinese). */
export function compact(value: number | null | undefined, locale: string): string {
  if (value == null || !Number.isFinite(value)) return "–";
  return new Intl.NumberFormat(locale, { notation: "compact", maximumFractionDigits: 1 }).format(
    value,
  );
}

/** `value` is 0 to 100. */
export function percent(value: number | null | undefined, locale: string, digits = 0): string {
  if (value == null || !Number.isFinite(value)) return "–";
  return new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: digits }).format(
    value / 100,
  );
}

/** Tokens (or requests) a second: one digit behind the point below 100. */
export function rate(value: number | null | undefined, locale: string): string {
  return number(value, locale, value != null && Math.abs(value) < 100 ? 1 : 0);
}

const steps: [Intl.RelativeTimeFormatUnit, number][] = [
  ["day", 86_400_000],
  ["hour", 3_600_000],
  ["minute", 60_000],
  ["second", 1_000],
];

/** How long ago (or ahead): "3 minutes ago". */
export function ago(time: string | number | null | undefined, locale: string, now: number): string {
  if (time == null) return "–";
  const at = typeof time === "number" ? time : Date.parse(time);
  if (!Number.isFinite(at)) return "–";
  const distance = at - now;
  const format = new Intl.RelativeTimeFormat(locale, { numeric: "auto", style: "short" });
  for (const [unit, length] of steps)
    if (Math.abs(distance) >= length || unit === "second")
      return format.format(Math.trunc(distance / length), unit);
  return "–";
}

/** A time of day with its date, without seconds unless asked for. */
export function dateTime(
  time: string | number | null | undefined,
  locale: string,
  withSeconds = false,
): string {
  if (time == null) return "–";
  const at = new Date(time);
  if (Number.isNaN(at.getTime())) return "–";
  return new Intl.DateTimeFormat(locale, {
    dateStyle: "medium",
    timeStyle: withSeconds ? "medium" : "short",
  }).format(at);
}

/**
 * A length of time: "2 d 3 h", "4 min 10 s", "0.8 s". Two parts at most; units of SI need no
 * translation.
 */
export function duration(ms: number | null | undefined, locale: string): string {
  if (ms == null || !Number.isFinite(ms)) return "–";
  if (ms < 1000) return `${number(Math.max(0, ms), locale)} ms`;
  if (ms < 10_000) return `${number(ms / 1000, locale, 1)} s`;
  const parts: [string, number][] = [
    ["d", 86_400_000],
    ["h", 3_600_000],
    ["min", 60_000],
    ["s", 1_000],
  ];
  const first = parts.findIndex(([, length]) => ms >= length);
  const out: string[] = [];
  let rest = ms;
  for (const [unit, length] of parts.slice(first, first + 2)) {
    const count = Math.floor(rest / length);
    if (count > 0) out.push(`${number(count, locale)} ${unit}`);
    rest -= count * length;
  }
  return out.join(" ");
}
