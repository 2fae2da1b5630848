-- In which trace work was caused, and which event an entry of the outbox tells.

-- Nullable without a default: nothing is rewritten, and the code that runs beside this one does not notice.
ALTER TABLE jobs ADD COLUMN traceparent text;

ALTER TABLE webhook_outbox
    ADD COLUMN traceparent text,
    -- The number under which followers hear of it. No foreign key: events are forgotten on a day of their own.
    ADD COLUMN event_id bigint;
