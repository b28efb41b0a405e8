//! SQL as PostgreSQL's users write it, with the rows and names PostgreSQL gives.

use super::image::demo;
use super::session::TestSession;

/// Statement, columns and the first row.
const PRINTED: &[(&str, &str, &str)] = &[
    ("SELECT 1, NULL, 'a'", "?column?,?column?,?column?", "1,NULL,a"),
    (
        "SELECT current_user, session_user, current_database(), current_schema",
        "current_user,session_user,current_database,current_schema",
        "app,app,shop,public",
    ),
    ("SELECT 'customers'::regclass, 'sales.orders'::regclass::text", "regclass,text", "customers,sales.orders"),
    (
        "SELECT 'integer'::regtype, 23::regtype::text, 'pg_catalog'::regnamespace",
        "regtype,text,regnamespace",
        "integer,integer,pg_catalog",
    ),
    ("SELECT to_regclass('nothing'), to_regtype('int4')", "to_regclass,to_regtype", "NULL,integer"),
    // With the types of the arguments, which tell functions of one name apart, as values and as texts.
    (
        "SELECT 'lower(text)'::regprocedure, 'lower(text)'::regprocedure::oid, 870::regprocedure::text, 870::regproc",
        "regprocedure,oid,text,regproc",
        "lower(text),870,lower(text),pg_catalog.lower",
    ),
    (
        "SELECT to_regprocedure('lower(varchar)'), to_regproc('lower'), to_regoperator('-(none,int4)'), '+(int4,int4)'::regoperator",
        "to_regprocedure,to_regproc,to_regoperator,regoperator",
        "NULL,NULL,-(NONE,integer),+(integer,integer)",
    ),
    (
        "SELECT oid::regprocedure, 'simple'::regconfig, '\"C\"'::regcollation FROM pg_proc WHERE oid = 'round(numeric,int)'::regprocedure",
        "oid,regconfig,regcollation",
        "round(numeric,integer),simple,\"C\"",
    ),
    (
        "SELECT substring('foobar' from 'o+'), substring('foobar' from 'o(.)b'), substring('foobar' from 2 for 3)",
        "substring,substring,substring",
        "oo,o,oob",
    ),
    ("SELECT ARRAY(SELECT x FROM generate_series(1,3) x ORDER BY x DESC)", "array", "{3,2,1}"),
    ("SELECT ARRAY(SELECT rolname FROM pg_roles WHERE rolname = 'none')", "array", "{}"),
    ("SELECT 'b' = ANY('{a,b}'), 'c' <> ALL('{a,b}')", "?column?,?column?", "t,t"),
    ("SELECT '{1,2}'::int[], '{}'::text[]", "int4,text", "{1,2},{}"),
    ("SELECT 'a/_b' LIKE '%/_b' ESCAPE '/', 'x' ILIKE 'X'", "?column?,?column?", "t,t"),
    ("SELECT 'abc' OPERATOR(pg_catalog.~) '^a' COLLATE pg_catalog.default", "?column?", "t"),
    ("SELECT a, b FROM unnest(ARRAY['x','y']) WITH ORDINALITY AS t(a, b) ORDER BY b DESC LIMIT 1", "a,b", "y,2"),
    ("SELECT (SELECT count(*) FROM generate_series(1, t.n)) FROM (VALUES (2)) t(n)", "count", "2"),
    ("SELECT n, i FROM (VALUES (2)) t(n), LATERAL generate_series(n, n + 1) i ORDER BY i DESC LIMIT 1", "n,i", "2,3"),
    ("SELECT n, i FROM (VALUES (0)) t(n) LEFT JOIN LATERAL generate_series(1, n) i ON true", "n,i", "0,NULL"),
    ("SELECT 1 IN ('1','2'), 5 BETWEEN '1' AND '9', CASE 3 WHEN '3' THEN 'x' END", "?column?,?column?,case", "t,t,x"),
    ("SELECT tableoid = 'pg_class'::regclass FROM pg_class LIMIT 1", "?column?", "t"),
    (
        "SELECT has_table_privilege('customers','SELECT'), has_table_privilege('customers','INSERT')",
        "has_table_privilege,has_table_privilege",
        "t,f",
    ),
    (
        "SELECT obj_description('customers'::regclass), col_description('customers'::regclass, 2)",
        "obj_description,col_description",
        "people who buy,login address",
    ),
    ("SELECT (information_schema._pg_expandarray(ARRAY['a','b'])).n ORDER BY 1 DESC LIMIT 1", "n", "2"),
    ("SELECT 1 AS a, 2 AS a", "a,a", "1,2"),
    ("SELECT 23 = ANY ('{text,int}'::regtype[]), cardinality('{int,int8}'::regtype[])", "?column?,cardinality", "t,2"),
    (
        "SELECT format('%s', 'customers'::regclass), 'x' || 'customers'::regclass, concat('int4'::regtype, 1)",
        "format,?column?,concat",
        "customers,xcustomers,integer1",
    ),
    (
        "WITH a AS (WITH b AS (SELECT 1 AS n) SELECT * FROM b AS c WHERE c.n > 0) SELECT row_to_json(x) FROM a AS x",
        "row_to_json",
        "{\"n\":1}",
    ),
    (
        "SELECT ARRAY(SELECT k FROM generate_subscripts(indkey, 1) AS k ORDER BY k) FROM pg_index WHERE indnatts = 1 LIMIT 1",
        "array",
        "{0}",
    ),
    ("SELECT n::text, unnest(ARRAY[7]) FROM (VALUES (1)) t(n)", "n,unnest", "1,7"),
    ("SELECT a[1], unnest(a) FROM (SELECT ARRAY[3] AS a) t", "a,unnest", "3,3"),
    ("SELECT DISTINCT n::text, unnest(ARRAY[n]) + 1 FROM (VALUES (1)) t(n) ORDER BY 1, n", "n,?column?", "1,2"),
    // A key over two relations, which the planner's own rule drops.
    (
        "SELECT count(*) FROM (VALUES (1, 10)) a(x, k) JOIN (VALUES (2), (3)) b(y) ON a.x < b.y JOIN (VALUES (10, 3), (10, 9)) c(k, z) ON c.k = a.k AND c.z = a.x + b.y",
        "count",
        "1",
    ),
    (
        "SELECT string_agg(a.attname, ' ') FROM pg_attribute a JOIN pg_class c ON a.attrelid = c.oid WHERE c.relname = 'orders' AND a.attnum = ANY (SELECT unnest(conkey) FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'p')",
        "string_agg",
        "id",
    ),
    // A branch's subquery runs only for rows that take the branch.
    (
        "SELECT CASE WHEN t.typname = 'none' THEN (SELECT 1 / (x.oid - t.oid)::int FROM pg_type x WHERE x.oid = t.oid LIMIT 1) ELSE 7 END FROM pg_type t WHERE t.typname = 'int4'",
        "case",
        "7",
    ),
    (
        "SELECT CASE t.typname WHEN 'int4' THEN (SELECT x.typname FROM pg_type x WHERE x.oid < t.oid AND x.oid > t.oid - 3 AND x.typname <> 'x' ORDER BY x.oid LIMIT 1) ELSE 'b' END FROM pg_type t WHERE t.typname = 'int4'",
        "case",
        "int2",
    ),
    (
        "SELECT (SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum BETWEEN 1 AND 2) FROM pg_class c WHERE c.relname = 'pg_type'",
        "array_agg",
        "{oid,typname}",
    ),
    (
        "SELECT (SELECT count(*) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 9999) FROM pg_class c WHERE c.relname = 'pg_type'",
        "count",
        "0",
    ),
    (
        "SELECT pg_describe_object('pg_class'::regclass, 'customers'::regclass, 0)",
        "pg_describe_object",
        "table customers",
    ),
    (
        "SELECT id FROM (SELECT NULL AS id UNION ALL SELECT oid FROM pg_class WHERE oid = 1259) x ORDER BY 1 LIMIT 1",
        "id",
        "1259",
    ),
    ("SELECT unnest((SELECT ARRAY[1])), unnest((SELECT ARRAY[2]))", "unnest,unnest", "1,2"),
    (
        "SELECT indkey::text, ARRAY['a b', NULL]::text FROM pg_index ORDER BY 1 DESC LIMIT 1",
        "indkey,array",
        "2 5,{\"a b\",NULL}",
    ),
    // A literal in quotes beside a moment: what is taken from it is a moment, what is added an interval.
    (
        "SELECT (timestamp '2024-02-29 12:00' - '2024-01-01')::text, ('2024-03-01' - timestamp '2024-02-29 12:00')::text",
        "text,text",
        "59 days 12:00:00,12:00:00",
    ),
    (
        "SELECT timestamptz '2024-02-29 12:00' - '2024-01-01' > '1 day', extract(day from timestamp '2024-02-29 12:00' - '2024-01-01')::int",
        "?column?,extract",
        "t,59",
    ),
    ("SELECT date '2024-02-29' - '2024-01-01', '2024-02-29' - date '2024-01-01'", "?column?,?column?", "59,59"),
    (
        "SELECT (timestamp '2024-02-29 12:00' + '1 day')::text, ('1 day' + timestamp '2024-02-29 12:00')::text",
        "text,text",
        "2024-03-01 12:00:00,2024-03-01 12:00:00",
    ),
    (
        "SELECT (time '12:00' + '1 hour')::text, (time '12:00' - '11:00')::text, (timetz '12:00+00' - '1 hour')::text",
        "text,text,text",
        "13:00:00,01:00:00,11:00:00+00",
    ),
    // What is appended to bytes and to jsonb is of their type.
    ("SELECT ('\\x00'::bytea || '\\x01')::text, ('\\x00' || '\\x01'::bytea)::text", "text,text", "\\x0001,\\x0001"),
    (
        "SELECT ('{\"a\": 1}'::jsonb || '{\"b\":2}')::text, ('{\"b\":2}' || '{\"a\":1}'::jsonb)::text",
        "text,text",
        "{\"a\": 1, \"b\": 2},{\"a\": 1, \"b\": 2}",
    ),
    ("SELECT '{\"a\": 1}'::jsonb || 'x'::text", "?column?", "{\"a\": 1}x"),
    ("SELECT ('{a}'::text[] || '{q}')::text, ('{1}'::int[] || '{2}')::text", "text,text", "{a,q},{1,2}"),
];

#[tokio::test]
async fn values_print_as_postgres_prints_them() {
    let session = TestSession::new(demo());
    let mut wrong = Vec::new();
    for (sql, columns, row) in PRINTED.iter().copied() {
        match session.query(sql).await {
            Ok(answer) => {
                let first = answer.rows.first().cloned().unwrap_or_default();
                let text =
                    first.into_iter().map(|c| c.unwrap_or_else(|| "NULL".to_owned())).collect::<Vec<_>>().join(",");
                if answer.columns.join(",") != columns || text != row {
                    wrong.push(format!("{sql}\n   {:?} {text}", answer.columns));
                }
            }
            Err(failure) => wrong.push(format!("{sql}\n   {failure:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn wrong_statements_fail_as_in_postgres() {
    let session = TestSession::new(demo());
    let cases = [
        ("SELECT 'nothing'::regclass", "relation \"nothing\" does not exist"),
        ("SELECT 'lower'::regproc", "more than one function named \"lower\""),
        ("SELECT 'lower(nothing)'::regprocedure", "type \"nothing\" does not exist"),
        ("SELECT oid FROM pg_class WHERE oid = 'x'", "invalid input syntax for type oid: \"x\""),
        ("SELECT 'a' COLLATE \"de_DE\"", "collation \"\"de_DE\"\" does not exist"),
        (
            "SELECT (SELECT c.oid FROM pg_class c WHERE c.relnamespace = n.oid) FROM pg_namespace n",
            "more than one row returned by a subquery used as an expression",
        ),
        ("SELECT set_config('role', 'x', false)", "permission denied to set parameter \"role\""),
        ("SELECT '1'::nothing", "type \"nothing\" does not exist"),
        ("SELECT has_table_privilege('customers','FLY')", "unrecognized privilege type: \"fly\""),
    ];
    for (sql, expected) in cases {
        let failure = session.query(sql).await.expect_err(sql);
        assert!(failure.text().contains(expected), "{sql}: {}", failure.text());
    }
}
