//! What a roll-up makes of the values of its children, one after the other. Numbers are exact where the source's are.

use querygate_driver_api::value::Value;
use querygate_metadata::model::SummaryFunction;
use querygate_types::{Error, ErrorCode, Result};
use serde_json::Value as Json;

/// The values that were counted so far.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Total {
    /// Children, with or without a value.
    rows: u64,
    values: u64,
    /// Scaled by `scale`.
    exact: i128,
    scale: u32,
    /// Of doubles, with what adding them has lost.
    double: f64,
    lost: f64,
    least: Option<f64>,
    greatest: Option<f64>,
}

impl Total {
    /// Counts a child. `None`: the roll-up is of records and of no field.
    ///
    /// # Errors
    /// 22003: the sum is beyond any number. 0A000: the value is no number.
    pub(super) fn add(&mut self, value: Option<&Value>) -> Result<()> {
        self.rows += 1;
        let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(()) };
        match value {
            Value::Boolean(flag) => self.add_exact(i128::from(*flag), 0),
            Value::Int16(number) => self.add_exact(i128::from(*number), 0),
            Value::Int32(number) => self.add_exact(i128::from(*number), 0),
            Value::Int64(number) => self.add_exact(i128::from(*number), 0),
            Value::Decimal128 { value, scale, .. } => {
                let scale = u32::try_from(*scale).map_err(|_| out_of_range())?;
                self.add_exact(*value, scale)
            }
            Value::Float32(number) => self.add_double(f64::from(*number)),
            Value::Float64(number) => self.add_double(*number),
            Value::Null(_)
            | Value::Text(_)
            | Value::Date(_)
            | Value::Time(_)
            | Value::Timestamp { .. }
            | Value::Binary(_)
            | Value::TextList(_) => Err(crate::write::target::closed("a summary is of values that are no numbers")),
        }
    }

    /// The value of the roll-up: of no children 0 where they are counted or summed, else null.
    pub(super) fn value(&self, function: SummaryFunction) -> Json {
        let double = |value: Option<f64>| value.map_or(Json::Null, Json::from);
        match function {
            SummaryFunction::Count => Json::from(self.rows),
            SummaryFunction::Sum => Json::from(self.sum()),
            SummaryFunction::Min => double(self.least),
            SummaryFunction::Max => double(self.greatest),
            SummaryFunction::Avg => {
                double((self.values > 0).then(|| self.sum() / to_double(i128::from(self.values), 0)))
            }
        }
    }

    fn sum(&self) -> f64 {
        to_double(self.exact, self.scale) + (self.double + self.lost)
    }

    fn note(&mut self, value: f64) {
        self.values += 1;
        self.least = Some(self.least.map_or(value, |least| least.min(value)));
        self.greatest = Some(self.greatest.map_or(value, |greatest| greatest.max(value)));
    }

    fn add_exact(&mut self, value: i128, scale: u32) -> Result<()> {
        let wider = scale.max(self.scale);
        let scaled = |value: i128, from: u32| value.checked_mul(10_i128.checked_pow(wider - from)?);
        let sum = scaled(self.exact, self.scale).and_then(|sum| sum.checked_add(scaled(value, scale)?));
        (self.exact, self.scale) = (sum.ok_or_else(out_of_range)?, wider);
        self.note(to_double(value, scale));
        Ok(())
    }

    fn add_double(&mut self, value: f64) -> Result<()> {
        let sum = self.double + value;
        if !sum.is_finite() {
            return Err(out_of_range());
        }
        self.lost +=
            if self.double.abs() >= value.abs() { (self.double - sum) + value } else { (value - sum) + self.double };
        self.double = sum;
        self.note(value);
        Ok(())
    }
}

/// The double next to a scaled number.
fn to_double(value: i128, scale: u32) -> f64 {
    // A number and its power of ten in one text are rounded once.
    format!("{value}e-{scale}").parse().unwrap_or(f64::NAN)
}

fn out_of_range() -> Error {
    Error::new(ErrorCode::NumericOutOfRange, "a summary is out of range")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roll_ups_of_numbers() {
        let decimal = |value| Value::Decimal128 { value, precision: 18, scale: 4 };
        let all = [
            SummaryFunction::Count,
            SummaryFunction::Sum,
            SummaryFunction::Min,
            SummaryFunction::Max,
            SummaryFunction::Avg,
        ];
        let of = |values: &[Option<Value>]| {
            let mut total = Total::default();
            values.iter().for_each(|value| total.add(value.as_ref()).unwrap());
            all.map(|function| total.value(function).to_string())
        };
        assert_eq!(of(&[]), ["0", "0.0", "null", "null", "null"]);
        assert_eq!(of(&[None, None]), ["2", "0.0", "null", "null", "null"]);
        let null = Value::Null(querygate_driver_api::value::ValueType::Int64);
        assert_eq!(
            of(&[Some(Value::Int64(3)), Some(null), Some(Value::Int64(-4))]),
            ["3", "-1.0", "-4.0", "3.0", "-0.5"]
        );
        assert_eq!(of(&[Some(decimal(1000)), Some(decimal(2000))]), ["2", "0.3", "0.1", "0.2", "0.15"]);
        let tenths = vec![Some(Value::Float64(0.1)); 10];
        assert_eq!(of(&tenths)[1], "1.0");
        let mut total = Total::default();
        assert!(total.add(Some(&Value::text("x"))).is_err());
        total.add(Some(&Value::Float64(f64::MAX))).unwrap();
        assert!(total.add(Some(&Value::Float64(f64::MAX))).is_err());
    }
}
