// SPDX-License-Identifier: Apache-2.0
/* Entries of the catalog: which variant of one, how it fits here, and as a draft. Pure. */
import type { Schemas } from "./api/client.js";
import { readSource, writeSource } from "./sources.js";
import { draftOf, type Draft } from "./spec.js";

export type ModelSet = Schemas["ModelSet"];
export type ModelSpec = Schemas["ModelSpec"];
export type Fit = Schemas["ModelSetFit"];

const rank = { fits: 0, fits_partly: 1, no: 2 };

/** Variants, those that fit first, else in the catalog's order. */
export function sortedSpecs(set: ModelSet, fits: ReadonlyMap<number, Fit>): ModelSpec[] {
  const points = (spec: ModelSpec) => {
    const fit = fits.get(spec.spec_id);
    return fit ? rank[fit.fit] : 1.5;
  };
  return [...set.specs].sort((a, b) => points(a) - points(b));
}

/** The one to offer: of those that fit best the first. */
export function bestSpec(set: ModelSet, fits: ReadonlyMap<number, Fit>): ModelSpec | undefined {
  return sortedSpecs(set, fits)[0];
}

/** "name:precision", as the command line takes it. */
export function specName(set: ModelSet, spec: ModelSpec): string {
  return `${set.name}:${spec.quantization}`;
}

/** By what is typed: "qwen3-8b" or "qwen3-8b:Q4_K_M". */
export function findSpec(
  sets: readonly ModelSet[],
  text: string,
  fits: ReadonlyMap<number, Fit>,
): { set: ModelSet; spec: ModelSpec } | null {
  const source = readSource(text);
  if (source.kind !== "catalog") return null;
  const set = sets.find((one) => one.name === source.name);
  if (!set) return null;
  const specs = sortedSpecs(set, fits);
  const wanted = source.precision.toLowerCase();
  const spec = wanted ? specs.find((one) => one.quantization.toLowerCase() === wanted) : specs[0];
  return spec ? { set, spec } : null;
}

export function draftFrom(set: ModelSet, spec: ModelSpec): Draft {
  return {
    ...draftOf(spec as unknown as Record<string, unknown>),
    catalog: specName(set, spec),
  };
}

/** Whether the draft still is what the catalog's entry says of the files. */
export function isStill(draft: Draft, set: ModelSet, spec: ModelSpec): boolean {
  return writeSource(readSource(draft.source)) === draftFrom(set, spec).source;
}
