//! Parameters to which no place in a statement gives a type, and which were declared as texts or as nothing. They stay open while it is
//! planned, so that each is read as what stands beside it; where a result is of their type after all, they are texts.

use super::{Declared, declared_type};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{ExprSchema, Result};
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::{Cast, Expr, LogicalPlan, Union};
use querygate_query_api::column::{PG_TYPE_KEY, pg_type_of};
use querygate_semantics::keep_names::under_names;
use querygate_semantics::lineage::InputColumns;
use querygate_types::PgType;
use std::collections::HashMap;
use std::sync::Arc;

/// The function whose result is of as many types as its arguments.
const GATHERS: &str = "array_agg";
/// Functions of rows whose result is of the type of their first argument, or of arrays of it.
const OF_FIRST: &[&str] = &[GATHERS, "max", "min", "lag", "lead", "first_value", "last_value", "nth_value"];

/// What says the type of a text, by the name of its parameter.
type Texts<'a> = &'a dyn Fn(&str) -> Option<FieldRef>;

/// The plan with such parameters as texts where they are columns, and where a function hands on the values of its rows.
pub(crate) fn as_texts(plan: LogicalPlan, declared: &[Option<Declared>]) -> Result<LogicalPlan> {
    let mut found = places(&plan)?;
    found.retain(|_, places| places.waits && !places.differs);
    if found.is_empty() {
        return Ok(plan);
    }
    let text = |id: &str| {
        let places = found.get(id)?;
        let pg_type = text_type(id, declared)?;
        Some(places.text.as_ref().map_or_else(|| field(id, pg_type), Arc::clone))
    };
    let mut changed = false;
    let typed = |node: LogicalPlan| {
        let columns = matches!(node, LogicalPlan::Projection(_) | LogicalPlan::Aggregate(_));
        let typed = under_names(node, |expr| in_expression(expr, columns, &text))?;
        changed |= typed.transformed;
        // What is above it has other types, too.
        if changed { typed.map_data(renewed) } else { Ok(typed) }
    };
    Ok(plan.transform_up_with_subqueries(typed)?.data)
}

/// The plan whose arrays of parameters and columns without a type are arrays of texts, as which PostgreSQL takes such columns.
pub(crate) fn gathered_as_texts(plan: LogicalPlan) -> Result<LogicalPlan> {
    if !gathers(&plan)? {
        return Ok(plan);
    }
    let mut changed = false;
    let typed = |node: LogicalPlan| {
        let typed = if is_gathering(&node) {
            let columns = InputColumns::of(&node)?;
            under_names(node, |expr| expr.transform_up(|part| Ok(gathered(part, &columns))))?
        } else {
            Transformed::no(node)
        };
        changed |= typed.transformed;
        if changed { typed.map_data(renewed) } else { Ok(typed) }
    };
    Ok(plan.transform_up_with_subqueries(typed)?.data)
}

/// Whether a plan, subqueries included, makes an array of its rows' values. Most statements do not.
fn gathers(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        if is_gathering(node) {
            node.apply_expressions(|expr| {
                found = found || expr.exists(|part| Ok(is_gathering_call(part)))?;
                Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
            })?;
        }
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

/// Whether a node is of a kind that makes arrays of its rows' values.
const fn is_gathering(node: &LogicalPlan) -> bool {
    matches!(node, LogicalPlan::Aggregate(_) | LogicalPlan::Window(_))
}

fn is_gathering_call(part: &Expr) -> bool {
    match part {
        Expr::AggregateFunction(call) => call.func.name() == GATHERS,
        Expr::WindowFunction(call) => call.fun.name() == GATHERS,
        _ => false,
    }
}

fn gathered(mut part: Expr, columns: &InputColumns) -> Transformed<Expr> {
    let mut changed = false;
    match &mut part {
        Expr::AggregateFunction(call) if call.func.name() == GATHERS => {
            let keys = call.params.order_by.iter_mut().map(|key| &mut key.expr);
            call.params.args.iter_mut().chain(keys).for_each(|value| changed |= as_text(value, columns));
        }
        Expr::WindowFunction(call) if call.fun.name() == GATHERS => {
            call.params.args.iter_mut().for_each(|value| changed |= as_text(value, columns));
        }
        _ => {}
    }
    Transformed::new_transformed(part, changed)
}

/// What has no type as a text. Whether it has none.
fn as_text(value: &mut Expr, columns: &InputColumns) -> bool {
    if let Expr::Placeholder(Placeholder { id, field: own }) = value {
        let is_open = is_open(own.as_ref());
        if is_open {
            *own = Some(field(id, PgType::Text));
        }
        return is_open;
    }
    let is_open = matches!(&*value, Expr::Column(column)
        if columns.schema().field_from_column(column).is_ok_and(|field| field.data_type() == &DataType::Null));
    if is_open {
        *value = Expr::Cast(Cast::new(Box::new(std::mem::take(value)), DataType::Utf8));
    }
    is_open
}

/// What the places of a parameter say of its type.
#[derive(Debug, Default)]
struct Places {
    /// Whether one of them says nothing.
    waits: bool,
    /// The text that it is in others.
    text: Option<FieldRef>,
    /// Whether it is something else in one of them, or texts of several kinds.
    differs: bool,
}

impl Places {
    fn add(&mut self, field: &FieldRef) {
        let is_text = field.data_type().is_string()
            && pg_type_of(field) == PgType::Text
            && field.metadata().keys().all(|key| key == PG_TYPE_KEY);
        let is_same = |known: &FieldRef| known.data_type() == field.data_type() && known.metadata() == field.metadata();
        match &self.text {
            _ if !is_text => self.differs = true,
            None => self.text = Some(Arc::clone(field)),
            Some(known) => self.differs |= !is_same(known),
        }
    }
}

/// The parameters of a plan with what is known of their types.
fn places(plan: &LogicalPlan) -> Result<HashMap<String, Places>> {
    let mut found: HashMap<String, Places> = HashMap::new();
    plan.apply_with_subqueries(|node| {
        // Rows are counted by numbers; the columns of VALUES have their types from when they were planned.
        let decides = matches!(node, LogicalPlan::Limit(_) | LogicalPlan::Values(_));
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                if let Expr::Cast(cast) = part
                    && let Expr::Placeholder(Placeholder { id, field }) = cast.expr.as_ref()
                {
                    let own = Arc::new(cast.field.as_ref().clone().with_name(id.clone()));
                    found.entry(id.clone()).or_default().add(&own);
                    // Where it has no type, it gets that of the cast.
                    if is_open(field.as_ref()) {
                        return Ok(TreeNodeRecursion::Jump);
                    }
                }
                if let Expr::Placeholder(Placeholder { id, field }) = part {
                    let places = found.entry(id.clone()).or_default();
                    places.differs |= decides;
                    match field {
                        Some(own) if !is_open(Some(own)) => places.add(own),
                        _ => places.waits = true,
                    }
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(found)
}

/// Whether a parameter's type is none.
fn is_open(field: Option<&FieldRef>) -> bool {
    field.is_none_or(|field| field.data_type() == &DataType::Null)
}

/// What a parameter is where nothing else decides. `None`: it was declared as no text.
fn text_type(id: &str, declared: &[Option<Declared>]) -> Option<PgType> {
    match declared_type(id, declared) {
        None | Some((PgType::Unknown, _)) => Some(PgType::Text),
        Some((own, _)) => is_text(own).then_some(own),
    }
}

fn in_expression(mut expr: Expr, is_column: bool, text: Texts<'_>) -> Result<Transformed<Expr>> {
    let value = match &mut expr {
        Expr::Alias(alias) => alias.expr.as_mut(),
        value => value,
    };
    let changed = is_column && read(value, text);
    let gathered = expr.transform_up(|mut part| {
        let mut found = false;
        match &mut part {
            Expr::AggregateFunction(call) if OF_FIRST.contains(&call.func.name()) => {
                if let Some(value) = call.params.args.first_mut() {
                    found |= read(value, text);
                }
                if call.func.name() == GATHERS {
                    call.params.order_by.iter_mut().for_each(|key| found |= read(&mut key.expr, text));
                }
            }
            Expr::WindowFunction(call) if OF_FIRST.contains(&call.fun.name()) => {
                if let Some(value) = call.params.args.first_mut() {
                    found |= read(value, text);
                }
            }
            _ => {}
        }
        Ok(Transformed::new_transformed(part, found))
    })?;
    Ok(Transformed::new_transformed(gathered.data, changed || gathered.transformed))
}

/// Gives a parameter its type, if it is one that has none. Whether it is.
fn read(value: &mut Expr, text: Texts<'_>) -> bool {
    let Expr::Placeholder(Placeholder { id, field }) = value else { return false };
    let Some(own) = text(id).filter(|_| is_open(field.as_ref())) else { return false };
    *field = Some(own);
    true
}

/// A node over inputs of other types than it was planned with.
fn renewed(node: LogicalPlan) -> Result<LogicalPlan> {
    match node {
        LogicalPlan::Union(union) if union.schema.fields().iter().any(|f| f.data_type() == &DataType::Null) => {
            Union::try_new_with_loose_types(union.inputs).map(LogicalPlan::Union)
        }
        other => other.recompute_schema(),
    }
}

fn field(id: &str, pg_type: PgType) -> FieldRef {
    let field = Field::new(id, DataType::Utf8, true);
    Arc::new(match pg_type {
        PgType::Text => field,
        named => field.with_metadata([(PG_TYPE_KEY.to_owned(), named.name().to_owned())].into()),
    })
}

const fn is_text(pg_type: PgType) -> bool {
    matches!(pg_type, PgType::Text | PgType::Varchar | PgType::Name | PgType::Char)
}

#[cfg(test)]
mod tests {
    use crate::testing::Yard;
    use querygate_types::PgType;

    #[test]
    fn declared_texts_are_gathered_and_handed_on_as_texts() {
        let yard = Yard::new();
        let owner = yard.owner();
        for (sql, expected) in [
            ("SELECT array_agg($1)", "[a]"),
            ("SELECT array_agg(DISTINCT $1)", "[a]"),
            ("SELECT array_agg($1) OVER ()", "[a]"),
            ("SELECT array(SELECT $1)", "[a]"),
            ("SELECT array_agg(x) FROM (SELECT $1 AS x) q", "[a]"),
            ("SELECT upper(x) FROM (SELECT $1 AS x) q", "A"),
            ("SELECT $1, $1 || 'b'", "a|ab"),
        ] {
            for pg_type in [PgType::Text, PgType::Varchar, PgType::Name] {
                let read = owner.prepare_with(sql, &[Some(pg_type)]).unwrap();
                assert_eq!(owner.execute(&read, &[Some("a")]), expected, "{sql} {pg_type:?}");
            }
        }
    }

    #[test]
    fn what_has_no_type_is_gathered_as_texts() {
        let yard = Yard::new();
        let owner = yard.owner();
        for sql in [
            "SELECT array_agg($1)",
            "SELECT array_agg($1) OVER ()",
            "SELECT array_agg(x) FROM (SELECT $1 AS x) q",
            "SELECT array_agg(DISTINCT x) FROM (SELECT $1 AS x) q",
            "SELECT array_agg(x) OVER () FROM (SELECT $1 AS x) q",
            "SELECT array(SELECT $1)",
        ] {
            let read = owner.prepare_with(sql, &[None]).unwrap();
            assert_eq!(owner.execute(&read, &[Some("a")]), "[a]", "{sql}");
        }
    }

    #[test]
    fn what_has_no_type_is_handed_on_as_a_text() {
        let yard = Yard::new();
        let owner = yard.owner();
        for (sql, expected) in [
            ("SELECT upper((SELECT $1))", "A"),
            ("SELECT upper(x) FROM (SELECT $1 AS x LIMIT 1) q", "A"),
            ("SELECT upper(x) FROM (SELECT x FROM (SELECT $1 AS x) p) q", "A"),
            ("WITH q AS (SELECT $1 AS x) SELECT upper(x) FROM q", "A"),
            ("SELECT upper(max(x)) FROM (SELECT $1 AS x) q", "A"),
            ("SELECT upper(max($1)), upper(min($1))", "A|A"),
            ("SELECT upper(CASE WHEN true THEN (SELECT $1) END)", "A"),
            ("SELECT substr((SELECT $1), 1, 1), reverse((SELECT $1)), trim((SELECT $1))", "a|a|a"),
            ("SELECT upper(x) FROM (SELECT DISTINCT $1 AS x) q", "A"),
            ("SELECT upper(x) FROM (SELECT $1 AS x GROUP BY 1) q", "A"),
            ("SELECT upper(x) FROM (SELECT $1 AS x UNION ALL SELECT $1) q", "A; A"),
            ("SELECT upper(x) FROM (SELECT $1 AS x) q WHERE $1 = 'a'", "A"),
            ("SELECT upper(x), $1::text FROM (SELECT $1 AS x) q", "A|a"),
        ] {
            for declared in [None, Some(PgType::Text)] {
                let read = owner.prepare_with(sql, &[declared]).unwrap();
                assert_eq!(read.parameter_types(), [PgType::Text], "{sql}");
                assert_eq!(owner.execute(&read, &[Some("a")]), expected, "{sql} {declared:?}");
            }
        }
    }

    /// What stands beside it still says what a text is read as.
    #[test]
    fn declared_texts_are_read_as_what_stands_beside_them() {
        let yard = Yard::new();
        let owner = yard.owner();
        for (sql, expected) in [
            ("SELECT id FROM jobs WHERE size = $1", "j1"),
            ("SELECT $1 + 1", "4"),
            ("SELECT id FROM jobs WHERE $1 IN (size, 9)", "j1"),
        ] {
            let read = owner.prepare_with(sql, &[Some(PgType::Text)]).unwrap();
            assert_eq!(owner.execute(&read, &[Some("3")]), expected, "{sql}");
        }
    }
}
