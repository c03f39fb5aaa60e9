// SPDX-License-Identifier: Apache-2.0
/*
 * Models as the pages show them: state, what is wrong, where they run, what an action would cause.
 * Pure, from the rows.
 */
import type { Schemas } from "./api/client.js";
import { placesOf } from "./devices.js";

export type Model = Schemas["Model"];
export type Instance = Schemas["ModelInstance"];
type Route = Schemas["ModelRoute"];

export const modelStates = [
  "running",
  "partly",
  "starting",
  "downloading",
  "pending",
  "error",
  "unreachable",
  "draining",
  "stopped",
] as const;
export type ModelState = (typeof modelStates)[number];

export interface ModelStatus {
  state: ModelState;
  ready: number;
  wanted: number;
  /** Of the downloads under way, 0 to 100. */
  progress?: number;
  /** The instance that is worst off, unless all is well. */
  worst: Instance | null;
  /** How many are as badly off, for the same reason. */
  alike: number;
}

/** The higher, the sooner a person should know of it. 0: nothing is wrong. */
function trouble(instance: Instance): number {
  if (instance.state === "error") return 4;
  if (instance.state === "unreachable") return 3;
  if (instance.state === "pending") return 2;
  if (instance.state !== "running") return 1;
  return (instance.state_reason ?? "none") === "none" ? 0 : 0.5; // It serves, but its probe fails.
}

/** Those whose files are being downloaded. */
export function loadingOf(instances: readonly Instance[]): Instance[] {
  return instances.filter((one) => one.state === "downloading" && !one.is_draining);
}

/** What stands in the row: of the instances that count, those that drain are on their way out. */
export function statusOf(model: Model, instances: readonly Instance[]): ModelStatus {
  const wanted = model.replicas ?? 0;
  const counted = instances.filter((one) => !one.is_draining);
  const ready = counted.filter((one) => one.state === "running").length;
  let worst: Instance | null = null;
  let most = 0;
  for (const one of counted) {
    const how = trouble(one);
    if (how > most) [worst, most] = [one, how];
  }
  const alike = counted.filter(
    (one) => worst && one.state === worst.state && one.state_reason === worst.state_reason,
  ).length;
  const base = { ready, wanted, worst, alike };
  if (wanted === 0)
    return { ...base, worst: null, alike: 0, state: instances.length > 0 ? "draining" : "stopped" };
  if (ready >= wanted) return { ...base, state: "running" };
  if (ready > 0) return { ...base, state: "partly" };
  if (most === 4) return { ...base, state: "error" };
  if (most === 3) return { ...base, state: "unreachable" };
  const loading = loadingOf(counted);
  if (loading.length > 0) {
    const sum = loading.reduce((all, one) => all + (one.download_progress ?? 0), 0);
    return { ...base, state: "downloading", progress: sum / loading.length };
  }
  return { ...base, state: most === 1 ? "starting" : "pending" };
}

/** Instances of each model, by id; the first made stand first. */
export function byModel(instances: readonly Instance[]): Map<number, Instance[]> {
  const out = new Map<number, Instance[]>();
  for (const instance of instances) {
    const id = instance.model_id ?? 0;
    const list = out.get(id);
    if (list) list.push(instance);
    else out.set(id, [instance]);
  }
  for (const list of out.values()) list.sort((a, b) => a.id - b.id);
  return out;
}

/** "0-3, 6" with a dash. */
export function indexWords(indexes: readonly number[]): string {
  const sorted = [...indexes].sort((a, b) => a - b);
  const parts: string[] = [];
  for (let i = 0; i < sorted.length;) {
    let end = i;
    while (sorted[end + 1] === (sorted[end] ?? 0) + 1) end++;
    parts.push(end > i ? `${sorted[i]}\u2013${sorted[end]}` : `${sorted[i]}`);
    i = end + 1;
  }
  return parts.join(", ");
}

export interface Place {
  workerId: number;
  worker: string;
  /** None: on the processor. */
  indexes: number[];
  href: string;
}

/** Where instances run, by worker. `workerName` and `deviceType` are of the live rows. */
export function placesOfAll(
  instances: readonly Instance[],
  workerName: (id: number) => string | undefined,
  deviceType: (workerId: number, index: number) => string | undefined,
): Place[] {
  const found = new Map<number, Set<number>>();
  for (const instance of instances)
    for (const place of placesOf(instance)) {
      let indexes = found.get(place.workerId);
      if (!indexes) found.set(place.workerId, (indexes = new Set()));
      for (const index of place.indexes) indexes.add(index);
    }
  return [...found]
    .map(([workerId, set]) => {
      const indexes = [...set].sort((a, b) => a - b);
      const worker = workerName(workerId) ?? String(workerId);
      const type = indexes.length === 1 ? deviceType(workerId, indexes[0] ?? 0) : undefined;
      const href = type
        ? `/devices/${encodeURIComponent(`${worker}:${type}:${indexes[0]}`)}`
        : `/workers/${workerId}`;
      return { workerId, worker, indexes, href };
    })
    .sort((a, b) => a.worker.localeCompare(b.worker, "en", { numeric: true }));
}

export function sourceWords(model: Partial<Model>): string {
  if (model.source === "local_path") return model.local_path ?? "";
  const isHub = model.source === "huggingface";
  const repo = (isHub ? model.huggingface_repo_id : model.model_scope_model_id) ?? "";
  const file = isHub ? model.huggingface_filename : model.model_scope_file_path;
  return file ? `${repo}/${file}` : repo;
}

/** Names in "model" that nobody answers to any more when these models end. */
export function silenced(ending: readonly Model[], routes: readonly Route[]): string[] {
  const ids = new Set(ending.map((model) => model.id));
  const isGone = (route: Route) => {
    const targets = (route.targets ?? []).filter((target) => (target.weight ?? 100) > 0);
    const fallback = route.fallback_model_id || 0;
    return targets.every(({ model_id }) => ids.has(model_id)) && (!fallback || ids.has(fallback));
  };
  const routed = new Map(routes.map((route) => [route.name, route]));
  const names = ending
    .map((model) => model.name)
    .filter((name) => {
      const route = routed.get(name);
      return !route || isGone(route);
    });
  for (const route of routes) if (isGone(route)) names.push(route.name);
  return [...new Set(names)].sort();
}

export function logsPath(instances: readonly Instance[]): string {
  return `/logs?instances=${instances.map((one) => one.id).join(",")}`;
}

export function playgroundPath(name: string): string {
  return `/playground?model=${encodeURIComponent(name)}`;
}
