// SPDX-License-Identifier: Apache-2.0
/*
 * What a worker reports (worker.status is loosely typed in the API: its parts come from the
 * machine), and what its row says in short. Pure.
 */
import type { Schemas } from "./api/client.js";

type Worker = Schemas["Worker"];

export interface Disk {
  name?: string;
  mount_point?: string;
  fs_type?: string;
  total?: number;
  used?: number;
  available?: number;
}
export interface EngineSeen {
  name?: string;
  version?: string;
  present?: boolean;
}
export interface WorkerStatus {
  cpu?: { total?: number; utilization_rate?: number };
  memory?: { total?: number; used?: number };
  swap?: { total?: number; used?: number };
  filesystem?: Disk[];
  os?: { name?: string; version?: string };
  kernel?: { name?: string; release?: string; architecture?: string };
  uptime?: { uptime?: number };
  gpu_devices?: {
    index?: number;
    name?: string | null;
    vendor?: string | null;
    type?: string | null;
    memory?: { total?: number; used?: number; allocated?: number };
    core?: { utilization_rate?: number } | null;
    temperature?: number | null;
  }[];
  engines?: EngineSeen[];
}

export function statusOf(worker: Worker): WorkerStatus {
  return (worker.status ?? {}) as WorkerStatus;
}

/** Maintenance goes before what the worker says of itself. */
export function stateOf(worker: Worker): string {
  return worker.maintenance?.enabled ? "maintenance" : (worker.state ?? "unknown");
}

/** Sum of used and total bytes of its devices. */
export function deviceMemory(worker: Worker): { used: number; total: number } {
  let used = 0;
  let total = 0;
  for (const device of statusOf(worker).gpu_devices ?? []) {
    used += device.memory?.used ?? 0;
    total += device.memory?.total ?? 0;
  }
  return { used, total };
}

/** "8 × 910B4", by kinds; "" without devices. */
export function deviceWords(worker: Worker): string {
  const counts = new Map<string, number>();
  for (const device of statusOf(worker).gpu_devices ?? []) {
    const name = device.name ?? "?";
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return [...counts].map(([name, count]) => `${count} × ${name}`).join(", ");
}

/** A share in percent; null where the whole is not known. */
export function share(used: number | undefined, total: number | undefined): number | null {
  return total && used !== undefined ? (100 * used) / total : null;
}
