//! Whether a value is one of the type that the plan wants, digit for digit. Knows no plan.

use super::{Declared, Digits};
use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Decimal128Type, Int16Type, Int32Type, Int64Type};
use querygate_semantics::numerics::parse as parse_numeric;
use querygate_types::PgType;

/// What a numeric is planned as while no value is known.
const NUMERIC: DataType = DataType::Decimal128(38, 10);

/// A parameter: what the client sends, and what the plan wants.
#[derive(Debug, Clone)]
pub(crate) struct Parameter {
    pub(crate) pg_type: PgType,
    pub(crate) planned: DataType,
    /// Whether results may show how many places a numeric has.
    pub(crate) shows: bool,
    /// The type of which its text is a value that has several.
    pub(crate) read_as: Option<PgType>,
    /// The type of what it is compared with. `None`: none is known, or it is one of a few labels.
    pub(crate) beside: Option<PgType>,
}

impl Parameter {
    /// Whether values can be given as they are in the planned type. What is no numeric is read by its type's own rules.
    pub(crate) fn holds(&self, given: &dyn Array) -> bool {
        // Fractions among whole numbers or decimals of some places would be rounded, as doubles among reals would be.
        match (self.pg_type, &self.planned) {
            (PgType::Float4Array, DataType::List(item)) => return item.data_type().is_floating(),
            (PgType::Float8Array, DataType::List(item)) => return item.data_type() == &DataType::Float64,
            (PgType::NumericArray, DataType::List(_)) => {}
            // As one text, it would be compared letter by letter.
            (PgType::Float4Array | PgType::Float8Array | PgType::NumericArray, _) => return false,
            _ => {}
        }
        if !matches!(self.pg_type, PgType::Numeric | PgType::NumericArray) {
            return true;
        }
        let item = match &self.planned {
            DataType::List(item) => item.data_type(),
            planned => planned,
        };
        let Some(values) = numerics(given) else { return true };
        if values.is_empty() {
            // NULL has no places to add to those of what stands beside it.
            return !(self.shows && item == &NUMERIC);
        }
        values.iter().all(|value| self.holds_one(*value, item))
    }

    fn holds_one(&self, (digits, scale): (i128, i8), planned: &DataType) -> bool {
        match planned {
            DataType::Decimal128(_, wanted) if self.shows && scale != *wanted => false,
            DataType::Decimal128(precision, wanted) => exactly(digits, scale, *wanted)
                .is_some_and(|digits| digits.unsigned_abs() < 10_u128.pow(u32::from(*precision))),
            DataType::Int16 => whole(digits, scale).is_some_and(|whole| i16::try_from(whole).is_ok()),
            DataType::Int32 => whole(digits, scale).is_some_and(|whole| i32::try_from(whole).is_ok()),
            DataType::Int64 => whole(digits, scale).is_some_and(|whole| i64::try_from(whole).is_ok()),
            _ => true,
        }
    }

    /// The type to bind the statement with for values: room for each of them. `None` where they are no numerics.
    pub(crate) fn declared_for(&self, given: &dyn Array) -> Option<Declared> {
        if matches!(self.pg_type, PgType::Float4Array | PgType::Float8Array) {
            return Some(Declared { pg_type: self.pg_type, digits: Some(Digits::for_value(0, 0)) });
        }
        if !matches!(self.pg_type, PgType::Numeric | PgType::NumericArray) {
            return None;
        }
        let values = numerics(given)?.into_iter();
        let digits = values.map(|(digits, scale)| Digits::for_value(digits, u8::try_from(scale).unwrap_or(0)));
        let digits = digits.reduce(Digits::or).unwrap_or_else(|| Digits::for_value(0, 0));
        Some(Declared { pg_type: self.pg_type, digits: Some(digits) })
    }
}

/// Digits and scale of numerics, or of the members of an array of them; NULLs have none. `None`: what is given is not of a type that
/// holds numerics, or cannot be read.
fn numerics(given: &dyn Array) -> Option<Vec<(i128, i8)>> {
    let rows = (0..given.len()).filter(|row| given.is_valid(*row));
    match given.data_type() {
        DataType::Decimal128(_, scale) => {
            let values = given.as_primitive::<Decimal128Type>();
            Some(rows.map(|row| (values.value(row), *scale)).collect())
        }
        DataType::Int16 => Some(rows.map(|row| (given.as_primitive::<Int16Type>().value(row).into(), 0)).collect()),
        DataType::Int32 => Some(rows.map(|row| (given.as_primitive::<Int32Type>().value(row).into(), 0)).collect()),
        DataType::Int64 => Some(rows.map(|row| (given.as_primitive::<Int64Type>().value(row).into(), 0)).collect()),
        DataType::Utf8 => rows.map(|row| parse_numeric(given.as_string::<i32>().value(row))).collect(),
        DataType::List(_) => {
            let members = given.as_list::<i32>().values();
            let DataType::Decimal128(_, scale) = members.data_type() else { return None };
            let values = members.as_primitive::<Decimal128Type>().iter().flatten();
            Some(values.map(|digits| (digits, *scale)).collect())
        }
        _ => None,
    }
}

/// Digits at another scale, if none is lost.
fn exactly(digits: i128, from: i8, to: i8) -> Option<i128> {
    let factor = 10_i128.checked_pow(u32::from((i16::from(to) - i16::from(from)).unsigned_abs()));
    if to >= from {
        return if digits == 0 { Some(0) } else { digits.checked_mul(factor?) };
    }
    match factor {
        Some(factor) => (digits % factor == 0).then(|| digits / factor),
        None => (digits == 0).then_some(0),
    }
}

fn whole(digits: i128, scale: i8) -> Option<i128> {
    exactly(digits, scale, 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Decimal128Array, StringArray, new_null_array};

    fn numeric(digits: i128, scale: i8) -> Decimal128Array {
        Decimal128Array::from(vec![digits]).with_precision_and_scale(38, scale).unwrap()
    }

    fn parameter(planned: DataType, shows: bool) -> Parameter {
        Parameter { pg_type: PgType::Numeric, planned, shows, read_as: None, beside: None }
    }

    fn declared(digits: i128, places: u8) -> Declared {
        Declared { pg_type: PgType::Numeric, digits: Some(Digits::for_value(digits, places)) }
    }

    #[test]
    fn places_that_show_are_the_value_s_own() {
        let shown = parameter(DataType::Decimal128(15, 2), true);
        assert!(shown.holds(&numeric(150, 2)));
        assert!(!shown.holds(&numeric(15, 1)) && !shown.holds(&numeric(5, 3)));
        assert!(!shown.holds(&StringArray::from(vec!["1.5"])) && shown.holds(&StringArray::from(vec!["x"])));
        assert_eq!(shown.declared_for(&numeric(5, 3)), Some(declared(5, 3)));
        let null = new_null_array(&DataType::Decimal128(38, 10), 1);
        assert!(shown.holds(null.as_ref()) && !parameter(NUMERIC, true).holds(null.as_ref()));
        let whole = Some(declared(0, 0));
        assert_eq!(parameter(NUMERIC, true).declared_for(null.as_ref()), whole);
    }

    #[test]
    fn arrays_are_not_compared_as_texts() {
        let item = DataType::Decimal128(38, 1);
        let none = new_null_array(&DataType::new_list(item.clone(), true), 1);
        let of = |planned| Parameter { pg_type: PgType::NumericArray, ..parameter(planned, false) };
        assert!(!of(DataType::Utf8).holds(none.as_ref()));
        assert!(of(DataType::new_list(item, true)).holds(none.as_ref()));
        assert_eq!(
            of(DataType::Utf8).declared_for(none.as_ref()).map(|declared| declared.pg_type),
            Some(PgType::NumericArray)
        );
    }

    #[test]
    fn doubles_are_not_read_as_reals() {
        let list = |item| DataType::List(std::sync::Arc::new(arrow::datatypes::Field::new("item", item, true)));
        let of = |pg_type, item| Parameter { pg_type, ..parameter(list(item), false) };
        let none = new_null_array(&list(DataType::Float64), 1);
        assert!(of(PgType::Float8Array, DataType::Float64).holds(none.as_ref()));
        assert!(!of(PgType::Float8Array, DataType::Float32).holds(none.as_ref()));
        assert!(of(PgType::Float4Array, DataType::Float64).holds(none.as_ref()));
        assert!(!of(PgType::Float4Array, DataType::Int32).holds(none.as_ref()));
    }

    #[test]
    fn what_is_only_compared_may_be_of_the_other_type_if_no_digit_is_lost() {
        let price = parameter(DataType::Decimal128(15, 2), false);
        assert!(price.holds(&numeric(15, 1)) && price.holds(&numeric(1500, 3)) && !price.holds(&numeric(5, 3)));
        assert!(!price.holds(&numeric(10_i128.pow(14), 0)));
        let count = parameter(DataType::Int16, false);
        assert!(count.holds(&numeric(70, 1)) && !count.holds(&numeric(75, 1)) && !count.holds(&numeric(40_000, 0)));
        assert!(count.holds(&numeric(0, 38)));
    }
}
