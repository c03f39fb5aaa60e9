// SPDX-License-Identifier: Apache-2.0
/* Downloads: how far, how long, whether anything comes, whose. */
import { describe, expect, test } from "vitest";
import type { Schemas } from "../../src/lib/api/client.js";
import {
  Arrivals,
  cacheOf,
  cachesOf,
  canPause,
  canResume,
  canRetry,
  deployPath,
  downloadsOf,
  downloadReasons,
  fetchesOf,
  furthestOf,
  isOpen,
  progressOf,
  sourceOfBody,
  stalled_ms,
  sumOf,
  titleOf,
  weightsOf,
} from "../../src/lib/downloads.js";
import { linesOf, rowsOf } from "../../src/lib/files.js";
import { factsOf } from "../../src/lib/refusals.js";
import { download, modelFile } from "./model_file.js";

function worker(id: number, cache: Record<string, unknown> | null): Schemas["Worker"] {
  return { id, name: `w${id}`, status: { cache } } as unknown as Schemas["Worker"];
}
const disk = (storage_id: string, more: Record<string, unknown> = {}) => ({
  dir: "/cache",
  storage_id,
  total: 1000,
  available: 400,
  ...more,
});

describe("progress", () => {
  test("percent, rate and the time that is left", () => {
    expect(progressOf(download())).toEqual({
      percent: 25,
      downloaded: 250,
      size: 1000,
      rate: 50,
      eta_ms: 15_000,
      isStalled: false,
    });
  });
  test("the server's own time to go goes first", () => {
    expect(progressOf(download({ eta_s: 20 })).eta_ms).toBe(20_000);
  });
  test("stalled when nothing has come for ten seconds: neither rate nor time to go", () => {
    expect(progressOf(download(), stalled_ms - 1).isStalled).toBe(false);
    const stalled = progressOf(download({ eta_s: 20 }), stalled_ms);
    expect(stalled).toMatchObject({ isStalled: true, rate: null, eta_ms: null, percent: 25 });
  });
  test("what isn't being fetched neither stalls nor has a rate", () => {
    for (const state of ["paused", "verifying", "waiting", "error"] as const)
      expect(progressOf(download({ state }), 60_000)).toMatchObject({
        isStalled: false,
        rate: null,
        eta_ms: null,
      });
  });
  test("without a size there is no share, and never 100 % before all is there", () => {
    expect(progressOf(download({ size: null })).percent).toBeNull();
    expect(progressOf(download({ size: 0 })).percent).toBeNull();
    expect(progressOf(download({ downloaded: 1000 })).percent).toBeLessThan(100);
    expect(progressOf(download({ downloaded: 1000, state: "ready" })).percent).toBe(100);
  });
  test("nothing comes: no time to go is made of a rate of 0", () => {
    expect(progressOf(download({ bytes_per_second: 0 })).eta_ms).toBeNull();
  });
  test("several as one", () => {
    const one = progressOf(download());
    const other = progressOf(download({ size: 3000, downloaded: 750, bytes_per_second: 100 }));
    expect(sumOf([one, other])).toEqual({
      percent: 25,
      downloaded: 1000,
      size: 4000,
      rate: 150,
      eta_ms: 22_500,
      isStalled: false,
    });
    expect(sumOf([])).toBeNull();
    const still = progressOf(download(), stalled_ms);
    expect(sumOf([still, one])?.isStalled).toBe(false);
    expect(sumOf([still, still])?.isStalled).toBe(true);
    expect(sumOf([one, progressOf(download({ size: null }))])?.percent).toBeNull();
  });
});

describe("arrivals", () => {
  test("only bytes count, and a new state", () => {
    const arrivals = new Arrivals();
    arrivals.note([download()], 0);
    arrivals.note([download({ updated_at: "later" })], 9_000);
    expect(arrivals.stillFor(1, 11_000)).toBe(11_000);
    arrivals.note([download({ downloaded: 251 })], 12_000);
    expect(arrivals.stillFor(1, 13_000)).toBe(1_000);
    arrivals.note([download({ downloaded: 251, state: "paused" })], 20_000);
    arrivals.note([download({ downloaded: 251 })], 60_000);
    expect(arrivals.stillFor(1, 61_000)).toBe(1_000);
  });
  test("what is gone is forgotten, what is new hasn't stalled", () => {
    const arrivals = new Arrivals();
    arrivals.note([download()], 0);
    arrivals.note([], 1_000);
    expect(arrivals.stillFor(1, 99_000)).toBe(0);
    arrivals.note([modelFile({ id: 7 })], 1_000);
    expect(arrivals.stillFor(7, 99_000)).toBe(0);
  });
});

describe("rows", () => {
  test("what can be done follows from the state", () => {
    expect(canPause(download())).toBe(true);
    expect(canResume(download({ state: "paused" }))).toBe(true);
    expect(canRetry(download({ state: "error" }))).toBe(true);
    for (const state of ["ready", "deleting"] as const) {
      const file = download({ state });
      expect([canPause(file), canResume(file), canRetry(file)]).toEqual([false, false, false]);
    }
    expect(isOpen(download({ state: "ready" }))).toBe(false);
    expect(isOpen(modelFile())).toBe(false);
  });
  test("name and form of a model", () => {
    expect(titleOf(download())).toBe("Qwen/Qwen3-0.6B-GGUF/*Q8_0*");
    expect(deployPath(download())).toBe(
      `/deploy?source=${encodeURIComponent("Qwen/Qwen3-0.6B-GGUF/*Q8_0*")}`,
    );
    const other = download({ source: "model_scope", model_scope_model_id: "a/b" });
    expect(deployPath(other)).toBe(`/deploy?source=${encodeURIComponent("ms:a/b")}`);
    expect(titleOf(modelFile({ local_path: "/m.gguf" }))).toBe("/m.gguf");
  });
  test("downloads and paths of the same id are two rows", () => {
    const rows = rowsOf([download({ id: 3 })], [modelFile({ id: 3 })]);
    expect(rows.map((row) => row.key)).toEqual(["d3", "p3"]);
    expect(rows.map((row) => row.isDownload)).toEqual([true, false]);
  });
  test("below a row: reason, files, how many more", () => {
    const file = download({
      state: "error",
      state_reason: "disk_full",
      state_message: "no room",
      file_count: 3,
      files: [{ name: "a.gguf", size: 10, downloaded: 4 }, { name: "b.gguf" }],
      resolved_paths: ["/cache/a.gguf"],
    });
    expect(linesOf({ key: "d1", file, isDownload: true })).toEqual([
      { key: "reason", kind: "reason", code: "disk_full", message: "no room" },
      { key: "f/a.gguf", kind: "file", name: "a.gguf", size: 10, downloaded: 4 },
      { key: "f/b.gguf", kind: "file", name: "b.gguf", size: 0, downloaded: 0 },
      { key: "more", kind: "more", count: 1 },
    ]);
    const ready = { ...file, state: "ready", state_reason: "none", file_count: 2 } as typeof file;
    expect(linesOf({ key: "d1", file: ready, isDownload: true }).at(-1)).toEqual({
      key: "p//cache/a.gguf",
      kind: "path",
      path: "/cache/a.gguf",
    });
  });
});

describe("whose", () => {
  const models = [{ id: 5, name: "m" }];
  test("an instance waits for what its workers see", () => {
    const mine = download({ id: 1, models, worker_ids: [1, 2] });
    const elsewhere = download({ id: 2, models, worker_ids: [3] });
    const others = download({ id: 3, worker_ids: [1] });
    const files = [mine, elsewhere, others, modelFile({ id: 4, models })];
    expect(downloadsOf({ model_id: 5 }, [2], files)).toEqual([mine]);
    expect(downloadsOf({ model_id: 5 }, [2, 3], files)).toEqual([mine, elsewhere]);
    expect(downloadsOf({ model_id: 5 }, [], files)).toEqual([]);
  });
  test("a storage that workers share is one", () => {
    const caches = cachesOf([
      worker(2, disk("s1")),
      worker(1, disk("s1")),
      worker(3, disk("", { error: "read-only" })),
      worker(4, null),
    ]);
    expect(caches.map((cache) => [cache.id, cache.workers.map((one) => one.id)])).toEqual([
      ["s1", [2, 1]],
      ["worker-3", [3]],
    ]);
    expect(caches[1]?.error).toBe("read-only");
    expect(cacheOf(caches, 1)?.id).toBe("s1");
    expect(cacheOf(caches, 4)).toBeUndefined();
  });
  test("what a place would cause: once for each storage, with what is there", () => {
    const caches = cachesOf([worker(1, disk("s1")), worker(2, disk("s1")), worker(3, disk("s3"))]);
    const source = sourceOfBody({
      source: "huggingface",
      huggingface_repo_id: "Qwen/Qwen3-0.6B-GGUF",
      huggingface_filename: "*Q8_0*",
    });
    const there = download({ state: "ready", worker_ids: [3], worker_id: 3 });
    const places = [1, 2, 3, 4].map((id) => ({ worker: `w${id}`, worker_id: id }));
    const found = fetchesOf(source, places, caches, [there]);
    expect(
      found.map((one) => [one.cache?.id ?? null, one.worker, one.file?.state ?? null]),
    ).toEqual([
      ["s1", "w1", null],
      ["s3", "w3", "ready"],
      [null, "w4", null],
    ]);
    expect(fetchesOf({ kind: "local_path", path: "/x" }, places, caches, [])).toEqual([]);
  });
  test("of several storages the one that is furthest", () => {
    const source = sourceOfBody({
      source: "huggingface",
      huggingface_repo_id: "Qwen/Qwen3-0.6B-GGUF",
      huggingface_filename: "*Q8_0*",
    });
    const a = download({ id: 1, download_progress: 10 });
    const b = download({ id: 2, download_progress: 20 });
    const c = download({ id: 3, download_progress: 0, state: "ready" });
    expect(furthestOf(source, [a, b])).toBe(b);
    expect(furthestOf(source, [a, b, c])).toBe(c);
    expect(furthestOf(sourceOfBody({ source: "local_path" }), [a])).toBeNull();
  });
  test("the size of what is fetched is the weights of one replica", () => {
    const part = (weights: number) => ({ weights }) as Schemas["MemoryParts"];
    const placement = {
      mode: "on_devices",
      ranks: [{ gpu_parts: [part(3), part(4)] }, { gpu_parts: [part(5)] }],
    } as unknown as Schemas["Placement"];
    expect(weightsOf(placement)).toBe(12);
    expect(weightsOf({ ...placement, mode: "on_processor" })).toBeNull();
    expect(weightsOf(null)).toBeNull();
  });
});

describe("words of reasons", () => {
  test("each has a reason and what to do, in both languages", async () => {
    for (const locale of ["en", "zh"]) {
      const { default: words } = (await import(`../../src/i18n/${locale}/reasons.json`)) as {
        default: Record<string, unknown>;
      };
      for (const code of downloadReasons)
        for (const kind of ["state", "advice"])
          expect(words[`reasons.${kind}.${code}`], `${locale} ${kind} ${code}`).toBeTruthy();
    }
  });
  test("facts: room, file, path", () => {
    const figures = { bytes: (value: number) => `${value} B`, duration: String };
    expect(factsOf({ needs: 5, free: 2 }, figures)).toEqual([
      { key: "reasons.fact.memory", args: { needs: "5 B", free: "2 B" } },
    ]);
    expect(factsOf({ file: "a.gguf", path: "/cache" }, figures).map((fact) => fact.key)).toEqual([
      "reasons.fact.path",
      "reasons.fact.file",
    ]);
  });
});
