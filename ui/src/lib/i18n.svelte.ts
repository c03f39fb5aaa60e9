// SPDX-License-Identifier: Apache-2.0
/*
 * Words in the language of the page. Messages lie in src/i18n/LOCALE/AREA.json, flat: every key
 * starts with its area. "common" is there from the start; a route names its areas in
 * routes/routes.ts and they are loaded with it. Keys are typed from the English files.
 *
 *     t("common.page.models")
 *     t("common.selected", { count: 3 })      {"one": "{count} model", "other": "{count} models"}
 *
 * Plurals follow Intl.PluralRules by `count`. An argument may be a number (written in the locale's
 * way) or a text. Texts never hold markup; where a part of a sentence must be an element, use
 * parts().
 */
import * as format from "./format.js";
import { preferences, type Locale } from "./preferences.svelte.js";

type Messages = typeof import("../i18n/en/common.json") &
  typeof import("../i18n/en/reasons.json") &
  typeof import("../i18n/en/account.json") &
  typeof import("../i18n/en/overview.json") &
  typeof import("../i18n/en/models.json") &
  typeof import("../i18n/en/deploy.json") &
  typeof import("../i18n/en/catalog.json") &
  typeof import("../i18n/en/instance.json") &
  typeof import("../i18n/en/logs.json") &
  typeof import("../i18n/en/workers.json") &
  typeof import("../i18n/en/devices.json") &
  typeof import("../i18n/en/files.json") &
  typeof import("../i18n/en/playground.json") &
  typeof import("../i18n/en/keys.json") &
  typeof import("../i18n/en/users.json") &
  typeof import("../i18n/en/usage.json") &
  typeof import("../i18n/en/routes.json");
export type MessageKey = Exclude<keyof Messages, "default">;
export type Args = Record<string, string | number>;
export type Area =
  | "common"
  | "reasons"
  | "account"
  | "overview"
  | "models"
  | "deploy"
  | "catalog"
  | "instance"
  | "logs"
  | "workers"
  | "devices"
  | "files"
  | "playground"
  | "keys"
  | "users"
  | "usage"
  | "routes";

type Message = string | { one?: string; other: string };
type Table = Record<string, Message>;

const files = import.meta.glob<{ default: Table }>("../i18n/*/*.json");
const loaded = new Map<string, Promise<Table>>();
const wantedAreas = new Set<Area>();
let table = $state.raw<Table>({});
let locale = $state.raw<Locale>("en");

function load(which: Locale, area: Area): Promise<Table> {
  const name = `../i18n/${which}/${area}.json`;
  let promise = loaded.get(name);
  if (!promise) {
    const open = files[name];
    promise = open ? open().then((module) => module.default) : Promise.resolve({});
    promise.catch(() => loaded.delete(name)); // The network may be back at the next try.
    loaded.set(name, promise);
  }
  return promise;
}

/**
 * Loads these areas of the language that is preferred now; what a page calls before it is
 * shown.
 */
export async function loadMessages(areas: Area[]): Promise<void> {
  for (const area of areas) wantedAreas.add(area);
  const which = preferences.locale;
  const tables = await Promise.all([...wantedAreas].map((area) => load(which, area)));
  if (which !== preferences.locale) return; // It was changed meanwhile: another call is under way.
  table = Object.assign({}, ...tables) as Table;
  locale = which;
}

/** The tag for Intl. */
export function localeTag(): string {
  return locale === "zh" ? "zh-CN" : "en";
}

/** Text with its arguments put in. Exported for tests. */
export function fill(message: Message | undefined, key: string, args: Args, tag: string): string {
  if (message === undefined) return key;
  const text =
    typeof message === "string"
      ? message
      : new Intl.PluralRules(tag).select(Number(args["count"])) === "one" && message.one
        ? message.one
        : message.other;
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = args[name];
    if (value === undefined) return whole;
    return typeof value === "number" ? format.number(value, tag, 2) : value;
  });
}

export function t(key: MessageKey, args: Args = {}): string {
  return fill(table[key], key, args, localeTag());
}

/** Whether there are words for a key that is made at run time, such as "reasons." + code. */
export function has(key: string): key is MessageKey {
  return key in table;
}

/** The words of a made key, or `otherwise` where there are none. */
export function tOr(key: string, otherwise: string, args: Args = {}): string {
  return has(key) ? t(key, args) : otherwise;
}

/** The text around placeholders, in order: "Made by {who}" → ["Made by ", {name: "who"}]. */
export function parts(key: MessageKey, args: Args = {}): (string | { name: string })[] {
  return t(key, args)
    .split(/(\{\w+\})/)
    .filter((part) => part !== "")
    .map((part) => (/^\{\w+\}$/.test(part) ? { name: part.slice(1, -1) } : part));
}

// Figures in the page's language.
export const bytes = (value: number | null | undefined) => format.bytes(value, localeTag());
export const number = (value: number | null | undefined, digits = 0) =>
  format.number(value, localeTag(), digits);
export const compact = (value: number | null | undefined) => format.compact(value, localeTag());
export const percent = (value: number | null | undefined, digits = 0) =>
  format.percent(value, localeTag(), digits);
export const rate = (value: number | null | undefined) => format.rate(value, localeTag());
export const dateTime = (time: string | number | null | undefined, withSeconds = false) =>
  format.dateTime(time, localeTag(), withSeconds);
export const duration = (ms: number | null | undefined) => format.duration(ms, localeTag());
/** Grows old by itself: `clock.now` ticks every 5 s. */
export const ago = (time: string | number | null | undefined) =>
  format.ago(time, localeTag(), clock.now);

const ticking = $state({ now: Date.now() });
export const clock = {
  get now(): number {
    return ticking.now;
  },
};
if (typeof document !== "undefined") setInterval(() => (ticking.now = Date.now()), 5000);
