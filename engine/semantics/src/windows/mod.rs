//! Window functions and frames that the engine lacks or computes otherwise than Postgres.

pub(super) mod arguments;
pub(super) mod distances;
pub(super) mod exclusions;
pub(super) mod framed;
pub(super) mod peers;
pub(super) mod replaced;
pub(super) mod shifts;

pub use exclusions::{CLAUSES as EXCLUSIONS, FRAMED as EXCLUDING, NO_OTHERS, name as excluding_name};
pub use framed::frames;
pub use shifts::{NTILE, name as shift_name};
