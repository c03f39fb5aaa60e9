// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { lineAt, LogWindow, pieceBytes, splitLines } from "../../src/lib/log_lines.js";

const encode = (text: string) => new TextEncoder().encode(text);
const plain = (part: LogWindow) => part.lines.map(({ offset, end, raw }) => [offset, end, raw]);

/** Numbers that are the same in each run of the tests. */
function random(seed: number): () => number {
  let state = seed;
  return () => (state = (state * 1103515245 + 12345) % 2147483648) / 2147483648;
}
const sample = encode(
  Array.from({ length: 400 }, (_, i) =>
    i % 37 === 5
      ? "长".repeat(1 + ((i * 7919) % 6000))
      : i % 11 === 0
        ? ""
        : `line ${i} ${"x".repeat(i % 90)}`,
  ).join("\n"),
);
const whole = splitLines(sample, 0, 0).map(({ offset, end, raw }) => [offset, end, raw]);

describe("splitLines", () => {
  test("places, CR LF, an unfinished last line", () => {
    const lines = splitLines(encode("a\r\n\nb"), 100, 0);
    expect(lines.map(({ offset, end, raw }) => [offset, end, raw])).toEqual([
      [100, 103, "a"],
      [103, 104, ""],
      [104, 105, "b"],
    ]);
  });
  test("what is no UTF-8 is replaced", () => {
    expect(splitLines(new Uint8Array([97, 0xff, 98, 10]), 0, 0)[0]?.raw).toBe("a\ufffdb");
  });
  test("long lines come in pieces, no character is cut", () => {
    const lines = splitLines(encode(`${"é".repeat(10_001)}\n`), 3, 0);
    expect(lines.length).toBe(3);
    expect(lines.map((line) => line.raw).join("")).toBe("é".repeat(10_001));
    expect(lines.map((line) => line.isCut)).toEqual([true, true, false]);
    expect(Math.abs((lines[1]?.offset ?? 0) - pieceBytes)).toBeLessThan(4);
  });
});

describe("LogWindow", () => {
  test.each([1, 2, 3, 4, 5, 6])("appended in any pieces it is the same (%i)", (seed) => {
    const next = random(seed);
    const part = new LogWindow();
    part.begin(0, new Uint8Array(0), true, 0);
    for (let at = 0; at < sample.length;) {
      const length = 1 + Math.floor(next() * 900);
      expect(part.append(at, sample.subarray(at, at + length), 0)).toBe(true);
      at += length;
    }
    expect(part.end).toBe(sample.length);
    expect(plain(part)).toEqual(whole);
  });
  test.each([1, 2, 3, 4, 5, 6])("read backwards in any pieces no byte is lost (%i)", (seed) => {
    const next = random(seed);
    const part = new LogWindow();
    let at = sample.length - 50;
    part.begin(at, sample.subarray(at), false, 0);
    while (at > 0) {
      const from = Math.max(0, at - 1 - Math.floor(next() * 9000));
      expect(part.prepend(from, sample.subarray(from, at), from === 0, 0)).toBe(true);
      at = from;
    }
    expect(part.start).toBe(0);
    let end = 0;
    for (const line of part.lines) {
      expect(line.offset).toBe(end);
      end = line.end;
    }
    expect(end).toBe(sample.length);
    const text = part.lines
      .map((line) => line.raw + (line.isCut || line.end === sample.length ? "" : "\n"))
      .join("");
    expect(text.replaceAll("\n", "").replaceAll("\ufffd", "").length).toBeGreaterThan(0);
    expect(text.split("\n").filter((line) => line.startsWith("line ")).length).toBe(
      whole.filter(([, , raw]) => String(raw).startsWith("line ")).length,
    );
  });
  test("a beginning in the middle of a line isn't shown before the line is whole", () => {
    const part = new LogWindow();
    part.begin(10, encode("st half\nnext\n"), false, 0);
    expect(plain(part)).toEqual([[18, 23, "next"]]);
    expect(part.start).toBe(10);
    expect(part.prepend(4, encode("the la"), true, 0)).toBe(true);
    expect(plain(part)).toEqual([
      [4, 18, "the last half"],
      [18, 23, "next"],
    ]);
  });
  test("what is here already is left out, a gap isn't taken", () => {
    const part = new LogWindow();
    part.begin(0, encode("ab\ncd"), true, 0);
    expect(part.append(3, encode("cdef\n"), 0)).toBe(true);
    expect(plain(part)).toEqual([
      [0, 3, "ab"],
      [3, 8, "cdef"],
    ]);
    expect(part.append(2, encode("\ncd"), 0)).toBe(false);
    expect(part.append(20, encode("late"), 0)).toBe(false);
    expect(part.prepend(0, encode("x"), true, 0)).toBe(false);
  });
  test("an unfinished line keeps the time at which it began", () => {
    const part = new LogWindow();
    part.begin(0, new Uint8Array(0), true, 0);
    part.append(0, encode("a"), 1000);
    part.append(1, encode("b\nc"), 2000);
    expect(part.lines.map((line) => [line.raw, line.arrived])).toEqual([
      ["ab", 1000],
      ["c", 2000],
    ]);
  });
  test("what is too much goes at either end, whole lines only", () => {
    const bytes = encode(Array.from({ length: 500 }, (_, i) => `line ${i}`).join("\n"));
    const all = splitLines(bytes, 0, 0).map(({ offset, end, raw }) => [offset, end, raw]);
    const part = new LogWindow();
    part.begin(0, bytes, true, 0);
    part.dropStart(2000);
    expect(part.end - part.start).toBeLessThanOrEqual(2000);
    expect(part.lines[0]?.offset).toBe(part.start);
    part.dropEnd(700);
    expect(part.end - part.start).toBeLessThanOrEqual(700);
    const { end } = part;
    expect(part.append(end, bytes.subarray(end), 0)).toBe(true);
    expect(plain(part)).toEqual(all.slice(-part.lines.length));
    part.dropStart(1);
    expect(plain(part)).toEqual(all.slice(-1));
  });
});

test("lineAt", () => {
  const lines = [{ offset: 10 }, { offset: 20 }, { offset: 35 }];
  expect([9, 10, 19, 20, 99].map((offset) => lineAt(lines, offset))).toEqual([-1, 0, 0, 1, 2]);
  expect(lineAt([], 5)).toBe(-1);
});
