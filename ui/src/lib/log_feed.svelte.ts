// SPDX-License-Identifier: Apache-2.0
/*
 * One log as the page has it: a stretch of it in memory (log_lines.ts), read on at either end, and
 * the stream of what is written now. Whoever shows it says whether it stands at the end.
 *
 *     const feed = new LogFeed(source, run, mostBytes);
 *     await feed.openEnd();  feed.follow();  …  feed.close();
 */
import { ApiError } from "./api/client.js";
import { LogWindow, type Line } from "./log_lines.js";
import { followLog, readLog, type LogPart, type LogSource } from "./log_reader.js";

export const partBytes = 256 << 10;
const flush_ms = 120;
const longestPause_ms = 10_000;

type State =
  | { state: "loading" }
  | { state: "open" }
  /** Nobody has one (yet): the server's words. */
  | { state: "none"; why: string }
  | { state: "failed"; error: unknown };

export class LogFeed {
  lines = $state.raw<readonly Line[]>([]);
  start = $state(0);
  end = $state(0);
  /** Of what is kept. */
  first = $state(0);
  size = $state(0);
  /** -1: not known yet. */
  run = $state(-1);
  status = $state.raw<State>({ state: "loading" });
  isFollowing = $state(false);
  /** The engine has ended: nothing more will come. */
  isEnded = $state(false);

  /** Whether what is new shall push out what is old. */
  isAtEnd = true;

  #part = new LogWindow();
  #abort = new AbortController();
  #stream: AbortController | undefined;
  #isReading = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #pending: { offset: number; bytes: Uint8Array }[] = [];
  #isClosed = false;

  constructor(
    readonly source: LogSource,
    readonly wantedRun: number | null,
    readonly mostBytes: number,
    /** Whether its engine still runs: a stream that ends then was cut, say by the server's restart. */
    readonly isAlive: () => boolean,
  ) {}

  get hasMoreBefore(): boolean {
    return this.start > this.first;
  }
  get hasMoreAfter(): boolean {
    return this.end < this.size;
  }

  close(): void {
    this.#isClosed = true;
    this.#abort.abort();
    this.#stream?.abort();
    clearTimeout(this.#timer);
  }

  // ---- reading ----

  async openEnd(): Promise<void> {
    await this.#open(-partBytes, partBytes);
  }

  /** So that the place is in the middle of what is there. */
  async openAt(offset: number): Promise<void> {
    await this.#open(Math.max(this.first, offset - partBytes / 2), partBytes);
  }

  async #open(offset: number, limit: number): Promise<void> {
    this.#abort.abort();
    this.#abort = new AbortController();
    const { signal } = this.#abort;
    this.#isReading = true;
    try {
      const part = await this.#read(offset, limit, signal);
      this.#part.begin(part.offset, part.bytes, part.offset <= part.first, Date.now());
      this.status = { state: "open" };
      this.#show();
    } catch (error) {
      if (!signal.aborted) this.#fail(error);
    } finally {
      if (!signal.aborted) this.#isReading = false;
    }
  }

  async #read(offset: number, limit: number, signal: AbortSignal): Promise<LogPart> {
    const run = this.run >= 0 ? this.run : this.wantedRun;
    const part = await readLog(this.source, { run, offset, limit }, signal);
    this.run = part.run;
    this.first = part.first;
    this.size = Math.max(part.size, part.offset + part.bytes.length);
    return part;
  }

  #fail(error: unknown): void {
    this.status =
      error instanceof ApiError && (error.status === 409 || error.status === 404)
        ? { state: "none", why: error.message }
        : { state: "failed", error };
  }

  /** More at one end; what is then too much goes at the other. False: there is none now. */
  async more(where: "before" | "after"): Promise<boolean> {
    if (this.#isReading || this.status.state !== "open") return false;
    const isBefore = where === "before";
    if (isBefore ? !this.hasMoreBefore : !this.hasMoreAfter) return false;
    this.#isReading = true;
    const { signal } = this.#abort;
    try {
      const from = isBefore ? Math.max(this.first, this.#part.start - partBytes) : this.#part.end;
      const limit = isBefore ? this.#part.start - from : partBytes;
      const part = await this.#read(from, limit, signal);
      const isTaken = isBefore ? this.#takeBefore(part) : this.#takeAfter(part);
      this.#show();
      return isTaken;
    } catch (error) {
      if (!signal.aborted) this.#fail(error);
      return false;
    } finally {
      if (!signal.aborted) this.#isReading = false;
    }
  }

  /**
   * The oldest part may have been dropped on the worker meanwhile: the answer then begins
   * later.
   */
  #takeBefore(part: LogPart): boolean {
    const left = this.#part.start - part.offset;
    if (left <= 0) return false;
    const bytes = part.bytes.subarray(0, left);
    const isTaken = this.#part.prepend(part.offset, bytes, part.offset <= part.first, Date.now());
    if (isTaken) this.#part.dropEnd(this.mostBytes);
    return isTaken;
  }

  #takeAfter(part: LogPart): boolean {
    const isTaken = this.#part.append(part.offset, part.bytes, Date.now());
    if (isTaken) this.#part.dropStart(this.mostBytes);
    return isTaken;
  }

  #show(): void {
    this.lines = this.#part.lines;
    this.start = this.#part.start;
    this.end = this.#part.end;
  }

  // ---- following ----

  /** Goes on until close() or stopFollowing(). */
  follow(): void {
    if (this.isFollowing || this.#isClosed || this.status.state !== "open") return;
    this.isFollowing = true;
    this.isEnded = false;
    void this.#follow();
  }

  stopFollowing(): void {
    this.isFollowing = false;
    this.#stream?.abort();
  }

  async #follow(): Promise<void> {
    let pause = 500;
    while (this.isFollowing && !this.#isClosed) {
      const stream = new AbortController();
      this.#stream = stream;
      const from = this.size;
      try {
        await followLog(
          this.source,
          { run: this.run, offset: from },
          stream.signal,
          (offset, bytes) => this.#arrive(offset, bytes),
        );
        if (!this.isAlive()) break;
      } catch (error) {
        if (stream.signal.aborted) return;
        // Anything else than an answer may pass.
        if (error instanceof ApiError && error.status < 500 && !this.isAlive()) break;
      }
      if (this.size > from) pause = 500;
      await new Promise((resolve) => setTimeout(resolve, pause));
      pause = Math.min(longestPause_ms, pause * 2);
    }
    if (this.#isClosed || !this.isFollowing) return;
    this.isEnded = true;
    this.isFollowing = false;
  }

  #arrive(offset: number, bytes: Uint8Array): void {
    this.#pending.push({ offset, bytes });
    this.#timer ??= setTimeout(() => this.#flush(), flush_ms);
  }

  #flush(): void {
    this.#timer = undefined;
    const pending = this.#pending;
    this.#pending = [];
    let isChanged = false;
    let { size } = this;
    for (const { offset, bytes } of pending) {
      size = Math.max(size, offset + bytes.length);
      // Who reads further up isn't pushed away; what is left out is read when it is scrolled to.
      const isRoom = this.isAtEnd || this.#part.end - this.#part.start < this.mostBytes;
      if (isRoom && this.#part.append(offset, bytes, Date.now())) isChanged = true;
    }
    this.size = size;
    if (isChanged && this.isAtEnd) this.#part.dropStart(this.mostBytes);
    if (isChanged) this.#show();
  }
}
