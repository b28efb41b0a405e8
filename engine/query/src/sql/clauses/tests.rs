//! Clauses in other words, and clauses that are taken out.

use super::*;
use crate::sql::tokens::tokens;

fn read(sql: &str) -> (String, Vec<&'static str>) {
    let (tokens, absent) = known(tokens(sql).unwrap());
    let text: String = tokens.iter().map(|token| token.token.to_string()).collect();
    let words: Vec<&str> = text.split_whitespace().collect();
    (words.join(" "), absent.iter().map(|absent| absent.clause).collect())
}

#[test]
fn other_words_for_the_same_are_put_right() {
    for (sql, same) in [
        ("a JOIN b JOIN c ON x ON y WHERE z", "a JOIN (b JOIN c ON x ) ON y WHERE z"),
        ("a JOIN b LEFT JOIN c JOIN d USING (i) ON x ON y", "a JOIN (b LEFT JOIN (c JOIN d USING (i) ) ON x ) ON y"),
        ("a JOIN b CROSS JOIN c ON x", "a JOIN (b CROSS JOIN c ) ON x"),
        ("a NATURAL LEFT JOIN b JOIN c ON x", "a NATURAL LEFT JOIN b JOIN c ON x"),
        (
            "SELECT DISTINCT ON (a) a FROM b JOIN c ON d JOIN e ON f",
            "SELECT DISTINCT ON (a) a FROM b JOIN c ON d JOIN e ON f",
        ),
        ("GROUPING SETS (a, GROUPING SETS ((b), ()))", "GROUPING SETS (a, (b), () )"),
        ("GROUP BY ALL ROLLUP (a)", "GROUP BY ROLLUP (a)"),
        ("GROUP BY DISTINCT ROLLUP (a)", "GROUP BY '''distinct groups''',ROLLUP (a)"),
        ("ROLLUP ((a)::int, (b, c), f(d))", "ROLLUP (((a)::int), (b, c), f(d))"),
        ("CUBE ((SELECT 1), b, (WITH c AS (d) SELECT 2))", "CUBE (((SELECT 1)), b, ((WITH c AS (d) SELECT 2)))"),
        ("GROUPING SETS ((a, b), (c) + 1)", "GROUPING SETS ((a, b), ((c) + 1))"),
        (
            "SELECT UNION (SELECT) EXCEPT SELECT FROM a",
            "SELECT FROM (SELECT 1) AS \"nothing\" UNION (SELECT FROM (SELECT 1) AS \"nothing\" ) EXCEPT SELECT FROM a",
        ),
        ("GROUP BY ALL ORDER BY a", "GROUP BY ALL ORDER BY a"),
        ("a FETCH FIRST (a) ROWS WITH TIES", "a LIMIT (a) FETCH FIRST '''limit''' ROWS WITH TIES"),
        ("a FETCH NEXT -1 ROW ONLY", "a LIMIT -1 FETCH FIRST '''limit''' ROW ONLY"),
        ("FETCH FIRST FROM c; FETCH NEXT c", "FETCH FIRST FROM c; FETCH NEXT FROM c"),
        ("EXISTS (SELECT WHERE a)", "EXISTS (SELECT FROM (SELECT 1) AS \"nothing\" WHERE a)"),
        ("a JOIN b JOIN c ON x IS NOT DISTINCT FROM y ON z", "a JOIN (b JOIN c ON x IS NOT DISTINCT FROM y ) ON z"),
        ("a JOIN b JOIN c ON c.on = b.x ON z", "a JOIN (b JOIN c ON c.on = b.x ) ON z"),
        ("FROM a, ROWS FROM (s.f(1)) b JOIN LATERAL ROWS FROM (g()) c", "FROM a, s.f(1) b JOIN LATERAL g() c"),
        ("FROM (ROWS FROM (f(1)) CROSS JOIN b)", "FROM ( f(1) CROSS JOIN b)"),
        ("a IN ((SELECT b), c)", "a IN (coalesce((SELECT b)), c)"),
        ("a NOT IN (((SELECT b))::int + 1)", "a NOT IN (coalesce(((SELECT b)))::int + 1)"),
        (
            "a IN ((WITH b AS (c) SELECT b), d IN ((SELECT e), f))",
            "a IN (coalesce((WITH b AS (c) SELECT b)), d IN (coalesce((SELECT e)), f))",
        ),
        ("a BETWEEN ASYMMETRIC b AND c", "a BETWEEN b AND c"),
        ("a NOT BETWEEN SYMMETRIC b AND c", "a NOT BETWEEN '''symmetric''' && b AND c"),
        ("SELECT name 'a'", "SELECT 'a'::name"),
        ("SELECT DISTINCT name E'a', name $$b$$ FROM t", "SELECT DISTINCT E'a'::name , $$b$$::name FROM t"),
        ("FROM ROWS FROM (f(1, 2)) WITH ORDINALITY", "FROM f(1, 2) WITH ORDINALITY"),
        ("(ROWS 1 PRECEDING EXCLUDE NO OTHERS)", "(ROWS 1 PRECEDING )"),
        ("(w ROWS CURRENT ROW EXCLUDE CURRENT ROW)", "(w PARTITION BY '''exclude current row''' ROWS CURRENT ROW )"),
        (
            "(PARTITION BY f(b) ORDER BY (a) RANGE 1 PRECEDING EXCLUDE TIES)",
            "(PARTITION BY '''exclude ties''',f(b) ORDER BY (a) RANGE 1 PRECEDING )",
        ),
        (
            "(ORDER BY a GROUPS 1 PRECEDING EXCLUDE GROUP)",
            "(PARTITION BY '''exclude group''' ORDER BY a GROUPS 1 PRECEDING )",
        ),
    ] {
        assert_eq!(read(sql), (same.to_owned(), Vec::new()), "{sql}");
    }
}

#[test]
fn what_the_gate_lacks_is_remembered() {
    for (sql, rest, clause) in [
        ("t AS (q) SEARCH DEPTH FIRST BY a, b SET s SELECT 1", "t AS (q) SELECT 1", "SEARCH"),
        ("t AS (q) CYCLE a, b SET c TO 'Y' DEFAULT 'N' USING p SELECT 1", "t AS (q) SELECT 1", "CYCLE"),
        ("a JOIN b USING (i, j) AS x WHERE", "a JOIN b USING (i, j) WHERE", "an alias of USING"),
        ("FROM ROWS FROM (f(1, 2), g(3)) AS z", "FROM f(1, 2)CROSS JOIN g(3) AS z", "ROWS FROM of several functions"),
        ("FROM ROWS FROM (f(1) AS (a int))", "FROM f(1)", "a column definition list in ROWS FROM"),
        ("t AS (q) SEARCH DEPTH FIRST BY a SET s CYCLE a SET c USING p SELECT 1", "t AS (q) SELECT 1", "SEARCH"),
    ] {
        assert_eq!(read(sql), (rest.to_owned(), vec![clause]), "{sql}");
    }
}

#[test]
fn names_are_left_alone() {
    for sql in [
        "SELECT exclude FROM search",
        "SELECT (a) cycle",
        "SELECT cycle, a SET b USING c",
        "x USING (a) SELECT 1 AS b",
        "SELECT (f(a)) AS b",
        "SELECT count(*) AS rows FROM (SELECT 1) t",
        "SELECT a, rows FROM (SELECT 1) t",
        "SELECT a IS DISTINCT FROM rows FROM (t)",
        "FROM ROWS FROM (f(1) WHERE a",
        "FROM ROWS FROM (f(1) WHERE a)",
        "FROM ROWS FROM (a)",
        "GROUP BY GROUPING SETS (GROUPING SETS (a)",
        "a IN ((SELECT b))",
        "a IN ((SELECT b) UNION (SELECT c))",
        "a IN ((SELECT b) LIMIT 1)",
        "a IN ((b), (SELECT c))",
        "SELECT 1 AS select",
        "SELECT t.on FROM a JOIN b ON t.on",
        "SELECT 1 AS name 'a'",
        "SELECT t.name FROM t",
    ] {
        assert_eq!(read(sql), (sql.to_owned(), Vec::new()));
    }
}

#[test]
fn many_words_are_read_once() {
    let began = std::time::Instant::now();
    for words in
        ["cycle ", ") cycle a ", "rows from ( ", "grouping sets ( ", "a) search depth first by ", "row exclude ties ) "]
    {
        read(&words.repeat(30_000));
    }
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
}
