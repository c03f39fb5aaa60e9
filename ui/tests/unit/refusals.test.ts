// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import words from "../../src/i18n/en/reasons.json";
import {
  causeOf,
  deviceCounts,
  devicesOf,
  eventTold,
  factsOf,
  funnelOf,
  linesOf,
  wayFigure,
  waysOf,
  wayValue,
  workersOf,
} from "../../src/lib/refusals.js";

const figures = { bytes: (value: number) => `${value} B`, duration: (ms: number) => `${ms} ms` };
const source = (path: string) =>
  readFileSync(new URL(`../../../src/${path}`, import.meta.url), "utf8");
const codes = (path: string, prefix: string) =>
  [...source(path).matchAll(new RegExp(`\\[${prefix}\\w+\\] = "(\\w+)"`, "g"))].map(
    (found) => found[1] ?? "",
  );

describe("every code that the server has is put in words", () => {
  test.each([
    ["state", codes("domain/reason.c", "REASON_"), 30],
    [
      "event",
      codes("domain/event.c", "EVENT_").filter((code) => !["normal", "warning"].includes(code)),
      20,
    ],
    ["refusal", codes("sched/explain.c", "PLACE_DEVICE_"), 8],
    ["filter", codes("sched/constraints.c", "PLACE_").filter((code) => code !== "fits"), 12],
    [
      "wayout",
      [...source("control/ways_out.c").matchAll(/\btell\(search, "(\w+)"/g)].map(
        (found) => found[1] ?? "",
      ),
      9,
    ],
  ])("%s", (kind, all, least) => {
    expect(all.length).toBeGreaterThanOrEqual(least);
    for (const code of all) expect(words, code).toHaveProperty([`reasons.${kind}.${code}`]);
  });
  test("and says what to do", () => {
    for (const code of codes("domain/reason.c", "REASON_"))
      if (code !== "none") expect(words, code).toHaveProperty([`reasons.advice.${code}`]);
  });
});

describe("factsOf", () => {
  test("memory that others have", () => {
    expect(factsOf({ gpu_index: 3, needs: 10, free: 4 }, figures)).toEqual([
      { key: "reasons.fact.device", args: { index: "3" } },
      { key: "reasons.fact.memory", args: { needs: "10 B", free: "4 B" } },
    ]);
  });
  test("an engine that ended, and one that isn't tried again", () => {
    expect(factsOf({ exit_code: 1, log: "last words" }, figures)).toEqual([
      { key: "reasons.fact.exit", args: { code: "1" } },
    ]);
    expect(linesOf({ exit_code: 1, log: "last words" })).toEqual(["last words"]);
    expect(factsOf({ restarts: 5, reason: "engine_exited" }, figures)).toEqual([
      { key: "reasons.fact.restarts", args: { count: 5 } },
    ]);
    expect(causeOf({ reason: "engine_exited" })).toBe("engine_exited");
  });
  test("nothing, and things of the wrong kind", () => {
    expect(factsOf(null, figures)).toEqual([]);
    expect(factsOf({ worker: { a: 1 }, seconds: "x", path: "", exit_code: null }, figures)).toEqual(
      [],
    );
    expect([
      funnelOf({ funnel: "x" }),
      devicesOf({ devices: [3, null] }),
      waysOf({}),
      workersOf({}),
    ]).toEqual([[], [], null, null]);
  });
  test("every fact has words", () => {
    const all = {
      worker: "w",
      rank: 1,
      seconds: 1,
      path: "p",
      backend: "b",
      version: "v",
      source: "s",
      generation: 1,
      by: "n",
      probe: "t",
      first: 1,
      last: 2,
      port: 3,
      errno: 4,
      gpu_index: 0,
      needs: 1,
      free: 0,
      exit_code: 1,
      signal: "s",
      minutes: 3,
      restarts: 2,
    };
    const facts = factsOf(all, figures);
    expect(facts.length).toBe(18);
    for (const { key } of facts) expect(words).toHaveProperty([key]);
  });
});

describe("no place", () => {
  const args = {
    workers: 3,
    funnel: [
      { filter: "engine_missing", refused: 1, left: 2 },
      { filter: "device_memory_short", refused: 2, left: 0 },
    ],
    device_count: 300,
    devices: [
      {
        worker: "a",
        gpu_index: 0,
        code: "memory_short",
        needs: 9,
        free: 4,
        total: 10,
        held_by: "m",
        held: 6,
      },
      {
        worker: "a",
        gpu_index: 1,
        code: "memory_short",
        needs: 9,
        free: 4,
        total: 10,
        held_by: "m",
        held: 6,
      },
      { worker: "a", gpu_index: 2, code: "fits", needs: 9, free: 10, total: 10 },
      {
        worker: "b",
        gpu_index: 0,
        code: "worker_refuses",
        reason: "engine_missing",
        needs: 9,
        free: 4,
        total: 10,
      },
      {
        worker: "b",
        gpu_index: 1,
        code: "worker_refuses",
        reason: "engine_missing",
        needs: 9,
        free: 5,
        total: 10,
      },
    ],
  };
  test("how many workers each filter refuses", () => {
    expect(funnelOf(args)).toEqual([
      { filter: "engine_missing", refused: 1, left: 2 },
      { filter: "device_memory_short", refused: 2, left: 0 },
    ]);
  });
  test("devices with which the same is the matter stand together", () => {
    expect(
      devicesOf(args).map(({ worker, indexes, code, filter, needs, heldBy }) => [
        worker,
        indexes,
        code,
        filter,
        needs,
        heldBy,
      ]),
    ).toEqual([
      ["a", [0, 1], "memory_short", null, 9, "m"],
      ["a", [2], "fits", null, 9, null],
      ["b", [0, 1], "worker_refuses", "engine_missing", null, null],
    ]);
    expect(deviceCounts(args)).toEqual({ told: 5, all: 300 });
  });
  test.each([
    ["shorter_context", "a context of 8192 tokens instead of 40960 (--ctx-size=8192)", 8192],
    ["tensor_parallel", "tensors over 4 devices (--tensor-parallel-size=4)", 4],
    ["drop_label", "ask for any value of label rack instead of 7", "rack"],
    [
      "quantization",
      "files quantised as Q4_K_M or 4 bit (about 4.2 GiB of weights)",
      "Q4_K_M or 4 bit",
    ],
    ["stop_model", "stop model a, b, which holds 3 GiB", "a, b"],
    ["span_workers", "let it run on several workers", "let it run on several workers"],
  ])("way out: %s", (code, message, value) => {
    const [way] = waysOf({ ways_out: [{ code, message, change: { replicas: 1 } }] }) ?? [];
    expect(way && [wayFigure(way), wayValue(way), way.change]).toEqual([
      value,
      String(value),
      { replicas: 1 },
    ]);
  });
});

test("events", () => {
  const told = (code: string, args: Record<string, unknown>) => eventTold(code, args, figures);
  expect(told("failed", { worker: "a", reason: "stalled" })).toEqual([
    { key: "reasons.told.on", args: { worker: "a" } },
    { key: "reasons.state.stalled", args: {} },
  ]);
  expect(told("moved", { from: "a", failures: 2 })).toEqual([
    { key: "reasons.told.movedFrom", args: { worker: "a", count: 2 } },
  ]);
  expect(told("scaled", { from: 1, to: 3 })).toEqual([
    { key: "reasons.told.fromTo", args: { from: "1", to: "3" } },
  ]);
  expect(told("maintenance", { enabled: true, drain: true })).toEqual([
    { key: "reasons.told.maintenanceDrain", args: {} },
  ]);
  expect(told("gang_stopped", { rank: 1, worker: "b" })).toEqual([
    { key: "reasons.told.rank", args: { rank: "1", worker: "b" } },
  ]);
  expect(eventTold("serves", null, figures)).toEqual([]);
});
