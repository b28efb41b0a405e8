//! Lists of one value that stand in one expression stay as they are written. DataFusion's simplification puts them together as sets of
//! constants, and makes them false or true where nothing is left: but `a IN (1, 2) AND a IN (3, 4)` is NULL where a is, which a NOT
//! above it tells from false, and `a IN (1, 2) AND a NOT IN (3, NULL)` is never true.
//! Needed with DataFusion 55.2.0.

use super::keep_narrowing_casts::is_constant;
use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::expr::{InList, ScalarFunction};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use std::sync::{Arc, LazyLock};

/// Whether there are two lists of one value.
pub(super) fn lists_meet(expr: &Expr) -> Result<bool> {
    let mut values: Vec<&Expr> = Vec::new();
    let mut meet = false;
    expr.apply(|part| {
        if let Expr::InList(list) = part {
            meet = meet || values.contains(&list.expr.as_ref());
            values.push(&list.expr);
        }
        Ok(if meet { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(meet)
}

/// A list as a call that DataFusion knows nothing of. One of a constant is left: it is computed.
pub(super) fn hidden(expr: Expr) -> Transformed<Expr> {
    match expr {
        Expr::InList(InList { expr, list, negated }) if !is_constant(&expr) => {
            let mut args = vec![*expr];
            args.extend(list);
            let call = Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(&LISTED), args));
            Transformed::yes(if negated { Expr::Not(Box::new(call)) } else { call })
        }
        other => Transformed::no(other),
    }
}

/// What was hidden as it was written.
pub(super) fn shown(expr: Expr) -> Transformed<Expr> {
    match expr {
        Expr::ScalarFunction(call) if call.func == *LISTED => {
            let mut args = call.args.into_iter();
            match args.next() {
                Some(value) => Transformed::yes(Expr::InList(InList::new(Box::new(value), args.collect(), false))),
                None => Transformed::no(Expr::ScalarFunction(ScalarFunction::new_udf(call.func, Vec::new()))),
            }
        }
        Expr::Not(inner) => match *inner {
            Expr::InList(list) => Transformed::yes(Expr::InList(InList { negated: !list.negated, ..list })),
            other => Transformed::no(Expr::Not(Box::new(other))),
        },
        other => Transformed::no(other),
    }
}

static LISTED: LazyLock<Arc<ScalarUDF>> =
    LazyLock::new(|| Arc::new(ScalarUDF::from(Listed { signature: Signature::variadic_any(Volatility::Immutable) })));

/// Stands for IN while an expression is simplified.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Listed {
    signature: Signature,
}

impl ScalarUDFImpl for Listed {
    fn name(&self) -> &'static str {
        "listed"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        internal_err!("a list was not put back")
    }
}
