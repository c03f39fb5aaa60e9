// SPDX-License-Identifier: Apache-2.0
/*
 * All devices of the cluster, made of the rows of workers and instances as they are. Pure; the live
 * ones are in devices.svelte.ts.
 *
 *     const index = new DeviceIndex();
 *     const devices = index.update(live.workers, live.instances);      by worker's name, then index
 *
 * An update costs what has changed: devices of a worker are made again only when its row or one of
 * the rows of its instances is another object, and a device that is as before stays the same
 * object.
 */
import type { Schemas } from "./api/client.js";

type Worker = Schemas["Worker"];
type Instance = Schemas["ModelInstance"];

/** What one instance holds of a device. */
export interface Use {
  instance: Instance;
  /** Bytes it has claimed; 0: it was placed without knowing its need. */
  bytes: number;
}

export type DeviceState =
  /** Nothing is on it. */
  | "free"
  /** An instance has claimed it, or somebody else uses its memory. */
  | "used"
  | "unhealthy"
  /** Its worker doesn't report: all figures are old. */
  | "unreachable";

export interface Device {
  /** "worker:type:index", as in the API and in selectors. */
  id: string;
  worker: { id: number; name: string; state: string };
  index: number;
  deviceIndex: number;
  type: string;
  name: string;
  vendor: string;
  uuid: string;
  driver: string;
  runtime: string;
  /** Number of the group of devices that are linked to each other; -1: to none. */
  island: number;
  link: string;
  /** Percent; null: not known. */
  util: number | null;
  total: number;
  used: number;
  claimed: number;
  isUnified: boolean;
  /** °C; null: not known. */
  temperature: number | null;
  /** Watt; null: not known. */
  power: number | null;
  state: DeviceState;
  uses: readonly Use[];
}

/** A device as its worker reports it. */
export interface Reported {
  index?: number;
  device_index?: number;
  name?: string | null;
  vendor?: string | null;
  type?: string | null;
  uuid?: string | null;
  driver_version?: string | null;
  runtime_version?: string | null;
  island?: number;
  link?: string | null;
  healthy?: boolean;
  temperature?: number | null;
  power?: number | null;
  core?: { utilization_rate?: number | null } | null;
  memory?: { total?: number; used?: number; is_unified_memory?: boolean } | null;
}

/** A part of `used` that others than instances may have without the device counting as used. */
const idleShare = 0.05;
const busyUtil = 5;

// ---- what instances hold ----

interface Claim {
  vram?: Record<string, number>;
}
interface Rank {
  worker_id?: number;
  gpu_indexes?: number[];
  computed_resource_claim?: Claim | null;
}
interface Place {
  workerId: number;
  indexes: readonly number[];
  claim: Claim | null;
}

/** Where an instance runs: on one worker, or of one over several each rank's. */
export function placesOf(instance: Instance): Place[] {
  const gang = instance.distributed_servers as
    { main_worker?: Rank | null; subordinate_workers?: Rank[] | null } | null | undefined;
  const others = gang?.subordinate_workers ?? [];
  if (gang && others.length > 0) {
    const ranks = gang.main_worker ? [gang.main_worker, ...others] : others;
    return ranks.map((rank) => ({
      workerId: rank.worker_id ?? 0,
      indexes: rank.gpu_indexes ?? [],
      claim: rank.computed_resource_claim ?? null,
    }));
  }
  if (instance.worker_id == null) return [];
  const claim = (instance.computed_resource_claim ?? instance.measured_claim) as Claim | null;
  return [
    { workerId: instance.worker_id, indexes: instance.gpu_indexes ?? [], claim: claim ?? null },
  ];
}

const places = new WeakMap<Instance, Place[]>();

function knownPlacesOf(instance: Instance): Place[] {
  let known = places.get(instance);
  if (!known) places.set(instance, (known = placesOf(instance)));
  return known;
}

function usesOn(workerId: number, index: number, instances: readonly Instance[]): Use[] {
  const uses: Use[] = [];
  for (const instance of instances)
    for (const place of knownPlacesOf(instance)) {
      if (place.workerId !== workerId) continue;
      const bytes = place.claim?.vram?.[index] ?? 0;
      if (bytes > 0 || place.indexes.includes(index)) uses.push({ instance, bytes });
    }
  return uses;
}

// ---- devices ----

function stateOf(worker: Worker, reported: Reported, device: Omit<Device, "state">): DeviceState {
  if (worker.state === "unreachable" || worker.state === "not_ready") return "unreachable";
  if (reported.healthy === false) return "unhealthy";
  const isBusy = (device.util ?? 0) >= busyUtil || device.used > idleShare * device.total;
  return device.uses.length > 0 || isBusy ? "used" : "free";
}

function makeDevice(
  worker: Worker,
  owner: Device["worker"],
  reported: Reported,
  place: number,
  instances: readonly Instance[],
): Device {
  const index = reported.index ?? place;
  const type = reported.type ?? "unknown";
  const uses = usesOn(worker.id, index, instances);
  let claimed = 0;
  for (const use of uses) claimed += use.bytes;
  const device = {
    id: `${owner.name}:${type}:${index}`,
    worker: owner,
    index,
    deviceIndex: reported.device_index ?? index,
    type,
    name: reported.name ?? type,
    vendor: reported.vendor ?? "",
    uuid: reported.uuid ?? "",
    driver: reported.driver_version ?? "",
    runtime: reported.runtime_version ?? "",
    island: reported.island ?? -1,
    link: reported.link ?? "",
    util: reported.core?.utilization_rate ?? null,
    total: reported.memory?.total ?? 0,
    used: reported.memory?.used ?? 0,
    claimed,
    isUnified: reported.memory?.is_unified_memory === true,
    temperature: reported.temperature ?? null,
    power: reported.power ?? null,
    uses,
  };
  return { ...device, state: stateOf(worker, reported, device) };
}

function isSame(a: Device, b: Device): boolean {
  for (const key in a) {
    if (key === "uses" || key === "worker") continue;
    if (a[key as keyof Device] !== b[key as keyof Device]) return false;
  }
  return (
    a.worker === b.worker &&
    a.uses.length === b.uses.length &&
    a.uses.every((use, i) => use.instance === b.uses[i]?.instance && use.bytes === b.uses[i]?.bytes)
  );
}

interface Kept {
  row: Worker;
  instances: Instance[];
  owner: Device["worker"];
  devices: Device[];
}

const sameRows = (a: readonly Instance[], b: readonly Instance[]) =>
  a.length === b.length && a.every((row, i) => row === b[i]);

const none: Instance[] = [];
const collator = new Intl.Collator("en", { numeric: true });

export class DeviceIndex {
  #kept = new Map<number, Kept>();
  #order: number[] = []; // Ids of workers by name.
  #all: readonly Device[] = [];

  update(workers: readonly Worker[], instances: readonly Instance[]): readonly Device[] {
    const byWorker = new Map<number, Instance[]>();
    for (const instance of instances)
      for (const place of knownPlacesOf(instance)) {
        const list = byWorker.get(place.workerId);
        if (!list) byWorker.set(place.workerId, [instance]);
        else if (list[list.length - 1] !== instance) list.push(instance);
      }
    let isChanged = false;
    let isOrderChanged = workers.length !== this.#kept.size;
    const gone = new Set(this.#kept.keys());
    for (const worker of workers) {
      gone.delete(worker.id);
      const before = this.#kept.get(worker.id);
      const mine = byWorker.get(worker.id) ?? none;
      if (before && before.row === worker && sameRows(before.instances, mine)) continue;
      const after = this.#make(worker, mine, before);
      this.#kept.set(worker.id, after);
      isOrderChanged ||= before?.owner.name !== after.owner.name;
      isChanged ||= !before || before.devices !== after.devices;
    }
    for (const id of gone) this.#kept.delete(id);
    if (gone.size > 0 || isOrderChanged) this.#sort();
    if (isChanged || isOrderChanged || gone.size > 0)
      this.#all = this.#order.flatMap((id) => this.#kept.get(id)?.devices ?? []);
    return this.#all;
  }

  #make(worker: Worker, instances: Instance[], before: Kept | undefined): Kept {
    const name = worker.name ?? String(worker.id);
    const state = worker.state ?? "not_ready";
    const owner =
      before && before.owner.name === name && before.owner.state === state
        ? before.owner
        : { id: worker.id, name, state };
    const reported = (worker.status?.["gpu_devices"] ?? []) as Reported[];
    const old = new Map(before?.devices.map((device) => [device.id, device]));
    let isSameList = before !== undefined && before.devices.length === reported.length;
    const devices = reported.map((one, place) => {
      const device = makeDevice(worker, owner, one, place, instances);
      const was = old.get(device.id);
      if (was && isSame(was, device)) {
        isSameList &&= before?.devices[place] === was;
        return was;
      }
      isSameList = false;
      return device;
    });
    return {
      row: worker,
      instances,
      owner,
      devices: isSameList && before ? before.devices : devices,
    };
  }

  #sort(): void {
    this.#order = [...this.#kept.values()]
      .sort((a, b) => collator.compare(a.owner.name, b.owner.name) || a.row.id - b.row.id)
      .map((kept) => kept.row.id);
  }
}

// ---- about devices ----

/** Names of the models on it, each once. */
export function modelsOn(device: Device): string[] {
  const names: string[] = [];
  for (const { instance } of device.uses) {
    const name = instance.model_name ?? "";
    if (name && !names.includes(name)) names.push(name);
  }
  return names;
}

/** Percent of the memory that is used; null: not known. */
export function memoryShare(device: Device): number | null {
  return device.total > 0 ? (100 * device.used) / device.total : null;
}

export function devicePath(device: { id: string }): string {
  return `/devices/${encodeURIComponent(device.id)}`;
}

/** Where a click on it leads: to what runs on it if that is one, else to the device. */
export function openPath(device: Device): string {
  const [use] = device.uses;
  return use && device.uses.length === 1 ? `/instances/${use.instance.id}` : devicePath(device);
}

export interface DeviceFilter {
  worker?: string;
  vendor?: string;
  model?: string;
  state?: string;
  search?: string;
}

export function filterDevices(devices: readonly Device[], filter: DeviceFilter): readonly Device[] {
  const { worker, vendor, model, state } = filter;
  const search = filter.search?.toLowerCase();
  if (!worker && !vendor && !model && !state && !search) return devices;
  return devices.filter(
    (device) =>
      (!worker || device.worker.name === worker) &&
      (!vendor || device.vendor === vendor) &&
      (!state || device.state === state) &&
      (!model || device.uses.some(({ instance }) => instance.model_name === model)) &&
      (!search ||
        `${device.id} ${device.name} ${modelsOn(device).join(" ")}`.toLowerCase().includes(search)),
  );
}
