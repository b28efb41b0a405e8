//! What is said of a call that the function has not: clauses of aggregates and windows on plain functions, which the engine would leave out
//! in silence, window functions without a window, and with one where no rows are there yet.

use crate::dialect::rewrite::expressions::calls::unqualified;
use crate::sql::walk::{ON, Reader, Step, Stop, finds};
use datafusion::functions::all_default_functions;
use datafusion::functions_nested::all_default_nested_functions;
use datafusion::sql::sqlparser::ast::{
    DuplicateTreatment, Expr, Function, FunctionArgumentClause, FunctionArguments, Query, Select,
};
use querygate_types::{Error, ErrorCode, Result};
use std::collections::HashSet;
use std::sync::LazyLock;

/// Functions that are nothing without a window, or an order of their own.
const OF_WINDOWS: &[&str] = &["cume_dist", "dense_rank", "lag", "lead", "ntile", "percent_rank", "rank", "row_number"];

/// The engine's functions of one row.
static PLAIN: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let all = all_default_functions().into_iter().chain(all_default_nested_functions());
    all.flat_map(|function| {
        std::iter::once(function.name())
            .chain(function.aliases().iter().map(String::as_str))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    })
    .collect()
});

/// Refuses such a call.
///
/// # Errors
/// 42809.
pub(in crate::dialect) fn refuse(expr: &Expr) -> Result<()> {
    let Expr::Function(call) = expr else { return Ok(()) };
    let Some(name) = unqualified(&call.name) else { return Ok(()) };
    let message = match clause(call) {
        Some(clause) if PLAIN.contains(&name) || querygate_semantics::function(&name).is_some() => match clause {
            "OVER" => format!("OVER specified, but {name} is not a window function nor an aggregate function"),
            clause => format!("{clause} specified, but {name} is not an aggregate function"),
        },
        None if OF_WINDOWS.contains(&name.as_str()) => format!("window function {name} requires an OVER clause"),
        Some(_) | None => return Ok(()),
    };
    Err(Error::new(ErrorCode::WrongObjectType, message))
}

/// A clause that only aggregates and window functions have.
fn clause(call: &Function) -> Option<&'static str> {
    let (distinct, ordered) = match &call.args {
        FunctionArguments::List(list) => (
            list.duplicate_treatment == Some(DuplicateTreatment::Distinct),
            list.clauses.iter().any(|clause| matches!(clause, FunctionArgumentClause::OrderBy(_))),
        ),
        FunctionArguments::None | FunctionArguments::Subquery(_) => (false, false),
    };
    let clauses = [
        (distinct, "DISTINCT"),
        (!call.within_group.is_empty(), "WITHIN GROUP"),
        (ordered, "ORDER BY"),
        (call.filter.is_some(), "FILTER"),
        (call.over.is_some(), "OVER"),
    ];
    clauses.into_iter().find(|(is_there, _)| *is_there).map(|(_, clause)| clause)
}

/// Refuses window functions in the clauses of a SELECT that choose and group its rows.
///
/// # Errors
/// 42P20.
pub(super) fn refuse_windows(select: &Select) -> Result<()> {
    let found = [
        (finds(&select.from, &mut Calls(0)), "JOIN conditions"),
        (finds(&select.selection, &mut Calls(0)), "WHERE"),
        (finds(&select.group_by, &mut Calls(0)), "GROUP BY"),
        (finds(&select.having, &mut Calls(0)), "HAVING"),
    ];
    match found.into_iter().find(|(is_there, _)| *is_there) {
        Some((_, place)) => {
            let message = format!("window functions are not allowed in {place}");
            Err(Error::new(ErrorCode::WindowingError, message))
        }
        None => Ok(()),
    }
}

/// Finds a call over a window that is in none of that many queries around the place.
struct Calls(usize);

impl Reader for Calls {
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

#[cfg(test)]
mod tests {
    use crate::testing::Shop;

    #[test]
    fn calls_have_the_clauses_of_their_functions() {
        let reader = Shop::open().owner();
        for (item, code) in [
            ("lower(name) OVER ()", Some("42809")),
            ("lower(name) FILTER (WHERE rating > 1)", Some("42809")),
            ("lower(DISTINCT name)", Some("42809")),
            ("concat(name ORDER BY name)", Some("42809")),
            ("coalesce(rating, 1) OVER (ORDER BY id)", Some("42809")),
            ("row_number()", Some("42809")),
            ("lag(rating)", Some("42809")),
            ("sum(rank()) OVER ()", Some("42809")),
            ("nothing(name) OVER ()", Some("42883")),
            (
                "row_number() OVER (), lag(rating) OVER (ORDER BY id), sum(rating) FILTER (WHERE rating > 1) OVER ()",
                None,
            ),
            ("rank() OVER w, count(*) OVER w", None),
        ] {
            let sql = format!("SELECT {item} FROM accounts WINDOW w AS (ORDER BY id)");
            let refused = reader.bind(&sql).map(drop).map_err(|error| error.code().sqlstate());
            assert_eq!(refused.err(), code, "{sql}");
        }
        for sql in [
            "SELECT rank(2) WITHIN GROUP (ORDER BY rating) FROM accounts",
            "SELECT string_agg(DISTINCT name, ',' ORDER BY name) FROM accounts",
            "SELECT json_agg(name ORDER BY id) FILTER (WHERE rating > 1) FROM accounts",
            "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY rating) FROM accounts",
        ] {
            assert!(reader.bind(sql).is_ok(), "{sql}");
        }
    }

    #[test]
    fn windows_are_over_rows_that_are_chosen() {
        let reader = Shop::open().owner();
        for (sql, code) in [
            ("SELECT id FROM accounts WHERE row_number() OVER () = 1", Some("42P20")),
            ("SELECT rating FROM accounts GROUP BY rating, rank() OVER ()", Some("42P20")),
            ("SELECT rating FROM accounts GROUP BY rating HAVING rank() OVER (ORDER BY rating) > 1", Some("42P20")),
            ("SELECT a.id FROM accounts a JOIN regions r ON row_number() OVER () = 1", Some("42P20")),
            ("SELECT id FROM (SELECT id, row_number() OVER () AS n FROM accounts) q WHERE n = 1", None),
            ("SELECT id FROM accounts WHERE id IN (SELECT max(id) OVER () FROM accounts)", None),
        ] {
            let refused = reader.bind(sql).map(drop).map_err(|error| error.code().sqlstate());
            assert_eq!(refused.err(), code, "{sql}");
        }
    }
}
