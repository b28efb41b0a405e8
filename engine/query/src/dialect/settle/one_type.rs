//! One type for a parameter at all of its places. The engine infers it at each anew, from what stands there; to PostgreSQL the first place
//! decides, and the others take what it is.

use arrow::datatypes::FieldRef;
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::{Expr, LogicalPlan};
use querygate_query_api::column::{PG_TYPE_KEY, TYPE_MODIFIER_KEY, pg_type_of};
use querygate_semantics::keep_names::under_names;
use querygate_types::PgType;
use std::collections::HashMap;
use std::sync::Arc;

/// The plan with such parameters. Whose places want types that do not fit stay as they are, and are refused when they are described.
pub(in crate::dialect) fn everywhere(plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut found: HashMap<String, Vec<FieldRef>> = HashMap::new();
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                if let Expr::Placeholder(Placeholder { id, field: Some(field) }) = part {
                    let fields = found.entry(id.clone()).or_default();
                    if !fields.iter().any(|other| are_alike(other, field)) {
                        fields.push(Arc::clone(field));
                    }
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    let several = found.into_iter().filter(|(_, fields)| fields.len() > 1);
    let chosen: HashMap<String, FieldRef> = several.filter_map(|(id, fields)| Some((id, meeting(&fields)?))).collect();
    if chosen.is_empty() {
        return Ok(plan);
    }
    let typed = |expr: Expr| match expr {
        Expr::Placeholder(Placeholder { id, field: Some(field) }) => {
            let other = chosen.get(&id).filter(|chosen| !are_alike(chosen, &field));
            let typed = other.map(|chosen| Arc::new(chosen.as_ref().clone().with_name(field.name())));
            let changed = typed.is_some();
            let field = Some(typed.unwrap_or(field));
            Ok(Transformed::new_transformed(Expr::Placeholder(Placeholder { id, field }), changed))
        }
        other => Ok(Transformed::no(other)),
    };
    let node =
        |node: LogicalPlan| under_names(node, |expr| expr.transform_up(typed))?.map_data(LogicalPlan::recompute_schema);
    Ok(plan.transform_up_with_subqueries(node)?.data)
}

fn are_alike(one: &FieldRef, other: &FieldRef) -> bool {
    one.data_type() == other.data_type() && one.metadata() == other.metadata()
}

/// The type for all places. `None`: they want types of several kinds, or values of one that is more than its name says.
fn meeting(fields: &[FieldRef]) -> Option<FieldRef> {
    let plain = |field: &FieldRef| field.metadata().keys().all(|key| key == PG_TYPE_KEY || key == TYPE_MODIFIER_KEY);
    if !fields.iter().all(plain) {
        return None;
    }
    let types: Vec<PgType> = fields.iter().map(|field| pg_type_of(field)).collect();
    let all = |of: fn(&PgType) -> bool| types.iter().all(of);
    let first = types.first()?;
    if all(is_whole) {
        // Of whole numbers the widest has all values of the others.
        return fields.iter().max_by_key(|field| field.data_type().primitive_width()).cloned();
    }
    if types.iter().all(|own| own == first) || all(is_text) {
        // A length, and how many places a numeric has, are those of what stands there.
        return fields.iter().min_by_key(|field| field.metadata().len()).cloned();
    }
    all(|own| is_whole(own) || is_float(own)).then(|| fields.first().cloned()).flatten()
}

const fn is_whole(pg_type: &PgType) -> bool {
    matches!(pg_type, PgType::Int2 | PgType::Int4 | PgType::Int8)
}

const fn is_float(pg_type: &PgType) -> bool {
    matches!(pg_type, PgType::Float4 | PgType::Float8)
}

const fn is_text(pg_type: &PgType) -> bool {
    matches!(pg_type, PgType::Text | PgType::Varchar)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Shop;
    use arrow::datatypes::{DataType, Field};

    fn field(data_type: DataType, names: &[(&str, &str)]) -> FieldRef {
        let metadata = names.iter().map(|(key, name)| ((*key).to_owned(), (*name).to_owned())).collect();
        Arc::new(Field::new("p", data_type, true).with_metadata(metadata))
    }

    #[test]
    fn types_meet_where_values_of_one_are_values_of_all() {
        let bigint = || field(DataType::Int64, &[]);
        let named = || field(DataType::Int64, &[(PG_TYPE_KEY, "int8")]);
        let (small, double, text) =
            (field(DataType::Int16, &[]), field(DataType::Float64, &[]), field(DataType::Utf8, &[]));
        assert_eq!(meeting(&[named(), bigint()]), Some(bigint()));
        assert_eq!(meeting(&[Arc::clone(&small), bigint(), Arc::clone(&small)]), Some(bigint()));
        assert_eq!(meeting(&[bigint(), Arc::clone(&double)]), Some(bigint()));
        assert_eq!(meeting(&[Arc::clone(&double), bigint()]), Some(double));
        let short = field(DataType::Utf8, &[(PG_TYPE_KEY, "varchar"), (TYPE_MODIFIER_KEY, "7")]);
        assert_eq!(meeting(&[short, Arc::clone(&text)]), Some(Arc::clone(&text)));
        assert_eq!(meeting(&[Arc::clone(&text), bigint()]), None);
        assert_eq!(meeting(&[field(DataType::Utf8, &[(PG_TYPE_KEY, "uuid")]), Arc::clone(&text)]), None);
        assert_eq!(meeting(&[field(DataType::Utf8, &[("labels", "a,b")]), text]), None);
    }

    #[test]
    fn a_parameter_has_one_type_wherever_it_stands() {
        let reader = Shop::open().owner();
        let types = |sql: &str| reader.bind(sql).unwrap_or_else(|error| panic!("{sql}: {error}")).parameter_types();
        let (number, name) = ("SELECT id FROM accounts WHERE rating = $1", "SELECT id FROM accounts WHERE name = $1");
        let cases = [
            ("SELECT id FROM accounts WHERE coalesce(rating, $1) = $1", number),
            ("SELECT id FROM accounts WHERE rating = $1 AND coalesce(rating, $1) > 1", number),
            ("SELECT CASE WHEN rating = 1 THEN $1 ELSE rating END FROM accounts WHERE rating > $1", number),
            ("SELECT id FROM accounts WHERE nullif(rating, $1) IS NULL OR rating < $1", number),
            ("SELECT max(rating) FROM accounts HAVING coalesce(max(rating), $1) > $1", number),
            ("SELECT coalesce(name, $1) FROM accounts WHERE name = $1 OR coalesce(name, $1) = 'x'", name),
        ];
        for (sql, alone) in cases {
            assert_eq!(types(sql), types(alone), "{sql}");
        }
        assert!(reader.bind("SELECT id FROM accounts WHERE name = $1 AND rating = $1").is_err());
    }
}
