-- Drops the order of environments.

REVOKE UPDATE (protected, requires_id, revision) ON environments FROM slipway_app;
ALTER TABLE environments DROP COLUMN protected, DROP COLUMN requires_id, DROP COLUMN revision;
