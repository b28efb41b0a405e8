//! The Postgres type of an output column where Arrow's does not say it and the engine has lost the name of it on the way:
//! through CASE, COALESCE, subqueries, sets and aggregates. Reads plans only.

use arrow::datatypes::{DataType, Field};
use datafusion::logical_expr::{Distinct, Expr, ExprSchemable as _, JoinType, LogicalPlan};
use querygate_query_api::PG_TYPE_KEY;
use querygate_types::PgType;

/// The type to declare in place of `declared`: another name for what is sent the same way. `None`: leave it.
pub(crate) fn narrower(plan: &LogicalPlan, column: usize, declared: PgType) -> Option<PgType> {
    let found = of_column(plan, column).filter(|found| *found != declared)?;
    let fits = match declared {
        PgType::Text => matches!(
            found,
            PgType::Name | PgType::Char | PgType::Varchar | PgType::Json | PgType::PgNodeTree | PgType::AclItem
        ),
        PgType::TextArray => {
            matches!(found, PgType::NameArray | PgType::CharArray | PgType::VarcharArray | PgType::AclItemArray)
        }
        _ => false,
    };
    fits.then_some(found)
}

fn of_column(plan: &LogicalPlan, column: usize) -> Option<PgType> {
    match plan {
        LogicalPlan::TableScan(scan) => named(scan.projected_schema.fields().get(column)?),
        LogicalPlan::Projection(projection) => of(projection.expr.get(column)?, &projection.input),
        LogicalPlan::Aggregate(aggregate) => {
            let groups = aggregate.group_expr.len();
            let expr =
                aggregate.group_expr.get(column).or_else(|| aggregate.aggr_expr.get(column.checked_sub(groups)?));
            of(expr?, &aggregate.input)
        }
        LogicalPlan::Window(window) => within(&window.input, column),
        LogicalPlan::SubqueryAlias(node) => of_column(&node.input, column),
        LogicalPlan::Filter(node) => of_column(&node.input, column),
        LogicalPlan::Sort(node) => of_column(&node.input, column),
        LogicalPlan::Limit(node) => of_column(&node.input, column),
        LogicalPlan::Repartition(node) => of_column(&node.input, column),
        LogicalPlan::Subquery(node) => of_column(&node.subquery, column),
        LogicalPlan::Distinct(Distinct::All(input)) => of_column(input, column),
        LogicalPlan::Distinct(Distinct::On(on)) => of(on.select_expr.get(column)?, &on.input),
        LogicalPlan::Join(join) => match join.join_type {
            JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => within(&join.right, column),
            JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => within(&join.left, column),
            JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => {
                let left = join.left.schema().fields().len();
                if column < left { of_column(&join.left, column) } else { of_column(&join.right, column - left) }
            }
        },
        LogicalPlan::Union(union) => {
            let mut types = union.inputs.iter().map(|input| of_column(input, column));
            let first = types.next()??;
            types.all(|other| other == Some(first)).then_some(first)
        }
        LogicalPlan::RecursiveQuery(query) => of_column(&query.static_term, column),
        LogicalPlan::Unnest(unnest) => {
            let below = *unnest.dependency_indices.get(column)?;
            let found = of_column(&unnest.input, below)?;
            let is_list = unnest.list_type_columns.iter().any(|(place, _)| *place == below);
            if is_list { found.element() } else { Some(found) }
        }
        LogicalPlan::Values(_)
        | LogicalPlan::EmptyRelation(_)
        | LogicalPlan::Extension(_)
        | LogicalPlan::Statement(_)
        | LogicalPlan::Explain(_)
        | LogicalPlan::Analyze(_)
        | LogicalPlan::Dml(_)
        | LogicalPlan::Ddl(_)
        | LogicalPlan::Copy(_)
        | LogicalPlan::DescribeTable(_) => None,
    }
}

/// A column of the input, when it is one: windows and marks add columns behind those of their input.
fn within(input: &LogicalPlan, column: usize) -> Option<PgType> {
    (column < input.schema().fields().len()).then(|| of_column(input, column)).flatten()
}

fn named(field: &Field) -> Option<PgType> {
    field.metadata().get(PG_TYPE_KEY).and_then(|name| PgType::from_name(name))
}

fn of(expr: &Expr, input: &LogicalPlan) -> Option<PgType> {
    match expr {
        Expr::Alias(alias) => of(&alias.expr, input),
        Expr::Column(column) => of_column(input, input.schema().maybe_index_of_column(column)?),
        Expr::OuterReferenceColumn(field, _) => named(field),
        Expr::Cast(cast) => named(&cast.field),
        Expr::ScalarSubquery(subquery) => of_column(&subquery.subquery, 0),
        Expr::Case(case) => {
            // PostgreSQL takes ELSE for the most significant one.
            let branches = case.when_then_expr.iter().map(|(_, then)| then.as_ref());
            common(case.else_expr.iter().map(AsRef::as_ref).chain(branches), input)
        }
        Expr::ScalarFunction(call) => match call.func.name() {
            "coalesce" | "greatest" | "least" => common(call.args.iter(), input),
            "nullif" | "array_or_empty" | "told_apart" => of(call.args.first()?, input),
            "make_array" => common(call.args.iter(), input)?.array(),
            "array_element" => of(call.args.first()?, input)?.element(),
            _ => computed(expr, input),
        },
        Expr::AggregateFunction(call) => match call.func.name() {
            "array_agg" => of(call.params.args.first()?, input)?.array(),
            "first_value" | "last_value" | "any_value" => of(call.params.args.first()?, input),
            _ => None,
        },
        _ => computed(expr, input),
    }
}

/// What the engine itself says of an expression's result.
fn computed(expr: &Expr, input: &LogicalPlan) -> Option<PgType> {
    named(&expr.to_field(input.schema().as_ref()).ok()?.1)
}

/// The type of several values: literals without a type take it; of texts that are cast to one another unasked, the first.
fn common<'a>(exprs: impl Iterator<Item = &'a Expr>, input: &LogicalPlan) -> Option<PgType> {
    let mut types = exprs.filter(|expr| !is_literal(expr)).map(|expr| of(expr, input).or_else(|| text(expr, input)));
    let first = types.next()??;
    let like = |other: PgType| {
        let texts = |t| matches!(t, PgType::Name | PgType::Text | PgType::Varchar);
        other == first || texts(first) && texts(other)
    };
    types.all(|other| other.is_some_and(like)).then_some(first)
}

/// A text that nothing names otherwise.
fn text(expr: &Expr, input: &LogicalPlan) -> Option<PgType> {
    let data_type = expr.to_field(input.schema().as_ref()).ok()?.1.data_type().clone();
    matches!(data_type, DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8).then_some(PgType::Text)
}

fn is_literal(expr: &Expr) -> bool {
    match expr {
        Expr::Alias(alias) => is_literal(&alias.expr),
        Expr::Literal(_, metadata) => metadata.is_none(),
        _ => false,
    }
}
