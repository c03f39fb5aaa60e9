// SPDX-License-Identifier: Apache-2.0
/*
 * What the form's fields are among an engine's parameters. The list of parameters is the one truth:
 * fields read it and write it. Pure.
 *
 *     read(["--ctx-size 8192"], "llama.cpp", "context")             "8192"
 *     write([…], "llama.cpp", "context", "4096")                    the last one counts, others go
 *     translate([…], "llama.cpp", "vllm")                           the same wishes, other words
 */
export const fields = ["context", "slots", "cacheType", "tensorParallel", "layers"] as const;
export type FieldName = (typeof fields)[number];

/** Names of a parameter: the first is what is written. */
type Names = readonly string[];

const tables: Record<string, Partial<Record<FieldName, Names>>> = {
  "llama.cpp": {
    context: ["--ctx-size", "-c"],
    slots: ["--parallel", "-np"],
    cacheType: ["--cache-type-k", "-ctk"],
    layers: ["--n-gpu-layers", "-ngl", "--gpu-layers"],
  },
  vllm: {
    context: ["--max-model-len"],
    slots: ["--max-num-seqs"],
    cacheType: ["--kv-cache-dtype"],
    tensorParallel: ["--tensor-parallel-size", "-tp"],
  },
  sglang: {
    context: ["--context-length"],
    slots: ["--max-running-requests"],
    cacheType: ["--kv-cache-dtype"],
    tensorParallel: ["--tensor-parallel-size", "--tp-size", "--tp"],
  },
  mindie: {
    context: ["--max-seq-len"],
    slots: ["--max-batch-size"],
    tensorParallel: ["--tensor-parallel-size"],
  },
};

const aliases: Record<string, string> = {
  "llama-box": "llama.cpp",
  "llama-server": "llama.cpp",
  MindIE: "mindie",
  "ascend-mindie": "mindie",
  vLLM: "vllm",
  SGLang: "sglang",
};

/** Of the cache of keys and values, first what an engine does when nothing is said. */
const cacheTypes: Record<string, readonly string[]> = {
  "llama.cpp": ["f16", "q8_0", "q5_1", "q4_0"],
  vllm: ["auto", "fp8"],
  sglang: ["auto", "fp8_e5m2", "fp8_e4m3"],
};

export function engineName(name: string): string {
  return aliases[name] ?? name;
}

export function has(engine: string, field: FieldName): boolean {
  return tables[engineName(engine)]?.[field] !== undefined;
}

export function cacheTypesOf(engine: string): readonly string[] {
  return cacheTypes[engineName(engine)] ?? [];
}

/** Bytes of an element, in proportion: 2 is the usual one. */
export function bytesOfType(type: string): number {
  if (/^f32/.test(type)) return 4;
  if (/^fp8|^int8/.test(type)) return 1;
  const blocks: Record<string, number> = {
    q8_0: 34 / 32,
    q5_1: 24 / 32,
    q5_0: 22 / 32,
    q4_1: 20 / 32,
    q4_0: 18 / 32,
    iq4_nl: 18 / 32,
  };
  return blocks[type] ?? 2;
}

// ---- the list ----

interface Found {
  at: number;
  /** How many items it takes. */
  count: number;
  value: string;
}

/** One item may be "--name value", "--name=value" or "--name" with the value in the next. */
function find(list: readonly string[], names: Names): Found[] {
  const found: Found[] = [];
  for (let at = 0; at < list.length; at++) {
    const item = (list[at] ?? "").trim();
    const [, name = "", rest] = /^(-{1,2}[^\s=]+)(?:[\s=]+([\s\S]*))?$/.exec(item) ?? [];
    if (!names.includes(name.replaceAll("_", "-"))) continue;
    const next = list[at + 1]?.trim();
    if (rest !== undefined) found.push({ at, count: 1, value: rest.trim() });
    else if (next !== undefined && !/^--?[a-zA-Z]/.test(next))
      found.push({ at, count: 2, value: next });
  }
  return found;
}

function without(list: readonly string[], names: Names): string[] {
  const gone = new Set<number>();
  for (const { at, count } of find(list, names)) for (let i = 0; i < count; i++) gone.add(at + i);
  return list.filter((_, i) => !gone.has(i));
}

export function read(list: readonly string[], engine: string, field: FieldName): string {
  const names = tables[engineName(engine)]?.[field];
  const found = names ? find(list, names) : [];
  return found[found.length - 1]?.value ?? "";
}

/** "" takes it away. Where it stood there it stays, new ones come last. */
export function write(
  list: readonly string[],
  engine: string,
  field: FieldName,
  value: string,
): string[] {
  const kind = engineName(engine);
  const names = tables[kind]?.[field];
  const name = names?.[0];
  if (!names || !name) return [...list];
  const place = find(list, names)[0]?.at;
  let out = without(list, names);
  if (value !== "") {
    const item = `${name}=${value}`;
    if (place === undefined) out.push(item);
    else out.splice(Math.min(place, out.length), 0, item);
  }
  // Values have a type of their own there, and need flash attention when they are quantised.
  if (kind === "llama.cpp" && field === "cacheType") {
    out = without(out, ["--cache-type-v", "-ctv"]);
    if (value !== "") out.push(`--cache-type-v=${value}`);
    if (bytesOfType(value) < 2) out = [...without(out, ["--flash-attn", "-fa"]), "--flash-attn=on"];
  }
  return out;
}

/** The same context, requests and cut for another engine. What it has no word for goes. */
export function translate(list: readonly string[], from: string, to: string): string[] {
  const [old, next] = [engineName(from), engineName(to)];
  if (old === next || !tables[old]) return [...list];
  let out = [...list];
  for (const field of fields) {
    const value = read(out, old, field);
    if (value === "") continue;
    out = write(out, old, field, "");
    if (field === "cacheType" || field === "layers") continue; // Other engines have other ones.
    out = write(out, next, field, value);
  }
  return out;
}

/** Of what is said twice only what counts. */
export function tidy(list: readonly string[], engine: string): string[] {
  let out = [...list];
  for (const field of fields) {
    const names = tables[engineName(engine)]?.[field];
    if (names && find(out, names).length > 1)
      out = write(out, engine, field, read(out, engine, field));
  }
  return out;
}

/** "8192", "8k" or "32K" as a number; null: neither. */
export function tokens(text: string): number | null {
  const [, digits, unit] = /^(\d+(?:\.\d+)?)\s*([kKmM]?)$/.exec(text.trim()) ?? [];
  if (digits === undefined) return null;
  const factor =
    unit === ""
      ? 1
      : /k/.test(unit ?? "")
        ? 1000
        : unit === "K"
          ? 1024
          : /m/.test(unit ?? "")
            ? 1e6
            : 2 ** 20;
  return Math.round(Number(digits) * factor);
}

/** Every item as one argument of a command line: "--name value" counts as two. */
export function words(list: readonly string[]): string[] {
  return list.flatMap((item) => {
    const text = item.trim();
    const [, name, value] = /^(-{1,2}[^\s=]+)\s+(\S[\s\S]*)$/.exec(text) ?? [];
    return name && value ? [name, value] : text === "" ? [] : [text];
  });
}
