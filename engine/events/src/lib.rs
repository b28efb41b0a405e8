//! Changes that were committed, kept in the gate's own log in the order of their commits, for those who follow them. Judges no one:
//! what is kept here is raw, and only the engine gives it out.

#![warn(missing_docs)]
#![warn(clippy::indexing_slicing)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests panic")
)]

mod claim;
mod history;
mod journal;
mod log;
mod net;
mod options;
mod outbox;
mod queues;
mod subscriptions;
mod system;
mod webhooks;

pub use history::{HISTORY_KEYS_MAX, History, HistoryEntry, HistoryOptions, HistoryPage, PageRoom, Tracked};
pub use journal::Events;
pub use log::{Committed, Cursor};
pub use options::{EventOptions, Objects};
pub use queues::FateOf;
pub use subscriptions::{Subscriber, Subscription};
pub use webhooks::{EVENTS_AT_ONCE, Parcel, Webhook, WebhookOptions, Webhooks};
