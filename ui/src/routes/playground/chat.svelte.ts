// SPDX-License-Identifier: Apache-2.0
/*
 * The chat of this tab. It lives beside the page, so an answer goes on while one looks elsewhere;
 * what was said is kept in the browser (lib/conversations_store.ts).
 */
import { noParameters, requestOf, titleOf, type Message, type Parameters } from "../../lib/chat.js";
import { Run } from "../../lib/chat_run.svelte.js";
import {
  fromFile,
  newConversation,
  newestFirst,
  newId,
  readParameters,
  type Conversation,
} from "../../lib/conversations.js";
import { ConversationStore } from "../../lib/conversations_store.js";
import { toast } from "../../lib/toast.svelte.js";

/** What went over the wire for an answer; only as long as the page is open. */
export interface Wire {
  request: object;
  response: string;
}

function stored(key: string): string {
  try {
    return localStorage.getItem(key) ?? "";
  } catch {
    return "";
  }
}
function keep(key: string, value: string): void {
  try {
    if (value) localStorage.setItem(key, value);
    else localStorage.removeItem(key);
  } catch {
    // It then holds for this page only.
  }
}

export class Chat {
  readonly run = new Run();
  readonly wires = new Map<string, Wire>();
  list = $state.raw<Conversation[]>([]);
  current = $state.raw<Conversation>(newConversation(""));
  images = $state.raw<string[]>([]);
  /** The text of the last finished answer, for screen readers. */
  finished = $state("");
  #draft = $state("");
  #store: ConversationStore;
  #keys: { draft: string; current: string; parameters: string };

  constructor(user: number) {
    this.#store = new ConversationStore(user);
    const key = (name: string) => `gpustack.playground.${name}.${user}`;
    this.#keys = { draft: key("draft"), current: key("current"), parameters: key("parameters") };
    this.#draft = stored(this.#keys.draft);
    this.current = newConversation("", this.#lastParameters());
    void this.#open();
  }

  #lastParameters(): Parameters {
    try {
      return readParameters(JSON.parse(stored(this.#keys.parameters) || "null"));
    } catch {
      return noParameters;
    }
  }

  async #open(): Promise<void> {
    try {
      this.list = newestFirst(await this.#store.all());
    } catch {
      return; // No database: conversations last as long as the page.
    }
    const last = this.list.find((one) => one.id === stored(this.#keys.current));
    if (last && this.current.messages.length === 0 && !this.run.isBusy) this.current = last;
  }

  get draft(): string {
    return this.#draft;
  }
  set draft(text: string) {
    this.#draft = text;
    keep(this.#keys.draft, text);
  }

  get messages(): Message[] {
    return this.current.messages;
  }

  #save(changes: Partial<Conversation>): void {
    const title = this.current.title || titleOf(changes.messages ?? this.current.messages);
    this.current = { ...this.current, title, updated: Date.now(), ...changes };
    if (this.current.messages.length > 0) void this.#write(this.current);
  }

  async #write(one: Conversation): Promise<void> {
    this.list = newestFirst([one, ...this.list.filter((other) => other.id !== one.id)]);
    keep(this.#keys.current, this.current.id);
    try {
      await this.#store.put(one);
      const gone = new Set(await this.#store.trim(this.list));
      if (gone.size > 0) this.list = this.list.filter((other) => !gone.has(other.id));
    } catch (error) {
      if (this.list.length === 1) toast.failed(error); // Once; the chat itself goes on.
    }
  }

  set parameters(parameters: Parameters) {
    keep(this.#keys.parameters, JSON.stringify(parameters));
    this.current = { ...this.current, parameters };
  }
  get parameters(): Parameters {
    return this.current.parameters;
  }

  set model(model: string) {
    if (model !== this.current.model) this.current = { ...this.current, model };
  }

  /** Says the draft and lets the model answer. */
  send(): void {
    const text = this.draft.trim();
    if (this.run.isBusy || (text === "" && this.images.length === 0)) return;
    const message: Message = { id: newId(), role: "user", text };
    if (this.images.length > 0) message.images = this.images;
    this.draft = "";
    this.images = [];
    this.#save({ messages: [...this.messages, message] });
    void this.answer();
  }

  /** Answers the last message. */
  async answer(): Promise<void> {
    const { id, model, parameters, messages } = this.current;
    const request = requestOf(model, parameters, messages);
    await this.run.start(request);
    const { answer, figures } = this.run;
    const message: Message = { id: newId(), role: "assistant", text: answer.text, model };
    if (answer.reasoning) message.reasoning = answer.reasoning;
    if (answer.reasoning_ms !== null) message.reasoning_ms = answer.reasoning_ms;
    if (answer.finish) message.finish = answer.finish;
    if (answer.failure) message.failure = answer.failure;
    if (figures) message.figures = figures;
    this.wires.set(message.id, { request, response: this.run.raw });
    if (this.current.id === id) {
      this.#save({ messages: [...this.messages, message] });
      this.finished = answer.text;
    } else {
      const other = this.list.find((one) => one.id === id);
      if (other) await this.#write({ ...other, messages: [...other.messages, message] });
    }
  }

  /** Again from a message on: an answer is made anew, one's own words are replaced. */
  again(at: number, text?: string): void {
    if (this.run.isBusy) return;
    const message = this.messages[at];
    if (!message) return;
    const before = this.messages.slice(0, at);
    const kept =
      message.role === "user" ? [...before, { ...message, text: text ?? message.text }] : before;
    this.#save({ messages: kept });
    void this.answer();
  }

  remove(at: number): void {
    this.#save({ messages: this.messages.toSpliced(at, 1) });
  }

  begin(): void {
    this.run.stop();
    this.current = newConversation(this.current.model, this.current.parameters);
    keep(this.#keys.current, "");
  }

  open(id: string): void {
    const found = this.list.find((one) => one.id === id);
    if (!found || id === this.current.id) return;
    this.run.stop();
    this.current = found;
    keep(this.#keys.current, id);
  }

  rename(id: string, title: string): void {
    const found = this.list.find((one) => one.id === id);
    if (!found || !title.trim()) return;
    const renamed = { ...found, title: title.trim() };
    if (id === this.current.id) this.current = renamed;
    void this.#write(renamed);
  }

  async forget(id: string): Promise<void> {
    if (id === this.current.id) this.begin();
    this.list = this.list.filter((one) => one.id !== id);
    await this.#store.remove(id).catch(() => undefined);
  }

  /** How many were taken from a file, or null when it is none of ours. */
  async import(content: string): Promise<number | null> {
    const found = fromFile(content);
    if (!found) return null;
    for (const one of found) await this.#write(one);
    return found.length;
  }
}

let chat: { user: number; chat: Chat } | null = null;

/** One for the user who is logged in now. */
export function chatOf(user: number): Chat {
  if (chat?.user !== user) {
    chat?.chat.run.stop();
    chat = { user, chat: new Chat(user) };
  }
  return chat.chat;
}
