//! Rules that cannot be applied: which are told, and of which objects.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests panic")]

mod stacks;
mod support;

use serde_json::{Value, json};
use stacks::{all, policy, set, stack, world};
use support::World;

#[test]
fn rules_that_cannot_be_applied_are_told_and_refuse() {
    let set = |policies: Value| json!([set("s1", json!({"objects": {"*": all()}, "rowLevelSecurity": policies}))]);
    let unusable =
        |world: &World, object: &str| world.decision("ada", &["s1"], object).unusable_rule().map(str::to_owned);
    for (policies, expected) in [
        (json!([policy("t_read", "select", "titel == 'x'")]), Some("t_read_select_12")),
        (json!([policy("t_read", "select", "current_user.positions == title")]), Some("t_read_select_31")),
        (json!([policy("t_read", "select", "title in current_user.email")]), Some("t_read_select_27")),
        // One that can be applied decides; a value that only this user lacks leaves no rows; a write policy bounds no read.
        (json!([policy("t_read", "select", "titel == 'x'"), policy("t_read", "select", "level == 1")]), None),
        (json!([policy("t_read", "select", "title == current_user.town")]), None),
        (json!([policy("t_read", "update", "titel == 'x'")]), None),
        // A policy for everything drops out where its column is not, unless there is no such place.
        (json!([policy("*", "select", "about == 'x'")]), None),
        (json!([policy("*", "select", "abuot == 'x'")]), Some("any_select_12")),
    ] {
        let world = world(set(policies.clone()));
        assert_eq!(unusable(&world, "t_read").as_deref(), expected, "{policies}");
    }
    // A stored set in place of the stack's is no set of the platform.
    let stored = json!({"name": "s1", "object_permissions": {"t_read": all()},
        "row_level_security": [policy("t_read", "select", "titel == 'x'")]});
    let stored = querygate_metadata::load::permission_sets_from_rows([stored.as_object().unwrap()]).unwrap();
    let snapshot = support::snapshot(&stack(set(json!([])), json!([])));
    let unusable_rules = querygate_policy::CompiledPolicy::compile(snapshot, stored).unusable();
    assert!(unusable_rules.iter().any(|rule| rule.rule == "t_read_select_12"), "{unusable_rules:?}");
    let broken = world(set(json!([policy("t_private", "select", "titel == 'x'")])));
    assert_eq!(
        unusable(&broken, "t_line").as_deref(),
        Some("t_private_select_12"),
        "details of what cannot be decided"
    );
    for (object, expected) in [
        ("t_line", None),
        ("t_loop", Some("controlled_by_parent")),
        ("t_twice", Some("controlled_by_parent")),
        ("t_orphan", Some("controlled_by_parent")),
    ] {
        assert_eq!(unusable(&world(set(json!([]))), object).as_deref(), expected, "{object}");
    }
}
