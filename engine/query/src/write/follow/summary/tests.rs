//! Tests of roll-ups: they are those of the records that are stored, after every change of one (ObjectStack, `summary`).

use crate::testing::Yard;

fn crews(yard: &Yard) -> Vec<String> {
    yard.stored("id, jobs, hours", "FROM yard_crews ORDER BY id")
}

/// Nulls are skipped by a sum and counted by a count.
#[test]
fn a_roll_up_follows_each_change_of_its_records() {
    let yard = Yard::new();
    let owner = yard.owner();
    for (sql, expected) in [
        ("UPDATE jobs SET hours = 6 WHERE id = 'j1'", ["c1|2.0|9.0", "c2|1.0|0.0"]),
        (
            "INSERT INTO jobs (id, title, crew, hours) VALUES ('j8', 'a', 'c2', 2), ('j9', 'b', 'c2', NULL)",
            ["c1|2.0|9.0", "c2|3.0|2.0"],
        ),
        ("UPDATE jobs SET crew = 'c2' WHERE id = 'j1'", ["c1|1.0|3.0", "c2|4.0|8.0"]),
        ("UPDATE jobs SET hours = NULL WHERE id = 'j8'", ["c1|1.0|3.0", "c2|4.0|6.0"]),
        ("UPDATE jobs SET crew = NULL WHERE id = 'j1'", ["c1|1.0|3.0", "c2|3.0|0.0"]),
        ("DELETE FROM jobs WHERE id IN ('j8', 'j9')", ["c1|1.0|3.0", "c2|1.0|0.0"]),
        ("UPDATE jobs SET title = 'z'", ["c1|1.0|3.0", "c2|1.0|0.0"]),
    ] {
        assert!(!owner.run(sql).starts_with(char::is_numeric), "{sql}");
        assert_eq!(crews(&yard), expected, "{sql}");
    }
}

/// The rules of the master hold for its roll-ups: a change that breaks one is refused, in words that say nothing of the master.
#[test]
fn a_rule_of_the_master_refuses_the_change() {
    let yard = Yard::new();
    let owner = yard.owner();
    let many = "INSERT INTO jobs (id, title, crew) VALUES ('a', 'x', 'c1'), ('b', 'x', 'c1'), ('c', 'x', 'c1')";
    yard.refuses(&owner, &[(many, "23514")]);
    let message = owner.run(many);
    assert!(!message.contains("four"), "{message}");
    // The clerk, who may not change crews, moves their roll-ups like anybody.
    assert_eq!(yard.clerk().run("UPDATE jobs SET hours = 1 WHERE id = 'j1'"), "UPDATE 1");
    assert_eq!(crews(&yard), ["c1|2.0|4.0", "c2|1.0|0.0"]);
}

/// Rolled back with the change that moved them.
#[test]
fn a_roll_up_goes_with_its_transaction() {
    let yard = Yard::new();
    let (owner, before) = (yard.owner(), crews(&yard));
    owner.says(&[("BEGIN", "BEGIN"), ("UPDATE jobs SET hours = 50 WHERE id = 'j1'", "UPDATE 1")]);
    assert_eq!(owner.run("SELECT hours FROM crews WHERE id = 'c1'"), "53.0");
    assert_eq!(crews(&yard), before, "nothing is stored yet");
    owner.says(&[("ROLLBACK", "ROLLBACK"), ("SELECT hours FROM crews WHERE id = 'c1'", "8.0")]);
}
