//! The types of a plan's parameters. Knows no value.

use crate::dialect::parameters::{Declared, Parameter, Uses};
use crate::errors::{Stage, translate};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::{Expr, LogicalPlan};
use querygate_query_api::column::{ENUM_LABELS_KEY, arrow_type_of, pg_type_of};
use querygate_semantics as semantics;
use querygate_types::{Error, ErrorCode, PgType, Result, limits};
use std::collections::HashMap;

/// Parameters that stand for a value of a type whose texts have several forms: read by the type, not by its Arrow type.
fn types_with_forms(plan: &LogicalPlan) -> HashMap<String, PgType> {
    let mut types = HashMap::new();
    // The closures never fail, so neither does the walk.
    let _ = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|e| {
                if let Expr::Cast(cast) = e
                    && let Expr::Placeholder(p) = cast.expr.as_ref()
                {
                    let pg_type = pg_type_of(&cast.field);
                    if has_canonical_text(pg_type) {
                        types.insert(p.id.clone(), pg_type);
                    }
                }
                if let Expr::Placeholder(Placeholder { id, field: Some(field) }) = e
                    && let pg_type = pg_type_of(field)
                    && (has_canonical_text(pg_type) || pg_type.element().is_some_and(has_canonical_text))
                {
                    types.insert(id.clone(), pg_type);
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    types
}

/// Whether a client may send other texts for a value than the one that a column of the type has of it.
const fn has_canonical_text(pg_type: PgType) -> bool {
    semantics::has_forms(pg_type) || matches!(pg_type, PgType::Cidr | PgType::Jsonb)
}

/// The fields that the engine finds for parameters, by what stands beside them.
type Fields = HashMap<String, Option<FieldRef>>;

/// Types that the statement gives its parameters: the engine's, and what a cast or a LIMIT around one says.
fn inferred_types(plan: &LogicalPlan, fields: &Fields) -> HashMap<String, Option<DataType>> {
    let data_type = |field: &Option<FieldRef>| field.as_ref().map(|field| field.data_type().clone());
    let mut types: HashMap<_, _> = fields.iter().map(|(id, field)| (id.clone(), data_type(field))).collect();
    let mut found: Vec<(String, DataType)> = Vec::new();
    // The closures never fail, so neither does the walk.
    let _ = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Limit(limit) = node {
            for bound in [&limit.skip, &limit.fetch].into_iter().flatten() {
                if let Expr::Placeholder(p) = bound.as_ref() {
                    found.push((p.id.clone(), DataType::Int64));
                }
            }
        }
        node.apply_expressions(|expr| {
            expr.apply(|e| {
                if let Expr::Cast(cast) = e
                    && let Expr::Placeholder(p) = cast.expr.as_ref()
                {
                    found.push((p.id.clone(), cast.field.data_type().clone()));
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    for (id, data_type) in found {
        let slot = types.entry(id).or_default();
        if slot.is_none() {
            *slot = Some(data_type);
        }
    }
    types
}

/// Types of `$1…$n`: the client's where it gave one, else inferred, else text.
pub(super) fn parameters_of(plan: &LogicalPlan, declared: &[Option<Declared>]) -> Result<Vec<Parameter>> {
    let fields = plan.get_parameter_fields().map_err(|e| translate(&e, Stage::Plan))?;
    let inferred = inferred_types(plan, &fields);
    let with_forms = types_with_forms(plan);
    let uses = Uses::of(plan).map_err(|e| translate(&e, Stage::Plan))?;
    let mut count = declared.len();
    for name in inferred.keys() {
        let number: usize = name.trim_start_matches('$').parse().unwrap_or(0);
        if number == 0 || number > limits::PARAMETERS_MAX {
            return Err(Error::new(ErrorCode::UndefinedParameter, format!("there is no parameter {name}")));
        }
        count = count.max(number);
    }
    (1..=count)
        .map(|number| {
            let planned = inferred.get(&format!("${number}")).cloned().flatten();
            let declared = declared.get(number - 1).copied().flatten().map(|declared| declared.pg_type);
            let as_declared =
                |own: &PgType| matches!(own, PgType::Bpchar | PgType::BpcharArray | PgType::Jsonb | PgType::JsonbArray);
            let read_as = with_forms.get(&format!("${number}")).copied().or(declared.filter(as_declared));
            let pg_type = match (declared, &planned) {
                (Some(PgType::Unknown) | None, Some(planned)) => {
                    read_as.unwrap_or_else(|| pg_type_of(&Field::new("p", planned.clone(), true)))
                }
                (Some(declared), _) => declared,
                (None, None) => PgType::Text,
            };
            let planned = match planned {
                Some(planned) => planned,
                None => arrow_type_of(pg_type).ok_or_else(|| {
                    Error::new(
                        ErrorCode::IndeterminateDatatype,
                        format!("could not determine data type of parameter ${number}"),
                    )
                })?,
            };
            let shows = uses.only_compared(&format!("${number}")).is_none();
            let field = fields.get(&format!("${number}")).and_then(Option::as_ref);
            let beside =
                field.filter(|field| !field.metadata().contains_key(ENUM_LABELS_KEY)).map(|field| pg_type_of(field));
            Ok(Parameter { pg_type, planned, shows, read_as, beside })
        })
        .collect()
}
