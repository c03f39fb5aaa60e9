// SPDX-License-Identifier: Apache-2.0
/* What the page of model files says beside its rows. Pure. */
import type { Schemas } from "./api/client.js";

export type ModelFile = Schemas["ModelFile"];

/**
 * Ids of files that differ from what most workers have under the same path: a copy that broke off,
 * or one that was forgotten. Of two workers that differ both are named.
 */
export function differing(files: readonly ModelFile[]): Set<number> {
  const byPath = new Map<string, ModelFile[]>();
  for (const file of files)
    if (file.state === "present" && file.identity) {
      const same = byPath.get(file.local_path);
      if (same) same.push(file);
      else byPath.set(file.local_path, [file]);
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
