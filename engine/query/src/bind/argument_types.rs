//! JSON as an argument: which texts are JSON already is the name of a type that the engine loses in CASE, COALESCE, subqueries, sets
//! and aggregates. Without it `json_build_object('lines', (SELECT json_agg(…)))` would quote the array as a text. And what `pg_typeof`
//! is asked of, whose type's name is all that counts.

use crate::bind::output_types::{is_name_of, named, of};
use arrow::datatypes::{DataType, Field};
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Cast, Expr, ExprSchemable as _, LogicalPlan};
use querygate_query_api::column::{PG_TYPE_KEY, pg_type_of};
use querygate_semantics::keep_names::under_names;
use querygate_types::PgType;
use std::sync::Arc;

/// The plan with each argument of a function that holds JSON named so, and each of `pg_typeof` by its type, in its subqueries too.
pub(crate) fn with_named_arguments(plan: LogicalPlan) -> Result<LogicalPlan> {
    let plan = plan.transform_down_with_subqueries(|node| {
        if !calls(&node)? {
            return Ok(Transformed::no(node));
        }
        let inputs: Vec<LogicalPlan> = node.inputs().into_iter().cloned().collect();
        under_names(node, |expr| {
            expr.transform_up(|expr| match expr {
                Expr::ScalarFunction(mut call) => {
                    let is_typeof = call.name() == "pg_typeof";
                    let is_named: IsNamed = if is_typeof { is_text_of_another_name } else { is_json };
                    let changed = name_arguments(&mut call.args, &inputs, is_named);
                    Ok(Transformed::new_transformed(Expr::ScalarFunction(call), changed))
                }
                Expr::AggregateFunction(mut call) => {
                    let changed = name_arguments(&mut call.params.args, &inputs, is_json);
                    Ok(Transformed::new_transformed(Expr::AggregateFunction(call), changed))
                }
                other => Ok(Transformed::no(other)),
            })
        })
    })?;
    Ok(plan.data)
}

/// Whether a node calls a function: most nodes do not, and need no look below.
fn calls(node: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    node.apply_expressions(|expr| {
        found |= expr.exists(|part| Ok(matches!(part, Expr::ScalarFunction(_) | Expr::AggregateFunction(_))))?;
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

/// Whether an argument's type is to be named, by the type and by how the engine has it.
type IsNamed = fn(PgType, &DataType) -> bool;

fn is_json(pg_type: PgType, _: &DataType) -> bool {
    matches!(pg_type, PgType::Json | PgType::Jsonb | PgType::JsonArray | PgType::JsonbArray)
}

fn is_text_of_another_name(pg_type: PgType, data_type: &DataType) -> bool {
    is_name_of(pg_type, pg_type_of(&Field::new("", data_type.clone(), true)))
}

/// Names the arguments whose types are to be named; whether there were any.
fn name_arguments(arguments: &mut [Expr], inputs: &[LogicalPlan], is_named: IsNamed) -> bool {
    let mut changed = false;
    for argument in arguments {
        let found =
            inputs.iter().find_map(|input| Some((of(argument, input)?, argument.to_field(input.schema()).ok()?.1)));
        let Some((pg_type, field)) = found.filter(|(pg_type, field)| is_named(*pg_type, field.data_type())) else {
            continue;
        };
        // A subquery's value comes without a name, whatever the plan says of it.
        if named(&field).is_none() || matches!(argument, Expr::ScalarSubquery(_)) {
            let metadata = [(PG_TYPE_KEY.to_owned(), pg_type.name().to_owned())].into();
            let field = Field::new("", field.data_type().clone(), true).with_metadata(metadata);
            *argument = Expr::Cast(Cast { expr: Box::new(std::mem::take(argument)), field: Arc::new(field) });
            changed = true;
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use crate::testing::Shop;

    /// What is JSON already is put in as it stands, whatever it comes through; a text is quoted.
    #[test]
    fn json_in_json_is_not_quoted() {
        let reader = Shop::open().owner();
        for (sql, expected) in [
            ("SELECT json_build_array('[1]'::json)", "[[1]]"),
            ("SELECT json_build_array('[1]')", "[\"[1]\"]"),
            ("SELECT json_build_array((SELECT json_agg(x) FROM (VALUES (1), (2)) v(x)))", "[[1, 2]]"),
            ("SELECT json_build_array(coalesce('[1]'::json, '[]'::json))", "[[1]]"),
            ("SELECT json_build_array(CASE WHEN true THEN '[1]'::json END)", "[[1]]"),
            ("SELECT json_build_array(j) FROM (SELECT '[1]'::json AS j) q", "[[1]]"),
            (
                "SELECT json_build_array(j) FROM (SELECT '[1]'::json AS j UNION ALL SELECT '[1]'::json) q LIMIT 1",
                "[[1]]",
            ),
            ("SELECT json_agg(j) FROM (SELECT coalesce('{}'::json, '[]'::json) AS j) q", "[{}]"),
        ] {
            assert_eq!(reader.rows(sql).unwrap_or_else(|error| panic!("{sql}: {error}")), [expected], "{sql}");
        }
    }
}
