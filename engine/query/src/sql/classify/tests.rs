//! Tests of which statements are admitted, and as what.

use super::*;
use crate::sql::parse::parse;

/// The kind of the one statement of a text.
fn kind(sql: &str) -> std::result::Result<&'static str, ErrorCode> {
    let parsed = parse(sql).map_err(|error| error.code())?;
    Ok(match parsed[0].class() {
        Classified::Query(_) => "query",
        Classified::Write(_) => "write",
        Classified::Temporary(_) => "temporary",
        Classified::Locking { .. } => "locking",
        Classified::Explain { .. } => "explain",
        Classified::CopyIn(_) => "copy in",
        Classified::CopyOut { .. } => "copy",
        Classified::Set { local: false, .. } => "set",
        Classified::Set { local: true, .. } => "set local",
        Classified::Reset(_) => "reset",
        Classified::Show(_) => "show",
        Classified::Begin { .. } => "begin",
        Classified::SetTransaction { .. } => "set transaction",
        Classified::Commit => "commit",
        Classified::Rollback => "rollback",
        Classified::Savepoint(_) => "savepoint",
        Classified::RollbackTo(_) => "rollback to",
        Classified::Release(_) => "release",
        Classified::Declare { .. } => "declare",
        Classified::Fetch { .. } => "fetch",
        Classified::Move { .. } => "move",
        Classified::Close(_) => "close",
        Classified::Prepare { .. } => "prepare",
        Classified::Execute { .. } => "execute",
        Classified::Deallocate(_) => "deallocate",
        Classified::Discard(_) => "discard",
        Classified::Listen(_) => "listen",
        Classified::Unlisten(_) => "unlisten",
        Classified::Call { .. } => "call",
        Classified::Lock(_) => "lock",
        // No text is one.
        Classified::Question(_) => "question",
        Classified::RecordChange => "record change",
    })
}

#[test]
fn statements_of_the_closed_list() {
    for (sql, expected) in [
        ("SELECT 1", "query"),
        ("TABLE accounts", "query"),
        ("VALUES (1), (2)", "query"),
        ("WITH w AS (SELECT 1) SELECT * FROM w", "query"),
        ("SELECT a FROM t FOR SHARE SKIP LOCKED", "locking"),
        ("SELECT a FROM t FOR NO KEY UPDATE NOWAIT", "locking"),
        ("SELECT a FROM t FOR KEY SHARE", "locking"),
        ("INSERT INTO t VALUES (1)", "write"),
        ("UPDATE t SET a = 1", "write"),
        ("DELETE FROM t", "write"),
        ("MERGE INTO t USING s ON true WHEN MATCHED THEN DELETE", "write"),
        ("TRUNCATE t", "write"),
        ("CREATE TEMP TABLE t (a int)", "temporary"),
        ("CREATE LOCAL TEMPORARY TABLE t AS SELECT 1", "temporary"),
        ("SELECT 1 AS a INTO TEMP t", "temporary"),
        ("CREATE TEMP VIEW v AS SELECT 1", "temporary"),
        ("DROP TABLE IF EXISTS t", "temporary"),
        ("DROP VIEW v", "temporary"),
        ("EXPLAIN SELECT 1", "explain"),
        ("EXPLAIN (ANALYZE, VERBOSE) SELECT 1", "explain"),
        ("EXPLAIN DELETE FROM t", "explain"),
        ("COPY accounts TO STDOUT", "copy"),
        ("COPY accounts FROM STDIN", "copy in"),
        ("COPY (SELECT 1) TO STDOUT WITH (FORMAT csv, HEADER)", "copy"),
        ("SET search_path TO public", "set"),
        ("SET LOCAL search_path = public", "set local"),
        ("RESET ALL", "reset"),
        ("SHOW server_version", "show"),
        ("BEGIN", "begin"),
        ("START TRANSACTION READ ONLY", "begin"),
        ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "set transaction"),
        ("COMMIT", "commit"),
        ("ROLLBACK", "rollback"),
        ("SAVEPOINT a", "savepoint"),
        ("ROLLBACK TO a", "rollback to"),
        ("RELEASE a", "release"),
        ("DECLARE c CURSOR FOR SELECT 1", "declare"),
        ("FETCH 2 FROM c", "fetch"),
        ("MOVE FORWARD 2 IN c", "move"),
        ("CLOSE c", "close"),
        ("PREPARE p AS SELECT 1", "prepare"),
        ("EXECUTE p(1)", "execute"),
        ("DEALLOCATE p", "deallocate"),
        ("DISCARD ALL", "discard"),
        ("LISTEN c", "listen"),
        ("UNLISTEN *", "unlisten"),
        ("CALL querygate.x(1, 'a', true, NULL, -2)", "call"),
        ("LOCK TABLE accounts IN ACCESS SHARE MODE", "lock"),
    ] {
        assert_eq!(kind(sql), Ok(expected), "{sql}");
    }
}

/// What is not on the list is refused before any name is looked up: none of these names is anything.
#[test]
fn everything_else_is_refused() {
    for sql in [
        "CREATE TABLE t (a int)",
        "CREATE TABLE t AS SELECT 1",
        "CREATE VIEW v AS SELECT 1",
        "DROP SCHEMA s",
        "ALTER TABLE t ADD COLUMN b int",
        "GRANT SELECT ON t TO u",
        "REVOKE SELECT ON t FROM u",
        "VACUUM t",
        "ANALYZE t",
        "DO $$ BEGIN END $$",
        "LOCK TABLE t",
        "COMMIT AND CHAIN",
        "COMMENT ON TABLE t IS 'x'",
        "REFRESH MATERIALIZED VIEW v",
        "PREPARE TRANSACTION 'a'",
        "COMMIT PREPARED 'a'",
        "ROLLBACK PREPARED 'a'",
        "EXPLAIN ANALYZE INSERT INTO t VALUES (1)",
        "EXPLAIN TRUNCATE t",
        "DECLARE c CURSOR FOR SELECT a FROM t FOR UPDATE",
        "UPDATE t SET a = 1 WHERE CURRENT OF c",
    ] {
        assert_eq!(kind(sql), Err(ErrorCode::FeatureNotSupported), "{sql}");
    }
    assert_eq!(kind("COPY accounts TO '/tmp/x'"), Err(ErrorCode::InsufficientPrivilege));
    assert_eq!(kind("COPY accounts TO PROGRAM 'cat'"), Err(ErrorCode::InsufficientPrivilege));
}

/// PostgreSQL's tags of the same statements.
#[test]
fn a_refusal_names_the_statement() {
    for (sql, tag) in [
        ("CREATE TABLE t (a int)", "CREATE TABLE"),
        ("create table \"index\" (a int)", "CREATE TABLE"),
        ("CREATE TABLE t AS SELECT 1", "CREATE TABLE AS"),
        ("CREATE UNIQUE INDEX CONCURRENTLY i ON t (a)", "CREATE INDEX"),
        ("CREATE OR REPLACE VIEW v AS SELECT 1", "CREATE VIEW"),
        ("CREATE MATERIALIZED VIEW v AS SELECT 1", "CREATE MATERIALIZED VIEW"),
        ("CREATE DATABASE d", "CREATE DATABASE"),
        ("CREATE SCHEMA s", "CREATE SCHEMA"),
        ("CREATE SEQUENCE s", "CREATE SEQUENCE"),
        ("CREATE ROLE r", "CREATE ROLE"),
        ("CREATE EXTENSION e", "CREATE EXTENSION"),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "CREATE FUNCTION"),
        ("CREATE TYPE t AS ENUM ('a')", "CREATE TYPE"),
        ("ALTER TABLE t ADD COLUMN b int", "ALTER TABLE"),
        ("ALTER INDEX i RENAME TO j", "ALTER INDEX"),
        ("DROP SCHEMA IF EXISTS t", "DROP SCHEMA"),
        ("DROP MATERIALIZED VIEW v", "DROP MATERIALIZED VIEW"),
        ("DROP INDEX i", "DROP INDEX"),
        ("REFRESH MATERIALIZED VIEW v", "REFRESH MATERIALIZED VIEW"),
        ("GRANT SELECT ON t TO u", "GRANT"),
        ("COMMENT ON TABLE t IS 'x'", "COMMENT"),
    ] {
        let error = parse(sql).unwrap_err();
        assert_eq!(error.message(), format!("{tag} is not supported"), "{sql}");
        assert_eq!(error.code(), ErrorCode::FeatureNotSupported, "{sql}");
    }
}

#[test]
fn a_refusal_says_where_it_is_done_instead() {
    for (sql, hint) in [
        ("CREATE TABLE t (a int)", "views in the gate's configuration"),
        ("GRANT SELECT ON t TO u", "the gate's metadata"),
        ("VACUUM", "in the source itself"),
        ("CREATE ROLE r", "[[users]]"),
        ("CREATE USER u", "[[users]]"),
        ("DROP ROLE r", "[[users]]"),
        ("CREATE POLICY p ON t", "the gate's metadata"),
        ("CREATE VIEW v AS SELECT 1", "[[views]]"),
        ("CREATE EXTENSION e", "functions are fixed"),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "functions are fixed"),
        ("CREATE SCHEMA s", "[[sources]]"),
        ("CREATE INDEX i ON t (a)", "in the source itself"),
    ] {
        let error = parse(sql).unwrap_err();
        assert!(error.hint().is_some_and(|text| text.contains(hint)), "{sql}: {error:?}");
    }
}

/// What clients of other databases write to look around is refused with what answers it here.
#[test]
fn words_of_other_databases_say_what_lists_it_here() {
    for (sql, message, hint) in [
        ("SHOW TABLES", "SHOW TABLES", "information_schema.tables"),
        ("show full tables from shop", "SHOW TABLES", "information_schema.tables"),
        ("SHOW DATABASES;", "SHOW DATABASES", "current_database()"),
        ("SHOW COLUMNS FROM accounts", "SHOW COLUMNS", "information_schema.columns"),
        ("SHOW INDEX FROM accounts", "SHOW INDEX", "pg_indexes"),
        ("SHOW CREATE TABLE accounts", "SHOW CREATE", "information_schema.columns"),
        ("DESCRIBE accounts", "DESCRIBE", "information_schema.columns"),
        ("DESC accounts", "DESC", "information_schema.columns"),
        ("USE shop", "USE", "search_path"),
    ] {
        let error = parse(sql).unwrap_err();
        let expected = (ErrorCode::FeatureNotSupported, format!("{message} is not supported"));
        assert_eq!((error.code(), error.message().to_owned()), expected, "{sql}");
        assert!(error.hint().is_some_and(|text| text.contains(hint)), "{sql}: {error:?}");
    }
    assert_eq!((kind("SHOW keys.x"), kind("SHOW ssl")), (Ok("show"), Ok("show")));
}
