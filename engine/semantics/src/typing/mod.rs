//! What Postgres decides when it binds: types of literals, of two sides, of branches and of constants.

pub(super) mod binding;
mod by_argument;
pub(super) mod comparable;
pub(super) mod enum_order;
mod float_items;
mod in_subquery_members;
pub(super) mod key_arguments;
pub(super) mod literals;
mod moments;
pub(super) mod null_if;
pub(super) mod order_keys;
pub(super) mod patterns;
pub(super) mod recursion;
pub(super) mod set_operations;
pub(super) mod told_jsonb;

pub use crate::casts::bits::is_bits;
pub use crate::casts::conversions::is_checked_text;
pub use binding::is_jsonb;
pub use comparable::is_comparison;
pub use enum_order::{check_label, of_column as enum_of_column};
pub use float_items::with_float_items;
pub(crate) use in_subquery_members::member_rows;
pub use key_arguments::is_key;
pub use moments::words::follows_clock;
pub(crate) use order_keys::has_keys;
pub use set_operations::compares_rows;
