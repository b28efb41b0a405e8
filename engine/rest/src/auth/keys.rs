//! `POST /keys`: a key for a program, shown once. Only its hash is kept.

use super::identity::KEY_PREFIX;
use crate::answer::wrapped;
use crate::call::Call;
use crate::code::Code;
use crate::refusal::{Envelope, Refusal};
use crate::site::{Shared, Site};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, NaiveDate, Utc};
use querygate_query_api::requests::platform::NewKey;
use querygate_types::vendor::VendorCode;
use querygate_web::{TokenHash, random_token};
use serde_json::{Value, json};

/// Characters of a key's name.
const NAME_MAX: usize = 200;
/// Characters of a key that its owner knows it by.
const PREFIX: usize = 12;
/// Largest body.
const BODY_BYTES_MAX: usize = 8 << 10;

pub(crate) async fn add_key(State(site): Shared, call: Call) -> Response {
    site.add_key(call).await.unwrap_or_else(|refusal| refusal.into_answer(Envelope::Wrapped))
}

impl Site {
    async fn add_key(&self, call: Call) -> Result<Response, Refusal> {
        let identity = self.identify(&call)?;
        // A key would outlive the key or token that it was made by, and its being revoked.
        if identity.session.is_none() {
            let message = "API keys are made by who signed in by a password, not by a key or a token of an issuer.";
            return Err(Refusal::new(Code::Vendor(VendorCode::PermissionDenied), message));
        }
        // Else it would wait for a user of that name to be configured, and be that one's.
        if self.authenticator.principal(&identity.principal.login).is_none() {
            let message = "Only users who may log in by a password make API keys.";
            return Err(Refusal::new(Code::Vendor(VendorCode::PermissionDenied), message));
        }
        let body = call.object(BODY_BYTES_MAX).await?;
        let name = match body.get("name").and_then(Value::as_str).map(str::trim) {
            None | Some("") => "API Key".to_owned(),
            Some(name) => name.chars().take(NAME_MAX).collect(),
        };
        let now = Utc::now();
        let expires_ms = match body.get("expires_at") {
            None | Some(Value::Null) => None,
            Some(given) => Some(end_of(given, now)?),
        };
        let key = format!("{KEY_PREFIX}{}", random_token()?);
        let (id, prefix) = (random_token()?, key.chars().take(PREFIX).collect::<String>());
        let kept = NewKey {
            id: id.clone(),
            name: name.clone(),
            login: identity.principal.login.clone(),
            hash: TokenHash::of(&key).hex(),
            prefix: prefix.clone(),
            created_ms: now.timestamp_millis(),
            expires_ms,
            scope: None,
        };
        self.platform.keep_key(kept).await?;
        let data = json!({"id": id, "name": name, "prefix": prefix, "key": key});
        Ok(wrapped(StatusCode::CREATED, &data))
    }
}

fn end_of(given: &Value, now: DateTime<Utc>) -> Result<i64, Refusal> {
    let invalid = |why: &str| Refusal::new(VendorCode::ValidationError, format!("Invalid expires_at: {why}"));
    let text = given.as_str().unwrap_or_default();
    let at = DateTime::parse_from_rfc3339(text).map(|at| at.with_timezone(&Utc)).ok();
    let at = at
        .or_else(|| Some(NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_time(chrono::NaiveTime::MIN).and_utc()));
    let at = at.ok_or_else(|| invalid("must be a parseable date"))?;
    if at <= now {
        return Err(invalid("must be in the future"));
    }
    Ok(at.timestamp_millis())
}
