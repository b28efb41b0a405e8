\set VERBOSITY sqlstate
\pset null NULL
-- Makes, fills, reads.
CREATE TEMP TABLE a (id int PRIMARY KEY, name varchar(5) NOT NULL, price numeric(8,2) DEFAULT 1.5, at date, tags text[]);
INSERT INTO a VALUES (1, 'one', 2.345, '2024-02-29', '{x,y}'), (2, 'two', DEFAULT, NULL, NULL);
INSERT INTO a (name, id) VALUES ('three', 3);
INSERT INTO a (id, name) SELECT 10 + n, 'n' || n FROM generate_series(1, 3) n;
SELECT * FROM a ORDER BY id;
SELECT count(*), sum(price), max(at) FROM a;
TABLE a ORDER BY id LIMIT 1;
-- Refusals.
INSERT INTO a VALUES (1, 'dup');
INSERT INTO a VALUES (4, NULL);
INSERT INTO a VALUES (4, 'toolong');
INSERT INTO a VALUES (4, 'cut  ');
INSERT INTO a VALUES ('x', 'y');
INSERT INTO a (id, name) SELECT true, 'y';
INSERT INTO a (id, id, name) VALUES (4, 5, 'y');
INSERT INTO a (nothing) VALUES (4);
INSERT INTO a VALUES (1, 2, 3, 4, 5, 6);
INSERT INTO a (id, name) VALUES (1);
CREATE TEMP TABLE a (id int);
CREATE TEMP TABLE IF NOT EXISTS a (id int);
CREATE TEMP TABLE b (id int, id text);
CREATE TEMP TABLE public.b (id int);
SELECT * FROM pg_temp.nothing;
DROP TABLE nothing_at_all;
DROP TABLE IF EXISTS nothing_at_all;
-- Changes.
UPDATE a SET price = price * 2, name = upper(name) WHERE id < 3 RETURNING id, name, price;
UPDATE a AS x SET (name, tags) = ('tup', ARRAY['q']) WHERE x.id = 3 RETURNING *;
UPDATE a SET price = v.p FROM (VALUES (11, 7.5), (12, 8)) v(id, p) WHERE a.id = v.id;
UPDATE a SET id = 1 WHERE id = 2;
UPDATE a SET name = NULL WHERE id = 2;
UPDATE a SET price = DEFAULT WHERE id = 13;
DELETE FROM a WHERE id = 11 RETURNING id + 100 AS gone;
DELETE FROM a USING (VALUES (12)) v(id) WHERE a.id = v.id;
SELECT id, name, price, tags FROM a ORDER BY id;
-- Of a query, and what its columns are.
CREATE TEMP TABLE c AS SELECT id, name, price, at, 1 AS one, 'text' AS word, now() > '2000-01-01' AS flag, 1.5::float8 AS f, '{"a": 1}'::jsonb AS j FROM a;
SELECT column_name, data_type, table_schema LIKE 'pg_temp%' AS own FROM information_schema.columns WHERE table_name = 'c' ORDER BY ordinal_position;
SELECT table_type FROM information_schema.tables WHERE table_name = 'c';
SELECT relkind, relpersistence, pg_table_is_visible(oid) FROM pg_class WHERE oid = 'c'::regclass;
CREATE TEMP TABLE d AS SELECT id AS x, name AS y FROM a;
SELECT * FROM d ORDER BY x;
SELECT id AS e INTO TEMP e FROM a;
SELECT count(*) FROM e;
CREATE TEMP TABLE l (LIKE a);
SELECT * FROM l;
INSERT INTO l (id, name) VALUES (1, 'l') RETURNING id, name, price;
-- Joins, subqueries, views.
SELECT a.id, c.word FROM a JOIN c USING (id) WHERE a.id IN (SELECT x FROM d) ORDER BY 1;
CREATE TEMP VIEW v AS SELECT id, name FROM a WHERE id > 1;
CREATE OR REPLACE TEMP VIEW v AS SELECT id, name FROM a WHERE id > 2;
SELECT * FROM v ORDER BY id;
INSERT INTO a VALUES (20, 'late');
SELECT * FROM v ORDER BY id;
DROP TABLE v;
DROP VIEW v;
SELECT * FROM v;
-- Transactions.
BEGIN;
INSERT INTO a VALUES (30, 'in');
SAVEPOINT s;
DELETE FROM a;
CREATE TEMP TABLE inner_one (x int);
INSERT INTO inner_one VALUES (1);
SELECT count(*) FROM a;
ROLLBACK TO s;
SELECT count(*) FROM inner_one;
ROLLBACK TO s;
SELECT count(*) FROM a;
ROLLBACK;
SELECT count(*) FROM a;
BEGIN;
CREATE TEMP TABLE kept (x int) ON COMMIT PRESERVE ROWS;
CREATE TEMP TABLE emptied (x int) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE dropped ON COMMIT DROP AS SELECT 1 AS x;
INSERT INTO kept VALUES (1);
INSERT INTO emptied VALUES (1), (2);
SELECT (SELECT count(*) FROM kept), (SELECT count(*) FROM emptied), (SELECT count(*) FROM dropped);
COMMIT;
SELECT (SELECT count(*) FROM kept), (SELECT count(*) FROM emptied);
SELECT count(*) FROM dropped;
-- COPY, TRUNCATE, prepared statements.
COPY kept FROM STDIN;
7
8
\.
COPY kept TO STDOUT;
PREPARE p(int) AS INSERT INTO kept VALUES ($1) RETURNING x + 1 AS next;
EXECUTE p(40);
EXECUTE p(41);
SELECT sum(x) FROM kept;
TRUNCATE kept;
SELECT sum(x) FROM kept;
TRUNCATE TABLE emptied;
INSERT INTO kept DEFAULT VALUES;
SELECT * FROM kept;
WITH w AS (SELECT 5 AS n) INSERT INTO kept SELECT n FROM w;
SELECT * FROM kept ORDER BY x;
DISCARD TEMP;
SELECT * FROM kept;
-- The session's own schema.
SELECT current_schema();
CREATE TEMP VIEW tv AS SELECT 1 AS a;
SELECT current_schema(), current_schemas(false), array_length(current_schemas(true), 1), (current_schemas(true))[2], pg_my_temp_schema() <> 0;
SELECT nspname LIKE 'pg_temp%' FROM pg_namespace WHERE oid = pg_my_temp_schema();
SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema() AND relname = 'tv';
DROP VIEW tv;
SELECT * FROM pg_temp.tv;
-- A statement that fails has changed nothing.
CREATE TEMP TABLE f (x int UNIQUE);
INSERT INTO f VALUES (1) RETURNING 1 / (x - 1);
INSERT INTO f VALUES (2), (2);
SELECT count(*) FROM f;
INSERT INTO f VALUES (1), (2), (NULL), (NULL);
UPDATE f SET x = 2 WHERE x = 1;
UPDATE f SET x = x + 1 WHERE x = 2;
DELETE FROM f RETURNING 1 / (x - 1);
DELETE FROM f WHERE x = 3 RETURNING 1 / x;
SELECT count(*), sum(x) FROM f;
DELETE FROM f WHERE x IS NULL;
DELETE FROM f;
SELECT count(*) FROM f;
-- Forms of columns and rows.
CREATE TEMP TABLE g (id int, c char(3), w varchar(4), n numeric(4,1));
COPY g FROM STDIN (FORMAT csv, FORCE_NOT_NULL (w), FORCE_NULL (c));
1,"",,1.25
2,ab,"x",
\.
COPY g (id, id) FROM STDIN;
SELECT id, c, c || '|', length(c), c = 'ab', w, n, w IS NULL FROM g ORDER BY id;
INSERT INTO g (id, c) VALUES (3, 'abcd');
INSERT INTO g (id, n) VALUES (4, 1234.5);
UPDATE g SET w = 'much too long' WHERE id = 1;
UPDATE g SET n = n + 1 WHERE id > 100 RETURNING *;
CREATE TEMP VIEW named (a, "B c") AS SELECT id, w FROM g;
SELECT * FROM named WHERE a = 2;
SELECT "B c" FROM named ORDER BY a;
CREATE TEMP VIEW many_names (a, b, c) AS SELECT 1, 2;
-- Numerics without bounds hold what they are given, however the table was made.
CREATE TEMP TABLE n1 AS SELECT 1 AS id, 0.0 AS amount;
INSERT INTO n1 VALUES (2, 12345.678), (3, 1.25);
INSERT INTO n1 VALUES (4, '99999.99');
INSERT INTO n1 (id, amount) SELECT 5, 700.55;
UPDATE n1 SET amount = 123.45 WHERE id = 1 RETURNING amount;
SELECT * FROM n1 ORDER BY id;
SELECT sum(amount), max(amount), count(DISTINCT amount) FROM n1;
CREATE TEMP TABLE n2 (id int, n numeric DEFAULT 0);
INSERT INTO n2 VALUES (1, 1.5);
INSERT INTO n2 VALUES (2, 1), (3, 2.25);
INSERT INTO n2 SELECT g, g * 1.5 FROM generate_series(4, 5) g;
INSERT INTO n2 (id) VALUES (6);
UPDATE n2 SET n = n * 2 WHERE id = 1;
UPDATE n2 SET n = id WHERE id = 2;
UPDATE n2 SET n = 1e30 + 0.5 WHERE id = 3;
COPY n2 FROM STDIN;
7	0.125
8	\N
\.
SELECT id, n, n + 1, n * 2, n / 4 > 1 FROM n2 WHERE n < 1000 ORDER BY id;
SELECT sum(n), avg(id) FROM n2;
SELECT n FROM n2 WHERE n = 3 ORDER BY n;
SELECT n2.id, n1.id FROM n2 JOIN n1 ON n1.amount > n2.n WHERE n2.id = 7 ORDER BY 2;
CREATE TEMP TABLE n3 AS SELECT 10::numeric AS m;
INSERT INTO n3 VALUES (1.5::numeric), (0.25);
SELECT m FROM n3 ORDER BY m;
CREATE TEMP TABLE n4 (a numeric[], b numeric(6,2)[]);
INSERT INTO n4 VALUES (ARRAY[1.5, 2], ARRAY[1, 2.5]);
SELECT a[1] > 1, b[2] = 2.5 FROM n4;
-- What is equal is one key.
CREATE TEMP TABLE k1 (j jsonb UNIQUE, i interval UNIQUE, f float8 UNIQUE, n numeric UNIQUE);
INSERT INTO k1 (j) VALUES ('{"a":1,"b":2}');
INSERT INTO k1 (j) VALUES ('{"b":2,"a":1.0}');
INSERT INTO k1 (i) VALUES ('24 hours');
INSERT INTO k1 (i) VALUES ('1 day');
INSERT INTO k1 (f) VALUES (0);
INSERT INTO k1 (f) VALUES ('-0'::float8);
INSERT INTO k1 (n) VALUES (1.0);
INSERT INTO k1 (n) VALUES (1.00);
INSERT INTO k1 (n) VALUES (1.01);
SELECT count(*) FROM k1;
-- Views read what they were written over.
CREATE TEMP TABLE base (x int);
INSERT INTO base VALUES (1), (2);
CREATE TEMP VIEW v1 AS SELECT x FROM base;
CREATE TEMP VIEW v2 AS SELECT x + 1 AS y FROM v1;
CREATE OR REPLACE TEMP VIEW v1 AS SELECT x * 10 AS x FROM base;
SELECT * FROM v2 ORDER BY y;
DROP TABLE base;
DROP VIEW v1;
DROP TABLE base CASCADE;
SELECT * FROM v2;
CREATE TEMP TABLE base (x int);
INSERT INTO base VALUES (5);
CREATE TEMP VIEW v2 AS WITH base AS (SELECT 7 AS x) SELECT * FROM base;
SELECT * FROM v2;
DROP TABLE base;
SELECT * FROM v2;
-- A savepoint that is released is gone.
BEGIN;
CREATE TEMP TABLE sp (x int);
SAVEPOINT a;
INSERT INTO sp VALUES (1);
SAVEPOINT b;
INSERT INTO sp VALUES (2);
RELEASE SAVEPOINT b;
INSERT INTO sp VALUES (3);
ROLLBACK TO SAVEPOINT a;
SELECT count(*) FROM sp;
COMMIT;
-- What reads only makes nothing; rows of what is there may change.
BEGIN READ ONLY;
INSERT INTO n2 VALUES (9, 9) RETURNING id;
CREATE TEMP TABLE none (x int);
ROLLBACK;
BEGIN READ ONLY;
DROP TABLE n2;
ROLLBACK;
INSERT INTO n2 VALUES (10, 10) RETURNING sum(n);
