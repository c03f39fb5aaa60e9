// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { parseAnsi, stripAnsi } from "../../src/lib/ansi.js";

describe("parseAnsi", () => {
  test("colours and weights, until they are taken back", () => {
    expect(parseAnsi("a\x1b[1;31mb\x1b[22mc\x1b[0md")).toEqual([
      { text: "a", look: null },
      { text: "b", look: { isBold: true, fg: 1 } },
      { text: "c", look: { fg: 1 } },
      { text: "d", look: null },
    ]);
  });
  test("bright ones, grounds, no code at all", () => {
    expect(parseAnsi("\x1b[97;104mx\x1b[my")).toEqual([
      { text: "x", look: { fg: 15, bg: 12 } },
      { text: "y", look: null },
    ]);
  });
  test.each([
    ["38;5;9", 9],
    ["38;5;208", "#ff8700"],
    ["38;5;244", "#808080"],
    ["38;2;1;20;300", "#0114ff"],
    ["38:2::1:2:3", "#010203"],
    ["38:5:16", "#000000"],
  ])("colour %s", (codes, fg) => {
    expect(parseAnsi(`\x1b[${codes}mx`)).toEqual([{ text: "x", look: { fg } }]);
  });
  test("a wrong index is no colour, and what follows counts", () => {
    expect(parseAnsi("\x1b[38;5;999;1mx")).toEqual([{ text: "x", look: { isBold: true } }]);
  });
  test("other sequences vanish, also unfinished ones", () => {
    expect(
      stripAnsi("a\x1b[2Kb\x1b]8;;http://x\x1b\\c\x1b]0;title\x07d\x1b[?25le\x1b(Bf\x1b[3"),
    ).toBe("abcdef");
    expect(parseAnsi("\x1b[>4;1mx")).toEqual([{ text: "x", look: null }]);
  });
  test("control characters become signs", () => {
    expect(stripAnsi("a\x00b\x07c\x7f\td")).toBe("a␀b␇c␡\td");
  });
  test("a page of escapes costs no time", () => {
    const start = performance.now();
    stripAnsi("\x1b[".repeat(200_000));
    stripAnsi("\x1b]".repeat(200_000));
    expect(performance.now() - start).toBeLessThan(1000);
  });
});
