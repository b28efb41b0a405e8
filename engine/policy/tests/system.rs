//! What the platform may do on behalf of a user, and what it may not.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests panic")]

mod stacks;
mod support;

use querygate_metadata::model::TenancyPosture;
use querygate_types::principal::{Principal, Scope, ScopedOperation};
use serde_json::{Value, json};
use stacks::{policy, rows, set, stack, world};
use support::World;

/// A user without any right, whom a policy would show nothing.
fn nothing() -> Value {
    let policies = json!([policy("t_write", "all", "title == 'nothing'")]);
    json!([set(
        "none",
        json!({"objects": {}, "rowLevelSecurity": policies,
        "fields": {"t_write.title": {"readable": false, "editable": false}}})
    )])
}

#[test]
fn the_platform_has_no_bounds_of_its_user() {
    let mut world = world(nothing());
    for object in ["t_write", "t_private", "t_guarded", "t_secluded"] {
        assert_eq!(world.visible("ada", &["none"], object), "denied", "{object}");
    }
    assert_eq!(world.write("ada", &["none"], "t_write", "edit", "b", json!({"title": "z"})), "PERMISSION_DENIED");
    world.is_system = true;
    for object in ["t_write", "t_private", "t_guarded", "t_secluded"] {
        assert_eq!(world.visible("ada", &["none"], object), "a b n", "{object}");
    }
    let decision = world.decision("ada", &["none"], "t_write");
    // Not even the platform shows a password, and what is internal is shown by no question.
    let names = |names: Vec<&String>| names.into_iter().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(names(decision.hidden_fields().iter().collect()), "trace");
    assert_eq!(names(decision.masks().keys().collect()), "pin");
    for change in ["create", "edit", "delete"] {
        let payload = if change == "delete" { json!({}) } else { json!({"title": "z", "owner_id": "bo"}) };
        assert_eq!(world.write("ada", &["none"], "t_private", change, "b", payload), "ok", "{change}");
    }
    assert_eq!(world.visible("ada", &["none"], "t_nothing_there"), "denied");
}

#[test]
fn the_platform_stays_within_the_wall_of_its_user() {
    for (posture, organization, visible) in [
        (TenancyPosture::Isolated, Some("o1"), "a"),
        (TenancyPosture::Isolated, None, ""),
        (TenancyPosture::Group, Some("o2"), "b"),
        (TenancyPosture::Group, None, ""),
    ] {
        let mut world = World::new(&stack(nothing(), json!([])), posture, rows());
        world.organization = organization.map(str::to_owned);
        world.is_system = true;
        assert_eq!(world.visible("ada", &["none"], "t_write"), visible, "{posture:?} {organization:?}");
    }
    let mut world = World::new(&stack(nothing(), json!([])), TenancyPosture::Isolated, rows());
    (world.organization, world.is_system) = (Some("o1".to_owned()), true);
    for (change, row, patch, expected) in [
        ("create", "", json!({"title": "z"}), "ok"),
        ("create", "", json!({"organization_id": "o2"}), "PERMISSION_DENIED"),
        ("edit", "a", json!({"organization_id": "o2"}), "PERMISSION_DENIED"),
        ("edit", "b", json!({"title": "z"}), "PERMISSION_DENIED"),
        ("delete", "b", json!({}), "PERMISSION_DENIED"),
    ] {
        assert_eq!(world.write("ada", &["none"], "t_write", change, row, patch), expected, "{change} {row}");
    }
}

#[test]
fn the_platform_and_its_user_are_not_taken_for_each_other() {
    let scope = Scope::parse(["orders:read"]).unwrap();
    let user = Principal::builder("ada").operator(true).build();
    let narrowed = user.clone().narrowed(scope);
    for user in [user, narrowed] {
        let system = user.as_system();
        assert_ne!(system, user);
        assert_ne!(format!("{system:?}"), format!("{user:?}"), "tokens are made of it");
        assert!(system.is_system() && !system.operator && !user.is_system());
        assert!(system.in_scope("anything", ScopedOperation::Delete));
        assert_eq!(system.as_system(), system);
        let again = system.as_user();
        assert_eq!((again.is_system(), &again.scope, &again.login), (false, &user.scope, &user.login));
    }
}
