// SPDX-License-Identifier: Apache-2.0
/*
 * The cluster's devices as they are now, as runes.
 *
 *     devices.all            by worker's name, then index
 *     devices.byId.get("node-1:npu:0")
 */
import { DeviceIndex, type Device } from "./devices.js";
import { live } from "./live.svelte.js";

const index = new DeviceIndex();
const all = $derived(index.update(live.workers, live.instances));
const byId = $derived(new Map(all.map((device) => [device.id, device])));

export const devices = {
  get all(): readonly Device[] {
    return all;
  },
  get byId(): ReadonlyMap<string, Device> {
    return byId;
  },
};
