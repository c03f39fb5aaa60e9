// SPDX-License-Identifier: Apache-2.0
/*
 * Replicas of models that are changed in place: shown at once, sent a moment after the last click
 * with the version that was seen, taken back when the server refuses.
 *
 *     replicas.of(model)            what is wanted now, sent or not
 *     replicas.set(model, 3)
 */
import { SvelteMap } from "svelte/reactivity";
import { live } from "./live.svelte.js";
import type { Model } from "./models.js";
import { api, ask } from "./session.svelte.js";
import { toast } from "./toast.svelte.js";

const pause_ms = 450;
const wanted = new SvelteMap<number, number>();
const timers = new Map<number, ReturnType<typeof setTimeout>>();

async function send(id: number): Promise<void> {
  const model = live.byId.models.get(id);
  const count = wanted.get(id);
  timers.delete(id);
  if (!model || count === undefined || count === model.replicas) {
    wanted.delete(id);
    return;
  }
  try {
    await ask(
      api.PUT("/v2/models/{id}", {
        params: { path: { id }, header: { "If-Match": `"${model.version}"` } },
        body: { replicas: count },
      }),
    );
    settle(id, count);
  } catch (error) {
    if (wanted.get(id) === count) wanted.delete(id);
    toast.failed(error);
  }
}

/** Until the stream tells it, what was sent is shown: else the number would jump back and forth. */
function settle(id: number, count: number): void {
  const started = Date.now();
  const look = () => {
    if (wanted.get(id) !== count || timers.has(id)) return;
    const isTold = live.byId.models.get(id)?.replicas === count;
    if (isTold || Date.now() - started > 5000) wanted.delete(id);
    else setTimeout(look, 100);
  };
  look();
}

export const replicas = {
  of(model: Model): number {
    return wanted.get(model.id) ?? model.replicas ?? 0;
  },
  isChanging(model: Model): boolean {
    return wanted.has(model.id);
  },
  set(model: Model, count: number): void {
    wanted.set(model.id, Math.max(0, Math.min(1000, count)));
    clearTimeout(timers.get(model.id));
    timers.set(
      model.id,
      setTimeout(() => void send(model.id), pause_ms),
    );
  },
};
