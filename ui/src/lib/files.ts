// SPDX-License-Identifier: Apache-2.0
/* What the page of model files says beside its rows. Pure. */
import { isDownload, type ModelFile } from "./downloads.js";

export type { ModelFile };

/**
 * Ids of files that differ from what most workers have under the same path: a copy that broke off,
 * or one that was forgotten. Of two workers that differ both are named.
 */
export function differing(files: readonly ModelFile[]): Set<number> {
  const byPath = new Map<string, ModelFile[]>();
  for (const file of files)
    if (file.state === "present" && file.identity) {
      const path = file.local_path ?? "";
      const same = byPath.get(path);
      if (same) same.push(file);
      else byPath.set(path, [file]);
    }
  const out = new Set<number>();
  for (const same of byPath.values()) {
    const counts = new Map<string, number>();
    for (const file of same) {
      const content = contentOf(file);
      counts.set(content, (counts.get(content) ?? 0) + 1);
    }
    if (counts.size < 2) continue;
    const most = Math.max(...counts.values());
    const isClear = [...counts.values()].filter((count) => count === most).length === 1;
    for (const file of same) if (!isClear || counts.get(contentOf(file)) !== most) out.add(file.id);
  }
  return out;
}

/** The size: identities hold the time of the latest change, which differs between honest copies. */
function contentOf(file: ModelFile): string {
  return String(file.size);
}

export interface Storage {
  name: string;
  type: string;
  isShared: boolean;
  total: number;
  available: number;
  workers: Set<number>;
}

/** Each storage once; a shared one once for all that mount it. */
export function storagesOf(files: readonly ModelFile[]): Storage[] {
  const byName = new Map<string, Storage>();
  for (const { storage, worker_id, worker_name } of files) {
    if (!storage) continue;
    const isShared = storage.is_shared === true;
    const name = isShared
      ? (storage.mount_from ?? "")
      : `${worker_name ?? worker_id}:${storage.mount_point ?? ""}`;
    const known = byName.get(name);
    if (known) known.workers.add(worker_id);
    else
      byName.set(name, {
        name,
        type: storage.type ?? "",
        isShared,
        total: storage.total ?? 0,
        available: storage.available ?? 0,
        workers: new Set([worker_id]),
      });
  }
  return [...byName.values()].sort((a, b) => a.name.localeCompare(b.name));
}

export interface FileRow {
  /** Downloads and paths have ids of their own kind. */
  key: string;
  file: ModelFile;
  isDownload: boolean;
}

/** Downloads and paths in one list. */
export function rowsOf(fetched: readonly ModelFile[], paths: readonly ModelFile[]): FileRow[] {
  return [
    ...fetched.filter(isDownload).map((file) => ({ key: `d${file.id}`, file, isDownload: true })),
    ...paths
      .filter((file) => !isDownload(file))
      .map((file) => ({ key: `p${file.id}`, file, isDownload: false })),
  ];
}

/** What stands below a row that is opened, one line each. */
export type Line =
  | { key: string; kind: "reason"; code: string; message: string }
  | { key: string; kind: "file"; name: string; size: number; downloaded: number }
  | { key: string; kind: "path"; path: string }
  | { key: string; kind: "more"; count: number };

export function linesOf({ file, isDownload }: FileRow): Line[] {
  const out: Line[] = [];
  const code = file.state_reason ?? "none";
  if (code !== "none")
    out.push({ key: "reason", kind: "reason", code, message: file.state_message ?? "" });
  const files = isDownload ? (file.files ?? []) : [];
  for (const { name, size, downloaded } of files)
    out.push({
      key: `f/${name}`,
      kind: "file",
      name,
      size: size ?? 0,
      // What is complete may be told without how much of it has come.
      downloaded: file.state === "ready" ? (size ?? 0) : (downloaded ?? 0),
    });
  const rest = (file.file_count ?? 0) - files.length;
  if (files.length > 0 && rest > 0) out.push({ key: "more", kind: "more", count: rest });
  if (!isDownload || file.state === "ready")
    for (const path of file.resolved_paths ?? [])
      out.push({ key: `p/${path}`, kind: "path", path });
  return out;
}
