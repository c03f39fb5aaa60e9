// SPDX-License-Identifier: Apache-2.0
// openai-node against a server: runs what is named on the command line, or all of it, and prints
// what each saw as one JSON line. tests/func/test_conformance_node.py reads them.
//
//     SERVER=http://127.0.0.1:8080 KEY=... node openai.js [NAME]...
import OpenAI from "openai";

const messages = [{ role: "user", content: "Who are you?" }];
const tools = [{ type: "function", function: { name: "add", parameters: {
  type: "object", properties: { a: { type: "integer" }, b: { type: "integer" } },
  required: ["a", "b"] } } }];

function makeClient(apiKey) {
  return new OpenAI({ baseURL: `${process.env.SERVER}/v1`, apiKey, maxRetries: 0,
    timeout: 30000 });
}

const client = makeClient(process.env.KEY);

/** Name, status, code and so on of the error that `call` fails with. */
async function failure(call) {
  try {
    await call();
  } catch (error) {
    return { class: error.constructor.name, status: error.status, code: error.code,
      message: error.message, request: error.requestID };
  }
  throw new Error("it did not fail");
}

async function readAll(stream) {
  const seen = { text: "", chunks: 0, usages: [] };
  for await (const chunk of stream) {
    seen.chunks++;
    seen.text += chunk.choices[0]?.delta.content ?? "";
    if (chunk.usage) seen.usages.push(chunk.usage);
  }
  return seen;
}

async function streamed(body) {
  const { data, request_id } = await client.chat.completions
    .create({ model: "hello", messages, stream: true, ...body }).withResponse();
  return { request: request_id, ...await readAll(data) };
}

async function embedded(body) {
  const { data, request_id } = await client.embeddings
    .create({ model: "vectors", input: ["one", "two words"], ...body }).withResponse();
  return { request: request_id, usage: data.usage, first: data.data[0].embedding,
    count: data.data.length };
}

const scenarios = {
  async chat() {
    const answer = await client.chat.completions.create({ model: "hello", messages });
    return { request: answer._request_id, text: answer.choices[0].message.content,
      usage: answer.usage, model: answer.model };
  },
  streamWithUsage: () => streamed({ stream_options: { include_usage: true } }),
  streamWithoutUsage: () => streamed({}),
  async toolCall() {
    const runner = client.chat.completions.stream({ model: "caller", messages, tools,
      stream_options: { include_usage: true } });
    const answer = await runner.finalChatCompletion();
    const { name, arguments: text } = answer.choices[0].message.tool_calls[0].function;
    return { called: name, arguments: JSON.parse(text), reason: answer.choices[0].finish_reason,
      usage: await runner.totalUsage() };
  },
  async responses() {
    const answer = await client.responses.create({ model: "hello", input: "Who are you?" });
    return { request: answer._request_id, text: answer.output_text, usage: answer.usage };
  },
  embeddings: () => embedded({}),               // asked for as base64, decoded by the client
  floats: () => embedded({ encoding_format: "float" }),
  async models() {
    const names = [];
    for await (const model of client.models.list()) names.push(model.id);
    return { names: names.sort(), one: (await client.models.retrieve("hello")).id };
  },
  /** Leaves a stream that would go on for hours after five chunks. */
  async abort() {
    const controller = new AbortController();
    const { data, request_id } = await client.chat.completions
      .create({ model: "endless", messages, stream: true }, { signal: controller.signal })
      .withResponse();
    let chunks = 0;
    for await (const _ of data) if (++chunks === 5) controller.abort();
    return { request: request_id, chunks };
  },
  /** The same by leaving the loop. */
  async leave() {
    const { data, request_id } = await client.chat.completions
      .create({ model: "endless", messages, stream: true }).withResponse();
    let chunks = 0;
    for await (const _ of data) if (++chunks === 5) break;
    return { request: request_id, chunks };
  },
  /** Gives up before a byte has come. */
  async abortBeforeAnswer() {
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 300);
    return failure(() => client.chat.completions.create({ model: "endless", messages }, {
      signal: controller.signal, headers: { "X-Request-Id": "node-gave-up" } }));
  },
  wrongKey: () => failure(() => makeClient("wrong").models.list()),
  wrongModel: () => failure(() =>
    client.chat.completions.create({ model: "nobody", messages })),
  badRequest: () => failure(() =>
    client.chat.completions.create({ model: "hello", messages, max_tokens: "many" })),
  limited: () => failure(() =>
    makeClient(process.env.POOR_KEY).chat.completions.create({ model: "hello", messages })),
  tooLarge: () => failure(() => client.chat.completions.create({ model: "hello",
    messages: [{ role: "user", content: "x".repeat(8 << 20) }] })),
  /** Many streams at a time. */
  async many() {
    const all = await Promise.all(Array.from({ length: 30 },
      () => streamed({ stream_options: { include_usage: true } })));
    return { requests: all.map((one) => one.request), texts: all.map((one) => one.text),
      usages: all.map((one) => one.usages[0]) };
  },
};

const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(scenarios);
for (const name of names)
  console.log(JSON.stringify({ name, ...await scenarios[name]() }));
