// SPDX-License-Identifier: Apache-2.0
/*
 * What went wrong, why and what to do, of anything that was thrown: for <ErrorBox> and toasts.
 */
import { ApiError } from "./api/client.js";
import { tOr, t } from "./i18n.svelte.js";

export interface Trouble {
  /** What: a short line in the page's language. */
  title: string;
  /** Why: the server's own words (English), or the browser's. */
  detail: string;
  /** What to do, in the page's language. */
  advice: string;
}

export function trouble(error: unknown): Trouble {
  if (error instanceof ApiError) {
    const reason = error.problem.reason;
    return {
      title: tOr(`common.problem.${reason}`, t("common.problem.other", { status: error.status })),
      detail: error.message,
      advice: tOr(`common.advice.${reason}`, t("common.advice.other")),
    };
  }
  if (error instanceof TypeError)
    return {
      title: t("common.problem.network"),
      detail: error.message,
      advice: t("common.advice.network"),
    };
  return {
    title: t("common.problem.unexpected"),
    detail: error instanceof Error ? error.message : String(error),
    advice: t("common.advice.unexpected"),
  };
}
