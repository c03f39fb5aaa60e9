// SPDX-License-Identifier: Apache-2.0
/*
 * What requests do at this moment, by model and in all, as runes. Asked for every two seconds while
 * somebody looks and the page is seen, by all of a page together.
 *
 *     $effect(() => rates.watch());
 *     rates.cluster?.tokens_out_per_second
 *     rates.byModel.get(3)?.waiting
 */
import type { Schemas } from "./api/client.js";
import { api, ask } from "./session.svelte.js";
import { repeat } from "./visible.js";

/** Each is null while no gateway is heard; ttft_* also when no stream has begun lately. */
export type Rates = Schemas["RateFigures"];

const pause_ms = 2000;
let cluster = $state.raw<Rates | null>(null);
let byModel = $state.raw<ReadonlyMap<number, Rates>>(new Map());
let error = $state.raw<unknown>(null);
let watchers = 0;
let stop: (() => void) | undefined;

async function load(): Promise<void> {
  try {
    const answer = await ask(api.GET("/v2/rates"));
    cluster = answer.cluster;
    byModel = new Map(answer.models.map((one) => [one.id, one]));
    error = null;
  } catch (reason) {
    cluster = null; // Old figures would look like live ones.
    byModel = new Map();
    error = reason;
  }
}

export const rates = {
  /** Null: not known (yet). */
  get cluster(): Rates | null {
    return cluster;
  },
  /** Models without requests may be missing. */
  get byModel(): ReadonlyMap<number, Rates> {
    return byModel;
  },
  get error(): unknown {
    return error;
  },
  /** Returns what ends it. */
  watch(): () => void {
    if (watchers++ === 0) stop = repeat(load, pause_ms);
    return () => {
      if (--watchers > 0) return;
      stop?.();
      cluster = null;
      byModel = new Map();
    };
  },
};
