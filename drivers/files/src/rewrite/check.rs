//! What rows files hold, whatever their order: how many, and a sum of hashes of all their values. Knows no file.

use arrow::array::ArrayRef;
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};
use std::hash::{DefaultHasher, Hasher};

/// Rows, as far as they can be told apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) rows: u64,
    hash: u128,
}

/// Adds up rows of one schema.
pub(super) struct Summing {
    converter: RowConverter,
    sum: Sum,
}

impl Summing {
    pub(super) fn new(schema: &Schema) -> Result<Self, ArrowError> {
        let fields = schema.fields().iter().map(|field| SortField::new(field.data_type().clone()));
        Ok(Self { converter: RowConverter::new(fields.collect())?, sum: Sum::default() })
    }

    /// Rows of a folder, all columns in the order of the schema.
    pub(super) fn add(&mut self, folder: &str, columns: &[ArrayRef]) -> Result<(), ArrowError> {
        let rows = self.converter.convert_columns(columns)?;
        for row in &rows {
            let half = |salt: u8| {
                let mut hasher = DefaultHasher::new();
                hasher.write_u8(salt);
                hasher.write(folder.as_bytes());
                hasher.write_u8(0xff);
                hasher.write(row.as_ref());
                u128::from(hasher.finish())
            };
            // A sum, so that rows in any order, and equal rows as often as they stand, count alike.
            self.sum.hash = self.sum.hash.wrapping_add((half(1) << 64) | half(2));
            self.sum.rows += 1;
        }
        Ok(())
    }

    pub(super) fn sum(&self) -> Sum {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Float64Array, RecordBatch, StringArray};
    use std::sync::Arc;

    fn sum(folder: &str, rows: &[(f64, Option<&str>)]) -> Sum {
        let numbers: Float64Array = rows.iter().map(|(number, _)| Some(*number)).collect();
        let texts: StringArray = rows.iter().map(|(_, text)| *text).collect();
        let columns: [(&str, ArrayRef); 2] = [("n", Arc::new(numbers)), ("t", Arc::new(texts))];
        let batch =
            RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap();
        let mut summing = Summing::new(&batch.schema()).unwrap();
        summing.add(folder, batch.columns()).unwrap();
        summing.sum()
    }

    #[test]
    fn the_order_of_rows_does_not_count_and_everything_else_does() {
        let rows = [(1.0, Some("a")), (2.0, None), (0.0, Some("")), (1.0, Some("a"))];
        let mut turned = rows;
        turned.reverse();
        let base = sum("", &rows);
        assert_eq!((base.rows, sum("", &turned)), (4, base));
        for other in [
            sum("x", &rows),
            sum("", &rows[..3]),
            sum("", &[(1.0, Some("a")), (2.0, Some("")), (0.0, Some("")), (1.0, Some("a"))]),
            sum("", &[(1.0, Some("a")), (2.0, None), (-0.0, Some("")), (1.0, Some("a"))]),
            sum("", &[(1.0, Some("a")), (2.0, None), (0.0, Some("")), (2.0, None)]),
        ] {
            assert_ne!(other, base);
        }
    }
}
