//! What memory does: filters of one table, and membership in the rows of another.

use super::language::set;
use querygate_driver_api::aggregate::{AggregateExpr, WindowExpr};
use querygate_driver_api::capability::{Capabilities, Refusal, RefusalReason, of_one_scale, refuse, unsupported};
use querygate_driver_api::columns::ColumnTypes;
use querygate_driver_api::function::ScalarFunction;
use querygate_driver_api::relation::Relation;
use querygate_driver_api::scalar::{Held, ScalarExpr};
use querygate_driver_api::value::ValueType;

/// Parameters of one statement.
const PARAMETERS_MAX: usize = 65_536;

#[derive(Debug, Default)]
pub(super) struct MemoryCapabilities;

fn comparable(value_type: ValueType) -> Result<(), Refusal> {
    match value_type {
        ValueType::TextList | ValueType::List(_) => refuse(RefusalReason::Type, "memory compares no lists"),
        _ => Ok(()),
    }
}

impl Capabilities for MemoryCapabilities {
    fn operator(&self, relation: &Relation, _: &ColumnTypes) -> Result<(), Refusal> {
        match relation {
            Relation::Scan { .. } | Relation::Filter { .. } | Relation::Fence { .. } => Ok(()),
            Relation::Project { exprs, .. } => {
                match exprs.iter().all(|(_, expr)| matches!(expr, ScalarExpr::Column(_))) {
                    true => Ok(()),
                    false => unsupported("memory computes nothing"),
                }
            }
            Relation::Join { .. }
            | Relation::Aggregate { .. }
            | Relation::Distinct { .. }
            | Relation::Sort { .. }
            | Relation::Limit { .. }
            | Relation::SetOperation { .. }
            | Relation::Window { .. }
            | Relation::Values { .. }
            | Relation::EmptyRow => unsupported("memory filters one table"),
        }
    }

    fn scalar(&self, expr: &ScalarExpr, types: &ColumnTypes) -> Result<(), Refusal> {
        let type_of = |expr: &ScalarExpr| types.type_of(expr).map_err(|error| Refusal::invalid(&error));
        let alike = |left: &ScalarExpr, right: &ScalarExpr| {
            let left = type_of(left)?;
            of_one_scale(left, type_of(right)?)?;
            comparable(left)
        };
        match expr {
            ScalarExpr::Column(_)
            | ScalarExpr::Parameter(..)
            | ScalarExpr::Constant(_)
            | ScalarExpr::And(_)
            | ScalarExpr::Or(_)
            | ScalarExpr::Not(_)
            | ScalarExpr::IsNull { .. }
            | ScalarExpr::IsTruth { .. } => Ok(()),
            ScalarExpr::Comparison { left, right, .. } => alike(left, right),
            ScalarExpr::Between { expr, low, high, .. } => {
                alike(expr, low)?;
                alike(expr, high)
            }
            ScalarExpr::InList { expr, list, .. } => list.iter().try_for_each(|item| alike(expr, item)),
            ScalarExpr::InSubquery { expr, relation, .. } => {
                set(relation)?;
                relation.output().into_iter().try_for_each(|id| alike(expr, &ScalarExpr::Column(id)))
            }
            ScalarExpr::Function { function: ScalarFunction::StartsWith | ScalarFunction::Contains, .. } => Ok(()),
            ScalarExpr::Function { .. }
            | ScalarExpr::Like { .. }
            | ScalarExpr::Arithmetic { .. }
            | ScalarExpr::Negate(_)
            | ScalarExpr::Case { .. }
            | ScalarExpr::Cast { .. }
            | ScalarExpr::Exists { .. }
            | ScalarExpr::ScalarSubquery { .. } => unsupported("memory has no such expression"),
        }
    }

    fn aggregate(&self, _: &AggregateExpr, _: &ColumnTypes) -> Result<(), Refusal> {
        unsupported("memory aggregates nothing")
    }

    fn window(&self, _: &WindowExpr, _: &ColumnTypes) -> Result<(), Refusal> {
        unsupported("memory has no windows")
    }

    fn holds(&self) -> Held {
        Held::OfType
    }

    fn parameters_max(&self) -> usize {
        PARAMETERS_MAX
    }
}
