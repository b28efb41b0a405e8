//! How the rows of a leaf are cut: into shares for several readers, and part after part into the one stream of a leaf that hides some.

mod ordered;
mod shares;

pub use ordered::part_after_part;
pub(super) use ordered::{PARTS_PER_STREAM, Parts, in_order};
pub use shares::{Division, division, share};
pub(crate) use shares::{governed_leaf, leaf_of, over_leaf};
