// SPDX-License-Identifier: Apache-2.0
/* What instances wait for, from the live rows. */
import { placesOf } from "./devices.js";
import { downloads } from "./downloads.svelte.js";
import { downloadsOf, isOpen, sumOf, type ModelFile, type Progress } from "./downloads.js";
import { live } from "./live.svelte.js";
import type { Instance } from "./models.js";

/** Downloads that aren't done, each once. */
export function awaited(instances: readonly Instance[]): ModelFile[] {
  const found = new Set<ModelFile>();
  for (const instance of instances) {
    const workers = placesOf(instance).map((place) => place.workerId);
    for (const file of downloadsOf(instance, workers, live.files))
      if (isOpen(file)) found.add(file);
  }
  return [...found];
}

/** All of them as one; where no row is known, what the instances say themselves. */
export function awaitedProgress(instances: readonly Instance[]): Progress {
  const sum = sumOf(awaited(instances).map((file) => downloads.progress(file)));
  if (sum) return sum;
  const told = instances.flatMap((one) => one.download_progress ?? []);
  return {
    percent: told.length > 0 ? told.reduce((all, one) => all + one, 0) / told.length : null,
    downloaded: 0,
    size: null,
    rate: null,
    eta_ms: null,
    isStalled: false,
  };
}
