//! Tables of drivers inside the engine: the raw provider, the leaf that runs a fragment, and the opener that lets whole
//! statements become fragments with their policies inside.

mod exec;
mod federate;
mod keys;
mod policy;
mod table;

pub use federate::{Federated, FragmentTable, WholeFragment, federate};
pub use keys::{KEY_BYTES_MAX, KEYS_MAX};
pub use table::{DriverTable, RemoteField};
