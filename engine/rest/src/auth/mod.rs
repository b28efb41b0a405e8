//! Logins, sessions and API keys, and who a request is from by what it shows.

mod identity;
mod keys;
mod me;
mod sign_in;

pub(crate) use identity::{COOKIE, copied_credential};
pub(crate) use keys::add_key;
pub(crate) use me::{apps, bootstrap_status, config, localization, permissions};
pub(crate) use sign_in::{get_session, list_sessions, organizations, sign_in, sign_out, sign_up};
