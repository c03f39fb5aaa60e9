// SPDX-License-Identifier: Apache-2.0
/*
 * Search in a whole log, by its server: from the end, for the latest is what one mostly looks for,
 * a part at a time until enough places are known. What is in the page is marked by LogView itself.
 */
import { ApiError } from "./api/client.js";
import { searchLog, type LogMatch, type LogSource } from "./log_reader.js";

const partMatches = 500;
const mostMatches = 5000;

export class LogSearch {
  /** In the log's order; null: not asked, or the server can't. */
  matches = $state.raw<LogMatch[] | null>(null);
  /** All from here to the end has been looked through. */
  scannedTo = $state(0);
  isRunning = $state(false);
  /** There may be more before the first one. */
  isCut = $state(false);
  error = $state.raw<unknown>(null);
  #abort: AbortController | undefined;

  stop(): void {
    this.#abort?.abort();
    this.isRunning = false;
  }

  clear(): void {
    this.stop();
    this.matches = null;
    this.error = null;
    this.isCut = false;
  }

  async start(source: LogSource, run: number, q: string): Promise<void> {
    this.clear();
    if (q === "") return;
    const abort = new AbortController();
    this.#abort = abort;
    this.isRunning = true;
    try {
      let from: number | null = null;
      for (;;) {
        const part = await searchLog(source, { q, run, from, limit: partMatches }, abort.signal);
        if (abort.signal.aborted) return;
        this.matches = [...part.matches.toReversed(), ...(this.matches ?? [])];
        this.scannedTo = part.scanned_to;
        this.isCut = !part.complete;
        const isStuck = from !== null && part.scanned_to >= from;
        if (part.complete || isStuck || this.matches.length >= mostMatches) break;
        from = part.scanned_to;
      }
    } catch (error) {
      if (abort.signal.aborted) return;
      // A server without this search: what is loaded is searched all the same.
      if (!(error instanceof ApiError && error.status === 404)) this.error = error;
    }
    this.isRunning = false;
  }
}
