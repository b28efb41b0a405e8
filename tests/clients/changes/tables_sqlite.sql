CREATE TABLE customer (id integer PRIMARY KEY, name varchar(40) NOT NULL);
CREATE TABLE ticket (
    id integer PRIMARY KEY,
    customer_id integer REFERENCES customer (id),
    title varchar(40) NOT NULL,
    code text UNIQUE,
    amount numeric(10,2),
    ratio double precision,
    seen timestamptz NOT NULL DEFAULT '2026-01-02 03:04:05+00:00',
    due date,
    done boolean NOT NULL DEFAULT false,
    region text NOT NULL
);
CREATE TABLE numbered (id integer PRIMARY KEY, number text UNIQUE, note text);
CREATE TABLE pgbench_branches (bid integer PRIMARY KEY, bbalance integer, filler text);
CREATE TABLE pgbench_tellers (tid integer PRIMARY KEY, bid integer, tbalance integer, filler text);
CREATE TABLE pgbench_accounts (aid integer PRIMARY KEY, bid integer, abalance integer, filler text);
CREATE TABLE pgbench_history (id integer PRIMARY KEY, tid integer, bid integer, aid integer, delta integer, mtime timestamp, filler text);
INSERT INTO pgbench_branches VALUES (1, 0, '');
INSERT INTO pgbench_tellers SELECT value, 1, 0, '' FROM (WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < 10) SELECT value FROM n);
INSERT INTO pgbench_accounts SELECT value, 1, 0, '' FROM (WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < 100000) SELECT value FROM n);
