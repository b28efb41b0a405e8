//! Which side of a join is collected, by what is known of its rows.

pub(crate) mod collect_one_row_side;
pub(crate) mod collect_small_side;
