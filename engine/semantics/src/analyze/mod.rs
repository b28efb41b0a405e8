//! The analyzer rules that put our functions in place of the engine's, and what bounds those that remain.

pub(super) mod computed_items;
mod filtered;
pub(super) mod joined_texts;
pub(super) mod metering;
pub(super) mod rules;
pub(super) mod stepwise;
