// SPDX-License-Identifier: Apache-2.0
/*
 * Why an instance is as it is: codes and their arguments (doc/placement.md, the server's reasons
 * and events) as what the page can put in words. Pure: figures are written by the functions it is
 * given.
 */
import type { Schemas } from "./api/client.js";

export type WayOut = Schemas["WayOut"];
type Args = Record<string, unknown> | null | undefined;

/** A key of words with what is to be put in. */
export interface Told {
  key: string;
  args: Record<string, string | number>;
}
export interface Figures {
  bytes: (value: number) => string;
  duration: (ms: number) => string;
}

function text(args: Args, name: string): string | null {
  const value = args?.[name];
  if (typeof value === "number") return String(value);
  return typeof value === "string" && value !== "" ? value : null;
}
function count(args: Args, name: string): number | null {
  const value = args?.[name];
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}
function list(args: Args, name: string): Record<string, unknown>[] {
  const value = args?.[name];
  return Array.isArray(value)
    ? value.filter((one): one is Record<string, unknown> => typeof one === "object" && one !== null)
    : [];
}

// ---- states ----

/** What is known beside the reason itself, but for the line of the log: "reasons.fact.…". */
export function factsOf(args: Args, figures: Figures): Told[] {
  const out: Told[] = [];
  const tell = (key: string, values: Told["args"]) =>
    out.push({ key: `reasons.fact.${key}`, args: values });
  const say = (name: string, key: string, as: string) => {
    const value = text(args, name);
    if (value !== null) tell(key, { [as]: value });
  };
  say("worker", "worker", "worker");
  say("rank", "rank", "rank");
  const seconds = count(args, "seconds");
  if (seconds !== null) tell("seconds", { time: figures.duration(seconds * 1000) });
  say("path", "path", "path");
  say("file", "file", "file");
  const engine = [text(args, "backend"), text(args, "version")].filter(Boolean).join(" ");
  if (engine) tell("engine", { engine });
  say("source", "source", "source");
  say("generation", "generation", "number");
  say("by", "by", "name");
  say("probe", "probe", "text");
  const first = text(args, "first");
  const last = text(args, "last");
  if (first !== null && last !== null) tell("ports", { first, last });
  say("port", "port", "port");
  say("errno", "errno", "number");
  say("gpu_index", "device", "index");
  const needs = count(args, "needs");
  const free = count(args, "free");
  if (needs !== null && free !== null)
    tell("memory", { needs: figures.bytes(needs), free: figures.bytes(free) });
  say("exit_code", "exit", "code");
  say("signal", "signal", "signal");
  say("minutes", "minutes", "minutes");
  const restarts = count(args, "restarts");
  if (restarts !== null) tell("restarts", { count: restarts });
  return out;
}

/** The engine's own words: of its log, or of what it says of its parameters. */
export function linesOf(args: Args): string[] {
  return [text(args, "detail"), text(args, "log")].filter((line) => line !== null);
}

/** What led to it, for reasons that only say that no further try follows. */
export function causeOf(args: Args): string | null {
  return text(args, "reason");
}

// ---- no place ----

export interface Filter {
  filter: string;
  refused: number;
  left: number;
}

/** Workers that each filter refuses, in the order in which they are asked. */
export function funnelOf(args: Args): Filter[] {
  return list(args, "funnel").map((one) => ({
    filter: text(one, "filter") ?? "",
    refused: count(one, "refused") ?? 0,
    left: count(one, "left") ?? 0,
  }));
}

export function workersOf(args: Args): number | null {
  return count(args, "workers");
}

/** Devices of a worker with which the same is the matter. */
export interface RefusedDevices {
  worker: string;
  indexes: number[];
  code: string;
  /** Of the worker, where it is the one that refuses. */
  filter: string | null;
  /** Bytes; null: not known. */
  needs: number | null;
  free: number | null;
  total: number | null;
  heldBy: string | null;
  held: number | null;
}

export function devicesOf(args: Args): RefusedDevices[] {
  const groups = new Map<string, RefusedDevices>();
  for (const one of list(args, "devices")) {
    const { gpu_index, ...rest } = one;
    // Where the worker is the matter, figures of its devices tell nothing.
    const isOfWorker = one["code"] === "worker_refuses";
    const key = JSON.stringify(isOfWorker ? [one["worker"], one["reason"]] : rest);
    const index = typeof gpu_index === "number" ? gpu_index : 0;
    const known = groups.get(key);
    if (known) known.indexes.push(index);
    else
      groups.set(key, {
        worker: text(one, "worker") ?? "",
        indexes: [index],
        code: text(one, "code") ?? "",
        filter: text(one, "reason"),
        needs: isOfWorker ? null : count(one, "needs"),
        free: isOfWorker ? null : count(one, "free"),
        total: isOfWorker ? null : count(one, "total"),
        heldBy: isOfWorker ? null : text(one, "held_by"),
        held: isOfWorker ? null : count(one, "held"),
      });
  }
  return [...groups.values()];
}

/** Of how many devices there are and how many are told of. */
export function deviceCounts(args: Args): { told: number; all: number } {
  const told = list(args, "devices").length;
  return { told, all: Math.max(told, count(args, "device_count") ?? 0) };
}

// ---- ways out ----

/** Null: nobody has looked for any (yet). */
export function waysOf(args: Args): WayOut[] | null {
  if (!Array.isArray(args?.["ways_out"])) return null;
  return list(args, "ways_out").map((one) => {
    const { change } = one;
    return {
      code: (text(one, "code") ?? "") as WayOut["code"],
      message: text(one, "message") ?? "",
      change:
        typeof change === "object" && change !== null ? (change as Record<string, never>) : {},
    };
  });
}

const named: Partial<Record<WayOut["code"], RegExp>> = {
  shorter_context: /context of (\d+) tokens/,
  tensor_parallel: /over (\d+) devices/,
  quantization: /quantised as (.+?) \(/,
  stop_model: /^stop model (.+), which holds/,
  drop_label: /of label (.+) instead of/,
};

/** What a way is about, for its words: tokens, devices, a label, a model. */
export function wayValue(way: WayOut): string {
  return named[way.code]?.exec(way.message)?.[1] ?? way.message;
}

/** The same as an argument of words, which write numbers in the language's way. */
export function wayFigure(way: WayOut): string | number {
  const value = wayValue(way);
  return /^\d+$/.test(value) ? Number(value) : value;
}

// ---- events ----

/** The arguments of an event: "reasons.told.…", or the reason of an instance: "reasons.state.…". */
export function eventTold(code: string, args: Args, figures: Figures): Told[] {
  const out: Told[] = [];
  const tell = (key: string, values: Told["args"]) =>
    out.push({ key: `reasons.told.${key}`, args: values });
  const worker = text(args, "worker");
  const from = text(args, "from");
  const to = text(args, "to");
  const generation = text(args, "generation");
  const seconds = count(args, "seconds");
  const rank = text(args, "rank");
  if (code === "moved" && from !== null)
    tell("movedFrom", { worker: from, count: count(args, "failures") ?? 0 });
  else if (code === "rolled_back" && to !== null) tell("generation", { number: to });
  else if (from !== null && to !== null) tell("fromTo", { from, to });
  else if (generation !== null) tell("generation", { number: generation });
  if (code === "maintenance" && args) {
    const isOn = args["enabled"] === true;
    tell(
      !isOn ? "maintenanceOff" : args["drain"] === true ? "maintenanceDrain" : "maintenanceOn",
      {},
    );
  }
  const known = text(args, "known");
  const refused = text(args, "refused");
  if (known !== null && refused !== null) tell("known", { known, refused });
  const silent = count(args, "silent");
  const workers = count(args, "workers");
  if (silent !== null && workers !== null) tell("silent", { silent, workers });
  if (seconds !== null) tell("seconds", { time: figures.duration(seconds * 1000) });
  const by = text(args, "by");
  if (by !== null) tell("by", { name: by });
  if (rank !== null && worker !== null) tell("rank", { rank, worker });
  else if (worker !== null) tell("on", { worker });
  const reason = text(args, "reason");
  if (reason !== null && reason !== "none") out.push({ key: `reasons.state.${reason}`, args: {} });
  return out;
}
