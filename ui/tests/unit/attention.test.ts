// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { DeviceIndex } from "../../src/lib/devices.js";
import { attention } from "../../src/routes/overview/attention.js";

const now = Date.parse("2026-01-02T12:00:00Z");
const ago = (minutes: number) => new Date(now - minutes * 60_000).toISOString();
const gib = 2 ** 30;

const worker = (id: number, name: string, more: object = {}) =>
  ({
    id,
    name,
    state: "ready",
    heartbeat_time: ago(0),
    status: { gpu_devices: [{ index: 0, type: "npu", memory: { total: 32 * gib, used: 0 } }] },
    ...more,
  }) as never;
const instance = (id: number, model: string, more: object = {}) =>
  ({
    id,
    name: `${model}-${id}`,
    model_id: model.length,
    model_name: model,
    state: "running",
    state_reason: "none",
    state_since: ago(600),
    worker_id: 1,
    gpu_indexes: [0],
    ...more,
  }) as never;

function see(workers: never[], instances: never[], used: string[] | null = null) {
  const devices = new DeviceIndex().update(workers, instances);
  return attention({ workers, instances, devices, usedModels: used && new Set(used), now });
}

test("all is well", () => {
  expect(see([worker(1, "a")], [instance(1, "m")], ["m"])).toEqual([]);
});

test("the most urgent stands first", () => {
  const found = see(
    [
      worker(1, "a", { state: "unreachable", heartbeat_time: ago(5) }),
      worker(2, "b", { status: { gpu_devices: [{ index: 0, type: "npu", healthy: false }] } }),
    ],
    [
      instance(1, "mm", {
        state: "pending",
        state_reason: "no_worker_fits",
        state_message: "too big",
      }),
      instance(2, "mmm", { state: "error", state_reason: "engine_exited" }),
    ],
  );
  expect(found.map((one) => one.kind)).toEqual(["unreachable", "error", "unhealthy", "pending"]);
  expect(found[0]).toMatchObject({
    args: { worker: "a" },
    since: now - 300_000,
    href: "/workers/1",
  });
  expect(found[3]).toMatchObject({
    reason: "no_worker_fits",
    message: "too big",
    href: "/instances/1",
  });
});

test("instances of one model with one reason are one line that leads to the model", () => {
  const [line, ...others] = see(
    [worker(1, "a")],
    [1, 2, 3].map((id) => instance(id, "mm", { state: "error", state_since: ago(id) })),
  );
  expect(others).toEqual([]);
  expect(line).toMatchObject({
    args: { model: "mm", count: 3 },
    since: now - 180_000,
    href: "/models/2",
  });
});

test("what has only just begun to wait, and what drains, is no trouble", () => {
  expect(
    see(
      [worker(1, "a")],
      [
        instance(1, "m", { state: "pending", state_since: new Date(now - 2000).toISOString() }),
        instance(2, "m", { state: "error", is_draining: true }),
      ],
    ),
  ).toEqual([]);
});

test("full disks", () => {
  const disks = (filesystem: object[]) => see([worker(1, "a", { status: { filesystem } })], []);
  expect(disks([{ mount_point: "/", total: 100 * gib, available: 4 * gib }])[0]).toMatchObject({
    kind: "disk",
    args: { worker: "a", disk: "/" },
    free: 4 * gib,
  });
  expect(disks([{ mount_point: "/", total: 100 * gib, available: 50 * gib }])).toEqual([]);
  expect(disks([{ mount_point: "/boot", total: gib, available: gib / 2 }])).toEqual([]); // Small, not full.
  expect(disks([{ mount_point: "/none", total: 0, available: 0 }])).toEqual([]);
});

test("devices that are held and not used", () => {
  const rows = [
    instance(1, "m", { state_since: ago(90) }),
    instance(2, "m", { state_since: ago(80) }),
  ];
  expect(see([worker(1, "a")], rows, [])[0]).toMatchObject({
    kind: "idle",
    args: { model: "m", count: 1 },
    since: now - 80 * 60_000,
  });
  expect(see([worker(1, "a")], rows, ["m"])).toEqual([]);
  expect(see([worker(1, "a")], rows, null)).toEqual([]);
  expect(see([worker(1, "a")], [instance(1, "m", { state_since: ago(10) })], [])).toEqual([]);
});
