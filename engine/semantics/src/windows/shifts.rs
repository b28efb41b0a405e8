//! `lag` and `lead` whose distance or default differs from row to row, and `ntile` of a number that is computed, NULL or none: the
//! engine's want constants that make sense.

use crate::fault::external;
use arrow::array::{Array, ArrayRef, AsArray, Int32Array, UInt64Array};
use arrow::compute::{interleave, take};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::function::{PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::{LimitEffect, PartitionEvaluator, Signature, Volatility, WindowUDF, WindowUDFImpl};
use datafusion::physical_expr::PhysicalExpr;
use querygate_resources::bytes::own_bytes;
use querygate_resources::{charge, proceed};
use querygate_types::{Error, ErrorCode};
use std::sync::Arc;

/// The name of the function that stands for `lag` or `lead`.
pub fn name(function: &str) -> Option<&'static str> {
    match function {
        "lag" => Some("lag of rows"),
        "lead" => Some("lead of rows"),
        _ => None,
    }
}

/// Whether a window function is one of these.
pub(crate) fn is_one(function: &WindowUDF) -> bool {
    function.inner().is::<Shift>()
}

/// The name of the function that stands for `ntile`.
pub const NTILE: &str = "ntile of rows";

/// All of them.
pub(crate) fn functions() -> Vec<Arc<WindowUDF>> {
    let kinds = [("lag of rows", Kind::Lag), ("lead of rows", Kind::Lead), (NTILE, Kind::Parts)];
    let of = |(name, kind)| {
        let signature = Signature::user_defined(Volatility::Immutable);
        Arc::new(WindowUDF::new_from_impl(Shift { name, kind, signature }))
    };
    kinds.into_iter().map(of).collect()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Shift {
    name: &'static str,
    kind: Kind,
    signature: Signature,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Lag,
    Lead,
    Parts,
}

impl WindowUDFImpl for Shift {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Value and default are of one type, the distance is a whole number.
    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [parts] if self.kind == Kind::Parts && (parts.is_integer() || parts.is_null()) => Ok(vec![DataType::Int64]),
            _ if self.kind == Kind::Parts => datafusion::common::plan_err!("a whole number is needed"),
            [value, distance] if distance.is_integer() || distance.is_null() => {
                Ok(vec![value.clone(), DataType::Int64])
            }
            [value, distance, default] if distance.is_integer() || distance.is_null() => {
                let both = datafusion::logical_expr::binary::type_union_coercion(value, default);
                let Some(both) = both else {
                    return datafusion::common::plan_err!("types of a value and its default differ");
                };
                Ok(vec![both.clone(), DataType::Int64, both])
            }
            _ => datafusion::common::plan_err!("a value and a whole number are needed"),
        }
    }

    fn field(&self, args: WindowUDFFieldArgs) -> Result<FieldRef> {
        match args.input_fields().first() {
            Some(_) if self.kind == Kind::Parts => Ok(Arc::new(Field::new(args.name(), DataType::Int32, true))),
            Some(value) => Ok(Arc::new(value.as_ref().clone().with_name(args.name()).with_nullable(true))),
            None => internal_err!("a value is needed"),
        }
    }

    fn partition_evaluator(&self, _args: PartitionEvaluatorArgs) -> Result<Box<dyn PartitionEvaluator>> {
        Ok(Box::new(Evaluator { kind: self.kind }))
    }

    fn limit_effect(&self, _: &[Arc<dyn PhysicalExpr>]) -> LimitEffect {
        LimitEffect::Unknown
    }
}

#[derive(Debug)]
struct Evaluator {
    kind: Kind,
}

impl PartitionEvaluator for Evaluator {
    fn evaluate_all(&mut self, values: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
        proceed()?;
        if self.kind == Kind::Parts {
            return parts(values, rows);
        }
        let (value, distance, default) = match values {
            [value, distance] => (value, distance, None),
            [value, distance, default] => (value, distance, Some(default)),
            _ => return internal_err!("a value and a distance are needed"),
        };
        let distance = distance.as_primitive::<Int64Type>();
        let from = |row: usize| {
            let distance =
                if self.kind == Kind::Lag { distance.value(row).checked_neg()? } else { distance.value(row) };
            let at = i64::try_from(row).ok()?.checked_add(distance)?;
            usize::try_from(at).ok().filter(|at| *at < rows)
        };
        // A row whose distance is NULL gets NULL, not the default.
        let Some(default) = default else {
            let places = (0..rows).map(|row| (!distance.is_null(row)).then(|| from(row)).flatten());
            let places: UInt64Array = places.map(|at| at.and_then(|at| u64::try_from(at).ok())).collect();
            return charged(take(value, &places, None)?);
        };
        let null = arrow::array::new_null_array(value.data_type(), 1);
        let places = (0..rows).map(|row| match (distance.is_null(row), from(row)) {
            (true, _) => (2, 0),
            (false, Some(at)) => (0, at),
            (false, None) => (1, row),
        });
        charged(interleave(&[value.as_ref(), default.as_ref(), null.as_ref()], &places.collect::<Vec<_>>())?)
    }

    fn supports_bounded_execution(&self) -> bool {
        false
    }
}

/// The part of each row: parts of one length, or one row longer.
fn parts(values: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let Some(wanted) = values.first().filter(|_| rows > 0) else {
        return Ok(arrow::array::new_null_array(&DataType::Int32, rows));
    };
    let wanted = wanted.as_primitive::<Int64Type>();
    // The first row's number is that of all.
    if wanted.is_null(0) {
        return Ok(arrow::array::new_null_array(&DataType::Int32, rows));
    }
    let Some(wanted) = usize::try_from(wanted.value(0)).ok().filter(|wanted| *wanted > 0) else {
        let message = "argument of ntile must be greater than zero";
        return Err(external(Error::new(ErrorCode::InvalidParameterValue, message)));
    };
    let (length, longer) = (rows / wanted, rows % wanted);
    let of = |row: usize| {
        let long = longer * (length + 1);
        let part = if row < long { row / (length + 1) } else { longer + (row - long) / length.max(1) };
        i32::try_from(part + 1).ok()
    };
    Ok(Arc::new((0..rows).map(of).collect::<Int32Array>()))
}

/// One long value may stand in many rows.
fn charged(column: ArrayRef) -> Result<ArrayRef> {
    charge(own_bytes(&column))?;
    Ok(column)
}
