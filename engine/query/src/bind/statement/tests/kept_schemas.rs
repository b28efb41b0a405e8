//! What a plan's nodes say of their columns is what stands in them. A rule that changes nothing in a node keeps its schema, so one that says
//! that it changed nothing where it did leaves wrong types above. Here each schema is compared with one that is computed anew.

use crate::bind::nulls::with_unions_as_inputs;
use crate::bind::statement::{plan_names, settled, typed};
use crate::dialect::subqueries::apply::{Scope, expand};
use crate::sql::classify::Classified;
use crate::sql::parse::parse;
use crate::testing::{Reader, Shop, on_runtime};
use arrow::datatypes::{DataType, Field};
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Projection, Union, col, lit};
use datafusion::sql::sqlparser::ast::Query;
use std::path::Path;
use std::sync::Arc;

/// Of the statements that are compared with PostgreSQL, one in this many is planned here; those that read themselves are all.
const STEP: usize = 7;

/// Those that are answered, and in which a node stands above others: elsewhere there is nothing to keep.
fn statements() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/postgres");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let texts: Vec<String> = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let lines = texts.iter().flat_map(|text| text.lines()).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let answered = lines.filter_map(|line| {
        let mut columns = line.split('\t');
        let sql = columns.next()?;
        let is_refused = columns.next_back()?.starts_with('!');
        (!is_refused).then_some(sql)
    });
    let nested = answered.filter(|sql| {
        let sql = sql.to_ascii_uppercase();
        sql.contains("FROM ") || sql.contains("UNION ")
    });
    let (recursive, others): (Vec<&str>, Vec<&str>) = nested.partition(|sql| sql.contains("RECURSIVE"));
    recursive.into_iter().chain(others.into_iter().step_by(STEP)).map(str::to_owned).collect()
}

fn query_of(sql: &str) -> Option<Box<Query>> {
    let parsed = parse(sql).ok()?;
    let [only] = parsed.as_slice() else { return None };
    match only.class() {
        Classified::Query(query) => Some(query.clone()),
        _ => None,
    }
}

/// The plan of a query at each stage of its way, as far as it is not refused.
async fn stages(reader: &Reader, query: &Query) -> Vec<(&'static str, LogicalPlan)> {
    let (state, dialect) = (reader.state.as_ref(), &reader.workspace.dialect);
    let mut stages = Vec::new();
    let Ok((named, _)) = plan_names(query, state, dialect, &[]).await else { return stages };
    let Ok(plan) = typed(named.clone(), state, dialect, &[]) else { return stages };
    stages.push(("typed", plan));
    let Ok(bound) = settled(named, state, dialect, &[]) else { return stages };
    stages.push(("bound", bound.clone()));
    let Ok(expanded) = expand(bound, Scope::CatalogOnly) else { return stages };
    let analyzed = state.analyzer().execute_and_check(expanded, state.config_options(), |_, _| {});
    let Ok(analyzed) = analyzed else { return stages };
    stages.push(("analyzed", analyzed.clone()));
    let optimized = state.optimizer().optimize(analyzed, state, |_, _| {}).and_then(with_unions_as_inputs);
    let Ok(optimized) = optimized else { return stages };
    stages.push(("optimized", optimized));
    stages
}

#[test]
fn kept_schemas_say_no_less_than_ones_that_are_computed_anew() {
    let (statements, reader) = (statements(), Shop::open().owner());
    let (planned, wrong) = on_runtime(async move {
        let (mut planned, mut wrong) = (0, Vec::new());
        for sql in &statements {
            let Some(query) = query_of(sql) else { continue };
            let plans = stages(&reader, &query).await;
            planned += usize::from(plans.len() == 4);
            let found = plans.iter().find_map(|(stage, plan)| Some(format!("{stage}: {}", in_plan(plan)?)));
            wrong.extend(found.map(|found| format!("{sql}\n   {found}")));
        }
        (planned, wrong)
    });
    assert!(wrong.is_empty(), "{} plans have other schemas than they keep:\n{}", wrong.len(), wrong.join("\n"));
    assert!(planned > 200, "only {planned} statements were planned to the end");
}

/// The first node that says less of a column than what stands in it, and what it says.
fn in_plan(plan: &LogicalPlan) -> Option<String> {
    let mut found = None;
    let walked = plan.apply_with_subqueries(|node| {
        let wrong = match node {
            LogicalPlan::Union(union) => in_union(union),
            other => in_node(other),
        };
        found = wrong.map(|wrong| format!("{wrong} in {}", node.display()));
        Ok(if found.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    walked.unwrap();
    found
}

fn in_node(node: &LogicalPlan) -> Option<String> {
    let anew = match node.clone().recompute_schema() {
        Ok(anew) => anew,
        Err(error) => return Some(format!("no schema ({error})")),
    };
    let (kept, anew) = (node.schema().fields(), anew.schema().fields());
    if kept.len() != anew.len() {
        return Some(format!("{} columns instead of {}", kept.len(), anew.len()));
    }
    kept.iter().zip(anew).find_map(|(kept, anew)| {
        let is_less = kept.name() != anew.name()
            || !are_alike(kept.data_type(), anew.data_type())
            || anew.is_nullable() && !kept.is_nullable();
        is_less.then(|| format!("{} instead of {}", said(kept), said(anew)))
    })
}

/// A union keeps its schema when it is computed anew. Where all inputs have one type for a column, it is the union's.
fn in_union(union: &Union) -> Option<String> {
    union.schema.fields().iter().enumerate().find_map(|(place, kept)| {
        let of = |input: &Arc<LogicalPlan>| input.schema().fields().get(place).map(|field| field.data_type().clone());
        let types: Option<Vec<DataType>> = union.inputs.iter().map(of).collect();
        let Some(types) = types else { return Some(format!("no column {} in an input", said(kept))) };
        let first = types.first()?;
        let is_other = types.iter().all(|other| are_alike(other, first)) && !are_alike(kept.data_type(), first);
        is_other.then(|| format!("{} instead of {first}", said(kept)))
    })
}

/// Whether types are one but for what is said of NULL within them, and what their items are called.
fn are_alike(one: &DataType, other: &DataType) -> bool {
    match (one, other) {
        (DataType::List(one), DataType::List(other)) => are_alike(one.data_type(), other.data_type()),
        (DataType::Struct(one), DataType::Struct(other)) => {
            let are_one = |(one, other): (&Arc<Field>, &Arc<Field>)| are_alike(one.data_type(), other.data_type());
            one.len() == other.len() && one.iter().zip(other).all(are_one)
        }
        _ => one == other,
    }
}

fn said(field: &Field) -> String {
    let null = if field.is_nullable() { "" } else { " NOT NULL" };
    format!("{} {}{null}", field.name(), field.data_type())
}

#[test]
fn a_schema_that_says_less_is_found() {
    let rows = |value: Expr| {
        LogicalPlanBuilder::empty(true).project([value.alias("x")]).unwrap().build().map(Arc::new).unwrap()
    };
    // A projection that was planned over one input, and keeps its schema over another.
    let kept = |planned: Expr, found: Expr| {
        let plan = LogicalPlanBuilder::from(rows(planned)).project([col("x")]).unwrap().build().unwrap();
        let LogicalPlan::Projection(Projection { expr, schema, .. }) = plan else { panic!("a projection") };
        let kept = Projection::try_new_with_schema(expr, rows(found), schema).unwrap();
        // Below another node, too.
        LogicalPlanBuilder::from(LogicalPlan::Projection(kept)).limit(0, Some(1)).unwrap().build().unwrap()
    };
    let null = || lit(ScalarValue::Int32(None));
    assert_eq!(in_plan(&kept(lit(1), lit(2))), None);
    assert_eq!(in_plan(&kept(null(), lit(2))), None, "it may say more");
    for (planned, found, expected) in [
        (lit(1), lit("a"), "x Int32 NOT NULL instead of x Utf8 NOT NULL in Projection: x"),
        (lit(1), null(), "x Int32 NOT NULL instead of x Int32 in Projection: x"),
    ] {
        assert_eq!(in_plan(&kept(planned, found)).as_deref(), Some(expected));
    }
    let one = LogicalPlanBuilder::from(rows(lit(1))).union(rows(lit(2)).as_ref().clone()).unwrap().build().unwrap();
    let LogicalPlan::Union(Union { schema, .. }) = &one else { panic!("{one}") };
    let inputs = vec![rows(lit("a")), rows(lit("b"))];
    let union = LogicalPlan::Union(Union { inputs, schema: Arc::clone(schema) });
    assert_eq!(in_plan(&one), None);
    assert_eq!(in_plan(&union).as_deref(), Some("x Int32 NOT NULL instead of Utf8 in Union"));
}
