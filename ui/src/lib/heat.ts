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

/** °C at which the lowest step begins and the highest ends. */
export const temperatureRange = { low: 30, high: 94 };

/** Number of a --series colour, from 1: always the same for a name. */
export function seriesOf(name: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) {
    hash ^= name.charCodeAt(i);
    hash = Math.imul(hash, 0x01000193);
  }
  hash ^= hash >>> 15;
  return ((hash >>> 0) % seriesCount) + 1;
}

/** Red, green and blue of "rgb(1, 2, 3)" or "rgba(…)", as computed styles write colours. */
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
