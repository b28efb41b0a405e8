//! Which side of a join is collected, by what is known of its rows, and what of it.

pub(crate) mod collect_distinct_keys;
pub(crate) mod collect_one_row_side;
pub(crate) mod collect_small_side;
pub(crate) mod collect_subquery_of_not_in;

use datafusion::physical_plan::aggregates::AggregateMode;

/// Whether an aggregate of this mode gives each group once and finished. Partial ones give a group once for each stream.
fn gives_whole_groups(mode: AggregateMode) -> bool {
    match mode {
        AggregateMode::Final
        | AggregateMode::FinalPartitioned
        | AggregateMode::Single
        | AggregateMode::SinglePartitioned => true,
        AggregateMode::Partial | AggregateMode::PartialReduce => false,
    }
}
