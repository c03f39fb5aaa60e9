// SPDX-License-Identifier: Apache-2.0
/*
 * What is typed into the source box: a hub's repository, a path on the workers, a name of the
 * catalog. Pure.
 *
 *     readSource("Qwen/Qwen3-8B-GGUF/qwen3-8b-q4_k_m.gguf")   Hugging Face, with a file
 *     readSource("ms:Qwen/Qwen3-8B")                          ModelScope
 *     readSource("/models/hello.gguf")                        on the workers
 *     readSource("qwen3-8b:Q4_K_M")                           perhaps of the catalog
 */
export type Source =
  | { kind: "none" }
  | { kind: "huggingface"; repo: string; file: string }
  | { kind: "model_scope"; repo: string; file: string }
  | { kind: "local_path"; path: string }
  | { kind: "catalog"; name: string; precision: string };

const urls: [RegExp, "hf:" | "ms:"][] = [
  [/^https?:\/\/(?:www\.)?(?:huggingface\.co|hf\.co)\//, "hf:"],
  [/^https?:\/\/(?:www\.)?modelscope\.cn\/models\//, "ms:"],
];

export function readSource(text: string): Source {
  let rest = text.trim();
  if (rest === "") return { kind: "none" };
  if (rest.startsWith("/")) return { kind: "local_path", path: rest };
  for (const [pattern, prefix] of urls)
    if (pattern.test(rest)) rest = prefix + rest.replace(pattern, "").replace(/[?#].*$/, "");
  const hub = /^(hf|ms):/.exec(rest)?.[1];
  if (hub) rest = rest.slice(3);
  const [owner = "", name = "", ...more] = rest.split("/");
  if (owner && name) {
    if (/^(blob|resolve|tree|file)$/.test(more[0] ?? "")) more.splice(0, 2); // And the branch.
    const file = more.filter((part) => part !== "").join("/");
    return { kind: hub === "ms" ? "model_scope" : "huggingface", repo: `${owner}/${name}`, file };
  }
  if (hub) return { kind: "none" };
  const [wanted = "", precision = ""] = rest.split(":");
  return { kind: "catalog", name: wanted.toLowerCase(), precision };
}

/** As it is typed. */
export function writeSource(source: Source): string {
  switch (source.kind) {
    case "none":
      return "";
    case "local_path":
      return source.path;
    case "catalog":
      return source.precision ? `${source.name}:${source.precision}` : source.name;
    default: {
      const place = source.file ? `${source.repo}/${source.file}` : source.repo;
      return source.kind === "model_scope" ? `ms:${place}` : place;
    }
  }
}

/**
 * A name for clients, of what a model's name may have in it; "" where there is nothing to go
 * by.
 */
export function nameFor(source: Source): string {
  let base = "";
  if (source.kind === "local_path") {
    const parts = source.path.split("/").filter((part) => part !== "");
    base = (parts[parts.length - 1] ?? "").replace(/\.gguf$/i, "");
  } else if (source.kind === "huggingface" || source.kind === "model_scope")
    base = (source.repo.split("/")[1] ?? "").replace(/-GGUF$/i, "");
  else if (source.kind === "catalog") base = source.name;
  return base
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, "-")
    .replace(/^[^a-z0-9]+/, "")
    .slice(0, 128);
}

/** The first of base, base-2, … that isn't taken. */
export function freeName(base: string, taken: ReadonlySet<string>): string {
  if (!base || !taken.has(base)) return base;
  for (let n = 2; ; n++) if (!taken.has(`${base}-${n}`)) return `${base}-${n}`;
}

export function isGguf(source: Source): boolean {
  if (source.kind === "local_path") return /\.gguf$/i.test(source.path);
  if (source.kind === "huggingface" || source.kind === "model_scope")
    return /\.gguf$/i.test(source.file) || /gguf/i.test(source.repo);
  return false;
}
