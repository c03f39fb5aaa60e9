// SPDX-License-Identifier: Apache-2.0
/*
 * uPlot with our looks; only Chart.svelte loads it, when a chart is shown.
 */
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

export interface Line {
  label: string;
  /** A colour as computed styles write it. */
  stroke: string;
  dash: number[];
  isShown: boolean;
}
export interface Looks {
  ink: string;
  grid: string;
  surface: string;
}
export interface Options {
  lines: Line[];
  looks: Looks;
  width: number;
  height: number;
  /** The highest value of the axis, where it is fixed (100 percent). */
  max: number | undefined;
  isBinary: boolean;
  writeTime: (seconds: number, isExact: boolean) => string;
  writeValue: (value: number) => string;
  /** Place under the cursor, or null when it has left. */
  onmove: (place: number | null) => void;
  onselect: ((start: number, end: number) => void) | undefined;
}
export type Data = [number[], ...(number | null)[][]];

const font = '11px system-ui, "Segoe UI", Roboto, "Noto Sans", "Noto Sans CJK SC", sans-serif';
const binary = Array.from({ length: 50 }, (_, i) => 2 ** i);
const shared = "gpustack";

function axes(options: Options): uPlot.Axis[] {
  const { looks } = options;
  const common = {
    stroke: looks.ink,
    font,
    grid: { stroke: looks.grid, width: 1 },
    ticks: { show: false },
  };
  return [
    {
      ...common,
      space: 90,
      size: 28,
      values: (_, at) => at.map((t) => options.writeTime(t, false)),
    },
    {
      ...common,
      size: 66,
      space: 34,
      values: (_, at) => at.map((value) => options.writeValue(value)),
      ...(options.isBinary ? { incrs: binary } : {}),
    },
  ];
}

export function makePlot(place: HTMLElement, options: Options, data: Data): uPlot {
  const { lines, looks, onselect } = options;
  const top = options.max;
  return new uPlot(
    {
      width: options.width,
      height: options.height,
      legend: { show: false },
      padding: [10, 12, 0, 0],
      cursor: {
        y: false,
        sync: { key: shared },
        drag: { x: onselect !== undefined, y: false, setScale: false, dist: 6 },
        points: { size: 7, width: 2, fill: looks.surface },
      },
      scales: {
        x: { time: true },
        y: {
          range: (_, __, high) => [0, top ?? (high > 0 ? high * 1.08 : 1)],
        },
      },
      axes: axes(options),
      series: [
        {},
        ...lines.map((line) => ({
          label: line.label,
          stroke: line.stroke,
          width: 1.75,
          dash: line.dash,
          show: line.isShown,
          spanGaps: false,
          points: { show: false },
        })),
      ],
      hooks: {
        setCursor: [(plot) => options.onmove(plot.cursor.idx ?? null)],
        setSelect: [
          (plot) => {
            const { left, width } = plot.select;
            if (width < 6 || !onselect) return;
            onselect(plot.posToVal(left, "x"), plot.posToVal(left + width, "x"));
            plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          },
        ],
      },
    },
    data as uPlot.AlignedData,
    place,
  );
}
