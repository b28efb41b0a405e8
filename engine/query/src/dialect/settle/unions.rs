//! NULL, a text in quotes or a parameter without a type in a branch of a set operation takes the type of the other branches, as in
//! PostgreSQL, which reads texts with the input function of that type: without the length or the places that the others have. INTERSECT
//! and EXCEPT are joins by now, whose first side gives the rows.

use super::placeholders::is_untyped;
use crate::dialect::planners::types::open_numeric;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::metadata::FieldMetadata;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::{
    Cast, Distinct, Expr, ExprSchemable, Join, LogicalPlan, LogicalPlanBuilder, Projection, SubqueryAlias, Union,
};
use querygate_query_api::column::{PG_TYPE_KEY, TYPE_MODIFIER_KEY, arrow_type_of, pg_type_of};
use querygate_query_api::values::wide_numeric::WIDE_NUMERIC;
use querygate_semantics::typing::{compares_rows, is_checked_text};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The plan with such columns cast, subqueries included.
pub(in crate::dialect) fn with_types(plan: LogicalPlan) -> Result<LogicalPlan> {
    if !unites(&plan)? {
        return Ok(plan);
    }
    let alone = parameters_in_one_place(&plan)?;
    let mut changed = false;
    let plan = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Union(union) => {
            let typed = types(&union.inputs);
            if typed.iter().all(Option::is_none) {
                // One among its inputs may have other types than it was planned with.
                let renewed = if changed { Union::try_new_with_loose_types(union.inputs)? } else { union };
                return Ok(Transformed::new_transformed(LogicalPlan::Union(renewed), changed));
            }
            changed = true;
            let inputs = union.inputs.iter().map(|input| read(input, &typed, &alone)).collect::<Result<Vec<_>>>()?;
            Ok(Transformed::yes(LogicalPlan::Union(Union::try_new_with_loose_types(inputs)?)))
        }
        LogicalPlan::Join(join) if compares_rows(&join) => {
            let typed = types(&[Arc::clone(&join.left), Arc::clone(&join.right)]);
            if typed.iter().all(Option::is_none) {
                let join = LogicalPlan::Join(join);
                return if changed { join.recompute_schema().map(Transformed::yes) } else { Ok(Transformed::no(join)) };
            }
            changed = true;
            let left = read(&join.left, &typed, &alone)?;
            let right = read(&join.right, &typed, &alone)?;
            joined(join, left, right).map(Transformed::yes)
        }
        // What is above a changed set operation has its old types.
        other if changed => other.recompute_schema().map(Transformed::yes),
        other => Ok(Transformed::no(other)),
    })?;
    Ok(plan.data)
}

/// Whether there is a set operation, in a subquery even. Most statements have none.
fn unites(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        found |= match node {
            LogicalPlan::Union(_) => true,
            LogicalPlan::Join(join) => compares_rows(join),
            _ => false,
        };
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

/// The parameters that a plan names once: no other place says of which type they are.
fn parameters_in_one_place(plan: &LogicalPlan) -> Result<HashSet<String>> {
    let mut places: HashMap<String, usize> = HashMap::new();
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                if let Expr::Placeholder(Placeholder { id, .. }) = part {
                    *places.entry(id.clone()).or_default() += 1;
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(places.into_iter().filter(|(_, count)| *count == 1).map(|(id, _)| id).collect())
}

/// For each column that has no type in one branch, the field of the first branch that gives it one.
fn types(inputs: &[Arc<LogicalPlan>]) -> Vec<Option<FieldRef>> {
    let Some(first) = inputs.first() else { return Vec::new() };
    let field = |input: &Arc<LogicalPlan>, column: usize| input.schema().fields().get(column).cloned();
    (0..first.schema().fields().len())
        .map(|column| {
            let fields: Vec<FieldRef> = inputs.iter().filter_map(|input| field(input, column)).collect();
            let waits: Vec<bool> = inputs.iter().map(|input| waits(input, column)).collect();
            let mut typed = fields.iter().zip(&waits).filter(|(_, waits)| !**waits).map(|(field, _)| field);
            let first = typed.next().filter(|_| waits.contains(&true))?;
            // A text is read where the others are no plain texts.
            let null = fields.iter().any(|f| f.data_type() == &DataType::Null);
            let all_small = inputs.iter().zip(&waits).all(|(input, waits)| *waits || is_small(input, column));
            (null || is_read(first)).then(|| {
                if *first.data_type() == DataType::Int64 && all_small { integer() } else { of_own_type(first) }
            })
        })
        .collect()
}

/// A field without the name of a type that is not its own: a union has what any of its inputs is called.
fn of_own_type(field: &FieldRef) -> FieldRef {
    let integers = field.data_type().is_integer();
    if integers && arrow_type_of(pg_type_of(field)).as_ref() != Some(field.data_type()) {
        return Arc::new(Field::new(field.name(), field.data_type().clone(), true));
    }
    Arc::clone(field)
}

fn integer() -> FieldRef {
    Arc::new(Field::new("", DataType::Int32, true))
}

/// Whether a branch's column is an integer, or a whole number as it was written, which will be one.
fn is_small(input: &LogicalPlan, column: usize) -> bool {
    let field = input.schema().fields().get(column);
    if field.is_some_and(|field| matches!(field.data_type(), DataType::Int16 | DataType::Int32)) {
        return true;
    }
    if let LogicalPlan::Union(union) = input {
        return union.inputs.iter().all(|input| is_small(input, column));
    }
    let item = item(input, column);
    matches!(item, Some(Expr::Literal(ScalarValue::Int64(Some(value)), None)) if i32::try_from(*value).is_ok())
}

/// Whether a branch's column has no type of its own: NULL, a parameter, or a text in quotes.
fn waits(input: &LogicalPlan, column: usize) -> bool {
    let Some(field) = input.schema().fields().get(column) else { return false };
    field.data_type() == &DataType::Null || item(input, column).is_some_and(is_text_in_quotes)
}

const fn is_text_in_quotes(item: &Expr) -> bool {
    matches!(item, Expr::Literal(ScalarValue::Utf8(Some(_)), None))
}

/// What a branch says at a column. The engine tells the rows of an INTERSECT's first branch apart, and puts names of its own around
/// branches with columns of one name.
fn item(input: &LogicalPlan, column: usize) -> Option<&Expr> {
    match input {
        LogicalPlan::Distinct(Distinct::All(inner)) => item(inner, column),
        LogicalPlan::SubqueryAlias(alias) => item(&alias.input, column),
        LogicalPlan::Projection(projection) => projection.expr.get(column).map(unaliased),
        _ => None,
    }
}

fn unaliased(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => unaliased(&alias.expr),
        other => other,
    }
}

/// Whether a text becomes another value where it is read as this type: all but texts, and texts that their input function checks.
fn is_read(field: &Field) -> bool {
    !field.data_type().is_string() || field.metadata().get(PG_TYPE_KEY).is_some_and(|name| is_checked_text(name))
}

/// The type in which a text is read beside values of this one: without their length, and with its own places.
fn read_as(field: &Field) -> FieldRef {
    if field.data_type().is_decimal() || *field.data_type() == WIDE_NUMERIC {
        return open_numeric();
    }
    let mut metadata = field.metadata().clone();
    metadata.remove(TYPE_MODIFIER_KEY);
    Arc::new(Field::new("", field.data_type().clone(), true).with_metadata(metadata))
}

/// A value that is read as a type, under the name of that: a numeric is called so by its cast, until that is settled.
fn reading(value: Expr, to: &Field) -> (Expr, Option<FieldMetadata>) {
    let field = read_as(to);
    let is_open = field.metadata().contains_key(TYPE_MODIFIER_KEY);
    let metadata = (!is_open).then(|| FieldMetadata::from(field.metadata().clone()));
    (Expr::Cast(Cast { expr: Box::new(value), field }), metadata)
}

/// A branch whose columns without a type have these types.
fn read(input: &Arc<LogicalPlan>, typed: &[Option<FieldRef>], alone: &HashSet<String>) -> Result<Arc<LogicalPlan>> {
    let input = in_place(input, typed, alone)?;
    let rest = typed.iter().enumerate().map(|(column, typed)| typed.clone().filter(|_| waits(&input, column)));
    let rest: Vec<Option<FieldRef>> = rest.collect();
    if rest.iter().all(Option::is_none) { Ok(input) } else { above(&input, &rest) }
}

/// A branch with casts right around its texts and parameters, so that those are constants of the type, and these are of it.
fn in_place(input: &Arc<LogicalPlan>, typed: &[Option<FieldRef>], alone: &HashSet<String>) -> Result<Arc<LogicalPlan>> {
    // A parameter that stands elsewhere, too, has the type that it gets there.
    let is_alone = |item: &Expr| match item {
        Expr::Placeholder(parameter) => is_untyped(item) && alone.contains(&parameter.id),
        other => is_text_in_quotes(other),
    };
    let to = |column: usize| {
        let to = typed.get(column)?.as_ref().filter(|to| is_read(to))?;
        item(input, column).is_some_and(is_alone).then_some(to)
    };
    if (0..typed.len()).all(|column| to(column).is_none()) {
        return Ok(Arc::clone(input));
    }
    Ok(Arc::new(match input.as_ref() {
        LogicalPlan::Distinct(Distinct::All(inner)) => {
            LogicalPlan::Distinct(Distinct::All(in_place(inner, typed, alone)?))
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let inner = in_place(&alias.input, typed, alone)?;
            LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(inner, alias.alias.clone())?)
        }
        LogicalPlan::Projection(projection) => {
            let items = projection.expr.iter().zip(projection.schema.iter()).enumerate();
            let items = items.map(|(column, (item, (qualifier, field)))| match to(column) {
                Some(to) => {
                    let (value, metadata) = reading(unaliased(item).clone(), to);
                    value.alias_qualified_with_metadata(qualifier.cloned(), field.name(), metadata)
                }
                None => item.clone(),
            });
            LogicalPlan::Projection(Projection::try_new(items.collect(), Arc::clone(&projection.input))?)
        }
        // Others have no items.
        _ => return Ok(Arc::clone(input)),
    }))
}

/// A branch with casts of these columns above it; of a DISTINCT, below that.
fn above(input: &Arc<LogicalPlan>, typed: &[Option<FieldRef>]) -> Result<Arc<LogicalPlan>> {
    if let LogicalPlan::Distinct(Distinct::All(inner)) = input.as_ref() {
        return Ok(Arc::new(LogicalPlan::Distinct(Distinct::All(above(inner, typed)?))));
    }
    let has_parameter = has_parameter(input)?;
    let schema = input.schema();
    let columns = schema.iter().zip(typed).enumerate().map(|(place, ((qualifier, field), typed))| {
        let column = Expr::from((qualifier, field));
        let Some(typed) = typed else { return Ok(column) };
        let is_null = matches!(item(input, place), Some(Expr::Literal(value, _)) if value.is_null());
        // A parameter within becomes a text, unless it has a type elsewhere. Without one, the column is NULL, which has no places: as a
        // numeric of any places it would keep the others' column from sources.
        let (value, metadata) = if has_parameter && !is_null && is_read(typed) {
            reading(column, typed)
        } else {
            let metadata = Some(FieldMetadata::from(typed.metadata().clone()));
            (column.cast_to(typed.data_type(), schema.as_ref())?, metadata)
        };
        Ok(value.alias_qualified_with_metadata(qualifier.cloned(), field.name(), metadata))
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(LogicalPlanBuilder::from(Arc::clone(input)).project(columns)?.build()?))
}

fn has_parameter(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            found = found || expr.exists(|part| Ok(matches!(part, Expr::Placeholder(_))))?;
            Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })
    })?;
    Ok(found)
}

fn joined(join: Join, left: Arc<LogicalPlan>, right: Arc<LogicalPlan>) -> Result<LogicalPlan> {
    let Join { on, filter, join_type, join_constraint, null_equality, null_aware, .. } = join;
    Join::try_new(left, right, on, filter, join_type, join_constraint, null_equality, null_aware).map(LogicalPlan::Join)
}

#[cfg(test)]
mod tests {
    use crate::testing::Yard;
    use PgType::{Date, Int4, Numeric, Text, Uuid};
    use querygate_types::PgType;

    const ID: &str = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";

    #[test]
    fn a_parameter_has_the_type_of_the_other_branches() {
        let yard = Yard::new();
        let owner = yard.owner();
        for (sql, expected) in [
            ("SELECT 1.50::numeric(8,2) UNION ALL SELECT $1", Numeric),
            ("SELECT $1 UNION SELECT 1.50::numeric(8,2)", Numeric),
            ("SELECT 1.50::numeric(8,2) INTERSECT SELECT $1", Numeric),
            ("SELECT $1 EXCEPT ALL SELECT 1.50::numeric(8,2)", Numeric),
            ("SELECT 7 UNION ALL SELECT $1", Int4),
            ("SELECT $1 EXCEPT SELECT 7", Int4),
            ("SELECT $1 INTERSECT SELECT date '2024-01-01'", Date),
            ("SELECT 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid UNION ALL SELECT $1", Uuid),
            ("SELECT 'a'::text UNION ALL SELECT $1", Text),
            ("SELECT $1 INTERSECT SELECT 'a'", Text),
        ] {
            let read = owner.prepare(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
            assert_eq!(read.parameter_types(), [expected], "{sql}");
        }
    }

    /// Answers are PostgreSQL 15's.
    #[test]
    fn a_parameter_keeps_its_places_and_is_read_as_the_other_branches() {
        let yard = Yard::new();
        let owner = yard.owner();
        let (capitals, document) = (ID.to_uppercase(), r#"{"b":1,"a":2}"#);
        let capitals = capitals.as_str();
        let among = |sql: &str, condition: &str| format!("SELECT count(*) FROM ({sql}) q(x) WHERE {condition}");
        let cases = [
            (among("SELECT 1.50::numeric(8,2) UNION ALL SELECT $1", "x = 2.567"), "2.567", "1"),
            (among("SELECT $1 UNION SELECT 1.50::numeric(8,2)", "x = 1.567"), "1.567", "1"),
            (among("SELECT 1.50::numeric(4,2) UNION ALL SELECT $1", "true"), "1234567.5", "2"),
            (among("SELECT $1 EXCEPT SELECT 2.50::numeric(8,2)", "true"), "2.501", "1"),
            (among("SELECT $1 EXCEPT SELECT 2.50::numeric(8,2)", "true"), "2.5", "0"),
            ("SELECT ceil(2.4::numeric(8,2)) INTERSECT SELECT $1".to_owned(), "2.5", ""),
            ("SELECT 1 WHERE 2.57 NOT IN (SELECT 1.50::numeric(8,2) UNION ALL SELECT $1)".to_owned(), "2.567", "1"),
            (format!("SELECT '{ID}'::uuid INTERSECT SELECT $1"), capitals, ID),
            (format!("SELECT $1 INTERSECT SELECT '{ID}'::uuid"), capitals, ID),
            (format!("SELECT x FROM (SELECT '{ID}'::uuid UNION SELECT $1) q(x)"), capitals, ID),
            (r#"SELECT '{"a": 2, "b": 1}'::jsonb INTERSECT SELECT $1"#.to_owned(), document, r#"{"a": 2, "b": 1}"#),
        ];
        for (sql, value, expected) in cases {
            let read = owner.prepare(&sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
            assert_eq!(owner.execute(&read, &[Some(value)]), expected, "{sql}");
        }
    }

    /// No branch says the type of a parameter that stands in two of them: it is a text, whose column is read as the numeric.
    #[test]
    fn a_parameter_in_several_branches_keeps_its_places() {
        let yard = Yard::new();
        let owner = yard.owner();
        let branches = "SELECT 1.50::numeric(8,2) AS x UNION ALL SELECT $1 UNION ALL SELECT $1";
        let sql = format!("SELECT count(*) FROM ({branches}) q WHERE x = 2.567");
        let read = owner.prepare(&sql).unwrap();
        assert_eq!(owner.execute(&read, &[Some("2.567")]), "2");
    }
}
