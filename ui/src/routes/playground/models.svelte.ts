// SPDX-License-Identifier: Apache-2.0
/*
 * Models that can be talked to now. Names come from GET /v1/models, as any client sees them; what
 * they are for and how much they take in is known to administrators only (live rows).
 */
import { categoryOf, type Category } from "../../lib/chat.js";
import { listModels } from "../../lib/chat_call.js";
import { live } from "../../lib/live.svelte.js";

let names = $state.raw<string[] | null>(null);
let error = $state.raw<unknown>(null);

/** The rows of models that a name stands for: one, or the targets of a route. */
function rowsOf(name: string) {
  const route = live.routes.find((one) => one.name === name);
  const ids = new Set((route?.targets ?? []).map((target) => target.model_id));
  return live.models.filter((model) => (route ? ids.has(model.id) : model.name === name));
}

export const models = {
  /** Null: not known yet. */
  get names(): string[] | null {
    return names;
  },
  get error(): unknown {
    return error;
  },
  categoryOf(name: string): Category {
    return categoryOf(name, rowsOf(name)[0]?.categories);
  },
  /** Tokens that a request may have in all; null: not known. */
  contextOf(name: string): number | null {
    const ids = new Set(rowsOf(name).map((model) => model.id));
    const known = live.instances
      .filter((instance) => ids.has(instance.model_id))
      .map((instance) => Number(instance.computed_resource_claim?.["context_length"]))
      .filter((length) => length > 0);
    return known.length > 0 ? Math.min(...known) : null;
  },
  /** Those of a category first, the others after them. */
  inOrder(category: Category): string[] {
    const all = names ?? [];
    return [
      ...all.filter((name) => models.categoryOf(name) === category),
      ...all.filter((name) => models.categoryOf(name) !== category),
    ];
  },
  async load(): Promise<void> {
    try {
      const found = (await listModels()).sort();
      if (found.join("\n") !== names?.join("\n")) names = found;
      error = null;
    } catch (caught) {
      error = caught;
    }
  },
};
