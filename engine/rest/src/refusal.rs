//! Refusals, and the forms in which routes say them. Knows no route.

use crate::code::Code;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use querygate_types::Error;
use querygate_types::vendor::{Raised, VendorCode};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// When to try again what had no room: it is not known when other requests are done.
const SOON: Duration = Duration::from_secs(1);

/// How a route wraps what it answers. ObjectStack's client reads all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Envelope {
    /// `{error, code, …}`: records and metadata.
    Flat,
    /// `{success, data}`, `{success: false, error: {code, message}}`: what the vendor's dispatcher serves.
    Wrapped,
    /// As `Wrapped`, without the status: verdicts.
    Unnumbered,
    /// `{error: {code, message}}`: parameters that a route does not know.
    Nested,
    /// `{message, code}`: logins, datasets, services that are not installed.
    Message,
    /// `{code, error}`: sharing and approvals.
    Plain,
}

/// Why a request is not answered.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    code: Code,
    status: StatusCode,
    message: String,
    /// Further keys of the body.
    extra: Map<String, Value>,
    /// Where the route's own envelope is not the one.
    envelope: Option<Envelope>,
    retry_after: Option<Duration>,
    /// Whether its code is not said: the metadata's own code raised it without one.
    is_bare: bool,
}

/// What is said of a word that is none of a closed list, in the vendor's sentence.
pub(crate) fn invalid_option<const N: usize>(names: [&str; N]) -> String {
    format!("Invalid option: expected one of {}", names.map(|name| format!("\"{name}\"")).join("|"))
}

impl Refusal {
    pub(crate) fn new(code: impl Into<Code>, message: impl Into<String>) -> Self {
        let code = code.into();
        Self {
            code,
            status: code.status(),
            message: message.into(),
            extra: Map::new(),
            envelope: None,
            retry_after: None,
            is_bare: false,
        }
    }

    /// An error that a hook raised, in the words of the hook.
    fn raised(error: &Error, raised: &Raised) -> Self {
        let mut refusal = Self::new(VendorCode::ValidationError, error.message());
        if let Some(status) = raised.status.and_then(|status| StatusCode::from_u16(status).ok()) {
            refusal.status = status;
        }
        match &raised.code {
            Some(code) => refusal.with("declaredCode", code.as_str()),
            None => Self { is_bare: true, ..refusal },
        }
    }

    pub(crate) fn unauthenticated() -> Self {
        let mut refusal = Self::new(Code::Unauthenticated, "UNAUTHENTICATED");
        refusal.extra.insert("message".to_owned(), "Authentication is required to access this endpoint.".into());
        refusal
    }

    /// Something that the gate has not, with what is missing.
    pub(crate) fn not_implemented(what: &str) -> Self {
        Self::new(VendorCode::NotImplemented, format!("This gate has no {what}."))
    }

    /// A parameter or body that is wrong, with the field.
    pub(crate) fn invalid(field: &str, code: &str, message: impl Into<String>) -> Self {
        let message = message.into();
        let faults = json!([{"field": field, "code": code, "message": &message}]);
        Self::new(VendorCode::ValidationFailed, message).with("fields", faults)
    }

    #[must_use]
    pub(crate) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.extra.insert(key.to_owned(), value.into());
        self
    }

    /// The object that it is about, unless it says so already.
    #[must_use]
    pub(crate) fn about(mut self, object: &str) -> Self {
        if self.status != StatusCode::UNAUTHORIZED && !self.extra.contains_key("object") {
            self.extra.insert("object".to_owned(), object.into());
        }
        self
    }

    #[must_use]
    pub(crate) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    #[must_use]
    pub(crate) fn within(mut self, envelope: Envelope) -> Self {
        self.envelope = Some(envelope);
        self
    }

    #[must_use]
    pub(crate) fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    pub(crate) fn code(&self) -> Code {
        self.code
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// With each fault of a field made another; the message follows where it says what they say.
    #[must_use]
    pub(crate) fn map_faults(mut self, change: impl Fn(&mut Map<String, Value>)) -> Self {
        let Some(Value::Array(faults)) = self.extra.get_mut("fields") else { return self };
        let said = |faults: &[Value]| {
            let messages = faults.iter().filter_map(|fault| fault.get("message")?.as_str());
            messages.collect::<Vec<_>>().join("; ")
        };
        let is_theirs = said(faults) == self.message;
        faults.iter_mut().filter_map(Value::as_object_mut).for_each(change);
        if is_theirs {
            self.message = said(faults);
        }
        self
    }

    /// Faults of single fields, where there are some.
    pub(crate) fn faults(&self) -> Option<&Value> {
        self.extra.get("fields")
    }

    /// The answer, in the envelope of the route unless it has its own.
    pub(crate) fn into_answer(self, envelope: Envelope) -> Response {
        let (code, message) = (self.code.name(), self.message);
        let is_method = matches!(self.code, Code::Vendor(VendorCode::ObjectApiMethodNotAllowed));
        let allow = is_method.then(|| methods_of(self.extra.get("allowed")));
        let envelope = self.envelope.unwrap_or(envelope);
        let body = match envelope {
            Envelope::Flat => {
                let mut body = Map::new();
                body.insert("error".to_owned(), message.into());
                if !self.is_bare {
                    body.insert("code".to_owned(), code.into());
                }
                body.extend(self.extra);
                Value::Object(body)
            }
            Envelope::Wrapped | Envelope::Unnumbered => {
                let mut error = Map::new();
                error.insert("code".to_owned(), code.into());
                error.insert("message".to_owned(), self.extra.get("message").cloned().unwrap_or(message.into()));
                if envelope == Envelope::Wrapped {
                    error.insert("httpStatus".to_owned(), self.status.as_u16().into());
                }
                for (key, value) in self.extra {
                    match key.as_str() {
                        "message" | "field" => {}
                        "fields" => drop(error.insert("details".to_owned(), json!({"fields": value}))),
                        _ => drop(error.insert(key, value)),
                    }
                }
                json!({"success": false, "error": error})
            }
            Envelope::Nested => json!({"error": {"code": code, "message": message}}),
            Envelope::Message => {
                let mut body = Map::new();
                body.insert("message".to_owned(), message.into());
                body.insert("code".to_owned(), code.into());
                body.extend(self.extra.into_iter().filter(|(key, _)| key == "detail"));
                Value::Object(body)
            }
            Envelope::Plain => json!({"code": code, "error": message}),
        };
        let mut answer = (self.status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response();
        if let Some(wait) = self.retry_after {
            answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
        }
        if let Some(Ok(allow)) = allow.map(|allow| HeaderValue::from_str(&allow)) {
            answer.headers_mut().insert(header::ALLOW, allow);
        }
        answer
    }
}

/// The methods of HTTP that an object's `apiMethods` leave, for the answer that refuses another. Empty where they are not known: HTTP wants
/// the header with each 405.
fn methods_of(allowed: Option<&Value>) -> String {
    let names = allowed.and_then(Value::as_array);
    let has = |name: &str| names.is_some_and(|names| names.iter().any(|own| own == name));
    let open = [
        ("GET", has("get") || has("list")),
        ("POST", has("create")),
        ("PATCH", has("update")),
        ("DELETE", has("delete")),
    ];
    open.iter().filter(|(_, open)| *open).map(|(method, _)| *method).collect::<Vec<_>>().join(", ")
}

impl From<VendorCode> for Code {
    fn from(code: VendorCode) -> Self {
        Self::Vendor(code)
    }
}

impl From<Error> for Refusal {
    /// The text of an internal error stays in the log.
    fn from(error: Error) -> Self {
        if let Some(raised) = error.raised() {
            return Self::raised(&error, raised);
        }
        let code = Code::of(&error);
        if code == Code::Internal {
            tracing::error!(%error, cause = error.cause(), "a request failed");
            return Self::new(code, "Internal server error");
        }
        tracing::debug!(%error, cause = error.cause(), code = code.name(), "a request was refused");
        let words = error.vendor_words();
        let mut refusal = Self::new(code, words.message.as_deref().unwrap_or_else(|| error.message()));
        refusal.extra.extend(words.facts.clone());
        if code == Code::TooManyRequests {
            refusal = refusal.retry_after(SOON);
        }
        if error.vendor_code().is_none() {
            refusal = refusal.with("sqlstate", error.code().sqlstate());
        }
        if let Some(hint) = error.hint() {
            refusal = refusal.with("hint", hint);
        }
        let faults: Vec<Value> = error
            .faults()
            .iter()
            .map(|fault| {
                let mut told = json!({"field": fault.field, "code": fault.code, "message": fault.message});
                if let Some(told) = told.as_object_mut() {
                    told.extend(fault.label.iter().map(|label| ("label".to_owned(), label.as_str().into())));
                    told.extend(fault.facts.clone());
                }
                told
            })
            .collect();
        match (code, faults.first()) {
            (_, None) => refusal,
            // One name that is not there stands by itself; that of an order in the text only.
            (Code::Vendor(VendorCode::InvalidField), Some(first)) => {
                refusal.with("field", first.get("field").cloned().unwrap_or_default())
            }
            (Code::Vendor(VendorCode::InvalidSort), Some(_)) => refusal,
            // Which fields hold the values is not said.
            (Code::Vendor(VendorCode::UniqueViolation), Some(_)) => refusal,
            (_, Some(_)) => refusal.with("fields", faults),
        }
    }
}
