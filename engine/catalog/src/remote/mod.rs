//! Tables of drivers inside the engine: the raw provider, and the leaf that runs a fragment at its source. Knows no policy.

mod call;
mod counters;
mod exec;
mod floors;
mod key_reads;
mod keys;
mod open;
mod plain;
mod read_tables;
mod source_error;
mod statistics;
mod table;
mod worth;

pub use crate::arguments::{Arguments, is_open};
pub use call::FragmentCall;
pub use counters::{CounterTurn, Counters};
pub use exec::{AllKeys, RenewFilter, SourcePlanning};
pub(crate) use exec::{CompiledFragment, FragmentExec, heard};
pub use floors::{CounterName, FLOORS_MAX, FloorKeeper, NumberFloors};
pub(crate) use key_reads::looks_up;
pub(crate) use open::OpenParameters;
pub use plain::PlainScans;
pub(crate) use read_tables::{NamedTable, named_in};
pub use table::{DriverTable, LostField, RemoteField};
pub(crate) use worth::Expected;
