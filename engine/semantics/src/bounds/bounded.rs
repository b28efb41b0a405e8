//! The engine's functions whose calls need bounds, put around them after coercion: what a call will make is charged before, many rows
//! are computed some at a time with a question in between whether the statement is over, and what would take too long in one go is
//! computed otherwise or refused. What they mean stays.

use super::kernels::{once_each, position};
use super::of_no_rows;
use super::table::{Cost, Memory, Work, cost};
use crate::fault::external;
use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, expr::ScalarFunction,
};
use querygate_resources::bytes::own_bytes;
use querygate_resources::measured::{calls, has_room_for};
use querygate_resources::{aside, charge, proceed};
use querygate_types::{Error, ErrorCode};
use std::any::Any;
use std::sync::Arc;

/// Steps of work in one go: some milliseconds.
const STEPS_AT_ONCE: usize = 16 << 20;
/// Steps of work on one row, beyond which it is refused: about a second.
const STEPS_MAX: usize = 1 << 30;
/// Bytes of a set of characters in which hardly one is twice.
const SHORT_SET: usize = 64;

/// Puts bounds around a call that needs them; `Err`: it needs none.
pub(crate) fn bounded_call(call: ScalarFunction) -> std::result::Result<Expr, ScalarFunction> {
    match needed(&call.func) {
        Some(cost) => {
            let func = Arc::new(ScalarUDF::new_from_impl(Bounded { inner: call.func, cost }));
            Ok(Expr::ScalarFunction(ScalarFunction { func, args: call.args }))
        }
        None => Err(call),
    }
}

/// A function with its bounds, or as it is.
pub(crate) fn bounded(inner: Arc<ScalarUDF>) -> Arc<ScalarUDF> {
    match needed(&inner) {
        Some(cost) => Arc::new(ScalarUDF::new_from_impl(Bounded { inner, cost })),
        None => inner,
    }
}

/// What bounds stand around.
pub(crate) fn inner_of(function: &ScalarUDF) -> Option<&Arc<ScalarUDF>> {
    let inner: &dyn Any = function.inner().as_ref();
    inner.downcast_ref::<Bounded>().map(|bounded| &bounded.inner)
}

/// The cost of a function that does not hold to bounds by itself, and has none around it.
fn needed(function: &ScalarUDF) -> Option<Cost> {
    let cost = cost(function.name())?;
    let by_itself = match (cost.work, cost.memory) {
        (Work::Asks, _) | (_, Memory::Charges) => true,
        (Work::Bytes, Memory::Given) => false,
        (Work::Rows | Work::Bytes, memory) => !memory.grows(),
        (Work::Product | Work::Position | Work::Set, _) => false,
    };
    (!by_itself && inner_of(function).is_none()).then_some(cost)
}

/// A function of the engine within bounds.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Bounded {
    inner: Arc<ScalarUDF>,
    cost: Cost,
}

/// Bytes of a value in a number of rows.
pub(crate) fn bytes_of(value: &ColumnarValue, rows: usize) -> usize {
    match value {
        ColumnarValue::Array(array) => own_bytes(array),
        ColumnarValue::Scalar(scalar) => scalar.size().saturating_mul(rows),
    }
}

/// The length of the text or list of a row.
fn length(value: &ColumnarValue, row: usize) -> usize {
    match value {
        ColumnarValue::Array(array) => match array.data_type() {
            DataType::Utf8 => array.as_string::<i32>().value_length(row).unsigned_abs() as usize,
            DataType::LargeUtf8 => usize::try_from(array.as_string::<i64>().value_length(row)).unwrap_or(usize::MAX),
            DataType::Utf8View => array.as_string_view().views().get(row).map_or(0, |view| *view as u32 as usize),
            _ => own_bytes(&array.slice(row, 1)),
        },
        ColumnarValue::Scalar(scalar) => scalar.try_as_str().map_or(scalar.size(), |text| text.map_or(0, str::len)),
    }
}

fn sliced(value: &ColumnarValue, from: usize, rows: usize) -> ColumnarValue {
    match value {
        ColumnarValue::Array(array) => ColumnarValue::Array(array.slice(from, rows)),
        ColumnarValue::Scalar(scalar) => ColumnarValue::Scalar(scalar.clone()),
    }
}

impl Bounded {
    /// Bytes that a call makes.
    fn makes(&self, args: &[ColumnarValue], rows: usize) -> usize {
        let given = args.iter().map(|arg| bytes_of(arg, rows)).fold(0, usize::saturating_add);
        match self.cost.memory {
            Memory::Fixed | Memory::Passed | Memory::Given | Memory::Charges => 0,
            Memory::Times(times) => given.saturating_mul(times),
            Memory::Separated => {
                let separator = args.first().map_or(0, |first| bytes_of(first, rows));
                given.saturating_add(separator.saturating_mul(args.len()))
            }
            Memory::Replaced => given.saturating_add(replaced(args)),
        }
    }

    /// The call in one go.
    fn called(&self, args: ScalarFunctionArgs, rows: usize) -> Result<ColumnarValue> {
        let given = args.args.iter().map(|arg| bytes_of(arg, rows)).fold(0, usize::saturating_add);
        proceed()?;
        if self.cost.memory != Memory::Fixed {
            has_room_for(args.args.iter().map(|arg| bytes_of(arg, 1)).fold(0, usize::saturating_add))?;
        }
        aside(given, || self.inner.invoke_with_args(args))
    }

    /// Some rows at a time, as the product of the lengths of two arguments lets.
    fn stepwise(&self, args: &ScalarFunctionArgs, rows: usize) -> Result<ColumnarValue> {
        let (mut parts, mut from) = (Vec::new(), 0);
        while from < rows {
            let (mut count, mut steps) = (0, 0_usize);
            while from + count < rows {
                let row = steps_of(&args.args, from + count)?;
                if count > 0 && steps.saturating_add(row) > STEPS_AT_ONCE {
                    break;
                }
                (count, steps) = (count + 1, steps.saturating_add(row));
            }
            proceed()?;
            let part = ScalarFunctionArgs {
                args: args.args.iter().map(|arg| sliced(arg, from, count)).collect(),
                arg_fields: args.arg_fields.clone(),
                number_rows: count,
                return_field: Arc::clone(&args.return_field),
                config_options: Arc::clone(&args.config_options),
            };
            parts.push(aside(steps, || self.inner.invoke_with_args(part))?.into_array(count)?);
            from += count;
        }
        let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
        Ok(ColumnarValue::Array(arrow::compute::concat(&parts)?))
    }
}

/// Steps of work on a row.
///
/// # Errors
/// 54000: more than one call may take.
fn steps_of(args: &[ColumnarValue], row: usize) -> Result<usize> {
    let steps = args.iter().take(2).map(|arg| length(arg, row)).fold(1, usize::saturating_mul);
    if args.len() > 1 && steps > STEPS_MAX {
        let text = "a function is given two texts that are too long for each other";
        let error = Error::new(ErrorCode::ProgramLimitExceeded, text);
        return Err(external(error.with_hint("Make one of them shorter.")));
    }
    Ok(if args.len() > 1 { steps } else { 0 })
}

/// What the elements of an array are, each as long as the longest that takes another's place.
fn replaced(args: &[ColumnarValue]) -> usize {
    let elements = match args.first() {
        Some(ColumnarValue::Array(array)) => array.as_list_opt::<i32>().map_or(0, |lists| lists.values().len()),
        Some(ColumnarValue::Scalar(ScalarValue::List(list))) => list.values().len(),
        _ => 0,
    };
    let longest = match args.get(2) {
        Some(ColumnarValue::Scalar(scalar)) => scalar.size(),
        Some(ColumnarValue::Array(array)) => own_bytes(array),
        None => 0,
    };
    elements.saturating_mul(longest)
}

impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        self.inner.schema_name(args)
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn is_strict(&self) -> bool {
        self.inner.inner().is_strict()
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(types)
    }

    /// Joins constants, as a call would.
    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let constants = args.iter().filter_map(|arg| match arg {
            Expr::Literal(value, _) => Some(value.size()),
            _ => None,
        });
        if charge(constants.fold(0, usize::saturating_add)).is_err() {
            return Ok(ExprSimplifyResult::Original(args));
        }
        match self.inner.simplify(args, info)? {
            ExprSimplifyResult::Simplified(Expr::ScalarFunction(call)) => {
                Ok(ExprSimplifyResult::Simplified(bounded_call(call).unwrap_or_else(Expr::ScalarFunction)))
            }
            other => Ok(other),
        }
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if let Some(nothing) = of_no_rows(&args) {
            return Ok(nothing);
        }
        calls(self.cost.name);
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        charge(self.makes(&args.args, rows))?;
        if self.cost.work == Work::Set
            && let Some(set) = args.args.get_mut(1)
            && (0..rows).any(|row| length(set, row) > SHORT_SET)
        {
            *set = once_each(set)?;
        }
        // The engine looks for one text in many rows in linear time.
        let is_linear = self.cost.work == Work::Position
            && matches!(args.args.as_slice(), [ColumnarValue::Array(_), ColumnarValue::Scalar(_)]);
        if is_linear || !matches!(self.cost.work, Work::Product | Work::Position | Work::Set) || args.args.len() < 2 {
            return self.called(args, rows);
        }
        let longest = |arg: &ColumnarValue| (0..rows).map(|row| length(arg, row)).max().unwrap_or(0);
        let most = args.args.iter().take(2).map(longest).fold(rows, usize::saturating_mul);
        if most <= STEPS_AT_ONCE {
            return self.inner.invoke_with_args(args);
        }
        let whole = if self.cost.work == Work::Position {
            ColumnarValue::Array(aside(most, || position(&args.args, rows, args.return_field.data_type()))?)
        } else {
            self.stepwise(&args, rows)?
        };
        match whole {
            ColumnarValue::Array(array) if constant => {
                ScalarValue::try_from_array(&array, 0).map(ColumnarValue::Scalar)
            }
            other => Ok(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int32Array, StringArray};
    use arrow::datatypes::{Field, Int32Type};
    use datafusion::common::config::ConfigOptions;
    use datafusion::functions::string::{btrim, levenshtein, ltrim};
    use datafusion::functions::unicode::strpos;

    fn call(function: Arc<ScalarUDF>, args: Vec<ColumnarValue>, rows: usize) -> Result<ArrayRef> {
        let arg_fields: Vec<FieldRef> =
            args.iter().map(|arg| Arc::new(Field::new("", arg.data_type(), true))).collect();
        let scalars: Vec<Option<&ScalarValue>> = args.iter().map(|_| None).collect();
        let asked = ReturnFieldArgs { arg_fields: &arg_fields, scalar_arguments: &scalars };
        let return_field = function.return_field_from_args(asked)?;
        let config_options = Arc::new(ConfigOptions::new());
        let bounded = bounded(function);
        assert!(inner_of(&bounded).is_some(), "it needs bounds");
        bounded
            .invoke_with_args(ScalarFunctionArgs { args, arg_fields, number_rows: rows, return_field, config_options })?
            .into_array(rows)
    }

    fn texts(texts: &[&str]) -> ColumnarValue {
        ColumnarValue::Array(Arc::new(StringArray::from(texts.to_vec())))
    }

    fn text(text: &str) -> ColumnarValue {
        ColumnarValue::Scalar(ScalarValue::from(text))
    }

    #[test]
    fn places_are_the_engines_however_long_texts_are() {
        let long = "a".repeat(100_000);
        for (of, wanted, at) in [
            (texts(&["abc", "xbx", &long]), text("b"), vec![2, 2, 0]),
            (texts(&["abc", &long]), texts(&["c", &format!("{}b", &long[1..])]), vec![3, 0]),
            (text(&format!("{long}b")), text(&format!("{}b", &long[1..])), vec![2]),
        ] {
            let rows = at.len();
            let found = call(strpos(), vec![of, wanted], rows).unwrap();
            assert_eq!(found.as_primitive::<Int32Type>(), &Int32Array::from(at));
        }
    }

    #[test]
    fn sets_may_repeat_their_characters() {
        let long = "ab".repeat(500_000);
        let set = format!("{}ba", "xyz".repeat(200_000));
        let found = call(btrim(), vec![texts(&[&format!("{long}-{long}"), "none"]), text(&set)], 2).unwrap();
        let found = arrow::compute::cast(&found, &DataType::Utf8).unwrap();
        assert_eq!(found.as_string::<i32>().iter().flatten().collect::<Vec<_>>(), ["-", "none"]);
        let found = call(ltrim(), vec![text(&long), text(&set)], 1).unwrap();
        let found = arrow::compute::cast(&found, &DataType::Utf8).unwrap();
        assert_eq!(found.as_string::<i32>().value(0), "");
    }

    #[test]
    fn what_would_take_too_long_is_refused() {
        let distance = |of: usize, to: usize| {
            call(levenshtein(), vec![text(&"a".repeat(of)), text(&"b".repeat(to))], 1).map(|found| found.len())
        };
        assert_eq!(distance(1_000, 10).unwrap(), 1);
        assert!(distance(100_000, 100_000).unwrap_err().to_string().contains("too long for each other"));
    }

    #[test]
    fn rows_are_computed_some_at_a_time() {
        let long = "a".repeat(5_000);
        let rows = [long.as_str(); 4];
        let found = call(levenshtein(), vec![texts(&rows), text(&"a".repeat(4_999))], 4).unwrap();
        assert_eq!(found.as_primitive::<Int32Type>(), &Int32Array::from(vec![1; 4]));
    }
}
