//! Tests of deletes: what ObjectStack's `deleteBehavior` does with the records that refer to one that goes (reference, "Delete behaviour").

use crate::testing::Yard;

#[test]
fn details_go_with_their_master_and_lookups_are_emptied() {
    let yard = Yard::new();
    assert_eq!(yard.owner().run("DELETE FROM jobs WHERE id = 'j1'"), "DELETE 1");
    assert_eq!(yard.stored("id", "FROM yard_steps"), ["s3"]);
    assert_eq!(yard.stored("id, job", "FROM yard_notes ORDER BY id"), ["n1|NULL", "n2|j2", "n3|NULL"]);
}

/// `restrict`: the delete is refused, and what would have gone along stays.
#[test]
fn a_restricting_record_keeps_the_one_it_refers_to() {
    let yard = Yard::new();
    yard.refuses(
        &yard.owner(),
        &[
            ("DELETE FROM jobs WHERE id = 'j2'", "23503"),
            ("DELETE FROM jobs", "23503"),
            ("DELETE FROM crews WHERE id = 'c1'", "23503"),
        ],
    );
    // Without the bill the job goes.
    yard.owner().says(&[
        ("DELETE FROM bills", "DELETE 1"),
        ("DELETE FROM jobs", "DELETE 3"),
        ("DELETE FROM crews", "DELETE 2"),
    ]);
    assert!(yard.stored("id", "FROM yard_steps").is_empty());
}

/// The text of a refusal says neither which record refers to it nor whether the principal may read that one.
#[test]
fn a_restricted_delete_tells_nothing_of_the_record_that_restricts() {
    let yard = Yard::new();
    yard.replace(|mut stack| {
        stack["permissions"][1]["rowLevelSecurity"][0]["using"] = "region != 'x'".into();
        stack["permissions"][1]["rowLevelSecurity"][0]["check"] = "region != 'x'".into();
        stack
    });
    assert_eq!(yard.clerk().run("DELETE FROM jobs WHERE id = 'j2'"), "23503 a row is still referenced by others");
    assert_eq!(yard.owner().run("DELETE FROM jobs WHERE id = 'j2'"), "23503 a row is still referenced by others");
}

/// A cascade runs as the caller: a detail that it may not delete refuses the whole delete.
#[test]
fn a_cascade_wants_the_right_to_delete_details() {
    let yard = Yard::new();
    yard.replace(|mut stack| {
        stack["permissions"][1]["objects"]["yard_steps"]["allowDelete"] = false.into();
        stack
    });
    yard.refuses(&yard.clerk(), &[("DELETE FROM jobs WHERE id = 'j1'", "23503")]);
    assert_eq!(yard.clerk().run("DELETE FROM jobs WHERE id = 'j3'"), "DELETE 1", "it has no details");
}
