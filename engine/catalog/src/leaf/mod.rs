//! The governed leaf: policy, pushed conjuncts, masks and limit inside one table provider and one opaque plan node.
//! Knows nothing of how a policy came about, and lets no optimizer rule look inside.

mod above_scan;
mod columns;
mod estimate;
mod exec;
mod keys;
mod leak_proof;
mod named_scan;
mod parts;
mod receipt;
mod recipe;
mod related;
mod renewal;
mod run;
mod scan;
mod table;
mod uses;

pub use crate::gathering::RenewedSides;
pub use columns::TextReading;
pub(crate) use columns::{ColumnMask, FormulaColumn, InputKind};
pub use estimate::ExpectedRows;
pub(crate) use estimate::governed;
pub use exec::GovernedExec;
pub use named_scan::with_places_unnamed;
pub use parts::{Division, division, part_after_part, share};
pub(crate) use parts::{governed_leaf, leaf_of, over_leaf};
pub use recipe::{FileFormat, FilesOf, FindFiles, LeafRecipe, RecipeColumn, RecipeOrigin, TableFiles};
pub(crate) use related::RelatedKeys;
pub use run::CountedRun;
pub(crate) use table::{ColumnOrigin, LeafPolicy};
pub use table::{GovernedColumn, GovernedTable};
pub use uses::tell_uses;
