//! What clients carry for us and show again, and the flights that they stand for. Knows no session and no statement.

pub(crate) mod progress;
pub(crate) mod running;
pub(crate) mod seal;
pub(crate) mod ticket;
