// SPDX-License-Identifier: Apache-2.0
/*
 * Frames per second of the map with many devices of which a share (`change`, 1: all) has new
 * figures ten times a second, as the stream tells them at most. The result is in `window.result`
 * after some seconds: frames per second, the longest frame, the time of an update.
 */
import { mount } from "svelte";
import type { Reported } from "../../src/lib/devices.js";
import { loadMessages } from "../../src/lib/i18n.svelte.js";
import MapBench from "./MapBench.svelte";

const query = new URLSearchParams(location.search);
const count = Number(query.get("devices") ?? 5000);
const change = Number(query.get("change") ?? 1);
const each = 8;
const seconds = 6;

const names = Array.from({ length: 40 }, (_, i) => `model-${i}`);
const gib = 2 ** 30;
const instances = Array.from({ length: Math.floor(count / 4) }, (_, i) => {
  const worker = Math.floor((i * 4) / each);
  const first = (i * 4) % each;
  const indexes = i % 5 === 4 ? [] : [first, first + 1, first + 2];
  return {
    id: i + 1,
    name: `${names[i % 40]}-${i}`,
    model_id: i % 40,
    model_name: names[i % 40],
    state: "running",
    worker_id: worker + 1,
    gpu_indexes: indexes,
    computed_resource_claim: { vram: Object.fromEntries(indexes.map((at) => [at, 24 * gib])) },
  };
});
function report(worker: number, index: number): Reported {
  const isUsed = !(Math.floor((worker * each + index) / 4) % 5 === 4) && index % 4 < 3;
  return {
    index,
    type: "npu",
    name: "910B4",
    vendor: "Huawei",
    healthy: (worker * 31 + index) % 97 !== 0,
    temperature: 40 + Math.random() * 40,
    power: 100 + Math.random() * 200,
    core: { utilization_rate: isUsed ? Math.random() * 100 : 0 },
    memory: { total: 32 * gib, used: isUsed ? (8 + Math.random() * 16) * gib : 0 },
  };
}
const makeWorker = (i: number) => ({
  id: i + 1,
  name: `node-${i + 1}`,
  state: i % 50 === 7 ? "unreachable" : "ready",
  status: { gpu_devices: Array.from({ length: each }, (_, index) => report(i, index)) },
});
const workers = Array.from({ length: Math.ceil(count / each) }, (_, i) => makeWorker(i));

await loadMessages(["common", "devices"]);
const app = mount(MapBench, {
  target: document.getElementById("app") as HTMLElement,
  props: { workers: workers as never, instances: instances as never },
}) as { update: (workers: unknown) => number };

let next = 0;
const updates: number[] = [];
setInterval(() => {
  const some = Math.ceil(workers.length * change);
  const rows = [...workers];
  for (let n = 0; n < some; n++, next = (next + 1) % rows.length)
    rows[next] = workers[next] = makeWorker(next);
  updates.push(app.update(rows));
}, 100);

let frames = 0;
let longest = 0;
let last = 0;
let begin = 0;
function frame(now: number) {
  if (begin === 0) begin = now;
  if (last) longest = Math.max(longest, now - last);
  if (now - begin > 1000)
    frames++; // The first second is the start.
  else longest = 0;
  last = now;
  if (now - begin < (seconds + 1) * 1000) requestAnimationFrame(frame);
  else
    Object.assign(window, {
      result: {
        devices: count,
        change,
        fps: Math.round(frames / seconds),
        longest_ms: Math.round(longest),
        update_ms:
          Math.round((10 * updates.reduce((sum, one) => sum + one, 0)) / updates.length) / 10,
      },
    });
}
requestAnimationFrame(frame);
