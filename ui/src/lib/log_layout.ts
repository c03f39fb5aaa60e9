// SPDX-License-Identifier: Apache-2.0
/*
 * Where lines stand when long ones are wrapped. Every row is equally high and a line takes as many
 * as its columns need, so places are exact without measuring anything in the page. Pure.
 */

/** Rows above each line, and all at the end. `columns` 0: no wrap, each takes one. */
export function rowsAbove(
  cells: (i: number) => number,
  count: number,
  columns: number,
): Uint32Array {
  const above = new Uint32Array(count + 1);
  for (let i = 0; i < count; i++) {
    const rows = columns > 0 ? Math.max(1, Math.ceil(cells(i) / columns)) : 1;
    above[i + 1] = (above[i] ?? 0) + rows;
  }
  return above;
}

/** The line that has the row; the last one for what is below all. */
export function lineOfRow(above: Uint32Array, row: number): number {
  let low = 0;
  let high = above.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((above[middle + 1] ?? 0) <= row) low = middle + 1;
    else high = middle;
  }
  return Math.max(0, Math.min(low, above.length - 2));
}

/** First line and the one behind the last that are to be in the page, with `around` rows more. */
export function visibleLines(
  above: Uint32Array,
  rowHeight: number,
  top: number,
  height: number,
  around = 20,
): { first: number; end: number } {
  const count = above.length - 1;
  if (count <= 0) return { first: 0, end: 0 };
  const first = lineOfRow(above, Math.max(0, Math.floor(top / rowHeight) - around));
  const end = lineOfRow(above, Math.ceil((top + height) / rowHeight) + around) + 1;
  return { first, end: Math.min(count, end) };
}

/** Place of the thumb of a scrollbar over bytes: parts of one. */
export function thumbOf(
  first: number,
  size: number,
  from: number,
  to: number,
  least: number,
): { top: number; height: number } {
  const all = Math.max(1, size - first);
  const height = Math.min(1, Math.max(least, (to - from) / all));
  const room = Math.max(1, all - (to - from));
  const part = Math.min(1, Math.max(0, (from - first) / room));
  return { top: part * (1 - height), height };
}

/** The byte that a place of the scrollbar (0 to 1) stands for. */
export function byteAt(part: number, first: number, size: number): number {
  return Math.round(first + Math.min(1, Math.max(0, part)) * Math.max(0, size - first));
}
