// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import * as format from "../../src/lib/format.js";
import { found, score, type Entry } from "../../src/lib/palette.js";
import { passwordRules } from "../../src/lib/password.js";
import { readPreferences } from "../../src/lib/preferences.svelte.js";
import { match } from "../../src/lib/router.svelte.js";
import {
  csvLine,
  keepOrder,
  matches,
  readOrder,
  sorted,
  windowOf,
  writeOrder,
} from "../../src/lib/rows.js";
import { EventParser } from "../../src/lib/sse.js";

describe("format", () => {
  test("bytes have three figures", () => {
    expect(format.bytes(0, "en")).toBe("0 B");
    expect(format.bytes(1023, "en")).toBe("1,023 B");
    expect(format.bytes(22.5 * 2 ** 30, "en")).toBe("22.5 GiB");
    expect(format.bytes(640 * 2 ** 30, "en")).toBe("640 GiB");
    expect(format.bytes(null, "en")).toBe("–");
  });
  test("durations have two parts", () => {
    expect(format.duration(850, "en")).toBe("850 ms");
    expect(format.duration(2500, "en")).toBe("2.5 s");
    expect(format.duration(250_000, "en")).toBe("4 min 10 s");
    expect(format.duration(3_600_000, "en")).toBe("1 h");
    expect(format.duration(200_000_000, "en")).toBe("2 d 7 h");
  });
  test("ago", () => {
    expect(format.ago(1_000_000, "en", 1_000_000 + 185_000)).toBe("3 min. ago");
    expect(format.ago("rubbish", "en", 0)).toBe("–");
  });
  test("counts are short in either language", () => {
    expect(format.compact(1_200_000, "en")).toBe("1.2M");
    expect(format.compact(1_200_000, "zh-CN")).toBe("120万");
  });
});

describe("router", () => {
  test("patterns give parameters", () => {
    expect(match("/devices/:id", "/devices/w1%3Anpu%3A0")).toEqual({ id: "w1:npu:0" });
    expect(match("/devices", "/devices/")).toEqual({});
    expect(match("/devices/:id", "/devices")).toBeNull();
    expect(match("/devices/:id", "/devices/%E0%A4%A")).toBeNull();
  });
});

describe("preferences", () => {
  test("what is stored may be rubbish", () => {
    expect(readPreferences("{").theme).toBe("auto");
    expect(readPreferences('{"theme":"pink","density":"compact"}')).toMatchObject({
      theme: "auto",
      density: "compact",
    });
    expect(readPreferences("null").isNavigationNarrow).toBe(false);
  });
});

describe("rows", () => {
  const rows = [
    { n: "b10", v: 2 },
    { n: "b9", v: null },
    { n: "a", v: 7 },
  ];
  test("numbers in names count, nothing stands last both ways", () => {
    expect(sorted(rows, (r) => r.n, false, "en").map((r) => r.n)).toEqual(["a", "b9", "b10"]);
    expect(sorted(rows, (r) => r.v, true, "en").map((r) => r.v)).toEqual([7, 2, null]);
    expect(sorted(rows, (r) => r.v, false, "en").map((r) => r.v)).toEqual([2, 7, null]);
  });
  test("an order is read and written", () => {
    expect(readOrder("-v", ["v"])).toEqual({ column: "v", isDescending: true });
    expect(readOrder("-x", ["v"])).toBeNull();
    expect(writeOrder({ column: "v", isDescending: true })).toBe("-v");
  });
  test("rows keep their places, new ones come last", () => {
    const now = [{ n: 1 }, { n: 2 }, { n: 4 }];
    const before = [{ n: 4 }, { n: 3 }, { n: 1 }];
    expect(keepOrder(before, now, (r) => r.n).map((r) => r.n)).toEqual([4, 1, 2]);
    expect(keepOrder(before, now, (r) => r.n)[0]).toBe(now[2]);
  });
  test("all words must be there", () => {
    expect(matches("qwen3-8b on node1", "node1 QWEN")).toBe(true);
    expect(matches("qwen3-8b", "qwen 9b")).toBe(false);
  });
  test("the window of rows", () => {
    expect(windowOf(1000, 36, 3600, 720, 8)).toEqual({ first: 92, end: 128 });
    expect(windowOf(3, 36, 0, 720, 8)).toEqual({ first: 0, end: 3 });
    expect(windowOf(3, 36, 99999, 720, 8)).toEqual({ first: 2, end: 3 });
    expect(windowOf(0, 36, 0, 720, 8)).toEqual({ first: 0, end: 0 });
  });
  test("CSV quotes, and defuses formulas", () => {
    expect(csvLine(["a,b", 'say "x"', -3, null, "=1+1"])).toBe('"a,b","say ""x""",-3,,\'=1+1\r\n');
  });
});

describe("server-sent events", () => {
  const text =
    'id: 7-1\nevent: models\ndata: {"op":"put"}\n\n: heartbeat\n\ndata: a\ndata: b\r\n\r\n';
  const wanted = [
    { event: "models", data: '{"op":"put"}', id: "7-1" },
    { event: "", data: "", id: "7-1" },
    { event: "message", data: "a\nb", id: "7-1" },
  ];
  test("whole", () => {
    expect(new EventParser().push(text)).toEqual(wanted);
  });
  test("in pieces of any size", () => {
    for (let size = 1; size < 9; size++) {
      const parser = new EventParser();
      const out = [];
      for (let at = 0; at < text.length; at += size)
        out.push(...parser.push(text.slice(at, at + size)));
      expect(out, `pieces of ${size}`).toEqual(wanted);
    }
  });
});

describe("palette", () => {
  const entry = (label: string, group = "g"): Entry => ({
    id: label,
    group,
    label,
    icon: "model",
    run: () => {},
  });
  test("the beginning of words counts more than their inside", () => {
    expect(score("node1", "Node1")).toBe(6);
    expect(score("node1:npu:3", "node1")).toBe(5);
    expect(score("logs of node1", "node")).toBe(4);
    expect(score("anode", "node")).toBe(3);
    expect(score("qwen3-8b", "q8b")).toBe(1);
    expect(score("qwen3-8b", "x")).toBe(0);
  });
  test("things are offered only for words", () => {
    const things = [entry("qwen3-8b", "models")];
    expect(found("", [entry("Overview")], things).map(([group]) => group)).toEqual(["g"]);
    expect(found("qwen", [entry("Overview")], things).map(([group]) => group)).toEqual(["models"]);
  });
});

describe("passwords", () => {
  test("each rule by itself", () => {
    const unmet = (word: string) =>
      passwordRules(word)
        .filter((r) => !r.isMet)
        .map((r) => r.id);
    expect(unmet("Str0ng_Enough")).toEqual([]);
    expect(unmet("weak")).toEqual(["length", "upper", "digit", "special"]);
    expect(unmet("Ü1_aA")).toEqual(["length"]);
  });
});
