-- Drops the audit record with everything in it.

REVOKE SELECT, INSERT, UPDATE, DELETE ON _sqlx_migrations FROM slipway_deployer;
DROP TABLE audit_entries;
DROP FUNCTION audit_entries_refuse_change();
