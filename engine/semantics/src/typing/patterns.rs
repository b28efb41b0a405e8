//! `LIKE … ESCAPE`: the pattern with a backslash as its escape, which is all that DataFusion knows. Knows no plan.

use crate::bounds::of_no_rows;
use crate::fault::external;
use arrow::array::{AsArray, StringArray};
use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::expr::Like;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, cast, lit,
};
use querygate_types::{Error, ErrorCode};
use std::sync::{Arc, LazyLock};

/// The same condition without ESCAPE.
pub(crate) fn without_escape(like: Like) -> Result<Like> {
    static FUNCTION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
        Arc::new(ScalarUDF::new_from_impl(Escape { signature: Signature::any(2, Volatility::Immutable) }))
    });
    let Some(escape) = like.escape_char else { return Ok(like) };
    let pattern = match *like.pattern {
        Expr::Literal(scalar, _) => match scalar.try_as_str().flatten() {
            Some(text) => lit(with_backslashes(text, escape)?),
            None => Expr::Literal(scalar, None),
        },
        other => FUNCTION.call(vec![cast(other, DataType::Utf8), lit(escape.to_string())]),
    };
    Ok(Like { pattern: Box::new(pattern), escape_char: None, ..like })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Escape {
    signature: Signature,
}

impl ScalarUDFImpl for Escape {
    fn name(&self) -> &'static str {
        "like_escape"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _args: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if let Some(nothing) = of_no_rows(&args) {
            return Ok(nothing);
        }
        let [pattern, ColumnarValue::Scalar(ScalarValue::Utf8(Some(escape)))] = args.args.as_slice() else {
            return exec_err!("a pattern and an escape are needed");
        };
        let Some(escape) = escape.chars().next() else { return exec_err!("an escape is needed") };
        let rows = if matches!(pattern, ColumnarValue::Scalar(_)) { 1 } else { args.number_rows };
        let patterns = pattern.to_array(rows)?;
        let rewritten = patterns.as_string::<i32>().iter();
        let rewritten = rewritten.map(|pattern| pattern.map(|text| with_backslashes(text, escape)).transpose());
        let rewritten = rewritten.collect::<Result<StringArray>>()?;
        Ok(match pattern {
            ColumnarValue::Scalar(_) => ColumnarValue::Scalar(ScalarValue::try_from_array(&rewritten, 0)?),
            ColumnarValue::Array(_) => ColumnarValue::Array(Arc::new(rewritten)),
        })
    }
}

fn with_backslashes(pattern: &str, escape: char) -> Result<String> {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        if c == escape {
            let Some(next) = rest.next() else {
                let message = "LIKE pattern must not end with escape character";
                return Err(external(Error::new(ErrorCode::InvalidParameterValue, message)));
            };
            out.push('\\');
            out.push(next);
        } else {
            if c == '\\' {
                out.push('\\');
            }
            out.push(c);
        }
    }
    Ok(out)
}
