//! Cases of relations: order and limit, groups, joins, subqueries and set operations.

use super::{Case, Rows, Suite, column, filter};
use crate::aggregate::{AggregateExpr, AggregateFunction};
use crate::identifier::ColumnId;
use crate::relation::{JoinKind, Relation, SetOp, SortKey};
use crate::scalar::{ComparisonOp, ScalarExpr};

use crate::value::{Value, ValueType};

impl Suite<'_> {
    pub(super) async fn orders(&mut self) {
        for (id, name, value_type) in self.columns() {
            for (ascending, nulls_first) in [(true, false), (true, true), (false, false), (false, true)] {
                let key = |id, ascending, nulls_first| SortKey { expr: column(id), ascending, nulls_first };
                let keys = vec![key(id, ascending, nulls_first), key(0, true, false)];
                let sorted = Relation::Sort { input: Box::new(self.scan("nasty", 0)), keys };
                let title = format!("order by {name}, {ascending}, {nulls_first}");
                let output = [(0, ValueType::Int64)];
                self.check(&title, sorted.clone(), &output, &Case::default(), Rows::Ordered).await;
                for (skip, fetch) in [(0, Some(3)), (5, Some(4)), (70, None), (1_000, Some(1)), (0, Some(0))] {
                    let limited = Relation::Limit { input: Box::new(sorted.clone()), skip, fetch };
                    self.check(&title, limited, &output, &Case::default(), Rows::Ordered).await;
                }
                // A projection above a limit and a filter above that keep what was decided below.
                let limited = Relation::Limit { input: Box::new(sorted), skip: 2, fetch: Some(20) };
                let mut case = Case::default();
                let small = ScalarExpr::compare(ComparisonOp::Lt, column(0), case.bind(&Value::Int64(40)));
                let fenced = filter(Relation::Fence { input: Box::new(limited) }, small);
                self.check(&title, fenced, &[(0, ValueType::Int64), (id, value_type)], &case, Rows::Bag).await;
            }
        }
    }

    pub(super) async fn aggregates(&mut self) {
        let call = |function, id: u32, distinct, value_type| AggregateExpr {
            function,
            args: vec![column(id)],
            distinct,
            filter: None,
            value_type,
        };
        for table in ["nasty", "empty"] {
            for (id, name, value_type) in self.columns() {
                let groups = vec![(ColumnId(100), column(id))];
                let star = AggregateExpr {
                    function: AggregateFunction::CountStar,
                    args: vec![],
                    distinct: false,
                    filter: None,
                    value_type: ValueType::Int64,
                };
                let aggregates = vec![
                    (ColumnId(101), star),
                    (ColumnId(102), call(AggregateFunction::Max, 0, false, ValueType::Int64)),
                ];
                let grouped = Relation::Aggregate { input: Box::new(self.scan(table, 0)), group: groups, aggregates };
                let output = [(101, ValueType::Int64), (102, ValueType::Int64)];
                self.check(&format!("group by {name}"), grouped, &output, &Case::default(), Rows::Bag).await;
                let one = Relation::Project {
                    input: Box::new(self.scan(table, 0)),
                    exprs: vec![(ColumnId(100), column(id))],
                };
                let distinct = Relation::Distinct { input: Box::new(one) };
                self.check(&format!("distinct {name}"), distinct, &[(100, value_type)], &Case::default(), Rows::Bag)
                    .await;
                let mut calls = vec![
                    call(AggregateFunction::Count, id, false, ValueType::Int64),
                    call(AggregateFunction::Count, id, true, ValueType::Int64),
                    call(AggregateFunction::Min, id, false, value_type),
                    call(AggregateFunction::Max, id, false, value_type),
                ];
                match value_type {
                    ValueType::Boolean => calls.extend([
                        call(AggregateFunction::BoolAnd, id, false, value_type),
                        call(AggregateFunction::BoolOr, id, false, value_type),
                    ]),
                    ValueType::Int16 | ValueType::Int32 | ValueType::Int64 => calls.extend([
                        call(AggregateFunction::Sum, id, false, ValueType::Int64),
                        call(AggregateFunction::Sum, id, true, ValueType::Int64),
                        call(AggregateFunction::Avg, id, false, ValueType::Float64),
                    ]),
                    ValueType::Decimal128 { .. } => calls.push(call(AggregateFunction::Sum, id, false, value_type)),
                    _ => {}
                }
                for aggregate in calls {
                    let title = format!("{} {name} of {table}", aggregate.function.name());
                    self.aggregate_twice(&title, table, aggregate).await;
                }
            }
            // Money that any source can add up, and floats whose sum is finite.
            let mut case = Case::default();
            let decimal = |value| Value::Decimal128 { value, precision: 18, scale: 4 };
            let (low, high) = (Box::new(case.bind(&decimal(-100_000))), Box::new(case.bind(&decimal(100_000))));
            let between = ScalarExpr::Between { expr: Box::new(column(6)), low, high, negated: false };
            let value_type = ValueType::Decimal128 { precision: 28, scale: 4 };
            let summed = Relation::Aggregate {
                input: Box::new(filter(self.scan(table, 0), between)),
                group: vec![],
                aggregates: vec![(ColumnId(101), call(AggregateFunction::Sum, 6, false, value_type))],
            };
            self.check("sum of money", summed.clone(), &[(101, value_type)], &case, Rows::Bag).await;
            let value_type = ValueType::Decimal128 { precision: 22, scale: 8 };
            let Relation::Aggregate { input, group, .. } = summed else { return };
            let aggregates = vec![
                (ColumnId(101), call(AggregateFunction::Avg, 6, false, value_type)),
                (ColumnId(102), call(AggregateFunction::Avg, 6, true, value_type)),
            ];
            let averaged = Relation::Aggregate { input, group, aggregates };
            self.check("average of money", averaged, &[(101, value_type), (102, value_type)], &case, Rows::Bag).await;
            let mut case = Case::default();
            let expr = Box::new(column(5));
            let (low, high) = (Box::new(case.bind(&Value::Float64(-10.0))), Box::new(case.bind(&Value::Float64(10.0))));
            let input = filter(self.scan(table, 0), ScalarExpr::Between { expr, low, high, negated: false });
            let aggregates = vec![
                (ColumnId(101), call(AggregateFunction::Sum, 5, false, ValueType::Float64)),
                (ColumnId(102), call(AggregateFunction::Avg, 5, false, ValueType::Float64)),
            ];
            let summed = Relation::Aggregate { input: Box::new(input), group: vec![], aggregates };
            let output = [(101, ValueType::Float64), (102, ValueType::Float64)];
            self.check("sum of floats", summed, &output, &case, Rows::Approximate).await;
        }
    }

    /// An aggregate over everything, and with FILTER and HAVING by another column.
    async fn aggregate_twice(&mut self, title: &str, table: &str, aggregate: AggregateExpr) {
        let output = [(101, aggregate.value_type)];
        let whole = Relation::Aggregate {
            input: Box::new(self.scan(table, 0)),
            group: vec![],
            aggregates: vec![(ColumnId(101), aggregate.clone())],
        };
        self.check(title, whole, &output, &Case::default(), Rows::Approximate).await;
        let mut case = Case::default();
        let small = ScalarExpr::compare(ComparisonOp::Lt, column(0), case.bind(&Value::Int64(30)));
        let filtered = AggregateExpr { filter: Some(small), ..aggregate };
        let value_type = filtered.value_type;
        let grouped = Relation::Aggregate {
            input: Box::new(self.scan(table, 0)),
            group: vec![(ColumnId(100), column(1))],
            aggregates: vec![(ColumnId(101), filtered)],
        };
        let having = filter(grouped, ScalarExpr::IsNull { expr: Box::new(column(100)), negated: true });
        let output = [(100, ValueType::Boolean), (101, value_type)];
        self.check(title, having, &output, &case, Rows::Approximate).await;
    }

    pub(super) async fn joins(&mut self) {
        let kinds =
            [JoinKind::Inner, JoinKind::Left, JoinKind::Right, JoinKind::Full, JoinKind::LeftSemi, JoinKind::LeftAnti];
        let on_key = ScalarExpr::compare(ComparisonOp::Eq, column(0), column(51));
        let on_text = ScalarExpr::compare(ComparisonOp::Eq, column(8), column(52));
        let both = ScalarExpr::And(vec![on_key.clone(), ScalarExpr::compare(ComparisonOp::Lt, column(52), column(8))]);
        for on in [on_key.clone(), on_text, both] {
            for kind in kinds {
                for filtered in [false, true] {
                    let mut case = Case::default();
                    let (mut left, mut right) = (self.scan("nasty", 0), self.scan("other", 50));
                    if filtered {
                        let bound = case.bind(&Value::Int64(20));
                        left = filter(left, ScalarExpr::compare(ComparisonOp::Lt, column(0), bound.clone()));
                        right = filter(right, ScalarExpr::compare(ComparisonOp::Gt, column(50), bound));
                    }
                    let semi = matches!(kind, JoinKind::LeftSemi | JoinKind::LeftAnti);
                    let output: &[(u32, ValueType)] =
                        if semi { &[(0, ValueType::Int64)] } else { &[(0, ValueType::Int64), (50, ValueType::Int64)] };
                    let (left, right) = (Box::new(left), Box::new(right));
                    let joined = Relation::Join { kind, left, right, on: on.clone() };
                    let title = format!("{kind:?} join, {filtered}");
                    self.check(&title, joined.clone(), output, &case, Rows::Bag).await;
                    if !semi {
                        let open = ScalarExpr::IsNull { expr: Box::new(column(50)), negated: false };
                        self.check(&title, filter(joined, open), output, &case, Rows::Bag).await;
                    }
                }
            }
        }
        for negated in [false, true] {
            let matching = filter(self.scan("other", 50), on_key.clone());
            let exists = ScalarExpr::Exists { relation: Box::new(matching), negated };
            self.keeps(&format!("exists, {negated}"), exists, &Case::default()).await;
            for with_nulls in [false, true] {
                let mut keys = self.scan("other", 50);
                if !with_nulls {
                    keys = filter(keys, ScalarExpr::IsNull { expr: Box::new(column(51)), negated: true });
                }
                let relation =
                    Box::new(Relation::Project { input: Box::new(keys), exprs: vec![(ColumnId(60), column(51))] });
                let expr = ScalarExpr::InSubquery { expr: Box::new(column(4)), relation, negated };
                self.keeps(&format!("in subquery, {negated}, {with_nulls}"), expr, &Case::default()).await;
            }
        }
        self.scalar_subqueries(&on_key).await;
        self.subqueries_of_groups().await;
    }

    /// Subqueries that name what a grouping made: in a condition, a list and an order.
    async fn subqueries_of_groups(&mut self) {
        let greatest = |id| AggregateExpr {
            function: AggregateFunction::Max,
            args: vec![column(id)],
            distinct: false,
            filter: None,
            value_type: ValueType::Int64,
        };
        let grouped = Relation::Aggregate {
            input: Box::new(self.scan("nasty", 0)),
            group: vec![(ColumnId(100), column(1))],
            aggregates: vec![(ColumnId(101), greatest(0))],
        };
        let on = ScalarExpr::compare(ComparisonOp::LtEq, column(51), column(101));
        let matching = filter(self.scan("other", 50), on);
        let output = [(101, ValueType::Int64)];
        for negated in [false, true] {
            let exists = ScalarExpr::Exists { relation: Box::new(matching.clone()), negated };
            let mut case = Case::default();
            let some = ScalarExpr::compare(ComparisonOp::Gt, column(101), case.bind(&Value::Int64(1)));
            let both = filter(grouped.clone(), ScalarExpr::And(vec![some, exists]));
            self.check(&format!("exists of a group, {negated}"), both, &output, &case, Rows::Bag).await;
        }
        let relation = Box::new(Relation::Aggregate {
            input: Box::new(matching),
            group: vec![],
            aggregates: vec![(ColumnId(61), greatest(50))],
        });
        let found = ScalarExpr::ScalarSubquery { relation };
        let input = Box::new(grouped);
        let exprs = vec![(ColumnId(101), column(101)), (ColumnId(102), found.clone())];
        let listed = Relation::Project { input: input.clone(), exprs };
        let both = [(101, ValueType::Int64), (102, ValueType::Int64)];
        self.check("subquery of a group", listed, &both, &Case::default(), Rows::Bag).await;
        let key = |expr| SortKey { expr, ascending: true, nulls_first: false };
        let sorted = Relation::Sort { input, keys: vec![key(found), key(column(101))] };
        let first = Relation::Limit { input: Box::new(sorted), skip: 0, fetch: Some(2) };
        self.check("groups in the order of a subquery", first, &output, &Case::default(), Rows::Ordered).await;
    }

    async fn scalar_subqueries(&mut self, on: &ScalarExpr) {
        let count = AggregateExpr {
            function: AggregateFunction::Max,
            args: vec![column(50)],
            distinct: false,
            filter: None,
            value_type: ValueType::Int64,
        };
        let input = Box::new(filter(self.scan("other", 50), on.clone()));
        let relation = Box::new(Relation::Aggregate { input, group: vec![], aggregates: vec![(ColumnId(61), count)] });
        let expr = ScalarExpr::ScalarSubquery { relation };
        self.computes("greatest of a correlated subquery", expr, ValueType::Int64, &Case::default()).await;
        let relation = Box::new(Relation::Project {
            input: Box::new(self.scan("other", 50)),
            exprs: vec![(ColumnId(62), column(50))],
        });
        let expr = ScalarExpr::ScalarSubquery { relation };
        self.computes("subquery of many rows", expr, ValueType::Int64, &Case::default()).await;
    }

    pub(super) async fn sets(&mut self) {
        for op in [SetOp::Union, SetOp::Intersect, SetOp::Except] {
            for all in [false, true] {
                for id in [2, 4, 8] {
                    let Some((_, _, value_type)) = self.columns().into_iter().find(|(known, _, _)| *known == id) else {
                        continue;
                    };
                    let mut case = Case::default();
                    let bound = case.bind(&Value::Int64(30));
                    let half = |base: u32, op| {
                        let kept = ScalarExpr::compare(op, column(base), bound.clone());
                        let input = Box::new(filter(self.scan("nasty", base), kept));
                        Relation::Project { input, exprs: vec![(ColumnId(base + 40), column(base + id))] }
                    };
                    let (left, right) = (Box::new(half(0, ComparisonOp::Lt)), Box::new(half(100, ComparisonOp::GtEq)));
                    let set = Relation::SetOperation { op, all, columns: vec![ColumnId(300)], left, right };
                    let title = format!("{op:?}, all {all}, column {id}");
                    self.check(&title, set.clone(), &[(300, value_type)], &case, Rows::Bag).await;
                    let known = filter(set, ScalarExpr::IsNull { expr: Box::new(column(300)), negated: true });
                    self.check(&title, known, &[(300, value_type)], &case, Rows::Bag).await;
                }
            }
        }
        let mut case = Case::default();
        let cells = vec![case.bind(&Value::Int64(1)), case.bind(&Value::text("x"))];
        let more = vec![case.bind(&Value::Null(ValueType::Int64)), case.bind(&Value::text(""))];
        let columns = vec![(ColumnId(1), ValueType::Int64), (ColumnId(2), ValueType::Text)];
        let relation = Relation::Values { columns, rows: vec![cells, more] };
        self.check("values", relation, &[(1, ValueType::Int64), (2, ValueType::Text)], &case, Rows::Bag).await;
        let one = ScalarExpr::Parameter(0, ValueType::Int64);
        let relation = Relation::Project { input: Box::new(Relation::EmptyRow), exprs: vec![(ColumnId(1), one)] };
        self.check("one row", relation, &[(1, ValueType::Int64)], &case, Rows::Bag).await;
    }
}
