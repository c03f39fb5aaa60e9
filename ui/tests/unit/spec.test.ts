// SPDX-License-Identifier: Apache-2.0
import { parse } from "yaml";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { read, tidy, tokens, translate, words, write } from "../../src/lib/parameters.js";
import { freeName, isGguf, nameFor, readSource, writeSource } from "../../src/lib/sources.js";
import {
  bodyOf,
  commandOf,
  differences,
  draftOf,
  effectOf,
  emptyDraft,
  faultsOf,
  fullBody,
  quote,
} from "../../src/lib/spec.js";
import { baseOf, reckon, settingsOf, sum } from "../../src/lib/vram.js";
import { fromYaml, toYaml } from "../../src/lib/yaml.js";

describe("source box", () => {
  test("knows what was typed", () => {
    expect(readSource(" Qwen/Qwen3-8B ")).toEqual({
      kind: "huggingface",
      repo: "Qwen/Qwen3-8B",
      file: "",
    });
    expect(readSource("https://huggingface.co/a/b-GGUF/blob/main/x/y.gguf")).toEqual({
      kind: "huggingface",
      repo: "a/b-GGUF",
      file: "x/y.gguf",
    });
    expect(readSource("ms:Qwen/Qwen3-8B/a.gguf")).toEqual({
      kind: "model_scope",
      repo: "Qwen/Qwen3-8B",
      file: "a.gguf",
    });
    expect(readSource("https://modelscope.cn/models/Qwen/Qwen3-8B")).toMatchObject({
      kind: "model_scope",
    });
    expect(readSource("/models/hello.gguf")).toEqual({
      kind: "local_path",
      path: "/models/hello.gguf",
    });
    expect(readSource("Qwen3-8b:Q4_K_M")).toEqual({
      kind: "catalog",
      name: "qwen3-8b",
      precision: "Q4_K_M",
    });
    expect(readSource("hf:x")).toEqual({ kind: "none" });
    expect(readSource("")).toEqual({ kind: "none" });
  });
  test("is written as it is read", () => {
    for (const text of ["a/b", "a/b/c.gguf", "ms:a/b", "/x/y", "qwen3-8b:BF16", "qwen3-8b"])
      expect(writeSource(readSource(text))).toBe(text);
  });
  test("names", () => {
    expect(nameFor(readSource("Qwen/Qwen3-8B-GGUF"))).toBe("qwen3-8b");
    expect(nameFor(readSource("/models/My Model (1).gguf"))).toBe("my-model-1-");
    expect(nameFor(readSource("/models/qwen/"))).toBe("qwen");
    expect(freeName("a", new Set(["a", "a-2"]))).toBe("a-3");
    expect(isGguf(readSource("/x/y.GGUF"))).toBe(true);
    expect(isGguf(readSource("Qwen/Qwen3-8B"))).toBe(false);
  });
});

describe("parameters", () => {
  test("are found however they are written", () => {
    expect(read(["--ctx-size 8192"], "llama.cpp", "context")).toBe("8192");
    expect(read(["-c", "4096"], "llama-box", "context")).toBe("4096");
    expect(read(["--max_model_len=1k", "--max-model-len=2k"], "vllm", "context")).toBe("2k");
    expect(read(["--enable-x", "--max-model-len"], "vllm", "context")).toBe("");
  });
  test("are changed where they stand", () => {
    expect(write(["-c", "1", "--x"], "llama.cpp", "context", "2")).toEqual(["--ctx-size=2", "--x"]);
    expect(write(["--x", "--ctx-size=1"], "llama.cpp", "context", "")).toEqual(["--x"]);
    expect(write([], "llama.cpp", "cacheType", "q8_0")).toEqual([
      "--cache-type-k=q8_0",
      "--cache-type-v=q8_0",
      "--flash-attn=on",
    ]);
    expect(write(["--x"], "nobody", "context", "2")).toEqual(["--x"]);
  });
  test("go along to another engine", () => {
    expect(translate(["--ctx-size=8192", "--parallel=4", "--x"], "llama.cpp", "vllm")).toEqual([
      "--x",
      "--max-model-len=8192",
      "--max-num-seqs=4",
    ]);
    expect(translate(["-tp", "4"], "vllm", "MindIE")).toEqual(["--tensor-parallel-size=4"]);
  });
  test("said twice, the last one stays", () => {
    expect(tidy(["--tensor-parallel-size 2", "--x", "-tp=4"], "vllm")).toEqual([
      "--tensor-parallel-size=4",
      "--x",
    ]);
    expect(tidy(["-c", "1"], "llama.cpp")).toEqual(["-c", "1"]);
  });
  test("tokens and words", () => {
    expect([tokens("8192"), tokens("8k"), tokens("32K"), tokens("x")]).toEqual([
      8192,
      8000,
      32768,
      null,
    ]);
    expect(words(["--a b c", "--d=1", "e", " "])).toEqual(["--a", "b c", "--d=1", "e"]);
  });
});

describe("memory", () => {
  const parts = {
    weights: 800,
    cache: 200,
    state: 0,
    compute: 50,
    graphs: 10,
    runtime: 30,
    learned: -40,
  };
  const placement = (engine: string, context: number, tp: number, count: number) => ({
    mode: "on_devices" as const,
    engine,
    tensor_parallel: tp,
    pipeline_parallel: 1,
    layers_offloaded: 0,
    context_length: context,
    candidates: 1,
    ranks: [
      {
        worker: "a",
        worker_id: 1,
        gpu_indexes: [0],
        gpu_bytes: [1],
        ram: 0,
        gpu_parts: Array(count).fill(parts),
      },
    ],
  });
  const vllm = (...list: string[]) => settingsOf("vllm", list);
  test("keys and values grow with the context, and shrink with their type", () => {
    const base = baseOf(placement("vllm", 8192, 1, 1), vllm())!;
    expect(base.parts).toEqual({ weights: 800, cache: 200, compute: 60, overhead: 0 });
    expect(reckon(base, vllm()).parts).toEqual(base.parts);
    expect(reckon(base, vllm("--max-model-len=16384")).parts.cache).toBe(400);
    expect(reckon(base, vllm("--max-model-len 16384", "--kv-cache-dtype=fp8")).parts.cache).toBe(
      200,
    );
  });
  test("tensors are cut over devices", () => {
    const base = baseOf(placement("vllm", 8192, 2, 2), vllm())!;
    const next = reckon(base, vllm("--tensor-parallel-size=4"));
    expect(next.devices).toBe(4);
    expect(next.parts).toMatchObject({ weights: 400, cache: 100, compute: 60 });
    expect(sum(next.parts)).toBe(560);
  });
  test("llama.cpp's context is for all requests, each with a part that is rounded up", () => {
    const llama = (...list: string[]) => settingsOf("llama.cpp", list);
    const base = baseOf(placement("llama.cpp", 1024, 1, 1), llama("--ctx-size=1024"))!;
    const three = llama("--ctx-size=1024", "--parallel=3"); // 1536 cells
    expect(reckon(base, three).parts.cache).toBe(300);
    expect(reckon(base, llama("--ctx-size=4096", "--cache-type-k=q8_0")).parts.cache).toBe(
      (200 * 4 * 17) / 32,
    );
  });
  test("without parts there is nothing to go by", () => {
    expect(baseOf({ ...placement("vllm", 1, 1, 0) }, vllm())).toBeNull();
    expect(baseOf(undefined, vllm())).toBeNull();
  });
});

describe("bodies", () => {
  test("say only what is unusual", () => {
    const draft = { ...emptyDraft(), source: "/m/a.gguf", name: "a" };
    expect(bodyOf(draft)).toEqual({
      name: "a",
      source: "local_path",
      local_path: "/m/a.gguf",
      replicas: 1,
    });
  });
  test("come back as the same draft", () => {
    const body = {
      name: "x",
      source: "huggingface",
      huggingface_repo_id: "a/b",
      huggingface_filename: "c.gguf",
      replicas: 3,
      categories: ["llm"],
      backend: "vllm",
      backend_parameters: ["--a"],
      env: { A: "b" },
      worker_selector: { rack: "1" },
      gpu_selector: { gpu_ids: ["n:npu:0"], gpus_per_replica: 1 },
      cpu_offloading: false,
      token_budget: 5,
      budget_period: "day",
      lora_list: [{ name: "l" }],
    };
    expect(bodyOf(draftOf(body))).toEqual(body);
  });
  test("rubbish is left out", () => {
    expect(draftOf({ name: 3, replicas: "x", env: 4, categories: "llm" })).toEqual(emptyDraft());
  });
});

describe("differences", () => {
  test("nothing said is nothing said", () => {
    expect(differences({ description: "", env: {}, gpu_selector: null }, { env: null })).toEqual(
      [],
    );
    expect(differences({ env: { a: "1", b: "2" } }, { env: { b: "2", a: "1" } })).toEqual([]);
  });
  test("say what they cause", () => {
    const before = fullBody(
      draftOf({ name: "a", source: "local_path", local_path: "/a", replicas: 1 }),
    );
    const after = {
      ...before,
      replicas: 2,
      backend_parameters: ["--x"],
      description: "d",
      name: "b",
    };
    expect(
      Object.fromEntries(differences(before, after).map((one) => [one.field, one.effect])),
    ).toEqual({
      name: "rename",
      replicas: "scale",
      backend_parameters: "rolling",
      description: "none",
    });
  });
  test("as the server does it", () => {
    // Fields that make a new generation, from its own table.
    const table = readFileSync(new URL("../../../src/domain/model.c", import.meta.url), "utf8");
    for (const [, field, flags] of table.matchAll(/\{FIELD\((\w+)\)([^}]*)\}/g))
      expect(effectOf(field ?? "") === "rolling", field).toBe(
        (flags ?? "").includes("FIELD_SETTING"),
      );
  });
});

describe("the same as a command", () => {
  test("of a path", () => {
    const draft = {
      ...emptyDraft(),
      source: "/m/a b.gguf",
      name: "a",
      replicas: 2,
      backend_parameters: ["--ctx-size 4096"],
      env: { A: "it's" },
      description: "x",
    };
    const command = commandOf(draft);
    expect(command?.text.replace(/ \\\n +/g, " ")).toBe(
      `gpustack deploy '/m/a b.gguf' --name a --replicas 2 --env 'A=it'\\''s' -- --ctx-size 4096`,
    );
    expect(command?.missing).toEqual(["description"]);
  });
  test("a hub's repository and an entry of the catalog", () => {
    const draft = { ...emptyDraft(), source: "a/b", name: "x" };
    expect(commandOf(draft)?.text).toContain("gpustack deploy hf:a/b");
    expect(commandOf({ ...draft, source: "ms:a/b/*Q8_0*" })?.text).toContain(
      "gpustack deploy 'ms:a/b/*Q8_0*'",
    );
    expect(commandOf({ ...draft, source: "some-name" })).toBeNull();
    expect(commandOf({ ...draft, catalog: "qwen3-8b:BF16" })?.text).toContain(
      "deploy qwen3-8b:BF16",
    );
    expect(quote("")).toBe("''");
  });
});

describe("yaml", () => {
  test("a parser reads what is written", () => {
    const body = {
      name: "a:b",
      description: "yes",
      n: 3,
      on: true,
      no: null,
      list: ["--a b", "- x", "", "1"],
      env: { A: "x: y", "B C": "#", D: "line\nbreak" },
      sel: { ids: ["a:npu:0"] },
      empty: {},
      none: [],
      objects: [{ a: 1, b: "x" }, { c: ["d"] }],
    };
    expect(parse(toYaml(body))).toEqual(body);
  });
  test("pasted text may be wrong", async () => {
    expect(await fromYaml("name: x\nreplicas: 2")).toEqual({ name: "x", replicas: 2 });
    await expect(fromYaml("- a")).rejects.toThrow("expected an object");
    await expect(fromYaml("a: [")).rejects.toThrow();
  });
});

test("faults of a refusal stand at their fields", () => {
  expect(
    faultsOf(
      "2 errors: name: must be 1-128 letters, digits; backend_parameters[0]: must be a string",
    ),
  ).toEqual({
    name: "must be 1-128 letters, digits",
    backend_parameters: "must be a string",
  });
  expect(faultsOf("there is no such thing")).toEqual({});
});
