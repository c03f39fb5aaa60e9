// SPDX-License-Identifier: Apache-2.0
/* The engine that a draft will run with, as far as it can be told before the server has said it. */
import { devices } from "./devices.svelte.js";
import type { Evaluation } from "./evaluate.svelte.js";
import { engineName } from "./parameters.js";
import { isGguf, readSource } from "./sources.js";
import type { Draft } from "./spec.js";

export function engineOf(draft: Draft, result: Evaluation | null): string {
  if (draft.backend) return engineName(draft.backend);
  const told = result?.placement?.engine;
  if (told) return engineName(told);
  if (isGguf(readSource(draft.source))) return "llama.cpp";
  const isAscend = devices.all.length > 0 && devices.all.every((device) => device.type === "npu");
  return isAscend ? "mindie" : "vllm";
}
