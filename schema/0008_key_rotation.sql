-- SPDX-License-Identifier: Apache-2.0
-- A key's value before it was rotated, which is taken for a while.

ALTER TABLE api_keys ADD COLUMN previous_digest TEXT;
ALTER TABLE api_keys ADD COLUMN previous_expires_at INTEGER NOT NULL DEFAULT 0;
