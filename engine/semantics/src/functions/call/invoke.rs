//! A function of the tables as DataFusion calls it: forms chosen by types, rows computed one by one, results bounded.

use super::form::{Form, choose};
use super::results::Results;
use super::row::{Row, Value};
use crate::bounds::ResultBytes;
use crate::bounds::of_no_rows;
use crate::fault::external;
use crate::functions::Def;
use crate::functions::patterns::compiled::Patterns;
use crate::functions::percentiles;
use crate::times::zone::Zone;
use arrow::array::{Array, ArrayRef, new_null_array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use querygate_query_api::column::pg_type_of;
use querygate_resources::bytes::own_bytes;
use querygate_resources::measured::{calls, has_room_for};
use querygate_resources::{CHARGE_LEAST, Working, aside, charge, proceed};
use querygate_types::{Error, ErrorCode};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Rows between two questions whether the statement is over.
const ROWS_UNASKED: usize = 16;

/// A function of the tables, in a time zone.
#[derive(Debug)]
pub(crate) struct Builtin {
    def: &'static Def,
    zone: Zone,
    signature: Signature,
}

impl PartialEq for Builtin {
    fn eq(&self, other: &Self) -> bool {
        self.def.name == other.def.name && self.zone == other.zone
    }
}

impl Eq for Builtin {}

impl Hash for Builtin {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.def.name, self.zone).hash(state);
    }
}

impl Builtin {
    pub(crate) fn udf(def: &'static Def, zone: Zone) -> Arc<ScalarUDF> {
        // A series as a constant of the plan would be printed and compared with it, member by member.
        let volatility = if def.name == "generate_series" { Volatility::Volatile } else { Volatility::Immutable };
        let signature = Signature::user_defined(volatility);
        Arc::new(ScalarUDF::new_from_impl(Self { def, zone, signature }))
    }

    pub(in crate::functions) const fn name_and_zone(&self) -> (&'static str, Zone) {
        (self.def.name, self.zone)
    }

    /// The results, row by row; NULL where an argument is, if that counts.
    fn rows(
        &self,
        form: &Form,
        args: &ScalarFunctionArgs,
        arrays: &[ArrayRef],
        (rows, nulls): (usize, Option<&NullBuffer>),
    ) -> Result<Results> {
        let mut results = Results::new(args.return_field.data_type(), rows)?;
        let mut made = ResultBytes::default();
        let patterns = Patterns::default();
        let (fields, returns) = (&args.arg_fields, &args.return_field);
        for at in 0..rows {
            if at % ROWS_UNASKED == 0 {
                proceed()?;
            }
            if nulls.is_some_and(|nulls| nulls.is_null(at)) {
                results.push(Value::Null)?;
                continue;
            }
            let row = Row { args: arrays, fields, at, zone: self.zone, returns, patterns: &patterns };
            let value = {
                let _work = Working::begin();
                (form.eval)(&row)?
            };
            made.add(value.size())?;
            results.push(value)?;
        }
        Ok(results)
    }

    fn chosen(&self, types: &[DataType]) -> Result<(&'static Form, Vec<DataType>)> {
        choose(self.def.forms, types).ok_or_else(|| external(undefined(self.def.name, types)))
    }
}

/// `function upper(integer) does not exist`.
fn undefined(name: &str, types: &[DataType]) -> Error {
    if let Some((written, types)) = percentiles::as_written(name, types) {
        return undefined(written, &types);
    }
    let types = types.iter().map(|t| match t {
        DataType::Null => "unknown".to_owned(),
        other => pg_type_of(&Field::new("", other.clone(), true)).sql_name(),
    });
    let types: Vec<String> = types.collect();
    Error::new(ErrorCode::UndefinedFunction, format!("function {name}({}) does not exist", types.join(", ")))
        .with_hint("No function matches the given name and argument types. You might need to add explicit type casts.")
}

impl ScalarUDFImpl for Builtin {
    fn name(&self) -> &'static str {
        self.def.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(self.chosen(types)?.1)
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        internal_err!("the result's type needs the arguments' fields")
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let types: Vec<DataType> = args.arg_fields.iter().map(|f| f.data_type().clone()).collect();
        let (form, _) = self.chosen(&types)?;
        Ok(Arc::new(form.returns.field(self.def.name, args.arg_fields, args.scalar_arguments)?))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if let Some(nothing) = of_no_rows(&args) {
            return Ok(nothing);
        }
        calls(self.def.name);
        let types: Vec<DataType> = args.args.iter().map(ColumnarValue::data_type).collect();
        let (form, wanted) = self.chosen(&types)?;
        // A rule of the optimizer may compute what is not converted yet. Rows are read as the types that they are converted to.
        let mut sides = types.iter().zip(&wanted).enumerate();
        if !sides.all(|(at, (given, wanted))| form.param(at).is_some_and(|of| of.takes(given, wanted))) {
            return internal_err!("the arguments of {} are not converted", self.def.name);
        }
        let constant = args.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let arrays: Vec<ArrayRef> = args
            .args
            .iter()
            .map(|a| match a {
                ColumnarValue::Array(array) => Ok(Arc::clone(array)),
                ColumnarValue::Scalar(scalar) => scalar.to_array(),
            })
            .collect::<Result<_>>()?;
        let returns = args.return_field.data_type();
        if rows == 0 {
            return Ok(ColumnarValue::Array(new_null_array(returns, 0)));
        }
        // A row's result may hold all of its arguments.
        let given = arrays.iter().map(|array| array.get_array_memory_size()).fold(0, usize::saturating_add);
        if given >= CHARGE_LEAST && arrays.len() > 1 {
            charge(arrays.iter().map(own_bytes).fold(0, usize::saturating_add))?;
        }
        if returns.primitive_width().is_none() {
            has_room_for(given)?;
        }
        let Some(nulls) = nulls_of(&arrays, rows, self.def.strict) else {
            return Ok(if constant {
                ColumnarValue::Scalar(ScalarValue::try_from(returns)?)
            } else {
                ColumnarValue::Array(new_null_array(returns, rows))
            });
        };
        let results = aside(given, || self.rows(form, &args, &arrays, (rows, nulls.as_ref())))?;
        Ok(if constant { ColumnarValue::Scalar(results.scalar()?) } else { ColumnarValue::Array(results.array()?) })
    }
}

/// The rows that are NULL because an argument is, if that counts; nothing where all rows are.
fn nulls_of(arrays: &[ArrayRef], rows: usize, strict: bool) -> Option<Option<NullBuffer>> {
    let mut nulls = None;
    for array in arrays.iter().filter(|_| strict) {
        if array.data_type() == &DataType::Null || array.len() != rows && array.is_null(0) {
            return None;
        }
        if array.len() == rows {
            nulls = NullBuffer::union(nulls.as_ref(), array.nulls());
        }
    }
    Some(nulls)
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::common::config::ConfigOptions;

    /// What is computed before it is converted has no value.
    #[test]
    fn arguments_that_are_not_converted_are_refused() {
        let extract = crate::function("extract").unwrap();
        let invoked = |of: ScalarValue| {
            let given = [ScalarValue::from("hour"), of];
            let fields: Vec<FieldRef> =
                given.iter().map(|value| Arc::new(Field::new("", value.data_type(), true))).collect();
            let scalars: Vec<Option<&ScalarValue>> = given.iter().map(Some).collect();
            let returns = ReturnFieldArgs { arg_fields: &fields, scalar_arguments: &scalars };
            let return_field = extract.return_field_from_args(returns).unwrap();
            extract.invoke_with_args(ScalarFunctionArgs {
                args: given.iter().cloned().map(ColumnarValue::Scalar).collect(),
                arg_fields: fields,
                number_rows: 1,
                return_field,
                config_options: Arc::new(ConfigOptions::default()),
            })
        };
        assert!(invoked(ScalarValue::from("2024-03-31 12:30")).is_err());
        assert!(invoked(ScalarValue::TimestampMicrosecond(Some(0), None)).is_ok());
    }
}
