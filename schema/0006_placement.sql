-- SPDX-License-Identifier: Apache-2.0
-- What instances hold by placement's word, and what their workers have measured.

ALTER TABLE model_instances ADD COLUMN measured_claim TEXT;
UPDATE model_instances SET measured_claim = computed_resource_claim, computed_resource_claim = NULL;
