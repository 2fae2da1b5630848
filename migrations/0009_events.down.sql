-- Drops the changes that are told to followers, and the keys of requests.

DROP TABLE idempotency_keys;
DROP TABLE events;
DROP FUNCTION events_give_a_hint();
DROP FUNCTION events_wait_for_their_turn();
