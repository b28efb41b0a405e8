//! Rows of VALUES that are planned as the branches of a union, which meet at one type: of VALUES the engine wants the types to have one
//! name, or none. Knows no type.

use super::value_lists::{Says, pg_type, says};
use crate::dialect::ast::{aliased, select};
use crate::dialect::parameters::Declared;
use crate::dialect::rewrite::expressions::calls::{is_set, unqualified};
use crate::dialect::rewrite::grouping::aggregates::is_aggregate;
use crate::sql::walk::{ON, Reader, Step, Stop, finds};
use datafusion::sql::sqlparser::ast::{Expr, Ident, Query, SetExpr, SetOperator, SetQuantifier, Values};
use querygate_types::TypeCategory;

/// Rows that are written as a union at most: their inputs stand in each other.
const ROWS_MAX: usize = 64;

/// Rows that read columns of a query around them, or whose types are known only when they are planned. `None`: these are other rows.
pub(super) fn as_union(values: &Values, declared: &[Option<Declared>]) -> Option<SetExpr> {
    if !(2..=ROWS_MAX).contains(&values.rows.len()) {
        return None;
    }
    let mut cells = values.rows.iter().flat_map(|row| &row.content);
    if !cells.any(|cell| finds(cell, &mut Columns)) && !meet_when_planned(values, declared) {
        return None;
    }
    let mut union = None;
    for row in &values.rows {
        let items = row.content.iter().enumerate();
        let items = items.map(|(place, cell)| aliased(cell.clone(), &format!("column{}", place + 1))).collect();
        let right = select(items, None).ok()?.body;
        union = Some(match union {
            None => *right,
            Some(left) => SetExpr::SetOperation {
                op: SetOperator::Union,
                set_quantifier: SetQuantifier::All,
                left: Box::new(left),
                right,
            },
        });
    }
    union
}

/// Whether a column has a number whose type a cast says beside one that is computed.
fn meet_when_planned(values: &Values, declared: &[Option<Declared>]) -> bool {
    let width = values.rows.first().map_or(0, |row| row.len());
    let is_one = |column: usize| {
        let cells = values.rows.iter().filter_map(|row| row.content.get(column));
        let said: Vec<Says> = cells.map(|cell| says(cell, declared)).collect();
        said.contains(&Says::Something)
            && said.iter().any(|said| matches!(said, Says::Written(..)))
            && said.iter().filter_map(pg_type).all(|own| own.category() == TypeCategory::Numeric)
    };
    let mut cells = values.rows.iter().flat_map(|row| &row.content);
    values.rows.iter().all(|row| row.len() == width)
        && (0..width).any(is_one)
        && !cells.any(|cell| finds(cell, &mut NotOfRows(0)))
}

/// Whether a name is DEFAULT, which the parser takes for one in the rows of an INSERT.
fn is_default(name: &Ident) -> bool {
    name.quote_style.is_none() && name.value.eq_ignore_ascii_case("default")
}

/// Finds a column's name.
struct Columns;

impl Reader for Columns {
    fn expr(&mut self, expr: &Expr) -> Step {
        match expr {
            Expr::Identifier(name) if is_default(name) => ON,
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) => Step::Break(Stop::Found),
            _ => ON,
        }
    }
}

/// Finds what a SELECT may have and VALUES not, outside of the queries in a cell: aggregates, windows and sets; and DEFAULT, which no SELECT
/// has. Counts the queries around a place.
struct NotOfRows(usize);

impl Reader for NotOfRows {
    fn query(&mut self, _: &Query) -> Step {
        self.0 += 1;
        ON
    }

    fn after_query(&mut self, _: &Query) -> Step {
        self.0 -= 1;
        ON
    }

    fn expr(&mut self, expr: &Expr) -> Step {
        let is_found = match expr {
            Expr::Identifier(name) => is_default(name),
            Expr::Function(call) => {
                call.over.is_some() || is_aggregate(call) || unqualified(&call.name).is_some_and(|name| is_set(&name))
            }
            _ => false,
        };
        if is_found && self.0 == 0 { Step::Break(Stop::Found) } else { ON }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Yard;

    /// Answers are PostgreSQL 15's.
    #[test]
    fn numbers_of_casts_functions_and_parameters_meet() {
        let yard = Yard::new();
        let owner = yard.owner();
        for (rows, expected) in [
            ("(1.50::numeric(8,2)), ($1)", "1"),
            ("($1), (1.50::numeric(8,2)), ($1)", "2"),
            ("(1.5), ($1)", "1"),
            ("(ceil(2.4)), ($1), (1.5::numeric)", "1"),
            ("(ceil(2.4)), ('2.567'), (1.5::numeric), ($1)", "2"),
        ] {
            let sql = format!("SELECT count(*) FROM (VALUES {rows}) v(x) WHERE x = 2.567");
            let read = owner.prepare(&sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
            assert_eq!(owner.execute(&read, &[Some("2.567")]), expected, "{sql}");
        }
    }

    /// Each would be a row of a SELECT, or several.
    #[test]
    fn what_no_row_of_values_has_stays_refused() {
        let yard = Yard::new();
        let owner = yard.owner();
        for sql in [
            "VALUES (count(*)), (2::int)",
            "VALUES (sum(1) OVER ()), (2::int)",
            "VALUES (generate_series(1, 2)), (2::int)",
            "VALUES (abs(1)), (2::int, 3)",
        ] {
            assert!(owner.prepare(sql).is_err(), "{sql}");
        }
    }
}
