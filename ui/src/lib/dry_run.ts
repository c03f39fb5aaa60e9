// SPDX-License-Identifier: Apache-2.0
/* An evaluation's answer as the page shows it: bars, cells of the map, a verdict. Pure. */
import type { Schemas } from "./api/client.js";
import type { Device } from "./devices.js";
import type { Evaluation } from "./evaluate.svelte.js";
import { indexWords } from "./models.js";
import type { Planned } from "./map_cell.js";
import {
  baseOf,
  partNames,
  partsOf,
  reckon,
  type Base,
  type Parts,
  type Settings,
} from "./vram.js";

export interface Bar {
  label: string;
  count: number;
  total: number;
  others: number;
  parts: Parts;
}

/** Words behind a verdict's code; see deploy.verdict.... */
export type Verdict =
  | { code: "fits" | "some"; placed: number; wanted: number }
  | {
      code: "partly" | "processor" | "unknown" | "reading" | "wrong" | "no";
      placed: number;
      wanted: number;
    };

export function verdictOf(result: Evaluation): Verdict {
  const placed = result.replicas?.placed ?? 0;
  const wanted = result.replicas?.wanted ?? 1;
  const both = { placed, wanted };
  if (result.error || result.compatibility_messages.length > 0) return { code: "wrong", ...both };
  if (result.known === "soon") return { code: "reading", ...both };
  if (!result.compatible) return { code: "no", ...both };
  if (placed < Math.min(wanted, result.replicas?.tried ?? wanted)) return { code: "some", ...both };
  if (result.placement?.mode === "partly_on_devices") return { code: "partly", ...both };
  if (result.placement?.mode === "on_processor") return { code: "processor", ...both };
  if (result.known === "no") return { code: "unknown", ...both };
  return { code: "fits", ...both };
}

type Find = (worker: string, index: number) => Device | undefined;

/** Finds a device by its worker's name and its index. */
export function finder(devices: readonly Device[]): Find {
  const found = new Map(
    devices.map((device) => [`${device.worker.name}\n${device.index}`, device]),
  );
  return (worker, index) => found.get(`${worker}\n${index}`);
}

/** What each device of the planned replicas would get, for the map. */
export function plannedOf(
  result: Evaluation | null,
  label: string,
  find: Find,
): Map<string, Planned> {
  const out = new Map<string, Planned>();
  const placements = result?.placements ?? (result?.placement ? [result.placement] : []);
  for (const placement of placements)
    for (const rank of placement.ranks)
      rank.gpu_indexes.forEach((index, i) => {
        const id = find(rank.worker, index)?.id;
        if (!id) return;
        out.set(id, { label, bytes: (out.get(id)?.bytes ?? 0) + (rank.gpu_bytes[i] ?? 0) });
      });
  return out;
}

interface Told {
  worker: string;
  index: number;
  parts: Parts;
}

function devicesOf(placement: Schemas["Placement"]): Told[] {
  return placement.ranks.flatMap((rank) =>
    rank.gpu_indexes.flatMap((index, i) => {
      const parts = rank.gpu_parts[i];
      return parts ? [{ worker: rank.worker, index, parts: partsOf(parts) }] : [];
    }),
  );
}

const othersOn = (device: Device | undefined) =>
  device ? Math.max(device.claimed, Math.min(device.used, device.total)) : 0;

const most = 8;

/** Of one replica, devices that are alike together. `now` other than what was asked: reckoned. */
export function barsOf(
  placement: Schemas["Placement"] | undefined,
  base: Base,
  now: Settings,
  find: Find,
): Bar[] {
  const next = reckon(base, now);
  const told = placement ? devicesOf(placement) : [];
  const [first] = told;
  const sample = first ? find(first.worker, first.index) : undefined;
  if (!first || next.devices !== told.length)
    return [
      {
        label: "",
        count: next.devices,
        total: sample?.total ?? 0,
        others: 0,
        parts: next.parts,
      },
    ];
  const bars: (Bar & { worker: string; indexes: number[] })[] = [];
  for (const one of told) {
    const device = find(one.worker, one.index);
    const parts = { ...one.parts };
    for (const name of partNames)
      parts[name] =
        base.parts[name] > 0
          ? (one.parts[name] * next.parts[name]) / base.parts[name]
          : one.parts[name];
    const bar = { count: 1, total: device?.total ?? 0, others: othersOn(device), parts };
    const alike = bars.find(
      (other) =>
        other.worker === one.worker &&
        other.total === bar.total &&
        other.others === bar.others &&
        partNames.every((name) => Math.abs(other.parts[name] - parts[name]) < 2 ** 20),
    );
    if (alike) {
      alike.count++;
      alike.indexes.push(one.index);
    } else bars.push({ ...bar, label: "", worker: one.worker, indexes: [one.index] });
  }
  return bars.slice(0, most).map(({ worker, indexes, ...bar }) => ({
    ...bar,
    label: `${worker} \u00b7 ${indexWords(indexes)}`,
  }));
}

interface Short {
  code?: string;
  needs?: number;
  free?: number;
  total?: number;
}

/** Of what finds no place: how much the device that comes nearest is short of. */
export function shortOf(
  result: Evaluation | null,
): { needs: number; free: number; total: number } | null {
  let best: { needs: number; free: number; total: number } | null = null;
  for (const one of (result?.reason?.devices ?? []) as Short[]) {
    if (one.code !== "memory_short" || !one.needs) continue;
    const { needs, free = 0, total = 0 } = one;
    if (!best || needs - free < best.needs - best.free) best = { needs, free, total };
  }
  return best;
}

export { baseOf };
