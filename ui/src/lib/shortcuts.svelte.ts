// SPDX-License-Identifier: Apache-2.0
/*
 * Keys. A page or component says what it answers to while it is mounted; "?" shows all of them.
 *
 *     $effect(() => shortcuts.add([{ keys: "l", label: t("models.logs"), run: openLogs }]));
 *
 * `keys` are key names with blanks between those that follow each other: "g d", "/", "j",
 * "mod+k" (Ctrl, or Cmd on a Mac). Keys without mod are left alone while one types or a dialog is
 * open.
 */
import { untrack } from "svelte";

export interface Shortcut {
  keys: string;
  label: string;
  run: () => void;
}

const sequence_ms = 1200;
let all = $state.raw<Shortcut[]>([]);
let begun = "";
let begunAt = 0;

function isTyping(target: EventTarget | null): boolean {
  const element = target as HTMLElement | null;
  return (
    !!element?.closest?.("input, textarea, select, [contenteditable=true], [role=combobox]") ||
    !!document.querySelector("dialog[open], [role=dialog]")
  );
}

function pressed(event: KeyboardEvent): string {
  const mod = event.ctrlKey || event.metaKey ? "mod+" : "";
  return mod + (event.key.length === 1 ? event.key.toLowerCase() : event.key);
}

function onKey(event: KeyboardEvent): void {
  if (event.defaultPrevented || event.altKey || event.isComposing) return;
  const key = pressed(event);
  if (!key.startsWith("mod+") && isTyping(event.target)) return;
  const isFollowing = begun !== "" && event.timeStamp - begunAt < sequence_ms;
  const both = isFollowing ? `${begun} ${key}` : key;
  begun = "";
  const found =
    all.findLast((shortcut) => shortcut.keys === both) ??
    all.findLast((shortcut) => shortcut.keys === key);
  if (found) {
    event.preventDefault();
    found.run();
  } else if (all.some((shortcut) => shortcut.keys.startsWith(`${key} `))) {
    begun = key;
    begunAt = event.timeStamp;
  }
}

export const shortcuts = {
  get list(): Shortcut[] {
    return all;
  },
  /** Returns what takes them away. */
  add(more: Shortcut[]): () => void {
    // Effects call this: they must not depend on what they change.
    untrack(() => (all = [...all, ...more]));
    return () => {
      all = all.filter((shortcut) => !more.includes(shortcut));
    };
  },
  start(): void {
    document.addEventListener("keydown", onKey);
  },
};
