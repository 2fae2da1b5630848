-- Changes in the order in which they became visible, and the keys under which a change is made once.

CREATE TABLE events (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL DEFAULT now(),
    event      text        NOT NULL
        CONSTRAINT events_event_is_dotted CHECK (event ~ '^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$'),
    subject    text        NOT NULL CONSTRAINT events_subject_is_said CHECK (subject <> ''),
    actor      text        NOT NULL CONSTRAINT events_actor_is_said CHECK (actor <> ''),
    request_id text,
    details    jsonb       NOT NULL DEFAULT '{}'
        CONSTRAINT events_details_is_object CHECK (jsonb_typeof(details) = 'object')
);

-- A number is drawn before its transaction commits, so numbers alone may become visible out of order, and who follows them
-- would skip one for good. From drawing a number until it is visible a transaction is alone with this lock.
CREATE FUNCTION events_wait_for_their_turn() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('slipway.events', 0));
    RETURN NULL;
END
$$;

CREATE TRIGGER events_in_order
    BEFORE INSERT ON events
    FOR EACH STATEMENT EXECUTE FUNCTION events_wait_for_their_turn();

-- A hint for who follows; it goes out when the transaction commits.
CREATE FUNCTION events_give_a_hint() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog
AS $$
BEGIN
    PERFORM pg_notify('slipway_events', '');
    RETURN NULL;
END
$$;

CREATE TRIGGER events_hint
    AFTER INSERT ON events
    FOR EACH STATEMENT EXECUTE FUNCTION events_give_a_hint();

-- Which request an actor sent under a key, and what it made. Written in the transaction of what it made.
CREATE TABLE idempotency_keys (
    actor      text        NOT NULL,
    key        text        NOT NULL CONSTRAINT idempotency_keys_key_is_short CHECK (length(key) BETWEEN 1 AND 255),
    -- SHA-256 of method, path and body.
    request    bytea       NOT NULL CONSTRAINT idempotency_keys_request_is_sha256 CHECK (octet_length(request) = 32),
    -- What the request made: `release/0190…`.
    subject    text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (actor, key)
);

GRANT SELECT, INSERT ON events, idempotency_keys TO slipway_app;
