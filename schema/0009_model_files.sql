-- SPDX-License-Identifier: Apache-2.0
-- Files of hubs that workers download, once per storage; who has the lease of each; which workers
-- can download and where their storage is; instances that wait for files.

CREATE TABLE model_files (
    id INTEGER NOT NULL PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    source TEXT NOT NULL,
    huggingface_repo_id TEXT,
    huggingface_filename TEXT,
    model_scope_model_id TEXT,
    model_scope_file_path TEXT,
    storage_id TEXT NOT NULL,
    worker_id INTEGER NOT NULL,
    lease INTEGER NOT NULL,
    is_paused INTEGER NOT NULL,
    is_kept INTEGER NOT NULL,
    state TEXT NOT NULL,
    state_reason TEXT NOT NULL,
    state_args TEXT,
    state_message TEXT,
    size INTEGER NOT NULL,
    file_count INTEGER NOT NULL,
    revision TEXT,
    resolved_path TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

ALTER TABLE workers ADD COLUMN downloads INTEGER NOT NULL DEFAULT 0;
ALTER TABLE workers ADD COLUMN storage_id TEXT;
ALTER TABLE workers ADD COLUMN cache_dir TEXT;
ALTER TABLE model_instances ADD COLUMN is_held INTEGER NOT NULL DEFAULT 0;

-- How far it is isn't worth a write each time.
ALTER TABLE model_instances DROP COLUMN download_progress;
