// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { lineOfRow, byteAt, rowsAbove, thumbOf, visibleLines } from "../../src/lib/log_layout.js";
import type { Line } from "../../src/lib/log_lines.js";
import { mergeLines, tagOf } from "../../src/lib/log_merge.js";
import { readIds, sourcesOf } from "../../src/lib/log_sources.js";
import {
  cellsOf,
  collapse,
  hitsIn,
  isDated,
  levelOf,
  markHits,
  shown,
  spansOf,
  stampOf,
} from "../../src/lib/log_text.js";

let place = 0;
const line = (raw: string, arrived = 0): Line => ({
  offset: place++,
  end: place,
  raw,
  isCut: false,
  arrived,
});

describe("levelOf", () => {
  test.each([
    ["2024-01-02 03:04:05,678 ERROR worker failed", "error"],
    ["INFO 01-02 03:04:05 [engine.py:9] started", "info"],
    ["[2024-01-02 03:04:05] WARNING: slow", "warning"],
    ["E0102 03:04:05.678901 123 x.cc:5] bad", "error"],
    ["0.01.234.567 W load: no memory map", "warning"],
    ['{"ts":1,"level":"error","msg":"x"}', "error"],
    ["time=1 level=warn msg=x", "warning"],
    ["error: unknown argument", "error"],
    ["Traceback (most recent call last):", "error"],
    ["RuntimeError: CUDA out of memory", "error"],
    ["torch.cuda.OutOfMemoryError: x", "error"],
    ["CRITICAL all is lost", "fatal"],
    ["DEBUG x", "debug"],
    ["no error was found", null],
    ["0 errors, 3 warnings", null],
    ["Information about ERRORS in general", null],
  ])("%s", (text, level) => expect(levelOf(text)).toBe(level));
});

describe("stampOf", () => {
  const utc = Date.UTC(2024, 0, 2, 3, 4, 5);
  test("with a zone", () => {
    expect(stampOf("2024-01-02T03:04:05Z x", 2024)).toEqual({ time: utc, length: 21 });
    expect(stampOf("2024-01-02 11:04:05.250 +08:00 x", 2024)).toEqual({
      time: utc + 250,
      length: 31,
    });
  });
  test("ours without one, brackets with it", () => {
    const local = new Date(2024, 0, 2, 3, 4, 5).getTime();
    expect(stampOf("[2024-01-02 03:04:05] x", 2024)).toEqual({ time: local, length: 22 });
    expect(stampOf("[2024-01-02 03:04:05 TP0] x", 2024)).toEqual({ time: local, length: 0 });
    expect(stampOf("INFO 01-02 03:04:05 [a.py:1] x", 2024)).toEqual({ time: local, length: 0 });
  });
  test("since the start, which isn't a date", () => {
    const stamp = stampOf("1.02.345.678 I x", 2024);
    expect(stamp).toEqual({ time: 62_345, length: 13 });
    expect(isDated(stamp)).toBe(false);
  });
  test("none", () => expect(stampOf("step 2024-01-02 03:04:05", 2024)).toBeNull());
});

test("progress lines show their last state", () => {
  expect(collapse("\r10%\r20%\r100%\r")).toEqual({ text: "100%", replaced: 2 });
  expect(collapse("plain")).toEqual({ text: "plain", replaced: 0 });
  expect(shown(line("a\tb\r\x1b[31mc\td"))).toMatchObject({
    plain: "c       d",
    replaced: 1,
    cells: 9,
  });
});
test("columns of a terminal", () => {
  expect([cellsOf("abc"), cellsOf("模型"), cellsOf("é"), cellsOf("🚀")]).toEqual([3, 4, 1, 3]);
});
test("spans without the time, tabs as blanks", () => {
  expect(spansOf(line("12\x1b[31m34\t5"), 3)).toEqual([{ text: "4    5", look: { fg: 1 } }]);
  expect(spansOf(line("plain"), 2)).toEqual([{ text: "ain", look: null }]);
});
describe("search", () => {
  test("any case, no overlap", () => {
    expect(hitsIn("aAAa", "aa")).toEqual([0, 2]);
    expect(hitsIn("x", "")).toEqual([]);
  });
  test("marks go over spans", () => {
    const marked = markHits(
      [
        { text: "one t", look: null },
        { text: "wo two", look: { fg: 1 } },
      ],
      "TWO",
    );
    expect(marked.map((span) => [span.text, span.isHit])).toEqual([
      ["one ", false],
      ["t", true],
      ["wo", true],
      [" ", false],
      ["two", true],
    ]);
  });
});

describe("mergeLines", () => {
  const at = (second: number, text: string) => line(`2024-01-02T03:04:0${second}Z ${text}`);
  const text = (lines: { line: Line; source: number }[]) =>
    lines.map(({ line: one, source }) => `${source}${one.raw.slice(-1)}`);
  test("by their times; what has none stays behind its line", () => {
    const merged = mergeLines([
      { lines: [at(1, "a"), line("b"), at(5, "c")], hasMoreBefore: false },
      { lines: [at(2, "d"), at(4, "e")], hasMoreBefore: false },
    ]);
    expect(text(merged.lines)).toEqual(["0a", "0b", "1d", "1e", "0c"]);
    expect(merged.oldest).toBe(-1);
  });
  test("a stream keeps its own order, whatever its clock does", () => {
    const merged = mergeLines([
      { lines: [at(5, "a"), at(2, "b")], hasMoreBefore: false },
      { lines: [at(3, "c")], hasMoreBefore: false },
    ]);
    expect(text(merged.lines)).toEqual(["1c", "0a", "0b"]);
  });
  test("by arrival without times", () => {
    const merged = mergeLines([
      { lines: [line("a", 10), line("b", 30)], hasMoreBefore: false },
      { lines: [line("c", 20)], hasMoreBefore: false },
    ]);
    expect(text(merged.lines)).toEqual(["0a", "1c", "0b"]);
  });
  test("nothing is shown where a stream that goes further back would come in between", () => {
    const merged = mergeLines([
      { lines: [at(1, "a"), at(6, "b")], hasMoreBefore: true },
      { lines: [at(4, "c"), at(7, "d")], hasMoreBefore: true },
      { lines: [], hasMoreBefore: false },
    ]);
    expect(text(merged.lines)).toEqual(["1c", "0b", "1d"]);
    expect(merged.oldest).toBe(1);
  });
  test("tags", () => expect([tagOf(0), tagOf(25), tagOf(26)]).toEqual(["A", "Z", "A1"]));
});

describe("layout", () => {
  const cells = [5, 25, 0, 10];
  const above = rowsAbove((i) => cells[i] ?? 0, 4, 10);
  test("rows", () => {
    expect([...above]).toEqual([0, 1, 4, 5, 6]);
    expect([...rowsAbove((i) => cells[i] ?? 0, 4, 0)]).toEqual([0, 1, 2, 3, 4]);
    expect([0, 1, 3, 4, 99].map((row) => lineOfRow(above, row))).toEqual([0, 1, 1, 2, 3]);
  });
  test("what is to be in the page", () => {
    expect(visibleLines(above, 18, 18, 18, 0)).toEqual({ first: 1, end: 2 });
    expect(visibleLines(above, 18, 0, 4000)).toEqual({ first: 0, end: 4 });
    expect(
      visibleLines(
        rowsAbove(() => 0, 0, 10),
        18,
        0,
        400,
      ),
    ).toEqual({ first: 0, end: 0 });
  });
  test("the scrollbar stands for bytes", () => {
    expect(thumbOf(0, 1000, 0, 100, 0.05)).toEqual({ top: 0, height: 0.1 });
    expect(thumbOf(0, 1000, 900, 1000, 0.05)).toEqual({ top: 0.9, height: 0.1 });
    expect(thumbOf(0, 5e9, 5e9 - 4000, 5e9, 0.05)).toEqual({ top: 0.95, height: 0.05 });
    expect(byteAt(0.5, 100, 300)).toBe(200);
    expect(byteAt(2, 100, 300)).toBe(300);
  });
});

describe("sources", () => {
  const instance = (more: object) =>
    ({ id: 3, name: "a", ...more }) as unknown as Parameters<typeof sourcesOf>[0];
  test("one, or one per rank", () => {
    expect(sourcesOf(instance({}))).toEqual([{ id: 3, name: "a" }]);
    const gang = {
      main_worker: { worker_id: 1, worker_name: "x" },
      subordinate_workers: [{ worker_id: 2, worker_name: "y" }],
    };
    expect(sourcesOf(instance({ distributed_servers: gang }))).toEqual([
      { id: 3, name: "a 0 x", rank: 0 },
      { id: 3, name: "a 1 y", rank: 1 },
    ]);
  });
  test("numbers in the URL", () => expect(readIds("7,9,x,7,-1,")).toEqual([7, 9]));
});
