// SPDX-License-Identifier: Apache-2.0
/*
 * Short news at the edge of the page, read out by screen readers. Errors stay until they are
 * closed.
 *
 *     toast.done(t("models.deleted", { name }));
 *     toast.failed(error);
 */
import { trouble } from "./problem.js";

export interface Toast {
  id: number;
  kind: "done" | "failed";
  title: string;
  detail: string;
  advice: string;
  /** A way back or onward, shown as a button. */
  action?: { label: string; run: () => void } | undefined;
}

let nextId = 1;
let list = $state.raw<Toast[]>([]);
const shown_ms = 6000;

function add(toast: Omit<Toast, "id">): void {
  const id = nextId++;
  list = [...list.slice(-4), { ...toast, id }];
  if (toast.kind === "done") setTimeout(() => close(id), shown_ms);
}

function close(id: number): void {
  list = list.filter((toast) => toast.id !== id);
}

export const toast = {
  get list(): Toast[] {
    return list;
  },
  done(title: string, action?: Toast["action"]): void {
    add({ kind: "done", title, detail: "", advice: "", action });
  },
  failed(error: unknown): void {
    add({ kind: "failed", ...trouble(error) });
  },
  close,
};
