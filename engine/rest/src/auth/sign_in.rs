//! `/auth/sign-in/email`, `/auth/get-session`, `/auth/sign-out`: a password for a session's token.

use super::identity::{COOKIE, comes_from_elsewhere, refuse_foreign_change, token};
use crate::answer::ok;
use crate::call::Call;
use crate::callers::SignedIn;
use crate::code::Code;
use crate::refusal::{Envelope, Refusal};
use crate::site::{Shared, Site};
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;
use chrono::{DateTime, SecondsFormat, Utc};
use querygate_query_api::requests::platform::Person;
use querygate_query_api::tokens::Candidate;
use querygate_types::json::value::value_of_bytes;
use querygate_types::vendor::VendorCode;
use querygate_web::Attempt;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Largest body of a login.
const BODY_BYTES_MAX: usize = 8 << 10;
/// How long a login waits for its turn.
const LOGIN_WAIT: Duration = Duration::from_secs(5);

pub(crate) async fn sign_in(State(site): Shared, call: Call) -> Response {
    site.sign_in(call).await.unwrap_or_else(|refusal| refusal.into_answer(Envelope::Message))
}

/// Address and password of a login.
async fn credentials(call: Call) -> Result<(String, String), Refusal> {
    let bytes = call.bytes(BODY_BYTES_MAX).await?;
    let bad = |_| Refusal::new(Code::BadRequest, "Invalid JSON in request body");
    let body: Value = value_of_bytes(&bytes).map_err(bad)?;
    let text = |key: &str| body.get(key).and_then(Value::as_str);
    let (Some(email), Some(password)) = (text("email"), text("password")) else {
        let message = "[body.email] and [body.password]: expected string";
        return Err(Refusal::new(VendorCode::ValidationError, message));
    };
    let is_address = email.split_once('@').is_some_and(|(name, host)| {
        !name.is_empty() && host.contains('.') && !host.contains('@') && !email.contains(char::is_whitespace)
    });
    if !is_address {
        return Err(Refusal::new(Code::InvalidEmail, "Invalid email"));
    }
    Ok((email.to_owned(), password.to_owned()))
}

impl Site {
    async fn sign_in(&self, call: Call) -> Result<Response, Refusal> {
        let peer = call.peer;
        // A page of another site would have the browser be somebody else here.
        let takes_cookie = !comes_from_elsewhere(&call);
        let agent = call.header("user-agent").map(str::to_owned);
        let secure = call.header("x-forwarded-proto").is_some_and(|proto| proto.eq_ignore_ascii_case("https"));
        let (email, password) = credentials(call).await?;
        // One address counts as one login, whether or not it is known.
        let attempt = peer.map(|peer| Attempt::new(peer, &email.to_lowercase()));
        if let Some(attempt) = &attempt
            && let Err(wait) = self.attempts.begin(attempt, Instant::now())
        {
            return Err(Refusal::new(Code::TooManyRequests, "Too many attempts. Wait a minute.").retry_after(wait));
        }
        let Ok(Ok(turn)) = tokio::time::timeout(LOGIN_WAIT, self.logins.acquire()).await else {
            return Err(Refusal::new(Code::ServiceUnavailable, "Too many logins at once. Try again."));
        };
        // An unknown address takes as long as a known one: its verifier is made up and fits no password.
        let login = self.platform.login_of_email(&email).unwrap_or_else(|| email.clone());
        let Candidate { verifier, admitted } = self.authenticator.candidate(&login);
        let proved = tokio::task::spawn_blocking(move || verifier.proves(&password)).await.unwrap_or(false);
        drop(turn);
        let known = admitted.filter(|_| proved);
        let (Some(admitted), Some(person)) = (known, self.platform.person(&login)) else {
            tracing::info!(email, peer = ?peer.map(|peer| peer.0), "login over REST refused");
            return Err(Refusal::new(Code::InvalidCredentials, "Invalid email or password"));
        };
        if let Some(attempt) = &attempt {
            self.attempts.succeeded(attempt);
        }
        let address = peer.map(|peer| peer.0.ip().to_string());
        let Some(token) = self.sessions.open(&admitted, address, agent.as_deref(), Utc::now())? else {
            return Err(Refusal::new(Code::ServiceUnavailable, "Too many sessions. Try later."));
        };
        tracing::info!(login, peer = ?peer.map(|peer| peer.0), "login over REST");
        let mut answer = ok(&json!({"redirect": false, "token": token, "user": user(&person)}));
        let headers = answer.headers_mut();
        if let Ok(value) = HeaderValue::from_str(&token) {
            headers.insert(HeaderName::from_static("set-auth-token"), value);
        }
        let end = self.sessions.lifetime().as_secs();
        let secure = if secure { "; Secure" } else { "" };
        if takes_cookie {
            let cookie = format!("{COOKIE}={token}; Max-Age={end}; Path=/; HttpOnly; SameSite=Lax{secure}");
            set_cookie(&mut answer, &cookie);
        }
        Ok(answer)
    }
}

fn set_cookie(answer: &mut Response, cookie: &str) {
    if let Ok(cookie) = HeaderValue::from_str(cookie) {
        answer.headers_mut().insert(header::SET_COOKIE, cookie);
    }
}

fn user(person: &Person) -> Value {
    let mut user = json!({
        "name": person.name,
        "email": person.email,
        "emailVerified": true,
        "image": null,
        "id": person.user_id,
    });
    if let Some(user) = user.as_object_mut() {
        for (key, date) in [("createdAt", &person.created_at), ("updatedAt", &person.updated_at)] {
            user.extend(date.iter().map(|date| (key.to_owned(), date.as_str().into())));
        }
    }
    user
}

fn printed(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn session(session: &SignedIn, user_id: &str, token: Option<&str>) -> Value {
    json!({
        "id": &*session.id,
        "userId": user_id,
        "token": token,
        "createdAt": printed(session.opened),
        "updatedAt": printed(session.used),
        "expiresAt": printed(session.ends),
        "ipAddress": session.address,
        "userAgent": session.agent,
        "activeOrganizationId": null,
        "activeTeamId": null,
    })
}

pub(crate) async fn get_session(State(site): Shared, call: Call) -> Response {
    let found = call.sender.known().and_then(|identity| {
        let person = site.platform.person(&identity.principal.login)?;
        Some((identity.session?, person))
    });
    let Some((open, person)) = found else {
        return match site.platform.refuses_absent_session() {
            true => Refusal::unauthenticated().into_answer(Envelope::Flat),
            false => ok(&Value::Null),
        };
    };
    let mut user = user(&person);
    if let Some(user) = user.as_object_mut() {
        user.insert("positions".to_owned(), json!(person.positions));
        user.insert("isPlatformAdmin".to_owned(), json!(person.is_platform_admin));
    }
    let session = session(&open, &person.user_id, token(&call));
    let mut answer = ok(&json!({"user": user, "session": session}));
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer.headers_mut().insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    answer
}

/// The own sessions, without their tokens.
pub(crate) async fn list_sessions(State(site): Shared, call: Call) -> Response {
    match site.identify(&call) {
        Err(refusal) => refusal.into_answer(Envelope::Message),
        Ok(identity) => {
            let open = site.sessions.of(&identity.principal.login, Utc::now());
            let shown: Vec<Value> = open.iter().map(|open| session(open, &identity.principal.user_id, None)).collect();
            ok(&Value::Array(shown))
        }
    }
}

/// The organizations that the user belongs to.
pub(crate) async fn organizations(State(site): Shared, call: Call) -> Response {
    match site.identify(&call) {
        Err(refusal) => refusal.into_answer(Envelope::Message),
        Ok(identity) => {
            let all = identity.principal.organization_ids.iter();
            ok(&all.map(|id| json!({"id": id, "name": id})).collect())
        }
    }
}

pub(crate) async fn sign_out(State(site): Shared, call: Call) -> Response {
    if let Err(refusal) = refuse_foreign_change(&call) {
        return refusal.into_answer(Envelope::Message);
    }
    if let Some(token) = token(&call) {
        site.sessions.close(token);
    }
    let mut answer = ok(&json!({"success": true}));
    // A page of another site brings no cookie, and may not have the browser forget it either.
    if !comes_from_elsewhere(&call) {
        set_cookie(&mut answer, &format!("{COOKIE}=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax"));
    }
    answer
}

/// Users are made by the operator.
pub(crate) async fn sign_up() -> Response {
    let message = "Self-registration is closed on this environment. Ask an administrator for an invitation.";
    Refusal::new(Code::SelfRegistrationClosed, message).into_answer(Envelope::Message)
}
