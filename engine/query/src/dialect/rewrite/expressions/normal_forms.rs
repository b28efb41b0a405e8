//! `normalize(x, NFKC)` and `x IS NFC NORMALIZED`: the form of Unicode is a word there, not a column.

use super::calls::unqualified;
use crate::dialect::ast::{call, text};
use datafusion::sql::sqlparser::ast::{Expr, FunctionArg, FunctionArgExpr, FunctionArguments, UnaryOperator};

pub(in crate::dialect) fn rewrite(expr: &mut Expr) {
    match expr {
        Expr::Function(function) if unqualified(&function.name).as_deref() == Some("normalize") => {
            let FunctionArguments::List(list) = &mut function.args else { return };
            if let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(form))) = list.args.get_mut(1)
                && let Expr::Identifier(ident) = &*form
                && ident.quote_style.is_none()
            {
                *form = text(&ident.value.to_lowercase());
            }
        }
        Expr::IsNormalized { expr: value, form, negated } => {
            let form = form.as_ref().map_or_else(|| "nfc".to_owned(), |form| form.to_string().to_lowercase());
            let normal = call("is_normalized", vec![value.as_ref().clone(), text(&form)]);
            *expr = if *negated { Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(normal) } } else { normal };
        }
        _ => {}
    }
}
