//! `[[users]]`: who may log in, how they prove it, and the principal they become. Knows no door.

use super::syntax::diagnostic::Diagnostic;
use super::syntax::table::{At, Table, a_type};
use crate::verifier;
use querygate_query_api::scram::ScramVerifier;
use querygate_query_api::tokens::TOKEN_USER;
use querygate_types::principal::{AttributeValue, Posture, Principal};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use toml::Spanned;
use toml::de::DeValue;

/// One user who may log in.
#[derive(Debug, Clone)]
pub(crate) struct User {
    pub(crate) name: String,
    /// `None`: known (for `sql`, `access` and as owner of rows) but cannot log in.
    pub(crate) verifier: Option<ScramVerifier>,
    /// Nothing lets this user in.
    pub(crate) disabled: bool,
    pub(crate) principal: Arc<Principal>,
    /// Permission sets and positions with their places in the file; for messages.
    pub(crate) sets_at: Vec<At<String>>,
    pub(crate) positions_at: Vec<At<String>>,
}

const POSTURES: &[(&str, Posture)] = &[
    ("platform_admin", Posture::PlatformAdmin),
    ("tenant_admin", Posture::TenantAdmin),
    ("member", Posture::Member),
    ("external", Posture::External),
];

/// The permission set that ObjectStack gives to platform administrators.
const ADMIN_SET: &str = "admin_full_access";

/// Reads one user. `None` after a mistake, which has been reported.
pub(super) fn resolve(table: Table<'_>) -> Option<(At<String>, User)> {
    let name = table.required("name");
    refuse_passwords(&table);
    let verifier = table.text("verifier");
    let verifier = match verifier.map(|text| (verifier::parse(&text.value), text.span)) {
        None => Some(None),
        Some((Ok(parsed), _)) => Some(Some(parsed)),
        Some((Err(why), span)) => {
            table.push(
                Diagnostic::error(Some(span), format!("`verifier` is not a SCRAM-SHA-256 verifier: {why}"))
                    .help("make one with `querygate user add NAME`"),
            );
            None
        }
    };
    let login = name.as_ref().map(|n| n.value.clone()).unwrap_or_default();
    if let Some(name) = name.as_ref().filter(|name| name.value == TOKEN_USER) {
        table.error(
            name.span.clone(),
            format!("\"{TOKEN_USER}\" stands for whoever a token says, and is no user's name"),
        );
    }
    let disabled = table.boolean("disabled").is_some_and(|disabled| disabled.value);
    let (sets_at, positions_at) = (table.texts("permission_sets"), table.texts("positions"));
    let principal = principal(&table, &login, (&sets_at, &positions_at));
    table.finish();
    let name = name?;
    let principal = Arc::new(principal?);
    Some((name, User { name: login, verifier: verifier?, disabled, principal, sets_at, positions_at }))
}

/// Plain passwords have no place in the file, under whatever name.
fn refuse_passwords(table: &Table<'_>) {
    for (key, span) in table.keys() {
        if matches!(key, "password" | "passwd" | "pass" | "secret") {
            table.push(
                Diagnostic::error(Some(span), "plain passwords are refused")
                    .help("run `querygate user add NAME`, which writes a SCRAM-SHA-256 verifier instead"),
            );
        }
    }
    // Asked for, so that the key is not reported a second time as unknown.
    for key in ["password", "passwd", "pass", "secret"] {
        if table.keys().any(|(name, _)| name == key) {
            let _ = table.text(key);
        }
    }
}

fn principal(table: &Table<'_>, login: &str, (sets, positions): (&[At<String>], &[At<String>])) -> Option<Principal> {
    let administrator = table.boolean("administrator");
    let posture = table.choice("posture", POSTURES);
    let is_administrator = administrator.as_ref().is_some_and(|a| a.value);
    if let (true, Some(posture)) = (is_administrator, &posture)
        && posture.value != Posture::PlatformAdmin
    {
        table.error(posture.span.clone(), "an administrator's posture is platform_admin");
        return None;
    }
    let operator = table.boolean("operator").is_some_and(|o| o.value);
    let organization = table.text("organization").map(|o| o.value);
    let mut organizations: BTreeSet<String> = values(&table.texts("organizations"));
    organizations.extend(organization.clone());
    let mut permission_sets = values(sets);
    if is_administrator {
        permission_sets.insert(ADMIN_SET.to_owned());
    }
    let default_posture = if is_administrator { Posture::PlatformAdmin } else { Posture::Member };
    let mut principal = Principal::builder(login)
        .user_id(&table.text("user_id").map_or_else(|| login.to_owned(), |id| id.value))
        .posture(posture.map_or(default_posture, |p| p.value))
        .operator(operator || is_administrator)
        .build();
    principal.email = email(table);
    principal.organization_id = organization;
    principal.organization_ids = organizations;
    principal.positions = values(positions);
    principal.permission_sets = permission_sets;
    principal.attributes = attributes(table)?;
    Some(principal)
}

/// Rules compare it as it stands: one that is no address is most likely a slip.
fn email(table: &Table<'_>) -> Option<String> {
    let email = table.text("email")?;
    let is_sound = |(local, domain): (&str, &str)| {
        let is_clean = !email.value.contains(|c: char| c.is_whitespace() || c.is_control());
        is_clean && !local.is_empty() && !domain.is_empty() && !domain.starts_with('.') && !domain.ends_with('.')
    };
    if !email.value.rsplit_once('@').is_some_and(is_sound) {
        let message = format!("`{}` is no e-mail address", email.value);
        let help = "write it as `name@domain`, as rules and rows of `sys_user` have it";
        table.push(Diagnostic::warning(Some(email.span), message).help(help));
    }
    Some(email.value)
}

fn values(texts: &[At<String>]) -> BTreeSet<String> {
    texts.iter().map(|text| text.value.clone()).collect()
}

/// Names that `current_user` has by itself.
pub(super) const OWN_KEYS: &[&str] = &["id", "email", "organization_id", "positions", "org_user_ids"];

fn attributes(table: &Table<'_>) -> Option<BTreeMap<String, AttributeValue>> {
    let mut attributes = BTreeMap::new();
    let mut sound = true;
    for (key, value) in table.free("attributes") {
        if OWN_KEYS.contains(&key.value.as_str()) {
            table.error(key.span, format!("attribute `{}` would hide current_user.{}", key.value, key.value));
            sound = false;
            continue;
        }
        match attribute(value) {
            Some(parsed) => {
                attributes.insert(key.value, parsed);
            }
            None => {
                let message = format!(
                    "attribute `{}` must be a string, a whole number, true, false or a list of strings, not {}",
                    key.value,
                    a_type(value.get_ref())
                );
                table.error(value.span(), message);
                sound = false;
            }
        }
    }
    sound.then_some(attributes)
}

fn attribute(value: &Spanned<DeValue<'_>>) -> Option<AttributeValue> {
    match value.get_ref() {
        DeValue::String(text) => Some(AttributeValue::Text(text.clone().into_owned())),
        DeValue::Integer(n) => i64::from_str_radix(n.as_str(), n.radix()).ok().map(AttributeValue::Integer),
        DeValue::Boolean(b) => Some(AttributeValue::Boolean(*b)),
        DeValue::Array(items) => {
            let texts: Option<Vec<String>> =
                items.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect();
            texts.map(AttributeValue::List)
        }
        DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Table(_) => None,
    }
}
