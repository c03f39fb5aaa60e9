// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import {
  AnswerReader,
  categoryOf,
  cosine,
  failureOf,
  noParameters,
  requestOf,
  splitThinking,
  throughput,
  titleOf,
  type Message,
} from "../../src/lib/chat.js";
import { EventParser } from "../../src/lib/sse.js";

const said = (role: Message["role"], text: string): Message => ({ id: text, role, text });
const chunk = (delta: object, rest: object = {}) =>
  JSON.stringify({ choices: [{ index: 0, delta, finish_reason: null, ...rest }] });

describe("the request", () => {
  test("says nothing of what is left to the model", () => {
    expect(requestOf("m", noParameters, [said("user", "Hi")])).toEqual({
      model: "m",
      messages: [{ role: "user", content: "Hi" }],
      stream: true,
      stream_options: { include_usage: true },
    });
  });
  test("has parameters that are set, 0 too, and no empty stop words", () => {
    const request = requestOf(
      "m",
      {
        ...noParameters,
        system: " Be brief. ",
        temperature: 0,
        seed: 7,
        stop: ["", "END"],
        reasoning_effort: "low",
      },
      [said("user", "Hi")],
    );
    expect(request).toMatchObject({
      temperature: 0,
      seed: 7,
      stop: ["END"],
      reasoning_effort: "low",
    });
    expect(request.messages[0]).toEqual({ role: "system", content: "Be brief." });
    expect(request).not.toHaveProperty("top_p");
  });
  test("leaves out answers of which nothing came, and takes pictures along", () => {
    const request = requestOf("m", noParameters, [
      said("user", "One"),
      { ...said("assistant", ""), failure: { status: 503, message: "busy" } },
      { ...said("user", "Two"), images: ["data:image/png;base64,AA=="] },
    ]);
    expect(request.messages).toHaveLength(2);
    expect(request.messages[1]?.content).toEqual([
      { type: "text", text: "Two" },
      { type: "image_url", image_url: { url: "data:image/png;base64,AA==" } },
    ]);
  });
});

describe("thinking", () => {
  const cases: [string, string, string, boolean][] = [
    ["Hello", "", "Hello", false],
    ["<think>hm", "hm", "", true],
    ["<think>hm</thi", "hm", "", true],
    ["\n<think>\nhm\n</think>\n\nYes", "hm", "Yes", false],
    ["hm, so</think>Yes", "hm, so", "Yes", false],
    ["<thi", "", "", false],
    ["a < b and <think>", "", "a < b and <think>", false],
  ];
  test.each(cases)("%j", (text, reasoning, answer, isThinking) => {
    expect(splitThinking(text)).toEqual({ reasoning, text: answer, isThinking });
  });
  test("no prefix of a text shows a tag or half of one", () => {
    const whole = "<think>one two</think>three";
    for (let length = 0; length <= whole.length; length++) {
      const { reasoning, text } = splitThinking(whole.slice(0, length));
      expect(reasoning + text).not.toMatch(/[<>]/);
    }
  });
});

describe("an answer as it comes", () => {
  const stream =
    `: ping\n\ndata: ${chunk({ role: "assistant", content: "" })}\n\n` +
    `data: ${chunk({ reasoning_content: "hm" })}\n\n` +
    `data: ${chunk({ content: "Gr\u00fc\u00dfe" })}\r\n\r\n` +
    `data: ${chunk({ content: " \u{1f389}" })}\n\n` +
    `data: ${chunk({}, { finish_reason: "stop" })}\n\n` +
    `data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":9}}\n\ndata: [DONE]\n\n`;

  test.each([1, 2, 3, 7, 10_000])("in pieces of %i characters", (size) => {
    const reader = new AnswerReader(0);
    const parser = new EventParser();
    for (let at = 0; at < stream.length; at += size)
      for (const { event, data } of parser.push(stream.slice(at, at + size)))
        if (event) reader.take(data, 100);
    reader.end();
    expect(reader.answer).toMatchObject({
      text: "Gr\u00fc\u00dfe \u{1f389}",
      reasoning: "hm",
      isThinking: false,
      finish: "stop",
      failure: null,
    });
    expect(reader.figures()).toMatchObject({
      prompt_tokens: 5,
      completion_tokens: 9,
      is_counted: true,
    });
  });
  test("says how long it took, and how long it thought", () => {
    const reader = new AnswerReader(1000);
    reader.take(chunk({ reasoning: "a" }), 1200);
    reader.take(chunk({ reasoning: "b" }), 1300);
    expect(reader.answer).toMatchObject({ isThinking: true, reasoning: "ab", reasoning_ms: 100 });
    reader.take(chunk({ content: "c" }), 1500);
    reader.take(chunk({ content: "d" }), 2200);
    expect(reader.answer).toMatchObject({ isThinking: false, reasoning_ms: 300, text: "cd" });
    expect(reader.figures(2500)).toEqual({
      first_ms: 200,
      total_ms: 1500,
      prompt_tokens: null,
      completion_tokens: 4,
      is_counted: false,
      tokens_per_second: 3,
    });
  });
  test("times what is thought between tags, too", () => {
    const reader = new AnswerReader(0);
    reader.take(chunk({ content: "<think>" }), 10);
    reader.take(chunk({ content: "hm</think>" }), 60);
    reader.take(chunk({ content: "Yes" }), 110);
    reader.take(chunk({ content: "!" }), 500);
    expect(reader.answer).toMatchObject({ reasoning: "hm", text: "Yes!", reasoning_ms: 100 });
  });
  test("an error event ends it and keeps what came", () => {
    const reader = new AnswerReader(0);
    reader.take(chunk({ content: "Half" }), 1);
    reader.take(`{"error":{"message":"out of memory","code":500}}`, 2);
    reader.end();
    expect(reader.answer).toMatchObject({
      text: "Half",
      failure: { status: 500, message: "out of memory" },
    });
  });
  test("a stream that is broken off is no answer", () => {
    const reader = new AnswerReader(0);
    reader.take(chunk({ content: "Half" }), 1);
    reader.end();
    expect(reader.answer.failure?.message).toContain("ended before");
  });
  test("what can't be read is said", () => {
    const reader = new AnswerReader(0);
    reader.take("<html>", 1);
    reader.take("null", 1);
    expect(reader.answer.failure).toEqual({
      status: 502,
      message: "an event can't be read: <html>",
    });
  });
});

test("errors in all their shapes", () => {
  expect(failureOf(429, { error: { message: "too many", code: 429 } })).toEqual({
    status: 429,
    message: "too many",
  });
  expect(failureOf(400, { message: "no model" }).message).toBe("no model");
  expect(failureOf(400, { error: "bad" }).message).toBe("bad");
  expect(failureOf(503, "").message).toBe("the server answered 503");
  expect(failureOf(422, { detail: [{ loc: ["x"] }] }).message).toBe('[{"loc":["x"]}]');
});

test("tokens a second", () => {
  expect(throughput(11, 100, 1100)).toBe(10);
  expect(throughput(1, 100, 1100)).toBeNull();
  expect(throughput(9, 100, 120)).toBeNull();
  expect(throughput(9, null, 120)).toBeNull();
});

test("small things", () => {
  expect(titleOf([said("user", "  First line\nsecond")])).toBe("First line");
  expect(titleOf([said("user", "x".repeat(99))])).toHaveLength(60);
  expect(cosine([1, 0], [0, 2])).toBe(0);
  expect(cosine([3, 4], [6, 8])).toBeCloseTo(1);
  expect(cosine([0, 0], [1, 1])).toBeNaN();
  expect(categoryOf("x", ["embedding"])).toBe("embedding");
  expect(categoryOf("x", ["image"])).toBe("other");
  expect(categoryOf("bge-reranker-v2", undefined)).toBe("reranker");
  expect(categoryOf("nomic-embed-text", undefined)).toBe("embedding");
  expect(categoryOf("qwen3-8b", [])).toBe("llm");
});
