//! `/packages`: what packages the metadata is made of, for who administers. They are files, and are not changed here.

use crate::answer::wrapped;
use crate::call::{Call, Named};
use crate::callers::Identity;
use crate::code::Code;
use crate::refusal::{Envelope, Refusal};
use crate::site::{Shared, Site};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use querygate_types::vendor::VendorCode;
use serde_json::{Value, json};

/// Rights of the system, one of which lets read packages.
const READERS: [&str; 2] = ["studio.access", "setup.access"];

fn answered(answer: Result<Value, Refusal>) -> Response {
    match answer {
        Ok(data) => wrapped(StatusCode::OK, &data),
        Err(refusal) => refusal.into_answer(Envelope::Wrapped),
    }
}

impl Site {
    /// # Errors
    /// Who asks is not known, or holds none of these rights.
    fn holds_one_of(&self, call: &Call, rights: &[&str]) -> Result<Identity, Refusal> {
        let identity = self.identify(call)?;
        let held = self.platform.rights(&identity.principal);
        let held = held.get("systemPermissions").and_then(Value::as_array).into_iter().flatten();
        let holds = held.filter_map(Value::as_str).any(|held| rights.contains(&held));
        let administers =
            || self.platform.person(&identity.principal.login).is_some_and(|person| person.is_platform_admin);
        if holds || administers() {
            return Ok(identity);
        }
        let message = format!("This needs one of these rights: {}.", rights.join(", "));
        Err(Refusal::new(VendorCode::PermissionDenied, message))
    }

    fn package(&self, id: &str) -> Result<Value, Refusal> {
        let found = self.platform.declared("package").into_iter().find(|(other, _)| other == id);
        let missing = || Refusal::new(Code::ResourceNotFound, format!("Package '{id}' not found"));
        found.map(|(_, manifest)| described(&manifest)).ok_or_else(missing)
    }
}

fn described(manifest: &Value) -> Value {
    json!({"manifest": manifest, "status": "installed", "enabled": true})
}

pub(crate) async fn list(State(site): Shared, call: Call) -> Response {
    let answer = || {
        site.holds_one_of(&call, &READERS)?;
        let parameters = call.parameters()?;
        let (kind, enabled) = (parameters.one("type")?, parameters.one("enabled")?);
        let manifests = site.platform.declared("package").into_iter().map(|(_, manifest)| manifest);
        let is_of_kind =
            |manifest: &Value| kind.is_none_or(|kind| manifest.get("type").and_then(Value::as_str) == Some(kind));
        let packages: Vec<Value> = manifests
            .filter(is_of_kind)
            .filter(|_| enabled != Some("false"))
            .map(|manifest| described(&manifest))
            .collect();
        Ok(json!({"total": packages.len(), "packages": packages}))
    };
    answered(answer())
}

pub(crate) async fn get(State(site): Shared, Named(id): Named<String>, call: Call) -> Response {
    answered(site.holds_one_of(&call, &READERS).and_then(|_| site.package(&id)))
}

/// Packages come and go with the files of the metadata.
pub(crate) async fn change(State(site): Shared, call: Call) -> Response {
    answered(site.refuse_change(&call, None))
}

pub(crate) async fn change_one(State(site): Shared, Named(id): Named<String>, call: Call) -> Response {
    answered(site.refuse_change(&call, Some(&id)))
}

pub(crate) async fn change_part(State(site): Shared, Named((id, _)): Named<(String, String)>, call: Call) -> Response {
    answered(site.refuse_change(&call, Some(&id)))
}

impl Site {
    fn refuse_change(&self, call: &Call, id: Option<&str>) -> Result<Value, Refusal> {
        self.holds_one_of(call, &["manage_metadata"])?;
        if let Some(id) = id {
            self.package(id)?;
        }
        Err(Refusal::not_implemented("way to change packages over REST: change the files of the metadata"))
    }
}
