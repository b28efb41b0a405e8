//! Attacks that look for hidden rows: through joins, errors, counts, order and shapes of results.

use crate::duel::Duel;
use querygate_tests::harness::Layout;

#[test]
fn self_joins_meet_no_hidden_row() {
    Duel::each(|d| {
        d.rows("SELECT a.id, b.id FROM employees a JOIN employees b ON a.boss = b.id", 1);
        d.rows("SELECT a.id, b.name FROM employees a LEFT JOIN employees b ON a.boss = b.id", 3);
        d.rows("SELECT a.id FROM employees a FULL JOIN employees b ON a.boss = b.id WHERE a.id IS NULL", 2);
        d.rows("SELECT a.id FROM employees a, employees b", 9);
        d.rows("SELECT id FROM employees a WHERE EXISTS (SELECT 1 FROM employees b WHERE b.boss = a.id)", 1);
        d.rows("SELECT id FROM employees a WHERE id NOT IN (SELECT boss FROM employees WHERE boss IS NOT NULL)", 2);
        d.rows("SELECT e.id FROM employees e WHERE boss NOT IN (SELECT id FROM employees)", 1);
        d.rows("SELECT r.id FROM reviews r LEFT JOIN employees e ON e.id = r.employee WHERE e.id IS NULL", 0);
    });
}

/// Visible salaries are 50, 60, 70; hidden ones 100 and 2e9. Visible grades 2, 3, 4; hidden ones 0 and the largest int.
const FAILING_ON_HIDDEN_ROWS: &[&str] = &[
    "1 / (grade * 1) >= 0",
    "10 % grade >= 0",
    "1 / (CAST(salary AS integer) - 100) <= 0",
    "grade + 2147483640 > 0",
    "grade * 1000000 > 0",
    "CAST(note AS integer) > 0",
    "note::smallint > 0",
    "CAST(note AS numeric(10,2)) > 0",
    "CAST(note AS double precision) > 0",
    "CAST('2024-01-0' || length(note) AS date) > DATE '2020-01-01'",
    "CAST(CAST(salary AS integer) AS smallint) > 0",
    "ln(100 - salary) > 0",
    "sqrt(99 - salary) >= 0",
    "'x' !~ note",
    "substr(name, 1, 4 - CAST(salary / 25 AS integer) + 1) IS NOT NULL",
    "chr(grade + 60) <> ''",
];

/// A pattern that is too large for a regular expression fails where a row is met, so it may meet visible rows only.
#[test]
fn patterns_too_large_to_compile_tell_nothing_of_hidden_rows() {
    Duel::each(|d| {
        for length in [900, 2_000, 13_000, 60_000] {
            let pattern = format!("{}x", "_".repeat(length));
            for condition in ["id = 'r7'", "id = 'r1'", "id = 'none'", "words >= 'a'"] {
                for operator in ["LIKE", "NOT LIKE", "ILIKE"] {
                    d.same(&format!("SELECT count(*) FROM reviews WHERE {condition} AND words {operator} '{pattern}'"));
                }
            }
            d.same(&format!("SELECT count(*) FROM employees WHERE id = 'e7' AND name LIKE '{pattern}'"));
        }
    });
}

/// Files skip groups of rows by the keys of a join. A hidden neighbour's key keeps a group, and with it a visible row that fails.
#[test]
fn groups_of_rows_that_a_join_skips_tell_no_hidden_key() {
    Duel::each(|d| {
        for key in [100, 1_000, 2_000_000_000] {
            for failing in ["1 / (grade - 2)", "CAST(name AS integer)"] {
                let sql = format!(
                    "SELECT e.x FROM (SELECT max({key}) AS key FROM reviews) k \
                     JOIN (SELECT salary, {failing} AS x FROM employees) e ON e.salary = k.key"
                );
                d.same(&sql);
                if d.layout == Layout::Parquet {
                    d.rows(&sql, 0);
                }
            }
        }
    });
}

#[test]
fn errors_on_hidden_values_do_not_happen() {
    Duel::each(|d| {
        for test in FAILING_ON_HIDDEN_ROWS {
            d.same(&format!("SELECT id FROM employees WHERE {test}"));
            d.same(&format!("SELECT id FROM employees WHERE {test} AND dept = 'dev'"));
            d.same(&format!("SELECT id FROM employees WHERE dept = 'ops' OR {test}"));
            d.same(&format!("SELECT id, {test} FROM employees"));
            d.same_unless_unplanned(&format!("SELECT id FROM employees ORDER BY {test}, id LIMIT 2"));
            d.same(&format!("SELECT count(*) FILTER (WHERE {test}) FROM employees"));
            d.same(&format!("SELECT CASE WHEN {test} THEN 1 ELSE 2 END FROM employees"));
        }
        for plain in ["1 / (grade * 1) >= 0", "CAST(note AS integer) > 0", "grade + 2147483640 > 0"] {
            d.rows(&format!("SELECT id FROM employees WHERE {plain}"), 3);
        }
    });
}

#[test]
fn errors_stay_above_the_policy_wherever_the_expression_stands() {
    Duel::each(|d| {
        for sql in [
            "SELECT dept, grade FROM employees GROUP BY dept, grade HAVING 10 / grade > 0",
            "SELECT sum(10 / grade) FROM employees",
            "SELECT id, sum(10 / grade) OVER (PARTITION BY dept) FROM employees",
            "SELECT id, rank() OVER (ORDER BY 10 / grade) FROM employees",
            "SELECT DISTINCT 10 / grade FROM employees",
            "SELECT max(CAST(note AS integer)) FROM employees GROUP BY 10 / grade",
            "SELECT x.id FROM (SELECT id, grade FROM employees) x WHERE 10 / x.grade > 0",
            "SELECT x.id FROM (SELECT id, grade FROM employees OFFSET 0) x WHERE 10 / x.grade > 0",
            "SELECT a.id FROM employees a JOIN employees b ON 10 / a.grade > 0 AND a.id = b.id",
            "SELECT a.id FROM employees a LEFT JOIN employees b ON 10 / b.grade > 0 AND a.id = b.id",
            "SELECT a.id FROM employees a JOIN employees b ON 10 / a.grade = 10 / b.grade",
            "SELECT r.id FROM reviews r JOIN employees e ON e.id = r.employee WHERE 10 / e.grade > 0",
            "SELECT r.id FROM reviews r WHERE 10 / r.stars > 0",
            "SELECT id FROM employees a WHERE EXISTS (SELECT 1 FROM employees b WHERE b.boss = a.id AND 10 / b.grade > 0)",
            "SELECT id FROM employees WHERE 3 IN (SELECT 10 / grade FROM employees)",
            "SELECT id FROM employees a WHERE 3 < (SELECT max(10 / grade) FROM employees b WHERE b.dept = a.dept)",
            "SELECT (SELECT 10 / b.grade FROM employees b WHERE b.id = a.boss) FROM employees a",
            "SELECT (SELECT b.note FROM employees b WHERE b.dept = a.dept) FROM employees a WHERE a.dept = 'ops'",
            "WITH w AS MATERIALIZED (SELECT * FROM employees) SELECT id FROM w WHERE 10 / grade > 0",
            "WITH w AS (SELECT * FROM employees) SELECT a.id FROM w a JOIN w b USING (id) WHERE 10 / a.grade > 10 / b.grade",
            "WITH RECURSIVE r(id, n, d) AS (SELECT id, grade, 0 FROM employees UNION ALL SELECT id, 10 / n, d + 1 FROM r WHERE d < 3) SELECT count(*) FROM r",
            "SELECT id FROM employees WHERE grade <> 0 AND 10 / grade > 0",
            "SELECT id FROM employees WHERE CASE WHEN dept = 'dev' THEN 10 / grade > 0 ELSE true END",
            "SELECT id FROM employees WHERE COALESCE(10 / grade, 1) > 0",
            "SELECT 10 / grade FROM employees UNION SELECT stars FROM reviews",
            "SELECT 10 / grade FROM employees INTERSECT SELECT 10 / stars FROM reviews",
            "SELECT 10 / grade FROM employees EXCEPT SELECT 10 / stars FROM reviews",
            "SELECT dept, sum(10 / grade) FROM employees GROUP BY ROLLUP (dept)",
            "SELECT u FROM employees e, LATERAL (SELECT 10 / e.grade AS u) l",
            "SELECT id FROM employees WHERE 1 = 0 AND 10 / grade > 0",
            "SELECT id FROM employees WHERE 10 / grade > 0 LIMIT 1 OFFSET 2",
        ] {
            d.same(sql);
        }
    });
}

#[test]
fn casts_print_no_hidden_value() {
    Duel::each(|d| {
        // These fail on visible rows too; the text must not quote any value of any row.
        for sql in [
            "SELECT CAST(name AS integer) FROM employees",
            "SELECT CAST(name AS date) FROM employees",
            "SELECT CAST(name AS timestamptz) FROM employees",
            "SELECT CAST(name AS boolean) FROM employees",
            "SELECT CAST(name AS numeric) FROM employees",
            "SELECT name::int FROM employees WHERE name::int > 3",
            "SELECT id FROM employees WHERE note = 22",
            "SELECT id FROM employees WHERE salary = 'hX9x'",
            "SELECT id FROM employees WHERE hired = name::date",
            "SELECT phone::bigint FROM employees",
            "SELECT pin + 1 FROM employees",
        ] {
            let answer = d.same(sql);
            for value in ["Ann", "Bob", "Cid", "5550", "4711", "4", "north"] {
                let told = answer.code().is_some() && answer.text().contains(value);
                let code = answer.code().is_some_and(|code| code.contains(value));
                assert!(!told || code || sql.contains(value), "{sql}: {answer}");
            }
        }
    });
}

#[test]
fn limit_and_offset_count_only_visible_rows() {
    Duel::each(|d| {
        for offset in 0..7 {
            let expected = usize::from(offset < 3);
            d.rows(&format!("SELECT id FROM employees ORDER BY id LIMIT 1 OFFSET {offset}"), expected);
            d.rows(&format!("SELECT id FROM employees ORDER BY salary DESC, id LIMIT 1 OFFSET {offset}"), expected);
            let some = d.silent(&format!("SELECT id FROM employees LIMIT 1 OFFSET {offset}"));
            assert_eq!(some.table().len(), expected, "{:?} {offset}", d.layout);
        }
        d.same("SELECT id FROM employees ORDER BY salary DESC, id FETCH FIRST 2 ROWS ONLY");
        d.rows("SELECT id FROM employees LIMIT 100", 3);
        d.rows("SELECT count(*) FROM (SELECT 1 FROM employees LIMIT 5) x", 1);
        d.same("SELECT id FROM employees ORDER BY salary DESC, id LIMIT (SELECT count(*) FROM employees)");
    });
}

#[test]
fn aggregates_and_distinct_see_only_visible_rows() {
    Duel::each(|d| {
        for sql in [
            "SELECT count(*), min(salary), max(salary), sum(grade), avg(salary) FROM employees",
            "SELECT count(DISTINCT dept), string_agg(name, ',' ORDER BY name) FROM employees",
            "SELECT dept, count(*) FROM employees GROUP BY dept",
            "SELECT dept, count(*) FROM employees GROUP BY CUBE (dept)",
            "SELECT DISTINCT dept FROM employees",
            "SELECT max(id), min(id) FROM reviews",
            "SELECT count(*) FROM reviews",
            "SELECT count(boss) FROM employees",
        ] {
            d.same(sql);
        }
    });
}

#[test]
fn ctes_and_recursion_walk_only_visible_rows() {
    Duel::each(|d| {
        d.rows("WITH w AS (SELECT * FROM employees) SELECT a.id FROM w a JOIN w b ON a.id = b.id", 3);
        d.rows("WITH w AS MATERIALIZED (SELECT * FROM employees) SELECT id FROM w", 3);
        d.rows(
            "WITH RECURSIVE chain(id, boss) AS (SELECT id, boss FROM employees WHERE id = 'e3' UNION ALL \
             SELECT e.id, e.boss FROM employees e JOIN chain c ON e.id = c.boss) SELECT id FROM chain",
            1,
        );
        d.rows(
            "WITH RECURSIVE below(id) AS (SELECT id FROM employees WHERE boss IS NULL UNION \
             SELECT e.id FROM employees e JOIN below b ON e.boss = b.id) SELECT id FROM below",
            2,
        );
        d.refused("WITH w AS (SELECT * FROM employees) SELECT secret_code FROM w", "42703");
        d.refused("WITH payroll AS (SELECT * FROM payroll) SELECT * FROM payroll", "42P01");
    });
}

#[test]
fn union_coercion_neither_fails_on_nor_shows_hidden_rows() {
    Duel::each(|d| {
        for sql in [
            "SELECT note FROM employees UNION SELECT CAST(stars AS text) FROM reviews",
            "SELECT CAST(note AS integer) FROM employees UNION ALL SELECT stars FROM reviews",
            "SELECT note FROM employees UNION SELECT 1",
            "SELECT salary FROM employees UNION SELECT note FROM employees",
            "SELECT grade FROM employees UNION ALL SELECT salary FROM employees ORDER BY 1",
            "SELECT pin FROM employees UNION SELECT grade FROM employees",
            "SELECT phone FROM employees UNION SELECT note FROM employees",
            "SELECT hired FROM employees UNION SELECT note FROM employees",
        ] {
            d.same(sql);
        }
    });
}

#[test]
fn whole_rows_hold_only_visible_columns() {
    Duel::each(|d| {
        for sql in [
            "SELECT t FROM employees t",
            "SELECT t.* FROM employees t",
            "SELECT (t).secret_code FROM employees t",
            "SELECT (t.*)::text FROM employees t",
            "SELECT row_to_json(t) FROM employees t",
            "SELECT to_json(t) FROM employees t",
            "SELECT to_jsonb(t) FROM employees t",
            "SELECT json_agg(t) FROM employees t",
            "SELECT row(t.*) FROM employees t",
            "SELECT count(t) FROM employees t",
            "SELECT md5(t::text) FROM employees t",
            "SELECT t = t FROM employees t",
            "SELECT * FROM employees t WHERE t IS NOT NULL",
            "TABLE employees",
            "TABLE payroll",
            "SELECT struct(t.*) FROM employees t",
            "SELECT named_struct('a', secret_code) FROM employees",
        ] {
            d.same(sql);
        }
        d.rows("SELECT * FROM employees", 3);
        d.rows("TABLE employees", 3);
    });
}

#[test]
fn details_follow_their_masters() {
    Duel::each(|d| {
        d.rows("SELECT * FROM reviews", 2);
        d.rows("SELECT r.words FROM reviews r JOIN employees e ON r.employee = e.id", 2);
        d.rows("SELECT employee, count(*) FROM reviews GROUP BY employee", 2);
        d.rows("SELECT id FROM reviews WHERE words LIKE 'hX9%'", 0);
        d.rows("SELECT id FROM reviews WHERE employee = 'e7'", 0);
    });
}
