// SPDX-License-Identifier: Apache-2.0
/*
 * A request as code that makes it, to be copied into a terminal or a program. Pure.
 */
import type { ChatRequest, Part } from "./chat.js";

export const languages = ["curl", "python", "node", "anthropic"] as const;
export type Language = (typeof languages)[number];
export type Operation = "chat" | "embeddings" | "rerank";

export interface Wanted {
  operation: Operation;
  /** The body as it would be sent. */
  body: object;
  /** This server: "http://host:port". */
  origin: string;
  /** Null: it is read from GPUSTACK_API_KEY. */
  key: string | null;
}

const paths: Record<Operation, string> = {
  chat: "/chat/completions",
  embeddings: "/embeddings",
  rerank: "/rerank",
};

/** Data URLs are too long to read: their begin has to do. */
export function shorten<T>(value: T): T {
  if (typeof value === "string" && value.startsWith("data:") && value.length > 120)
    return `${value.slice(0, value.indexOf(",") + 1)}\u2026` as T;
  if (Array.isArray(value)) return value.map(shorten) as T;
  if (typeof value === "object" && value !== null)
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, shorten(v)])) as T;
  return value;
}

function python(value: unknown, indent: string): string {
  if (value === null) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  const deeper = `${indent}    `;
  if (Array.isArray(value)) {
    if (value.length === 0) return "[]";
    return `[\n${value.map((one) => `${deeper}${python(one, deeper)},\n`).join("")}${indent}]`;
  }
  if (typeof value === "object") {
    const members = Object.entries(value as object);
    if (members.length === 0) return "{}";
    return `{\n${members
      .map(([k, v]) => `${deeper}${JSON.stringify(k)}: ${python(v, deeper)},\n`)
      .join("")}${indent}}`;
  }
  return JSON.stringify(value);
}

function keywords(body: object): string {
  return Object.entries(body)
    .map(([name, value]) => `    ${name}=${python(value, "    ")},\n`)
    .join("");
}

/** In single quotes for a shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

function curl({ operation, body, origin, key }: Wanted): string {
  const stream = operation === "chat" ? " -N" : "";
  return [
    `curl${stream} ${origin}/v1${paths[operation]} \\`,
    `  -H "Authorization: Bearer ${key ?? "$GPUSTACK_API_KEY"}" \\`,
    `  -H "Content-Type: application/json" \\`,
    `  -d ${quoted(JSON.stringify(body, null, 2))}`,
    "",
  ].join("\n");
}

function pythonKey(key: string | null): string {
  return key === null ? `os.environ["GPUSTACK_API_KEY"]` : JSON.stringify(key);
}

function pythonHead(module: string, key: string | null): string {
  return `${key === null ? "import os\n\n" : ""}from ${module}\n\n`;
}

function openaiPython({ operation, body, origin, key }: Wanted): string {
  const head =
    pythonHead("openai import OpenAI", key) +
    `client = OpenAI(base_url="${origin}/v1", api_key=${pythonKey(key)})\n`;
  if (operation === "embeddings")
    return (
      `${head}result = client.embeddings.create(\n${keywords(body)})\n` +
      "for item in result.data:\n    print(len(item.embedding), item.embedding[:4])\n"
    );
  if (operation === "rerank")
    return (
      `${head}result = client.post("/rerank", cast_to=object, body=${python(body, "")})\n` +
      `for item in result["results"]:\n    print(item["index"], item["relevance_score"])\n`
    );
  return (
    `${head}stream = client.chat.completions.create(\n${keywords(body)})\nfor chunk in stream:\n` +
    "    if chunk.choices and chunk.choices[0].delta.content:\n" +
    `        print(chunk.choices[0].delta.content, end="", flush=True)\n`
  );
}

function openaiNode({ operation, body, origin, key }: Wanted): string {
  const secret = key === null ? "process.env.GPUSTACK_API_KEY" : JSON.stringify(key);
  const json = JSON.stringify(body, null, 2);
  const head =
    `import OpenAI from "openai";\n\n` +
    `const client = new OpenAI({ baseURL: "${origin}/v1", apiKey: ${secret} });\n`;
  if (operation === "embeddings")
    return (
      `${head}const result = await client.embeddings.create(${json});\n` +
      "for (const { embedding } of result.data)\n" +
      "  console.log(embedding.length, embedding.slice(0, 4));\n"
    );
  if (operation === "rerank")
    return (
      `${head}const result = await client.post("/rerank", { body: ${json} });\n` +
      "for (const { index, relevance_score } of result.results)\n" +
      "  console.log(index, relevance_score);\n"
    );
  return (
    `${head}const stream = await client.chat.completions.create(${json});\n` +
    "for await (const chunk of stream)\n" +
    `  process.stdout.write(chunk.choices[0]?.delta?.content ?? "");\n`
  );
}

interface Block {
  type: "text" | "image";
  [key: string]: unknown;
}

function anthropicPart(part: Part): Block {
  if (part.type === "text") return { type: "text", text: part.text };
  const found = /^data:([^;,]+)(?:;base64)?,(.*)$/s.exec(part.image_url.url);
  const [, type = "image/png", data = ""] = found ?? [];
  return { type: "image", source: { type: "base64", media_type: type, data } };
}

/** The same in Anthropic's shape, which has no seed and no penalties and must have max_tokens. */
export function anthropicBody(request: ChatRequest): Record<string, unknown> {
  const system = request.messages.find((message) => message.role === "system");
  return {
    model: request.model,
    max_tokens: request.max_tokens ?? 1024,
    ...(system ? { system: system.content } : {}),
    ...(request.temperature === undefined ? {} : { temperature: request.temperature }),
    ...(request.top_p === undefined ? {} : { top_p: request.top_p }),
    ...(request.stop ? { stop_sequences: request.stop } : {}),
    messages: request.messages
      .filter((message) => message.role !== "system")
      .map(({ role, content }) => ({
        role,
        content: typeof content === "string" ? content : content.map(anthropicPart),
      })),
  };
}

function shortData(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shortData);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, one]) => [
      name,
      name === "data" && typeof one === "string" && one.length > 80 ? "\u2026" : shortData(one),
    ]),
  );
}

function anthropicPython({ body, origin, key }: Wanted): string {
  const made = shortData(anthropicBody(body as ChatRequest)) as object;
  return (
    pythonHead("anthropic import Anthropic", key) +
    `client = Anthropic(base_url="${origin}", api_key=${pythonKey(key)})\n` +
    `with client.messages.stream(\n${keywords(made)}) as stream:\n` +
    `    for text in stream.text_stream:\n        print(text, end="", flush=True)\n`
  );
}

/** Languages that an operation has: Anthropic's API knows chats only. */
export function languagesOf(operation: Operation): readonly Language[] {
  return operation === "chat" ? languages : languages.filter((one) => one !== "anthropic");
}

export function snippet(language: Language, wanted: Wanted): string {
  if (language === "anthropic") return anthropicPython(wanted);
  const short = { ...wanted, body: shorten(wanted.body) };
  if (language === "python") return openaiPython(short);
  return language === "node" ? openaiNode(short) : curl(short);
}
