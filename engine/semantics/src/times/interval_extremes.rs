//! `min` and `max` of intervals: by their lengths, of which equal ones keep the last one, as PostgreSQL's functions do. And which of
//! equally long ones a group shows: that with the most months, whatever order they come in.

use super::interval_length::{INTERVAL, length};
use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, IntervalMonthDayNano, IntervalMonthDayNanoType};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// The aggregate of this name for intervals; `None`: it is another one.
pub(crate) fn of(name: &str) -> Option<Arc<AggregateUDF>> {
    match name {
        "max" => Some(aggregate(Wanted::Longest)),
        "min" => Some(aggregate(Wanted::Shortest)),
        _ => None,
    }
}

/// The one of a group's intervals that it shows.
pub(crate) fn shown() -> Arc<AggregateUDF> {
    aggregate(Wanted::MostMonths)
}

fn aggregate(wanted: Wanted) -> Arc<AggregateUDF> {
    let signature = Signature::exact(vec![INTERVAL], Volatility::Immutable);
    Arc::new(AggregateUDF::new_from_impl(Extreme { wanted, signature }))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Wanted {
    Longest,
    Shortest,
    /// Of equally long ones.
    MostMonths,
}

impl Wanted {
    /// Whether a value is kept where another one comes.
    fn keeps(self, best: (i128, IntervalMonthDayNano), next: (i128, IntervalMonthDayNano)) -> bool {
        match self {
            Self::Longest => best.0 > next.0,
            Self::Shortest => best.0 < next.0,
            Self::MostMonths => best > next,
        }
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Extreme {
    wanted: Wanted,
    signature: Signature,
}

impl AggregateUDFImpl for Extreme {
    fn name(&self) -> &'static str {
        match self.wanted {
            Wanted::Longest => "interval_max",
            Wanted::Shortest => "interval_min",
            Wanted::MostMonths => "interval_shown",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(INTERVAL)
    }

    fn accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Best { wanted: self.wanted, best: None }))
    }

    fn create_sliding_accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Frame { wanted: self.wanted, values: BTreeMap::new() }))
    }
}

fn values(of: &[ArrayRef]) -> Result<impl Iterator<Item = IntervalMonthDayNano> + '_> {
    let [column] = of else { return exec_err!("one argument was expected") };
    Ok(column.as_primitive::<IntervalMonthDayNanoType>().iter().flatten())
}

fn scalar(value: Option<IntervalMonthDayNano>) -> ScalarValue {
    ScalarValue::IntervalMonthDayNano(value)
}

/// The best value so far, and its length.
#[derive(Debug)]
struct Best {
    wanted: Wanted,
    best: Option<(i128, IntervalMonthDayNano)>,
}

impl Accumulator for Best {
    fn update_batch(&mut self, of: &[ArrayRef]) -> Result<()> {
        for value in values(of)? {
            let next = (length(value), value);
            if !self.best.is_some_and(|best| self.wanted.keeps(best, next)) {
                self.best = Some(next);
            }
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(scalar(self.best.map(|(_, value)| value)))
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }
}

/// Bytes of a length's entry in the map, about.
const ENTRY_BYTES: usize = 64;

/// The values of a frame by their lengths: those of each in the order in which they came.
#[derive(Debug)]
struct Frame {
    wanted: Wanted,
    values: BTreeMap<i128, VecDeque<IntervalMonthDayNano>>,
}

impl Accumulator for Frame {
    fn update_batch(&mut self, of: &[ArrayRef]) -> Result<()> {
        for value in values(of)? {
            self.values.entry(length(value)).or_default().push_back(value);
        }
        Ok(())
    }

    fn retract_batch(&mut self, of: &[ArrayRef]) -> Result<()> {
        for value in values(of)? {
            let own = length(value);
            if let Some(equal) = self.values.get_mut(&own) {
                // Rows leave in the order in which they came, so it is the first or near it.
                if let Some(place) = equal.iter().position(|one| *one == value) {
                    let _ = equal.remove(place);
                }
                if equal.is_empty() {
                    self.values.remove(&own);
                }
            }
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let best = match self.wanted {
            Wanted::Longest | Wanted::MostMonths => self.values.values().next_back(),
            Wanted::Shortest => self.values.values().next(),
        };
        Ok(scalar(best.and_then(|equal| equal.back()).copied()))
    }

    fn size(&self) -> usize {
        let rows: usize = self.values.values().map(VecDeque::capacity).sum();
        size_of_val(self) + self.values.len() * ENTRY_BYTES + rows * size_of::<IntervalMonthDayNano>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }
}
