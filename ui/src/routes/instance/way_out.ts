// SPDX-License-Identifier: Apache-2.0
/*
 * Takes a way out of having no place: changes the model, or leads to the one that would have to
 * stop.
 */
import type { Schemas } from "../../lib/api/client.js";
import { t, tOr } from "../../lib/i18n.svelte.js";
import { live } from "../../lib/live.svelte.js";
import { wayFigure, wayValue, type WayOut } from "../../lib/refusals.js";
import { navigate } from "../../lib/router.svelte.js";
import { api, ask } from "../../lib/session.svelte.js";
import { toast } from "../../lib/toast.svelte.js";
import { confirm } from "../../components/ui/confirm.svelte.js";

export async function takeWayOut(way: WayOut, instance: Schemas["ModelInstance"]): Promise<void> {
  if (way.code === "stop_model") {
    const other = live.models.find((model) => model.name === wayValue(way));
    navigate(other ? `/models/${other.id}` : "/models");
    return;
  }
  const model = live.byId.models.get(instance.model_id ?? 0);
  if (!model) return;
  const label = tOr(`reasons.wayout.${way.code}`, way.message, { value: wayFigure(way) });
  const isSure = await confirm({
    title: t("instance.wayTitle", { name: model.name }),
    text: t("instance.wayText", { what: label, name: model.name }),
    action: t("instance.wayDo"),
  });
  if (!isSure) return;
  try {
    await ask(
      api.PUT("/v2/models/{id}", {
        params: { path: { id: model.id }, header: { "If-Match": `"${model.version}"` } },
        body: way.change as Schemas["Model"],
      }),
    );
    toast.done(t("instance.wayDone", { name: model.name }));
  } catch (error) {
    toast.failed(error);
  }
}
