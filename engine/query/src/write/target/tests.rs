//! Tests of targets: who may change what, columns that take no value, and changes that are used again.

use crate::testing::Yard;

/// A principal changes an object only with the grant of its operation (ObjectStack: `allowCreate`, `allowEdit`, `allowDelete`).
#[test]
fn each_operation_wants_its_own_grant() {
    let yard = Yard::new();
    yard.refuses(
        &yard.reader(),
        &[
            ("INSERT INTO jobs (id, title) VALUES ('x', 'y')", "42501"),
            ("UPDATE jobs SET title = 'x'", "42501"),
            ("DELETE FROM jobs", "42501"),
            ("DELETE FROM jobs WHERE false", "42501"),
            ("EXPLAIN DELETE FROM jobs", "42501"),
        ],
    );
    // It may add tokens, and neither change nor delete them.
    yard.refuses(
        &yard.clerk(),
        &[
            ("UPDATE tokens SET words = 'x'", "42501"),
            ("DELETE FROM tokens", "42501"),
            ("UPDATE crews SET name = 'x'", "42501"),
        ],
    );
    assert_eq!(yard.clerk().run("INSERT INTO tokens (id, words) VALUES ('t8', 'a')"), "INSERT 0 1");
}

/// ObjectStack: formulas have no column (0A000), numbers and roll-ups are the platform's (428C9), read-only fields drop what callers give.
#[test]
fn computed_fields_take_no_value() {
    let yard = Yard::new();
    yard.refuses(
        &yard.owner(),
        &[
            ("UPDATE jobs SET double = 4", "428C9"),
            ("INSERT INTO tokens (id, number) VALUES ('x', 'T-100')", "428C9"),
            ("UPDATE tokens SET number = 'T-100'", "428C9"),
            ("UPDATE crews SET hours = 100", "428C9"),
            ("INSERT INTO crews (id, name, jobs) VALUES ('x', 'y', 3)", "428C9"),
            ("UPDATE jobs SET fixed = 'x'", "428C9"),
        ],
    );
}

/// A prepared change is decided once and runs for other values; each run sees its own, and what others stored meanwhile.
#[test]
fn a_prepared_change_runs_for_other_values() {
    let yard = Yard::new();
    let owner = yard.owner();
    let update = owner.prepare("UPDATE jobs SET title = $1 WHERE id = $2").unwrap();
    for (title, id) in [("one", "j1"), ("two", "j2"), ("three", "j1")] {
        assert_eq!(owner.execute(&update, &[Some(title), Some(id)]), "UPDATE 1");
    }
    assert_eq!(owner.execute(&update, &[Some("x"), Some("none")]), "UPDATE 0");
    assert_eq!(owner.execute(&update, &[Some("x"), None]), "UPDATE 0");
    let refused = owner.execute(&update, &[Some("much too long a title"), Some("j1")]);
    assert_eq!(refused, "22001 Title must be ≤ 12 characters (got 21)");
    assert_eq!(yard.stored("id, title", "FROM yard_jobs ORDER BY id"), ["j1|three", "j2|two", "j3|door"]);
}

/// A change that was decided before ends with the right: it is decided anew where the version of the metadata is another one.
#[test]
fn a_prepared_change_ends_with_the_right_to_it() {
    let yard = Yard::new();
    let clerk = yard.clerk();
    let update = clerk.prepare("UPDATE jobs SET title = $1 WHERE id = $2").unwrap();
    assert_eq!(clerk.execute(&update, &[Some("a"), Some("j1")]), "UPDATE 1");
    yard.replace(|mut stack| {
        stack["permissions"][1]["objects"]["yard_jobs"]["allowEdit"] = false.into();
        stack
    });
    let refused = clerk.execute(&update, &[Some("b"), Some("j1")]);
    assert!(refused.starts_with("42501 "), "{refused}");
    assert_eq!(yard.stored("title", "FROM yard_jobs WHERE id = 'j1'"), ["a"]);
}

/// A prepared change is judged by the policies of the version it runs in.
#[test]
fn a_prepared_change_meets_policies_of_now() {
    let yard = Yard::new();
    let clerk = yard.clerk();
    let update = clerk.prepare("UPDATE jobs SET hours = $1 WHERE id = $2").unwrap();
    assert_eq!(clerk.execute(&update, &[Some("1"), Some("j1")]), "UPDATE 1");
    yard.replace(|mut stack| {
        stack["permissions"][1]["rowLevelSecurity"][0]["using"] = "region == 'us'".into();
        stack["permissions"][1]["rowLevelSecurity"][0]["check"] = "region == 'us'".into();
        stack
    });
    assert_eq!(clerk.execute(&update, &[Some("2"), Some("j1")]), "UPDATE 0");
    assert_eq!(clerk.execute(&update, &[Some("2"), Some("j2")]), "UPDATE 1");
    assert_eq!(yard.stored("id, hours", "FROM yard_jobs WHERE hours IS NOT NULL ORDER BY id"), ["j1|1.0", "j2|2.0"]);
}
