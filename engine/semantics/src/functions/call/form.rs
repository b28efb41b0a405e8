//! Argument and result types of functions, and how near given types are to them.

use super::row::{Row, Value};
use crate::numbers::wide::{is_nearest_double, nearest_double};
use arrow::datatypes::{DataType, Field, FieldRef, IntervalUnit, TimeUnit};
use datafusion::common::{Result, ScalarValue};
use querygate_query_api::column::PG_TYPE_KEY;
use querygate_query_api::values::network::NETWORK;
use querygate_query_api::values::timetz::TimeTz;
use querygate_query_api::values::wide_numeric::WIDE_NUMERIC;
use std::sync::Arc;

/// A parameter's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum P {
    Text,
    /// A whole number, as bigint.
    Int,
    Double,
    /// A double of four bytes, as it is.
    Real,
    Numeric,
    /// An exact number of any type, as it is.
    Wide,
    Bool,
    Date,
    Time,
    Timestamp,
    Timestamptz,
    Interval,
    Timetz,
    /// An `inet` or `cidr`.
    Inet,
    Bytea,
    TextArray,
    /// Texts in several dimensions.
    TextTable,
    DoubleArray,
    /// Numerics of any width.
    WideArray,
    IntervalArray,
    AnyArray,
    Any,
}

/// A result's type.
#[derive(Debug, Clone, Copy)]
pub(crate) enum R {
    Text,
    Int4,
    Double,
    /// Numeric of any width.
    Wide,
    Bool,
    Date,
    Time,
    Timestamp,
    Timestamptz,
    Interval,
    Timetz,
    Inet,
    Cidr,
    Bit,
    Varbit,
    Int8,
    Bytea,
    Json,
    Jsonb,
    TextArray,
    Int4Array,
    /// Decided by the arguments.
    By(fn(&[FieldRef], &[Option<&ScalarValue>]) -> Result<Field>),
}

/// One form of a function.
#[derive(Debug)]
pub(crate) struct Form {
    pub(crate) params: &'static [P],
    /// Any number more of these.
    pub(crate) rest: Option<P>,
    pub(crate) returns: R,
    pub(crate) eval: fn(&Row<'_>) -> Result<Value>,
}

/// A form with so many arguments.
pub(crate) const fn form(params: &'static [P], returns: R, eval: fn(&Row<'_>) -> Result<Value>) -> Form {
    Form { params, rest: None, returns, eval }
}

/// A form with any number of arguments after the first ones.
pub(crate) const fn variadic(params: &'static [P], rest: P, returns: R, eval: fn(&Row<'_>) -> Result<Value>) -> Form {
    Form { params, rest: Some(rest), returns, eval }
}

pub(crate) fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, None)
}

pub(crate) fn timestamptz() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// Digits enough for every whole number.
pub(crate) const WHOLE: DataType = DataType::Decimal128(20, 0);

impl Form {
    /// The parameter of an argument.
    pub(super) fn param(&self, at: usize) -> Option<P> {
        self.params.get(at).copied().or(self.rest)
    }
}

impl P {
    /// Whether what came as an argument has the type that it was to be converted to. The names of a list's items and the zone of
    /// time stamps make no difference.
    pub(super) fn takes(self, given: &DataType, wanted: &DataType) -> bool {
        match (given, wanted) {
            (DataType::Null, _) => true,
            (DataType::List(given), DataType::List(wanted)) => self.takes(given.data_type(), wanted.data_type()),
            (DataType::Timestamp(given, _), DataType::Timestamp(wanted, _)) => given == wanted,
            // What takes anything looks at the type itself.
            (given, wanted) => given == wanted || matches!(self, Self::Any | Self::AnyArray | Self::Wide),
        }
    }

    /// The type to which an argument is converted, and how far it is from it. `None`: it does not fit.
    fn fit(self, given: &DataType) -> Option<(DataType, u32)> {
        let text = matches!(given, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
        let (to, distance) = match (self, given) {
            (Self::Any, DataType::Utf8View | DataType::LargeUtf8) => (DataType::Utf8, 9),
            (Self::Any, _) => return Some((given.clone(), 9)),
            (Self::AnyArray, DataType::List(_)) => return Some((given.clone(), 1)),
            (Self::AnyArray, DataType::Null) => return Some((DataType::Null, 2)),
            (Self::AnyArray, _) => return None,
            (Self::Text, DataType::Utf8) => (DataType::Utf8, 0),
            (Self::Text, _) if text => (DataType::Utf8, 1),
            (Self::Int, DataType::Int64 | DataType::Int32) => return Some((given.clone(), 0)),
            (Self::Int, DataType::Int16 | DataType::Int8) => (DataType::Int32, 1),
            (Self::Int, d) if d.is_integer() => (DataType::Int64, 1),
            (Self::Double, DataType::Float64) => (DataType::Float64, 0),
            (Self::Double, DataType::Float32) => (DataType::Float64, 1),
            (Self::Double, d) if d.is_decimal() => (DataType::Float64, 3),
            (Self::Double, d) if d.is_integer() => (DataType::Float64, 4),
            (Self::Double, &WIDE_NUMERIC) => (DataType::Float64, 5),
            (Self::Real, DataType::Float32) => (DataType::Float32, 0),
            (Self::Real, _) => return None,
            (Self::Numeric, d @ DataType::Decimal128(..)) => (d.clone(), 0),
            (Self::Numeric, d) if d.is_integer() => (WHOLE, 2),
            (Self::Wide, &WIDE_NUMERIC) => return Some((given.clone(), 0)),
            (Self::Wide, DataType::Decimal128(..)) => return Some((given.clone(), 1)),
            (Self::Wide, d) if d.is_integer() => return Some((given.clone(), 3)),
            // A literal without a type is one.
            (Self::Wide, _) if text => (DataType::Utf8, 7),
            (Self::Bool, DataType::Boolean) => (DataType::Boolean, 0),
            (Self::Date, DataType::Date32) => (DataType::Date32, 0),
            (Self::Time, DataType::Time64(TimeUnit::Microsecond)) => (given.clone(), 0),
            (Self::Time, DataType::Time64(_) | DataType::Time32(_)) => (DataType::Time64(TimeUnit::Microsecond), 1),
            (Self::Timestamp, DataType::Timestamp(_, None)) => (timestamp(), 0),
            (Self::Timestamp, DataType::Date32) => (timestamp(), 3),
            (Self::Timestamptz, DataType::Timestamp(_, Some(_))) => (timestamptz(), 0),
            (Self::Timestamptz, DataType::Timestamp(_, None)) => (timestamptz(), 2),
            (Self::Timestamptz, DataType::Date32) => (timestamptz(), 2),
            (Self::Interval, DataType::Interval(_)) => (DataType::Interval(IntervalUnit::MonthDayNano), 0),
            (Self::Interval, DataType::Duration(_)) => (DataType::Interval(IntervalUnit::MonthDayNano), 1),
            (Self::Timetz, given) if *given == TimeTz::ARROW => (TimeTz::ARROW, 0),
            // A key of a time or an address is no bytes of a user's.
            (Self::Bytea, given) if *given == TimeTz::ARROW || *given == NETWORK => return None,
            (Self::Inet, given) if *given == NETWORK => (NETWORK, 0),
            (Self::Bytea, DataType::Binary) => (DataType::Binary, 0),
            (Self::Bytea, DataType::BinaryView | DataType::FixedSizeBinary(_)) => (DataType::Binary, 1),
            (Self::TextTable, DataType::List(item)) if is_table_of_texts(item.data_type()) => (given.clone(), 0),
            (Self::TextTable, _) => return None,
            (Self::TextArray, DataType::List(item)) if item.data_type().is_list() => return None,
            (Self::TextArray, DataType::List(item)) => {
                let far = u32::from(item.data_type() != &DataType::Utf8);
                (list(DataType::Utf8), far)
            }
            (Self::DoubleArray, DataType::List(item)) if item.data_type().is_numeric() => (list(DataType::Float64), 1),
            (Self::DoubleArray, DataType::List(item)) if *item.data_type() == WIDE_NUMERIC => {
                (list(DataType::Float64), 5)
            }
            (Self::WideArray, DataType::List(item)) if item.data_type() == &WIDE_NUMERIC => (given.clone(), 0),
            (Self::WideArray, _) => return None,
            (Self::IntervalArray, DataType::List(item)) if matches!(item.data_type(), DataType::Interval(_)) => {
                (list(DataType::Interval(IntervalUnit::MonthDayNano)), 0)
            }
            (Self::IntervalArray, _) => return None,
            // A literal without a type takes the parameter's.
            (Self::TextArray, _) if text => (list(DataType::Utf8), 8),
            (Self::TextArray | Self::DoubleArray, DataType::Null) => (self.arrow()?, 2),
            (Self::TextArray | Self::DoubleArray, _) => return None,
            (_, DataType::Null) => (self.arrow()?, 2),
            (Self::Timestamptz, _) if text => (timestamptz(), 5),
            (
                Self::Double | Self::Timestamp | Self::Interval | Self::Bytea | Self::Date | Self::Time | Self::Inet,
                _,
            ) if text => (self.arrow()?, 6),
            (Self::Int | Self::Bool, _) if text => (self.arrow()?, 7),
            _ => return None,
        };
        Some((to, distance))
    }

    fn arrow(self) -> Option<DataType> {
        Some(match self {
            Self::Text => DataType::Utf8,
            Self::Int => DataType::Int64,
            Self::Double => DataType::Float64,
            Self::Real => DataType::Float32,
            Self::Numeric => WHOLE,
            Self::Wide => WIDE_NUMERIC,
            Self::Bool => DataType::Boolean,
            Self::Date => DataType::Date32,
            Self::Time => DataType::Time64(TimeUnit::Microsecond),
            Self::Timestamp => timestamp(),
            Self::Timestamptz => timestamptz(),
            Self::Interval => DataType::Interval(IntervalUnit::MonthDayNano),
            Self::Timetz => TimeTz::ARROW,
            Self::Inet => NETWORK,
            Self::Bytea => DataType::Binary,
            Self::TextArray => list(DataType::Utf8),
            Self::DoubleArray => list(DataType::Float64),
            Self::TextTable | Self::WideArray | Self::IntervalArray | Self::AnyArray | Self::Any => return None,
        })
    }
}

fn is_table_of_texts(item: &DataType) -> bool {
    match item {
        DataType::List(item) => item.data_type() == &DataType::Utf8 || is_table_of_texts(item.data_type()),
        _ => false,
    }
}

pub(crate) fn list(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new("item", item, true)))
}

impl R {
    pub(super) fn field(self, name: &str, args: &[FieldRef], constants: &[Option<&ScalarValue>]) -> Result<Field> {
        let (data_type, pg) = match self {
            Self::Text => (DataType::Utf8, "text"),
            Self::Int4 => (DataType::Int32, "int4"),
            Self::Double => (DataType::Float64, "float8"),
            Self::Wide if is_nearest_double(args) => return Ok(nearest_double(name)),
            Self::Wide => (WIDE_NUMERIC, "numeric"),
            Self::Bool => (DataType::Boolean, "bool"),
            Self::Date => (DataType::Date32, "date"),
            Self::Time => (DataType::Time64(TimeUnit::Microsecond), "time"),
            Self::Timestamp => (timestamp(), "timestamp"),
            Self::Timestamptz => (timestamptz(), "timestamptz"),
            Self::Interval => (DataType::Interval(IntervalUnit::MonthDayNano), "interval"),
            Self::Timetz => (TimeTz::ARROW, "timetz"),
            Self::Inet => (NETWORK, "inet"),
            Self::Cidr => (NETWORK, "cidr"),
            Self::Bit => (DataType::Utf8, "bit"),
            Self::Varbit => (DataType::Utf8, "varbit"),
            Self::Int8 => (DataType::Int64, "int8"),
            Self::Bytea => (DataType::Binary, "bytea"),
            Self::Json => (DataType::Utf8, "json"),
            Self::Jsonb => (DataType::Utf8, "jsonb"),
            Self::TextArray => (list(DataType::Utf8), "_text"),
            Self::Int4Array => (list(DataType::Int32), "_int4"),
            Self::By(decide) => return Ok(decide(args, constants)?.with_name(name)),
        };
        // Only what the Arrow type does not say.
        let metadata = match pg {
            "json" | "jsonb" | "timetz" | "inet" | "cidr" | "bit" | "varbit" => {
                [(PG_TYPE_KEY.to_owned(), pg.to_owned())].into()
            }
            _ => Default::default(),
        };
        Ok(Field::new(name, data_type, true).with_metadata(metadata))
    }
}

/// The nearest form to some types, and the types it wants.
pub(super) fn choose(forms: &'static [Form], given: &[DataType]) -> Option<(&'static Form, Vec<DataType>)> {
    let mut best: Option<(&'static Form, Vec<DataType>, u32)> = None;
    for form in forms {
        let Some((types, distance)) = fit(form, given) else { continue };
        if best.as_ref().is_none_or(|(.., least)| distance < *least) {
            best = Some((form, types, distance));
        }
    }
    best.map(|(form, types, _)| (form, types))
}

fn fit(form: &Form, given: &[DataType]) -> Option<(Vec<DataType>, u32)> {
    if given.len() < form.params.len() || (form.rest.is_none() && given.len() > form.params.len()) {
        return None;
    }
    let mut types = Vec::with_capacity(given.len());
    let mut total = 0;
    for (at, data_type) in given.iter().enumerate() {
        let (to, distance) = form.param(at)?.fit(data_type)?;
        types.push(to);
        total += distance;
    }
    Some((types, total))
}
