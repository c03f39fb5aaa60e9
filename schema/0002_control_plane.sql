-- SPDX-License-Identifier: Apache-2.0
-- Versions, reasons, timelines, events, revisions, maintenance, gangs.

-- Why an instance is in its state, and the states it went through.
ALTER TABLE model_instances ADD COLUMN state_reason TEXT NOT NULL DEFAULT 'none';
ALTER TABLE model_instances ADD COLUMN state_args TEXT;
ALTER TABLE model_instances ADD COLUMN state_since INTEGER NOT NULL DEFAULT 0;
ALTER TABLE model_instances ADD COLUMN timeline TEXT;
ALTER TABLE model_instances ADD COLUMN is_draining INTEGER NOT NULL DEFAULT 0;
ALTER TABLE model_instances ADD COLUMN avoid_worker_ids TEXT NOT NULL DEFAULT '[]';
ALTER TABLE model_instances ADD COLUMN replaces_id INTEGER NOT NULL DEFAULT 0;
ALTER TABLE model_instances ADD COLUMN distributed_servers TEXT;
ALTER TABLE model_instances ADD COLUMN subordinate_worker_ids TEXT NOT NULL DEFAULT '[]';
ALTER TABLE model_instances ADD COLUMN failures INTEGER NOT NULL DEFAULT 0;

ALTER TABLE models ADD COLUMN max_restarts INTEGER NOT NULL DEFAULT 0;

ALTER TABLE workers ADD COLUMN maintenance TEXT;

-- object_id is no reference: events outlive what they speak of.
CREATE TABLE events (
    id INTEGER NOT NULL PRIMARY KEY,
    object_kind TEXT NOT NULL,
    object_id INTEGER NOT NULL,
    object_name TEXT,
    reason TEXT NOT NULL,
    type TEXT NOT NULL,
    message TEXT,
    args TEXT,
    count INTEGER NOT NULL,
    first_at INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE TABLE model_revisions (
    id INTEGER NOT NULL PRIMARY KEY,
    model_id INTEGER NOT NULL REFERENCES models (id) ON DELETE CASCADE,
    generation INTEGER NOT NULL,
    settings TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE INDEX model_revisions_model_id ON model_revisions (model_id);
