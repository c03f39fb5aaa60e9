// SPDX-License-Identifier: Apache-2.0
/* Words: complete in both languages, used, and nowhere but in src/i18n. */
import { readdirSync, readFileSync } from "node:fs";
import { parse } from "svelte/compiler";
import { describe, expect, test } from "vitest";
import { fill } from "../../src/lib/i18n.svelte.js";

type Message = string | Record<string, string>;
const src = new URL("../../src/", import.meta.url);

function messagesOf(locale: string): Map<string, Message> {
  const folder = new URL(`i18n/${locale}/`, src);
  const all = new Map<string, Message>();
  for (const file of readdirSync(folder))
    for (const [key, text] of Object.entries(
      JSON.parse(readFileSync(new URL(file, folder), "utf8")) as Record<string, Message>,
    )) {
      expect(key.split(".")[0], `${file}: ${key}`).toBe(file.replace(".json", ""));
      all.set(key, text);
    }
  return all;
}
const en = messagesOf("en");
const zh = messagesOf("zh");
const sources = (readdirSync(src, { recursive: true }) as string[])
  .filter((file) => /\.(svelte|ts)$/.test(file) && !file.endsWith(".d.ts"))
  .map((file) => ({ file, text: withoutComments(readFileSync(new URL(file, src), "utf8")) }));

function withoutComments(text: string): string {
  return text.replace(/<!--[\s\S]*?-->|\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, "");
}

function placeholders(message: Message | undefined): string[] {
  const texts = typeof message === "string" ? [message] : Object.values(message ?? {});
  return [...new Set(texts.flatMap((text) => text.match(/\{\w+\}/g) ?? []))].sort();
}

// Same in both languages on purpose: names, units, signs.
const alike =
  /^[\s\d\p{P}\p{S}]*$|^(?:\{\w+\}|[A-Z][A-Za-z0-9/.-]*|tok\/s|[\s\p{P}\p{S}\d%·×→])*$/u;

describe("words", () => {
  test("both languages have the same keys", () => {
    expect([...zh.keys()].sort()).toEqual([...en.keys()].sort());
  });
  test("both languages put the same things in", () => {
    for (const [key, message] of en)
      expect(placeholders(zh.get(key)), key).toEqual(placeholders(message));
  });
  test("Chinese is Chinese", () => {
    for (const [key, message] of zh)
      for (const text of typeof message === "string" ? [message] : Object.values(message))
        if (!alike.test(text)) expect(text, key).toMatch(/\p{Script=Han}/u);
  });
  test("every message is used", () => {
    const all = sources.map(({ text }) => text).join("\n");
    // Keys made at run time: `area.prefix.${…}` uses all that begin so.
    const made = [...all.matchAll(/[`"]([a-z]+\.(?:[\w-]+\.)*)(?:\$\{|"\s*\+)/g)].map(
      (m) => m[1] ?? "",
    );
    const unused = [...en.keys()].filter(
      (key) => !all.includes(`"${key}"`) && !made.some((prefix) => key.startsWith(prefix)),
    );
    expect(unused).toEqual([]);
  });
  test("every key that is written down exists", () => {
    const areas = new Set([...en.keys()].map((key) => key.split(".")[0]));
    for (const { file, text } of sources)
      for (const [, key] of text.matchAll(/\bt\(\s*"([a-z]+\.[\w.-]+)"/g))
        if (key && areas.has(key.split(".")[0])) expect(en.has(key), `${file}: ${key}`).toBe(true);
  });
  test("no text stands in markup", () => {
    const found: string[] = [];
    for (const { file, text } of sources.filter(({ file }) => file.endsWith(".svelte")))
      walk(parse(text, { modern: true }).fragment, (node, inside) => {
        if (inside === "code" || inside === "kbd" || inside === "title") return;
        if (node.type === "Text" && /\p{L}{2,}/u.test(node.data ?? "") && node.data !== "gpustack")
          found.push(`${file}: ${node.data?.trim()}`);
      });
    expect(found).toEqual([]);
  });
});

interface Node {
  type: string;
  name?: string;
  data?: string;
  [key: string]: unknown;
}
const named = new Set(["title", "label", "placeholder", "alt", "aria-label", "hint", "text"]);

/** Texts of elements and of attributes that people see or hear. */
function walk(node: unknown, see: (node: Node, inside: string) => void, inside = ""): void {
  if (Array.isArray(node)) {
    for (const one of node) walk(one, see, inside);
    return;
  }
  if (typeof node !== "object" || node === null) return;
  const one = node as Node;
  if (one.type === "Attribute") {
    if (named.has(one.name ?? "")) walk(one["value"], see, inside);
    return;
  }
  if (/Directive$/.test(one.type)) return;
  if (one.type === "Text") see(one, inside);
  if (typeof one.type !== "string" && !("nodes" in one)) return;
  const within = /Element$|Component$/.test(one.type ?? "") ? (one.name ?? inside) : inside;
  for (const key of [
    "fragment",
    "nodes",
    "attributes",
    "body",
    "consequent",
    "alternate",
    "fallback",
    "pending",
    "then",
    "catch",
    "value",
  ])
    if (key in one && typeof one[key] === "object") walk(one[key], see, within);
}

describe("fill", () => {
  test("puts arguments in, numbers in the locale's way", () => {
    expect(fill("{n} of {what}", "k", { n: 12345, what: "x" }, "en")).toBe("12,345 of x");
  });
  test("chooses the plural", () => {
    const message = { one: "{count} row", other: "{count} rows" };
    expect(fill(message, "k", { count: 1 }, "en")).toBe("1 row");
    expect(fill(message, "k", { count: 2 }, "en")).toBe("2 rows");
    expect(fill({ other: "{count} 行" }, "k", { count: 1 }, "zh-CN")).toBe("1 行");
  });
  test("shows the key of what is missing", () => {
    expect(fill(undefined, "models.title", {}, "en")).toBe("models.title");
  });
});
