// SPDX-License-Identifier: Apache-2.0
/*
 * Makes MathML of TeX, which browsers show by themselves. A chunk of its own: only texts with math
 * load it. Temml writes some style attributes, which the page's policy forbids; what matters of
 * them is in Markdown.svelte's style.
 */
import temml from "temml";
import type { MathSource } from "./math_source.js";

const cache = new Map<string, string>();
const cache_most = 500;

export function renderMath({ tex, isBlock }: MathSource): string {
  const key = `${isBlock ? "b" : "i"}${tex}`;
  let made = cache.get(key);
  if (made === undefined) {
    made = temml
      .renderToString(tex, {
        displayMode: isBlock,
        throwOnError: false,
        trust: false,
        maxExpand: 200,
      })
      .replace(/ style="[^"]*"/g, "");
    if (cache.size >= cache_most) cache.clear();
    cache.set(key, made);
  }
  return made;
}
