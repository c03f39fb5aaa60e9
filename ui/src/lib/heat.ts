// SPDX-License-Identifier: Apache-2.0
/*
 * Figures as steps of colour, and names as colours: for the map of devices. Pure.
 */

export const heatSteps = 8;
export const seriesCount = 6;

/** Step 0 to 7 of `value` between `low` and `high`; null: not known. */
export function heatStep(value: number | null, low = 0, high = 100): number | null {
  if (value === null || !Number.isFinite(value)) return null;
  const share = (value - low) / (high - low);
  return Math.min(heatSteps - 1, Math.max(0, Math.floor(share * heatSteps)));
}

/** Degrees C at which the lowest step begins and the highest ends. */
export const temperatureRange = { low: 30, high: 94 };

function hashOf(name: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) {
    hash ^= name.charCodeAt(i);
    hash = Math.imul(hash, 0x01000193);
  }
  return (hash ^ (hash >>> 15)) >>> 0;
}

/**
 * Numbers of --series colours, from 1, for names: each its own while there are enough, by its hash
 * where that is free, so that most keep theirs when others come and go.
 */
export function seriesOf(names: Iterable<string>): Map<string, number> {
  const found = new Map<string, number>();
  let taken = new Set<number>();
  for (const name of [...new Set(names)].sort()) {
    if (taken.size === seriesCount) taken = new Set();
    let slot = hashOf(name) % seriesCount;
    while (taken.has(slot)) slot = (slot + 1) % seriesCount;
    taken.add(slot);
    found.set(name, slot + 1);
  }
  return found;
}

/** Red, green and blue of "rgb(1, 2, 3)" or "rgba(...)", as computed styles write colours. */
export function parseColour(text: string): [number, number, number] {
  const numbers = text.match(/[\d.]+/g) ?? [];
  return [Number(numbers[0] ?? 0), Number(numbers[1] ?? 0), Number(numbers[2] ?? 0)];
}

/** Relative luminance as WCAG has it, 0 to 1. */
export function luminance([r, g, b]: readonly [number, number, number]): number {
  const linear = (channel: number) => {
    const c = channel / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  };
  return 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
}

/** Whether black is read better than white on it. */
export function isLight(colour: string): boolean {
  return luminance(parseColour(colour)) > 0.179;
}
