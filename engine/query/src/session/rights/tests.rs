//! Tests of rights in an open transaction: its version of the metadata stays, no right that was taken away does.

use crate::testing::Yard;

fn without_reading(yard: &Yard) {
    yard.replace(|mut stack| {
        stack["permissions"][1]["objects"].as_object_mut().unwrap().remove("yard_jobs");
        stack
    });
}

#[test]
fn a_right_that_was_taken_away_ends_the_transaction() {
    let yard = Yard::new();
    let clerk = yard.clerk();
    clerk.says(&[("BEGIN", "BEGIN"), ("SELECT count(*) FROM jobs", "2")]);
    without_reading(&yard);
    for (sql, code) in
        [("SELECT count(*) FROM notes", "42501"), ("SELECT count(*) FROM jobs", "25P02"), ("SHOW search_path", "25P02")]
    {
        assert_eq!(clerk.code(sql), code, "{sql}");
    }
    clerk.says(&[("ROLLBACK", "ROLLBACK"), ("SELECT count(*) FROM jobs", "42P01 relation \"jobs\" does not exist")]);
}

/// A version that takes no right away leaves the transaction what it saw.
#[test]
fn a_transaction_keeps_its_version() {
    let yard = Yard::new();
    let clerk = yard.clerk();
    clerk.says(&[("BEGIN", "BEGIN"), ("SELECT count(*) FROM jobs", "2")]);
    let pinned = clerk.session.snapshot_version();
    yard.replace(|mut stack| {
        stack["objects"][3]["fields"]["words"]["label"] = "Other words".into();
        stack
    });
    clerk.says(&[("SELECT count(*) FROM jobs", "2"), ("COMMIT", "COMMIT")]);
    assert_eq!(clerk.session.snapshot_version(), pinned + 1);
}

/// Outside of a transaction every statement sees the rights of its beginning.
#[test]
fn a_session_has_the_rights_of_now() {
    let yard = Yard::new();
    let clerk = yard.clerk();
    assert_eq!(clerk.run("SELECT count(*) FROM jobs"), "2");
    without_reading(&yard);
    assert_eq!(clerk.code("SELECT count(*) FROM jobs"), "42P01");
}

/// Native texts show how policies are made: to operators and to the local shell alone.
#[test]
fn native_texts_are_for_operators() {
    use querygate_query_api::service::Door;
    use querygate_types::principal::Principal;
    let yard = Yard::new();
    let builder = || Principal::builder("carl").permission_set("yard_clerk");
    let explain = "EXPLAIN UPDATE jobs SET title = 'x' WHERE region = 'eu'";
    for (principal, door, shown) in [
        (builder().build(), Door::Postgres, false),
        (builder().build(), Door::Http, false),
        (builder().operator(true).build(), Door::Postgres, true),
        (builder().build(), Door::Shell, true),
    ] {
        let answer = yard.open(principal, door, &[]).unwrap().run(explain);
        assert_eq!(answer.contains("Native change"), shown, "{door:?}: {answer}");
    }
}

/// The rights of a login may be others the next time, and those of before again: what was bound in between is not in the way.
#[test]
fn statements_are_bound_for_the_rights_of_their_session() {
    let yard = Yard::new();
    let sql = "UPDATE jobs SET title = title || '!' WHERE region = 'eu' AND id = 'j1'";
    for set in ["yard_owner", "yard_clerk", "yard_owner", "yard_clerk"] {
        assert_eq!(yard.seat("olga", set).run(sql), "UPDATE 1", "{set}");
    }
    assert_eq!(yard.seat("olga", "yard_reader").code(sql), "42501");
    assert_eq!(yard.stored("title", "FROM yard_jobs WHERE id = 'j1'"), ["roof!!!!"]);
}
