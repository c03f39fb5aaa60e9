// SPDX-License-Identifier: Apache-2.0
/*
 * The cluster's rows as they are now, as runes. Filled by one stream for all tabs (feed.ts); a
 * change replaces a table's array once per batch, unchanged rows stay the same objects.
 *
 *     live.models                  Schemas["Model"][]
 *     live.byId.workers.get(3)
 *     live.isComplete              false until everything has been told once
 *     live.status.state            "connecting" | "live" | "reconnecting" | "refused"
 */
import type { Schemas } from "./api/client.js";
import type { ModelFile } from "./downloads.js";
import { Feed, type Message, type Row, type Status } from "./feed.js";
import type { Ask } from "./feed.worker.js";

interface Tables {
  models: Schemas["Model"][];
  instances: Schemas["ModelInstance"][];
  workers: Schemas["Worker"][];
  users: Schemas["User"][];
  keys: Schemas["ApiKey"][];
  routes: Schemas["ModelRoute"][];
  events: Schemas["Event"][];
  files: ModelFile[];
}
type Name = keyof Tables;
type RowOf<N extends Name> = Tables[N][number];

const names: Record<string, Name> = {
  models: "models",
  "model-instances": "instances",
  workers: "workers",
  users: "users",
  "api-keys": "keys",
  "model-routes": "routes",
  events: "events",
  "model-files": "files",
};

class Table<N extends Name> {
  byId = $state.raw<ReadonlyMap<number, RowOf<N>>>(new Map());
  rows = $derived([...this.byId.values()]);
}

const tables = {
  models: new Table<"models">(),
  instances: new Table<"instances">(),
  workers: new Table<"workers">(),
  users: new Table<"users">(),
  keys: new Table<"keys">(),
  routes: new Table<"routes">(),
  events: new Table<"events">(),
  files: new Table<"files">(),
};

let status = $state.raw<Status>({ state: "connecting" });
let isComplete = $state(false);

export const live = {
  get models() {
    return tables.models.rows;
  },
  get instances() {
    return tables.instances.rows;
  },
  get workers() {
    return tables.workers.rows;
  },
  get users() {
    return tables.users.rows;
  },
  /** The caller's own. */
  get keys() {
    return tables.keys.rows;
  },
  get routes() {
    return tables.routes.rows;
  },
  get events() {
    return tables.events.rows;
  },
  /** What workers download; paths that they only look at aren't told here. */
  get files() {
    return tables.files.rows;
  },
  get byId() {
    return {
      models: tables.models.byId,
      instances: tables.instances.byId,
      workers: tables.workers.byId,
      users: tables.users.byId,
      keys: tables.keys.byId,
      routes: tables.routes.byId,
      events: tables.events.byId,
      files: tables.files.byId,
    };
  },
  get status(): Status {
    return status;
  },
  get isComplete(): boolean {
    return isComplete;
  },
};

function put(name: Name, byId: Map<number, Row>): void {
  (tables[name] as { byId: ReadonlyMap<number, Row> }).byId = byId;
}

let refused = () => {};
/** What to do when the stream is refused: nobody is logged in any more, or may have less. */
export function whenRefused(run: () => void): void {
  refused = run;
}

function take(message: Message): void {
  if (message.kind === "status") {
    status = message.status;
    if (status.state === "refused") refused();
  } else if (message.kind === "snapshot") {
    status = message.status;
    isComplete = message.isComplete;
    for (const [topic, name] of Object.entries(names))
      put(name, new Map((message.tables[topic] ?? []).map((row) => [row.id, row])));
  } else {
    const changed = new Map<Name, Map<number, Row>>();
    for (const { topic, id, row } of message.changes) {
      const name = names[topic];
      if (!name) continue;
      let byId = changed.get(name);
      if (!byId) changed.set(name, (byId = new Map<number, Row>(tables[name].byId)));
      if (row) byId.set(id, row);
      else byId.delete(id);
    }
    for (const [name, byId] of changed) put(name, byId);
  }
}

let stop: (() => void) | undefined;
let again: (() => void) | undefined;

/**
 * The worker may see that this tab is gone by its lock: the browser gives it free. Where there are
 * no shared workers or locks (only over https or on localhost), the tab has a stream of its own.
 */
function startShared(topics: string): void {
  const worker = new SharedWorker(new URL("./feed.worker.ts", import.meta.url), {
    type: "module",
    name: "gpustack feed",
  });
  const ask = (what: Ask) => worker.port.postMessage(what);
  const lock = `gpustack-tab-${crypto.randomUUID()}`;
  let release = () => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  void navigator.locks.request(lock, () => {
    ask({ subscribe: topics, lock });
    return held;
  });
  worker.port.onmessage = (event: MessageEvent<Message>) => take(event.data);
  again = () => ask({ retry: true });
  stop = () => {
    ask({ leave: true });
    release();
    worker.port.close();
  };
}

/** After login. Topics as in doc/api-watch.md; "" is all that the caller may see. */
export function startLive(topics = ""): void {
  stopLive();
  if ("SharedWorker" in globalThis && "locks" in navigator) startShared(topics);
  else {
    const feed = new Feed(topics);
    stop = feed.subscribe(take);
    again = () => feed.retry();
  }
}

/** At logout: forgets everything. */
export function stopLive(): void {
  stop?.();
  stop = again = undefined;
  take({ kind: "snapshot", tables: {}, isComplete: false, status: { state: "connecting" } });
}

export function retryLive(): void {
  again?.();
}
if (typeof document !== "undefined") {
  addEventListener("online", retryLive);
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") retryLive();
  });
}
