-- Events and idempotency keys are forgotten after a while: by these functions, and in no other way.
--
-- Services have no right to delete either. The functions run with their owner's rights, and hold a minimum age that no
-- setting and no service goes below; what they are asked only makes it longer.

-- Up to which number events are forgotten: who follows from before it is told so, instead of missing them unknowingly.
CREATE TABLE event_horizon (
    is_only         boolean PRIMARY KEY DEFAULT true CONSTRAINT event_horizon_is_one_row CHECK (is_only),
    forgotten_up_to bigint  NOT NULL DEFAULT 0
        CONSTRAINT event_horizon_counts CHECK (forgotten_up_to >= 0)
);

INSERT INTO event_horizon DEFAULT VALUES;

GRANT SELECT ON event_horizon TO slipway_app;

-- Forgets the oldest events, at most so many, as long as they are older than `keep_days` and than a week. What is left is
-- a stretch without holes up to the newest one, so that one number says what is gone.
CREATE FUNCTION forget_events(keep_days integer, at_most integer) RETURNS bigint
    LANGUAGE plpgsql
    STRICT
    SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    young_from timestamptz := now() - make_interval(days => greatest(keep_days, 7));
    last       bigint;
    forgotten  bigint;
BEGIN
    -- One at a time; whoever comes meanwhile has nothing to do.
    PERFORM FROM public.event_horizon FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    SELECT max(walked.id) INTO last
    FROM (
        SELECT oldest.id, bool_and(oldest.at < young_from) OVER (ORDER BY oldest.id) AS is_old
        FROM (SELECT id, at FROM public.events ORDER BY id LIMIT greatest(at_most, 0)) AS oldest
    ) AS walked
    WHERE walked.is_old;
    IF last IS NULL THEN
        RETURN 0;
    END IF;
    DELETE FROM public.events WHERE id <= last;
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    UPDATE public.event_horizon SET forgotten_up_to = last;
    RETURN forgotten;
END
$$;

CREATE INDEX idempotency_keys_oldest_idx ON idempotency_keys (created_at);

-- Forgets the oldest keys, at most so many, as long as they are older than `keep_days` and than a day: until then the same
-- request sent again makes nothing a second time.
CREATE FUNCTION forget_idempotency_keys(keep_days integer, at_most integer) RETURNS bigint
    LANGUAGE plpgsql
    STRICT
    SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    forgotten bigint;
BEGIN
    DELETE FROM public.idempotency_keys AS held
    USING (
        SELECT actor, key FROM public.idempotency_keys
        WHERE created_at < now() - make_interval(days => greatest(keep_days, 1))
        ORDER BY created_at
        LIMIT greatest(at_most, 0)
        FOR UPDATE SKIP LOCKED
    ) AS oldest
    WHERE held.actor = oldest.actor AND held.key = oldest.key;
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    RETURN forgotten;
END
$$;

REVOKE ALL ON FUNCTION forget_events(integer, integer), forget_idempotency_keys(integer, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION forget_events(integer, integer), forget_idempotency_keys(integer, integer) TO slipway_app;
