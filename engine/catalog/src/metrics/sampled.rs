//! What the values of passing columns are like: a sample of the rows of one run, taken evenly as they pass, summed up where it
//! ends. No value leaves it but the ends of the middle of a column's numbers, and counts by hash.

use super::fingerprint::fingerprint;
use arrow::array::{Array, ArrayRef, AsArray, UInt64Array};
use arrow::compute::{CastOptions, cast_with_options, take};
use arrow::datatypes::{DataType, Float64Type};
use arrow::record_batch::RecordBatch;
use querygate_telemetry_api::fragment::{CATEGORIES, ColumnSummary};

/// Rows of one run that are looked at, at most; half as many once there were more.
const ROWS_MOST: usize = 1_024;
/// Share of the numbers at each end that do not count: one odd row is not another range.
const CUT: f64 = 0.01;
/// Columns of more different values have no mix of categories.
const DISTINCT_MOST: usize = CATEGORIES;

/// Bytes of a text that its hash is of, besides its length: texts may be long, and this is on the way of rows.
const HASHED_MOST: usize = 64;

/// A value: its number (of text the length, of a time its place in time) and its hash.
#[derive(Debug, Clone, Copy)]
struct Seen {
    number: f64,
    hash: u64,
}

/// Takes rows of a run at a distance.
#[derive(Debug)]
pub(crate) struct Sampler {
    /// Rows that passed.
    passed: usize,
    /// The distance between rows that are taken: a power of two.
    every: usize,
    rows: usize,
    columns: Vec<Column>,
}

/// One value of each row that was taken; `None` is NULL. Columns of other types have no values at all.
#[derive(Debug)]
enum Column {
    Followed(Vec<Option<Seen>>),
    Other,
}

impl Sampler {
    /// For a number of columns.
    pub(crate) fn new(columns: usize) -> Self {
        let column = |_| Column::Followed(Vec::new());
        Self { passed: 0, every: 1, rows: 0, columns: (0..columns).map(column).collect() }
    }

    pub(crate) fn add(&mut self, batch: &RecordBatch) {
        let first = self.passed.next_multiple_of(self.every) - self.passed;
        self.passed = self.passed.saturating_add(batch.num_rows());
        let places: Vec<u64> = (first..batch.num_rows()).step_by(self.every).map(|place| place as u64).collect();
        if places.is_empty() {
            return;
        }
        self.rows += places.len();
        let places = UInt64Array::from(places);
        for (column, array) in self.columns.iter_mut().zip(batch.columns()) {
            let Column::Followed(values) = column else { continue };
            match seen(array, &places) {
                Some(seen) => values.extend(seen),
                None => *column = Column::Other,
            }
        }
        while self.rows > ROWS_MOST {
            self.halve();
        }
    }

    /// Keeps the rows that half as dense a sample would have taken.
    fn halve(&mut self) {
        self.every *= 2;
        self.rows = self.rows.div_ceil(2);
        for column in &mut self.columns {
            if let Column::Followed(values) = column {
                let mut place = 0;
                values.retain(|_| {
                    place += 1;
                    place % 2 == 1
                });
            }
        }
    }

    /// In the order of the columns.
    pub(crate) fn summaries(self) -> Box<[ColumnSummary]> {
        let one = |column| match column {
            Column::Followed(values) => summary(&values),
            Column::Other => ColumnSummary::default(),
        };
        self.columns.into_iter().map(one).collect()
    }
}

fn summary(values: &[Option<Seen>]) -> ColumnSummary {
    let mut numbers: Vec<f64> = values.iter().flatten().map(|seen| seen.number).filter(|n| n.is_finite()).collect();
    numbers.sort_by(f64::total_cmp);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a few")]
    let cut = (numbers.len() as f64 * CUT).ceil() as usize;
    let middle = numbers.get(cut..numbers.len().saturating_sub(cut)).unwrap_or_default();
    let range = middle.first().copied().zip(middle.last().copied());
    ColumnSummary { range, categories: categories(values) }
}

/// Values by hash, if there are few different ones.
fn categories(values: &[Option<Seen>]) -> Option<[u32; CATEGORIES]> {
    let mut distinct = Vec::with_capacity(DISTINCT_MOST);
    let mut counts = [0; CATEGORIES];
    for seen in values.iter().flatten() {
        if !distinct.contains(&seen.hash) {
            if distinct.len() == DISTINCT_MOST {
                return None;
            }
            distinct.push(seen.hash);
        }
        #[expect(clippy::cast_possible_truncation, reason = "below the number of buckets")]
        let bucket = (seen.hash % CATEGORIES as u64) as usize;
        if let Some(count) = counts.get_mut(bucket) {
            *count += 1;
        }
    }
    (!distinct.is_empty()).then_some(counts)
}

/// The values at these places; `None` for types that are not followed.
fn seen(array: &ArrayRef, places: &UInt64Array) -> Option<Vec<Option<Seen>>> {
    let kind = array.data_type();
    let text = matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    if !(text || *kind == DataType::Boolean || kind.is_numeric() || kind.is_temporal()) {
        return None;
    }
    let taken = take(array, places, None).ok()?;
    let hashed = |number: f64, bytes: &[u8]| Seen { number, hash: fingerprint([bytes]) };
    #[expect(clippy::cast_precision_loss, reason = "a length")]
    let text = |text: &str| {
        let start = text.as_bytes().get(..HASHED_MOST).unwrap_or(text.as_bytes());
        Seen { number: text.len() as f64, hash: fingerprint([&text.len().to_le_bytes(), start]) }
    };
    Some(match taken.data_type() {
        DataType::Utf8 => taken.as_string::<i32>().iter().map(|value| value.map(text)).collect(),
        DataType::LargeUtf8 => taken.as_string::<i64>().iter().map(|value| value.map(text)).collect(),
        DataType::Utf8View => taken.as_string_view().iter().map(|value| value.map(text)).collect(),
        DataType::Boolean => {
            let one = |value: bool| hashed(f64::from(u8::from(value)), &[u8::from(value)]);
            taken.as_boolean().iter().map(|value| value.map(one)).collect()
        }
        kind if kind.is_numeric() || kind.is_temporal() => {
            let options = CastOptions::default();
            // A time has its place in time as its number only by way of integers.
            let plain =
                if kind.is_temporal() { cast_with_options(&taken, &DataType::Int64, &options).ok()? } else { taken };
            let numbers = cast_with_options(&plain, &DataType::Float64, &options).ok()?;
            let numbers = numbers.as_primitive::<Float64Type>();
            numbers.iter().map(|value| value.map(|number| hashed(number, &number.to_bits().to_le_bytes()))).collect()
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{BooleanArray, Date32Array, Decimal128Array, Int64Array, ListArray, StringArray};
    use arrow::datatypes::Int64Type;
    use std::sync::Arc;

    fn sampled(columns: &[ArrayRef], rows: usize) -> Vec<ColumnSummary> {
        let names = columns.iter().enumerate().map(|(n, column)| (format!("c{n}"), Arc::clone(column)));
        let batch = RecordBatch::try_from_iter(names).unwrap();
        let mut sampler = Sampler::new(columns.len());
        let whole = batch.num_rows();
        (0..whole).step_by(rows).for_each(|from| sampler.add(&batch.slice(from, rows.min(whole - from))));
        assert!(sampler.rows <= ROWS_MOST);
        sampler.summaries().into_vec()
    }

    /// However the rows are cut into batches.
    #[test]
    fn the_sample_is_even_and_says_of_each_column_what_can_be_said() {
        let n = 20_000_i64;
        let odd = |n: i64| if n == 0 { 1_000_000_000 } else { n };
        let columns: Vec<ArrayRef> = vec![
            Arc::new((0..n).map(odd).collect::<Int64Array>()),
            Arc::new(
                (0..n).map(|n| Some(["open", "won", "lost"][usize::try_from(n % 3).unwrap()])).collect::<StringArray>(),
            ),
            Arc::new((0..n).map(|n| Some(n % 4 == 0)).collect::<BooleanArray>()),
            Arc::new(
                Decimal128Array::from_iter_values((0..n).map(|n| i128::from(n) * 100))
                    .with_precision_and_scale(20, 2)
                    .unwrap(),
            ),
            Arc::new((0..n).map(|n| i32::try_from(n).ok()).collect::<Date32Array>()),
            Arc::new((0..n).map(|_| None::<i64>).collect::<Int64Array>()),
            Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>((0..n).map(|n| Some(vec![Some(n)])))),
        ];
        for rows in [20_000, 8_192, 1_000, 7] {
            let found = sampled(&columns, rows);
            for numbers in [0, 3, 4] {
                let (low, high) = found[numbers].range.unwrap();
                assert!(
                    (0.0..600.0).contains(&low) && (19_400.0..20_000.0).contains(&high),
                    "{rows} {numbers} {low} {high}"
                );
                assert_eq!(found[numbers].categories, None);
            }
            let counts = found[1].categories.unwrap();
            assert_eq!(
                (found[1].range, counts.iter().filter(|n| **n > 0).count()),
                (Some((3.0, 4.0)), 3),
                "{counts:?}"
            );
            assert!(counts.iter().sum::<u32>() > 500 && counts.iter().all(|n| *n == 0 || *n > 150), "{counts:?}");
            assert!(found[2].categories.is_some());
            assert_eq!((found[5], found[6]), (ColumnSummary::default(), ColumnSummary::default()));
        }
    }

    #[test]
    fn no_rows_and_few_rows_are_no_range() {
        assert_eq!(Sampler::new(1).summaries().into_vec(), [ColumnSummary::default()]);
        let two: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
        let [summary] = sampled(&[two], 10)[..] else { panic!() };
        assert_eq!(summary.range, None);
        assert!(summary.categories.is_some());
    }
}
