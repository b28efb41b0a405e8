//! Records of ObjectStack's own objects, as far as the gate knows them: users, positions, permission sets, keys. The held sets decide who
//! reads them. A reader who does not see all records of an object sees the own ones.

use super::{GatePlatform, Resolved};
use querygate_metadata::model::ObjectPermission;
use querygate_query_api::requests::platform::{NewKey, OwnRecords};
use querygate_types::principal::Principal;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Objects of ObjectStack's platform, which its metadata does not describe.
const OBJECTS: [&str; 45] = [
    "sys_account",
    "sys_api_key",
    "sys_attachment",
    "sys_audit_log",
    "sys_automation_run",
    "sys_business_unit",
    "sys_business_unit_member",
    "sys_capability",
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
    "sys_oauth_consent",
    "sys_oauth_refresh_token",
    "sys_organization",
    "sys_permission_set",
    "sys_position",
    "sys_position_permission_set",
    "sys_record_share",
    "sys_saved_report",
    "sys_secret",
    "sys_session",
    "sys_setting",
    "sys_share_link",
    "sys_sharing_rule",
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

/// How much of an object a principal reads.
enum Reach {
    Nothing,
    Own,
    Everything,
}

fn reach(resolved: &Resolved, object: &str) -> Reach {
    let policies = &resolved.deployment.policies;
    let sets = resolved.principal.permission_sets.iter().filter_map(|name| policies.permission_set(name));
    let sees_all = |right: &ObjectPermission| right.view_all_records || right.modify_all_records;
    let reach = |own: Option<&ObjectPermission>, all: Option<&ObjectPermission>| match (own, all) {
        (Some(right), _) if sees_all(right) => Reach::Everything,
        (Some(right), _) if right.allow_read => Reach::Own,
        // A right on all objects reaches the platform's own where it is one to all records.
        (None, Some(right)) if sees_all(right) => Reach::Everything,
        (Some(_) | None, _) => Reach::Nothing,
    };
    sets.map(|set| reach(set.objects.get(object), set.objects.get("*"))).fold(Reach::Nothing, |widest, one| {
        match (widest, one) {
            (Reach::Everything, _) | (_, Reach::Everything) => Reach::Everything,
            (Reach::Own, _) | (_, Reach::Own) => Reach::Own,
            (Reach::Nothing, Reach::Nothing) => Reach::Nothing,
        }
    })
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
    /// Records of one of ObjectStack's own objects, for a principal; `None` of another object.
    pub(super) fn own(&self, principal: &Principal, object: &str) -> Option<OwnRecords> {
        if !OBJECTS.contains(&object) {
            return None;
        }
        let resolved = Resolved::of(self.engine.deployment(), principal);
        if resolved.deployment.snapshot.object(object).is_some() {
            return None;
        }
        let sees_all = match reach(&resolved, object) {
            Reach::Nothing => return Some(OwnRecords::Denied),
            Reach::Own => false,
            Reach::Everything => true,
        };
        let me = resolved.principal.user_id.as_str();
        Some(match object {
            "sys_user" => OwnRecords::Kept(self.users_of(&resolved, |id| sees_all || id == me)),
            "sys_api_key" => self.keys_of(|id| sees_all || id == me),
            // Who may read these at all reads the whole list: they are names.
            "sys_position" => OwnRecords::Kept(self.positions(&resolved)),
            "sys_permission_set" => OwnRecords::Kept(permission_sets(&resolved)),
            _ => OwnRecords::Unkept,
        })
    }

    fn users_of(&self, resolved: &Resolved, is_seen: impl Fn(&str) -> bool) -> Vec<Record> {
        let (users, facts) = (self.users.now(), &resolved.deployment.facts);
        let dates = self.documents(resolved.deployment.version);
        let mut seen: BTreeMap<&str, (Option<&str>, Option<&str>, Option<&str>)> = BTreeMap::new();
        for principal in users.principals() {
            seen.insert(&principal.user_id, (Some(&principal.login), principal.email.as_deref(), None));
        }
        for user in facts.users.values() {
            let known = seen.entry(&user.id).or_default();
            known.0 = user.name.as_deref().or(known.0);
            known.1 = user.email.as_deref().or(known.1);
            known.2 = user.manager_id.as_deref();
        }
        let seen = seen.into_iter().filter(|(id, _)| is_seen(id));
        seen.map(|(id, (name, email, manager))| {
            let (created, updated) = dates.dates_of(id);
            record(json!({
                "id": id, "created_at": created, "updated_at": updated, "name": name, "email": email, "manager_id": manager,
            }))
        })
        .collect()
    }

    fn keys_of(&self, is_seen: impl Fn(&str) -> bool) -> OwnRecords {
        let Some(keys) = &self.keys else { return OwnRecords::Unkept };
        let users = self.users.now();
        let Ok(keys) = keys.list().inspect_err(|error| tracing::error!(%error, "API keys are not listed")) else {
            return OwnRecords::Unkept;
        };
        let own = |key: NewKey| -> Option<Record> {
            let NewKey { id, name, login, prefix, created_ms, expires_ms, .. } = key;
            let user_id = users.user(&login)?.principal().user_id.clone();
            let shown = json!({
                "id": id, "name": name, "prefix": prefix, "user_id": user_id, "revoked": false,
                "created_at": instant(created_ms), "expires_at": expires_ms.and_then(instant),
            });
            is_seen(&user_id).then(|| record(shown))
        };
        OwnRecords::Kept(keys.into_iter().filter_map(own).collect())
    }

    fn positions(&self, resolved: &Resolved) -> Vec<Record> {
        let declared = self.documents(resolved.deployment.version).items("position");
        let mut positions: BTreeMap<String, Value> =
            POSITIONS.iter().map(|(name, label)| ((*name).to_owned(), json!(label))).collect();
        positions.extend(declared.into_iter().map(|(name, item)| {
            let label = item.get("label").cloned().unwrap_or_else(|| json!(name));
            (name, label)
        }));
        positions.into_iter().map(|(name, label)| record(json!({"id": name, "name": name, "label": label}))).collect()
    }
}

fn permission_sets(resolved: &Resolved) -> Vec<Record> {
    let sets = resolved.deployment.snapshot.permission_sets.values();
    sets.map(|set| record(json!({"id": set.name, "name": set.name, "label": set.label}))).collect()
}
