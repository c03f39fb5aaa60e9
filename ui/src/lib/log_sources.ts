// SPDX-License-Identifier: Apache-2.0
/* Which logs instances have: one each, of an instance over several workers one per rank. Pure. */
import type { Schemas } from "./api/client.js";
import type { LogSource } from "./log_reader.js";

type Instance = Schemas["ModelInstance"];

export interface Rank {
  rank: number;
  workerId: number;
  worker: string;
  indexes: number[];
  state: string;
  reason: string;
  message: string;
  computed: Record<string, unknown> | null;
  measured: Record<string, unknown> | null;
}

interface Told {
  worker_id?: number;
  worker_name?: string | null;
  gpu_indexes?: number[];
  state?: string;
  state_reason?: string;
  state_message?: string | null;
  computed_resource_claim?: Record<string, unknown> | null;
  measured_claim?: Record<string, unknown> | null;
}

/** Of an instance over several workers; of any other none. */
export function ranksOf(instance: Instance): Rank[] {
  const gang = instance.distributed_servers as
    { main_worker?: Told | null; subordinate_workers?: Told[] | null } | null | undefined;
  const others = gang?.subordinate_workers ?? [];
  if (!gang?.main_worker || others.length === 0) return [];
  return [gang.main_worker, ...others].map((told, rank) => ({
    rank,
    workerId: told.worker_id ?? 0,
    worker: told.worker_name ?? "",
    indexes: told.gpu_indexes ?? [],
    state: told.state ?? (rank === 0 ? (instance.state ?? "unknown") : "unknown"),
    reason: told.state_reason ?? "none",
    message: told.state_message ?? "",
    computed: told.computed_resource_claim ?? null,
    measured: told.measured_claim ?? null,
  }));
}

export function sourcesOf(instance: Instance): LogSource[] {
  const name = instance.name ?? String(instance.id);
  const ranks = ranksOf(instance);
  if (ranks.length === 0) return [{ id: instance.id, name }];
  return ranks.map(({ rank, worker }) => ({
    id: instance.id,
    name: `${name} ${rank} ${worker}`,
    rank,
  }));
}

/** "7,9" → [7, 9]: each once, what is no number left out. */
export function readIds(text: string | null): number[] {
  const ids = (text ?? "")
    .split(",")
    .filter((part) => /^\d{1,15}$/.test(part))
    .map(Number);
  return [...new Set(ids)];
}
