//! The platform's own permission sets of 17.4, as its runtime stores them. Grants nothing on a stack's objects except
//! through the `*` entries below.

use crate::model::{
    Dialect, Expression, Location, ObjectPermission, PLATFORM_SETS, PermissionSet, RowOperation, RowPolicy,
};
use indexmap::IndexMap;

const READ_ONLY: &[&str] = &[
    "sys_user",
    "sys_account",
    "sys_session",
    "sys_organization",
    "sys_member",
    "sys_invitation",
    "sys_team",
    "sys_team_member",
    "sys_api_key",
    "sys_two_factor",
    "sys_verification",
    "sys_jwks",
    "sys_device_code",
    "sys_scim_connection_binding",
    "sys_scim_group",
    "sys_scim_group_member",
    "sys_scim_identity_tombstone",
    "sys_scim_projection_grant",
    "sys_scim_subject",
    "sys_scim_user",
    "sys_sso_provider",
    "sys_oauth_application",
    "sys_oauth_access_token",
    "sys_oauth_refresh_token",
    "sys_oauth_consent",
    "sys_oauth_resource",
    "sys_oauth_client_resource",
    "sys_oauth_client_assertion",
];
const AUTHORIZATION: &[&str] = &[
    "sys_position",
    "sys_permission_set",
    "sys_position_permission_set",
    "sys_user_permission_set",
    "sys_user_position",
];

/// Rights by letter: c create, r read, e edit, d delete, v view all, m modify all.
fn rights(letters: &str) -> ObjectPermission {
    let has = |letter: char| letters.contains(letter);
    ObjectPermission {
        allow_create: has('c'),
        allow_read: has('r'),
        allow_edit: has('e'),
        allow_delete: has('d'),
        view_all_records: has('v'),
        modify_all_records: has('m'),
        ..ObjectPermission::default()
    }
}

type Objects<'a> = Vec<(&'a str, &'a str)>;
type Policy = (&'static str, &'static str, RowOperation, &'static str, &'static [&'static str]);

fn set(name: &str, label: &str, objects: &Objects<'_>, system: &[&str], policies: &[Policy]) -> PermissionSet {
    PermissionSet {
        name: name.to_owned(),
        label: label.to_owned(),
        description: None,
        is_default: false,
        objects: objects.iter().map(|(object, letters)| ((*object).to_owned(), rights(letters))).collect(),
        fields: IndexMap::new(),
        system_permissions: system.iter().map(|name| (*name).to_owned()).collect(),
        row_level_security: policies.iter().map(policy).collect(),
        package: None,
        location: Location::outside(PLATFORM_SETS),
    }
}

fn policy((name, object, operation, using, positions): &Policy) -> RowPolicy {
    let source = (*using).to_owned();
    RowPolicy {
        name: (*name).to_owned(),
        object: (*object).to_owned(),
        operation: *operation,
        using: Some(Expression { dialect: Dialect::Cel, source, location: Location::outside(PLATFORM_SETS) }),
        check: None,
        positions: positions.iter().map(|position| (*position).to_owned()).collect(),
        enabled: true,
    }
}

use RowOperation::{All, Delete, Select, Update};

const OWN_ID: &str = "id == current_user.id";
const OWN_USER: &str = "user_id == current_user.id";
const OWN_ORGANIZATION: &str = "organization_id == current_user.organization_id";

/// Policies that the member, viewer and administrator sets share; `All` becomes `Select` for viewers.
const SELF: &[Policy] = &[
    ("sys_organization_self", "sys_organization", All, "id == current_user.organization_id", &[]),
    ("sys_user_self", "sys_user", Select, OWN_ID, &[]),
    ("sys_user_org_members", "sys_user", Select, "id in current_user.org_user_ids", &[]),
    ("sys_session_self", "sys_session", All, OWN_USER, &[]),
    ("sys_account_self", "sys_account", Select, OWN_USER, &[]),
    ("sys_team_member_self", "sys_team_member", Select, OWN_USER, &[]),
    ("sys_two_factor_self", "sys_two_factor", All, OWN_USER, &[]),
    ("sys_user_preference_self", "sys_user_preference", All, OWN_USER, &[]),
    ("sys_api_key_self", "sys_api_key", All, OWN_USER, &[]),
    ("sys_device_code_self", "sys_device_code", All, OWN_USER, &[]),
    ("sys_oauth_access_token_self", "sys_oauth_access_token", Select, OWN_USER, &[]),
    ("sys_oauth_refresh_token_self", "sys_oauth_refresh_token", Select, OWN_USER, &[]),
    ("sys_oauth_consent_self", "sys_oauth_consent", All, OWN_USER, &[]),
];
const OWN_APPLICATIONS: Policy = ("sys_oauth_application_self", "sys_oauth_application", All, OWN_USER, &[]);
const OWN_INVITATION: Policy = ("sys_invitation_self", "sys_invitation", Select, "email == current_user.email", &[]);

const ADMINISTRATOR: &[Policy] = &[
    OWN_APPLICATIONS,
    ("sys_member_org", "sys_member", Select, OWN_ORGANIZATION, &[]),
    ("sys_invitation_org", "sys_invitation", Select, OWN_ORGANIZATION, &[]),
    ("sys_invitation_org_admin", "sys_invitation", Select, "id != null", &["org_owner", "org_admin"]),
    ("sys_team_org", "sys_team", Select, OWN_ORGANIZATION, &[]),
];

/// The write floor: only the creator changes a row, for members of an organization.
const FLOOR: &[Policy] = &[
    ("owner_only_writes", "*", Update, "created_by == current_user.id", &["org_member"]),
    ("owner_only_deletes", "*", Delete, "created_by == current_user.id", &["org_member"]),
];
const MEMBER: &[Policy] = &[
    OWN_APPLICATIONS,
    ("sys_inbox_message_self", "sys_inbox_message", Select, OWN_USER, &[]),
    ("sys_notification_receipt_self", "sys_notification_receipt", Select, OWN_USER, &[]),
    OWN_INVITATION,
    ("sys_invitation_issuer", "sys_invitation", Select, "inviter_id == current_user.id", &["delegated_admin"]),
    ("sys_comment_moderation", "sys_comment", Delete, "id != null", &["org_member"]),
];

fn read_only<'a>(lists: &[&[&'a str]]) -> Objects<'a> {
    lists.iter().flat_map(|list| list.iter()).map(|object| (*object, "r")).collect()
}

fn with_all<'a>(letters: &'a str, rest: Objects<'a>) -> Objects<'a> {
    std::iter::once(("*", letters)).chain(rest).collect()
}

pub(super) fn permission_sets() -> Vec<PermissionSet> {
    let administrator: Vec<Policy> = [SELF, ADMINISTRATOR].concat();
    let administered = [READ_ONLY, AUTHORIZATION];
    let organization = ["manage_org_users", "setup.access", "setup.write"];
    let platform = [
        "manage_users",
        "manage_metadata",
        "manage_platform_settings",
        "manage_sharing",
        "setup.access",
        "setup.write",
        "studio.access",
    ];
    let mut member_objects = read_only(&[READ_ONLY]);
    for (object, letters) in &mut member_objects {
        if matches!(*object, "sys_user" | "sys_api_key") {
            *letters = "re";
        }
    }
    member_objects.extend([
        ("sys_user_preference", "cre"),
        ("sys_inbox_message", "r"),
        ("sys_notification_receipt", "r"),
    ]);
    let mut member: Vec<Policy> = [FLOOR, SELF, MEMBER].concat();
    for policy in &mut member {
        if policy.0 == "sys_user_self" {
            policy.2 = All;
        }
    }
    let mut viewer: Vec<Policy> = [SELF, &[OWN_INVITATION]].concat();
    for policy in &mut viewer {
        policy.2 = Select;
    }
    vec![
        set("admin_full_access", "Administrator — Full Access", &vec![("*", "credvm")], &platform, &[]),
        set(
            "organization_admin",
            "Organization Administrator",
            &with_all("credvm", read_only(&administered)),
            &organization,
            &administrator,
        ),
        set(
            "organization_admin_no_bypass",
            "Organization Administrator (no record bypass)",
            &with_all("cred", read_only(&administered)),
            &organization,
            &administrator,
        ),
        set("member_default", "Member — Standard Access", &member_objects, &[], &member),
        set("viewer_readonly", "Viewer — Read-Only", &with_all("r", read_only(&[READ_ONLY])), &[], &viewer),
        set("mcp_agent_data_read", "MCP Agent — Read Only", &vec![("*", "r")], &[], &[]),
        set("mcp_agent_data_write", "MCP Agent — Read & Write", &with_all("cred", read_only(&[READ_ONLY])), &[], &[]),
        set("mcp_agent_restricted", "MCP Agent — No Data Access", &Vec::new(), &[], &[]),
    ]
}
