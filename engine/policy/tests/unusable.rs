//! Rules that cannot be applied: which are told, and of which objects.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests panic")]

mod stacks;
mod support;

use querygate_types::principal::{AttributeValue, Principal};
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

#[test]
fn comparisons_of_two_types_are_told_with_both() {
    let policies = json!([
        policy("t_read", "select", "title == 5 || !(title in ['a', 6.5])"),
        policy("t_note", "select", "level == '7' && title == 'x'"),
        policy("t_write", "select", "title == current_user.rank || level < current_user.town"),
        policy("*", "select", "about == 5"),
    ]);
    let own = set("s1", json!({"objects": {"*": all()}, "rowLevelSecurity": policies}));
    let snapshot = support::snapshot(&stack(json!([own]), json!([])));
    let compiled = querygate_policy::CompiledPolicy::compile(snapshot, Vec::new());
    let told = |user: Option<&Principal>| -> Vec<String> {
        let odd = compiled.odd_comparisons(user).into_iter();
        odd.map(|one| {
            let enforced = if one.is_enforced { "" } else { ", not enforced" };
            let (column, value) = (&one.column, &one.value);
            format!("{}.{column} ({}) and {value} ({}){enforced}", one.object, one.column_type, one.value_type)
        })
        .collect()
    };
    let mut written = told(None);
    written.sort_unstable();
    let expected = [
        "t_note.about (text) and 5 (number)",
        "t_read.title (text) and 5 (number)",
        "t_read.title (text) and 6.5 (number)",
    ];
    assert_eq!(written, expected);
    let user = |set: &str| {
        let town = AttributeValue::Text("west".to_owned());
        Principal::builder("ada")
            .permission_set(set)
            .attribute("rank", AttributeValue::Integer(3))
            .attribute("town", town)
            .build()
    };
    let mut of_user = told(Some(&user("s1")));
    of_user.sort_unstable();
    let expected = [
        "t_write.level (number) and current_user.town (text), not enforced",
        "t_write.title (text) and current_user.rank (number)",
    ];
    assert_eq!(of_user, expected);
    assert_eq!(told(Some(&user("s2"))), Vec::<String>::new(), "who does not hold the set");
}

#[test]
fn a_rule_names_its_set_and_whether_it_is_of_reads() {
    let policies = json!([policy("t_read", "select", "titel == 'x'"), policy("t_note", "update", "titel == 'x'")]);
    let snapshot = support::snapshot(&stack(json!([set("s1", json!({"rowLevelSecurity": policies}))]), json!([])));
    let told = querygate_policy::CompiledPolicy::compile(snapshot, Vec::new()).unusable();
    let of = |object: &str| {
        let rule = told.iter().find(|rule| rule.object == object).unwrap();
        (rule.set.as_deref(), rule.is_of_reads)
    };
    assert_eq!((of("t_read"), of("t_note")), ((Some("s1"), true), (Some("s1"), false)));
    assert_eq!(of("t_loop"), (None, true), "details without an end");
}
