// SPDX-License-Identifier: Apache-2.0
/*
 * What a cell of the map of devices shows. Pure: a cell is drawn again only when its `key` changes.
 */
import { memoryShare, modelsOn, type Device } from "./devices.js";
import { heatStep, temperatureRange } from "./heat.js";

export const colourModes = ["util", "memory", "temperature", "model"] as const;
export type ColourMode = (typeof colourModes)[number];

export function colourModeOf(text: string | null): ColourMode {
  return colourModes.find((mode) => mode === text) ?? "util";
}

/** What a placement that isn't done yet would put on a device. */
export interface Planned {
  label: string;
  bytes: number;
}

export interface Cell {
  /** Names of colours beside each other ("heat-3", "series-1"); none: hollow. */
  fills: readonly string[];
  /** The figure isn't known though something runs there. */
  isUnknown: boolean;
  mark: "none" | "cross" | "hatch";
  /** In `barSteps` parts of the memory. */
  used: number;
  claimed: number;
  planned: number;
  label: string;
  figure: string;
  key: string;
}

export const barSteps = 64;
const mostFills = 3;

/** The figure that colours the cell, or null. */
export function figureOf(device: Device, mode: ColourMode): number | null {
  if (mode === "memory") return memoryShare(device);
  if (mode === "temperature") return device.temperature;
  return device.util;
}

function fillsOf(device: Device, { mode, tones }: Look, names: readonly string[]): string[] {
  if (mode === "model")
    return names.slice(0, mostFills).map((name) => `series-${tones.get(name) ?? 1}`);
  if (device.state === "free" && mode !== "temperature") return [];
  const figure = figureOf(device, mode);
  const step =
    mode === "temperature"
      ? heatStep(figure, temperatureRange.low, temperatureRange.high)
      : heatStep(figure);
  return step === null ? [] : [`heat-${step}`];
}

/** Where a number would say nothing. */
const isQuiet = (device: Device, mode: ColourMode) =>
  mode === "model" || (device.state === "free" && mode !== "temperature");

const marks = { unhealthy: "cross", unreachable: "hatch", free: "none", used: "none" } as const;

const inSteps = (bytes: number, total: number) =>
  total > 0 ? Math.min(barSteps, Math.ceil((barSteps * bytes) / total)) : 0;

/** How cells are to look. */
export interface Look {
  mode: ColourMode;
  /** Numbers of the models' colours. */
  tones: ReadonlyMap<string, number>;
  /** Puts a figure into words: 87 → "87%". */
  write: (figure: number) => string;
}

export function cellOf(device: Device, look: Look, planned?: Planned): Cell {
  const { mode, write } = look;
  const names = modelsOn(device);
  const fills = fillsOf(device, look, names);
  const figure = figureOf(device, mode);
  const total = device.total;
  const cell = {
    fills,
    isUnknown: fills.length === 0 && device.uses.length > 0,
    mark: marks[device.state],
    used: inSteps(device.used, total),
    claimed: inSteps(device.claimed, total),
    planned: planned ? inSteps(device.claimed + planned.bytes, total) : 0,
    label:
      planned?.label ?? (names.length > 1 ? `${names[0]} +${names.length - 1}` : (names[0] ?? "")),
    figure: isQuiet(device, mode) || figure === null ? "" : write(figure),
  };
  const { mark, used, claimed, label } = cell;
  const key = `${fills.join()}|${mark}${cell.isUnknown ? "?" : ""}|${used},${claimed},${cell.planned}|${label}|${cell.figure}`;
  return { ...cell, key };
}
