//! Records of ObjectStack's own objects, as far as the gate knows them: users, positions, permission sets, keys. The policy decides who
//! reads them.

use super::{GatePlatform, Resolved};
use querygate_policy::platform::PlatformReach;
use querygate_query_api::requests::platform::{NewKey, OwnObject, OwnRecords};
use querygate_types::{Error, Result};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Objects of ObjectStack's platform, which its metadata does not describe.
const OBJECTS: [&str; 57] = [
    "sys_account",
    "sys_api_key",
    "sys_attachment",
    "sys_audit_log",
    "sys_automation_run",
    "sys_business_unit",
    "sys_business_unit_member",
    "sys_capability",
    "sys_comment",
    "sys_device_code",
    "sys_email",
    "sys_email_template",
    "sys_import_job",
    "sys_inbox_message",
    "sys_invitation",
    "sys_job",
    "sys_job_run",
    "sys_jwks",
    "sys_member",
    "sys_metadata",
    "sys_metadata_history",
    "sys_notification",
    "sys_notification_receipt",
    "sys_oauth_access_token",
    "sys_oauth_application",
    "sys_oauth_client_assertion",
    "sys_oauth_client_resource",
    "sys_oauth_consent",
    "sys_oauth_refresh_token",
    "sys_oauth_resource",
    "sys_organization",
    "sys_permission_set",
    "sys_position",
    "sys_position_permission_set",
    "sys_record_share",
    "sys_saved_report",
    "sys_scim_connection_binding",
    "sys_scim_group",
    "sys_scim_group_member",
    "sys_scim_identity_tombstone",
    "sys_scim_projection_grant",
    "sys_scim_subject",
    "sys_scim_user",
    "sys_secret",
    "sys_session",
    "sys_setting",
    "sys_share_link",
    "sys_sharing_rule",
    "sys_sso_provider",
    "sys_team",
    "sys_team_member",
    "sys_two_factor",
    "sys_user",
    "sys_user_permission_set",
    "sys_user_position",
    "sys_user_preference",
    "sys_verification",
];
/// Positions that the platform has without metadata.
const POSITIONS: [(&str, &str); 6] = [
    ("everyone", "Everyone"),
    ("guest", "Guest"),
    ("org_admin", "Organization Administrator"),
    ("org_member", "Organization Member"),
    ("org_owner", "Organization Owner"),
    ("platform_admin", "Platform Administrator"),
];

type Record = Map<String, Value>;

/// Fields of those that are kept.
const KEPT: [(&str, &[&str]); 4] = [
    ("sys_user", &["id", "created_at", "updated_at", "name", "email", "manager_id"]),
    ("sys_api_key", &["id", "name", "prefix", "user_id", "revoked", "created_at", "expires_at"]),
    ("sys_position", &["id", "name", "label"]),
    ("sys_permission_set", &["id", "name", "label"]),
];

/// Which users' records are wanted and seen.
struct Seen<'s> {
    reach: PlatformReach,
    resolved: &'s Resolved,
    ids: Option<&'s BTreeSet<&'s str>>,
}

impl Seen<'_> {
    /// Whether a record that belongs to a user is one of them; `id`: its own.
    fn has(&self, user: &str, id: &str) -> bool {
        let principal = &self.resolved.principal;
        let is_seen = match self.reach {
            PlatformReach::Nothing => false,
            PlatformReach::Own => user == principal.user_id,
            PlatformReach::Organization => user == principal.user_id || principal.org_user_ids.contains(user),
            PlatformReach::Everything => true,
        };
        is_seen && self.wants(id)
    }

    fn wants(&self, id: &str) -> bool {
        self.ids.is_none_or(|ids| ids.contains(id))
    }
}

/// What configuration and memberships say of one user.
#[derive(Debug, Default)]
struct UserRecord<'d> {
    name: Option<&'d str>,
    email: Option<&'d str>,
    manager: Option<&'d str>,
}

fn record(members: Value) -> Record {
    match members {
        Value::Object(members) => members,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Record::new(),
    }
}

/// When a moment was, as values of records are printed.
fn instant(millis: i64) -> Option<String> {
    let at = chrono::DateTime::from_timestamp_millis(millis)?;
    Some(at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
}

impl GatePlatform {
    /// What one of ObjectStack's own objects is to a principal; `None` of another object.
    pub(super) fn own(&self, resolved: &Resolved, object: &str) -> Option<OwnObject> {
        if !OBJECTS.contains(&object) || resolved.deployment.snapshot.object(object).is_some() {
            return None;
        }
        if resolved.evaluator().platform_read(object).reach == PlatformReach::Nothing {
            return Some(OwnObject::Denied);
        }
        let is_kept = KEPT.iter().any(|(name, _)| *name == object) && (object != "sys_api_key" || self.keys.is_some());
        Some(if is_kept { OwnObject::Kept } else { OwnObject::Unkept })
    }

    /// # Errors
    /// The file of keys cannot be read.
    pub(super) fn own_table(
        &self,
        resolved: &Resolved,
        object: &str,
        ids: Option<&BTreeSet<&str>>,
    ) -> Result<OwnRecords> {
        if self.own(resolved, object) != Some(OwnObject::Kept) {
            return Ok(OwnRecords::default());
        }
        let read = resolved.evaluator().platform_read(object);
        let fields = KEPT.iter().find(|(name, _)| *name == object).map_or(&[][..], |(_, fields)| fields);
        let fields: Vec<&str> = fields.iter().copied().filter(|name| !read.hidden_fields.contains(*name)).collect();
        let seen = Seen { reach: read.reach, resolved, ids };
        let mut records = match object {
            "sys_user" => self.users_of(&seen),
            "sys_api_key" => self.keys_of(&seen)?,
            // Who may read these at all reads the whole list: they are names.
            "sys_position" => self.positions(&seen),
            "sys_permission_set" => permission_sets(&seen),
            _ => return Err(Error::internal("an object is kept that has no records")),
        };
        for record in &mut records {
            record.retain(|name, _| fields.contains(&name.as_str()));
        }
        Ok(OwnRecords { fields, records })
    }

    fn users_of(&self, seen: &Seen<'_>) -> Vec<Record> {
        let (users, facts) = (self.users.now(), &seen.resolved.deployment.facts);
        let dates = self.documents(seen.resolved.deployment.version);
        let mut known: BTreeMap<&str, UserRecord<'_>> = BTreeMap::new();
        for principal in users.principals().filter(|principal| seen.has(&principal.user_id, &principal.user_id)) {
            let (name, email) = (Some(principal.login.as_str()), principal.email.as_deref());
            known.insert(&principal.user_id, UserRecord { name, email, manager: None });
        }
        for user in facts.users.values().filter(|user| seen.has(&user.id, &user.id)) {
            let record = known.entry(&user.id).or_default();
            record.name = user.name.as_deref().or(record.name);
            record.email = user.email.as_deref().or(record.email);
            record.manager = user.manager_id.as_deref();
        }
        let known = known.into_iter();
        known.map(|(id, UserRecord { name, email, manager })| {
            let (created, updated) = dates.dates_of(id);
            record(json!({
                "id": id, "created_at": created, "updated_at": updated, "name": name, "email": email, "manager_id": manager,
            }))
        })
        .collect()
    }

    fn keys_of(&self, seen: &Seen<'_>) -> Result<Vec<Record>> {
        let Some(keys) = &self.keys else { return Ok(Vec::new()) };
        let users = self.users.now();
        let own = |key: NewKey| -> Option<Record> {
            let NewKey { id, name, login, prefix, created_ms, expires_ms, .. } = key;
            let user_id = users.user(&login)?.principal().user_id.clone();
            let shown = json!({
                "id": id, "name": name, "prefix": prefix, "user_id": user_id, "revoked": false,
                "created_at": instant(created_ms), "expires_at": expires_ms.and_then(instant),
            });
            seen.has(&user_id, &id).then(|| record(shown))
        };
        Ok(keys.list()?.into_iter().filter_map(own).collect())
    }

    fn positions(&self, seen: &Seen<'_>) -> Vec<Record> {
        let declared = self.documents(seen.resolved.deployment.version).items("position");
        let mut positions: BTreeMap<String, Value> =
            POSITIONS.iter().map(|(name, label)| ((*name).to_owned(), json!(label))).collect();
        positions.extend(declared.into_iter().map(|(name, item)| {
            let label = item.get("label").cloned().unwrap_or_else(|| json!(name));
            (name, label)
        }));
        let positions = positions.into_iter().filter(|(name, _)| seen.wants(name));
        positions.map(|(name, label)| record(json!({"id": name, "name": name, "label": label}))).collect()
    }
}

fn permission_sets(seen: &Seen<'_>) -> Vec<Record> {
    let sets = seen.resolved.deployment.snapshot.permission_sets.values();
    sets.filter(|set| seen.wants(&set.name))
        .map(|set| record(json!({"id": set.name, "name": set.name, "label": set.label})))
        .collect()
}
