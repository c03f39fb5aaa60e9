// SPDX-License-Identifier: Apache-2.0
/* The stream of changes against a fetch whose body the test writes. */
import { afterEach, describe, expect, test, vi } from "vitest";
import { Feed, type Message } from "../../src/lib/feed.js";

interface Connection {
  headers: Record<string, string>;
  say: (text: string) => void;
  end: () => void;
}

function fakeServer(statuses: number[] = []) {
  const connections: Connection[] = [];
  vi.stubGlobal("fetch", (_url: string, options: RequestInit) => {
    const status = statuses.shift() ?? 200;
    let controller!: ReadableStreamDefaultController<Uint8Array>;
    const body = new ReadableStream<Uint8Array>({ start: (c) => void (controller = c) });
    options.signal?.addEventListener("abort", () => controller.error(new Error("aborted")));
    connections.push({
      headers: options.headers as Record<string, string>,
      say: (text) => controller.enqueue(new TextEncoder().encode(text)),
      end: () => controller.close(),
    });
    return Promise.resolve(new Response(status === 200 ? body : null, { status }));
  });
  return connections;
}
const put = (id: number, name: string, seq: number) =>
  `id: x-${seq}\nevent: models\ndata: ${JSON.stringify({ op: "put", id, row: { id, name } })}\n\n`;
const whole = `event: reset\ndata: {}\n\n${put(1, "a", 1)}${put(2, "b", 2)}event: ready\ndata: {}\n\n`;

async function until(condition: () => boolean) {
  await vi.waitFor(() => {
    if (!condition()) throw new Error("not yet");
  }, 4000);
}

afterEach(() => vi.unstubAllGlobals());

describe("feed", () => {
  test("tells everything, then what changes, once per batch", async () => {
    const connections = fakeServer();
    const told: Message[] = [];
    const stop = new Feed("").subscribe((message) => told.push(message));
    await until(() => connections.length === 1);
    connections[0]?.say(whole);
    await until(() => told.some((m) => m.kind === "snapshot" && m.isComplete));
    connections[0]?.say(put(1, "a2", 3) + put(1, "a3", 4));
    connections[0]?.say('event: models\ndata: {"op":"delete","id":2}\n\n');
    await until(() => told.some((m) => m.kind === "changes"));
    const changes = told.filter((m) => m.kind === "changes");
    expect(changes).toEqual([
      {
        kind: "changes",
        changes: [
          { topic: "models", id: 1, row: { id: 1, name: "a3" } },
          { topic: "models", id: 2, row: null },
        ],
      },
    ]);
    stop();
  });
  test("comes back with the last id, keeps the rows meanwhile", async () => {
    const connections = fakeServer();
    const told: Message[] = [];
    const feed = new Feed("");
    const stop = feed.subscribe((message) => told.push(message));
    await until(() => connections.length === 1);
    connections[0]?.say(whole);
    await until(() => told.some((m) => m.kind === "snapshot" && m.isComplete));
    connections[0]?.end();
    await until(() => told.some((m) => m.kind === "status" && m.status.state === "reconnecting"));
    await until(() => connections.length === 2);
    expect(connections[1]?.headers["Last-Event-ID"]).toBe("x-2");
    connections[1]?.say(`event: resume\ndata: {}\n\n${put(3, "c", 5)}event: ready\ndata: {}\n\n`);
    await until(() => told.some((m) => m.kind === "changes"));
    const late: Message[] = [];
    feed.subscribe((message) => late.push(message))();
    expect(late[0]).toMatchObject({ tables: { models: [{ id: 1 }, { id: 2 }, { id: 3 }] } });
    stop();
  });
  test("a refusal ends it and forgets the rows", async () => {
    fakeServer([401]);
    const told: Message[] = [];
    new Feed("").subscribe((message) => told.push(message));
    await until(() => told.some((m) => m.kind === "status" && m.status.state === "refused"));
  });
  test("a refusal was for one user: the next one begins anew", async () => {
    const connections = fakeServer([401]);
    const told: Message[] = [];
    const feed = new Feed("");
    const leave = feed.subscribe((message) => told.push(message));
    await until(() => told.some((m) => m.kind === "status" && m.status.state === "refused"));
    leave();
    const stop = feed.subscribe((message) => told.push(message));
    expect(told.at(-1)).toMatchObject({ kind: "snapshot", status: { state: "connecting" } });
    await until(() => connections.length === 2);
    stop();
  });
});
