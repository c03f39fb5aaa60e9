// SPDX-License-Identifier: Apache-2.0
/*
 * Conversations that are kept in this browser: their shape, bounds, search, and files of them.
 * Pure; conversations_store.ts puts them into the browser's database.
 */
import { noParameters, type Message, type Parameters } from "./chat.js";

export interface Conversation {
  id: string;
  title: string;
  /** Milliseconds since 1970. */
  updated: number;
  model: string;
  parameters: Parameters;
  messages: Message[];
}

export const bounds = { count: 200, characters: 40_000_000 } as const;

export function newConversation(
  model: string,
  parameters: Parameters = noParameters,
): Conversation {
  return { id: newId(), title: "", updated: Date.now(), model, parameters, messages: [] };
}

/** crypto.randomUUID exists only over https and on localhost. */
export function newId(): string {
  return [...crypto.getRandomValues(new Uint8Array(12))]
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join("");
}

/** About what it takes to keep it. */
export function sizeOf(conversation: Conversation): number {
  return conversation.messages.reduce(
    (sum, message) =>
      sum +
      200 +
      message.text.length +
      (message.reasoning?.length ?? 0) +
      (message.images ?? []).reduce((all, image) => all + image.length, 0),
    500,
  );
}

export function newestFirst(list: readonly Conversation[]): Conversation[] {
  return [...list].sort((a, b) => b.updated - a.updated);
}

/** Those to forget, oldest first, so that the rest keeps within the bounds. Never the newest. */
export function tooMany(
  list: readonly Conversation[],
  most: { count: number; characters: number } = bounds,
): Conversation[] {
  let count = 0;
  let characters = 0;
  const out: Conversation[] = [];
  for (const one of newestFirst(list)) {
    characters += sizeOf(one);
    count++;
    if (count > 1 && (count > most.count || characters > most.characters)) out.unshift(one);
  }
  return out;
}

/** Those that have all words, in their title or what was said. */
export function find(list: readonly Conversation[], search: string): Conversation[] {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return [...list];
  return list.filter((one) => {
    const text = [one.title, one.model, ...one.messages.map((message) => message.text)]
      .join("\n")
      .toLowerCase();
    return words.every((word) => text.includes(word));
  });
}

const kind = "gpustack-conversations";

export function toFile(list: readonly Conversation[]): string {
  return JSON.stringify({ kind, version: 1, conversations: list }, null, 2);
}

type Any = Record<string, unknown>;
const isObject = (value: unknown): value is Any =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const text = (value: unknown) => (typeof value === "string" ? value : "");
const numberOr = (value: unknown) =>
  typeof value === "number" && Number.isFinite(value) ? value : null;

function readMessage(value: unknown): Message | null {
  if (!isObject(value) || (value["role"] !== "user" && value["role"] !== "assistant")) return null;
  const message: Message = { id: newId(), role: value["role"], text: text(value["text"]) };
  const images = Array.isArray(value["images"])
    ? value["images"].filter((image) => /^data:image\//.test(text(image)))
    : [];
  if (images.length > 0) message.images = images as string[];
  for (const name of ["model", "reasoning", "finish"] as const)
    if (text(value[name])) message[name] = text(value[name]);
  const thought = numberOr(value["reasoning_ms"]);
  if (thought !== null) message.reasoning_ms = thought;
  const figures = value["figures"];
  if (isObject(figures) && typeof figures["total_ms"] === "number")
    message.figures = {
      first_ms: numberOr(figures["first_ms"]),
      total_ms: figures["total_ms"],
      prompt_tokens: numberOr(figures["prompt_tokens"]),
      completion_tokens: numberOr(figures["completion_tokens"]) ?? 0,
      is_counted: figures["is_counted"] === true,
      tokens_per_second: numberOr(figures["tokens_per_second"]),
    };
  const failure = value["failure"];
  if (isObject(failure))
    message.failure = {
      status: numberOr(failure["status"]) ?? 0,
      message: text(failure["message"]),
    };
  return message;
}

export function readParameters(value: unknown): Parameters {
  if (!isObject(value)) return noParameters;
  const effort = text(value["reasoning_effort"]);
  return {
    system: text(value["system"]),
    temperature: numberOr(value["temperature"]),
    top_p: numberOr(value["top_p"]),
    max_tokens: numberOr(value["max_tokens"]),
    frequency_penalty: numberOr(value["frequency_penalty"]),
    presence_penalty: numberOr(value["presence_penalty"]),
    seed: numberOr(value["seed"]),
    stop: Array.isArray(value["stop"])
      ? value["stop"].filter((one) => typeof one === "string")
      : [],
    reasoning_effort: ["none", "low", "medium", "high"].includes(effort)
      ? (effort as Parameters["reasoning_effort"])
      : "",
  };
}

/** Of a file that may have been made by hand, or by another version. Null: it is none of ours. */
export function fromFile(content: string): Conversation[] | null {
  let value: unknown;
  try {
    value = JSON.parse(content);
  } catch {
    return null;
  }
  if (!isObject(value) || value["kind"] !== kind || !Array.isArray(value["conversations"]))
    return null;
  const out: Conversation[] = [];
  for (const one of value["conversations"].slice(0, bounds.count)) {
    if (!isObject(one) || !Array.isArray(one["messages"])) continue;
    out.push({
      id: newId(),
      title: text(one["title"]).slice(0, 200),
      updated: numberOr(one["updated"]) ?? Date.now(),
      model: text(one["model"]),
      parameters: readParameters(one["parameters"]),
      messages: one["messages"].map(readMessage).filter((message) => message !== null),
    });
  }
  return out;
}
