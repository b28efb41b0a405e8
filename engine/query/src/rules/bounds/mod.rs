//! What keeps planning and running within a statement's time and memory.

pub(crate) mod bound_pushed_conditions;
pub(crate) mod cancellable_rules;
pub(crate) mod meter_operators;
pub(crate) mod yield_to_others;
