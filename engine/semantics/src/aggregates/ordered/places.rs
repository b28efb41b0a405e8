//! Where rows go: group after group, and within each by their keys. Rows with the same keys stay as they came.

use arrow::array::{Array, ArrayRef};
use arrow::compute::SortOptions;
use arrow::datatypes::DataType;
use arrow::row::{RowConverter, Rows, SortField};
use datafusion::common::Result;
use querygate_resources::proceed;

/// Bytes of a key that fits into a number, beside its row.
const NUMBER_BYTES: usize = 12;

/// Rows by group: the rows of group `g` are `rows[starts[g]..starts[g + 1]]`.
pub(super) struct Places {
    pub(super) starts: Vec<u32>,
    pub(super) rows: Vec<u32>,
}

impl Places {
    /// Rows of groups below a number, in the order in which they came.
    pub(super) fn by_group(groups: &[u32], count: usize) -> Self {
        let mut starts = vec![0_u32; count + 1];
        for group in groups {
            if let Some(start) = starts.get_mut(*group as usize + 1) {
                *start += 1;
            }
        }
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        let mut next = starts.clone();
        let mut rows = vec![0; starts[count] as usize];
        for (group, row) in groups.iter().zip(0_u32..) {
            if (*group as usize) < count {
                let place = &mut next[*group as usize];
                rows[*place as usize] = row;
                *place += 1;
            }
        }
        Self { starts, rows }
    }

    /// Sorts each group by keys of all rows.
    pub(super) fn sort(&mut self, keys: &[ArrayRef], options: &[SortOptions]) -> Result<()> {
        let fields = keys
            .iter()
            .zip(options)
            .map(|(key, options)| SortField::new_with_options(key.data_type().clone(), *options));
        let converter = RowConverter::new(fields.collect())?;
        proceed()?;
        let rows = converter.convert_columns(keys)?;
        let numbers = numbers(keys, &rows);
        for at in 1..self.starts.len() {
            proceed()?;
            let group = &mut self.rows[self.starts[at - 1] as usize..self.starts[at] as usize];
            if group.len() < 2 {
                continue;
            }
            match &numbers {
                // A row's number ends with its place, so that no two are the same.
                Some(numbers) => {
                    let mut sorted: Vec<u128> = group.iter().map(|row| numbers[*row as usize]).collect();
                    sorted.sort_unstable();
                    for (row, number) in group.iter_mut().zip(sorted) {
                        *row = u32::try_from(number & u128::from(u32::MAX)).unwrap_or_default();
                    }
                }
                None => group.sort_unstable_by(|a, b| rows.row(*a as usize).cmp(&rows.row(*b as usize)).then(a.cmp(b))),
            }
        }
        Ok(())
    }
}

impl Places {
    /// Leaves out rows whose keys are those of the row before; groups are sorted by them.
    pub(super) fn tell_apart(&mut self, keys: &[ArrayRef]) -> Result<()> {
        let fields = keys.iter().map(|key| SortField::new(key.data_type().clone()));
        let converter = RowConverter::new(fields.collect())?;
        proceed()?;
        let rows = converter.convert_columns(keys)?;
        let mut first = Vec::with_capacity(self.rows.len());
        let mut starts = Vec::with_capacity(self.starts.len());
        for ends in self.starts.windows(2) {
            starts.push(u32::try_from(first.len()).unwrap_or(u32::MAX));
            let group = &self.rows[ends[0] as usize..ends[1] as usize];
            let mut before = None;
            for row in group {
                let key = rows.row(*row as usize);
                if before != Some(key) {
                    first.push(*row);
                }
                before = Some(key);
            }
        }
        starts.push(u32::try_from(first.len()).unwrap_or(u32::MAX));
        (self.rows, self.starts) = (first, starts);
        Ok(())
    }
}

/// Keys of a fixed short length as numbers that compare like them; the row's place is the lowest part.
fn numbers(keys: &[ArrayRef], rows: &Rows) -> Option<Vec<u128>> {
    let width = |key: &ArrayRef| match key.data_type() {
        DataType::Boolean => Some(2),
        other => other.primitive_width().map(|width| width + 1),
    };
    if keys.iter().map(width).sum::<Option<usize>>()? > NUMBER_BYTES {
        return None;
    }
    let number = |(row, place): (usize, u32)| {
        let mut bytes = [0; 16];
        let key = rows.row(row);
        let key = key.as_ref();
        bytes[..key.len().min(NUMBER_BYTES)].copy_from_slice(&key[..key.len().min(NUMBER_BYTES)]);
        u128::from_be_bytes(bytes) | u128::from(place)
    };
    Some((0..rows.num_rows()).zip(0_u32..).map(number).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Float64Array, Int64Array, StringArray};
    use std::sync::Arc;

    fn sorted(keys: &[ArrayRef], options: &[SortOptions], groups: &[u32], count: usize) -> Vec<Vec<u32>> {
        let mut places = Places::by_group(groups, count);
        places.sort(keys, options).unwrap();
        places.starts.windows(2).map(|ends| places.rows[ends[0] as usize..ends[1] as usize].to_vec()).collect()
    }

    #[test]
    fn rows_of_each_group_are_sorted_and_equal_ones_stay() {
        let up = SortOptions { descending: false, nulls_first: false };
        let down = SortOptions { descending: true, nulls_first: true };
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(3), Some(-1), None, Some(3), Some(i64::MIN)]));
        assert_eq!(sorted(&[Arc::clone(&numbers)], &[up], &[0; 5], 1), [[4, 1, 0, 3, 2]]);
        assert_eq!(sorted(&[Arc::clone(&numbers)], &[down], &[0; 5], 1), [[2, 0, 3, 1, 4]]);
        assert_eq!(sorted(&[Arc::clone(&numbers)], &[up], &[1, 0, 1, 1, 0], 3), [vec![4, 1], vec![0, 3, 2], vec![]]);
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![f64::NAN, -0.5, f64::INFINITY, -2.0, 0.0]));
        assert_eq!(sorted(&[floats], &[up], &[0; 5], 1), [[3, 1, 4, 2, 0]]);
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["b", "a", "", "b", "ab"]));
        assert_eq!(sorted(&[Arc::clone(&texts)], &[up], &[0; 5], 1), [[2, 1, 4, 0, 3]]);
        assert_eq!(sorted(&[texts, numbers], &[up, down], &[0; 5], 1), [[2, 1, 4, 0, 3]]);
    }

    #[test]
    fn rows_of_later_groups_are_left_out() {
        let keys: ArrayRef = Arc::new(Int64Array::from(vec![2, 1, 0]));
        let up = SortOptions { descending: false, nulls_first: false };
        assert_eq!(sorted(&[keys], &[up], &[0, 1, 0], 1), [[2, 0]]);
    }
}
