//! Functions and operators whose results hold what they were given, once more each time: what they make is charged to the
//! statement's memory first. Put around DataFusion's own after coercion; what they mean stays. Knows no plan.

use crate::casts::conversions;
use crate::fault::external;
use crate::functions::of_no_rows;
use arrow::array::{Array, ArrayRef, AsArray, StringArray, StringBuilder};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{DFSchema, Result, ScalarValue, plan_err};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility, expr::ScalarFunction,
};
use datafusion::physical_expr::ScalarFunctionExpr;
use datafusion::physical_plan::PhysicalExpr;
use querygate_resources::bytes::own_bytes;
use querygate_resources::{CHARGE_LEAST, charge};
use querygate_types::{Error, ErrorCode};
use std::any::Any;
use std::fmt::Write;
use std::sync::{Arc, LazyLock};

/// Bytes that one batch of results may take.
const BATCH_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Bytes of a batch of results that are made one by one.
#[derive(Debug, Default)]
pub(crate) struct ResultBytes {
    made: usize,
    charged: usize,
}

impl ResultBytes {
    /// Takes another result.
    ///
    /// # Errors
    /// 53200: more than a batch or the statement may have.
    pub(crate) fn add(&mut self, bytes: usize) -> Result<()> {
        self.made = self.made.saturating_add(bytes);
        if self.made > BATCH_BYTES_MAX {
            return Err(external(Error::new(ErrorCode::OutOfMemory, "out of memory")));
        }
        if self.made - self.charged >= CHARGE_LEAST {
            charge(self.made - self.charged)?;
            self.charged = self.made;
        }
        Ok(())
    }
}

/// DataFusion's functions whose results are as long as their arguments together, or as some of these many times.
const ADDING: &[&str] = &[
    "array_append",
    "array_concat",
    "array_prepend",
    "array_replace",
    "array_replace_all",
    "array_replace_n",
    "array_union",
    "arrays_zip",
    "concat",
    "concat_ws",
    "make_array",
    "map",
    "named_struct",
    "overlay",
    "string_to_array",
    "struct",
];

/// Ours that charge for themselves what is longer than their arguments.
const OURS: &[&str] =
    &["array_to_string", "format", "lpad", "regexp_replace", "repeat", "replace", "rpad", "text_concat", "translate"];

/// Puts a charge before a call that needs one; `Err`: it needs none.
pub(crate) fn charged(call: ScalarFunction) -> std::result::Result<Expr, ScalarFunction> {
    if !ADDING.contains(&call.func.name()) || is_charged(&call.func) {
        return Err(call);
    }
    let func = Arc::new(charging(call.func));
    Ok(Expr::ScalarFunction(ScalarFunction { func, args: call.args }))
}

/// A function with a charge before it.
pub(crate) fn charging(inner: Arc<ScalarUDF>) -> ScalarUDF {
    ScalarUDF::new_from_impl(Charged { inner })
}

/// What a charge stands before.
pub(crate) fn charged_one(function: &ScalarUDF) -> Option<&Arc<ScalarUDF>> {
    let inner: &dyn Any = function.inner().as_ref();
    inner.downcast_ref::<Charged>().map(|charged| &charged.inner)
}

fn is_charged(function: &ScalarUDF) -> bool {
    let inner: &dyn Any = function.inner().as_ref();
    inner.is::<Charged>()
}

/// Whether a physical expression calls one of them.
pub fn grows(expr: &Arc<dyn PhysicalExpr>) -> bool {
    let called = expr.downcast_ref::<ScalarFunctionExpr>();
    // Values of JSON become trees, which are larger than their texts.
    let reads_json =
        |call: &ScalarFunctionExpr| call.fun().name().contains("json") || conversions::is_to_json(call.fun());
    let own =
        called.is_some_and(|call| OURS.contains(&call.fun().name()) || is_charged(call.fun()) || reads_json(call));
    own || expr.children().into_iter().any(grows)
}

/// A function of DataFusion whose arguments are charged for.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Charged {
    inner: Arc<ScalarUDF>,
}

impl ScalarUDFImpl for Charged {
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
                Ok(ExprSimplifyResult::Simplified(charged(call).unwrap_or_else(Expr::ScalarFunction)))
            }
            other => Ok(other),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if let Some(nothing) = of_no_rows(&args) {
            return Ok(nothing);
        }
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let given = args.args.iter().map(|arg| size(arg, rows)).fold(0, usize::saturating_add);
        let more = match self.inner.name() {
            // Its separator stands between all of them.
            "concat_ws" => args.args.first().map_or(0, |first| size(first, rows)).saturating_mul(args.args.len()),
            // An element that takes another's place may be longer than it.
            "array_replace" | "array_replace_all" | "array_replace_n" => replaced(&args.args),
            _ => 0,
        };
        charge(given.saturating_add(more))?;
        self.inner.invoke_with_args(args)
    }
}

/// Bytes of a value in so many rows.
fn size(value: &ColumnarValue, rows: usize) -> usize {
    match value {
        ColumnarValue::Array(array) => own_bytes(array),
        ColumnarValue::Scalar(scalar) => scalar.size().saturating_mul(rows),
    }
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

/// The function that joins texts.
pub(crate) fn joining() -> Arc<ScalarUDF> {
    static JOINED: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
        Arc::new(ScalarUDF::new_from_impl(Joined { signature: Signature::user_defined(Volatility::Immutable) }))
    });
    Arc::clone(&JOINED)
}

/// Puts one call in place of a chain of `||` over texts; `Err`: it is none.
pub(crate) fn joined(chain: BinaryExpr, schema: &DFSchema) -> Result<std::result::Result<Expr, BinaryExpr>> {
    let is_text =
        |operand: &Expr| Ok::<_, datafusion::error::DataFusionError>(operand.get_type(schema)? == DataType::Utf8);
    let mut link = &chain;
    loop {
        if !is_text(&link.right)? {
            return Ok(Err(chain));
        }
        match link.left.as_ref() {
            Expr::BinaryExpr(left) if left.op == Operator::StringConcat => link = left,
            first if is_text(first)? => break,
            _ => return Ok(Err(chain)),
        }
    }
    let mut operands = vec![*chain.right];
    let mut left = *chain.left;
    loop {
        match left {
            Expr::BinaryExpr(link) if link.op == Operator::StringConcat => {
                operands.push(*link.right);
                left = *link.left;
            }
            first => {
                operands.push(first);
                break;
            }
        }
    }
    operands.reverse();
    Ok(Ok(joining().call(operands)))
}

/// Texts one after the other; NULL where one of them is.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Joined {
    signature: Signature,
}

impl ScalarUDFImpl for Joined {
    fn name(&self) -> &'static str {
        "text_concat"
    }

    /// The operators' own, so that columns above keep their names.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let names: Vec<String> = args.iter().map(|arg| arg.schema_name().to_string()).collect();
        Ok(names.join(" || "))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        if types.iter().all(|given| *given == DataType::Utf8) {
            Ok(types.to_vec())
        } else {
            plan_err!("texts are needed")
        }
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name(), DataType::Utf8, nullable)))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if let Some(nothing) = of_no_rows(&args) {
            return Ok(nothing);
        }
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let length = args.args.iter().map(|arg| size(arg, rows)).fold(0, usize::saturating_add);
        charge(length)?;
        if i32::try_from(length).is_err() {
            return Err(external(Error::new(ErrorCode::OutOfMemory, "out of memory")));
        }
        let operands = args.args.iter().map(|arg| match arg {
            ColumnarValue::Array(array) => Ok(Arc::clone(array)),
            // One row, whatever their number.
            ColumnarValue::Scalar(scalar) => scalar.to_array(),
        });
        let operands: Vec<ArrayRef> = operands.collect::<Result<_>>()?;
        let texts: Vec<&StringArray> = operands.iter().map(|operand| operand.as_string::<i32>()).collect();
        let single = |arg: usize| matches!(args.args.get(arg), Some(ColumnarValue::Scalar(_)));
        let mut builder = StringBuilder::with_capacity(rows, length);
        for row in 0..rows {
            let cells = texts.iter().enumerate().map(|(arg, texts)| (texts, if single(arg) { 0 } else { row }));
            if cells.clone().any(|(texts, at)| texts.is_null(at)) {
                builder.append_null();
                continue;
            }
            for (texts, at) in cells {
                builder.write_str(texts.value(at))?;
            }
            builder.append_value("");
        }
        let joined: ArrayRef = Arc::new(builder.finish());
        if constant {
            ScalarValue::try_from_array(&joined, 0).map(ColumnarValue::Scalar)
        } else {
            Ok(ColumnarValue::Array(joined))
        }
    }
}
