-- Tableau over PostgreSQL: its probes for temporary tables, and the forms of its queries.

SELECT 1 AS "x";

SELECT "accounts"."industry" AS "industry", SUM("accounts"."annual_revenue") AS "sum:annual_revenue:ok" FROM "public"."accounts" "accounts" GROUP BY 1 ORDER BY 1;

SELECT CAST("accounts"."name" AS TEXT) AS "name" FROM "public"."accounts" "accounts" GROUP BY 1 ORDER BY 1 ASC NULLS FIRST LIMIT 10;

SELECT DATE_TRUNC( 'MONTH', CAST("accounts"."created_at" AS TIMESTAMP) ) AS "tmn:created_at:ok", COUNT("accounts"."id") AS "cnt" FROM "public"."accounts" "accounts" GROUP BY 1 ORDER BY 1;

SELECT CAST(TRUNC(EXTRACT(YEAR FROM "accounts"."created_at")) AS INTEGER) AS "yr:created_at:ok", CAST(TRUNC(EXTRACT(QUARTER FROM "accounts"."created_at")) AS INTEGER) AS "qr", SUM(1) AS "n" FROM "public"."accounts" "accounts" GROUP BY 1, 2 ORDER BY 1,2;

SELECT (CASE WHEN ("accounts"."rating" > 3) THEN 'good' WHEN NOT ("accounts"."rating" > 3) THEN 'bad' ELSE NULL END) AS "c", COUNT(DISTINCT "accounts"."region_id") AS "ctd:region_id:ok", AVG(CAST("accounts"."rating" AS DOUBLE PRECISION)) AS "avg" FROM "public"."accounts" "accounts" WHERE (("accounts"."region_id" IN ('emea', 'amer')) AND (STRPOS(CAST(LOWER(CAST(CAST("accounts"."name" AS TEXT) AS TEXT)) AS TEXT),CAST('red' AS TEXT)) > 0)) GROUP BY 1 HAVING (COUNT(1) > 0) ORDER BY 1;

SELECT "t0"."region_id" AS "region_id", SUM("t0"."x") AS "s" FROM ( SELECT "accounts"."region_id" AS "region_id", "accounts"."rating" AS "r", SUM("accounts"."annual_revenue") AS "x" FROM "public"."accounts" "accounts" INNER JOIN "public"."regions" "regions" ON ("accounts"."region_id" = "regions"."id") GROUP BY 1,2 ) "t0" INNER JOIN ( SELECT "accounts"."region_id" AS "region_id" FROM "public"."accounts" "accounts" GROUP BY 1 ORDER BY COUNT(1) DESC LIMIT 2 ) "t1" ON ("t0"."region_id" IS NOT DISTINCT FROM "t1"."region_id") GROUP BY 1 ORDER BY 1;

SELECT MIN("accounts"."created_at") AS "a", MAX("accounts"."created_at") AS "b", COUNT(1) AS "X__alias__0" FROM "public"."accounts" "accounts" HAVING (COUNT(1) > 0);

SELECT (CAST("accounts"."created_at" AS DATE) + CAST(-1 * EXTRACT(DOW FROM "accounts"."created_at") AS INTEGER)) AS "wk", COUNT(*) AS n FROM "public"."accounts" "accounts" GROUP BY 1 ORDER BY 1 LIMIT 3;

CREATE LOCAL TEMPORARY TABLE "#Tableau_1_2_Connect" ( "COL" INTEGER ) ON COMMIT PRESERVE ROWS;

INSERT INTO "#Tableau_1_2_Connect" VALUES (1);

SELECT "COL" FROM "#Tableau_1_2_Connect" LIMIT 1;

DROP TABLE "#Tableau_1_2_Connect";

SELECT * INTO TEMPORARY TABLE "#Tableau_3" FROM (SELECT 1 AS COL) AS CHECKTEMP LIMIT 1;

DROP TABLE IF EXISTS "#Tableau_3" CASCADE;

SELECT n.nspname, c.relname, a.attname, a.atttypid, t.typname, a.attnum, a.attlen, a.atttypmod, a.attnotnull, c.relhasrules, c.relkind, c.oid, pg_get_expr(d.adbin, d.adrelid), case t.typtype when 'd' then t.typbasetype else 0 end, t.typtypmod, 0, attidentity, c.relhassubclass from (((pg_catalog.pg_class c inner join pg_catalog.pg_namespace n on n.oid = c.relnamespace and c.oid = 'public.accounts'::regclass) inner join pg_catalog.pg_attribute a on (not a.attisdropped) and a.attnum > 0 and a.attrelid = c.oid) inner join pg_catalog.pg_type t on t.oid = a.atttypid) left outer join pg_attrdef d on a.atthasdef and d.adrelid = a.attrelid and d.adnum = a.attnum order by n.nspname, c.relname, attnum;
