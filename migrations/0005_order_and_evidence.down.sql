-- Drops what proves releases, and the order of environments.

DROP TRIGGER release_images_come_with_their_release ON release_images;
DROP FUNCTION release_images_refuse_later();
REVOKE UPDATE (protected, requires_id, revision) ON environments FROM slipway_app;
ALTER TABLE environments DROP COLUMN protected, DROP COLUMN requires_id, DROP COLUMN revision;
ALTER TABLE releases DROP COLUMN signing_key_id, DROP COLUMN evidence;
