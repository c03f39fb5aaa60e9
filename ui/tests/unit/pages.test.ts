// SPDX-License-Identifier: Apache-2.0
/* The logic of the smaller pages: files, joining, usage, workers. */
import { describe, expect, test } from "vitest";
import type { Schemas } from "../../src/lib/api/client.js";
import { differing, storagesOf, type ModelFile } from "../../src/lib/files.js";
import { modelFile } from "./model_file.js";
import { joinCommand, quoted } from "../../src/lib/join.js";
import { bars, parameters, readQuestion } from "../../src/lib/usage.js";
import { deviceMemory, deviceWords, share, stateOf } from "../../src/lib/workers.js";

function file(
  id: number,
  worker_id: number,
  size: number,
  more: Partial<ModelFile> = {},
): ModelFile {
  return modelFile({
    id,
    worker_id,
    size,
    worker_name: `w${worker_id}`,
    worker_ids: [worker_id],
    local_path: "/m.gguf",
    download_progress: 100,
    state: "present",
    identity: `${size}-${worker_id}`,
    ...more,
  });
}

describe("model files", () => {
  test("a copy that is unlike the others is named, of two both", () => {
    expect([...differing([file(1, 1, 10), file(2, 2, 10), file(3, 3, 9)])]).toEqual([3]);
    expect([...differing([file(1, 1, 10), file(2, 2, 9)])]).toEqual([1, 2]);
    expect(differing([file(1, 1, 10), file(2, 2, 10)]).size).toBe(0);
    expect(differing([file(1, 1, 10), file(2, 2, 0, { state: "missing" })]).size).toBe(0);
  });
  test("shared storage counts once", () => {
    const nfs = {
      mount_point: "/nfs",
      mount_from: "nas:/models",
      type: "nfs4",
      is_shared: true,
      total: 100,
      available: 40,
    };
    const disk = {
      mount_point: "/",
      mount_from: "/dev/sda1",
      type: "ext4",
      is_shared: false,
      total: 10,
      available: 1,
    };
    const found = storagesOf([
      file(1, 1, 1, { storage: nfs }),
      file(2, 2, 1, { storage: nfs }),
      file(3, 1, 1, { storage: disk }),
      file(4, 2, 1, { storage: disk }),
    ]);
    expect(found.map(({ name, workers }) => [name, workers.size])).toEqual([
      ["nas:/models", 2],
      ["w1:/", 1],
      ["w2:/", 1],
    ]);
  });
});

describe("joining", () => {
  test("words are quoted where the shell would split or read them", () => {
    expect(quoted("http://h:80")).toBe("http://h:80");
    expect(quoted("a b")).toBe("'a b'");
    expect(quoted("it's")).toBe(`'it'\\''s'`);
  });
  test("the token stands in the environment, not among the arguments", () => {
    const command = joinCommand("http://h:80", "secret", { name: "node 1", ip: "", dataDir: "" });
    expect(command).toBe(
      "GPUSTACK_TOKEN=secret gpustack start --server-url http://h:80 --worker-name 'node 1'",
    );
  });
});

describe("usage", () => {
  const now = Date.UTC(2026, 10, 26, 12, 30);
  test("the URL may hold rubbish", () => {
    const asked = readQuestion(new URLSearchParams("range=x&group=y&models=1,b,-3"));
    expect(asked).toMatchObject({ range: "7d", group: "model", models: [1], users: [] });
  });
  test("a day of hours has a bar for each, the empty ones too", () => {
    const asked = readQuestion(new URLSearchParams("range=24h"));
    const { start } = parameters(asked, now);
    expect(start).toBe("2026-11-25T12:00:00.000Z");
    const counts = { prompt_tokens: 3, completion_tokens: 4, requests: 1, errors: 0 };
    const list = bars(
      [{ ...counts, hour: "2026-11-26T10:00:00.000Z" }],
      "hour",
      Date.parse(start),
      now,
    );
    expect(list).toHaveLength(25);
    expect(list.filter((bar) => bar.requests > 0).map((bar) => bar.at)).toEqual([
      Date.UTC(2026, 10, 26, 10),
    ]);
  });
  test("weeks begin on Monday", () => {
    const list = bars([], "week", Date.UTC(2026, 10, 1), now);
    expect(new Date(list[0]?.at ?? 0).toISOString()).toBe("2026-10-26T00:00:00.000Z");
    expect(list).toHaveLength(5);
  });
});

describe("workers", () => {
  const worker = {
    id: 1,
    state: "ready",
    status: {
      gpu_devices: [
        { name: "910B4", memory: { total: 32, used: 4 } },
        { name: "910B4", memory: { total: 32, used: 1 } },
        { name: "A100", memory: { total: 80 } },
      ],
    },
  } as unknown as Schemas["Worker"];
  test("devices by their kinds, memory as a sum", () => {
    expect(deviceWords(worker)).toBe("2 × 910B4, 1 × A100");
    expect(deviceMemory(worker)).toEqual({ used: 5, total: 144 });
  });
  test("maintenance goes before what it says of itself", () => {
    expect(stateOf(worker)).toBe("ready");
    expect(stateOf({ ...worker, maintenance: { enabled: true, drain: false, message: "" } })).toBe(
      "maintenance",
    );
  });
  test("no share of nothing", () => {
    expect(share(1, 0)).toBeNull();
    expect(share(1, 4)).toBe(25);
  });
});
