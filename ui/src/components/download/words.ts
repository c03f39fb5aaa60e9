// SPDX-License-Identifier: Apache-2.0
/* What is said of a download in short, in the page's language. */
import type { Progress } from "../../lib/downloads.js";
import { bytes, duration, percent, t } from "../../lib/i18n.svelte.js";

/** Whole seconds: tenths would only flicker. */
const whole = (ms: number) => duration(Math.max(1000, Math.round(ms / 1000) * 1000));

/** "1.2 GiB of 2.9 GiB". */
export function amountWords(progress: Progress): string {
  if (progress.size === null)
    return progress.downloaded > 0 ? bytes(progress.downloaded) : t("common.download.sizeUnknown");
  return t("common.download.amount", {
    some: bytes(progress.downloaded),
    all: bytes(progress.size),
  });
}

/** "12.3 MiB/s · 4 min left", or that nothing comes; "" where nothing is being fetched. */
export function speedWords(progress: Progress): string {
  if (progress.isStalled) return t("common.download.stalled");
  if (progress.rate === null) return "";
  const speed = t("common.download.speed", { bytes: bytes(progress.rate) });
  return progress.eta_ms === null
    ? speed
    : `${speed} · ${t("common.download.left", { time: whole(progress.eta_ms) })}`;
}

export function percentWords(progress: Progress): string {
  return progress.percent === null ? "" : percent(Math.floor(progress.percent));
}

/** All of it in one line. */
export function progressWords(progress: Progress): string {
  return [percentWords(progress), amountWords(progress), speedWords(progress)]
    .filter((part) => part !== "")
    .join(" · ");
}
