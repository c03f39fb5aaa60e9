// SPDX-License-Identifier: Apache-2.0
/*
 * How the memory of a device changes with a few settings, reckoned from the server's last answer so
 * that the bar moves at once; the next answer (a third of a second later) says it exactly. Pure;
 * doc/estimates.md has the rules.
 */
import type { Schemas } from "./api/client.js";
import { bytesOfType, engineName, read, tokens } from "./parameters.js";

export interface Parts {
  weights: number;
  cache: number;
  compute: number;
  overhead: number;
}
/** In the order in which they are drawn. */
export const partNames = ["weights", "cache", "compute", "overhead"] as const;

/** What the reckoning goes by. */
export interface Settings {
  engine: string;
  /** Tokens; null: the engine's own choice. */
  context: number | null;
  slots: number | null;
  cacheType: string;
  tensorParallel: number | null;
}

/** The answer that it starts from. */
export interface Base {
  settings: Settings;
  /** Tokens that the answer reckoned with. */
  context: number;
  tensorParallel: number;
  /** Of one rank on one device; the largest. */
  parts: Parts;
  /** Devices of one instance. */
  devices: number;
}

export function settingsOf(engine: string, parameters: readonly string[]): Settings {
  const number = (text: string) => {
    const value = tokens(text);
    return value !== null && value > 0 ? value : null;
  };
  return {
    engine: engineName(engine),
    context: number(read(parameters, engine, "context")),
    slots: number(read(parameters, engine, "slots")),
    cacheType: read(parameters, engine, "cacheType"),
    tensorParallel: number(read(parameters, engine, "tensorParallel")),
  };
}

export function partsOf(one: Schemas["MemoryParts"]): Parts {
  return {
    weights: one.weights,
    cache: one.cache + one.state,
    compute: one.compute + one.graphs,
    overhead: Math.max(0, one.runtime + one.learned),
  };
}

export function sum(parts: Parts): number {
  return parts.weights + parts.cache + parts.compute + parts.overhead;
}

/** Null where the answer doesn't tell parts. */
export function baseOf(
  placement: Schemas["Placement"] | undefined,
  settings: Settings,
): Base | null {
  const all = placement?.ranks.flatMap((rank) => rank.gpu_parts) ?? [];
  if (!placement || all.length === 0) return null;
  const parts = all.map(partsOf).reduce((most, one) => (sum(one) > sum(most) ? one : most));
  return {
    settings,
    context: placement.context_length,
    tensorParallel: Math.max(1, placement.tensor_parallel),
    parts,
    devices: all.length,
  };
}

const step = 256; // llama.cpp's contexts are multiples of it.

/** Tokens that the cache has cells for; null: as many as the engine likes. */
function cells({ engine, context, slots }: Settings): number | null {
  if (context === null || engine !== "llama.cpp") return context;
  // --ctx-size is for all requests together; each has its part of it, rounded up.
  const parts = slots ?? 1;
  return Math.ceil(context / parts / step) * step * parts;
}

/** How many devices the settings ask for, and what each holds. */
export function reckon(base: Base, now: Settings): { parts: Parts; devices: number } {
  const was = base.settings;
  const cut = base.tensorParallel / (now.tensorParallel ?? base.tensorParallel);
  // An answer's context is of one request, which has its part of llama.cpp's cache.
  const own = base.context * (was.engine === "llama.cpp" ? (was.slots ?? 1) : 1);
  const before = cells(was) ?? own;
  const longer = before > 0 ? (cells(now) ?? before) / before : 1;
  const width = bytesOfType(now.cacheType) / bytesOfType(was.cacheType);
  return {
    parts: {
      weights: base.parts.weights * cut,
      cache: base.parts.cache * cut * longer * width,
      compute: base.parts.compute,
      overhead: base.parts.overhead,
    },
    devices: Math.max(1, Math.round(base.devices / cut)),
  };
}
