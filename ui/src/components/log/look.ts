// SPDX-License-Identifier: Apache-2.0
/* How logs are shown in this browser: kept between visits. */
export interface Look {
  isWrapped: boolean;
  hasStamps: boolean;
}

const key = "gpustack.logs";

export function readLook(): Look {
  let stored: Partial<Look> = {};
  try {
    stored = JSON.parse(localStorage.getItem(key) ?? "{}") as Partial<Look>;
  } catch {
    // As if nothing were stored.
  }
  return { isWrapped: stored.isWrapped !== false, hasStamps: stored.hasStamps !== false };
}

export function writeLook(look: Look): void {
  try {
    localStorage.setItem(key, JSON.stringify(look));
  } catch {
    // It then holds for this page only.
  }
}
