//! How many rows an operator is given at once whose expressions make much of little: a batch of the usual rows may become hundreds
//! of megabytes of texts. Knows no operator.

use crate::bytes::batch_bytes;
use crate::memory::Constants;
use arrow::record_batch::RecordBatch;
use querygate_types::limits;

/// What an operator made of the rows that it was given last.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Made {
    /// Bytes that its functions charged.
    pub(crate) bytes: usize,
    /// Bytes of each row that came out, constants included.
    pub(crate) row: usize,
}

impl Made {
    /// Learns from what came out.
    pub(crate) fn of(&mut self, batch: &RecordBatch) {
        let bytes = usize::try_from(batch_bytes(batch)).unwrap_or(usize::MAX);
        self.row = bytes.checked_div(batch.num_rows()).unwrap_or(0);
    }
}

/// How many rows the operator above computes at once, chosen so that what it makes of them is about a batch of the usual bytes.
pub(crate) struct Pace {
    /// What is left of a batch.
    rest: Option<RecordBatch>,
    /// Rows that were handed up last, until it is known what was made of them.
    given: usize,
    /// Rows to hand up next, at most.
    most: usize,
    /// Bytes of the constants that are written into each row.
    constant: usize,
    /// Whether there are constants of any length, which a condition may write into some rows only.
    is_open: bool,
}

/// Rows of the first piece, of which nothing is known.
const FIRST_ROWS: usize = 64;

/// How many times as many rows as before are handed up where constants may be of any length.
const OPEN_GROWTH: usize = 4;

impl Pace {
    pub(crate) fn new(constants: Constants) -> Self {
        let first = if constants.is_open { 1 } else { FIRST_ROWS };
        Self {
            rest: None,
            given: 0,
            most: rows_of(constants.bytes).min(first),
            constant: constants.bytes,
            is_open: constants.is_open,
        }
    }

    /// What is left of a batch, if any.
    pub(crate) fn rest(&mut self) -> Option<RecordBatch> {
        self.rest.take()
    }

    /// Learns what was made of the rows that were handed up last.
    pub(crate) fn learn(&mut self, made: Made) {
        let rows = std::mem::take(&mut self.given);
        if rows > 0 {
            let each = made.bytes.div_ceil(rows).max(made.row);
            let most = rows_of(each);
            // Rows without such a constant tell nothing of those with it.
            self.most = if self.is_open { most.min(rows.saturating_mul(OPEN_GROWTH)).min(FIRST_ROWS) } else { most };
        }
    }

    /// Hands up no more rows than this at once.
    pub(crate) fn bound(&mut self, rows: usize) {
        self.most = rows;
    }

    /// The next rows of a batch; the others wait.
    pub(crate) fn cut(&mut self, batch: RecordBatch) -> RecordBatch {
        let rows = batch.num_rows();
        self.given = rows.min(self.most);
        if self.given == rows {
            return batch;
        }
        self.rest = Some(batch.slice(self.given, rows - self.given));
        batch.slice(0, self.given)
    }

    /// Bytes of the constants in the rows that were handed up last.
    pub(crate) fn constants(&self) -> usize {
        self.given.saturating_mul(self.constant)
    }
}

/// Rows of a given size in a batch.
pub(crate) fn rows_of(bytes: usize) -> usize {
    limits::BATCH_BYTES.checked_div(bytes).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, AsArray, Int64Array};
    use arrow::datatypes::Int64Type;
    use std::sync::Arc;

    #[test]
    fn rows_without_an_open_constant_tell_little_of_the_next() {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..8_192));
        let mut next = Some(RecordBatch::try_from_iter([("n", numbers)]).unwrap());
        let mut pace = Pace::new(Constants { bytes: 0, is_open: true });
        let mut pieces = Vec::new();
        while let Some(rest) = next.filter(|_| pieces.len() < 6) {
            pieces.push(pace.cut(rest).num_rows());
            pace.learn(Made { bytes: 0, row: if pieces.len() == 5 { 5 << 20 } else { 8 } });
            next = pace.rest();
        }
        assert_eq!(pieces, [1, 4, 16, 64, 64, 1]);
    }

    #[test]
    fn rows_come_in_pieces_of_which_a_usual_batch_is_made() {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..8_192));
        let batch = RecordBatch::try_from_iter([("n", numbers)]).unwrap();
        // Constants of each row, bytes that are made of it, and the rows of the first piece and of those after.
        for (constant, made, first, then) in
            [(0, 0, 64, 8_128), (0, 100, 64, 8_128), (0, 20_000, 64, 52), (0, 5 << 20, 64, 1), (20_000, 0, 52, 52)]
        {
            let mut pace = Pace::new(Constants { bytes: constant, is_open: false });
            let (mut next, mut pieces) = (Some(batch.clone()), Vec::new());
            while let Some(rest) = next {
                let piece = pace.cut(rest);
                assert_eq!(pace.constants(), piece.num_rows() * constant);
                pace.learn(Made { bytes: piece.num_rows() * (made + constant), row: 8 });
                pieces.push(piece);
                next = pace.rest();
            }
            assert_eq!((pieces[0].num_rows(), pieces[1].num_rows()), (first, then), "{made}");
            let rows = pieces.iter().flat_map(|piece| piece.column(0).as_primitive::<Int64Type>().values().to_vec());
            assert!(rows.eq(0..8_192), "{made}");
        }
    }
}
