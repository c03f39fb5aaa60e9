// SPDX-License-Identifier: Apache-2.0
/* What the palette finds: entries by their words, the best first, a few per group. Pure. */
import type { IconName } from "../components/ui/icons.js";

export interface Entry {
  id: string;
  group: string;
  label: string;
  icon: IconName;
  run: () => void;
}

const per_group = 8;

/**
 * How well `label` answers to `words`: 0 not at all; they are it; begins with them, a word of it
 * begins with them, contains them, contains their letters in order.
 */
export function score(label: string, words: string): number {
  const text = label.toLowerCase();
  const wanted = words.trim().toLowerCase();
  if (wanted === "") return 1;
  if (text === wanted) return 6;
  if (text.startsWith(wanted)) return 5;
  const parts = wanted.split(/\s+/);
  if (parts.every((part) => text.split(/[\s:._/-]+/).some((word) => word.startsWith(part))))
    return 4;
  if (text.includes(wanted)) return 3;
  if (parts.every((part) => text.includes(part))) return 2;
  let at = 0;
  for (const letter of text) if (letter === wanted[at]) at++;
  return wanted.length >= 3 && at === wanted.length ? 1 : 0;
}

/** Groups of entries, those with the best entry first. Without words only `fixed` is offered. */
export function found(
  words: string,
  fixed: Iterable<Entry>,
  things: Iterable<Entry>,
): [string, Entry[]][] {
  const groups = new Map<string, { entry: Entry; points: number }[]>();
  const take = (entry: Entry) => {
    const points = score(entry.label, words);
    if (points === 0) return;
    const list = groups.get(entry.group);
    if (list) list.push({ entry, points });
    else groups.set(entry.group, [{ entry, points }]);
  };
  for (const entry of fixed) take(entry);
  if (words.trim() !== "") for (const entry of things) take(entry);
  const limit = words.trim() === "" ? Infinity : per_group;
  return [...groups]
    .map(([group, list]) => {
      list.sort((a, b) => b.points - a.points);
      return { group, best: list[0]?.points ?? 0, entries: list.slice(0, limit) };
    })
    .sort((a, b) => b.best - a.best)
    .map(({ group, entries }) => [group, entries.map(({ entry }) => entry)]);
}
