//! Who may log in. Knows the configured users and nothing of doors.

mod authenticator;
mod claimed;
mod tokens;

pub(crate) use authenticator::ConfigAuthenticator;
