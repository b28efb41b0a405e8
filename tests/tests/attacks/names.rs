//! Attacks that look for hidden columns and objects by name. A hidden name must answer as one that never was.

use crate::duel::{Duel, assert_silent};
use querygate_tests::harness::Answer;

/// The same statement with a name that never was, and its answer with the name put back.
fn as_never_was(d: &Duel, sql: &str, hidden: &str, never: &str) -> (Answer, String) {
    let got = d.iris.run(sql);
    let other = d.iris.run(&sql.replace(hidden, never));
    (got, other.text().replace(never, hidden))
}

fn like_never_was(d: &Duel, sql: &str, hidden: &str, code: &str) {
    // The same length, so that positions agree; no closer to another name.
    let never: String = hidden.chars().map(|c| if c.is_alphabetic() { 'q' } else { c }).collect();
    let (got, expected) = as_never_was(d, sql, hidden, &never);
    assert_eq!(got.code(), Some(code), "{:?} {sql}: {got}", d.layout);
    assert_eq!(got.text(), expected, "{:?} {sql}", d.layout);
    d.same(sql);
}

#[test]
fn a_hidden_column_is_a_column_that_never_was() {
    Duel::each(|d| {
        for sql in [
            "SELECT secret_code FROM employees",
            "SELECT \"secret_code\" FROM employees",
            "SELECT e.secret_code FROM employees e",
            "SELECT employees.\"secret_code\" FROM employees",
            "SELECT public.employees.secret_code FROM employees",
            "SELECT id FROM employees WHERE secret_code = 'x'",
            "SELECT id FROM employees WHERE secret_code IS NULL",
            "SELECT id FROM employees ORDER BY secret_code",
            "SELECT count(*) FROM employees GROUP BY secret_code",
            "SELECT count(secret_code) FROM employees",
            "SELECT max(secret_code) FROM employees",
            "SELECT id FROM employees GROUP BY id HAVING max(secret_code) > 'a'",
            "SELECT rank() OVER (ORDER BY secret_code) FROM employees",
            "SELECT rank() OVER (PARTITION BY secret_code) FROM employees",
            "SELECT DISTINCT ON (secret_code) id FROM employees",
            "SELECT a.id FROM employees a JOIN employees b ON a.secret_code = b.secret_code",
            "SELECT a.id FROM employees a JOIN employees b USING (secret_code)",
            "SELECT id FROM reviews WHERE words IN (SELECT secret_code FROM employees)",
            "SELECT id FROM employees e WHERE EXISTS (SELECT 1 FROM reviews r WHERE r.words = e.secret_code)",
            "SELECT x.secret_code FROM (SELECT * FROM employees) x",
            "WITH w AS (SELECT * FROM employees) SELECT secret_code FROM w",
            "SELECT CASE WHEN secret_code = 'a' THEN 1 END FROM employees",
            "SELECT coalesce(secret_code, '') FROM employees",
            "SELECT id FROM employees WHERE secret_code LIKE 'h%'",
            "SELECT length(secret_code) FROM employees",
            "COPY employees (secret_code) TO STDOUT",
            "EXPLAIN SELECT secret_code FROM employees",
            "PREPARE p AS SELECT secret_code FROM employees",
        ] {
            like_never_was(d, sql, "secret_code", "42703");
            like_never_was(d, &sql.replace("secret_code", "zone_code"), "zone_code", "42703");
        }
    });
}

#[test]
fn quoted_guesses_and_other_spellings_find_nothing() {
    Duel::each(|d| {
        for sql in [
            "SELECT \"Secret_Code\" FROM employees",
            "SELECT SECRET_CODE FROM employees",
            "SELECT U&\"secret\\005Fcode\" FROM employees",
            "SELECT \"secret_code \" FROM employees",
            "SELECT employees.\"SECRET_CODE\" FROM employees",
            "SELECT e[\"secret_code\"] FROM employees e",
            "SELECT secret_code(employees) FROM employees",
            "SELECT employees::text FROM employees",
            "SELECT secret_cod FROM employees",
            "SELECT zone_cod FROM employees",
            "SELECT salry FROM employees",
            "SELECT * FROM employes",
            "SELECT * FROM payrol",
        ] {
            d.same(sql);
        }
        // A hint for a misspelt name may only name what exists for the reader.
        for sql in ["SELECT secret_cod FROM employees", "SELECT zone_cod FROM employees", "SELECT * FROM payrol"] {
            let text = d.iris.run(sql).text();
            for hidden in ["secret_code", "zone_code", "payroll"] {
                assert!(!text.contains(hidden), "{sql}: {text}");
            }
        }
    });
}

#[test]
fn a_hidden_object_is_an_object_that_never_was() {
    Duel::each(|d| {
        for sql in [
            "SELECT * FROM payroll",
            "SELECT 1 FROM public.payroll",
            "SELECT 1 FROM test.public.payroll",
            "SELECT 1 FROM \"payroll\"",
            "SELECT * FROM employees e JOIN payroll p ON p.employee = e.id",
            "SELECT id FROM employees WHERE id IN (SELECT employee FROM payroll)",
            "SELECT (SELECT count(*) FROM payroll)",
            "WITH w AS (SELECT * FROM payroll) SELECT 1",
            "SELECT * FROM employees UNION ALL SELECT * FROM payroll",
            "COPY payroll TO STDOUT",
            "TABLE payroll",
            "EXPLAIN SELECT * FROM payroll",
            "EXPLAIN ANALYZE SELECT * FROM payroll",
        ] {
            like_never_was(d, sql, "payroll", "42P01");
        }
        for sql in [
            "SELECT * FROM hr_payroll",
            "SELECT * FROM hr_employees",
            "SELECT * FROM sqlite.payroll",
            "SELECT * FROM memory.hr_payroll",
        ] {
            d.same(sql);
        }
    });
}

#[test]
fn natural_and_using_joins_pair_no_hidden_column() {
    Duel::each(|d| {
        d.same("SELECT * FROM employees a NATURAL JOIN employees b");
        d.same("SELECT * FROM employees NATURAL JOIN reviews");
        d.refused("SELECT 1 FROM employees a JOIN employees b USING (zone_code)", "42703");
        d.refused("SELECT 1 FROM employees a JOIN employees b USING (id, secret_code)", "42703");
    });
}

#[test]
fn functions_that_take_names_know_no_hidden_ones() {
    Duel::each(|d| {
        for sql in [
            "SELECT to_regclass('payroll')",
            "SELECT to_regclass('public.payroll')",
            "SELECT to_regclass('hr_payroll')",
            "SELECT 'payroll'::regclass",
            "SELECT 'payroll'::regclass::oid",
            "SELECT has_table_privilege('payroll', 'select')",
            "SELECT has_table_privilege('iris', 'payroll', 'select')",
            "SELECT has_column_privilege('employees', 'secret_code', 'select')",
            "SELECT has_any_column_privilege('payroll', 'select')",
            "SELECT pg_relation_size('payroll')",
            "SELECT pg_total_relation_size('payroll')",
            "SELECT pg_table_size('payroll')",
            "SELECT pg_size_pretty(pg_total_relation_size('employees'))",
            "SELECT pg_get_viewdef('payroll')",
            "SELECT pg_get_serial_sequence('payroll', 'id')",
            "SELECT obj_description('payroll'::regclass)",
            "SELECT col_description('employees'::regclass, n) FROM generate_series(1, 20) AS g(n)",
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint",
            "SELECT pg_get_indexdef(indexrelid) FROM pg_index",
            "SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef",
            "SELECT pg_describe_object(1259, 'employees'::regclass, 0)",
            "SELECT row_security_active('employees')",
            "SELECT pg_table_is_visible(oid) FROM pg_class WHERE relname = 'payroll'",
            "SELECT table_to_xml('payroll', true, false, '')",
            "SELECT query_to_xml('select * from payroll', true, false, '')",
            "SELECT * FROM dblink('dbname=x', 'select 1') AS t(a int)",
            "SELECT pg_read_file('/etc/passwd')",
            "SELECT pg_ls_dir('/')",
            "SELECT lo_import('/etc/passwd')",
            "SELECT * FROM read_csv('/etc/passwd')",
            "SELECT * FROM read_parquet('x.parquet')",
            "SELECT * FROM '/etc/passwd'",
            "SELECT pg_sleep(0)",
            "SELECT nextval('payroll_id_seq')",
            "SELECT currval('payroll_id_seq')",
            "SELECT pg_stat_get_live_tuples('employees'::regclass)",
            "SELECT pg_relation_filepath('employees')",
            "SELECT pg_export_snapshot()",
            "SELECT txid_current()",
            "SELECT inet_server_addr()",
        ] {
            d.same(sql);
        }
        for refused in [
            "SELECT pg_read_file('/etc/passwd')",
            "SELECT * FROM read_csv('/etc/passwd')",
            "SELECT * FROM '/etc/passwd'",
        ] {
            assert!(d.iris.run(refused).code().is_some(), "{refused}");
        }
        for sql in [
            "SELECT to_regclass('payroll')",
            "SELECT 'payroll'::regclass",
            "SELECT has_table_privilege('payroll', 'select')",
        ] {
            let (got, expected) = as_never_was(d, sql, "payroll", "qqqqqqq");
            assert_eq!(got.text(), expected, "{sql}");
        }
    });
}

#[test]
fn parameters_and_typing_tell_no_hidden_column() {
    Duel::each(|d| {
        for sql in ["SELECT id FROM employees WHERE secret_code = $1", "SELECT $1 = secret_code FROM employees"] {
            let error = d.iris.prepare(sql).unwrap_err();
            let never = d.iris.prepare(&sql.replace("secret_code", "qqqqqq_qqqq")).unwrap_err();
            assert_eq!(error.code(), never.code());
            assert_eq!(error.to_string(), never.to_string().replace("qqqqqq_qqqq", "secret_code"));
            assert_silent(sql, &format!("{error} {:?}", error.hint()));
        }
    });
}
