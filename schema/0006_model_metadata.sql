-- SPDX-License-Identifier: Apache-2.0
-- What models are made of, as far as it was read; which workers tell what model files they have.

CREATE TABLE model_metadata (
    id INTEGER NOT NULL PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    shape TEXT NOT NULL,
    projector TEXT,
    identity TEXT NOT NULL,
    worker_id INTEGER NOT NULL DEFAULT 0,
    read_at INTEGER NOT NULL,
    used_at INTEGER NOT NULL
) STRICT;

ALTER TABLE workers ADD COLUMN inspects INTEGER NOT NULL DEFAULT 0;
