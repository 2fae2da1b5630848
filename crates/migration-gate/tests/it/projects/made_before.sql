-- ==> prelude.sql
-- What an older framework made before the first migration.
CREATE SCHEMA legacy;
CREATE TYPE legacy.plan AS ENUM ('free', 'paid');
CREATE TABLE legacy.customers (id serial PRIMARY KEY, name varchar(255), plan legacy.plan DEFAULT 'free');
CREATE TABLE settings (key text PRIMARY KEY, value jsonb);
INSERT INTO legacy.customers (name) VALUES ('first'), ('second');
INSERT INTO settings VALUES ('theme', '"dark"');
GRANT USAGE ON SCHEMA legacy TO PUBLIC;
GRANT SELECT, REFERENCES ON legacy.customers TO PUBLIC;
GRANT ALL ON settings TO PUBLIC;
-- ==> migrations/20240101000000_orders.up.sql
CREATE TABLE orders (id bigserial PRIMARY KEY, customer_id int NOT NULL REFERENCES legacy.customers, placed_at timestamptz NOT NULL DEFAULT now());
-- ==> migrations/20240101000000_orders.down.sql
DROP TABLE orders;
-- ==> migrations/20240201000000_theme.up.sql
UPDATE settings SET value = '"light"' WHERE key = 'theme';
-- ==> migrations/20240201000000_theme.down.sql
UPDATE settings SET value = '"dark"' WHERE key = 'theme';
-- ==> query .sqlx orders (int4)
SELECT o.id FROM orders o JOIN legacy.customers c ON c.id = o.customer_id WHERE c.id = $1
