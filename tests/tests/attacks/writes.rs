//! Statements that write or define: refused whatever they name, with an answer that tells nothing of hidden things.

use crate::duel::Duel;

#[test]
fn writes_are_refused() {
    Duel::each(|d| {
        for sql in [
            "INSERT INTO employees (id) VALUES ('z')",
            "INSERT INTO employees (id) VALUES ('z') RETURNING *",
            "INSERT INTO payroll (id) VALUES ('z') RETURNING iban",
            "INSERT INTO employees SELECT * FROM employees RETURNING id",
            "INSERT INTO employees (id) VALUES ('e7') ON CONFLICT (id) DO UPDATE SET name = employees.name RETURNING name",
            "UPDATE employees SET name = name RETURNING *",
            "UPDATE employees SET name = secret_code",
            "DELETE FROM employees RETURNING *",
            "DELETE FROM employees WHERE 1 / grade > 0",
            "MERGE INTO employees e USING reviews r ON e.id = r.employee WHEN MATCHED THEN DELETE",
            "TRUNCATE employees",
            "WITH gone AS (DELETE FROM employees RETURNING *) SELECT * FROM gone",
            "WITH new AS (INSERT INTO employees (id) VALUES ('z') RETURNING *) SELECT * FROM new",
            "SELECT * INTO stolen FROM employees",
            "SELECT * FROM employees FOR UPDATE",
            "CREATE TABLE stolen AS SELECT * FROM employees",
            "CREATE TEMP TABLE stolen AS SELECT secret_code FROM employees",
            "CREATE VIEW stolen AS SELECT secret_code FROM employees",
            "CREATE OR REPLACE VIEW everyone AS SELECT * FROM payroll",
            "CREATE MATERIALIZED VIEW stolen AS SELECT * FROM employees",
            "CREATE EXTERNAL TABLE passwd (l text) STORED AS CSV LOCATION '/etc/passwd'",
            "CREATE FUNCTION f() RETURNS text LANGUAGE sql AS 'SELECT 1'",
            "CREATE FUNCTION leak(a int) RETURNS int RETURN a + 1",
            "CREATE RULE r AS ON SELECT TO employees DO INSTEAD SELECT 1",
            "CREATE TRIGGER t BEFORE INSERT ON employees EXECUTE FUNCTION f()",
            "CREATE INDEX i ON employees (secret_code)",
            "CREATE POLICY p ON employees USING (true)",
            "CREATE ROLE root SUPERUSER",
            "CREATE SCHEMA s",
            "CREATE DATABASE d",
            "ALTER TABLE employees ADD COLUMN x int",
            "ALTER TABLE employees DISABLE ROW LEVEL SECURITY",
            "ALTER ROLE iris SUPERUSER",
            "ALTER SYSTEM SET a = 1",
            "DROP TABLE employees",
            "DROP VIEW everyone",
            "GRANT SELECT ON payroll TO iris",
            "REVOKE ALL ON employees FROM ada",
            "DO $$ BEGIN PERFORM 1; END $$",
            "DO LANGUAGE plpgsql $$ BEGIN RAISE NOTICE '%', (SELECT max(iban) FROM payroll); END $$",
            "CALL p()",
            "EXECUTE IMMEDIATE 'SELECT 1'",
            "LOCK TABLE employees",
            "VACUUM employees",
            "ANALYZE employees",
            "REINDEX TABLE employees",
            "CLUSTER employees",
            "REFRESH MATERIALIZED VIEW stolen",
            "COMMENT ON TABLE employees IS 'x'",
            "SECURITY LABEL ON TABLE employees IS 'x'",
            "LISTEN a",
            "NOTIFY a, 'b'",
            "LOAD 'x'",
            "IMPORT FOREIGN SCHEMA s FROM SERVER x INTO y",
            "ATTACH DATABASE 'x' AS y",
            "PRAGMA table_info(employees)",
            "USE other",
            "KILL 1",
            "PREPARE w AS DELETE FROM employees",
            "PREPARE TRANSACTION 'x'",
            "EXPLAIN DELETE FROM employees",
            "EXPLAIN ANALYZE DELETE FROM employees",
            "EXPLAIN ANALYZE INSERT INTO employees (id) VALUES ('z')",
            "DECLARE c CURSOR FOR DELETE FROM employees RETURNING *",
            "COPY (DELETE FROM employees RETURNING *) TO STDOUT",
            "DESCRIBE payroll",
            "DESCRIBE employees",
            "SHOW TABLES",
            "SHOW COLUMNS FROM employees",
            "SHOW CREATE TABLE employees",
            "SHOW FUNCTIONS",
        ] {
            let answer = d.same(sql);
            assert!(answer.code().is_some(), "{:?} {sql}: {answer}", d.layout);
            assert_ne!(answer.code(), Some("XX000"), "{sql}");
            d.same("ROLLBACK");
        }
        d.rows("SELECT * FROM employees", 3);
        assert_eq!(d.company.ada().run("SELECT * FROM employees").table().len(), 6);
        assert_eq!(d.company.ada().run("SELECT * FROM payroll").table().len(), 2);
    });
}

#[test]
fn writes_hidden_in_other_statements_change_nothing() {
    Duel::each(|d| {
        for sql in [
            "SELECT id FROM employees; DELETE FROM employees",
            "BEGIN; DELETE FROM employees; COMMIT",
            "BEGIN READ WRITE; SELECT 1",
            "SET transaction_read_only = off",
            "SELECT 1 /* ; DROP TABLE employees */ -- ; DELETE FROM employees",
            "SELECT id FROM employees WHERE name = ''' OR 1=1 --'",
            "SELECT id FROM employees WHERE name = 'x\\' OR true --'",
            "SELECT id AS \"x\"\" , secret_code \" FROM employees",
            "SELECT id FROM employees AS \"e\"\" JOIN hr_payroll p ON true --\"",
        ] {
            d.same(sql);
            d.same("ROLLBACK");
        }
        assert_eq!(d.company.ada().run("SELECT * FROM employees").table().len(), 6);
    });
}
