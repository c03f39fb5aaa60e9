// SPDX-License-Identifier: Apache-2.0
/* Sums of the last day by model, user and key; fetched anew each minute while the page is seen. */
import type { Schemas } from "../../lib/api/client.js";
import { api, ask } from "../../lib/session.svelte.js";
import { repeat } from "../../lib/visible.js";

export type UsageRow = Schemas["UsageReport"]["items"][number];
export interface Use {
  readonly models: readonly UsageRow[];
  readonly users: readonly UsageRow[];
  readonly keys: readonly UsageRow[];
  readonly isLoaded: boolean;
  readonly error: unknown;
}

const pause_ms = 60_000;
const day_ms = 86_400_000;
/** All models: which of them were not used is told too. */
const mostModels = 10_000;

async function sums(by: "model" | "user" | "key", perPage: number): Promise<readonly UsageRow[]> {
  const start = new Date(Date.now() - day_ms).toISOString().replace(/\.\d+Z$/, "Z");
  const query = { group_by: [by], start, perPage };
  return (await ask(api.GET("/v2/usage", { params: { query } }))).items;
}

/** While a component is there. */
export function useUse(): Use {
  let models = $state.raw<readonly UsageRow[]>([]);
  let users = $state.raw<readonly UsageRow[]>([]);
  let keys = $state.raw<readonly UsageRow[]>([]);
  let isLoaded = $state(false);
  let error = $state.raw<unknown>(null);
  $effect(() =>
    repeat(async () => {
      try {
        [models, users, keys] = await Promise.all([
          sums("model", mostModels),
          sums("user", 5),
          sums("key", 5),
        ]);
        isLoaded = true;
        error = null;
      } catch (reason) {
        error = reason;
      }
    }, pause_ms),
  );
  return {
    get models() {
      return models;
    },
    get users() {
      return users;
    },
    get keys() {
      return keys;
    },
    get isLoaded() {
      return isLoaded;
    },
    get error() {
      return error;
    },
  };
}
