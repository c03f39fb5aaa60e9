// SPDX-License-Identifier: Apache-2.0
/*
 * The one stream of changes (/v2/stream, doc/api-watch.md), kept open and replayed into tables. It
 * runs in a shared worker for all tabs of a browser, or in the page where there is none.
 *
 * What it says is told to subscribers as messages: first everything (`snapshot`), then `changes` in
 * batches, at most ten a second, and `status` whenever that changes.
 */
import { readEvents, type ServerEvent } from "./sse.js";

export type Topic =
  | "api-keys"
  | "events"
  | "model-files"
  | "model-instances"
  | "model-routes"
  | "models"
  | "users"
  | "workers";
export interface Row {
  id: number;
}
export type Status =
  | { state: "connecting" }
  | { state: "live" }
  /** Since when (milliseconds since 1970) nothing new is known. */
  | { state: "reconnecting"; since: number }
  /** Nobody is logged in, or no more. */
  | { state: "refused" };
export type Change = { topic: Topic; id: number; row: Row | null };
export type Message =
  | { kind: "snapshot"; tables: Record<string, Row[]>; isComplete: boolean; status: Status }
  | { kind: "changes"; changes: Change[] }
  | { kind: "status"; status: Status };

const silence_ms = 15_000; // The server's heartbeat comes every 5 s.
const batch_ms = 100;
const longest_pause_ms = 10_000;

export class Feed {
  #tables = new Map<string, Map<number, Row>>();
  #subscribers = new Set<(message: Message) => void>();
  #status: Status = { state: "connecting" };
  #isComplete = false; // What is in #tables was everything once.
  #fresh: Map<string, Map<number, Row>> | null = null; // Filled between reset and ready.
  #changes = new Map<string, Change>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #lastId = "";
  #abort: AbortController | undefined;
  #pause_ms = 0;
  #wake: (() => void) | undefined;
  #isRunning = false;

  constructor(readonly topics: string) {}

  subscribe(tell: (message: Message) => void): () => void {
    this.#subscribers.add(tell);
    // A refusal was for whoever was here before.
    if (!this.#isRunning && this.#status.state === "refused")
      this.#status = { state: "connecting" };
    const tables: Record<string, Row[]> = {};
    for (const [topic, rows] of this.#tables) tables[topic] = [...rows.values()];
    tell({ kind: "snapshot", tables, isComplete: this.#isComplete, status: this.#status });
    if (!this.#isRunning) void this.#run();
    else this.retry();
    return () => {
      this.#subscribers.delete(tell);
      if (this.#subscribers.size === 0) this.#abort?.abort();
    };
  }

  /** Tries at once instead of after the pause. */
  retry(): void {
    this.#wake?.();
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    while (this.#subscribers.size > 0) {
      const isRefused = await this.#read().catch(() => false);
      if (isRefused) {
        this.#tables.clear();
        this.#isComplete = false;
        this.#lastId = "";
        this.#setStatus({ state: "refused" });
        break;
      }
      if (this.#status.state === "live")
        this.#setStatus({ state: "reconnecting", since: Date.now() });
      await this.#wait();
    }
    this.#isRunning = false;
  }

  async #wait(): Promise<void> {
    const pause = this.#pause_ms * (0.5 + Math.random() / 2);
    this.#pause_ms = Math.min(longest_pause_ms, Math.max(250, this.#pause_ms * 2));
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, pause);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = undefined;
  }

  /** One connection, to its end. True: we may not have it. */
  async #read(): Promise<boolean> {
    const abort = new AbortController();
    this.#abort = abort;
    let watchdog = setTimeout(() => abort.abort(), silence_ms);
    const query = this.topics ? `?topics=${this.topics}` : "";
    try {
      const response = await fetch(`/v2/stream${query}`, {
        headers: this.#lastId ? { "Last-Event-ID": this.#lastId } : {},
        signal: abort.signal,
        cache: "no-store",
        credentials: "same-origin",
      });
      if (response.status === 401 || response.status === 403) return true;
      if (!response.ok) return false;
      for await (const event of readEvents(response)) {
        clearTimeout(watchdog);
        watchdog = setTimeout(() => abort.abort(), silence_ms);
        if (event.event === "error") return isRefusal(event.data);
        this.#take(event);
      }
      return false;
    } finally {
      clearTimeout(watchdog);
    }
  }

  #take(event: ServerEvent): void {
    if (event.id) this.#lastId = event.id;
    if (event.event === "reset") this.#fresh = new Map();
    else if (event.event === "ready") this.#ready();
    else if (event.event !== "" && event.event !== "resume") this.#change(event);
  }

  #ready(): void {
    this.#pause_ms = 0;
    if (this.#fresh) {
      this.#tables = this.#fresh;
      this.#fresh = null;
      this.#changes.clear();
      this.#isComplete = true;
      this.#status = { state: "live" };
      const tables: Record<string, Row[]> = {};
      for (const [topic, rows] of this.#tables) tables[topic] = [...rows.values()];
      this.#tell({ kind: "snapshot", tables, isComplete: true, status: this.#status });
    } else this.#setStatus({ state: "live" });
  }

  #change(event: ServerEvent): void {
    const topic = event.event as Topic;
    const { op, id, row } = JSON.parse(event.data) as { op: string; id: number; row?: Row };
    const target = this.#fresh ?? this.#tables;
    let rows = target.get(topic);
    if (!rows) target.set(topic, (rows = new Map()));
    if (op === "put" && row) rows.set(id, row);
    else rows.delete(id);
    if (this.#fresh) return;
    this.#changes.set(`${topic}/${id}`, { topic, id, row: op === "put" && row ? row : null });
    this.#timer ??= setTimeout(() => this.#flush(), batch_ms);
  }

  #flush(): void {
    this.#timer = undefined;
    if (this.#changes.size === 0) return;
    const changes = [...this.#changes.values()];
    this.#changes.clear();
    this.#tell({ kind: "changes", changes });
  }

  #setStatus(status: Status): void {
    this.#status = status;
    this.#tell({ kind: "status", status });
  }

  #tell(message: Message): void {
    for (const tell of this.#subscribers) tell(message);
  }
}

function isRefusal(data: string): boolean {
  try {
    const code = (JSON.parse(data) as { code?: number }).code;
    return code === 401 || code === 403;
  } catch {
    return false;
  }
}
