//! Dates, times, intervals and zones in microseconds, with Postgres' calendar and texts.

pub(super) mod civil;
pub(super) mod clock;
pub(super) mod date_trunc;
pub(super) mod datetime;
pub(super) mod interval_extremes;
pub(super) mod interval_length;
pub(super) mod local_moments;
pub(super) mod moments;
pub(super) mod units;
pub(super) mod zone;
pub(super) mod zoned_times;
