-- SPDX-License-Identifier: Apache-2.0
-- Versions of what clients write, keys that can be turned off, the rest of a model's fields.

ALTER TABLE users ADD COLUMN version INTEGER NOT NULL DEFAULT 1;

ALTER TABLE api_keys ADD COLUMN is_custom INTEGER NOT NULL DEFAULT 0;
ALTER TABLE api_keys ADD COLUMN enabled INTEGER NOT NULL DEFAULT 1;
ALTER TABLE api_keys ADD COLUMN last_used_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE api_keys ADD COLUMN version INTEGER NOT NULL DEFAULT 1;

ALTER TABLE workers ADD COLUMN version INTEGER NOT NULL DEFAULT 1;

ALTER TABLE models ADD COLUMN image_name TEXT;
ALTER TABLE models ADD COLUMN run_command TEXT;
ALTER TABLE models ADD COLUMN access_policy TEXT NOT NULL DEFAULT 'authed';
ALTER TABLE models ADD COLUMN generic_proxy INTEGER NOT NULL DEFAULT 0;
ALTER TABLE models ADD COLUMN extended_kv_cache TEXT;
ALTER TABLE models ADD COLUMN speculative_config TEXT;
ALTER TABLE models ADD COLUMN lora_list TEXT;
ALTER TABLE models ADD COLUMN scaling_schedule TEXT;
ALTER TABLE models ADD COLUMN stopped_replicas INTEGER NOT NULL DEFAULT 0;
ALTER TABLE models ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
