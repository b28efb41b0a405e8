//! The pass over a bound plan: literals, parameters and set operations take their types.

pub(super) mod counts;
mod kin;
pub(super) mod limits;
mod numbered;
mod one_type;
pub(super) mod placeholders;
pub(super) mod settler;
mod text_forms;
pub(super) mod unions;
mod untyped_conditions;
