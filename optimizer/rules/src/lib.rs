//! Translates DataFusion plans into fragments of one source, exactly or not at all, and fences policies. Knows no policy language, no driver and no catalog.
//!
//! - [`translate`]: a whole statement over one source becomes one fragment;
//! - [`carve`]: a statement over several sources keeps its plan, with its largest one-source parts replaced by leaves;
//! - [`classify_conjunct`]: which conditions may stand beside a policy;
//! - [`Receipt`]: what was pushed, what was kept, and why;
//! - [`join_order`]: which join comes first, by what [`estimate`] says of sizes.

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

mod carve;
pub mod date_bounds;
mod distinct_keys;
mod eager;
pub mod estimate;
pub mod join_order;
mod leak_proof;
mod not_pushed;
mod nullable;
pub mod opener;
mod operators;
mod receipt;
mod receipts;
mod redact;
mod regroup;
mod related;
mod required;
mod translate;
mod translation;

pub use carve::{Carved, LeafBuilder, carve};
pub use leak_proof::{ConjunctClass, classify_conjunct, is_leak_proof};
pub use not_pushed::NotPushed;
pub use nullable::{nullable, value_of_nullable};
pub use receipt::{Disposition, Receipt, ReceiptLine};
pub use receipts::Receipts;
pub use translate::translate;
pub use translation::{ParameterSource, Translation};
