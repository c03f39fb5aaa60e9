// SPDX-License-Identifier: Apache-2.0
/*
 * One answer under way: sends a request, reads the stream, and shows it at most once per frame.
 *
 *     const run = new Run();
 *     await run.start(request);      // true: it ended by itself
 *     run.answer.text, run.figures, run.isBusy
 *     run.stop();
 */
import { AnswerReader, type Answer, type ChatRequest, type Figures } from "./chat.js";
import { call, failureOfError } from "./chat_call.js";
import { readEvents } from "./sse.js";

const raw_most = 200_000; // Characters of the stream that are kept for the raw view.

function nothing(): Answer {
  return {
    text: "",
    reasoning: "",
    isThinking: false,
    reasoning_ms: null,
    finish: null,
    failure: null,
  };
}

export class Run {
  isBusy = $state(false);
  answer = $state.raw<Answer>(nothing());
  figures = $state.raw<Figures | null>(null);
  request = $state.raw<ChatRequest | null>(null);
  #raw = "";
  #reader: AnswerReader | null = null;
  #abort: AbortController | null = null;
  #frame = 0;

  /** The stream as it came, its first 200,000 characters. */
  get raw(): string {
    return this.#raw;
  }

  #show(isOver: boolean): void {
    if (!this.#reader) return;
    this.answer = this.#reader.answer;
    this.figures = this.#reader.figures(isOver ? undefined : performance.now());
  }

  #schedule(): void {
    if (this.#frame) return;
    // A hidden page has no frames; then it is shown when the answer is over.
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      if (this.isBusy) this.#show(false);
    });
  }

  async start(request: ChatRequest): Promise<void> {
    this.stop();
    const abort = new AbortController();
    const reader = new AnswerReader(performance.now());
    this.#abort = abort;
    this.#reader = reader;
    this.#raw = "";
    this.answer = nothing();
    this.figures = null;
    this.request = request;
    this.isBusy = true;
    try {
      const response = await call("/v1/chat/completions", request, abort.signal);
      for await (const { event, data } of readEvents(response)) {
        if (event === "") continue;
        if (this.#raw.length < raw_most) this.#raw += `data: ${data}\n\n`;
        reader.take(data, performance.now());
        if (this.#reader === reader) this.#schedule();
      }
      reader.end();
    } catch (error) {
      if (!abort.signal.aborted) reader.fail(failureOfError(error));
    }
    if (abort.signal.aborted) reader.stop();
    if (this.#reader !== reader) return; // Another one was started meanwhile.
    this.isBusy = false;
    this.#show(true);
  }

  stop(): void {
    this.#abort?.abort();
  }
}
