// SPDX-License-Identifier: Apache-2.0
/*
 * Where the cells of the map of devices lie: a block for each worker, cells as large as lets all of
 * them fit the place. Pure.
 *
 * Blocks are laid in rows from left to right. Of some numbers of columns the one with the largest
 * cells is taken. If even the smallest cells need more height than there is, the map grows.
 */

export interface Group {
  key: string;
  count: number;
}
export interface Block {
  key: string;
  /** Its first cell's number. */
  first: number;
  count: number;
  x: number;
  y: number;
  width: number;
  height: number;
}
export interface Layout {
  cellWidth: number;
  cellHeight: number;
  gap: number;
  /** Height of a line of text above each block; 0: no room for one. */
  labelHeight: number;
  width: number;
  height: number;
  blocks: Block[];
  /** Left and top edge of each cell, by turns. */
  at: Float32Array;
}

const smallest = 7;
const largest = 132;
const labelHeight = 18;
const labelledFrom = 44; // Width of a block that has room for a name.
const flatter = 0.94;
const ragged = 0.6;
const columnChoices = [1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32];

interface Shape {
  columns: number;
  cellWidth: number;
  cellHeight: number;
  gap: number;
  blockGap: number;
  label: number;
}

/** Small cells are squares, large ones are wide, for words. */
function shapeOf(columns: number, cellWidth: number, widest: number): Shape {
  const cellHeight = cellWidth <= 22 ? cellWidth : Math.round(22 + (cellWidth - 22) * 0.5);
  const gap = cellWidth < 12 ? 1 : cellWidth < 28 ? 2 : 4;
  const blockWidth = Math.min(columns, widest) * (cellWidth + gap) - gap;
  const label = blockWidth >= labelledFrom ? labelHeight : 0;
  return { columns, cellWidth, cellHeight, gap, blockGap: cellWidth < 28 ? 8 : 16, label };
}

function blockSize(count: number, shape: Shape): { width: number; height: number } {
  const columns = Math.max(1, Math.min(count, shape.columns));
  const rows = Math.ceil(count / columns);
  return {
    width: columns * (shape.cellWidth + shape.gap) - shape.gap,
    height: shape.label + rows * (shape.cellHeight + shape.gap) - shape.gap,
  };
}

/** Rows of blocks; calls `put` for each, and returns the height of all. */
function flow(
  groups: readonly Group[],
  width: number,
  shape: Shape,
  put?: (group: Group, x: number, y: number, size: { width: number; height: number }) => void,
): number {
  let x = 0;
  let y = 0;
  let rowHeight = 0;
  for (const group of groups) {
    const size = blockSize(group.count, shape);
    if (x > 0 && x + size.width > width) {
      y += rowHeight + shape.blockGap;
      x = rowHeight = 0;
    }
    put?.(group, x, y, size);
    x += size.width + shape.blockGap;
    rowHeight = Math.max(rowHeight, size.height);
  }
  return y + rowHeight;
}

/** The largest cells with so many columns that fit, or null if the smallest don't. */
function fit(
  groups: readonly Group[],
  columns: number,
  widest: number,
  width: number,
  height: number,
  max: number,
): Shape | null {
  const used = Math.min(columns, widest);
  let low = smallest;
  let high = Math.min(max, Math.floor((width + 4) / used) - 4);
  let best: Shape | null = null;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const shape = shapeOf(columns, middle, widest);
    if (flow(groups, width, shape) <= height) {
      best = shape;
      low = middle + 1;
    } else high = middle - 1;
  }
  return best;
}

function chooseShape(groups: readonly Group[], width: number, height: number, max: number): Shape {
  let widest = 1;
  for (const group of groups) widest = Math.max(widest, group.count);
  let best: Shape | null = null;
  let most = 0;
  const enough = columnChoices.findIndex((columns) => columns >= widest);
  for (const columns of columnChoices.slice(0, enough < 0 ? undefined : enough + 1)) {
    const shape = fit(groups, columns, widest, width, height, max);
    if (!shape) continue;
    // Flatter blocks look more like machines and may cost a little, ragged ones have to gain much.
    const worth = shape.cellWidth * (widest % Math.min(columns, widest) === 0 ? 1 : ragged);
    if (worth < flatter * most) continue;
    best = shape;
    most = Math.max(most, worth);
  }
  if (best) return best;
  // The place is too small: grow downwards, in blocks that fill the width well.
  const columns = Math.max(1, Math.min(8, widest, Math.floor(width / (smallest + 3))));
  return shapeOf(columns, smallest + 2, widest);
}

/** `height` is what would be good, `max` the greatest width of a cell. */
export function layoutMap(
  groups: readonly Group[],
  width: number,
  height: number,
  max = largest,
): Layout {
  const filled = groups.filter((group) => group.count > 0);
  const shape = chooseShape(filled, width, height, max);
  let total = 0;
  for (const group of filled) total += group.count;
  const at = new Float32Array(2 * total);
  const blocks: Block[] = [];
  let next = 0;
  const full = flow(filled, width, shape, (group, x, y, size) => {
    blocks.push({ key: group.key, first: next, count: group.count, x, y, ...size });
    const columns = Math.max(1, Math.min(group.count, shape.columns));
    for (let i = 0; i < group.count; i++, next++) {
      at[2 * next] = x + (i % columns) * (shape.cellWidth + shape.gap);
      at[2 * next + 1] = y + shape.label + Math.floor(i / columns) * (shape.cellHeight + shape.gap);
    }
  });
  const { cellWidth, cellHeight, gap, label } = shape;
  return { cellWidth, cellHeight, gap, labelHeight: label, width, height: full, blocks, at };
}

/** The cell at a point, or -1. Gaps belong to the cell before them: nothing flickers on the way. */
export function cellAt(layout: Layout, x: number, y: number): number {
  const { cellWidth, cellHeight, gap, blocks, at } = layout;
  for (const block of blocks) {
    if (x < block.x || y < block.y || x > block.x + block.width || y > block.y + block.height)
      continue;
    for (let i = block.first; i < block.first + block.count; i++) {
      const left = at[2 * i] ?? 0;
      const top = at[2 * i + 1] ?? 0;
      if (x >= left && y >= top && x < left + cellWidth + gap && y < top + cellHeight + gap)
        return i;
    }
  }
  return -1;
}

export type Arrow = "ArrowLeft" | "ArrowRight" | "ArrowUp" | "ArrowDown" | "Home" | "End";

/** The cell that a key leads to: the next one, or up and down the nearest in the next line. */
export function step(layout: Layout, from: number, key: Arrow): number {
  const last = layout.at.length / 2 - 1;
  if (last < 0) return -1;
  if (key === "Home") return 0;
  if (key === "End") return last;
  if (key === "ArrowLeft") return Math.max(0, from - 1);
  if (key === "ArrowRight") return Math.min(last, from + 1);
  const { at } = layout;
  const x = at[2 * from] ?? 0;
  const y = at[2 * from + 1] ?? 0;
  const sign = key === "ArrowDown" ? 1 : -1;
  let best = from;
  let bestY = Infinity;
  let bestX = Infinity;
  for (let i = 0; i <= last; i++) {
    const down = ((at[2 * i + 1] ?? 0) - y) * sign;
    const aside = Math.abs((at[2 * i] ?? 0) - x);
    if (down <= 0.5) continue;
    if (down < bestY - 0.5 || (down < bestY + 0.5 && aside < bestX)) {
      best = i;
      bestY = down;
      bestX = aside;
    }
  }
  return best;
}
