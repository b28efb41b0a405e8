//! The governed leaf: policy, pushed conjuncts, masks and limit inside one table provider and one opaque plan node.
//! Knows nothing of how a policy came about, and lets no optimizer rule look inside.

mod above_scan;
mod exec;
mod expected;
mod formula;
mod keys;
mod leak_proof;
mod mask;
mod ordered;
mod parts;
mod reading;
mod receipt;
mod recipe;
mod related;
mod renewal;
mod run_conditions;
mod scan;
mod size;
mod table;
mod uses;
mod view;

pub use crate::gathering::RenewedSides;
pub use exec::GovernedExec;
pub use expected::ExpectedRows;
pub(crate) use formula::{FormulaColumn, InputKind};
pub(crate) use mask::ColumnMask;
pub use ordered::part_after_part;
pub use parts::{Division, division, share};
pub(crate) use parts::{governed_leaf, leaf_of, over_leaf};
pub use reading::TextReading;
pub use recipe::{FileFormat, FilesOf, FindFiles, LeafRecipe, RecipeColumn, RecipeOrigin, TableFiles};
pub(crate) use related::RelatedKeys;
pub(crate) use size::governed;
pub(crate) use table::{ColumnOrigin, LeafPolicy};
pub use table::{GovernedColumn, GovernedTable};
pub use uses::tell_uses;
