//! Parameters that stand beside texts in several forms: those of a column may be views, while those of a literal or a function are not. All
//! of them are text to a client, and a parameter has one type.

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::{Cast, Expr, LogicalPlan};
use querygate_semantics::keep_names::under_names;
use std::collections::HashMap;
use std::sync::Arc;

/// The plan with parameters of one form each, cast where another one is read.
pub(super) fn in_one_form(plan: LogicalPlan) -> Result<LogicalPlan> {
    // By parameter: the field that it gets, and whether it stands beside another form, too.
    let mut forms: HashMap<String, (FieldRef, bool)> = HashMap::new();
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|e| {
                if let Some((id, field)) = text_parameter(e) {
                    let known = forms.entry(id.to_owned()).or_insert_with(|| (Arc::clone(field), false));
                    known.1 |= differ_in_form(&known.0, field);
                    // The view stays: a cast around the parameter would keep files from leaving out what a condition excludes.
                    if field.data_type() == &DataType::Utf8View && differ_in_form(&known.0, field) {
                        known.0 = Arc::clone(field);
                    }
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    forms.retain(|_, (_, several)| *several);
    if forms.is_empty() {
        return Ok(plan);
    }
    let one_form = |e: Expr| {
        let Some((id, field)) = text_parameter(&e) else { return Ok(Transformed::no(e)) };
        match forms.get(id) {
            Some((form, _)) if differ_in_form(form, field) => {
                let parameter = Placeholder { id: id.to_owned(), field: Some(Arc::clone(form)) };
                let cast = Cast { expr: Box::new(Expr::Placeholder(parameter)), field: Arc::clone(field) };
                // The walk does not go into the cast, whose parameter has its form already.
                Ok(Transformed::new(Expr::Cast(cast), true, TreeNodeRecursion::Jump))
            }
            _ => Ok(Transformed::no(e)),
        }
    };
    let node = |node: LogicalPlan| {
        under_names(node, |expr| expr.transform_down(one_form))?.map_data(LogicalPlan::recompute_schema)
    };
    Ok(plan.transform_up_with_subqueries(node)?.data)
}

fn text_parameter(expr: &Expr) -> Option<(&str, &FieldRef)> {
    match expr {
        // A field with metadata, such as the labels of an enum, is of a type of its own.
        Expr::Placeholder(Placeholder { id, field: Some(field) })
            if is_text(field.data_type()) && field.metadata().is_empty() =>
        {
            Some((id, field))
        }
        _ => None,
    }
}

fn differ_in_form(one: &FieldRef, other: &FieldRef) -> bool {
    one.data_type() != other.data_type()
}

const fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8)
}
