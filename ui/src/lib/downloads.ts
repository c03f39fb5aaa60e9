// SPDX-License-Identifier: Apache-2.0
/*
 * Model files that workers download: how far one is, how long it takes, whether anything comes, whose
 * it is. Pure.
 */
import type { Schemas } from "./api/client.js";
import { writeSource, type Source } from "./sources.js";

export interface FilePart {
  name: string;
  size?: number | null;
  downloaded?: number | null;
}
/** A row as the server tells it: the API leaves open what its lists hold. */
export type ModelFile = Omit<Schemas["ModelFile"], "files" | "models" | "storage"> & {
  files?: FilePart[] | null;
  models?: { id: number; name: string }[] | null;
  storage?: {
    mount_point?: string;
    mount_from?: string;
    type?: string;
    dir?: string;
    is_shared?: boolean;
    total?: number;
    available?: number;
  } | null;
};
type Instance = Schemas["ModelInstance"];
type Worker = Schemas["Worker"];

/** In the order in which somebody wants to see them. */
export const downloadStates = [
  "error",
  "downloading",
  "verifying",
  "listing",
  "waiting",
  "paused",
  "deleting",
  "ready",
] as const;

export const modelsOf = (file: ModelFile) => file.models ?? [];
/** All workers that see its storage. */
export const workersOf = (file: ModelFile) =>
  file.worker_ids?.length ? file.worker_ids : [file.worker_id];
export const isDownload = (file: ModelFile) => file.source !== "local_path";
/** A worker is at it, or will be as soon as others are done. */
export const isUnderWay = (file: ModelFile) =>
  ["downloading", "verifying", "listing", "waiting"].includes(file.state);
/** Somebody may want to look at it: it isn't done. */
export const isOpen = (file: ModelFile) => isDownload(file) && file.state !== "ready";
export const canPause = isUnderWay;
export const canResume = (file: ModelFile) => file.state === "paused";
export const canRetry = (file: ModelFile) => file.state === "error";

/** Nothing has come for so long: it is called stalled. */
export const stalled_ms = 10_000;

export interface Progress {
  /** 0 to 100; null while its size isn't known. */
  percent: number | null;
  downloaded: number;
  size: number | null;
  /** Bytes a second; null where nothing is being fetched. */
  rate: number | null;
  /** Milliseconds; null: nobody can tell. */
  eta_ms: number | null;
  isStalled: boolean;
}

/** `still_ms`: for how long nothing has come. */
export function progressOf(file: ModelFile, still_ms = 0): Progress {
  const size = file.size || null;
  const downloaded = file.downloaded ?? 0;
  const isFetching = file.state === "downloading";
  const isStalled = isFetching && still_ms >= stalled_ms;
  const rate = isFetching && !isStalled ? (file.bytes_per_second ?? 0) : null;
  const told = file.eta_s == null ? null : file.eta_s * 1000;
  const reckoned = size && rate ? (Math.max(0, size - downloaded) / rate) * 1000 : null;
  return {
    percent: shareOf(downloaded, size, file.state === "ready"),
    downloaded,
    size,
    rate,
    eta_ms: rate ? (told ?? reckoned) : null,
    isStalled,
  };
}

/** Never 100 before all is there. */
function shareOf(downloaded: number, size: number | null, isReady: boolean): number | null {
  if (isReady) return 100;
  if (!size) return null;
  return Math.min(99.9, (100 * downloaded) / size);
}

/** Several at the same time as one: what is left of all, at the speed of all. */
export function sumOf(list: readonly Progress[]): Progress | null {
  const [first] = list;
  if (!first || list.length === 1) return first ?? null;
  const isKnown = list.every((one) => one.size !== null);
  const downloaded = list.reduce((sum, one) => sum + one.downloaded, 0);
  const size = isKnown ? list.reduce((sum, one) => sum + (one.size ?? 0), 0) : null;
  const rates = list.flatMap((one) => (one.rate === null ? [] : [one.rate]));
  const etas = list.flatMap((one) => (one.eta_ms === null ? [] : [one.eta_ms]));
  return {
    percent: shareOf(
      downloaded,
      size,
      list.every((one) => one.percent === 100),
    ),
    downloaded,
    size,
    rate: rates.length > 0 ? rates.reduce((sum, one) => sum + one, 0) : null,
    eta_ms: etas.length > 0 ? Math.max(...etas) : null,
    isStalled: rates.length === 0 && list.some((one) => one.isStalled),
  };
}

/** When bytes of each came last, as this page saw it: the rows say how many, not when. */
export class Arrivals {
  #seen = new Map<number, { downloaded: number; state: string; at: number }>();

  note(files: readonly ModelFile[], now: number): void {
    const ids = new Set<number>();
    for (const file of files) {
      if (!isDownload(file)) continue;
      ids.add(file.id);
      const known = this.#seen.get(file.id);
      const downloaded = file.downloaded ?? 0;
      if (!known || known.downloaded !== downloaded || known.state !== file.state)
        this.#seen.set(file.id, { downloaded, state: file.state, at: now });
    }
    for (const id of this.#seen.keys()) if (!ids.has(id)) this.#seen.delete(id);
  }

  /** Milliseconds since anything of it has changed; 0 of what is new here. */
  stillFor(id: number, now: number): number {
    const known = this.#seen.get(id);
    return known ? Math.max(0, now - known.at) : 0;
  }
}

/** What it is fetched from. */
export function sourceOf(file: ModelFile): Source {
  if (file.source === "huggingface")
    return {
      kind: "huggingface",
      repo: file.huggingface_repo_id ?? "",
      file: file.huggingface_filename ?? "",
    };
  if (file.source === "model_scope")
    return {
      kind: "model_scope",
      repo: file.model_scope_model_id ?? "",
      file: file.model_scope_file_path ?? "",
    };
  return { kind: "local_path", path: file.local_path ?? "" };
}

/** One line: repository and file pattern, or the path. */
export function titleOf(file: ModelFile): string {
  const source = sourceOf(file);
  if (source.kind === "huggingface" || source.kind === "model_scope")
    return source.file ? `${source.repo}/${source.file}` : source.repo;
  return source.kind === "local_path" ? source.path : "";
}

/** The form for a model of these files. */
export function deployPath(file: ModelFile): string {
  return `/deploy?source=${encodeURIComponent(writeSource(sourceOf(file)))}`;
}

/** Downloads that an instance needs: those of its model that one of its workers sees. */
export function downloadsOf(
  instance: Pick<Instance, "model_id">,
  workerIds: readonly number[],
  files: readonly ModelFile[],
): ModelFile[] {
  return files.filter(
    (file) =>
      isDownload(file) &&
      modelsOf(file).some((model) => model.id === instance.model_id) &&
      workerIds.some((id) => workersOf(file).includes(id)),
  );
}

/** Reasons that are about the files of a model: what to do is on the page of files. */
export const downloadReasons: ReadonlySet<string> = new Set([
  "download_paused",
  "hub_unreachable",
  "hub_refused",
  "file_missing",
  "disk_full",
  "storage_unusable",
  "checksum_mismatch",
]);

/** The folder that a worker downloads to. */
export interface Cache {
  /** Storages of several workers have the same. */
  id: string;
  dir: string;
  total: number;
  available: number;
  isShared: boolean;
  /** Why it can't be used; "" when it can. */
  error: string;
  workers: Worker[];
}

interface CacheSeen {
  dir?: string;
  storage_id?: string | null;
  total?: number;
  available?: number;
  is_shared?: boolean;
  error?: string | null;
}

/** Each storage once, with all workers that see it. */
export function cachesOf(workers: readonly Worker[]): Cache[] {
  const found = new Map<string, Cache>();
  for (const worker of workers) {
    const seen = worker.status?.["cache"] as CacheSeen | null | undefined;
    if (!seen?.dir) continue;
    const id = seen.storage_id || `worker-${worker.id}`;
    const known = found.get(id);
    if (known) {
      known.workers.push(worker);
      known.error ||= seen.error ?? "";
      continue;
    }
    found.set(id, {
      id,
      dir: seen.dir,
      total: seen.total ?? 0,
      available: seen.available ?? 0,
      isShared: seen.is_shared ?? false,
      error: seen.error ?? "",
      workers: [worker],
    });
  }
  const name = (cache: Cache) => cache.workers[0]?.name ?? "";
  return [...found.values()].sort((a, b) =>
    name(a).localeCompare(name(b), "en", { numeric: true }),
  );
}

export function cacheOf(caches: readonly Cache[], workerId: number): Cache | undefined {
  return caches.find((cache) => cache.workers.some((worker) => worker.id === workerId));
}

/** What a place of a model would cause: nothing is fetched where the files are already. */
export interface Fetch {
  cache: Cache | null;
  worker: string;
  /** The row of these files on that storage, whatever its state. */
  file: ModelFile | null;
}

/** Of each storage once, for the workers that a model would be placed on. */
export function fetchesOf(
  source: Source,
  places: readonly { worker: string; worker_id: number }[],
  caches: readonly Cache[],
  files: readonly ModelFile[],
): Fetch[] {
  if (source.kind !== "huggingface" && source.kind !== "model_scope") return [];
  const wanted = writeSource(source);
  const out = new Map<string, Fetch>();
  for (const place of places) {
    const cache = cacheOf(caches, place.worker_id) ?? null;
    const key = cache?.id ?? `worker-${place.worker_id}`;
    if (out.has(key)) continue;
    const file =
      files.find(
        (one) =>
          isDownload(one) &&
          writeSource(sourceOf(one)) === wanted &&
          workersOf(one).includes(place.worker_id),
      ) ?? null;
    out.set(key, { cache, worker: place.worker, file });
  }
  return [...out.values()];
}

/** Bytes of the files of one replica, as far as its place tells: its weights. */
export function weightsOf(placement: Schemas["Placement"] | null | undefined): number | null {
  if (!placement || placement.mode !== "on_devices") return null;
  const parts = placement.ranks.flatMap((rank) => rank.gpu_parts);
  const sum = parts.reduce((all, one) => all + one.weights, 0);
  return sum > 0 ? sum : null;
}

/** A body of a model, as far as it says where the files are. */
export function sourceOfBody(body: Record<string, unknown> | null): Source {
  const text = (name: string) => (typeof body?.[name] === "string" ? (body[name] as string) : "");
  if (body?.["source"] === "huggingface")
    return {
      kind: "huggingface",
      repo: text("huggingface_repo_id"),
      file: text("huggingface_filename"),
    };
  if (body?.["source"] === "model_scope")
    return {
      kind: "model_scope",
      repo: text("model_scope_model_id"),
      file: text("model_scope_file_path"),
    };
  return { kind: "none" };
}

/** The row of a catalog's entry that is furthest, wherever it is. */
export function furthestOf(source: Source, files: readonly ModelFile[]): ModelFile | null {
  const wanted = writeSource(source);
  let best: ModelFile | null = null;
  for (const file of files)
    if (isDownload(file) && writeSource(sourceOf(file)) === wanted) {
      if (file.state === "ready") return file;
      if (!best || (file.download_progress ?? 0) > (best.download_progress ?? 0)) best = file;
    }
  return best;
}
