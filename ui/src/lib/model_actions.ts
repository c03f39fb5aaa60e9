// SPDX-License-Identifier: Apache-2.0
/*
 * What is done to models from several pages; asks first where something ends. Words of area
 * "models".
 */
import { confirm } from "../components/ui/confirm.svelte.js";
import { number, t, tOr } from "./i18n.svelte.js";
import { live } from "./live.svelte.js";
import { byModel, silenced, type Instance, type Model } from "./models.js";
import { wayValue, type WayOut } from "./refusals.js";
import { api, ask } from "./session.svelte.js";
import { toast } from "./toast.svelte.js";

const shown = 6;

function list(names: readonly string[]): string {
  const rest = names.length - shown;
  const some = names.slice(0, shown).join(", ");
  return rest > 0 ? t("models.andMore", { names: some, count: rest }) : some;
}

function instancesOf(models: readonly Model[]): number {
  const all = byModel(live.instances);
  return models.reduce((sum, model) => sum + (all.get(model.id)?.length ?? 0), 0);
}

/** Which instances end, and who gets no answer any more. */
function consequences(models: readonly Model[]): string {
  const names = silenced(models, live.routes);
  const lines = [t("models.willEnd", { count: instancesOf(models) })];
  if (names.length > 0) lines.push(t("models.willBeSilent", { names: list(names) }));
  return lines.join("\n");
}

/** One after the other; what fails is told, the others go on. */
async function each(
  models: readonly Model[],
  act: (id: number) => Promise<unknown>,
): Promise<number> {
  let done = 0;
  for (const { id } of models)
    try {
      await act(id);
      done++;
    } catch (error) {
      toast.failed(error);
    }
  return done;
}

export async function startModels(models: readonly Model[]): Promise<void> {
  const stopped = models.filter((model) => !model.replicas);
  await each(stopped, (id) =>
    ask(api.POST("/v2/models/{id}/start", { params: { path: { id } }, body: {} })),
  );
}

export async function stopModels(models: readonly Model[]): Promise<void> {
  const running = models.filter((model) => (model.replicas ?? 0) > 0);
  if (running.length === 0) return;
  const isSure = await confirm({
    title: t("models.stopTitle", { count: running.length, name: running[0]?.name ?? "" }),
    text: consequences(running),
    action: t("models.stop"),
  });
  if (!isSure) return;
  await each(running, (id) =>
    ask(api.POST("/v2/models/{id}/stop", { params: { path: { id } }, body: {} })),
  );
}

/** Whether they are gone. */
export async function deleteModels(models: readonly Model[]): Promise<boolean> {
  const isSure = await confirm({
    title: t("models.deleteTitle", { count: models.length, name: models[0]?.name ?? "" }),
    text: `${consequences(models)}\n${t("models.filesStay")}`,
    action: t("common.delete"),
    danger: true,
  });
  if (!isSure) return false;
  const done = await each(models, (id) =>
    ask(api.DELETE("/v2/models/{id}", { params: { path: { id } } })),
  );
  if (done > 0) toast.done(t("models.deleted", { count: done }));
  return done > 0;
}

export async function deleteInstance(instance: Instance): Promise<void> {
  const isSure = await confirm({
    title: t("models.deleteInstanceTitle", { name: instance.name ?? "" }),
    text: t("models.deleteInstanceText"),
    action: t("common.delete"),
    danger: true,
  });
  if (!isSure) return;
  try {
    await ask(api.DELETE("/v2/model-instances/{id}", { params: { path: { id: instance.id } } }));
  } catch (error) {
    toast.failed(error);
  }
}

/** Where the model is that would have to stop. */
export function stopPath(way: WayOut): string {
  const other = live.models.find((model) => model.name === wayValue(way));
  return other ? `/models/${other.id}` : "/models";
}

/** Why it isn't well, in the page's language, else in the server's words; "" when all is well. */
export function reasonWords(instance: Instance | null): string {
  if (!instance) return "";
  const code = instance.state_reason ?? "none";
  const message = instance.state_message ?? "";
  if (code === "none" || code === "other") return message;
  return tOr(`reasons.state.${code}`, message);
}

/** With how many fare the same. */
export function reasonLine(instance: Instance | null, alike: number): string {
  const words = reasonWords(instance);
  return words && alike > 1
    ? t("models.timesReason", { count: number(alike), reason: words })
    : words;
}
