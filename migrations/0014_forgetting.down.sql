-- Drops what forgets events and keys, and the word on up to where events are forgotten; those stay forgotten.

DROP FUNCTION forget_idempotency_keys(integer, integer);
DROP INDEX idempotency_keys_oldest_idx;
DROP FUNCTION forget_events(integer, integer);
DROP TABLE event_horizon;
