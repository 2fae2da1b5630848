-- Events to tell the outside world, written in the transaction of what they tell and sent afterwards.

CREATE TABLE webhook_outbox (
    id              bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event           text        NOT NULL
        CONSTRAINT webhook_outbox_event_is_dotted CHECK (event ~ '^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$'),
    payload         jsonb       NOT NULL
        CONSTRAINT webhook_outbox_payload_is_object CHECK (jsonb_typeof(payload) = 'object'),
    request_id      text,
    created_at      timestamptz NOT NULL DEFAULT now(),
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    attempts        integer     NOT NULL DEFAULT 0
        CONSTRAINT webhook_outbox_attempts_are_counted CHECK (attempts >= 0),
    delivered_at    timestamptz,
    last_error      text
);

CREATE INDEX webhook_outbox_undelivered_idx ON webhook_outbox (next_attempt_at, id) WHERE delivered_at IS NULL;

GRANT SELECT, INSERT, UPDATE ON webhook_outbox TO slipway_app;
