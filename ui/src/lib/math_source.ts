// SPDX-License-Identifier: Apache-2.0
/* Where TeX begins and ends in a text: $ $, $$ $$, \( \), \[ \]. Pure. */

export interface MathSource {
  /** With its signs. */
  raw: string;
  tex: string;
  isBlock: boolean;
}

/*
 * Between single dollars there is no blank at the edges, no line's end, and no digit behind:
 * "$5 and $10" is money.
 */
const forms: [RegExp, boolean][] = [
  [/^\$\$([^$]+?)\$\$/, true],
  [/^\\\[([\s\S]+?)\\\]/, true],
  [/^\\\(([\s\S]+?)\\\)/, false],
  [/^\$((?!\s)(?:\\.|[^$\\\n])+?(?<!\s))\$(?!\d)/, false],
];

/** The math that `text` begins with. */
export function mathAt(text: string): MathSource | null {
  for (const [form, isBlock] of forms) {
    const found = form.exec(text);
    const tex = found?.[1]?.trim();
    if (found && tex) return { raw: found[0], tex, isBlock };
  }
  return null;
}
