//! What becomes of what was found: incidents as they are kept, shown, listened to and sent.

pub(super) mod book;
pub(super) mod delivery;
pub(super) mod incident;
pub(super) mod listeners;
pub(super) mod outbox;
pub(super) mod rows;
