// SPDX-License-Identifier: Apache-2.0
/* How a model is asked from a program. Pure; the key is a variable, never a real one. */
import { quote } from "./spec.js";
import type { Category } from "./spec.js";

export type Language = "curl" | "python" | "node";
export const languages: Language[] = ["curl", "python", "node"];

interface Call {
  path: string;
  body: Record<string, unknown>;
  python: string[];
  node: string[];
}

const documents = ["A cat is an animal.", "A car is a machine."];

function embed(name: string): Call {
  const model = JSON.stringify(name);
  return {
    path: "/v1/embeddings",
    body: { model: name, input: ["Hello"] },
    python: [
      `reply = client.embeddings.create(model=${model}, input=["Hello"])`,
      "print(len(reply.data[0].embedding))",
    ],
    node: [
      `const reply = await client.embeddings.create({ model: ${model}, input: ["Hello"] });`,
      "console.log(reply.data[0].embedding.length);",
    ],
  };
}

function rerank(name: string): Call {
  const body = { model: name, query: "What is a cat?", documents };
  const text = JSON.stringify(body);
  return {
    path: "/v1/rerank",
    body,
    python: [`reply = client.post("/rerank", cast_to=object, body=${text})`, "print(reply)"],
    node: [`const reply = await client.post("/rerank", { body: ${text} });`, "console.log(reply);"],
  };
}

function chat(name: string): Call {
  const model = JSON.stringify(name);
  return {
    path: "/v1/chat/completions",
    body: { model: name, messages: [{ role: "user", content: "Hello" }] },
    python: [
      "reply = client.chat.completions.create(",
      `    model=${model},`,
      '    messages=[{"role": "user", "content": "Hello"}],',
      ")",
      "print(reply.choices[0].message.content)",
    ],
    node: [
      "const reply = await client.chat.completions.create({",
      `  model: ${model},`,
      '  messages: [{ role: "user", content: "Hello" }],',
      "});",
      "console.log(reply.choices[0].message.content);",
    ],
  };
}

function curl(server: string, call: Call): string[] {
  return [
    `curl ${server}${call.path} \\`,
    '  -H "Authorization: Bearer $GPUSTACK_API_KEY" \\',
    '  -H "Content-Type: application/json" \\',
    `  -d ${quote(JSON.stringify(call.body))}`,
  ];
}

export function sample(
  language: Language,
  server: string,
  name: string,
  category?: Category,
): string {
  const make = category === "embedding" ? embed : category === "reranker" ? rerank : chat;
  const call = make(name);
  const key = "GPUSTACK_API_KEY";
  const lines = {
    curl: curl(server, call),
    python: [
      "import os",
      "from openai import OpenAI",
      "",
      `client = OpenAI(base_url="${server}/v1", api_key=os.environ["${key}"])`,
      ...call.python,
    ],
    node: [
      'import OpenAI from "openai";',
      "",
      "const client = new OpenAI({",
      `  baseURL: "${server}/v1",`,
      `  apiKey: process.env.${key},`,
      "});",
      ...call.node,
    ],
  };
  return lines[language].join("\n");
}
