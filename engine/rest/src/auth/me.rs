//! `/auth/me/*`, `/auth/config`, `/me/apps`: what the client asks about its user. Open to all; strangers hear that they are.

use crate::answer::{ok, wrapped};
use crate::call::Call;
use crate::site::Shared;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

pub(crate) async fn permissions(State(site): Shared, call: Call) -> Response {
    match call.sender.known() {
        None => ok(&json!({"authenticated": false})),
        Some(identity) => {
            let mut body = json!({"authenticated": true});
            if let (Some(body), Value::Object(rights)) =
                (body.as_object_mut(), site.platform.rights(&identity.principal))
            {
                body.extend(rights);
            }
            ok(&body)
        }
    }
}

pub(crate) async fn localization(call: Call) -> Response {
    match call.sender.known() {
        None => ok(&json!({"authenticated": false})),
        Some(_) => ok(&json!({"authenticated": true, "currency": null, "locale": "en-US", "timezone": "UTC"})),
    }
}

pub(crate) async fn apps(State(site): Shared, call: Call) -> Response {
    let apps = match call.sender.known() {
        None => Vec::new(),
        Some(identity) => {
            let apps = site.platform.items(&identity.principal, "app").into_iter();
            // Whether an app is sound is said where metadata is read.
            let plain = |(_, mut app): (String, Value)| {
                if let Some(app) = app.as_object_mut() {
                    app.shift_remove("_diagnostics");
                }
                app
            };
            apps.map(plain).collect()
        }
    };
    ok(&json!({"apps": apps}))
}

pub(crate) async fn config() -> Response {
    let data = json!({
        "emailPassword": {"enabled": true, "disableSignUp": true, "requireEmailVerification": false},
        "socialProviders": [],
        "features": {"twoFactor": false, "organization": false, "multiOrgEnabled": false, "sso": false, "admin": false},
    });
    wrapped(StatusCode::OK, &data)
}

pub(crate) async fn bootstrap_status() -> Response {
    ok(&json!({"hasOwner": true}))
}
