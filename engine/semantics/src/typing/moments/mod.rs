//! Moments and dates when a statement is bound: the zone of what has none, words that follow the clock, days that are added.

pub(super) mod common_zone;
pub(super) mod day_counts;
pub(super) mod words;
pub(super) mod zone_changes;
