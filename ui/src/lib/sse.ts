// SPDX-License-Identifier: Apache-2.0
/*
 * Reads server-sent events from the body of a fetch. EventSource hides comments, which are the
 * heartbeat by which we tell a silent server from a quiet one, and can't send a POST.
 */

export interface ServerEvent {
  event: string;
  data: string;
  id: string;
}

/** Takes text in any pieces, gives whole events. A comment gives an event "" without data. */
export class EventParser {
  #rest = "";
  #event = "";
  #data: string[] = [];
  #id = "";

  push(text: string): ServerEvent[] {
    const out: ServerEvent[] = [];
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? "";
    for (const line of lines) this.#line(line, out);
    return out;
  }

  #line(line: string, out: ServerEvent[]): void {
    if (line === "") {
      if (this.#data.length > 0)
        out.push({ event: this.#event || "message", data: this.#data.join("\n"), id: this.#id });
      this.#event = "";
      this.#data = [];
      return;
    }
    if (line.startsWith(":")) {
      out.push({ event: "", data: "", id: this.#id });
      return;
    }
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") this.#event = value;
    else if (field === "data") this.#data.push(value);
    else if (field === "id") this.#id = value;
  }
}

/** Events of a response, as they come; ends when the body does. */
export async function* readEvents(response: Response): AsyncGenerator<ServerEvent> {
  if (!response.body) return;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  const parser = new EventParser();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield* parser.push(value);
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
