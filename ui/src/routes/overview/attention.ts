// SPDX-License-Identifier: Apache-2.0
/*
 * What somebody should look at, most urgent first: pure, from the rows and the use of the last day.
 * Each is one line: what (words of overview.attention.KIND with `args`), why, and where it leads.
 */
import type { Schemas } from "../../lib/api/client.js";
import { devicePath, type Device } from "../../lib/devices.js";

type Worker = Schemas["Worker"];
type Instance = Schemas["ModelInstance"];

export const kinds = [
  "unreachable",
  "error",
  "lost",
  "unhealthy",
  "disk",
  "pending",
  "idle",
] as const;
export type Kind = (typeof kinds)[number];

export interface Attention {
  key: string;
  kind: Kind;
  args: Record<string, string | number>;
  /** Code of the reason, for words in the page's language. */
  reason: string;
  /** The server's own words for it. */
  message: string;
  /** Milliseconds since 1970. */
  since: number | null;
  /** Bytes that are free, of a disk. */
  free?: number;
  href: string;
}

export interface Seen {
  workers: readonly Worker[];
  instances: readonly Instance[];
  devices: readonly Device[];
  /** Names of models with a request in the last day; null: not known yet. */
  usedModels: ReadonlySet<string> | null;
  /** Milliseconds since 1970. */
  now: number;
}

interface Disk {
  mount_point?: string;
  total?: number;
  available?: number;
}

/** A disk is full with less than a twentieth free, or with no room for a model file. */
const leastShare = 0.05;
const leastBytes = 5 * 2 ** 30;
const smallDisk = 20 * 2 ** 30; // Below it only the share counts.
/** A moment of waiting is how every start looks. */
const patience_ms = 15_000;
/** As long without a request is called idle. */
const idle_ms = 3_600_000;

const time = (text: string | null | undefined) => (text ? Date.parse(text) : null);

function workersIn(workers: readonly Worker[]): Attention[] {
  return workers
    .filter((worker) => worker.state === "unreachable" || worker.state === "not_ready")
    .map((worker) => ({
      key: `unreachable/${worker.id}`,
      kind: "unreachable",
      args: { worker: worker.name ?? "" },
      reason: "",
      message: worker.state_message ?? "",
      since: time(worker.heartbeat_time),
      href: `/workers/${worker.id}`,
    }));
}

function disksOf(worker: Worker): Attention[] {
  const disks = (worker.status?.["filesystem"] ?? []) as Disk[];
  return disks
    .filter(({ total = 0, available = 0 }) => {
      if (total <= 0) return false;
      return available < leastShare * total || (total >= smallDisk && available < leastBytes);
    })
    .map((disk) => ({
      key: `disk/${worker.id}/${disk.mount_point}`,
      kind: "disk",
      args: { worker: worker.name ?? "", disk: disk.mount_point ?? "" },
      reason: "",
      message: "",
      since: null,
      free: disk.available ?? 0,
      href: `/workers/${worker.id}`,
    }));
}

function kindOf(instance: Instance, now: number): Kind | null {
  if (instance.is_draining) return null;
  if (instance.state === "error") return "error";
  if (instance.state === "unreachable") return "lost";
  const since = time(instance.state_since) ?? 0;
  return instance.state === "pending" && now - since >= patience_ms ? "pending" : null;
}

/** Instances of one model with the same trouble are one line. */
function instancesIn(instances: readonly Instance[], now: number): Attention[] {
  const found = new Map<string, Attention>();
  for (const instance of instances) {
    const kind = kindOf(instance, now);
    if (!kind) continue;
    const reason = instance.state_reason ?? "none";
    const key = `${kind}/${instance.model_id}/${reason}`;
    const since = time(instance.state_since);
    const known = found.get(key);
    if (known) {
      known.args["count"] = Number(known.args["count"]) + 1;
      known.href = `/models/${instance.model_id}`;
      if (since !== null && (known.since === null || since < known.since)) known.since = since;
      continue;
    }
    found.set(key, {
      key,
      kind,
      args: { model: instance.model_name ?? "", count: 1 },
      reason,
      message: instance.state_message ?? "",
      since,
      href: `/instances/${instance.id}`,
    });
  }
  return [...found.values()];
}

function unhealthyIn(devices: readonly Device[]): Attention[] {
  return devices
    .filter((device) => device.state === "unhealthy")
    .map((device) => ({
      key: `unhealthy/${device.id}`,
      kind: "unhealthy",
      args: { device: `${device.worker.name} · ${device.index}` },
      reason: "",
      message: "",
      since: null,
      href: devicePath(device),
    }));
}

/** Models whose instances all run for an hour and hold devices, and nobody asked them anything. */
function idleIn(seen: Seen): Attention[] {
  const { usedModels, now } = seen;
  if (!usedModels) return [];
  const held = new Map<number, { name: string; devices: number; since: number }>();
  const busy = new Set<number>();
  for (const { model_id = 0, model_name, state, state_since } of seen.instances) {
    const since = time(state_since) ?? now;
    if (state !== "running" || now - since < idle_ms || usedModels.has(model_name ?? ""))
      busy.add(model_id);
    const known = held.get(model_id);
    if (!known) held.set(model_id, { name: model_name ?? "", devices: 0, since });
    else known.since = Math.max(known.since, since);
  }
  for (const device of seen.devices)
    for (const id of new Set(device.uses.map((use) => use.instance.model_id ?? 0))) {
      const model = held.get(id);
      if (model) model.devices++;
    }
  return [...held]
    .filter(([id, model]) => !busy.has(id) && model.devices > 0)
    .map(([id, model]) => ({
      key: `idle/${id}`,
      kind: "idle",
      args: { model: model.name, count: model.devices },
      reason: "",
      message: "",
      since: Math.max(model.since, now - 24 * 3_600_000),
      href: `/models/${id}`,
    }));
}

export function attention(seen: Seen): Attention[] {
  const all = [
    ...workersIn(seen.workers),
    ...instancesIn(seen.instances, seen.now),
    ...unhealthyIn(seen.devices),
    ...seen.workers.flatMap(disksOf),
    ...idleIn(seen),
  ];
  return all.sort((a, b) => kinds.indexOf(a.kind) - kinds.indexOf(b.kind));
}
