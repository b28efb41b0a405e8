//! The federation rule: governed leaves are opened, and the largest parts of a plan that lie in one source become fragments with
//! their policies inside.

mod federate;
mod fragment;
mod policy;
mod ranges;
mod sizes;
mod wire_rows;

pub use federate::{Federated, WholeFragment};
pub(crate) use federate::{GovernedOpener, Remotes, federate};
pub use fragment::{FragmentTable, source_settings};
pub(crate) use policy::{FragmentPolicy, Tables};
pub use ranges::{KeyRange, RowRange, Rows, in_range, range_key, row_ranges};
pub use sizes::TableSizes;
