-- Drops what proves releases.

DROP TRIGGER release_images_come_with_their_release ON release_images;
DROP FUNCTION release_images_refuse_later();
ALTER TABLE releases DROP COLUMN signing_key_id, DROP COLUMN evidence;
