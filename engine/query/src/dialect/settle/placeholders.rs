//! Parameters without a type take the one that PostgreSQL infers from their place: of what they are compared with, of the other results
//! of a CASE, of the other arguments of COALESCE and its kin, of the function that fits the other arguments, truth where a condition is,
//! and text beside others without a type.

use crate::dialect::planners::literals::field_of;
use crate::dialect::planners::types;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{Between, Case, InList, InSubquery, Placeholder, ScalarFunction};
use datafusion::logical_expr::{BinaryExpr, Cast, Expr, Like, LogicalPlan, Operator};
use querygate_pg_catalog::{argument_types, common_type};
use querygate_query_api::column::pg_type_of;
use querygate_semantics::keep_names::under_names;
use querygate_semantics::typing::is_comparison;
use querygate_types::PgType;
use std::collections::HashMap;
use std::sync::Arc;

/// Functions whose arguments are all of one type.
const ALIKE: &[&str] = &["coalesce", "nullif", "greatest", "least", "make_array"];

/// Functions that the engine has under another name.
const SYNONYMS: &[(&str, &str)] = &[("signum", "sign")];

/// Types the parameters that stand right in an expression.
pub(in crate::dialect) fn typed(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let read = super::kin::read(expr, schema)?;
    if read.transformed {
        return Ok(read);
    }
    super::untyped_conditions::typed(read.data).transform_data(|expr| beside_others(expr, schema))
}

/// As [`typed`], where what stands beside a parameter says what it is.
fn beside_others(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { mut left, op, mut right })
            if is_comparison(op) && (is_untyped(&left) || is_untyped(&right)) =>
        {
            let changed = compared(vec![&mut *left, &mut *right], schema);
            Ok(Transformed::new_transformed(Expr::BinaryExpr(BinaryExpr::new(left, op, right)), changed))
        }
        Expr::InList(InList { mut expr, mut list, negated }) => {
            let changed = compared(std::iter::once(&mut *expr).chain(&mut list).collect(), schema);
            Ok(Transformed::new_transformed(Expr::InList(InList { expr, list, negated }), changed))
        }
        Expr::Between(Between { mut expr, negated, mut low, mut high }) => {
            let changed = compared(vec![&mut *expr, &mut *low, &mut *high], schema);
            Ok(Transformed::new_transformed(Expr::Between(Between { expr, negated, low, high }), changed))
        }
        Expr::InSubquery(member) if is_untyped(&member.expr) => Ok(Transformed::yes(beside_members(member))),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_match(op) && is_untyped(&left) && is_untyped(&right) => {
            let (left, right) = (of_type(*left, PgType::Text), of_type(*right, PgType::Text));
            Ok(Transformed::yes(Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)))))
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_text_or_untyped(&left) != is_text_or_untyped(&right) => {
            beside_jsonb(*left, op, *right, schema)
        }
        Expr::Like(like) if is_untyped(&like.expr) && is_untyped(&like.pattern) => {
            let Like { negated, expr, pattern, escape_char, case_insensitive } = like;
            let (expr, pattern) = (of_type(*expr, PgType::Text), of_type(*pattern, PgType::Text));
            let like = Like::new(negated, Box::new(expr), Box::new(pattern), escape_char, case_insensitive);
            Ok(Transformed::yes(Expr::Like(like)))
        }
        Expr::ScalarFunction(call) if call.args.iter().any(is_untyped) => function(call, schema),
        Expr::Case(case) => branches(case, schema),
        other => Ok(Transformed::no(other)),
    }
}

/// Operators that compare a text with a pattern.
const fn is_match(op: Operator) -> bool {
    matches!(
        op,
        Operator::RegexMatch
            | Operator::RegexIMatch
            | Operator::RegexNotMatch
            | Operator::RegexNotIMatch
            | Operator::LikeMatch
            | Operator::ILikeMatch
            | Operator::NotLikeMatch
            | Operator::NotILikeMatch
    )
}

/// A parameter beside a jsonb, or that is appended to one, is read as one: both are texts to the engine.
fn beside_jsonb(left: Expr, op: Operator, right: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let other = if is_text_or_untyped(&left) { own_type(&right, schema) } else { own_type(&left, schema) };
    let is_one = other == Some(PgType::Jsonb) && (is_comparison(op) || op == Operator::StringConcat);
    let read = |side: Expr| match types::field_of(PgType::Jsonb) {
        Some(field) if is_one && is_text_or_untyped(&side) => {
            Expr::Cast(Cast { expr: Box::new(of_type(side, PgType::Text)), field })
        }
        _ => side,
    };
    let both = BinaryExpr::new(Box::new(read(left)), op, Box::new(read(right)));
    Ok(Transformed::new_transformed(Expr::BinaryExpr(both), is_one))
}

/// A parameter without a type, or of which the engine has only learnt that texts stand beside it.
pub(super) fn is_text_or_untyped(expr: &Expr) -> bool {
    let Expr::Placeholder(Placeholder { field, .. }) = expr else { return false };
    is_untyped(expr)
        || field.as_ref().is_some_and(|field| matches!(field.data_type(), DataType::Utf8 | DataType::Utf8View))
}

/// Gives parameters without a type that of what they are compared with: its own, where it is all that decides. The engine looks at the
/// first value of a list alone, which may be another parameter. Whether there is any.
fn compared(mut values: Vec<&mut Expr>, schema: &DFSchema) -> bool {
    if !values.iter().any(|value| is_untyped(value)) {
        return false;
    }
    let common = common_type(values.iter().filter_map(|value| own_type(value, schema))).unwrap_or(PgType::Text);
    let decides = |value: &&mut Expr| !matches!(value, Expr::Literal(..)) && own_type(value, schema) == Some(common);
    let of_value = |value: &&mut Expr| field_of(value, schema).filter(|field| field.data_type() != &DataType::Null);
    let own = values.iter().filter(|value| decides(value)).find_map(of_value);
    let Some(field) = own.or_else(|| types::field_of(common)) else { return false };
    for value in values.iter_mut().filter(|value| is_untyped(value)) {
        **value = of_field(std::mem::take(&mut **value), &field);
    }
    true
}

/// A parameter without a type beside the rows of a subquery, whose column has none either where it is a parameter.
fn beside_members(InSubquery { expr, subquery, negated }: InSubquery) -> Expr {
    let column = subquery.subquery.schema().fields().first().cloned();
    let column = column.filter(|field| field.data_type() != &DataType::Null);
    let expr = match column.or_else(|| types::field_of(PgType::Text)) {
        Some(field) => Box::new(of_field(*expr, &field)),
        None => expr,
    };
    Expr::InSubquery(InSubquery { expr, subquery, negated })
}

pub(super) fn is_untyped(expr: &Expr) -> bool {
    let Expr::Placeholder(Placeholder { field, .. }) = expr else { return false };
    field.as_ref().is_none_or(|field| field.data_type() == &DataType::Null)
}

pub(super) fn of_type(expr: Expr, pg_type: PgType) -> Expr {
    match types::field_of(pg_type) {
        Some(field) if is_untyped(&expr) => of_field(expr, &field),
        _ => expr,
    }
}

fn of_field(expr: Expr, field: &Field) -> Expr {
    match expr {
        Expr::Placeholder(Placeholder { id, .. }) => {
            let field: FieldRef = Arc::new(field.clone().with_name(id.clone()).with_nullable(true));
            Expr::Placeholder(Placeholder { id, field: Some(field) })
        }
        other => other,
    }
}

/// The type that an expression has by itself: a literal in quotes and NULL have none.
pub(super) fn own_type(expr: &Expr, schema: &DFSchema) -> Option<PgType> {
    match expr {
        Expr::Literal(value, None)
            if value.is_null() || matches!(value.data_type(), DataType::Utf8 | DataType::Utf8View) =>
        {
            None
        }
        Expr::Literal(ScalarValue::Int64(Some(value)), None) => {
            Some(if i32::try_from(*value).is_ok() { PgType::Int4 } else { PgType::Int8 })
        }
        // Written with a point.
        Expr::Literal(ScalarValue::Float64(Some(_)), None) => Some(PgType::Numeric),
        Expr::Placeholder(_) if is_untyped(expr) => None,
        other => field_of(other, schema).map(|field| pg_type_of(&field)),
    }
}

/// The plan whose parameters beside small whole numbers, and nowhere else, are integers: the engine makes every such number a bigint,
/// and what stands beside it.
pub(in crate::dialect) fn beside_integers(plan: LogicalPlan) -> Result<LogicalPlan> {
    let is_small = |expr: &Expr| matches!(own_type(expr, &DFSchema::empty()), Some(PgType::Int4)) && is_number(expr);
    let mut uses: HashMap<String, (usize, usize)> = HashMap::new();
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|e| {
                if let Expr::Placeholder(Placeholder { id, .. }) = e {
                    uses.entry(id.clone()).or_default().0 += 1;
                }
                if let Some((id, other)) = beside(e)
                    && is_small(other)
                {
                    uses.entry(id.to_owned()).or_default().1 += 1;
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    uses.retain(|_, (all, beside)| all == beside);
    if uses.is_empty() {
        return Ok(plan);
    }
    let integer = |e: Expr| match e {
        Expr::Placeholder(Placeholder { id, field: Some(_) }) if uses.contains_key(&id) => {
            let field = Some(Arc::new(Field::new(id.clone(), DataType::Int32, true)));
            Ok(Transformed::yes(Expr::Placeholder(Placeholder { id, field })))
        }
        other => Ok(Transformed::no(other)),
    };
    let node = |node: LogicalPlan| {
        under_names(node, |expr| expr.transform_up(integer))?.map_data(LogicalPlan::recompute_schema)
    };
    Ok(plan.transform_up_with_subqueries(node)?.data)
}

fn is_number(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(ScalarValue::Int64(Some(_)), None))
}

/// A parameter that is a bigint, and the other side of its operator.
fn beside(expr: &Expr) -> Option<(&str, &Expr)> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = expr else { return None };
    let arithmetic =
        matches!(op, Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide | Operator::Modulo);
    let bigint = |side: &Expr| match side {
        Expr::Placeholder(Placeholder { field: Some(field), .. }) => field.data_type() == &DataType::Int64,
        _ => false,
    };
    let (parameter, other) = match (bigint(left), bigint(right)) {
        (true, false) => (left, right),
        (false, true) => (right, left),
        _ => return None,
    };
    let Expr::Placeholder(Placeholder { id, .. }) = parameter.as_ref() else { return None };
    (arithmetic || is_comparison(*op)).then_some((id.as_str(), other.as_ref()))
}

fn function(mut call: ScalarFunction, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let given: Vec<Option<PgType>> = call.args.iter().map(|arg| own_type(arg, schema)).collect();
    let types: Option<Vec<PgType>> = if ALIKE.contains(&call.func.name()) {
        let common = common_type(given.iter().copied().flatten()).unwrap_or(PgType::Text);
        Some(vec![common; given.len()])
    } else if call.func.name() == "similar_to" {
        Some(vec![PgType::Text; given.len()])
    } else {
        let own = call.func.name();
        let synonym = SYNONYMS.iter().find(|(name, _)| *name == own).map_or(own, |(_, synonym)| synonym);
        let names = std::iter::once(synonym).chain(call.func.aliases().iter().map(String::as_str));
        let known = || names.into_iter().find_map(|name| argument_types(name, &given));
        of_items(own, &given).or_else(known).or_else(|| whole_series(own, &given))
    };
    let Some(types) = types else { return Ok(Transformed::no(Expr::ScalarFunction(call))) };
    call.args = call.args.into_iter().zip(types).map(|(arg, pg_type)| of_type(arg, pg_type)).collect();
    Ok(Transformed::yes(Expr::ScalarFunction(call)))
}

/// Functions of an array and of what are its items, and which of their arguments are arrays.
const OF_ITEMS: &[(&str, &[bool])] = &[
    ("array_append", &[true, false]),
    ("array_prepend", &[false, true]),
    ("array_concat", &[true, true]),
    ("array_remove", &[true, false]),
    ("array_replace", &[true, false, false]),
    ("array_replace_all", &[true, false, false]),
    ("array_position", &[true, false]),
    ("array_positions", &[true, false]),
];

/// The types of such a function's arguments, of which one says what the items are. `None`: it is another function.
fn of_items(function: &str, given: &[Option<PgType>]) -> Option<Vec<PgType>> {
    let (_, arrays) = OF_ITEMS.iter().find(|(name, arrays)| *name == function && arrays.len() == given.len())?;
    let item_of = |(own, is_array): (&Option<PgType>, &bool)| {
        let own = (*own)?;
        if *is_array { own.element() } else { Some(own) }
    };
    let item = given.iter().zip(*arrays).find_map(item_of).unwrap_or(PgType::Text);
    let array = PgType::from_oid(item.array_oid())?;
    Some(arrays.iter().map(|is_array| if *is_array { array } else { item }).collect())
}

/// A series of integers, where its arguments are whole numbers or without a type, and fit several functions equally well: PostgreSQL
/// refuses such a call as not unique.
fn whole_series(function: &str, given: &[Option<PgType>]) -> Option<Vec<PgType>> {
    let is_whole = |own: &PgType| matches!(own, PgType::Int2 | PgType::Int4 | PgType::Int8);
    let is_one = function == "generate_series" && given.iter().flatten().all(is_whole);
    is_one.then(|| given.iter().map(|own| own.unwrap_or(PgType::Int4)).collect())
}

fn branches(mut case: Case, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let results = case.when_then_expr.iter_mut().map(|(_, then)| then).chain(&mut case.else_expr);
    let mut changed = alike(results.map(AsMut::as_mut).collect(), schema);
    if let Some(operand) = &mut case.expr {
        let compared = std::iter::once(operand).chain(case.when_then_expr.iter_mut().map(|(when, _)| when));
        changed |= alike(compared.map(AsMut::as_mut).collect(), schema);
    }
    Ok(Transformed::new_transformed(Expr::Case(case), changed))
}

/// Gives parameters without a type the one at which all meet. Whether there is any.
fn alike(mut values: Vec<&mut Expr>, schema: &DFSchema) -> bool {
    if !values.iter().any(|value| is_untyped(value)) {
        return false;
    }
    let common = common_type(values.iter().filter_map(|value| own_type(value, schema))).unwrap_or(PgType::Text);
    for value in values.iter_mut().filter(|value| is_untyped(value)) {
        **value = of_type(std::mem::take(&mut **value), common);
    }
    true
}

#[cfg(test)]
mod tests {
    use crate::testing::Yard;
    use PgType::{Int4, Int8, Interval, Numeric, Timestamp};
    use querygate_types::PgType;

    /// Types and answers are PostgreSQL 15's.
    #[test]
    fn a_series_is_of_what_its_arguments_are() {
        let yard = Yard::new();
        let owner = yard.owner();
        let (first, second) = ("2001-01-01", "2001-01-02");
        let days = "2001-01-01T00:00:00; 2001-01-02T00:00:00";
        for (call, declared, types, given, expected) in [
            ("($1, 2)", vec![None], vec![Int4], vec!["1"], "1; 2"),
            ("(1::bigint, $1)", vec![None], vec![Int8], vec!["2"], "1; 2"),
            ("($1, 2)", vec![Some(Int8)], vec![Int8], vec!["1"], "1; 2"),
            ("($1, $2)", vec![Some(Int8), None], vec![Int8, Int8], vec!["1", "2"], "1; 2"),
            // Now is later than any time that is written here.
            ("(now(), $1, $2)", vec![None, None], vec![PgType::Timestamptz, Interval], vec![first, "1 day"], ""),
            (
                "($1, timestamp '2001-01-02', $2)",
                vec![None, None],
                vec![Timestamp, Interval],
                vec![first, "1 day"],
                days,
            ),
            // The values of numerics are given with ten places here.
            (
                "($1, $2)",
                vec![Some(Numeric), None],
                vec![Numeric, Numeric],
                vec!["1", "2.5"],
                "1.0000000000; 2.0000000000",
            ),
            (
                "($1, $2, $3)",
                vec![Some(Timestamp), None, None],
                vec![Timestamp, Timestamp, Interval],
                vec![first, second, "1 day"],
                days,
            ),
        ] {
            let given: Vec<Option<&str>> = given.into_iter().map(Some).collect();
            for sql in [format!("SELECT generate_series{call}"), format!("SELECT * FROM generate_series{call}")] {
                let read = owner.prepare_with(&sql, &declared).unwrap_or_else(|error| panic!("{sql}: {error}"));
                assert_eq!(read.parameter_types(), types, "{sql}");
                assert_eq!(owner.execute(&read, &given), expected, "{sql}");
            }
        }
    }

    #[test]
    fn arrays_and_items_say_what_the_other_is() {
        let text = PgType::Text;
        for (name, given, expected) in [
            ("array_append", vec![None, Some(Int4)], Some(vec![PgType::Int4Array, Int4])),
            ("array_append", vec![Some(PgType::Int8Array), None], Some(vec![PgType::Int8Array, Int8])),
            ("array_prepend", vec![Some(text), None], Some(vec![text, PgType::TextArray])),
            ("array_append", vec![None, None], Some(vec![PgType::TextArray, text])),
            ("array_concat", vec![None, Some(PgType::Int4Array)], Some(vec![PgType::Int4Array; 2])),
            ("array_position", vec![None, Some(Int4), Some(Int4)], None),
            ("cardinality", vec![None], None),
        ] {
            assert_eq!(super::of_items(name, &given), expected, "{name} {given:?}");
        }
        let yard = Yard::new();
        let owner = yard.owner();
        for (call, value, expected) in [
            ("(array_append($1, 7))[2]", "{1}", "7"),
            ("array_position($1, 3)", "{1,3}", "2"),
            ("array_position(array[1, 3], $1)", "3", "2"),
            ("count(*) OVER (PARTITION BY array_append($1, 'x'::text))", "{a,b}", "1"),
        ] {
            owner.run(&format!("PREPARE called AS SELECT {call}"));
            assert_eq!(owner.run(&format!("EXECUTE called ('{value}')")), expected, "{call}");
            owner.run("DEALLOCATE called");
        }
    }

    #[test]
    fn a_series_has_the_places_of_its_parameters() {
        let yard = Yard::new();
        let owner = yard.owner();
        owner.run("PREPARE series (numeric, numeric, numeric) AS SELECT generate_series($1, $2, $3)");
        assert_eq!(owner.run("EXECUTE series (1, 2, 0.5)"), "1; 1.5; 2.0");
        owner.run("PREPARE large (bigint) AS SELECT pg_typeof(generate_series($1, 4))");
        assert_eq!(owner.run("EXECUTE large (3)"), "bigint; bigint");
    }
}
