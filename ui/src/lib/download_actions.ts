// SPDX-License-Identifier: Apache-2.0
/* What is done to downloads from several pages. The rows say what has become of it. */
import type { ModelFile } from "./downloads.js";
import { api, ask } from "./session.svelte.js";
import { toast } from "./toast.svelte.js";

type Action = "pause" | "resume" | "reset";

async function act(file: ModelFile, action: Action): Promise<void> {
  const path = { params: { path: { id: file.id } } };
  try {
    if (action === "pause") await ask(api.POST("/v2/model-files/{id}/pause", path));
    else if (action === "resume") await ask(api.POST("/v2/model-files/{id}/resume", path));
    else await ask(api.POST("/v2/model-files/{id}/reset", path));
  } catch (error) {
    toast.failed(error);
  }
}

export const pauseDownload = (file: ModelFile) => act(file, "pause");
export const resumeDownload = (file: ModelFile) => act(file, "resume");
/** At once, without waiting for the time of the next try. */
export const retryDownload = (file: ModelFile) => act(file, "reset");
