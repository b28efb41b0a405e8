//! Tables of drivers inside the engine: the raw provider, the leaf that runs a fragment, and the opener that lets whole
//! statements become fragments with their policies inside.

mod call;
mod exec;
mod federate;
mod fragment_metrics;
mod keys;
mod plain;
mod point;
mod policy;
mod ranges;
mod sampled;
mod shape;
mod source_error;
mod statistics;
mod table;
mod wire_rows;
mod worth;

pub use call::FragmentCall;
pub(crate) use exec::FragmentExec;
pub use exec::{AllKeys, SourcePlanning};
pub(crate) use federate::Remotes;
pub use federate::{Federated, FragmentTable, WholeFragment, federate, source_settings};
pub use fragment_metrics::FragmentRuns;
pub(crate) use fragment_metrics::fingerprint;
pub use plain::PlainScans;
pub use ranges::{KeyRange, RowRange, Rows, in_range, range_key, row_ranges};
pub use table::{DriverTable, LostField, RemoteField};
