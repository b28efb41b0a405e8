//! What is read of ObjectStack's own objects: by right, within the scope of a key, within the tenant wall, without hidden fields.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests panic")]

mod stacks;
mod support;

use querygate_metadata::model::TenancyPosture;
use querygate_policy::platform::PlatformReach;
use serde_json::{Value, json};
use stacks::{policy, rows, set, stack, world};
use support::World;

fn sets() -> Value {
    let sees = json!({"allowRead": true, "viewAllRecords": true});
    let owned = json!([policy("sys_position", "select", "name == 'boss'"), policy("sys_user", "select", "id == 'bo'")]);
    json!([
        set("reads", json!({"objects": {"sys_user": {"allowRead": true}}})),
        set("sees", json!({"objects": {"sys_user": sees, "sys_position": sees}})),
        set("sees_everything", json!({"objects": {"*": sees}})),
        set(
            "without_mail",
            json!({"objects": {"sys_user": sees}, "fields": {"sys_user.email": {"readable": false, "editable": false}}})
        ),
        set("with_mail", json!({"objects": {}, "fields": {"sys_user.email": {"readable": true, "editable": false}}})),
        set("bound", json!({"objects": {"sys_user": sees, "sys_position": sees}, "rowLevelSecurity": owned})),
        set("bound_reader", json!({"objects": {"sys_user": {"allowRead": true}}, "rowLevelSecurity": owned})),
    ])
}

#[test]
fn rights_say_how_far_a_reader_reaches() {
    let world = world(sets());
    let reach = |sets: &[&str], object: &str| world.platform("ada", sets, object, None).reach;
    assert_eq!(reach(&["reads"], "sys_user"), PlatformReach::Own);
    assert_eq!(reach(&["reads"], "sys_position"), PlatformReach::Nothing);
    assert_eq!(reach(&["reads", "sees"], "sys_user"), PlatformReach::Everything);
    assert_eq!(reach(&["sees_everything"], "sys_api_key"), PlatformReach::Everything);
}

#[test]
fn a_key_that_is_good_for_other_objects_reads_none() {
    let world = world(sets());
    let reach = |scope| world.platform("ada", &["sees_everything"], "sys_user", Some(scope)).reach;
    assert_eq!(reach("t_write:read"), PlatformReach::Nothing);
    assert_eq!(reach("sys_user:read"), PlatformReach::Everything);
}

#[test]
fn a_field_that_no_set_opens_is_hidden() {
    let world = world(sets());
    let hidden =
        |sets: &[&str]| world.platform("ada", sets, "sys_user", None).hidden_fields.into_iter().collect::<Vec<_>>();
    assert_eq!(hidden(&["without_mail"]), ["email"]);
    assert!(hidden(&["without_mail", "with_mail"]).is_empty());
}

#[test]
fn a_row_policy_of_the_operators_refuses_what_cannot_be_judged() {
    let world = world(sets());
    let reach = |sets: &[&str], object: &str| world.platform("ada", sets, object, None).reach;
    assert_eq!(reach(&["bound"], "sys_position"), PlatformReach::Nothing);
    // A right to all users stands above it.
    assert_eq!(reach(&["bound"], "sys_user"), PlatformReach::Everything);
    assert_eq!(reach(&["bound_reader"], "sys_user"), PlatformReach::Nothing);
}

#[test]
fn the_tenant_wall_stands_before_every_grant() {
    for (posture, expected) in [
        (TenancyPosture::Single, PlatformReach::Everything),
        (TenancyPosture::Isolated, PlatformReach::Organization),
        (TenancyPosture::Group, PlatformReach::Organization),
    ] {
        let mut world = World::new(&stack(sets(), json!([])), posture, rows());
        world.organization = Some("o1".to_owned());
        assert_eq!(world.platform("ada", &["sees_everything"], "sys_user", None).reach, expected, "{posture:?}");
    }
}
