//! The gate's side: which leaves of a plan go to workers, and how their rows come back.

mod exec;
mod members;
mod pool;
mod ship;

pub use members::MemberState;
pub use pool::{PoolOptions, TlsIdentity, WorkerPool};
pub use ship::{Choice, Mode, Shipped, Shipping, ship};
