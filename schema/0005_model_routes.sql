-- SPDX-License-Identifier: Apache-2.0
-- Routes from names to models, limits, what gateways need to know of models and engines.

ALTER TABLE users ADD COLUMN requests_per_minute INTEGER NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN tokens_per_minute INTEGER NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN concurrent_requests INTEGER NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN token_budget INTEGER NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN budget_period TEXT NOT NULL DEFAULT 'never';

ALTER TABLE api_keys ADD COLUMN requests_per_minute INTEGER NOT NULL DEFAULT 0;
ALTER TABLE api_keys ADD COLUMN tokens_per_minute INTEGER NOT NULL DEFAULT 0;
ALTER TABLE api_keys ADD COLUMN concurrent_requests INTEGER NOT NULL DEFAULT 0;
ALTER TABLE api_keys ADD COLUMN token_budget INTEGER NOT NULL DEFAULT 0;
ALTER TABLE api_keys ADD COLUMN budget_period TEXT NOT NULL DEFAULT 'never';

ALTER TABLE models ADD COLUMN requests_per_minute INTEGER NOT NULL DEFAULT 0;
ALTER TABLE models ADD COLUMN tokens_per_minute INTEGER NOT NULL DEFAULT 0;
ALTER TABLE models ADD COLUMN concurrent_requests INTEGER NOT NULL DEFAULT 0;
ALTER TABLE models ADD COLUMN token_budget INTEGER NOT NULL DEFAULT 0;
ALTER TABLE models ADD COLUMN budget_period TEXT NOT NULL DEFAULT 'never';
ALTER TABLE models ADD COLUMN first_byte_timeout INTEGER NOT NULL DEFAULT 0;

-- The model's name when the engine was started.
ALTER TABLE model_instances ADD COLUMN served_name TEXT;

-- Targets name models inside a JSON array; control keeps them in step with models.
CREATE TABLE model_routes (
    id INTEGER NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    description TEXT,
    categories TEXT NOT NULL DEFAULT '[]',
    targets TEXT NOT NULL,
    fallback_model_id INTEGER NOT NULL DEFAULT 0,
    version INTEGER NOT NULL DEFAULT 1,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
