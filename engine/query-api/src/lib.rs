//! What a door may call: open a session, prepare, describe, execute, cancel. Knows no plan and no source.
//!
//! A door authenticates with [`Authenticator`], opens a [`Session`] with [`QueryService`] and hands it SQL. Everything
//! that has meaning in SQL (SET, BEGIN, DECLARE, PREPARE) is the session's; frames, portals and formats are the door's.

#![warn(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

mod arrivals;
mod column;
mod holding;
mod interval;
mod network;
mod outcome;
mod own_texts;
mod parts;
mod question;
mod record_change;
mod scram;
mod service;
mod timetz;
pub mod trace;
mod wide_numeric;
mod zone;
mod zone_rules;

pub use arrivals::{Arrival, Arrivals};
pub use column::{Column, ENUM_LABELS_KEY, PG_TYPE_KEY, TYPE_MODIFIER_KEY, arrow_type_of, column_of, pg_type_of};
pub use holding::{Holding, Uncounted};
pub use interval::{IntervalFault, IntervalRead, read_interval};
pub use network::{NETWORK, network_at, network_text};
pub use outcome::{BatchStream, CommandTag, CopyFormat, CopyOptions, Effect, Notice, Notification, Outcome, Rows};
pub use own_texts::texts_of_own_types;
pub use parts::{Kept, Part, Parts, Split};
pub use question::{
    AggregateFunction, Aggregation, AnswerColumn, AnswerForm, Asked, Bucket, FieldDescription, GroupKey, JsonForm,
    ObjectDescription, OrderKey, Question, ask_and_run,
};
pub use record_change::{
    ChangeOutcome, ChangedRecord, DropReason, DroppedField, OnFailure, RecordAction, RecordChange,
};
pub use scram::ScramVerifier;
pub use service::{
    Authenticator, ClientInfo, Delivery, Door, LookUp, LookUpOutcome, LookUpRefusal, Prepared, QueryService, Resting,
    Session, Statement, TransactionStatus,
};
pub use timetz::TimeTz;
pub use wide_numeric::{NEAREST_DOUBLE_KEY, WIDE_NUMERIC, nearest_doubles, numeric_cell, wide_numeric};
pub use zone::Zone;
