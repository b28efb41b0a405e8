//! Aggregates whose results are Postgres' where the engine's are not.

pub(super) mod averages;
pub(super) mod extremes;
mod frame_sums;
pub(super) mod idle_order;
pub(super) mod ordered;
mod plain_nan;
pub(super) mod sum;
pub(super) mod variances;
