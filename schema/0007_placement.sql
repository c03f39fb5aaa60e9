-- SPDX-License-Identifier: Apache-2.0
-- What instances hold by placement's word, what their workers have measured, and who hadn't the
-- room; which models are placed first.

ALTER TABLE model_instances ADD COLUMN measured_claim TEXT;
UPDATE model_instances SET measured_claim = computed_resource_claim, computed_resource_claim = NULL;

ALTER TABLE model_instances ADD COLUMN refusals TEXT;
ALTER TABLE models ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
