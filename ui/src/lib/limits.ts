// SPDX-License-Identifier: Apache-2.0
/* Limits in a few words, for tables. */
import { compact, t } from "./i18n.svelte.js";

interface Limited {
  requests_per_minute?: number | null;
  tokens_per_minute?: number | null;
  concurrent_requests?: number | null;
  token_budget?: number | null;
  budget_period?: "never" | "hour" | "day" | "week" | "month";
}

/** "60 requests/min, 5M tokens a day"; "" without a limit. */
export function limitWords(row: Limited): string {
  const words: string[] = [];
  const {
    requests_per_minute: rpm,
    tokens_per_minute: tpm,
    concurrent_requests: at,
    token_budget,
  } = row;
  if (rpm) words.push(t("common.limits.short.requests", { count: compact(rpm) }));
  if (tpm) words.push(t("common.limits.short.tokens", { count: compact(tpm) }));
  if (at) words.push(t("common.limits.short.concurrent", { count: compact(at) }));
  if (token_budget)
    words.push(
      t("common.limits.short.budget", {
        count: compact(token_budget),
        period: t(`common.limits.per.${row.budget_period ?? "never"}`),
      }),
    );
  return words.join(", ");
}
