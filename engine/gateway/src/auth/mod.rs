//! Who may log in. Knows the configured users and nothing of doors.

mod authenticator;

pub(crate) use authenticator::ConfigAuthenticator;
