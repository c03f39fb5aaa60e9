// SPDX-License-Identifier: Apache-2.0
/*
 * The history of the cluster, of workers, devices and models, as runes: loaded when it is first
 * looked at, and again as often as it has a new value, while the page is seen.
 *
 *     const history = useHistory(() => ({ entity: "device", ids: [id], metrics: ["utilization"],
 *     span })); history.times                              seconds since 1970, for <Chart>
 *     history.of("node-1:npu:0", "utilization")  values, null where there are none; id null: the
 *     cluster
 *
 * Only while a component is made: it ends with it. Null for what asks nothing.
 */
import { untrack } from "svelte";
import type { Schemas } from "./api/client.js";
import { timesOf, type Span } from "./series.js";
import { api, ask } from "./session.svelte.js";
import { repeat } from "./visible.js";

export type Entity = "cluster" | "worker" | "device" | "model";
export type Metric =
  | "utilization"
  | "memory_used"
  | "temperature"
  | "power"
  | "cpu"
  | "ram_used"
  | "tokens_in_per_second"
  | "tokens_out_per_second"
  | "requests_per_second"
  | "errors_per_second"
  | "running"
  | "waiting"
  | "ttft_p50_ms"
  | "ttft_p95_ms";

export interface HistoryAsk {
  entity: Entity;
  /** Of the cluster: none. */
  ids?: readonly (string | number)[];
  metrics: readonly Metric[];
  span: Pick<Span, "start" | "end" | "step" | "range">;
}

type Answer = Schemas["TimeSeries"];

export interface History {
  readonly times: readonly number[];
  readonly isLoaded: boolean;
  /** Of the last try. */
  readonly error: unknown;
  of(id: string | number | null, metric: Metric): readonly (number | null)[];
}

const least_ms = 10_000;

const iso = (seconds: number) => new Date(seconds * 1000).toISOString();

function load({ entity, ids, metrics, span }: HistoryAsk): Promise<Answer> {
  const query = {
    entity,
    ...(ids ? { id: ids.join(",") } : {}),
    metrics: [...metrics],
    start: iso(span.start),
    end: iso(span.end),
    step: span.step,
  };
  const querySerializer = { array: { style: "form", explode: false } } as const;
  return ask(api.GET("/v2/timeseries", { params: { query }, querySerializer }));
}

export function useHistory(what: () => HistoryAsk | null): History {
  let answer = $state.raw<Answer | null>(null);
  let error = $state.raw<unknown>(null);
  // The span moves on with the clock; it is another question only when something else changes.
  const question = $derived.by(() => {
    const asked = what();
    if (!asked) return "";
    const { entity, ids, metrics, span } = asked;
    const part = span.range ?? `${span.start}-${span.end}`;
    return JSON.stringify([entity, ids, metrics, part]);
  });
  let serial = 0;
  let isAsking = true; // False: the component is gone, and what it would ask with.
  async function run(): Promise<void> {
    const asked = isAsking ? what() : null;
    if (!asked) return;
    const mine = ++serial;
    try {
      const got = await load(asked);
      if (mine !== serial) return;
      answer = got;
      error = null;
    } catch (reason) {
      if (mine === serial) error = reason;
    }
  }
  $effect(() => {
    if (question === "") return;
    // Only another question begins anew: the span moves on by itself, and run() reads it.
    return untrack(() => {
      answer = null;
      isAsking = true;
      const stop = repeat(run, Math.max(least_ms, (what()?.span.step ?? 10) * 1000));
      return () => {
        isAsking = false;
        serial++;
        stop();
      };
    });
  });
  const times = $derived(
    answer ? timesOf(Date.parse(answer.start) / 1000, answer.step_seconds, answer.points) : [],
  );
  return {
    get times() {
      return times;
    },
    get isLoaded() {
      return answer !== null;
    },
    get error() {
      return error;
    },
    of(id, metric) {
      const item = answer?.items.find((one) => String(one.id) === String(id));
      return item?.series[metric] ?? [];
    },
  };
}
