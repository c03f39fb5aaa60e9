// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { sparkPath } from "../../src/components/chart/path.js";

test("a line from left to right, the highest value at the top", () => {
  const path = sparkPath([0, 5, 10], 100, 20);
  expect(path.line).toBe("M0 20L50 10L100 0");
  expect(path.area).toBe("M0 20L0 20L50 10L100 0L100 20Z");
});

test("nulls are gaps; a value alone is a dash that can be seen", () => {
  expect(sparkPath([1, null, 1, 1], 90, 10).line).toBe("M0 0L15 0M60 0L90 0");
});

test("a given top is kept, and what exceeds it stays in the box", () => {
  expect(sparkPath([50, 200], 10, 100, 100).line).toBe("M0 50L10 0");
});

test("nothing, and nothing but zeros, are drawn without NaN", () => {
  expect(sparkPath([], 10, 10)).toEqual({ line: "", area: "" });
  expect(sparkPath([0, 0], 10, 10).line).toBe("M0 10L10 10");
  expect(sparkPath([null, undefined], 10, 10).line).toBe("");
});
