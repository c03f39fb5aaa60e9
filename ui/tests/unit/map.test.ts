// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import type { Device } from "../../src/lib/devices.js";
import { heatStep, isLight, parseColour, seriesOf } from "../../src/lib/heat.js";
import { cellOf, colourModeOf, type ColourMode } from "../../src/lib/map_cell.js";
import { cellAt, layoutMap, step } from "../../src/lib/map_layout.js";

const groups = (workers: number, each: number) =>
  Array.from({ length: workers }, (_, i) => ({ key: `w${i}`, count: each }));

test("steps of heat", () => {
  expect([0, 12.4, 12.5, 50, 99, 100, 140].map((value) => heatStep(value))).toEqual([
    0, 0, 1, 4, 7, 7, 7,
  ]);
  expect(heatStep(null)).toBeNull();
  expect(heatStep(20, 30, 94)).toBe(0);
});

test("each name has a colour of its own while there are enough", () => {
  const six = seriesOf(["a", "b", "c", "d", "e", "f"]);
  expect([...six.values()].sort()).toEqual([1, 2, 3, 4, 5, 6]);
  const many = seriesOf(Array.from({ length: 40 }, (_, i) => `model-${i}`));
  expect(new Set(many.values()).size).toBe(6);
  expect(seriesOf(["a", "b"]).get("a")).toBe(seriesOf(["a"]).get("a"));
});

test("words are dark on light colours", () => {
  expect(parseColour("rgb(1, 22, 255)")).toEqual([1, 22, 255]);
  expect(isLight("rgb(219, 230, 243)")).toBe(true);
  expect(isLight("rgb(11, 46, 92)")).toBe(false);
});

test.each([
  [1, 8, 1100],
  [5, 8, 1100],
  [200, 8, 1100],
  [625, 8, 1100],
  [5, 8, 320],
  [625, 8, 320],
  [3, 1, 1100],
  [1, 0, 320],
])("%i workers with %i devices fill %i pixels and stay within", (workers, each, width) => {
  const layout = layoutMap(groups(workers, each), width, 400);
  expect(layout.at).toHaveLength(2 * workers * each);
  for (let i = 0; i < workers * each; i++) {
    expect(layout.at[2 * i]! + layout.cellWidth).toBeLessThanOrEqual(width);
    expect(layout.at[2 * i + 1]! + layout.cellHeight).toBeLessThanOrEqual(layout.height + 0.01);
  }
  expect(layout.cellWidth).toBeGreaterThanOrEqual(7);
});

test("blocks are whole rows where they can be", () => {
  for (const width of [320, 700, 985, 1180, 1600]) {
    const { at, blocks } = layoutMap(groups(5, 8), width, 390);
    const first = blocks[0]!;
    const lines = new Set(Array.from({ length: first.count }, (_, i) => at[2 * i + 1]));
    expect([1, 2, 4, 8]).toContain(lines.size);
  }
});

test("few devices are large, and no two cells share a place", () => {
  expect(layoutMap(groups(1, 8), 1100, 400).cellWidth).toBeGreaterThan(100);
  const { at } = layoutMap(
    [
      { key: "a", count: 3 },
      { key: "b", count: 16 },
      { key: "c", count: 1 },
    ],
    700,
    300,
  );
  const places = new Set(Array.from({ length: 20 }, (_, i) => `${at[2 * i]},${at[2 * i + 1]}`));
  expect(places.size).toBe(20);
});

test("cells are found by points", () => {
  const layout = layoutMap(groups(5, 8), 900, 300);
  for (const i of [0, 7, 8, 39])
    expect(cellAt(layout, layout.at[2 * i]! + 3, layout.at[2 * i + 1]! + 3)).toBe(i);
  expect(cellAt(layout, -5, 3)).toBe(-1);
  expect(cellAt(layout, 3, layout.height + 10)).toBe(-1);
});

test("arrow keys lead to neighbours and stop at the ends", () => {
  const layout = layoutMap(groups(4, 8), 400, 400);
  expect(step(layout, 0, "ArrowLeft")).toBe(0);
  expect(step(layout, 0, "ArrowRight")).toBe(1);
  expect(step(layout, 5, "Home")).toBe(0);
  expect(step(layout, 5, "End")).toBe(31);
  const below = step(layout, 0, "ArrowDown");
  expect(below).toBeGreaterThan(0);
  expect(step(layout, below, "ArrowUp")).toBe(0);
  expect(step(layout, 31, "ArrowDown")).toBe(31);
});

const device = (more: Partial<Device>): Device => ({
  id: "a:npu:0",
  worker: { id: 1, name: "a", state: "ready" },
  index: 0,
  deviceIndex: 0,
  type: "npu",
  name: "910B4",
  vendor: "Huawei",
  uuid: "",
  driver: "",
  runtime: "",
  island: -1,
  link: "",
  util: 0,
  total: 64,
  used: 0,
  claimed: 0,
  isUnified: false,
  temperature: null,
  power: null,
  state: "free",
  uses: [],
  ...more,
});
const use = (name: string) => ({ instance: { id: 1, model_name: name } as never, bytes: 1 });
const look = (mode: ColourMode) => ({
  mode,
  tones: new Map([
    ["m", 2],
    ["n", 5],
  ]),
  write: (figure: number) => `${figure}%`,
});

test("cells: hollow when free, heat when used, marks for trouble", () => {
  expect(cellOf(device({}), look("util")).fills).toEqual([]);
  const busy = device({ state: "used", util: 60, used: 32, claimed: 48, uses: [use("m")] });
  expect(cellOf(busy, look("util"))).toMatchObject({
    fills: ["heat-4"],
    used: 32,
    claimed: 48,
    label: "m",
    figure: "60%",
    mark: "none",
  });
  expect(cellOf(busy, look("memory")).fills).toEqual(["heat-4"]);
  expect(cellOf(busy, look("temperature"))).toMatchObject({ fills: [], isUnknown: true });
  expect(cellOf(device({ state: "unhealthy" }), look("util")).mark).toBe("cross");
  expect(cellOf(device({ state: "unreachable" }), look("util")).mark).toBe("hatch");
});

test("cells: a colour for each model, with a count in the label", () => {
  const shared = device({ state: "used", uses: [use("m"), use("n"), use("m")] });
  const cell = cellOf(shared, look("model"));
  expect(cell.fills).toEqual(["series-2", "series-5"]);
  expect(cell.label).toBe("m +1");
});

test("cells: a plan is shown, and changes the key", () => {
  const plain = cellOf(device({}), look("util"));
  const planned = cellOf(device({}), look("util"), { label: "new", bytes: 16 });
  expect(planned).toMatchObject({ planned: 16, label: "new" });
  expect(planned.key).not.toBe(plain.key);
});

test("modes of colour come from the URL", () => {
  expect(colourModeOf("memory")).toBe("memory");
  expect(colourModeOf("nonsense")).toBe("util");
  expect(colourModeOf(null)).toBe("util");
});
