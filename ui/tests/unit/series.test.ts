// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { lastOf, ranges, secondsOf, spanOf, stepFor, timesOf } from "../../src/lib/series.js";

const now = 1_700_000_123_456;
const query = (text: string) => new URLSearchParams(text);

test("ranges of the URL end now, on whole steps", () => {
  expect(spanOf(query(""), now)).toEqual({
    start: 1_699_996_520,
    end: 1_700_000_120,
    step: 10,
    range: "1h",
  });
  expect(spanOf(query("range=14d"), now)).toMatchObject({ step: 3600, range: "14d" });
  expect(spanOf(query("range=nonsense"), now, "6h").range).toBe("6h");
});

test("a chosen part stays where it is", () => {
  expect(spanOf(query("start=1699999000&end=1699999600&range=1h"), now)).toEqual({
    start: 1_699_999_000,
    end: 1_699_999_600,
    step: 10,
    range: null,
  });
});

test.each(["start=5", "start=9&end=3", "start=a&end=b", "start=-1&end=5", "start=1e3&end=9999"])(
  "%s is no part",
  (text) => expect(spanOf(query(text), now).range).toBe("1h"),
);

test("steps give some hundred points, and no finer ones than are kept", () => {
  for (const range of ranges) {
    const points = secondsOf(range) / stepFor(secondsOf(range));
    expect(points).toBeGreaterThanOrEqual(90);
    expect(points).toBeLessThanOrEqual(400);
  }
  expect(stepFor(600, 86_400)).toBe(60);
});

test("times, and the last value that is known", () => {
  expect(timesOf(100, 10, 3)).toEqual([100, 110, 120]);
  expect(lastOf([1, 2, null])).toBe(2);
  expect(lastOf([])).toBeNull();
});
