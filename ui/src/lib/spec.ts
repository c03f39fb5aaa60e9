// SPDX-License-Identifier: Apache-2.0
/*
 * A model as the form has it: from a row or a body, to a body, as a command; what differs between
 * two and what that causes. Pure.
 */
import type { Schemas } from "./api/client.js";
import type { Model } from "./models.js";
import { words } from "./parameters.js";
import { readSource, writeSource, type Source } from "./sources.js";
import { toYaml } from "./yaml.js";

export type Body = Partial<Schemas["Model"]>;
export type Category = Exclude<NonNullable<Model["categories"]>[number], "unknown">;

export const categories: Category[] = [
  "llm",
  "embedding",
  "reranker",
  "image",
  "speech_to_text",
  "text_to_speech",
];

/** What a form can hold: no field is missing, none is null but for numbers that are empty. */
export interface Draft {
  /** As typed; see sources.ts. */
  source: string;
  name: string;
  description: string;
  replicas: number | null;
  categories: Category[];
  backend: string;
  backend_version: string;
  backend_parameters: string[];
  env: Record<string, string>;
  worker_selector: Record<string, string>;
  gpu_ids: string[];
  gpus_per_replica: number | null;
  placement_strategy: "auto" | "spread" | "binpack";
  priority: number | null;
  cpu_offloading: boolean;
  distributed: boolean;
  restart_on_error: boolean;
  max_restarts: number | null;
  first_byte_timeout: number | null;
  generic_proxy: boolean;
  requests_per_minute: number | null;
  tokens_per_minute: number | null;
  concurrent_requests: number | null;
  token_budget: number | null;
  budget_period: "never" | "hour" | "day" | "week" | "month";
  /** Members that the form has no field for: kept as they came. */
  other: Record<string, unknown>;
  /** "name:precision" of the catalog's entry that it was filled in from; "" else. */
  catalog: string;
}

export function emptyDraft(): Draft {
  return {
    source: "",
    name: "",
    description: "",
    replicas: 1,
    categories: [],
    backend: "",
    backend_version: "",
    backend_parameters: [],
    env: {},
    worker_selector: {},
    gpu_ids: [],
    gpus_per_replica: null,
    placement_strategy: "auto",
    priority: 0,
    cpu_offloading: true,
    distributed: true,
    restart_on_error: true,
    max_restarts: 0,
    first_byte_timeout: 0,
    generic_proxy: false,
    requests_per_minute: null,
    tokens_per_minute: null,
    concurrent_requests: null,
    token_budget: null,
    budget_period: "never",
    other: {},
    catalog: "",
  };
}

// ---- the members of a body ----

const others = [
  "image_name",
  "run_command",
  "extended_kv_cache",
  "speculative_config",
  "lora_list",
  "scaling_schedule",
  "access_policy",
] as const;

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}
function numberOf(value: unknown, otherwise: number | null): number | null {
  return typeof value === "number" && Number.isFinite(value) ? value : otherwise;
}
function mapOf(value: unknown): Record<string, string> {
  if (typeof value !== "object" || value === null) return {};
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, String(one)]));
}
function listOf(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : [];
}
function oneOf<T extends string>(value: unknown, known: readonly T[], otherwise: T): T {
  return known.find((one) => one === value) ?? otherwise;
}

function sourceOf(body: Record<string, unknown>): Source {
  const [path, hf, ms] = [
    body["local_path"],
    body["huggingface_repo_id"],
    body["model_scope_model_id"],
  ].map(textOf);
  const kind =
    textOf(body["source"]) || (path ? "local_path" : hf ? "huggingface" : ms ? "model_scope" : "");
  if (kind === "local_path" && path) return { kind, path };
  if (kind === "huggingface" && hf)
    return { kind, repo: hf, file: textOf(body["huggingface_filename"]) };
  if (kind === "model_scope" && ms)
    return { kind, repo: ms, file: textOf(body["model_scope_file_path"]) };
  return { kind: "none" };
}

/** Anything that a body, a row or pasted YAML has; what isn't of the kind is left out. */
export function draftOf(body: Record<string, unknown>): Draft {
  const base = emptyDraft();
  const selector = (body["gpu_selector"] ?? {}) as Record<string, unknown>;
  const flag = (name: string, otherwise: boolean) =>
    typeof body[name] === "boolean" ? body[name] : otherwise;
  return {
    ...base,
    source: writeSource(sourceOf(body)),
    name: textOf(body["name"]),
    description: textOf(body["description"]),
    replicas: numberOf(body["replicas"], 1),
    categories: categories.filter((one) => listOf(body["categories"]).includes(one)),
    backend: textOf(body["backend"]),
    backend_version: textOf(body["backend_version"]),
    backend_parameters: listOf(body["backend_parameters"]),
    env: mapOf(body["env"]),
    worker_selector: mapOf(body["worker_selector"]),
    gpu_ids: listOf(selector["gpu_ids"]),
    gpus_per_replica: numberOf(selector["gpus_per_replica"], null),
    placement_strategy: oneOf(body["placement_strategy"], ["auto", "spread", "binpack"], "auto"),
    priority: numberOf(body["priority"], 0),
    cpu_offloading: flag("cpu_offloading", true),
    distributed: flag("distributed_inference_across_workers", true),
    restart_on_error: flag("restart_on_error", true),
    max_restarts: numberOf(body["max_restarts"], 0),
    first_byte_timeout: numberOf(body["first_byte_timeout"], 0),
    generic_proxy: flag("generic_proxy", false),
    requests_per_minute: numberOf(body["requests_per_minute"], null) || null,
    tokens_per_minute: numberOf(body["tokens_per_minute"], null) || null,
    concurrent_requests: numberOf(body["concurrent_requests"], null) || null,
    token_budget: numberOf(body["token_budget"], null) || null,
    budget_period: oneOf(body["budget_period"], ["never", "hour", "day", "week", "month"], "never"),
    other: Object.fromEntries(
      others
        .filter((name) => body[name] != null && body[name] !== "authed")
        .map((name) => [name, body[name]]),
    ),
  };
}

function sourceMembers(text: string): Record<string, unknown> {
  const source = readSource(text);
  const blank = {
    local_path: null,
    huggingface_repo_id: null,
    huggingface_filename: null,
    model_scope_model_id: null,
    model_scope_file_path: null,
  };
  switch (source.kind) {
    case "local_path":
      return { ...blank, source: "local_path", local_path: source.path };
    case "huggingface":
      return {
        ...blank,
        source: "huggingface",
        huggingface_repo_id: source.repo,
        huggingface_filename: source.file || null,
      };
    case "model_scope":
      return {
        ...blank,
        source: "model_scope",
        model_scope_model_id: source.repo,
        model_scope_file_path: source.file || null,
      };
    default:
      return blank;
  }
}

/** All that a draft can say, with null, "" and 0 where it says nothing. */
export function fullBody(draft: Draft): Record<string, unknown> {
  const ids = draft.gpu_ids.filter((id) => id.trim() !== "");
  const selector =
    ids.length > 0 || draft.gpus_per_replica
      ? {
          ...(ids.length > 0 ? { gpu_ids: ids } : {}),
          ...(draft.gpus_per_replica ? { gpus_per_replica: draft.gpus_per_replica } : {}),
        }
      : null;
  return {
    name: draft.name.trim(),
    description: draft.description || null,
    ...sourceMembers(draft.source),
    replicas: draft.replicas ?? 1,
    categories: draft.categories,
    backend: draft.backend || null,
    backend_version: draft.backend_version || null,
    backend_parameters: draft.backend_parameters.filter((one) => one.trim() !== ""),
    env: draft.env,
    worker_selector: draft.worker_selector,
    gpu_selector: selector,
    placement_strategy: draft.placement_strategy,
    priority: draft.priority ?? 0,
    cpu_offloading: draft.cpu_offloading,
    distributed_inference_across_workers: draft.distributed,
    restart_on_error: draft.restart_on_error,
    max_restarts: draft.max_restarts ?? 0,
    first_byte_timeout: draft.first_byte_timeout ?? 0,
    generic_proxy: draft.generic_proxy,
    requests_per_minute: draft.requests_per_minute ?? 0,
    tokens_per_minute: draft.tokens_per_minute ?? 0,
    concurrent_requests: draft.concurrent_requests ?? 0,
    token_budget: draft.token_budget ?? 0,
    budget_period: draft.budget_period,
    ...draft.other,
  };
}

const usual = fullBody(emptyDraft());
const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);

/** What has to be sent to make it: what is as usual is left out. */
export function bodyOf(draft: Draft): Record<string, unknown> {
  const all = fullBody(draft);
  const out: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(all))
    if (name === "replicas" || !same(value, usual[name])) out[name] = value;
  return out;
}

// ---- differences ----

/** What the instances do when a field changes; see FIELD_SETTING in src/domain/model.c. */
export type Effect =
  /** They go on. */
  | "none"
  /** More of them or fewer. */
  | "scale"
  /** Clients have to write another name; engines go on. */
  | "rename"
  /** Each is replaced by one with the new settings, one at a time. */
  | "rolling";

const settings = new Set([
  "source",
  "local_path",
  "huggingface_repo_id",
  "huggingface_filename",
  "model_scope_model_id",
  "model_scope_file_path",
  "worker_selector",
  "gpu_selector",
  "backend",
  "backend_version",
  "backend_parameters",
  "env",
  "cpu_offloading",
  "distributed_inference_across_workers",
]);

export function effectOf(field: string): Effect {
  if (settings.has(field)) return "rolling";
  return field === "replicas" ? "scale" : field === "name" ? "rename" : "none";
}

export interface Difference {
  field: string;
  before: unknown;
  after: unknown;
  effect: Effect;
}

/** null, "", 0, {} and [] are all "nothing said". */
function blank(value: unknown): unknown {
  if (value === "" || value === 0 || value === undefined) return null;
  if (typeof value === "object" && value !== null && Object.keys(value).length === 0) return null;
  return value;
}

function isAlike(a: unknown, b: unknown): boolean {
  const order = (value: unknown): unknown =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([x], [y]) => (x < y ? -1 : 1)))
      : value;
  return same(order(blank(a)), order(blank(b)));
}

export function differences(
  before: Record<string, unknown>,
  after: Record<string, unknown>,
): Difference[] {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  return names
    .filter((field) => !isAlike(before[field], after[field]))
    .map((field) => ({
      field,
      before: blank(before[field]),
      after: blank(after[field]),
      effect: effectOf(field),
    }));
}

/** In few words, for people and diffs. */
export function valueWords(value: unknown): string {
  if (value === null || value === undefined) return "";
  if (Array.isArray(value)) return value.map(valueWords).join("\n");
  if (typeof value === "object")
    return Object.entries(value)
      .map(([key, one]) => `${key}=${Array.isArray(one) ? one.join(",") : String(one)}`)
      .join("\n");
  return String(value);
}

// ---- the same in other words ----

export function quote(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

export interface Command {
  text: string;
  /** Members that the command line has no option for. */
  missing: string[];
}

const options: [keyof Draft, string][] = [
  ["backend", "--backend"],
  ["backend_version", "--backend-version"],
];
const unsaid = [
  "description",
  "gpus_per_replica",
  "cpu_offloading",
  "distributed",
  "max_restarts",
  "first_byte_timeout",
  "generic_proxy",
  "requests_per_minute",
  "tokens_per_minute",
  "concurrent_requests",
  "token_budget",
] as const;

/** `gpustack deploy ...`; null without a source. */
export function commandOf(draft: Draft): Command | null {
  const source = readSource(draft.source);
  const named = writeSource(source);
  const place =
    draft.catalog ||
    (source.kind === "huggingface" ? `hf:${named}` : source.kind === "catalog" ? "" : named);
  if (!place) return null;
  const base = emptyDraft();
  const parts = [`gpustack deploy ${quote(place)}`];
  const add = (option: string, value: string) => parts.push(`${option} ${quote(value)}`);
  if (draft.name) add("--name", draft.name);
  if ((draft.replicas ?? 1) !== 1) add("--replicas", String(draft.replicas));
  for (const [field, option] of options) if (draft[field]) add(option, String(draft[field]));
  for (const one of draft.categories) add("--category", one);
  for (const [key, value] of Object.entries(draft.env)) add("--env", `${key}=${value}`);
  for (const [key, value] of Object.entries(draft.worker_selector))
    add("--worker-selector", `${key}=${value}`);
  for (const id of draft.gpu_ids) if (id.trim()) add("--gpu-ids", id);
  if (draft.placement_strategy !== "auto") add("--placement-strategy", draft.placement_strategy);
  if (draft.priority) add("--priority", String(draft.priority));
  if (!draft.restart_on_error) parts.push("--no-restart");
  const engine = words(draft.backend_parameters);
  if (engine.length > 0) parts.push(`-- ${engine.map(quote).join(" ")}`);
  const missing = [
    ...unsaid.filter((field) => !isAlike(draft[field], base[field])),
    ...Object.keys(draft.other),
  ];
  return { text: parts.join(" \\\n    "), missing };
}

export function curlOf(draft: Draft, server: string): string {
  return (
    `curl -sS ${quote(`${server}/v2/models`)} \\\n` +
    `    -H "Authorization: Bearer $GPUSTACK_API_KEY" \\\n` +
    `    -H "Content-Type: application/json" \\\n    -d ${quote(JSON.stringify(bodyOf(draft)))}`
  );
}

export function yamlOf(draft: Draft): string {
  return toYaml(bodyOf(draft));
}

/** Faults of a 422 by field, in the server's words: "2 errors: name: must ...; env: must ...". */
export function faultsOf(message: string): Record<string, string> {
  const out: Record<string, string> = {};
  for (const part of message.replace(/^\d+ errors?: /, "").split(/;\s+/)) {
    const [, field, text] = /^([a-z][a-z0-9_]*)(?:[[.][^:]*)?:\s+(.+)$/s.exec(part.trim()) ?? [];
    if (field && text) out[field] ??= text;
  }
  return out;
}
