-- ==> migrations/20220101000000_events.up.sql
CREATE TYPE severity AS ENUM ('info', 'error');
CREATE TABLE events (id bigint GENERATED ALWAYS AS IDENTITY, at timestamptz NOT NULL, severity severity NOT NULL, body jsonb, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE events_2022 PARTITION OF events FOR VALUES FROM ('2022-01-01') TO ('2023-01-01');
CREATE TABLE events_rest PARTITION OF events DEFAULT;
CREATE INDEX events_severity_idx ON events (severity, at DESC);
-- ==> migrations/20220101000000_events.down.sql
DROP TABLE events;
DROP TYPE severity;
-- ==> migrations/20220201000000_touch.up.sql
CREATE TABLE sources (id int PRIMARY KEY, name text, updated_at timestamptz NOT NULL DEFAULT now(), events bigint NOT NULL DEFAULT 0);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END;
$$;
CREATE TRIGGER sources_touch BEFORE UPDATE ON sources FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION touch();
CREATE FUNCTION announce() RETURNS trigger AS $announce$
DECLARE
    said text;
BEGIN
    said := format('%s:%s', TG_OP, NEW.id);
    PERFORM pg_notify('events', said);
    RETURN NULL;
END
$announce$ LANGUAGE plpgsql;
CREATE TRIGGER events_announce AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION announce();
-- ==> migrations/20220201000000_touch.down.sql
DROP TRIGGER events_announce ON events;
DROP FUNCTION announce();
DROP TABLE sources;
DROP FUNCTION touch();
-- ==> migrations/20220301000000_daily.up.sql
CREATE MATERIALIZED VIEW daily AS SELECT date_trunc('day', at) AS day, severity, count(*) AS n FROM events GROUP BY 1, 2 WITH NO DATA;
CREATE UNIQUE INDEX daily_key ON daily (day, severity);
-- ==> migrations/20220301000000_daily.down.sql
DROP MATERIALIZED VIEW daily;
-- ==> migrations/20220401000000_warning.up.sql
ALTER TYPE severity ADD VALUE IF NOT EXISTS 'warning' BEFORE 'error';
-- ==> migrations/20220401000000_warning.down.sql
-- A value of an enum cannot be taken away.
SELECT 1;
-- ==> migrations/20220501000000_partition.up.sql
CREATE TABLE events_2023 (LIKE events INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
ALTER TABLE events ATTACH PARTITION events_2023 FOR VALUES FROM ('2023-01-01') TO ('2024-01-01');
-- ==> migrations/20220501000000_partition.down.sql
ALTER TABLE events DETACH PARTITION events_2023;
DROP TABLE events_2023;
-- ==> migrations/20220601000000_source_name_idx.up.sql
-- no-transaction
CREATE INDEX CONCURRENTLY sources_name_idx ON sources (name);
-- ==> migrations/20220601000000_source_name_idx.down.sql
-- no-transaction
DROP INDEX CONCURRENTLY IF EXISTS sources_name_idx;
-- ==> migrations/20220701000000_defaults.up.sql
DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM information_schema.columns WHERE table_name = 'sources' AND column_name = 'kind') THEN
        ALTER TABLE sources ADD COLUMN kind text;
    END IF;
END
$$;
INSERT INTO sources (id, name, kind) VALUES (1, 'hub', 'git') ON CONFLICT DO NOTHING;
-- ==> migrations/20220701000000_defaults.down.sql
DELETE FROM sources WHERE id = 1;
ALTER TABLE sources DROP COLUMN kind;
-- ==> migrations/waivers.toml
[[waiver]]
code = "down-leaves-drift"
file = "20220401000000_warning.down.sql"
reason = "A value of an enum cannot be taken away; the old release does not know it and does not mind."
expires = 2999-12-31
-- ==> query .sqlx event (timestamptz, jsonb)
INSERT INTO events (at, severity, body) VALUES ($1, 'warning', $2) RETURNING id
-- ==> query .sqlx daily ()
SELECT day AS "day!", severity AS "severity!: _", n AS "n!" FROM daily ORDER BY day
