//! Steps open to what they were made of, and what has no form says so.

use super::*;
use arrow::datatypes::{DataType, Field};
use datafusion::functions_aggregate::string_agg::string_agg_udaf;
use datafusion::logical_expr::{Operator, ScalarUDF};
use datafusion::physical_expr::ScalarFunctionExpr;
use datafusion::physical_expr::expressions::{
    BinaryExpr, CaseExpr, CastExpr, Column, InListExpr, IsNullExpr, LikeExpr, lit,
};
use datafusion::physical_plan::displayable;
use querygate_semantics::portable::Function;

type Expr = Arc<dyn PhysicalExpr>;

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("kind", DataType::Utf8, true),
        Field::new("size", DataType::Int64, false),
        Field::new("price", DataType::Decimal128(12, 2), true),
    ]))
}

fn column(place: usize) -> Expr {
    Arc::new(Column::new(schema().field(place).name(), place))
}

fn call(function: Arc<ScalarUDF>, arguments: Vec<Expr>) -> Expr {
    let config = Arc::new(ConfigOptions::default());
    Arc::new(ScalarFunctionExpr::try_new(function, arguments, &schema(), config).unwrap())
}

fn rows() -> Arc<dyn ExecutionPlan> {
    Arc::new(EmptyExec::new(schema()))
}

fn filtered(condition: Expr) -> Link {
    Link { operator: Arc::new(FilterExec::try_new(condition, rows()).unwrap()), metered: false, side: None }
}

fn named(name: &str) -> Arc<ScalarUDF> {
    Function::Named(name.to_owned()).made().unwrap()
}

fn conditions() -> Vec<Expr> {
    let more: Expr = Arc::new(BinaryExpr::new(column(1), Operator::Gt, lit(3_i64)));
    let like: Expr = Arc::new(LikeExpr::new(false, false, column(0), lit("a%")));
    let list = InListExpr::try_new(column(1), vec![lit(1_i64), lit(2_i64)], true, &schema()).unwrap();
    let is_null: Expr = Arc::new(IsNullExpr::new(column(2)));
    let branches = vec![(Arc::clone(&more), Arc::clone(&like))];
    let case = CaseExpr::try_new(None, branches, Some(Arc::clone(&is_null))).unwrap();
    let length = call(named("octet_length"), vec![column(0)]);
    let cast: Expr = Arc::new(CastExpr::new(length, DataType::Int64, None));
    let equal: Expr = Arc::new(BinaryExpr::new(cast, Operator::Eq, column(1)));
    vec![more, like, Arc::new(list), is_null, Arc::new(case), equal]
}

#[test]
fn conditions_open_to_what_they_were() {
    for condition in conditions() {
        let link = filtered(Arc::clone(&condition));
        let steps = Steps::closed(&[link], &schema()).unwrap();
        let bytes = postcard::to_stdvec(&steps).unwrap();
        let steps: Steps = postcard::from_bytes(&bytes).unwrap();
        let opened = steps.over(rows(), &ConfigOptions::default(), &[]).unwrap();
        assert_eq!(opened.downcast_ref::<FilterExec>().unwrap().predicate(), &condition);
    }
}

fn grouped(aggregate: Arc<datafusion::logical_expr::AggregateUDF>, arguments: Vec<Expr>) -> Link {
    let keys = PhysicalGroupBy::new_single(vec![(column(0), "kind".to_owned())]);
    let sum = AggregateExprBuilder::new(aggregate, arguments).schema(schema()).alias("made").build().unwrap();
    let made = AggregateExec::try_new(AggregateMode::Partial, keys, vec![Arc::new(sum)], vec![None], rows(), schema())
        .unwrap();
    Link { operator: Arc::new(made), metered: true, side: None }
}

#[test]
fn states_of_aggregates_have_the_same_columns() {
    for (name, argument) in [("sum", 1), ("sum", 2), ("avg", 2), ("count", 0), ("max", 0), ("stddev", 1)] {
        let aggregate = Aggregate::Named(name.to_owned()).made().unwrap();
        let argument: Expr = match name {
            "stddev" => Arc::new(CastExpr::new(column(argument), DataType::Float64, None)),
            _ => column(argument),
        };
        let link = grouped(aggregate, vec![argument]);
        let states = link.operator.schema();
        let opened = Steps::closed(&[link], &schema()).unwrap().over(rows(), &ConfigOptions::default(), &[]).unwrap();
        assert_eq!(opened.schema(), states, "{name}");
        let text = displayable(opened.as_ref()).indent(false).to_string();
        assert!(text.contains("mode=Partial") && text.contains("MeteredExec"), "{text}");
    }
}

#[test]
fn what_has_no_form_says_why() {
    let refused = |link: Link| Steps::closed(&[link], &schema()).unwrap_err();
    let joined = grouped(string_agg_udaf(), vec![column(0), lit(",")]);
    assert_eq!(refused(joined), "one of its aggregates is not made in parts");
    let chance: Expr = call(datafusion::functions::math::random(), Vec::new());
    let by_chance = filtered(Arc::new(BinaryExpr::new(chance, Operator::Gt, lit(0.5))));
    assert_eq!(refused(by_chance), "one of its functions is not sent to workers");
    let long = filtered(Arc::new(BinaryExpr::new(column(0), Operator::Eq, lit("x".repeat(2_000)))));
    assert_eq!(refused(long), "one of its constants is long");
    let deep = (0..200).fold(column(2), |of, _| Arc::new(IsNullExpr::new(of)) as Expr);
    assert_eq!(refused(filtered(deep)), "one of its expressions nests too deep");
    let checked = BinaryExpr::new(column(1), Operator::Plus, lit(1_i64)).with_fail_on_overflow(true);
    let more = BinaryExpr::new(Arc::new(checked), Operator::Gt, lit(3_i64));
    assert_eq!(refused(filtered(Arc::new(more))), "one of its expressions has no form that workers are sent");
}
