//! Tests of a session's transaction: its states, what it pins, settings that go with it, savepoints.

use super::*;
use crate::testing::Yard;

/// PostgreSQL, ReadyForQuery: idle, in a transaction, in a failed one.
#[test]
fn a_transaction_has_three_states() {
    let mut transaction = Transaction::default();
    let settings = Settings::default();
    assert_eq!(transaction.status(), TransactionStatus::Idle);
    assert!(transaction.begin(&settings) && !transaction.begin(&settings), "a second BEGIN begins nothing");
    assert_eq!(transaction.status(), TransactionStatus::InTransaction);
    transaction.fail();
    assert_eq!(transaction.status(), TransactionStatus::Failed);
    assert!(!transaction.commit().unwrap().1, "COMMIT of a failed transaction is a ROLLBACK");
    assert_eq!(transaction.status(), TransactionStatus::Idle);
    assert!(transaction.commit().is_none() && transaction.rollback().is_none());
    transaction.fail();
    assert_eq!(transaction.status(), TransactionStatus::Idle, "what is not open does not fail");
}

/// A door's block holds statements together, and a BEGIN inside of it takes them over.
#[test]
fn a_block_of_a_door_ends_as_its_statements_did() {
    let mut transaction = Transaction::default();
    assert!(!transaction.holds_together());
    assert_eq!(transaction.end_implicit(), None, "there was none");
    transaction.begin_implicit(false);
    assert!(transaction.holds_together());
    assert_eq!(transaction.status(), TransactionStatus::Idle, "a client sees no transaction");
    assert_eq!(transaction.end_implicit(), Some(true));
    transaction.begin_implicit(false);
    transaction.fail();
    transaction.begin_implicit(false);
    assert_eq!(transaction.end_implicit(), Some(false), "a second beginning does not mend it");
    transaction.begin_implicit(false);
    transaction.begin(&Settings::default());
    assert_eq!(transaction.end_implicit(), None, "the transaction goes on");
    assert!(transaction.is_open());
}

/// PostgreSQL, SAVEPOINT: the newest of equal names is meant, ROLLBACK TO keeps it, RELEASE takes it and the later ones away.
#[test]
fn savepoints_are_a_stack() {
    let mut transaction = Transaction::default();
    let settings = Settings::default();
    assert_eq!(transaction.savepoint("a", &settings).unwrap_err().code(), ErrorCode::NoActiveTransaction);
    transaction.begin(&settings);
    for name in ["a", "b", "a", "c"] {
        transaction.savepoint(name, &settings).unwrap();
    }
    assert_eq!(transaction.savepoint_ids(), [0, 1, 2, 3]);
    assert_eq!(transaction.savepoint_id("a", "x").unwrap(), 2);
    transaction.fail();
    transaction.rollback_to("a").unwrap();
    assert_eq!(transaction.status(), TransactionStatus::InTransaction, "it goes on");
    assert_eq!(transaction.savepoint_ids(), [0, 1, 2]);
    transaction.release("a").unwrap();
    assert_eq!(transaction.savepoint_id("a", "x").unwrap(), 0, "the older one is there again");
    transaction.savepoint("d", &settings).unwrap();
    assert_eq!(transaction.savepoint_ids(), [0, 1, 4], "an id is never used again");
    transaction.release("b").unwrap();
    assert_eq!(transaction.savepoint_ids(), [0]);
    assert_eq!(transaction.release("b").unwrap_err().code(), ErrorCode::UndefinedSavepoint);
    assert_eq!(transaction.rollback_to("b").map(drop).unwrap_err().code(), ErrorCode::UndefinedSavepoint);
}

#[test]
fn savepoints_are_bounded() {
    let mut transaction = Transaction::default();
    let settings = Settings::default();
    transaction.begin(&settings);
    for _ in 0..SAVEPOINTS_MAX {
        transaction.savepoint("s", &settings).unwrap();
    }
    assert_eq!(transaction.savepoint("s", &settings).unwrap_err().code(), ErrorCode::ProgramLimitExceeded);
    transaction.release("s").unwrap();
    transaction.savepoint("s", &settings).unwrap();
}

/// PostgreSQL: a failed transaction takes nothing but its end (25P02), and a statement's error fails it.
#[test]
fn a_failed_transaction_takes_only_its_end() {
    let yard = Yard::new();
    let owner = yard.owner();
    owner.says(&[
        ("BEGIN", "BEGIN"),
        ("UPDATE notes SET words = 'x' WHERE id = 'n1'", "UPDATE 1"),
        ("SELECT 1/0", "22012 division by zero"),
    ]);
    for sql in [
        "SELECT 1",
        "UPDATE notes SET words = 'y'",
        "SHOW search_path",
        "SET search_path = public",
        "SAVEPOINT s",
        "BEGIN",
        "DECLARE c CURSOR FOR SELECT 1",
        "PREPARE p AS SELECT 1",
        "EXPLAIN SELECT 1",
        "DEALLOCATE ALL",
        "LISTEN x",
        "COPY notes TO STDOUT",
        "LOCK TABLE notes IN ACCESS SHARE MODE",
        "SELECT id FROM notes FOR UPDATE",
    ] {
        assert_eq!(owner.code(sql), "25P02", "{sql}");
    }
    owner.says(&[("COMMIT", "ROLLBACK"), ("SELECT words FROM notes WHERE id = 'n1'", "hot")]);
}

/// PostgreSQL, SET: a plain SET outlives COMMIT, SET LOCAL does not, ROLLBACK undoes both, ROLLBACK TO those after its savepoint.
#[test]
fn settings_go_with_their_transaction() {
    let owner = Yard::new().owner();
    owner.says(&[
        ("SET application_name = 'a'", "SET"),
        ("BEGIN", "BEGIN"),
        ("SET application_name = 'b'", "SET"),
        ("SET LOCAL statement_timeout = '7s'", "SET"),
        ("SAVEPOINT s", "SAVEPOINT"),
        ("SET application_name = 'c'", "SET"),
        ("ROLLBACK TO s", "ROLLBACK"),
        ("SHOW application_name", "b"),
        ("SHOW statement_timeout", "7s"),
        ("COMMIT", "COMMIT"),
        ("SHOW application_name", "b"),
        ("SHOW statement_timeout", "0"),
        ("BEGIN", "BEGIN"),
        ("SET application_name = 'd'", "SET"),
        ("ROLLBACK", "ROLLBACK"),
        ("SHOW application_name", "b"),
        ("BEGIN", "BEGIN"),
        ("RESET application_name", "RESET"),
        ("COMMIT", "COMMIT"),
        ("SHOW application_name", ""),
    ]);
}

/// PostgreSQL, SET TRANSACTION: a level is chosen before the first query and above all savepoints (25001).
#[test]
fn a_level_is_chosen_before_anything_is_read() {
    let owner = Yard::new().owner();
    let level = "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE";
    owner.says(&[
        ("BEGIN", "BEGIN"),
        (level, "SET"),
        ("SHOW transaction_isolation", "serializable"),
        ("COMMIT", "COMMIT"),
        ("SHOW transaction_isolation", "read committed"),
        ("BEGIN ISOLATION LEVEL REPEATABLE READ", "BEGIN"),
        ("SELECT count(*) FROM notes", "3"),
        ("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "SET"),
    ]);
    assert_eq!(owner.code(level), "25001", "something was read");
    owner.says(&[("ROLLBACK", "ROLLBACK"), ("BEGIN", "BEGIN"), ("SAVEPOINT s", "SAVEPOINT")]);
    assert_eq!(owner.code(level), "25001", "below a savepoint");
}

#[test]
fn show_says_whether_a_transaction_only_reads() {
    let yard = Yard::new();
    let owner = yard.owner();
    let shown = || owner.run("SHOW transaction_read_only");
    assert_eq!(shown(), "off");
    for begin in ["BEGIN READ ONLY", "BEGIN; SET TRANSACTION READ ONLY"] {
        for end in ["COMMIT", "ROLLBACK"] {
            owner.run(begin);
            assert_eq!(shown(), "on", "{begin}");
            owner.run(end);
            assert_eq!(shown(), "off", "{begin}; {end}");
        }
    }
}

/// A READ ONLY transaction takes no change, and READ ONLY cannot be taken back by the end of the transaction.
#[test]
fn a_read_only_transaction_takes_no_change() {
    let yard = Yard::new();
    let owner = yard.owner();
    for begin in ["BEGIN READ ONLY", "BEGIN; SET TRANSACTION READ ONLY", "SET default_transaction_read_only = on"] {
        for change in [
            "UPDATE notes SET words = 'x'",
            "DELETE FROM notes",
            "TRUNCATE notes",
            "INSERT INTO notes (id) VALUES ('x')",
        ] {
            owner.run(begin);
            assert_eq!(owner.code(change), "25006", "{begin}; {change}");
            owner.run("ROLLBACK; RESET default_transaction_read_only");
        }
    }
    assert_eq!(owner.run("UPDATE notes SET words = 'x'"), "UPDATE 3");
}
