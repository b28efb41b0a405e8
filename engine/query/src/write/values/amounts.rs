//! What rows of a change take of memory on their way, estimated from their columns. Knows no account.

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use querygate_resources::bytes::own_bytes;

/// Of the rows that a statement gives or finds: as they were found, locked, as records, as they are stored.
pub(crate) const COPIES: usize = 8;
/// Of rows that are read to change them, and of what is made of them: as they are stored, as records, as they will be stored.
const STORED_COPIES: usize = 4;
/// A member of a list, and what its text takes beside its letters: in a record it is a value of its own.
const MEMBER_BYTES: usize = 64;

/// Bytes of rows as records.
pub(crate) fn bytes_as_records(rows: &RecordBatch) -> usize {
    rows.get_array_memory_size().saturating_add(bytes_of_members(rows.columns()))
}

/// Bytes of the members of lists as values of their own.
pub(crate) fn bytes_of_members(columns: &[ArrayRef]) -> usize {
    let lists = columns.iter().filter_map(|column| column.as_list_opt::<i32>());
    let members = lists.map(|list| {
        let ends = list.value_offsets().first().zip(list.value_offsets().last());
        ends.map_or(0, |(first, last)| usize::try_from(last - first).unwrap_or(0))
    });
    members.fold(0, usize::saturating_add).saturating_mul(MEMBER_BYTES)
}

/// Bytes of the columns of stored rows until their statement is over, whatever else their buffers hold.
pub(crate) fn bytes_as_stored(columns: &[ArrayRef]) -> usize {
    let own = columns.iter().map(own_bytes).fold(0, usize::saturating_add);
    own.saturating_add(bytes_of_members(columns)).saturating_mul(STORED_COPIES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Array, ListArray, StringArray};
    use arrow::datatypes::Int32Type;
    use std::sync::Arc;

    #[test]
    fn texts_weigh_as_they_are_and_members_of_lists_beside() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(1 << 20), String::new()]));
        assert!(bytes_as_stored(&[Arc::clone(&texts)]) >= 4 << 20);
        assert!(bytes_as_stored(&[texts.slice(1, 1)]) < 1_024, "of the slice alone");
        let list = |members: usize| -> ArrayRef {
            let one = Some((0..members).map(|_| Some(1)).collect::<Vec<_>>());
            Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>([one, Some(Vec::new())]))
        };
        assert!(bytes_of_members(&[list(1_000)]) == 1_000 * MEMBER_BYTES && bytes_of_members(&[texts]) == 0);
        assert_eq!(bytes_of_members(&[list(1_000).slice(1, 1)]), 0);
        assert!(bytes_as_stored(&[list(1_000)]) >= 1_000 * (MEMBER_BYTES + 4) * STORED_COPIES);
    }
}
