// SPDX-License-Identifier: Apache-2.0
/*
 * Downloads as they are now. The shell watches them all the time, so that each page knows at once
 * which ones have stalled.
 *
 *     downloads.open                       all that aren't done
 *     downloads.progress(file).eta_ms
 */
import { Arrivals, isOpen, progressOf, type ModelFile, type Progress } from "./downloads.js";
import { live } from "./live.svelte.js";

const arrivals = new Arrivals();
let now = $state(Date.now());

export const downloads = {
  get open(): ModelFile[] {
    return live.files.filter(isOpen);
  },
  progress(file: ModelFile): Progress {
    // What isn't being fetched doesn't grow old: it is not to be reckoned anew every second.
    return progressOf(file, file.state === "downloading" ? arrivals.stillFor(file.id, now) : 0);
  },
  /** For an $effect of the shell. */
  watch(): () => void {
    $effect(() => {
      now = Date.now();
      arrivals.note(live.files, now);
    });
    const timer = setInterval(() => (now = Date.now()), 1000);
    return () => clearInterval(timer);
  },
};
