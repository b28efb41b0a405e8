//! What Postgres decides when it binds: types of literals, of two sides, of branches and of constants.

pub(super) mod binding;
pub(super) mod comparable;
pub(super) mod enum_order;
pub(super) mod literals;
pub(super) mod patterns;
pub(super) mod recursion;
pub(super) mod set_operations;
pub(super) mod unions;
