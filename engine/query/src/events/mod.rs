//! What one who follows changes may see of them: each row is judged by the follower's own policy as it is now, before and after the
//! change. Reads no log.

mod filter_outcome;
mod raw_rows;
mod row_verdict;
mod table;
mod view;

pub(crate) use raw_rows::RawRows;
pub(crate) use row_verdict::{RowEvent, RowVerdict, row_verdicts, seen_rows};
pub(crate) use table::{EventReader, KeptEvents, NAME, table};
pub(crate) use view::{KeyText, View, aligned};
