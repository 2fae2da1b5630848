-- Drops in which trace work was caused, and the numbers by which the outbox and its events know each other.

ALTER TABLE webhook_outbox DROP COLUMN traceparent, DROP COLUMN event_id;
ALTER TABLE jobs DROP COLUMN traceparent;
