-- SPDX-License-Identifier: Apache-2.0
-- Versions, reasons, timelines, events, revisions, maintenance, gangs.

-- Why an instance is in its state, and the states it went through.
ALTER TABLE model_instances ADD COLUMN state_reason TEXT NOT NULL DEFAULT 'none';
ALTER TABLE model_instances ADD COLUMN state_args TEXT;
ALTER TABLE model_instances ADD COLUMN state_since INTEGER NOT NULL DEFAULT 0;
ALTER TABLE model_instances ADD COLUMN timeline TEXT;
ALTER TABLE model_instances ADD COLUMN is_draining INTEGER NOT NULL DEFAULT 0;
ALTER TABLE model_instances ADD COLUMN avoid_worker_ids TEXT NOT NULL DEFAULT '[]';
