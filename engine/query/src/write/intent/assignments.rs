//! The values of assignments: where several columns get those of one row, each by itself. Knows no table.

use super::unsupported;
use crate::sql::walk::{ON, Reader, Step, Stop, finds};
use crate::write::find::{no_skeleton, skeleton};
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, Query, SelectItem, SetExpr, TableAlias,
    TableAliasColumnDef, TableFactor,
};
use querygate_query_api::own_names::{ONE_ROW, place};
use querygate_types::{Error, ErrorCode, Result};

/// The values of `(a, b) = …` for that many columns.
///
/// # Errors
/// 42601: there are more, or fewer. 0A000: no row says them, or a subquery that may give another row for each.
pub(crate) fn each(value: &Expr, columns: usize) -> Result<Vec<Expr>> {
    let values = match value {
        Expr::Tuple(values) => values.clone(),
        Expr::Function(function) => match row(function) {
            Some(values) => values,
            None => return Err(unsupported("this form of assignment")),
        },
        Expr::Subquery(query) if query.limit_clause.is_none() && query.fetch.is_none() => {
            return (1..=columns).map(|at| one_of(query, at, columns)).collect();
        }
        _ => return Err(unsupported("this form of assignment")),
    };
    if values.len() != columns {
        return Err(Error::new(ErrorCode::SyntaxError, "number of columns does not match number of values"));
    }
    Ok(values)
}

/// The values of `ROW(…)`.
fn row(function: &Function) -> Option<Vec<Expr>> {
    let [name] = function.name.0.as_slice() else { return None };
    let is_row = name.as_ident()?.value.eq_ignore_ascii_case("row");
    let FunctionArguments::List(list) = &function.args else { return None };
    let value = |argument: &FunctionArg| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => Some(value.clone()),
        _ => None,
    };
    is_row.then(|| list.args.iter().map(value).collect()).flatten()
}

/// The value that a subquery has for one of that many columns.
fn one_of(query: &Query, at: usize, columns: usize) -> Result<Expr> {
    let quoted = |name: &str| Ident::with_quote('"', name);
    let names = (1..=columns).map(|at| TableAliasColumnDef { name: quoted(&place(at)), data_type: None });
    let alias = TableAlias { explicit: true, name: quoted(ONE_ROW), columns: names.collect(), at: None };
    let mut one = skeleton("SELECT 1 FROM t")?;
    let SetExpr::Select(select) = one.body.as_mut() else { return Err(no_skeleton()) };
    let Some(from) = select.from.first_mut() else { return Err(no_skeleton()) };
    let subquery = Box::new(query.clone());
    from.relation = TableFactor::Derived { lateral: false, subquery, alias: Some(alias), sample: None };
    let value = Expr::CompoundIdentifier(vec![quoted(ONE_ROW), quoted(&place(at))]);
    select.projection = vec![SelectItem::UnnamedExpr(value)];
    Ok(Expr::Subquery(Box::new(one)))
}

/// Refuses window functions in a value that are in no query of its own.
///
/// # Errors
/// 42P20.
pub(super) fn refuse_windows(value: &Expr) -> Result<()> {
    if !finds(value, &mut Windows(0)) {
        return Ok(());
    }
    Err(Error::new(ErrorCode::WindowingError, "window functions are not allowed in UPDATE"))
}

/// Finds a call over a window that is in none of that many queries around the place.
struct Windows(usize);

impl Reader for Windows {
    fn query(&mut self, _: &Query) -> Step {
        self.0 += 1;
        ON
    }

    fn after_query(&mut self, _: &Query) -> Step {
        self.0 -= 1;
        ON
    }

    fn expr(&mut self, expr: &Expr) -> Step {
        match expr {
            Expr::Function(call) if self.0 == 0 && call.over.is_some() => Step::Break(Stop::Found),
            _ => ON,
        }
    }
}
