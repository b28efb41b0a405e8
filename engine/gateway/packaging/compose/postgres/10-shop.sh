#!/usr/bin/env bash
# Runs once, when the database is made: a table with rows, and the login of the gate, which may read it and nothing else.
set -euo pipefail
password=$(cat "${GATE_PASSWORD_FILE:-/run/secrets/gate_password}")
psql -v ON_ERROR_STOP=1 -v password="$password" --dbname "${POSTGRES_DB:-shop}" <<'SQL'
CREATE TABLE orders (
  id text PRIMARY KEY,
  customer text NOT NULL,
  region text NOT NULL,
  amount numeric(12, 2) NOT NULL,
  placed date NOT NULL
);
INSERT INTO orders VALUES
  ('o1', 'ann', 'eu', 10.50, '2026-01-01'), ('o2', 'bob', 'us', 20.00, '2026-01-02'), ('o3', 'cem', 'eu', 7.25, '2026-01-03');
CREATE ROLE gate LOGIN PASSWORD :'password' CONNECTION LIMIT 32;
REVOKE ALL ON DATABASE shop FROM PUBLIC;
GRANT CONNECT ON DATABASE shop TO gate;
GRANT USAGE ON SCHEMA public TO gate;
GRANT SELECT ON orders TO gate;
SQL
