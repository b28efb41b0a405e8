//! Physical operators that do what one of DataFusion's does, in less time for some inputs. Each hands what is left over to DataFusion's
//! own where its input is none of these. Knows no table and no policy.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

mod null_aware_anti_join;
mod perfect_hash;
mod plain_sort;

pub use null_aware_anti_join::NullAwareAntiJoinExec;
pub use perfect_hash::{AggregateByPerfectHash, PerfectHashAggregateExec};
pub use plain_sort::{PlainSortExec, SortPlainTexts};
