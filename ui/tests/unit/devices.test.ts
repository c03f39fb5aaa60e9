// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import type { Schemas } from "../../src/lib/api/client.js";
import {
  DeviceIndex,
  filterDevices,
  modelsOn,
  openPath,
  type Reported,
} from "../../src/lib/devices.js";

type Worker = Schemas["Worker"];
type Instance = Schemas["ModelInstance"];

const gib = 2 ** 30;
const card = (index: number, more: Reported = {}): Reported => ({
  index,
  type: "npu",
  name: "910B4",
  vendor: "Huawei",
  healthy: true,
  core: { utilization_rate: 0 },
  memory: { total: 32 * gib, used: 0 },
  ...more,
});
const worker = (id: number, name: string, cards: Reported[], more: object = {}): Worker =>
  ({ id, name, state: "ready", status: { gpu_devices: cards }, ...more }) as unknown as Worker;
const instance = (id: number, more: object): Instance =>
  ({
    id,
    name: `m-${id}`,
    model_id: 1,
    model_name: "m",
    state: "running",
    gpu_indexes: [],
    ...more,
  }) as unknown as Instance;

test("devices by name of worker and index, with what runs on them", () => {
  const index = new DeviceIndex();
  const rows = index.update(
    [worker(1, "node-10", [card(0)]), worker(2, "node-2", [card(0), card(1)])],
    [
      instance(7, {
        worker_id: 2,
        gpu_indexes: [1],
        computed_resource_claim: { vram: { "1": 5 * gib } },
      }),
    ],
  );
  expect(rows.map((device) => device.id)).toEqual([
    "node-2:npu:0",
    "node-2:npu:1",
    "node-10:npu:0",
  ]);
  expect(rows[1]?.claimed).toBe(5 * gib);
  expect(rows[1]?.state).toBe("used");
  expect(rows[0]?.state).toBe("free");
  expect(modelsOn(rows[1]!)).toEqual(["m"]);
  expect(openPath(rows[1]!)).toBe("/instances/7");
  expect(openPath(rows[0]!)).toBe("/devices/node-2%3Anpu%3A0");
});

test("an instance over two workers holds devices of both", () => {
  const rows = new DeviceIndex().update(
    [worker(1, "a", [card(0)]), worker(2, "b", [card(0), card(1)])],
    [
      instance(7, {
        worker_id: 1,
        gpu_indexes: [0],
        computed_resource_claim: { vram: { "0": 1 } },
        distributed_servers: {
          main_worker: {
            worker_id: 1,
            gpu_indexes: [0],
            computed_resource_claim: { vram: { "0": 3 } },
          },
          subordinate_workers: [{ worker_id: 2, gpu_indexes: [1] }],
        },
      }),
    ],
  );
  expect(rows.map((device) => [device.id, device.claimed, device.uses.length])).toEqual([
    ["a:npu:0", 3, 1],
    ["b:npu:0", 0, 0],
    ["b:npu:1", 0, 1],
  ]);
});

test("what nobody reckoned counts as measured", () => {
  const [device] = new DeviceIndex().update(
    [worker(1, "a", [card(0)])],
    [
      instance(7, {
        worker_id: 1,
        gpu_indexes: [0],
        computed_resource_claim: null,
        measured_claim: { vram: { "0": 9 } },
      }),
    ],
  );
  expect(device?.claimed).toBe(9);
});

test("only what changed is made again", () => {
  const index = new DeviceIndex();
  const a = worker(1, "a", [card(0), card(1)]);
  const b = worker(2, "b", [card(0)]);
  const first = index.update([a, b], []);
  expect(index.update([a, b], [])).toBe(first);
  expect(index.update([worker(1, "a", [card(0), card(1)]), b], [])).toBe(first); // A heartbeat.
  const hotter = worker(1, "a", [card(0), card(1, { temperature: 70 })]);
  const second = index.update([hotter, b], []);
  expect(second).not.toBe(first);
  expect(second[0]).toBe(first[0]);
  expect(second[1]).not.toBe(first[1]);
  expect(second[2]).toBe(first[2]);
  const third = index.update([hotter, b], [instance(1, { worker_id: 2, gpu_indexes: [0] })]);
  expect(third[1]).toBe(second[1]);
  expect(third[2]?.uses).toHaveLength(1);
  expect(index.update([b], []).map((device) => device.id)).toEqual(["b:npu:0"]);
});

test("states: unhealthy, unreachable, used by others, free", () => {
  const rows = new DeviceIndex().update(
    [
      worker(1, "a", [
        card(0, { healthy: false }),
        card(1, { memory: { total: 32 * gib, used: 9 * gib } }),
        card(2),
      ]),
      worker(2, "b", [card(0)], { state: "unreachable" }),
    ],
    [],
  );
  expect(rows.map((device) => device.state)).toEqual(["unhealthy", "used", "free", "unreachable"]);
});

test("filters", () => {
  const rows = new DeviceIndex().update(
    [worker(1, "a", [card(0), card(1, { vendor: "NVIDIA" })]), worker(2, "b", [card(0)])],
    [instance(3, { worker_id: 2, gpu_indexes: [0], model_name: "qwen" })],
  );
  const ids = (filter: object) => filterDevices(rows, filter).map((device) => device.id);
  expect(filterDevices(rows, {})).toBe(rows);
  expect(ids({ worker: "a" })).toEqual(["a:npu:0", "a:npu:1"]);
  expect(ids({ vendor: "NVIDIA" })).toEqual(["a:npu:1"]);
  expect(ids({ model: "qwen" })).toEqual(["b:npu:0"]);
  expect(ids({ state: "free", worker: "b" })).toEqual([]);
  expect(ids({ search: "QWEN" })).toEqual(["b:npu:0"]);
});

test("a worker without a report has no devices", () => {
  expect(new DeviceIndex().update([worker(1, "a", [], { status: null })], [])).toEqual([]);
});
