// SPDX-License-Identifier: Apache-2.0
/*
 * Conversations in the browser's database, one database per user of this server. Where there is
 * none (private windows of some browsers), all calls throw and the conversation lives
 * in the page only.
 */
import { tooMany, type Conversation } from "./conversations.js";

const table = "conversations";

function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("the browser's database failed"));
  });
}

export class ConversationStore {
  #name: string;
  #database: Promise<IDBDatabase> | null = null;

  constructor(user: number) {
    this.#name = `gpustack-playground-${user}`;
  }

  async #table(mode: IDBTransactionMode): Promise<IDBObjectStore> {
    if (!this.#database) {
      const request = indexedDB.open(this.#name, 1);
      request.onupgradeneeded = () => request.result.createObjectStore(table, { keyPath: "id" });
      this.#database = done(request);
    }
    return (await this.#database).transaction(table, mode).objectStore(table);
  }

  async all(): Promise<Conversation[]> {
    return done((await this.#table("readonly")).getAll() as IDBRequest<Conversation[]>);
  }

  async put(one: Conversation): Promise<void> {
    await done((await this.#table("readwrite")).put(one));
  }

  async remove(id: string): Promise<void> {
    await done((await this.#table("readwrite")).delete(id));
  }

  /** Keeps within the bounds: forgets the oldest. */
  async trim(list: readonly Conversation[]): Promise<string[]> {
    const ids = tooMany(list).map((one) => one.id);
    for (const id of ids) await this.remove(id);
    return ids;
  }
}
