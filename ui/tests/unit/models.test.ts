// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import {
  byModel,
  indexWords,
  placesOfAll,
  silenced,
  statusOf,
  type Instance,
  type Model,
} from "../../src/lib/models.js";

const model = (fields: Partial<Model> = {}) =>
  ({ id: 1, name: "m", source: "local_path", replicas: 2, ...fields }) as Model;
let next = 1;
const instance = (fields: Partial<Instance>) =>
  ({ id: next++, model_id: 1, state: "running", state_reason: "none", ...fields }) as Instance;

describe("state of a model", () => {
  const state = (replicas: number, ...instances: Partial<Instance>[]) =>
    statusOf(model({ replicas }), instances.map(instance)).state;
  test("by what its instances do", () => {
    expect(state(0)).toBe("stopped");
    expect(state(0, { state: "running", is_draining: true })).toBe("draining");
    expect(state(1)).toBe("pending");
    expect(state(1, { state: "pending" })).toBe("pending");
    expect(state(1, { state: "starting" })).toBe("starting");
    expect(state(1, { state: "scheduled" })).toBe("starting");
    expect(state(2, {}, {})).toBe("running");
    expect(state(2, {}, { state: "error" })).toBe("partly");
    expect(state(2, { state: "starting" }, { state: "error" })).toBe("error");
    expect(state(1, { state: "unreachable" })).toBe("unreachable");
  });
  test("one that drains doesn't count, and isn't what is wrong", () => {
    const status = statusOf(model({ replicas: 1 }), [
      instance({}),
      instance({ is_draining: true, state: "error" }),
    ]);
    expect(status).toMatchObject({ state: "running", ready: 1, worst: null });
  });
  test("one that serves while its probe fails is named", () => {
    const silent = instance({ state_reason: "probe_fails" });
    const status = statusOf(model(), [instance({}), silent]);
    expect(status).toMatchObject({ state: "running", ready: 2, worst: silent, alike: 1 });
  });
  test("downloads are told together", () => {
    const status = statusOf(model(), [
      instance({ state: "downloading", download_progress: 20 }),
      instance({ state: "downloading", download_progress: 40 }),
    ]);
    expect(status).toMatchObject({ state: "downloading", progress: 30 });
  });
  test("the worst stands for all that fare alike", () => {
    const status = statusOf(model({ replicas: 4 }), [
      instance({}),
      instance({ state: "pending", state_reason: "no_worker_fits" }),
      instance({ state: "error", state_reason: "engine_exited" }),
      instance({ state: "error", state_reason: "engine_exited" }),
    ]);
    expect(status.state).toBe("partly");
    expect(status.worst?.state_reason).toBe("engine_exited");
    expect(status.alike).toBe(2);
  });
});

describe("instances", () => {
  test("by model, the oldest first", () => {
    const rows = [instance({ id: 9 }), instance({ id: 3 }), instance({ id: 5, model_id: 2 })];
    expect(
      byModel(rows)
        .get(1)
        ?.map((one) => one.id),
    ).toEqual([3, 9]);
    expect(byModel(rows).get(2)?.length).toBe(1);
  });
  test("indexes in few words", () => {
    expect(indexWords([3, 0, 1, 2, 6])).toBe("0\u20133, 6");
    expect(indexWords([])).toBe("");
    expect(indexWords([4, 5])).toBe("4\u20135");
  });
  test("places lead to the device or its worker", () => {
    const places = placesOfAll(
      [
        instance({ worker_id: 10, gpu_indexes: [1] }),
        instance({ worker_id: 2, gpu_indexes: [4, 5] }),
        instance({ worker_id: null }),
      ],
      (id) => `node-${id}`,
      () => "npu",
    );
    expect(places.map(({ worker, href }) => [worker, href])).toEqual([
      ["node-2", "/workers/2"],
      ["node-10", "/devices/node-10%3Anpu%3A1"],
    ]);
  });
});

describe("names that stop answering", () => {
  const route = (name: string, targets: number[], fallback = 0) =>
    ({
      id: next++,
      name,
      targets: targets.map((model_id) => ({ model_id, weight: 100 })),
      fallback_model_id: fallback,
    }) as Parameters<typeof silenced>[1][number];
  test("models, and routes that lead nowhere else", () => {
    const a = model({ id: 1, name: "a" });
    const routes = [route("only-a", [1]), route("both", [1, 2]), route("kept", [1], 2)];
    expect(silenced([a], routes)).toEqual(["a", "only-a"]);
    expect(silenced([a], [route("a", [2])])).toEqual([]);
  });
});
