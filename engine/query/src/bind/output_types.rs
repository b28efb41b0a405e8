//! The Postgres type of an output column where Arrow's does not say it and the engine has lost the name of it on the way:
//! through CASE, COALESCE, subqueries, sets and aggregates. Reads plans only.

use arrow::datatypes::{DataType, Field};
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{Expr, ExprSchemable as _, LogicalPlan};
use querygate_query_api::column::PG_TYPE_KEY;
use querygate_semantics::lineage::{Below, below};
use querygate_types::PgType;
use std::collections::HashMap;

/// The type to declare in place of `declared`: another name for what the engine has as the same. `None`: leave it.
pub(crate) fn narrower(plan: &LogicalPlan, column: usize, declared: PgType) -> Option<PgType> {
    Types::default().of_column(plan, column).filter(|found| is_name_of(*found, declared))
}

/// Whether a type is another name for what the engine has as text, or as an array of texts.
pub(crate) const fn is_name_of(found: PgType, declared: PgType) -> bool {
    match declared {
        PgType::Text => matches!(
            found,
            PgType::Name
                | PgType::Char
                | PgType::Varchar
                | PgType::Bpchar
                | PgType::Json
                | PgType::Jsonb
                | PgType::Uuid
                | PgType::Macaddr
                | PgType::Macaddr8
                | PgType::Bit
                | PgType::Varbit
                | PgType::PgNodeTree
                | PgType::AclItem
        ),
        PgType::TextArray => matches!(
            found,
            PgType::NameArray
                | PgType::CharArray
                | PgType::VarcharArray
                | PgType::BpcharArray
                | PgType::AclItemArray
                | PgType::JsonArray
                | PgType::JsonbArray
                | PgType::UuidArray
                | PgType::MacaddrArray
                | PgType::Macaddr8Array
                | PgType::BitArray
                | PgType::VarbitArray
        ),
        _ => false,
    }
}

pub(crate) fn named(field: &Field) -> Option<PgType> {
    field.metadata().get(PG_TYPE_KEY).and_then(|name| PgType::from_name(name))
}

/// The type of an expression over a node's input; `None`: what Arrow's type says.
pub(crate) fn of(expr: &Expr, input: &LogicalPlan) -> Option<PgType> {
    Types::default().of(expr, input)
}

/// Types that one walk found: a column that is named twice at each of many levels is followed down once.
#[derive(Default)]
struct Types {
    columns: HashMap<(*const LogicalPlan, usize), Option<PgType>>,
}

impl Types {
    fn of_column(&mut self, plan: &LogicalPlan, column: usize) -> Option<PgType> {
        let place = (std::ptr::from_ref(plan), column);
        if let Some(known) = self.columns.get(&place) {
            return *known;
        }
        let found = self.found_column(plan, column);
        self.columns.insert(place, found);
        found
    }

    fn found_column(&mut self, plan: &LogicalPlan, column: usize) -> Option<PgType> {
        match below(plan, column) {
            Below::Table(_, field) => named(field),
            Below::Computed(expr, input) => self.of(expr, input),
            Below::Handed(input, column) | Below::Rounds(input, column) => self.of_column(input, column),
            Below::OneOf(inputs, column) => {
                let mut types = inputs.iter().map(|input| self.of_column(input, column));
                let first = types.next()??;
                types.all(|other| other == Some(first)).then_some(first)
            }
            Below::Items(input, column) => self.of_column(input, column)?.element(),
            Below::Nothing => match plan {
                LogicalPlan::Window(window) => {
                    // Behind the columns of its input.
                    let place = column.checked_sub(window.input.schema().fields().len())?;
                    self.of(window.window_expr.get(place)?, &window.input)
                }
                other => named(other.schema().fields().get(column)?),
            },
        }
    }

    fn of(&mut self, expr: &Expr, input: &LogicalPlan) -> Option<PgType> {
        match expr {
            Expr::Alias(alias) => self.of(&alias.expr, input),
            Expr::Column(column) => self.of_column(input, input.schema().maybe_index_of_column(column)?),
            Expr::OuterReferenceColumn(field, _) => named(field),
            Expr::Cast(cast) => named(&cast.field),
            Expr::ScalarSubquery(subquery) => self.of_column(&subquery.subquery, 0),
            Expr::Case(case) => {
                // PostgreSQL takes ELSE for the most significant one.
                let branches = case.when_then_expr.iter().map(|(_, then)| then.as_ref());
                self.common(case.else_expr.iter().map(AsRef::as_ref).chain(branches), input)
            }
            Expr::ScalarFunction(call) => match call.func.name() {
                "coalesce" | "greatest" | "least" => self.common(call.args.iter(), input),
                // As what `=` compares it: there is none of varchars.
                "nullif" => self.of(call.args.first()?, input).filter(|found| *found != PgType::Varchar),
                "array_or_empty" | "told_apart" | "nullable" => self.of(call.args.first()?, input),
                "make_array" => self.common(call.args.iter(), input)?.array(),
                "array_element" | "mode_of" => self.of(call.args.first()?, input)?.element(),
                "percentile_disc_of" => {
                    let array = self.of(call.args.first()?, input)?;
                    let is_of_several = call.args.get(1)?.get_type(input.schema().as_ref()).ok()?.is_list();
                    if is_of_several { Some(array) } else { array.element() }
                }
                _ => computed(expr, input),
            },
            Expr::AggregateFunction(call) => match call.func.name() {
                "array_agg" => self.of(call.params.args.first()?, input)?.array(),
                "first_value" | "last_value" | "any_value" => self.of(call.params.args.first()?, input),
                _ => None,
            },
            Expr::WindowFunction(call) => self.handed_on(call, input).or_else(|| computed(expr, input)),
            _ => computed(expr, input),
        }
    }

    /// The type of what a window function takes from other rows.
    fn handed_on(&mut self, call: &WindowFunction, input: &LogicalPlan) -> Option<PgType> {
        let args = &call.params.args;
        // Behind a blank stands in which way a function of ours differs from the one of that name.
        match call.fun.name().split(' ').next()? {
            // Between them stands the distance.
            "lag" | "lead" => self.common(args.first().into_iter().chain(args.get(2)), input),
            "first_value" | "last_value" | "nth_value" => self.of(args.first()?, input),
            "array_agg" => self.of(args.first()?, input)?.array(),
            _ => None,
        }
    }

    /// The type of several values: literals without a type take it; of texts that are cast to one another unasked, the first.
    fn common<'a>(&mut self, exprs: impl Iterator<Item = &'a Expr>, input: &LogicalPlan) -> Option<PgType> {
        let mut types =
            exprs.filter(|expr| !is_literal(expr)).map(|expr| self.of(expr, input).or_else(|| text(expr, input)));
        let first = types.next()??;
        let like = |other: PgType| {
            let texts = |t| matches!(t, PgType::Name | PgType::Text | PgType::Varchar);
            other == first || texts(first) && texts(other)
        };
        types.all(|other| other.is_some_and(like)).then_some(first)
    }
}

/// What the engine itself says of the type of an expression over a node's input; `None`: what Arrow's type says.
fn computed(expr: &Expr, input: &LogicalPlan) -> Option<PgType> {
    named(&expr.to_field(input.schema().as_ref()).ok()?.1)
}

/// The type of a text that nothing names otherwise; `None`: the expression is no text.
fn text(expr: &Expr, input: &LogicalPlan) -> Option<PgType> {
    let data_type = expr.to_field(input.schema().as_ref()).ok()?.1.data_type().clone();
    matches!(data_type, DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8).then_some(PgType::Text)
}

fn is_literal(expr: &Expr) -> bool {
    match expr {
        Expr::Alias(alias) => is_literal(&alias.expr),
        Expr::Literal(_, metadata) => metadata.is_none(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Shop;
    use querygate_types::PgType;

    /// Arrow has one type of texts; the names of others survive what only hands values on, and nothing else.
    #[test]
    fn names_of_text_types_survive_what_hands_values_on() {
        let reader = Shop::open().owner();
        for (sql, expected) in [
            ("SELECT 'a'::varchar", PgType::Varchar),
            ("SELECT 'a'::varchar || 'b'", PgType::Text),
            ("SELECT upper('a'::varchar)", PgType::Text),
            ("SELECT 'a'::name", PgType::Name),
            ("SELECT '{}'::json", PgType::Json),
            ("SELECT x FROM (SELECT 'a'::varchar AS x) q", PgType::Varchar),
            ("SELECT (SELECT 'a'::varchar)", PgType::Varchar),
            ("SELECT coalesce('a'::varchar, 'b'::varchar)", PgType::Varchar),
            ("SELECT coalesce('a'::varchar, 'b')", PgType::Varchar),
            ("SELECT coalesce('a'::text, 'b'::varchar)", PgType::Text),
            ("SELECT coalesce('{}'::jsonb, '[]')", PgType::Jsonb),
            ("SELECT CASE WHEN true THEN '{}'::jsonb ELSE '[]' END", PgType::Jsonb),
            ("SELECT coalesce('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid, $1)", PgType::Uuid),
            ("SELECT CASE WHEN true THEN 'a'::varchar ELSE 'b'::varchar END", PgType::Varchar),
            ("SELECT CASE WHEN true THEN 'a'::varchar ELSE 'b'::text END", PgType::Text),
            ("SELECT 'a'::varchar UNION ALL SELECT 'b'::varchar", PgType::Varchar),
            ("SELECT 'a'::varchar UNION ALL SELECT 'b'::text", PgType::Text),
            ("SELECT nullif('a'::varchar, 'b')", PgType::Text),
            ("SELECT ARRAY['a'::varchar]", PgType::VarcharArray),
            ("SELECT array_agg('a'::varchar)", PgType::VarcharArray),
            ("SELECT ARRAY['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid]", PgType::UuidArray),
            ("SELECT array_agg('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid)", PgType::UuidArray),
            ("SELECT ARRAY['08:00:2b:01:02:03'::macaddr]", PgType::MacaddrArray),
            ("SELECT mode() WITHIN GROUP (ORDER BY '1'::jsonb)", PgType::Jsonb),
            ("SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY 'a'::varchar)", PgType::Varchar),
            ("SELECT (ARRAY['a'::varchar])[1]", PgType::Varchar),
            ("SELECT unnest(ARRAY['a'::varchar])", PgType::Varchar),
            ("SELECT json_agg(1)", PgType::Json),
            ("SELECT first_value('a'::varchar) OVER ()", PgType::Varchar),
            ("SELECT lag(x, 1, x) OVER () FROM (SELECT 'a'::varchar AS x) q", PgType::Varchar),
            ("SELECT lag(x, n, 'b') OVER () FROM (SELECT 'a'::varchar AS x, 1 AS n) q", PgType::Varchar),
            (
                "SELECT first_value(CASE WHEN true THEN 'a'::varchar END) OVER (ROWS UNBOUNDED PRECEDING)",
                PgType::Varchar,
            ),
            ("SELECT lag((ARRAY['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid])[1]) OVER ()", PgType::Uuid),
            ("SELECT array_agg('a'::varchar) OVER ()", PgType::VarcharArray),
            ("SELECT max('a'::varchar) OVER ()", PgType::Text),
            ("SELECT lead(nullif('a'::varchar, 'b')) OVER ()", PgType::Text),
            ("SELECT count('a'::varchar)", PgType::Int8),
        ] {
            let bound = reader.bind(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
            assert_eq!(bound.columns()[0].pg_type, expected, "{sql}");
        }
    }

    /// A column that is named twice on each of many levels is followed down once: else this would take 2^60 steps.
    #[test]
    fn a_column_is_followed_down_once() {
        let mut sql = "SELECT 'a'::varchar AS x".to_owned();
        for _ in 0..40 {
            sql = format!("SELECT coalesce(x, x) AS x FROM ({sql}) q");
        }
        assert_eq!(Shop::open().owner().bind(&sql).unwrap().columns()[0].pg_type, PgType::Varchar);
    }
}
