//! Changes of one table, governed, in one transaction of its source. Each step is a type that only the step before it makes:
//! [`WriteIntent`](intent::WriteIntent), [`Targeted`](target::Targeted), [`Locked`](lock::Locked), [`Imaged`](image::Imaged),
//! [`Checked`](check::Checked), [`Applied`](apply::Applied). Only what is checked can be applied. Knows no session and no door.

pub(crate) mod apply;
pub(crate) mod assignment;
pub(crate) mod by_key;
pub(crate) mod check;
pub(crate) mod computation;
pub(crate) mod conflict;
pub(crate) mod explain;
pub(crate) mod find;
pub(crate) mod follow;
pub(crate) mod image;
pub(crate) mod ingest;
pub(crate) mod intent;
pub(crate) mod lock;
pub(crate) mod locking;
pub(crate) mod merge;
pub(crate) mod record;
pub(crate) mod returning;
pub(crate) mod rows;
pub(crate) mod sets;
mod store;
pub(crate) mod target;
mod texts;
pub(crate) mod transaction;
