CREATE TABLE t AS SELECT id::int AS id, s::smallint AS s, a::int AS a, b, f, n, d, ts, x.x, g FROM (
SELECT 1::int AS id, 1::smallint AS s, 10::int AS a, 100::bigint AS b, 1.5::double precision AS f, 1.25::numeric(12,2) AS n, date '2024-02-29' AS d, timestamp '2024-02-29 12:34:56.789' AS ts, 'abc'::text AS x, 'g'::text AS g
UNION ALL SELECT 2, 2::smallint, 20, 200::bigint, 2.5::double precision, 2.35::numeric(12,2), date '1600-12-31', timestamp '1600-12-31 23:59:59.999999', 'a_c'::text, 'g'::text
UNION ALL SELECT 3, 3::smallint, 20, 200::bigint, -2.5::double precision, -2.35::numeric(12,2), date '9999-12-31', timestamp '9999-12-31 23:59:59.999999', 'äöÜ'::text, 'h'::text
UNION ALL SELECT 4, NULL::smallint, NULL::int, NULL::bigint, NULL::double precision, NULL::numeric(12,2), NULL::date, NULL::timestamp, NULL::text, 'h'::text
) x;
CREATE TABLE big AS SELECT id::int AS id, v, w::int AS w, n, g FROM (
SELECT 1::int AS id, 9223372036854775807::bigint AS v, 2147483647::int AS w, 99999999999999999999999999999999999999::numeric(38,0) AS n, 'g'::text AS g
UNION ALL SELECT 2, 9223372036854775807::bigint, 2147483647::int, 99999999999999999999999999999999999999::numeric(38,0), 'g'::text
UNION ALL SELECT 3, -9223372036854775807::bigint, -2147483647::int, -99999999999999999999999999999999999999::numeric(38,0), 'g'::text
UNION ALL SELECT 4, 5::bigint, 5::int, 5::numeric(38,0), 'h'::text
UNION ALL SELECT 5, NULL::bigint, NULL::int, NULL::numeric(38,0), 'i'::text
) x;
CREATE TABLE l AS SELECT k::int AS k, v FROM (
SELECT 1::int AS k, 'a'::text AS v UNION ALL SELECT 1, 'a'::text UNION ALL SELECT 1, 'a'::text UNION ALL SELECT 2, 'b'::text UNION ALL SELECT NULL::int, 'n'::text UNION ALL SELECT NULL::int, 'n'::text
) x;
CREATE TABLE r AS SELECT k::int AS k, v FROM (
SELECT 1::int AS k, 'a'::text AS v UNION ALL SELECT 1, 'a'::text UNION ALL SELECT 2, 'b'::text UNION ALL SELECT 2, 'b'::text UNION ALL SELECT NULL::int, 'n'::text UNION ALL SELECT 3, 'c'::text
) x;
