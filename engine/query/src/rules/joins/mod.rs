//! Which side of a join is collected, by what is known of its rows, and what of it.

pub(crate) mod collect_distinct_keys;
pub(crate) mod collect_one_row_side;
pub(crate) mod collect_small_side;
pub(crate) mod collect_subquery_of_not_in;
