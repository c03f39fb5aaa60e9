// SPDX-License-Identifier: Apache-2.0
/* How a model is asked from a program. Pure; the key is a variable, never a real one. */
import type { Category } from "./spec.js";

export type Language = "curl" | "python" | "node";
export const languages: Language[] = ["curl", "python", "node"];

interface Call {
  path: string;
  body: Record<string, unknown>;
  python: string;
  node: string;
}

const hello = [{ role: "user", content: "Hello" }];
const documents = ["A cat is an animal.", "A car is a machine."];

function callOf(name: string, category: Category | undefined): Call {
  const model = JSON.stringify(name);
  switch (category) {
    case "embedding":
      return {
        path: "/v1/embeddings",
        body: { model: name, input: ["Hello"] },
        python: `reply = client.embeddings.create(model=${model}, input=["Hello"])\nprint(len(reply.data[0].embedding))`,
        node: `const reply = await client.embeddings.create({ model: ${model}, input: ["Hello"] });\nconsole.log(reply.data[0].embedding.length);`,
      };
    case "reranker":
      return {
        path: "/v1/rerank",
        body: { model: name, query: "What is a cat?", documents },
        python: `reply = client.post("/rerank", cast_to=object, body={\n    "model": ${model}, "query": "What is a cat?", "documents": ${JSON.stringify(documents)}})\nprint(reply)`,
        node: `const reply = await client.post("/rerank", {\n  body: { model: ${model}, query: "What is a cat?", documents: ${JSON.stringify(documents)} },\n});\nconsole.log(reply);`,
      };
    default:
      return {
        path: "/v1/chat/completions",
        body: { model: name, messages: hello },
        python: `reply = client.chat.completions.create(\n    model=${model},\n    messages=[{"role": "user", "content": "Hello"}],\n)\nprint(reply.choices[0].message.content)`,
        node: `const reply = await client.chat.completions.create({\n  model: ${model},\n  messages: [{ role: "user", content: "Hello" }],\n});\nconsole.log(reply.choices[0].message.content);`,
      };
  }
}

export function sample(
  language: Language,
  server: string,
  name: string,
  category?: Category,
): string {
  const call = callOf(name, category);
  if (language === "curl")
    return `curl ${server}${call.path} \\\n  -H "Authorization: Bearer $GPUSTACK_API_KEY" \\\n  -H "Content-Type: application/json" \\\n  -d '${JSON.stringify(call.body).replaceAll("'", "'\\''")}'`;
  if (language === "python")
    return `import os\nfrom openai import OpenAI\n\nclient = OpenAI(base_url="${server}/v1", api_key=os.environ["GPUSTACK_API_KEY"])\n${call.python}`;
  return `import OpenAI from "openai";\n\nconst client = new OpenAI({\n  baseURL: "${server}/v1",\n  apiKey: process.env.GPUSTACK_API_KEY,\n});\n${call.node}`;
}
