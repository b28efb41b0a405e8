//! Tests of EXPLAIN of a change: what it would do, without a value of the statement and without a name that is hidden.

use crate::testing::Yard;

/// The lines that say what is changed, one after the other.
fn lines(answer: &str) -> Vec<&str> {
    answer.split("; ").map(str::trim).take_while(|line| *line != "Find:").collect()
}

#[test]
fn a_change_is_shown_by_its_steps() {
    let yard = Yard::new();
    let clerk = yard.clerk();
    let shown = clerk.run("EXPLAIN UPDATE jobs SET title = 'my title', hours = 4 WHERE region = 'my region'");
    for part in [
        "Update on jobs",
        "Assigned: title, hours",
        "Locked by: id",
        "Target: row policies",
        "Check: row policies",
        "1 validation",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let insert = clerk.run("EXPLAIN INSERT INTO notes (id, words) VALUES ('my id', 'x')");
    assert!(lines(&insert)[0].starts_with("Insert on notes") && !insert.contains("Locked by"), "{insert}");
    let delete = clerk.run("EXPLAIN DELETE FROM notes WHERE id = 'my id'");
    assert!(lines(&delete)[0].starts_with("Delete on notes") && !delete.contains("Check:"), "{delete}");
    for answer in [shown, insert, delete] {
        assert!(!answer.contains("secret") && !answer.contains("'eu'"), "{answer}");
        assert!(!lines(&answer).join(" ").contains("my "), "no value of the statement: {answer}");
    }
}

/// EXPLAIN changes nothing, and is refused where the change would be.
#[test]
fn explain_changes_nothing() {
    let yard = Yard::new();
    let (owner, before) = (yard.owner(), yard.all());
    for sql in ["UPDATE jobs SET title = 'x'", "DELETE FROM notes", "INSERT INTO notes (id) VALUES ('x')"] {
        assert!(!owner.run(&format!("EXPLAIN {sql}")).starts_with(char::is_numeric), "{sql}");
        assert!(!owner.run(&format!("EXPLAIN (FORMAT JSON) {sql}")).starts_with(char::is_numeric), "{sql}");
    }
    assert_eq!(yard.all(), before);
    yard.refuses(
        &yard.reader(),
        &[("EXPLAIN UPDATE jobs SET title = 'x'", "42501"), ("EXPLAIN DELETE FROM notes", "42501")],
    );
    yard.refuses(
        &owner,
        &[
            ("EXPLAIN ANALYZE DELETE FROM notes", "0A000"),
            ("EXPLAIN UPDATE jobs SET nothing = 1", "42703"),
            ("EXPLAIN UPDATE jobs SET fixed = 'x'", "428C9"),
        ],
    );
}

/// A parameter has its type in EXPLAIN, too, and no value is shown.
#[test]
fn explain_takes_parameters() {
    let yard = Yard::new();
    let owner = yard.owner();
    let prepared = owner.prepare("EXPLAIN UPDATE jobs SET title = $1 WHERE hours = $2").unwrap();
    let names: Vec<&str> = prepared.parameter_types().iter().map(|own| own.name()).collect();
    assert_eq!(names, ["text", "float8"]);
    let shown = owner.execute(&prepared, &[Some("my title"), Some("4711")]);
    let change = lines(&shown).join(" ");
    assert!(change.contains("Update on jobs") && !change.contains("my title") && !change.contains("4711"), "{shown}");
}
