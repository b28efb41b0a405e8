//! The gate's side: which leaves of a plan go to workers, and how their rows come back.

mod address;
mod ask;
mod chain;
mod exec;
mod members;
mod pool;
mod reads;
mod ship;
mod sides;
mod stage;
mod staging;

pub use address::WorkerAddress;
pub use members::MemberState;
pub use pool::{PoolOptions, TlsIdentity, WorkerPool};
pub use reads::PartReads;
pub use ship::{Choice, Mode, Shipped, Shipping, ship};
pub use stage::is_stage;
