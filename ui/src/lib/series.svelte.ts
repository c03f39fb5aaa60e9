// SPDX-License-Identifier: Apache-2.0
/*
 * The history of the cluster, of workers, devices and models, as runes: loaded when it is first
 * looked at, and again as often as it has a new value, while the page is seen.
 *
 *     const history = useHistory(() => ({ entity: "device", ids: [id], metrics: ["utilization"], span }));
 *     history.times                              seconds since 1970, for <Chart>
 *     history.of("node-1:npu:0", "utilization")  values, null where there are none
 *
 * Only while a component is made: it ends with it. Null for what asks nothing.
 */
import { repeat } from "./visible.js";
import { api, ask } from "./session.svelte.js";
import { align, timesOf, type Span } from "./series.js";

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

interface Answer {
  items: {
    entity: string;
    id: string | number | null;
    start: number;
    step_seconds: number;
    series: Partial<Record<Metric, (number | null)[]>>;
  }[];
}

export interface History {
  readonly times: readonly number[];
  readonly isLoaded: boolean;
  /** Of the last try. */
  readonly error: unknown;
  of(id: string | number | null, metric: Metric): (number | null)[];
}

const least_ms = 10_000;

async function load(what: HistoryAsk): Promise<Answer> {
  const { entity, ids, metrics, span } = what;
  const query = {
    entity,
    ...(ids ? { id: ids.map(String) } : {}),
    metrics: [...metrics],
    start: span.start,
    end: span.end,
    step: span.step,
  };
  return (await ask(api.GET("/v2/timeseries", { params: { query } }))) as Answer;
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
  $effect(() => {
    if (question === "") return;
    answer = null;
    let isMine = true;
    const first = what();
    const run = async () => {
      const asked = what();
      if (!asked || !isMine) return;
      const mine = ++serial;
      try {
        const got = await load(asked);
        if (!isMine || mine !== serial) return;
        answer = got;
        error = null;
      } catch (reason) {
        if (isMine) error = reason;
      }
    };
    const stop = repeat(run, Math.max(least_ms, (first?.span.step ?? 10) * 1000));
    return () => {
      isMine = false;
      stop();
    };
  });
  const first = $derived(answer?.items[0]);
  const times = $derived.by(() => {
    if (!first) return [];
    const count = Math.max(0, ...Object.values(first.series).map((values) => values.length));
    return timesOf(first.start, first.step_seconds, count);
  });
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
      const item =
        id === null ? first : answer?.items.find((one) => String(one.id) === String(id));
      return item ? align(times, item.start, item.step_seconds, item.series[metric] ?? []) : [];
    },
  };
}
