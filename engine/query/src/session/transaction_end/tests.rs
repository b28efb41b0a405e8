//! Tests of blocks: changes that hold together are stored together, at the end, by the rights of then.

use crate::testing::{Seat, Yard, on_runtime};
use std::sync::Arc;

fn block<T: Send + 'static>(seat: &Seat, work: impl FnOnce(Seat) -> T + Send) -> T {
    seat.session.begin_block();
    work(seat.clone())
}

fn end(seat: &Seat) -> querygate_types::Result<()> {
    let session = Arc::clone(&seat.session);
    on_runtime(async move { session.end_block().await })
}

fn words(yard: &Yard) -> Vec<String> {
    yard.stored("words", "FROM yard_notes WHERE words IS NOT NULL ORDER BY id")
}

/// A statement without BEGIN is a transaction of its own: all its rows are stored, or none.
#[test]
fn a_statement_is_stored_as_a_whole() {
    let yard = Yard::new();
    let owner = yard.owner();
    yard.refuses(
        &owner,
        &[
            ("INSERT INTO notes (id) VALUES ('a'), ('b'), ('n1')", "23505"),
            ("UPDATE jobs SET hours = CASE WHEN id = 'j2' THEN 500 ELSE 1 END", "23514"),
            ("UPDATE jobs SET hours = 1 / (CASE WHEN id = 'j2' THEN 0 ELSE 1 END)", "22012"),
        ],
    );
}

/// What a transaction stored is seen by itself, and by others when it has ended.
#[test]
fn others_see_a_transaction_when_it_has_ended() {
    let yard = Yard::new();
    let (owner, other) = (yard.owner(), yard.owner());
    owner.says(&[
        ("BEGIN", "BEGIN"),
        ("UPDATE notes SET words = 'new' WHERE id = 'n1'", "UPDATE 1"),
        ("SELECT words FROM notes WHERE id = 'n1'", "new"),
    ]);
    assert_eq!(other.run("SELECT words FROM notes WHERE id = 'n1'"), "hot");
    assert_eq!(owner.run("COMMIT"), "COMMIT");
    assert_eq!(other.run("SELECT words FROM notes WHERE id = 'n1'"), "new");
}

/// PostgreSQL, ROLLBACK TO SAVEPOINT: what came after it is undone, what came before it is stored.
#[test]
fn a_savepoint_undoes_what_came_after_it() {
    let yard = Yard::new();
    let owner = yard.owner();
    owner.says(&[
        ("BEGIN", "BEGIN"),
        ("SAVEPOINT early", "SAVEPOINT"),
        ("UPDATE notes SET words = 'one' WHERE id = 'n1'", "UPDATE 1"),
        ("SAVEPOINT s", "SAVEPOINT"),
        ("UPDATE notes SET words = 'two' WHERE id = 'n2'", "UPDATE 1"),
        ("SELECT 1/0", "22012 division by zero"),
        ("ROLLBACK TO s", "ROLLBACK"),
        ("SELECT words FROM notes WHERE id = 'n2'", "cold"),
        ("UPDATE notes SET words = 'three' WHERE id = 'n2'", "UPDATE 1"),
        ("RELEASE s", "RELEASE"),
        ("COMMIT", "COMMIT"),
    ]);
    assert_eq!(words(&yard), ["one", "three"]);
    owner.says(&[
        ("BEGIN", "BEGIN"),
        ("SAVEPOINT first", "SAVEPOINT"),
        ("UPDATE notes SET words = 'lost' WHERE id = 'n1'", "UPDATE 1"),
        ("ROLLBACK TO first", "ROLLBACK"),
        ("COMMIT", "COMMIT"),
    ]);
    assert_eq!(words(&yard), ["one", "three"]);
}

/// What a failed block has taken since its last savepoint is another's at once: SQLite's one writer where nothing was changed before, and
/// locks, tables and cursors of the session. The block goes on from there.
#[test]
fn a_failed_block_gives_back_what_it_took_since_its_savepoint() {
    let yard = Yard::new();
    let (owner, other) = (yard.owner(), yard.owner());
    owner.says(&[
        ("BEGIN", "BEGIN"),
        ("SAVEPOINT s", "SAVEPOINT"),
        ("UPDATE notes SET words = 'lost' WHERE id = 'n1'", "UPDATE 1"),
    ]);
    for sql in [
        "SELECT pg_advisory_xact_lock(7)",
        "CREATE TEMPORARY TABLE t (n int)",
        "DECLARE c CURSOR FOR SELECT id FROM jobs",
    ] {
        assert_eq!(owner.code(sql), "00000", "{sql}");
    }
    let held = "SELECT kind, state FROM querygate.held WHERE login = 'olga' AND bytes IS NULL";
    assert_eq!(other.run(held).split("; ").count(), 4);
    assert_eq!(owner.run("SELECT 1/0"), "22012 division by zero");
    assert!(!other.run(held).contains(';'), "the transaction alone: {}", other.run(held));
    other.run("SET statement_timeout = '5s'");
    assert_eq!(other.code("SELECT pg_advisory_lock(7)"), "00000");
    assert_eq!(other.run("UPDATE notes SET words = 'theirs' WHERE id = 'n2'"), "UPDATE 1");
    assert_eq!(owner.code("SELECT 1"), "25P02");
    owner.says(&[
        ("ROLLBACK TO s", "ROLLBACK"),
        ("SELECT words FROM notes WHERE id = 'n2'", "theirs"),
        ("UPDATE notes SET words = 'mine' WHERE id = 'n1'", "UPDATE 1"),
        ("SELECT 1/0", "22012 division by zero"),
        ("ROLLBACK TO s", "ROLLBACK"),
        ("UPDATE notes SET words = 'last' WHERE id = 'n1'", "UPDATE 1"),
        ("COMMIT", "COMMIT"),
    ]);
    assert_eq!(words(&yard), ["last", "theirs"]);
}

/// What was changed before the savepoint may still be stored, and a level above READ COMMITTED keeps its moment: the writer stays.
#[test]
fn a_failed_block_keeps_what_it_may_go_on_with() {
    let yard = Yard::new();
    let (owner, other) = (yard.owner(), yard.owner());
    other.run("SET statement_timeout = '300ms'");
    let (begin, change) = ("BEGIN", "UPDATE notes SET words = 'kept' WHERE id = 'n1'");
    for steps in [[begin, change, "SAVEPOINT s"], ["BEGIN ISOLATION LEVEL SERIALIZABLE", "SAVEPOINT s", change]] {
        for sql in steps {
            assert_eq!(owner.code(sql), "00000", "{sql}");
        }
        assert_eq!(owner.code("INSERT INTO notes (id) VALUES ('n1')"), "23505");
        assert_eq!(other.code("UPDATE notes SET words = 'theirs' WHERE id = 'n3'"), "57014");
        owner.says(&[("ROLLBACK TO s", "ROLLBACK"), ("COMMIT", "COMMIT")]);
        assert_eq!(words(&yard), ["kept", "cold"]);
    }
}

/// A source that undoes a whole transaction by itself leaves no savepoint to go back to: nothing else of it is kept either.
#[test]
fn what_cannot_go_back_to_its_savepoint_ends() {
    let yard = Yard::new();
    let (owner, other) = (yard.owner(), yard.owner());
    yard.store(
        "CREATE TRIGGER stop BEFORE UPDATE ON yard_notes WHEN NEW.words = 'stop' BEGIN SELECT RAISE(ROLLBACK, 'no'); END",
    );
    owner.says(&[
        ("BEGIN", "BEGIN"),
        ("UPDATE notes SET words = 'early' WHERE id = 'n1'", "UPDATE 1"),
        ("SAVEPOINT s", "SAVEPOINT"),
    ]);
    assert_eq!(owner.code("UPDATE notes SET words = 'stop' WHERE id = 'n2'"), "23514");
    other.run("SET statement_timeout = '5s'");
    assert_eq!(other.run("UPDATE notes SET words = 'theirs' WHERE id = 'n2'"), "UPDATE 1");
    assert_eq!(owner.code("ROLLBACK TO s"), "25P02");
    assert_eq!(owner.run("ROLLBACK"), "ROLLBACK");
    assert_eq!(words(&yard), ["hot", "theirs"]);
    assert_eq!(owner.run("UPDATE notes SET words = 'again' WHERE id = 'n1'"), "UPDATE 1");
}

/// A door's block (a text of several statements, a pipeline) is one transaction (PostgreSQL, "Multiple Statements in a Simple Query").
#[test]
fn a_block_of_a_door_is_stored_together() {
    let yard = Yard::new();
    let owner = yard.owner();
    block(&owner, |seat| {
        seat.says(&[
            ("UPDATE notes SET words = 'a' WHERE id = 'n1'", "UPDATE 1"),
            ("UPDATE notes SET words = 'b' WHERE id = 'n2'", "UPDATE 1"),
        ]);
    });
    assert_eq!(words(&yard), ["hot", "cold"], "not before its end");
    end(&owner).unwrap();
    assert_eq!(words(&yard), ["a", "b"]);
    block(&owner, |seat| {
        seat.says(&[
            ("UPDATE notes SET words = 'c' WHERE id = 'n1'", "UPDATE 1"),
            ("SELECT 1/0", "22012 division by zero"),
        ]);
    });
    end(&owner).unwrap();
    assert_eq!(words(&yard), ["a", "b"], "one of them failed");
}

/// BEGIN inside of a block takes what was changed before it into the transaction, which outlives the block.
#[test]
fn begin_inside_of_a_block_outlives_it() {
    let yard = Yard::new();
    let owner = yard.owner();
    block(&owner, |seat| {
        seat.says(&[("UPDATE notes SET words = 'a' WHERE id = 'n1'", "UPDATE 1"), ("BEGIN", "BEGIN")])
    });
    end(&owner).unwrap();
    assert_eq!(words(&yard), ["hot", "cold"]);
    owner.says(&[("UPDATE notes SET words = 'b' WHERE id = 'n2'", "UPDATE 1"), ("COMMIT", "COMMIT")]);
    assert_eq!(words(&yard), ["a", "b"]);
}

/// A right that was taken away while a transaction was open is not there when it is to be stored.
#[test]
fn a_transaction_is_stored_by_the_rights_of_its_end() {
    let yard = Yard::new();
    let clerk = yard.clerk();
    clerk.says(&[("BEGIN", "BEGIN"), ("UPDATE jobs SET title = 'x' WHERE id = 'j1'", "UPDATE 1")]);
    yard.replace(|mut stack| {
        stack["permissions"][1]["objects"]["yard_jobs"]["allowEdit"] = false.into();
        stack
    });
    assert_eq!(clerk.code("COMMIT"), "42501");
    assert_eq!(yard.stored("title", "FROM yard_jobs WHERE id = 'j1'"), ["roof"]);
    assert_eq!(clerk.run("ROLLBACK"), "ROLLBACK");
}

/// A session that is closed in a transaction leaves nothing of it, and no lock.
#[test]
fn a_closed_session_leaves_nothing() {
    let yard = Yard::new();
    let owner = yard.owner();
    owner.says(&[("BEGIN", "BEGIN"), ("UPDATE notes SET words = 'x'", "UPDATE 3")]);
    let session = Arc::clone(&owner.session);
    on_runtime(async move { session.close().await });
    assert_eq!(words(&yard), ["hot", "cold"]);
    assert_eq!(yard.owner().run("UPDATE notes SET words = 'y' WHERE id = 'n1'"), "UPDATE 1");
}

/// PostgreSQL warns of an end without a beginning, and of a second beginning; nothing else happens.
#[test]
fn ends_without_a_beginning_are_notices() {
    let owner = Yard::new().owner();
    owner.says(&[("COMMIT", "COMMIT"), ("ROLLBACK", "ROLLBACK"), ("BEGIN", "BEGIN"), ("BEGIN", "BEGIN")]);
    let notices = owner.notices();
    let codes: Vec<&str> = notices.iter().map(|notice| &notice[..5]).collect();
    assert_eq!(codes, ["25P01", "25P01", "25001"], "{notices:?}");
}
