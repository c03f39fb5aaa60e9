// SPDX-License-Identifier: Apache-2.0
/*
 * The line of a sparkline in a box. Pure.
 */

export interface SparkPath {
  /** "M… L…": one stroke for each run of known values; a value alone is a short dash. */
  line: string;
  /** The same runs, closed along the bottom. */
  area: string;
}

const round = (value: number) => Math.round(value * 100) / 100;

/**
 * Values evenly from left to right; 0 is the bottom. Without `max` the highest value is the
 * top.
 */
export function sparkPath(
  values: readonly (number | null | undefined)[],
  width: number,
  height: number,
  max?: number,
): SparkPath {
  let top = max ?? 0;
  if (max === undefined) for (const value of values) if (value != null && value > top) top = value;
  if (!(top > 0)) top = 1;
  const step = values.length > 1 ? width / (values.length - 1) : 0;
  let line = "";
  let area = "";
  for (let i = 0; i < values.length;) {
    if (values[i] == null) {
      i++;
      continue;
    }
    const points: [number, number][] = [];
    for (; i < values.length && values[i] != null; i++) {
      const share = Math.min(1, Math.max(0, (values[i] as number) / top));
      points.push([round(i * step), round(height - share * height)]);
    }
    if (points.length === 1) {
      const [x, y] = points[0] as [number, number];
      const half = Math.max(0.5, step / 2);
      points[0] = [Math.max(0, round(x - half)), y];
      points.push([Math.min(width, round(x + half)), y]);
    }
    const run = points.map(([x, y]) => `${x} ${y}`).join("L");
    line += `M${run}`;
    const first = points[0] as [number, number];
    const last = points[points.length - 1] as [number, number];
    area += `M${first[0]} ${height}L${run}L${last[0]} ${height}Z`;
  }
  return { line, area };
}
