-- SPDX-License-Identifier: Apache-2.0
-- Columns are the fields of src/domain/*.c by name: enums by their word, lists and maps as JSON
-- text, times and 64-bit numbers as INTEGER (ms since 1970 for times, 0 = none), booleans as 0 or
-- 1. Ids are given by control. A driver for PostgreSQL reads INTEGER as BIGINT and REAL as DOUBLE
-- PRECISION, and leaves STRICT out; the rest is plain SQL.

CREATE TABLE settings (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

-- The highest id that each table ever had: no id is given twice.
CREATE TABLE last_ids (
    table_name TEXT NOT NULL PRIMARY KEY,
    last_id INTEGER NOT NULL
) STRICT;

CREATE TABLE users (
    id INTEGER NOT NULL PRIMARY KEY,
    username TEXT NOT NULL UNIQUE,
    is_admin INTEGER NOT NULL,
    full_name TEXT,
    avatar_url TEXT,
    source TEXT NOT NULL,
    is_active INTEGER NOT NULL,
    require_password_change INTEGER NOT NULL,
    password_hash TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE TABLE api_keys (
    id INTEGER NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    description TEXT,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    access_key TEXT NOT NULL UNIQUE,
    secret_digest TEXT NOT NULL,
    scope TEXT NOT NULL,
    allowed_model_names TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (user_id, name)
) STRICT;

CREATE TABLE sessions (
    id INTEGER NOT NULL PRIMARY KEY,
    token_digest TEXT NOT NULL UNIQUE,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    expires_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE INDEX sessions_user_id ON sessions (user_id);

CREATE TABLE workers (
    id INTEGER NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    hostname TEXT,
    ip TEXT,
    port INTEGER NOT NULL,
    worker_uuid TEXT UNIQUE,
    netns_id TEXT,
    worker_version TEXT,
    labels TEXT NOT NULL,
    state TEXT NOT NULL,
    state_message TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE TABLE models (
    id INTEGER NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    description TEXT,
    source TEXT NOT NULL,
    local_path TEXT,
    huggingface_repo_id TEXT,
    huggingface_filename TEXT,
    model_scope_model_id TEXT,
    model_scope_file_path TEXT,
    replicas INTEGER NOT NULL,
    categories TEXT NOT NULL,
    placement_strategy TEXT NOT NULL,
    worker_selector TEXT NOT NULL,
    gpu_selector TEXT,
    backend TEXT,
    backend_version TEXT,
    backend_parameters TEXT NOT NULL,
    env TEXT NOT NULL,
    cpu_offloading INTEGER NOT NULL,
    distributed_inference_across_workers INTEGER NOT NULL,
    restart_on_error INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

-- worker_id is no reference: an instance outlives its worker's row until control has moved it.
CREATE TABLE model_instances (
    id INTEGER NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    model_id INTEGER NOT NULL REFERENCES models (id) ON DELETE CASCADE,
    model_name TEXT,
    model_generation INTEGER NOT NULL,
    worker_id INTEGER NOT NULL,
    worker_name TEXT,
    worker_ip TEXT,
    gpu_indexes TEXT NOT NULL,
    backend TEXT,
    backend_version TEXT,
    state TEXT NOT NULL,
    state_message TEXT,
    pid INTEGER NOT NULL,
    port INTEGER NOT NULL,
    ports TEXT NOT NULL,
    download_progress REAL NOT NULL,
    resolved_path TEXT,
    computed_resource_claim TEXT,
    restart_count INTEGER NOT NULL,
    last_restart_time INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE INDEX model_instances_model_id ON model_instances (model_id);
