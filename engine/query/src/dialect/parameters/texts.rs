//! Declared texts to which no place in a statement gives a type. They stay open while it is planned, so that each is read as what stands
//! beside it; where a result is of their type after all, they are texts.

use super::{Declared, declared_type};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{ExprSchema, Result};
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::{Cast, Expr, LogicalPlan, Union};
use querygate_query_api::column::PG_TYPE_KEY;
use querygate_semantics::keep_names::under_names;
use querygate_semantics::lineage::InputColumns;
use querygate_types::PgType;
use std::collections::HashMap;
use std::sync::Arc;

/// The function whose result is of as many types as its arguments.
const GATHERS: &str = "array_agg";

/// What says the type of a text, by the name of its parameter.
type Texts<'a> = &'a dyn Fn(&str) -> Option<FieldRef>;

/// The plan with such parameters as texts where they are columns, and where values are gathered.
pub(crate) fn as_texts(plan: LogicalPlan, declared: &[Option<Declared>]) -> Result<LogicalPlan> {
    if !declared.iter().flatten().any(|own| is_text(own.pg_type)) {
        return Ok(plan);
    }
    let open = open(&plan)?;
    let text = |id: &str| {
        let (pg_type, _) = declared_type(id, declared)?;
        (is_text(pg_type) && open.get(id) == Some(&true)).then(|| field(id, pg_type))
    };
    let mut changed = false;
    let typed = |node: LogicalPlan| {
        let columns = matches!(node, LogicalPlan::Projection(_));
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
        let is_open = own.as_ref().is_none_or(|field| field.data_type() == &DataType::Null);
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

/// The parameters of a plan, and whether they have no type in all of their places.
fn open(plan: &LogicalPlan) -> Result<HashMap<String, bool>> {
    let mut found: HashMap<String, bool> = HashMap::new();
    plan.apply_with_subqueries(|node| {
        // Rows are counted by numbers; the columns of VALUES have their types from when they were planned.
        let decides = matches!(node, LogicalPlan::Limit(_) | LogicalPlan::Values(_));
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                if let Expr::Cast(cast) = part
                    && let Expr::Placeholder(Placeholder { id, .. }) = cast.expr.as_ref()
                {
                    found.insert(id.clone(), false);
                }
                if let Expr::Placeholder(Placeholder { id, field }) = part {
                    let has_none = field.as_ref().is_none_or(|field| field.data_type() == &DataType::Null);
                    *found.entry(id.clone()).or_insert(true) &= has_none && !decides;
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(found)
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
            Expr::AggregateFunction(call) if call.func.name() == GATHERS => {
                call.params.args.iter_mut().for_each(|value| found |= read(value, text));
                call.params.order_by.iter_mut().for_each(|key| found |= read(&mut key.expr, text));
            }
            Expr::WindowFunction(call) if call.fun.name() == GATHERS => {
                call.params.args.iter_mut().for_each(|value| found |= read(value, text));
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
    let Some(own) = text(id) else { return false };
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
