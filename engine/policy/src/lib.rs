//! The pure policy evaluator: (principal, snapshot, facts, object, action) to a decision. Does no I/O, reads no clock.
//!
//! Every rule is the ObjectStack 17.4 rule as measured, or the stricter one of a later version; an error or an unknown denies.

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

mod compiled;
mod decision;
mod evaluator;
mod expression;
pub mod filter;
pub mod formula;
pub mod hooks;
mod layers;
mod mask;
mod pattern;
pub mod platform;
mod principal;
pub mod query_filter;
mod read;
pub mod rules;
pub mod unusable;
mod value;
pub mod write;

pub use compiled::CompiledPolicy;
pub use decision::{DenyReason, Layer, LayerEffect, LayerVerdict, Permit, ReadDecision, Verdict};
pub use evaluator::Evaluator;
pub use filter::RowFilter;
pub use mask::Mask;
pub use principal::resolve_principal;
