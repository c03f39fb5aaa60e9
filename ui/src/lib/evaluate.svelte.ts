// SPDX-License-Identifier: Apache-2.0
/*
 * What would become of a model if it were deployed now, asked a moment after each change; answers
 * that come out of order are dropped. Only while a component is made: it ends with it.
 *
 *     const dry = useEvaluation(() => (isReady ? bodyOf(draft) : null));
 *     dry.result?.placement
 */
import type { Schemas } from "./api/client.js";
import { api, ask } from "./session.svelte.js";

export type Evaluation = Omit<Schemas["Evaluation"], "default_spec">;

const pause_ms = 300;
const again_ms = 2000; // While its files are being read.
const fresh_ms = 15_000; // The cluster changes meanwhile.

export interface DryRun {
  /** The last answer; of an earlier body while `isAsking`. */
  readonly result: Evaluation | null;
  /** The body that it answers. */
  readonly of: Record<string, unknown> | null;
  readonly isAsking: boolean;
  readonly error: unknown;
}

export function useEvaluation(body: () => Record<string, unknown> | null): DryRun {
  let result = $state.raw<Evaluation | null>(null);
  let of = $state.raw<Record<string, unknown> | null>(null);
  let isAsking = $state(false);
  let error = $state.raw<unknown>(null);
  const text = $derived(JSON.stringify(body()));

  $effect(() => {
    const asked = JSON.parse(text) as Record<string, unknown> | null;
    if (!asked) {
      result = of = error = null;
      isAsking = false;
      return;
    }
    let isMine = true;
    let timer: ReturnType<typeof setTimeout> | undefined;
    async function run() {
      if (document.visibilityState === "hidden") {
        if (isMine) timer = setTimeout(() => void run(), fresh_ms);
        return;
      }
      try {
        const answer = await ask(
          api.POST("/v2/model-evaluations", {
            body: { model_specs: [asked as Record<string, never>] },
          }),
        );
        if (!isMine) return;
        result = answer.results[0] ?? null;
        of = asked;
        error = null;
      } catch (reason) {
        if (!isMine) return;
        error = reason;
      }
      isAsking = false;
      timer = setTimeout(() => void run(), result?.known === "soon" ? again_ms : fresh_ms);
    }
    isAsking = true;
    timer = setTimeout(() => void run(), pause_ms);
    return () => {
      isMine = false;
      clearTimeout(timer);
    };
  });

  return {
    get result() {
      return result;
    },
    get of() {
      return of;
    },
    get isAsking() {
      return isAsking;
    },
    get error() {
      return error;
    },
  };
}
