// SPDX-License-Identifier: Apache-2.0
/* The form that was left half done: kept for this tab, so that a look elsewhere loses nothing. */
import { draftOf, emptyDraft, fullBody, type Draft } from "./spec.js";

const key = "gpustack.deploy";

export function loadDraft(): Draft | null {
  try {
    const text = sessionStorage.getItem(key);
    if (!text) return null;
    const { source, catalog, body } = JSON.parse(text) as {
      source: string;
      catalog: string;
      body: Record<string, unknown>;
    };
    return { ...draftOf(body), source: String(source), catalog: String(catalog) };
  } catch {
    return null; // Rubbish, or no storage.
  }
}

export function saveDraft(draft: Draft): void {
  try {
    const isEmpty = JSON.stringify(draft) === JSON.stringify(emptyDraft());
    if (isEmpty) sessionStorage.removeItem(key);
    else
      sessionStorage.setItem(
        key,
        JSON.stringify({ source: draft.source, catalog: draft.catalog, body: fullBody(draft) }),
      );
  } catch {
    // It is then lost when the page is left.
  }
}

export function forgetDraft(): void {
  try {
    sessionStorage.removeItem(key);
  } catch {
    // Nothing was kept either.
  }
}
