-- SPDX-License-Identifier: Apache-2.0
-- What requests consumed. Nothing here refers to other tables: usage outlives users, keys and
-- models. A driver for PostgreSQL leaves WITHOUT ROWID out too.

-- How far each gateway's records are in here; raised in the transaction that brings them.
CREATE TABLE usage_gateways (
    id INTEGER NOT NULL PRIMARY KEY,
    uuid TEXT NOT NULL UNIQUE,
    applied INTEGER NOT NULL
) STRICT;

-- Who asked for what: what records are summed up by. Names are as they were when it was first seen.
CREATE TABLE usage_groups (
    id INTEGER NOT NULL PRIMARY KEY,
    user_id INTEGER NOT NULL,
    user_name TEXT,
    key_id INTEGER NOT NULL,
    key_name TEXT,
    model_id INTEGER NOT NULL,
    model TEXT NOT NULL,
    route TEXT NOT NULL,
    operation TEXT NOT NULL,
    UNIQUE (user_id, key_id, model_id, operation, model, route)
) STRICT;

-- Sums by the UTC hour and day in which requests began. They are kept for ever.
CREATE TABLE usage_hours (
    starts_at INTEGER NOT NULL,
    group_id INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    errors INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    queue_us INTEGER NOT NULL,
    first_bytes INTEGER NOT NULL, -- requests that had one
    first_byte_us INTEGER NOT NULL,
    total_us INTEGER NOT NULL,
    PRIMARY KEY (starts_at, group_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE usage_days (
    starts_at INTEGER NOT NULL,
    group_id INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    errors INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    queue_us INTEGER NOT NULL,
    first_bytes INTEGER NOT NULL,
    first_byte_us INTEGER NOT NULL,
    total_us INTEGER NOT NULL,
    PRIMARY KEY (starts_at, group_id)
) STRICT, WITHOUT ROWID;

-- One row per request, for as long as --usage-retention-days says.
CREATE TABLE usage_records (
    id INTEGER NOT NULL PRIMARY KEY,
    gateway_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    group_id INTEGER NOT NULL,
    request_id TEXT NOT NULL,
    instance_id INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    status INTEGER NOT NULL,
    aborted_phase TEXT NOT NULL,
    is_stream INTEGER NOT NULL,
    is_estimated INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    request_bytes INTEGER NOT NULL,
    response_bytes INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    queue_us INTEGER NOT NULL,
    first_byte_us INTEGER NOT NULL,
    total_us INTEGER NOT NULL,
    attempts INTEGER NOT NULL
) STRICT;

CREATE INDEX usage_records_started_at ON usage_records (started_at);
CREATE INDEX usage_records_request_id ON usage_records (request_id);
