//! Changes of one table, governed, in one transaction of its source. Each step is a type that only the step before it makes:
//! [`WriteIntent`](intent::WriteIntent), [`Targeted`](target::Targeted), [`Locked`](lock::Locked), [`Imaged`](image::Imaged),
//! [`Checked`](check::Checked), [`Applied`](apply::Applied). Only what is checked can be applied, and only [`Loadable`](load::Loadable) rows are stored without those steps. Knows no session and no door.

pub(crate) mod apply;
pub(crate) mod check;
pub(crate) mod explain;
pub(crate) mod find;
pub(crate) mod follow;
pub(crate) mod forms;
pub(crate) mod hooks;
mod image;
pub(crate) mod intent;
pub(crate) mod load;
pub(crate) mod lock;
mod native_statements;
pub(crate) mod returning;
mod store;
pub(crate) mod target;
pub(crate) mod transaction;
mod unique;
pub(crate) mod values;
