//! A chain of `||` over texts as one call, whose result is charged to the statement's memory before it is made. Knows no plan.

use crate::bounds::bytes_of;
use crate::bounds::of_no_rows;
use crate::fault::external;
use arrow::array::{Array, ArrayRef, AsArray, StringArray, StringBuilder};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{DFSchema, Result, ScalarValue, plan_err};
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};
use querygate_resources::charge;
use querygate_types::{Error, ErrorCode};
use std::fmt::Write;
use std::sync::{Arc, LazyLock};

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
        let length = args.args.iter().map(|arg| bytes_of(arg, rows)).fold(0, usize::saturating_add);
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
