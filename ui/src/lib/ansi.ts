// SPDX-License-Identifier: Apache-2.0
/*
 * Colours and weights of a terminal (ECMA-48 SGR) as data for the page. Other escape sequences are
 * taken out, other control characters become visible signs. Pure; every line starts plain.
 *
 *     parseAnsi("\x1b[31mred\x1b[0m")     [{ text: "red", look: { fg: 1 } }]
 */

/** 0 to 15: of the terminal's palette, which the theme has; otherwise "#rrggbb". */
export type Colour = number | string;
export interface Look {
  fg?: Colour;
  bg?: Colour;
  isBold?: boolean;
  isDim?: boolean;
  isItalic?: boolean;
  isUnderlined?: boolean;
  isStruck?: boolean;
  isInverse?: boolean;
}
export interface Span {
  text: string;
  look: Look | null;
}

/* eslint-disable no-control-regex */
// CSI, OSC (ends with BEL or ST), other strings of the like, two-byte sequences; an unfinished
// one, too.
const escape =
  /\x1b(?:\[([0-9:;<=>?]*)[ -/]*([@-~])?|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[PX^_][^\x1b]*(?:\x1b\\)?|[ -/]*[0-~])?/g;
const control = /[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f]/g;

export function hasAnsi(text: string): boolean {
  return text.includes("\x1b");
}

/** Control characters as their signs (␀); tabs stay. */
function visible(text: string): string {
  return text.replace(control, (c) =>
    c === "\x7f" ? "\u2421" : String.fromCharCode(0x2400 + c.charCodeAt(0)),
  );
}

function hex(value: number): string {
  return Math.min(255, Math.max(0, value)).toString(16).padStart(2, "0");
}

/** One of 256: palette, cube of 6 x 6 x 6, 24 greys. */
function indexed(n: number): Colour | undefined {
  if (!(n >= 0 && n <= 255)) return undefined;
  if (n < 16) return n;
  if (n >= 232) return `#${hex(8 + 10 * (n - 232)).repeat(3)}`;
  const steps = [0, 95, 135, 175, 215, 255];
  const at = n - 16;
  return `#${[at / 36, (at / 6) % 6, at % 6].map((i) => hex(steps[Math.floor(i)] ?? 0)).join("")}`;
}

/** "38;5;N" or "38;2;R;G;B" from `codes[i]` on; returns the place of its last code. */
function extended(codes: number[], i: number, set: (colour: Colour | undefined) => void): number {
  if (codes[i + 1] === 5) {
    set(indexed(codes[i + 2] ?? -1));
    return i + 2;
  }
  if (codes[i + 1] !== 2) return i + 1;
  set(`#${[2, 3, 4].map((k) => hex(codes[i + k] ?? 0)).join("")}`);
  return i + 4;
}

function apply(look: Look, code: number): void {
  if (code === 0) for (const name of Object.keys(look)) delete look[name as keyof Look];
  else if (code === 1) look.isBold = true;
  else if (code === 2) look.isDim = true;
  else if (code === 3) look.isItalic = true;
  else if (code === 4 || code === 21) look.isUnderlined = true;
  else if (code === 7) look.isInverse = true;
  else if (code === 9) look.isStruck = true;
  else if (code === 22) (delete look.isBold, delete look.isDim);
  else if (code === 23) delete look.isItalic;
  else if (code === 24) delete look.isUnderlined;
  else if (code === 27) delete look.isInverse;
  else if (code === 29) delete look.isStruck;
  else if (code >= 30 && code <= 37) look.fg = code - 30;
  else if (code === 39) delete look.fg;
  else if (code >= 40 && code <= 47) look.bg = code - 40;
  else if (code === 49) delete look.bg;
  else if (code >= 90 && code <= 97) look.fg = code - 82;
  else if (code >= 100 && code <= 107) look.bg = code - 92;
}

function sgr(look: Look, parameters: string): void {
  // "38:2::R:G:B" has an empty colour space that the form with semicolons lacks.
  const plain = parameters.replace(/([34]8):2:[^:;]*:(?=\d+:\d+:\d+)/g, "$1:2:");
  const codes = plain.split(/[:;]/).map((part) => Number(part || 0));
  for (let i = 0; i < codes.length; i++) {
    const code = codes[i] ?? 0;
    if (code === 38)
      i = extended(codes, i, (colour) =>
        colour === undefined ? delete look.fg : (look.fg = colour),
      );
    else if (code === 48)
      i = extended(codes, i, (colour) =>
        colour === undefined ? delete look.bg : (look.bg = colour),
      );
    else apply(look, code);
  }
}

export function parseAnsi(text: string): Span[] {
  const spans: Span[] = [];
  const look: Look = {};
  let from = 0;
  const add = (end: number) => {
    if (end > from)
      spans.push({
        text: visible(text.slice(from, end)),
        look: Object.keys(look).length > 0 ? { ...look } : null,
      });
  };
  for (const found of text.matchAll(escape)) {
    add(found.index);
    from = found.index + found[0].length;
    // A "?", "<" or such makes it another sequence than SGR.
    if (found[2] === "m" && !/[<=>?]/.test(found[1] ?? "")) sgr(look, found[1] ?? "");
  }
  add(text.length);
  return spans;
}

/** The text alone. */
export function stripAnsi(text: string): string {
  return visible(hasAnsi(text) ? text.replace(escape, "") : text);
}
