// SPDX-License-Identifier: Apache-2.0
/* Rows of model files for the tests: of a local path unless `more` says otherwise. */
import type { ModelFile } from "../../src/lib/downloads.js";

export function modelFile(more: Partial<ModelFile> = {}): ModelFile {
  return {
    id: 1,
    source: "local_path",
    huggingface_repo_id: null,
    huggingface_filename: null,
    model_scope_model_id: null,
    model_scope_file_path: null,
    local_path: null,
    storage_id: null,
    worker_id: 1,
    worker_name: "w1",
    worker_ids: [1],
    state: "present",
    state_reason: "none",
    state_args: null,
    state_message: null,
    size: null,
    file_count: 0,
    files_ready: 0,
    revision: null,
    downloaded: 0,
    download_progress: 0,
    bytes_per_second: 0,
    eta_s: null,
    files: null,
    retry_at: null,
    resolved_paths: [],
    models: [],
    storage: null,
    identity: null,
    created_at: null,
    updated_at: null,
    ...more,
  };
}

/** One of a hub, while it is being downloaded. */
export function download(more: Partial<ModelFile> = {}): ModelFile {
  return modelFile({
    source: "huggingface",
    huggingface_repo_id: "Qwen/Qwen3-0.6B-GGUF",
    huggingface_filename: "*Q8_0*",
    storage_id: "s1",
    state: "downloading",
    size: 1000,
    downloaded: 250,
    bytes_per_second: 50,
    ...more,
  });
}
