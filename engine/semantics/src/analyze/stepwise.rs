//! Conditions and functions of the engine whose patterns come row by row: each row may take as long as a pattern takes to be
//! compiled, so they are computed a few rows at a time, with a question in between whether the statement is over. What they mean
//! stays. Patterns of constants stay as they are: they are compiled once.

use crate::bounds::{bytes_of, of_no_rows};
use crate::casts::conversions::is_text;
use crate::fault::external;
use crate::functions;
use crate::times::zone::Zone;
use arrow::array::{Array, ArrayRef, AsArray, new_null_array};
use arrow::compute::kernels::regexp::regexp_is_match_scalar;
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::common::{DataFusionError, Result, ScalarValue, internal_err};
use datafusion::logical_expr::expr::Like;
use datafusion::logical_expr::{
    BinaryExpr, Cast, ColumnarValue, Expr, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};
use datafusion::physical_expr::expressions::{self, Column, LikeExpr};
use datafusion::physical_plan::PhysicalExpr;
use querygate_resources::{aside, proceed};
use querygate_types::{Error, ErrorCode};
use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bytes of a pattern: a compiled one takes some hundred times as much.
pub(crate) const PATTERN_BYTES_MAX: usize = 256 << 10;
/// Bytes of a constant pattern that needs no care.
const CONSTANT_BYTES: usize = 4 << 10;
/// A step that took less is followed by a longer one.
const QUICK: Duration = Duration::from_millis(5);
/// Bytes that a constant text may take in all rows of a step.
const STEP_BYTES: usize = 16 << 20;

pub(crate) fn too_long() -> DataFusionError {
    external(Error::new(ErrorCode::ProgramLimitExceeded, "pattern is too long"))
}

/// Whether a pattern is the same for all rows, and short.
fn is_constant(pattern: &Expr) -> bool {
    match laid_out(pattern) {
        Expr::Literal(value, _) => value.is_null() || value.try_as_str().flatten().is_some_and(is_short),
        _ => false,
    }
}

/// A text without the casts that only lay it out otherwise: beside a column of views, a pattern is cast to a view.
fn laid_out(text: &Expr) -> &Expr {
    match text {
        Expr::Cast(Cast { expr, field }) if is_text(field.data_type()) && field.metadata().is_empty() => laid_out(expr),
        other => other,
    }
}

fn is_short(text: &str) -> bool {
    text.len() <= CONSTANT_BYTES
}

/// LIKE and ILIKE; `Err`: they need no care.
pub(crate) fn like(like: Like) -> std::result::Result<Expr, Like> {
    if is_constant(&like.pattern) || like.escape_char.is_some() {
        return Err(like);
    }
    let what = What::Like { negated: like.negated, insensitive: like.case_insensitive };
    Ok(Stepwise::of(what).call(vec![*like.expr, *like.pattern]))
}

/// Operators of patterns; `Err`: it is none, or it needs no care.
pub(crate) fn operator(binary: BinaryExpr) -> std::result::Result<Expr, BinaryExpr> {
    let matches = matches!(
        binary.op,
        Operator::RegexMatch
            | Operator::RegexIMatch
            | Operator::RegexNotMatch
            | Operator::RegexNotIMatch
            | Operator::LikeMatch
            | Operator::ILikeMatch
            | Operator::NotLikeMatch
            | Operator::NotILikeMatch
    );
    // A long one is read nowhere before its length is.
    let text = literal(&binary.right).filter(|text| is_short(text));
    let own = expression(binary.op).is_some() && text.is_some_and(is_misread);
    if !matches || is_constant(&binary.right) && !own {
        return Err(binary);
    }
    Ok(Stepwise::of(What::Operator(binary.op)).call(vec![*binary.left, *binary.right]))
}

fn literal(pattern: &Expr) -> Option<&str> {
    match laid_out(pattern) {
        Expr::Literal(value, _) => value.try_as_str().flatten(),
        _ => None,
    }
}

/// Of an operator of regular expressions: the flags that it stands for, and whether it negates.
fn expression(op: Operator) -> Option<(&'static str, bool)> {
    match op {
        Operator::RegexMatch => Some(("", false)),
        Operator::RegexNotMatch => Some(("", true)),
        Operator::RegexIMatch => Some(("i", false)),
        Operator::RegexNotIMatch => Some(("i", true)),
        _ => None,
    }
}

/// Whether the engine reads a pattern otherwise than PostgreSQL, whose dot takes the end of a line, too.
fn is_misread(pattern: &str) -> bool {
    pattern.contains('.') || functions::is_own_expression(pattern)
}

/// Many texts and one pattern that the engine follows in linear time: compiled once.
fn of_one_pattern(texts: &[ColumnarValue], insensitive: bool) -> Option<Result<ColumnarValue>> {
    let [ColumnarValue::Array(texts), ColumnarValue::Scalar(pattern)] = texts else { return None };
    let pattern = pattern.try_as_str().flatten().filter(|pattern| is_short(pattern))?;
    let (spelled, insensitive) = match functions::linear_spelling(pattern, if insensitive { "i" } else { "" }) {
        Ok(spelled) => spelled?,
        Err(error) => return Some(Err(error)),
    };
    let found = regexp_is_match_scalar(texts.as_string::<i32>(), &spelled, insensitive.then_some("i"));
    let invalid = |_| external(Error::new(ErrorCode::InvalidRegularExpression, "invalid regular expression"));
    Some(found.map(|found| ColumnarValue::Array(Arc::new(found) as ArrayRef)).map_err(invalid))
}

/// Our own function computes them row by row.
fn expressions_of(args: ScalarFunctionArgs, flags: &str, negated: bool) -> Result<ColumnarValue> {
    let Some(function) = functions::in_zone("regexp_like", Zone::UTC) else {
        return internal_err!("a function of ours");
    };
    let mut texts = args.args.iter().map(|arg| arg.cast_to(&DataType::Utf8, None)).collect::<Result<Vec<_>>>()?;
    let found = match of_one_pattern(&texts, flags == "i") {
        Some(found) => found?,
        None => {
            texts.push(ColumnarValue::Scalar(ScalarValue::from(flags)));
            let text = || Arc::new(Field::new("", DataType::Utf8, true));
            let arg_fields = texts.iter().map(|_| text()).collect();
            function.invoke_with_args(ScalarFunctionArgs { args: texts, arg_fields, ..args })?
        }
    };
    if !negated {
        return Ok(found);
    }
    Ok(match found {
        ColumnarValue::Array(found) => ColumnarValue::Array(Arc::new(arrow::compute::not(found.as_boolean())?)),
        ColumnarValue::Scalar(ScalarValue::Boolean(found)) => {
            ColumnarValue::Scalar(ScalarValue::Boolean(found.map(|f| !f)))
        }
        ColumnarValue::Scalar(other) => return internal_err!("{other} is no condition"),
    })
}

/// Whether a function is one of these.
pub(crate) fn is_stepwise(function: &ScalarUDF) -> bool {
    let inner: &dyn Any = function.inner().as_ref();
    inner.is::<Stepwise>()
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum What {
    Like { negated: bool, insensitive: bool },
    Operator(Operator),
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Stepwise {
    what: What,
    signature: Signature,
}

impl Stepwise {
    fn of(what: What) -> ScalarUDF {
        ScalarUDF::new_from_impl(Self { what, signature: Signature::user_defined(Volatility::Immutable) })
    }

    /// What a step computes of two columns.
    fn condition(&self) -> Arc<dyn PhysicalExpr> {
        let (text, pattern) = (Arc::new(Column::new("text", 0)), Arc::new(Column::new("pattern", 1)));
        match &self.what {
            What::Like { negated, insensitive } => Arc::new(LikeExpr::new(*negated, *insensitive, text, pattern)),
            What::Operator(op) => Arc::new(expressions::BinaryExpr::new(text, *op, pattern)),
        }
    }

    fn step(&self, args: &ScalarFunctionArgs, from: usize, rows: usize) -> Result<ArrayRef> {
        let values = args.args.iter().map(|value| match value {
            ColumnarValue::Array(array) => ColumnarValue::Array(array.slice(from, rows)),
            ColumnarValue::Scalar(scalar) => ColumnarValue::Scalar(scalar.clone()),
        });
        let columns = values.map(|value| value.into_array(rows)).collect::<Result<Vec<_>>>()?;
        let fields: Vec<Field> =
            columns.iter().map(|column| Field::new("", column.data_type().clone(), true)).collect();
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?;
        self.condition().evaluate(&batch)?.into_array(rows)
    }
}

/// The longest text among a pattern's values.
fn longest(pattern: &ColumnarValue) -> usize {
    fn most<'a>(texts: impl Iterator<Item = Option<&'a str>>) -> usize {
        texts.flatten().map(str::len).max().unwrap_or(0)
    }
    match pattern {
        ColumnarValue::Scalar(scalar) => scalar.try_as_str().flatten().map_or(0, str::len),
        ColumnarValue::Array(array) => match array.data_type() {
            DataType::Utf8 => most(array.as_string::<i32>().iter()),
            DataType::LargeUtf8 => most(array.as_string::<i64>().iter()),
            DataType::Utf8View => most(array.as_string_view().iter()),
            _ => 0,
        },
    }
}

impl ScalarUDFImpl for Stepwise {
    fn name(&self) -> &str {
        match &self.what {
            What::Like { .. } => "like_stepwise",
            What::Operator(_) => "regex_stepwise",
        }
    }

    /// The operators' own, so that columns above keep their names.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let own = match (&self.what, args) {
            (What::Like { negated, insensitive }, [text, pattern]) => {
                Expr::Like(Like::new(*negated, Box::new(text.clone()), Box::new(pattern.clone()), None, *insensitive))
            }
            (What::Operator(op), [text, pattern]) => {
                Expr::BinaryExpr(BinaryExpr::new(Box::new(text.clone()), *op, Box::new(pattern.clone())))
            }
            (What::Like { .. } | What::Operator(_), _) => return internal_err!("a condition has two operands"),
        };
        Ok(own.schema_name().to_string())
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(types.to_vec())
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name(), DataType::Boolean, nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if let Some(nothing) = of_no_rows(&args) {
            return Ok(nothing);
        }
        if args.args.get(1).is_some_and(|pattern| longest(pattern) > PATTERN_BYTES_MAX) {
            return Err(too_long());
        }
        if let What::Operator(op) = self.what
            && let Some((flags, negated)) = expression(op)
        {
            return expressions_of(args, flags, negated);
        }
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let broad = args.args.iter().map(|arg| match arg {
            ColumnarValue::Scalar(scalar) => scalar.size(),
            ColumnarValue::Array(_) => 0,
        });
        let given = args.args.iter().map(|arg| bytes_of(arg, 1)).fold(0, usize::saturating_add);
        let most = (STEP_BYTES / broad.sum::<usize>().max(1)).max(1);
        let (mut parts, mut from, mut step) = (Vec::new(), 0, 1);
        while from < rows {
            proceed()?;
            #[expect(
                clippy::disallowed_methods,
                reason = "how long a step takes decides the next one's length, no value"
            )]
            let began = Instant::now();
            let count = step.min(most).min(rows - from);
            parts.push(aside(given, || self.step(&args, from, count))?);
            from += count;
            step = if began.elapsed() < QUICK { count * 2 } else { (count / 2).max(1) };
        }
        let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
        let whole = match parts.as_slice() {
            [] => new_null_array(args.return_field.data_type(), 0),
            parts => arrow::compute::concat(parts)?,
        };
        if constant {
            ScalarValue::try_from_array(&whole, 0).map(ColumnarValue::Scalar)
        } else {
            Ok(ColumnarValue::Array(whole))
        }
    }
}
