//! How a bound plan uses its numeric parameters: one that is only compared may be read in the type of what it is compared with,
//! where its value is one of that type; of any other, the places after the point show in results.

use super::Declared;
use arrow::datatypes::{DataType, Field};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::{Between, InList, Placeholder};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan};
use querygate_semantics::typing::is_comparison;
use querygate_types::PgType;
use std::collections::HashMap;
use std::sync::Arc;

/// What is known of one parameter's uses.
#[derive(Debug, Default)]
struct Use {
    /// All of them.
    count: usize,
    /// Those beside a comparison.
    compared: usize,
    /// What it is compared with, if that is always of one exact type.
    with: Option<DataType>,
    mixed: bool,
}

/// The uses of a plan's parameters, by `$n`.
#[derive(Debug, Default)]
pub(crate) struct Uses(HashMap<String, Use>);

impl Uses {
    /// Looks at all of a plan, subqueries included.
    pub(crate) fn of(plan: &LogicalPlan) -> Result<Self> {
        let mut uses = Self::default();
        plan.apply_with_subqueries(|node| {
            let mut schema: Option<DFSchema> = None;
            node.apply_expressions(|expr| {
                expr.apply(|e| {
                    if let Expr::Placeholder(Placeholder { id, .. }) = e {
                        uses.0.entry(id.clone()).or_default().count += 1;
                    } else if let Some(sides) = compared(e)
                        && sides.iter().any(|side| matches!(side, Expr::Placeholder(_)))
                    {
                        let schema = schema.get_or_insert_with(|| merge_schema(&node.inputs()));
                        uses.comparison(&sides, schema);
                    }
                    Ok(TreeNodeRecursion::Continue)
                })
            })
        })?;
        Ok(uses)
    }

    fn comparison(&mut self, sides: &[&Expr], schema: &DFSchema) {
        let other = sides.iter().filter(|side| !matches!(side, Expr::Placeholder(_) | Expr::Literal(..)));
        let types: Vec<DataType> = other.filter_map(|side| side.get_type(schema).ok()).collect();
        for side in sides {
            let Expr::Placeholder(Placeholder { id, .. }) = side else { continue };
            let found = self.0.entry(id.clone()).or_default();
            found.compared += 1;
            for data_type in &types {
                match &found.with {
                    None => found.with = Some(data_type.clone()),
                    Some(with) => found.mixed |= with != data_type,
                }
            }
        }
    }

    /// The exact type that a parameter is compared with and used beside nothing else; `None`: its places show.
    pub(crate) fn only_compared(&self, id: &str) -> Option<&DataType> {
        let found = self.0.get(id).filter(|found| found.count == found.compared && !found.mixed)?;
        found.with.as_ref().filter(|with| {
            matches!(with, DataType::Int16 | DataType::Int32 | DataType::Int64 | DataType::Decimal128(..))
        })
    }
}

/// The sides of a comparison.
fn compared(expr: &Expr) -> Option<Vec<&Expr>> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(*op) => {
            Some(vec![left.as_ref(), right.as_ref()])
        }
        Expr::Between(Between { expr, low, high, .. }) => Some(vec![expr, low, high]),
        Expr::InList(InList { expr, list, .. }) => Some(std::iter::once(expr.as_ref()).chain(list).collect()),
        _ => None,
    }
}

/// The plan with numerics whose values are not known in the types that they are compared with, so that columns stay as they are.
pub(crate) fn narrowed(plan: LogicalPlan, declared: &[Option<Declared>]) -> Result<LogicalPlan> {
    let unknown = |id: &str| {
        let number = id.trim_start_matches('$').parse::<usize>().ok().and_then(|number| number.checked_sub(1));
        let declared = number.and_then(|place| declared.get(place).copied().flatten());
        declared == Some(Declared { pg_type: PgType::Numeric, digits: None })
    };
    if !declared.iter().flatten().any(|declared| declared.pg_type == PgType::Numeric) {
        return Ok(plan);
    }
    let uses = Uses::of(&plan)?;
    if !uses.0.keys().any(|id| unknown(id) && uses.only_compared(id).is_some()) {
        return Ok(plan);
    }
    let expression = |expr: Expr| {
        expr.transform_up(|e| match e {
            Expr::Placeholder(Placeholder { id, field }) => match uses.only_compared(&id).filter(|_| unknown(&id)) {
                Some(with) => {
                    let field = Some(Arc::new(Field::new(id.clone(), with.clone(), true)));
                    Ok(Transformed::yes(Expr::Placeholder(Placeholder { id, field })))
                }
                None => Ok(Transformed::no(Expr::Placeholder(Placeholder { id, field }))),
            },
            other => Ok(Transformed::no(other)),
        })
    };
    let node = |node: LogicalPlan| {
        querygate_semantics::keep_names::under_names(node, expression)?.map_data(LogicalPlan::recompute_schema)
    };
    Ok(plan.transform_up_with_subqueries(node)?.data)
}
