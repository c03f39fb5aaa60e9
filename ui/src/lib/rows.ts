// SPDX-License-Identifier: Apache-2.0
/*
 * What <DataTable> reckons with: order, search, the window of rows that are in the page. Pure.
 */

export type Cell = string | number | null | undefined;

export interface Order {
  column: string;
  isDescending: boolean;
}

/** "-name" → by name, descending; null for what isn't one of `allowed`. */
export function readOrder(text: string | null, allowed: readonly string[]): Order | null {
  if (!text) return null;
  const isDescending = text.startsWith("-");
  const column = isDescending ? text.slice(1) : text;
  return allowed.includes(column) ? { column, isDescending } : null;
}

export function writeOrder(order: Order | null): string | null {
  return order && (order.isDescending ? "-" : "") + order.column;
}

/** Nothing stands last in both directions; texts by the language's rules, digits as numbers. */
export function comparator(locale: string): (a: Cell, b: Cell, isDescending: boolean) => number {
  const words = new Intl.Collator(locale, { numeric: true, sensitivity: "base" });
  return (a, b, isDescending) => {
    const aMissing = a == null || a === "";
    const bMissing = b == null || b === "";
    if (aMissing || bMissing) return Number(aMissing) - Number(bMissing);
    const order =
      typeof a === "number" && typeof b === "number" ? a - b : words.compare(String(a), String(b));
    return isDescending ? -order : order;
  };
}

/** Sorted copy; equal rows keep their order. */
export function sorted<Row>(
  rows: readonly Row[],
  value: (row: Row) => Cell,
  isDescending: boolean,
  locale: string,
): Row[] {
  const compare = comparator(locale);
  return rows
    .map((row) => ({ row, cell: value(row) }))
    .sort((a, b) => compare(a.cell, b.cell, isDescending))
    .map(({ row }) => row);
}

/** Every word of `search` is somewhere in the text. */
export function matches(text: string, search: string): boolean {
  const lower = text.toLowerCase();
  return search
    .toLowerCase()
    .split(/\s+/)
    .every((word) => lower.includes(word));
}

/**
 * `now` in the order of `before`, as far as its rows were there; new ones behind. So nothing moves
 * under the pointer while rows come and go.
 */
export function keepOrder<Row>(
  before: readonly Row[],
  now: readonly Row[],
  key: (row: Row) => string | number,
): Row[] {
  const left = new Map(now.map((row) => [key(row), row]));
  const out: Row[] = [];
  for (const row of before) {
    const id = key(row);
    const present = left.get(id);
    if (present === undefined) continue;
    out.push(present);
    left.delete(id);
  }
  out.push(...left.values());
  return out;
}

/** First row and the one behind the last that are to be in the page, with some more around. */
export function windowOf(
  count: number,
  rowHeight: number,
  scrollTop: number,
  viewHeight: number,
  around = 8,
): { first: number; end: number } {
  const first = Math.max(0, Math.floor(scrollTop / rowHeight) - around);
  const end = Math.min(count, Math.ceil((scrollTop + viewHeight) / rowHeight) + around);
  return { first: Math.min(first, Math.max(0, end - 1)), end };
}

/** One line of a CSV file. Texts that a spreadsheet would take for a formula get an apostrophe. */
export function csvLine(cells: readonly Cell[]): string {
  return (
    cells
      .map((cell) => {
        if (typeof cell === "number") return String(cell);
        let text = cell == null ? "" : String(cell);
        if (/^[=+\-@\t\r]/.test(text)) text = `'${text}`;
        return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
      })
      .join(",") + "\r\n"
  );
}
