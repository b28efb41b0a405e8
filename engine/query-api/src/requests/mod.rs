//! What a session is asked beside SQL text: questions about records, changes by their values, rows to store, and what ObjectStack's
//! interface asks of people and metadata. Knows no plan and no HTTP.

pub mod events;
pub mod ingest;
pub mod platform;
pub mod question;
pub mod record_change;
pub mod tracking;
