//! Runs of statements: what is asked of a source, what it answers, and how that ends.

mod answer;
mod delivery;
pub mod ending;
mod room;
mod snapshot;
mod statement;
mod uncommitted;

pub use answer::{Answer, Ask, BatchStream, DeclineReason, ExecuteContext, LookUp, Wanted};
pub use delivery::{Delivery, delivery};
pub use room::Room;
pub use snapshot::{Pages, Snapshot, SnapshotAnswer, SnapshotShare};
pub use statement::{Binding, BindingForm, NativeStatement};
pub use uncommitted::Uncommitted;
