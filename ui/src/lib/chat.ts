// SPDX-License-Identifier: Apache-2.0
/*
 * A chat as data: messages, parameters, the request that is made of them, and the answer as it
 * comes in pieces. Pure; the clock is an argument (milliseconds of any origin).
 *
 *     const reader = new AnswerReader(performance.now());
 *     for await (const { event, data } of readEvents(response))
 *       if (event) reader.take(data, performance.now());
 *     reader.end(performance.now());
 *     reader.answer.text
 */

export interface Figures {
  /** Until the first token; null: none came. */
  first_ms: number | null;
  total_ms: number;
  prompt_tokens: number | null;
  completion_tokens: number;
  /** False: completion_tokens are pieces of the stream, the engine has not (yet) said how many. */
  is_counted: boolean;
  /** After the first token; null while there is too little to tell. */
  tokens_per_second: number | null;
}

export interface Failure {
  /** HTTP status, or 0 where there was no answer. */
  status: number;
  message: string;
}

export interface Message {
  id: string;
  role: "user" | "assistant";
  text: string;
  /** Data URLs. */
  images?: string[];
  model?: string;
  reasoning?: string;
  reasoning_ms?: number;
  /** As the engine says it, or "stopped" by the user. */
  finish?: string;
  figures?: Figures;
  failure?: Failure;
}

export interface Parameters {
  system: string;
  temperature: number | null;
  top_p: number | null;
  max_tokens: number | null;
  frequency_penalty: number | null;
  presence_penalty: number | null;
  seed: number | null;
  stop: string[];
  reasoning_effort: "" | "none" | "low" | "medium" | "high";
}

/** The model's own defaults: nothing is sent. */
export const noParameters: Parameters = {
  system: "",
  temperature: null,
  top_p: null,
  max_tokens: null,
  frequency_penalty: null,
  presence_penalty: null,
  seed: null,
  stop: [],
  reasoning_effort: "",
};

export type Part =
  { type: "text"; text: string } | { type: "image_url"; image_url: { url: string } };

export interface ChatRequest {
  model: string;
  messages: { role: "system" | "user" | "assistant"; content: string | Part[] }[];
  stream: true;
  stream_options: { include_usage: true };
  temperature?: number;
  top_p?: number;
  max_tokens?: number;
  frequency_penalty?: number;
  presence_penalty?: number;
  seed?: number;
  stop?: string[];
  reasoning_effort?: string;
}

function contentOf(message: Message): string | Part[] {
  if (!message.images?.length) return message.text;
  const images = message.images.map((url): Part => ({ type: "image_url", image_url: { url } }));
  return message.text ? [{ type: "text", text: message.text }, ...images] : images;
}

/** What is sent. Reasoning isn't sent back, nor answers of which nothing came. */
export function requestOf(model: string, parameters: Parameters, messages: Message[]): ChatRequest {
  const said = messages
    .filter((message) => message.role === "user" || message.text !== "")
    .map((message) => ({ role: message.role, content: contentOf(message) }));
  const system = parameters.system.trim();
  const request: ChatRequest = {
    model,
    messages: system ? [{ role: "system", content: system }, ...said] : said,
    stream: true,
    stream_options: { include_usage: true },
  };
  const numbers = [
    "temperature",
    "top_p",
    "max_tokens",
    "frequency_penalty",
    "presence_penalty",
    "seed",
  ] as const;
  for (const name of numbers) {
    const value = parameters[name];
    if (value !== null && Number.isFinite(value)) request[name] = value;
  }
  const stop = parameters.stop.filter((word) => word !== "");
  if (stop.length > 0) request.stop = stop;
  if (parameters.reasoning_effort) request.reasoning_effort = parameters.reasoning_effort;
  return request;
}

const opening = "<think>";
const closing = "</think>";

/** How much of the end of `text` may be the begin of `tag`. */
function begunTag(text: string, tag: string): number {
  for (let length = Math.min(tag.length - 1, text.length); length > 0; length--)
    if (tag.startsWith(text.slice(-length))) return length;
  return 0;
}

/**
 * Parts what a model thinks aloud from its answer, in a text that may still grow: half a tag at its
 * end belongs to neither. Without an opening tag all before a closing one is thought: some
 * templates open it for the model.
 */
export function splitThinking(text: string): {
  reasoning: string;
  text: string;
  isThinking: boolean;
} {
  const begin = text.trimStart();
  const end = text.indexOf(closing);
  if (begin.startsWith(opening)) {
    const inside = text.slice(text.indexOf(opening) + opening.length);
    const close = inside.indexOf(closing);
    if (close < 0) {
      const whole = inside.slice(0, inside.length - begunTag(inside, closing));
      return { reasoning: whole.trim(), text: "", isThinking: true };
    }
    return {
      reasoning: inside.slice(0, close).trim(),
      text: inside.slice(close + closing.length).trimStart(),
      isThinking: false,
    };
  }
  if (begin !== "" && opening.startsWith(begin))
    return { reasoning: "", text: "", isThinking: false };
  if (end >= 0 && !text.includes(opening))
    return {
      reasoning: text.slice(0, end).trim(),
      text: text.slice(end + closing.length).trimStart(),
      isThinking: false,
    };
  return { reasoning: "", text, isThinking: false };
}

/** Tokens a second: the first token's time is the prompt's. Null below two tokens or 50 ms. */
export function throughput(
  tokens: number,
  first_ms: number | null,
  last_ms: number,
): number | null {
  if (first_ms === null || tokens < 2 || last_ms - first_ms < 50) return null;
  return ((tokens - 1) * 1000) / (last_ms - first_ms);
}

export interface Answer {
  text: string;
  reasoning: string;
  isThinking: boolean;
  reasoning_ms: number | null;
  finish: string | null;
  failure: Failure | null;
}

interface Delta {
  content?: unknown;
  reasoning_content?: unknown;
  reasoning?: unknown;
}
interface Chunk {
  choices?: { delta?: Delta; text?: unknown; finish_reason?: unknown }[];
  usage?: { prompt_tokens?: unknown; completion_tokens?: unknown } | null;
  error?: unknown;
}

/** The message of an error as OpenAI's API and its imitators have it. */
export function failureOf(status: number, body: unknown): Failure {
  const outer = (typeof body === "object" && body !== null ? body : {}) as Record<string, unknown>;
  const inner = (
    typeof outer["error"] === "object" && outer["error"] !== null ? outer["error"] : outer
  ) as Record<string, unknown>;
  const code = Number(inner["code"]);
  const text =
    inner["message"] ?? outer["error"] ?? outer["detail"] ?? (typeof body === "string" ? body : "");
  const message = typeof text === "string" ? text : JSON.stringify(text);
  return {
    status: status === 200 ? (code >= 400 && code < 600 ? code : 502) : status,
    message: message.trim() || `the server answered ${status}`,
  };
}

function asText(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** Reads the chunks of a streamed chat completion. */
export class AnswerReader {
  #content = "";
  #reasoning = "";
  #pieces = 0;
  #start: number;
  #first: number | null = null;
  #last: number;
  #thoughtUntil: number | null = null;
  #finish: string | null = null;
  #failure: Failure | null = null;
  #promptTokens: number | null = null;
  #completionTokens: number | null = null;
  #isComplete = false;

  constructor(now: number) {
    this.#start = this.#last = now;
  }

  /** `data` of one event. What can't be read is an error of the answer, not of ours. */
  take(data: string, now: number): void {
    if (data.trim() === "[DONE]") {
      this.#isComplete = true;
      return;
    }
    let chunk: Chunk;
    try {
      const value: unknown = JSON.parse(data);
      if (typeof value !== "object" || value === null) throw new Error("no object");
      chunk = value as Chunk;
    } catch {
      this.#failure ??= { status: 502, message: `an event can't be read: ${data.slice(0, 200)}` };
      return;
    }
    if (chunk.error) {
      this.#failure ??= failureOf(200, chunk);
      return;
    }
    this.#count(chunk);
    const choice = chunk.choices?.[0];
    if (!choice) return;
    if (typeof choice.finish_reason === "string") this.#finish = choice.finish_reason;
    this.#add(
      asText(choice.delta?.content) || asText(choice.text),
      asText(choice.delta?.reasoning_content) || asText(choice.delta?.reasoning),
      now,
    );
  }

  #count(chunk: Chunk): void {
    const { prompt_tokens: prompt, completion_tokens: completion } = chunk.usage ?? {};
    if (typeof prompt === "number") this.#promptTokens = prompt;
    if (typeof completion === "number") this.#completionTokens = completion;
  }

  #add(content: string, reasoning: string, now: number): void {
    if (content === "" && reasoning === "") return;
    this.#pieces++;
    this.#first ??= now;
    this.#last = now;
    this.#content += content;
    this.#reasoning += reasoning;
    if (this.#thoughtUntil !== null || content === "") return;
    const split = splitThinking(this.#content);
    if (split.text.trim() !== "" && (split.reasoning !== "" || this.#reasoning !== ""))
      this.#thoughtUntil = now;
  }

  /** The stream is over. One that ends without any last word was broken off. */
  end(): void {
    if (this.#failure || this.#isComplete || this.#finish !== null) return;
    this.#failure = { status: 502, message: "the stream ended before the answer was complete" };
  }

  fail(failure: Failure): void {
    this.#failure ??= failure;
  }

  stop(): void {
    this.#finish ??= "stopped";
  }

  get answer(): Answer {
    const split = splitThinking(this.#content);
    const reasoning = [this.#reasoning, split.reasoning].filter(Boolean).join("\n\n");
    const isThinking = split.isThinking || (reasoning !== "" && split.text.trim() === "");
    const until = this.#thoughtUntil ?? this.#last;
    return {
      text: split.text,
      reasoning,
      isThinking,
      reasoning_ms: reasoning && this.#first !== null ? until - this.#first : null,
      finish: this.#finish,
      failure: this.#failure,
    };
  }

  /** `now` while it goes on; without it the last token's time counts. */
  figures(now?: number): Figures {
    const tokens = this.#completionTokens ?? this.#pieces;
    return {
      first_ms: this.#first === null ? null : this.#first - this.#start,
      total_ms: (now ?? this.#last) - this.#start,
      prompt_tokens: this.#promptTokens,
      completion_tokens: tokens,
      is_counted: this.#completionTokens !== null,
      tokens_per_second: throughput(tokens, this.#first, this.#last),
    };
  }
}

/** Into what one would write oneself: a chat named after its first words. */
export function titleOf(messages: Message[]): string {
  const text =
    messages.find((message) => message.role === "user" && message.text.trim())?.text ?? "";
  const line = text.trim().split("\n")[0] ?? "";
  return line.length > 60 ? `${line.slice(0, 59).trimEnd()}\u2026` : line;
}

/** Cosine of the angle between two vectors; NaN when one has no length. */
export function cosine(a: readonly number[], b: readonly number[]): number {
  let dot = 0;
  let lengthA = 0;
  let lengthB = 0;
  for (let i = 0; i < a.length; i++) {
    const x = a[i] ?? 0;
    const y = b[i] ?? 0;
    dot += x * y;
    lengthA += x * x;
    lengthB += y * y;
  }
  return dot / Math.sqrt(lengthA * lengthB);
}

export type Category = "llm" | "embedding" | "reranker" | "other";

/**
 * What a model is for. Only administrators are told its categories; for others the name has to do,
 * so nothing is hidden because of it: it only sorts.
 */
export function categoryOf(name: string, categories: readonly string[] | undefined): Category {
  const known = categories?.find((one) => ["llm", "embedding", "reranker"].includes(one));
  if (known) return known as Category;
  if (categories?.length) return "other";
  if (/rerank/i.test(name)) return "reranker";
  if (/embed|(^|[-_/])(bge|gte|e5)([-_]|$)/i.test(name)) return "embedding";
  return "llm";
}
