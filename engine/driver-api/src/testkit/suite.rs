//! The cases: every operator, type and function over the suite's data, each compared with the reference.

use crate::aggregate::{AggregateExpr, AggregateFunction};
use crate::driver::{Driver, ExecuteContext};
use crate::fragment::{Fragment, OutputColumn};
use crate::function::{DatePart, DateUnit, ScalarFunction};
use crate::identifier::{ColumnId, TableRef};
use crate::relation::{JoinKind, Relation, ScanColumn, SetOp, SortKey};
use crate::remote::RemoteTable;
use crate::scalar::{ArithmeticOp, ComparisonOp, ScalarExpr, Truth};
use crate::testkit::Seeded;
use crate::testkit::dataset::{Limits, Table, tables, values};
use crate::testkit::reference::{evaluate, order};
use crate::value::{Value, ValueType};
use arrow::array::RecordBatch;
use futures::TryStreamExt;
use querygate_types::{Error, ErrorCode, Result};
use std::collections::BTreeMap;

/// What came of a run.
#[derive(Debug, Default)]
pub struct Report {
    /// Fragments that ran with the reference's rows.
    pub equal: usize,
    /// Sums of decimals that the source could not hold and raised 22003 for: an error, never another value.
    pub overflowed: usize,
    /// Fragments that the driver refused, by its words.
    pub refused: BTreeMap<String, usize>,
    /// Fragments that ran with other rows, or not at all.
    pub failures: Vec<String>,
}

/// Random predicates to try after the systematic cases.
const RANDOM_CASES: usize = 600;

/// Runs every case. `schema` is the path above the suite's tables in the source.
///
/// # Errors
/// A table of the suite that cannot be described as it was loaded.
pub async fn run(driver: &dyn Driver, schema: &[&str], limits: Limits) -> Result<Report> {
    let data = tables(limits);
    let mut remotes = Vec::new();
    for table in &data {
        let path = schema.iter().copied().chain([table.name]).map(str::to_owned);
        remotes.push(described(driver, &TableRef::new(path)?, table).await?);
    }
    let mut suite = Suite { driver, data, remotes, limits, report: Report::default() };
    suite.predicates().await;
    suite.patterns().await;
    suite.orders().await;
    suite.aggregates().await;
    suite.functions().await;
    suite.joins().await;
    suite.sets().await;
    suite.random().await;
    Ok(suite.report)
}

async fn described(driver: &dyn Driver, path: &TableRef, table: &Table) -> Result<RemoteTable> {
    let mut remote = driver.describe(path).await?;
    for (name, value_type) in &table.columns {
        let column = remote.columns.iter_mut().find(|column| column.name.as_str() == *name);
        let missing = || Error::internal(format_args!("column {name} is not described"));
        let column = column.ok_or_else(missing)?;
        column.encoding = driver.read_as(column, *value_type).map_err(Error::internal)?;
        column.value_type = Some(*value_type);
    }
    Ok(remote)
}

/// A fragment with its parameters while it is written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Case {
    values: Vec<Value>,
}

impl Case {
    fn bind(&mut self, value: &Value) -> ScalarExpr {
        self.values.push(value.clone());
        ScalarExpr::Parameter(self.values.len() - 1, value.value_type())
    }
}

/// How rows are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rows {
    Ordered,
    Bag,
    /// A bag whose floats may differ in the last digits, and whose sums a source may refuse to hold (22003).
    Approximate,
}

struct Suite<'a> {
    driver: &'a dyn Driver,
    data: Vec<Table>,
    remotes: Vec<RemoteTable>,
    limits: Limits,
    report: Report,
}

fn column(id: u32) -> ScalarExpr {
    ScalarExpr::Column(ColumnId(id))
}

fn filter(input: Relation, predicate: ScalarExpr) -> Relation {
    Relation::Filter { input: Box::new(input), predicate }
}

impl Suite<'_> {
    /// All columns of a table, with ids from `base`.
    fn scan(&self, name: &str, base: u32) -> Relation {
        let remote = self.remotes.iter().find(|remote| remote.table.name() == name);
        let columns = remote.into_iter().flat_map(|remote| &remote.columns).zip(base..);
        let columns = columns.filter_map(|(column, id)| {
            Some(ScanColumn {
                id: ColumnId(id),
                name: column.name.clone(),
                value_type: column.value_type?,
                nullable: column.nullable,
                collation: column.collation.clone(),
                encoding: column.encoding,
            })
        });
        let table = remote.map(|remote| remote.table.clone());
        match table {
            Some(table) => Relation::Scan { table, columns: columns.collect() },
            None => Relation::EmptyRow,
        }
    }

    /// Columns of `nasty`: id, name and type.
    fn columns(&self) -> Vec<(u32, &'static str, ValueType)> {
        let nasty = self.data.iter().find(|table| table.name == "nasty");
        nasty.into_iter().flat_map(|table| &table.columns).zip(0..).map(|((name, t), id)| (id, *name, *t)).collect()
    }

    async fn check(&mut self, name: &str, relation: Relation, output: &[(u32, ValueType)], case: &Case, rows: Rows) {
        let column = |(id, value_type): &(u32, ValueType)| OutputColumn {
            id: ColumnId(*id),
            name: format!("c{id}"),
            value_type: *value_type,
            nullable: true,
        };
        let fragment = Fragment {
            relation,
            output: output.iter().map(column).collect(),
            parameters: case.values.iter().map(Value::value_type).collect(),
        };
        if let Err(error) = fragment.check() {
            self.report.failures.push(format!("{name}: {error} ({:?})", error.cause()));
            return;
        }
        let statement = match self.driver.render(&fragment) {
            Ok(statement) => statement,
            Err(refusal) => return self.refused(&refusal.text),
        };
        if let Err(refusal) = self.driver.accepts(&statement, &case.values) {
            return self.refused(&refusal.text);
        }
        let expected = evaluate(&fragment, &self.data, &case.values);
        let got = match self.driver.execute(&statement, &case.values, ExecuteContext::default()).await {
            Ok(stream) => stream.try_collect::<Vec<_>>().await.and_then(|batches| values_of(&batches)),
            Err(error) => Err(error),
        };
        if let (Ok(_), Err(error), Rows::Approximate) = (&expected, &got, rows)
            && error.code() == ErrorCode::NumericOutOfRange
            && output.iter().any(|(_, value_type)| value_type.is_decimal())
        {
            self.report.overflowed += 1;
            return;
        }
        let verdict = match (expected, got) {
            (Ok(expected), Ok(got)) => differs(expected, got, rows),
            (Err(fault), Err(error)) if error.code().sqlstate() == fault => None,
            (Err(fault), Ok(_)) => Some(format!("expected {fault}, got rows")),
            (Err(fault), Err(error)) => Some(format!("expected {fault}, got {error}")),
            (Ok(_), Err(error)) => Some(format!("{error} ({:?})", error.cause())),
        };
        match verdict {
            None => self.report.equal += 1,
            Some(why) => self.report.failures.push(format!("{name}: {why}\n  {}", statement.text)),
        }
    }

    fn refused(&mut self, text: &str) {
        *self.report.refused.entry(text.to_owned()).or_default() += 1;
    }

    async fn keeps(&mut self, name: &str, predicate: ScalarExpr, case: &Case) {
        let relation = filter(self.scan("nasty", 0), predicate);
        self.check(name, relation, &[(0, ValueType::Int64)], case, Rows::Bag).await;
    }

    async fn predicates(&mut self) {
        let ops = [
            ComparisonOp::Eq,
            ComparisonOp::NotEq,
            ComparisonOp::Lt,
            ComparisonOp::LtEq,
            ComparisonOp::Gt,
            ComparisonOp::GtEq,
            ComparisonOp::IsDistinctFrom,
            ComparisonOp::IsNotDistinctFrom,
        ];
        for (id, name, value_type) in self.columns() {
            let all: Vec<(u32, ValueType)> = vec![(0, ValueType::Int64), (id, value_type)];
            self.check(&format!("read {name}"), self.scan("nasty", 0), &all, &Case::default(), Rows::Bag).await;
            let mut operands = values(value_type, self.limits);
            // Values between those that the source can hold.
            operands.extend(values(value_type, Limits { timestamp_step: 1, ..self.limits }));
            operands.push(Value::Null(value_type));
            for value in &operands {
                for op in ops {
                    let mut case = Case::default();
                    let compared = ScalarExpr::compare(op, column(id), case.bind(value));
                    self.keeps(&format!("{name} {op:?} {value:?}"), compared.clone(), &case).await;
                    if op == ComparisonOp::Lt {
                        let not = ScalarExpr::Not(Box::new(compared));
                        self.keeps(&format!("not {name} < {value:?}"), not, &case).await;
                    }
                }
            }
            for negated in [false, true] {
                let is_null = ScalarExpr::IsNull { expr: Box::new(column(id)), negated };
                self.keeps(&format!("{name} is null, {negated}"), is_null, &Case::default()).await;
                self.lists(id, name, &operands, negated).await;
            }
        }
        for truth in [Truth::True, Truth::False, Truth::Unknown] {
            for negated in [false, true] {
                let expr = ScalarExpr::IsTruth { expr: Box::new(column(1)), truth, negated };
                self.keeps(&format!("flag is {truth:?}, {negated}"), expr, &Case::default()).await;
            }
        }
        self.keeps("flag", column(1), &Case::default()).await;
    }

    async fn lists(&mut self, id: u32, name: &str, operands: &[Value], negated: bool) {
        for list in [&operands[..0], operands.get(..2).unwrap_or(&[]), operands.get(1..).unwrap_or(&[])] {
            let mut case = Case::default();
            let list = list.iter().map(|value| case.bind(value)).collect();
            let expr = ScalarExpr::InList { expr: Box::new(column(id)), list, negated };
            self.keeps(&format!("{name} in list, {negated}"), expr, &case).await;
        }
        for pair in operands.windows(2) {
            let mut case = Case::default();
            let [low, high] = pair else { continue };
            let (low, high) = (Box::new(case.bind(low)), Box::new(case.bind(high)));
            let expr = ScalarExpr::Between { expr: Box::new(column(id)), low, high, negated };
            self.keeps(&format!("{name} between, {negated}"), expr, &case).await;
        }
    }

    async fn patterns(&mut self) {
        let patterns = [
            "",
            "%",
            "_",
            "__",
            "a%",
            "%a",
            "%a%",
            "a_c",
            "a\\_c",
            "a\\%c",
            "a\\",
            "\\\\",
            "%\\",
            "*",
            "?",
            "[",
            "[a]",
            "%[%",
            "é",
            "_\u{301}",
            "😀",
            "%😀%",
            "a\nb",
            "a%b",
            "ß",
            "S%",
            "%\u{ffff}%",
            "%\u{10ffff}",
            " %",
            "% ",
            "%%%",
            "_%_",
            "%_",
            "^",
            "-%",
            "''",
            "%\"%",
            "%;%",
        ];
        for pattern in patterns {
            for (negated, case_insensitive) in [(false, false), (true, false), (false, true)] {
                let mut case = Case::default();
                case.bind(&Value::text(pattern));
                let expr = ScalarExpr::Like { expr: Box::new(column(8)), pattern: 0, negated, case_insensitive };
                self.keeps(&format!("words like {pattern:?}, {negated}"), expr, &case).await;
            }
        }
        let mut case = Case::default();
        case.bind(&Value::Null(ValueType::Text));
        let expr = ScalarExpr::Like { expr: Box::new(column(8)), pattern: 0, negated: true, case_insensitive: false };
        self.keeps("words not like null", expr, &case).await;
    }

    async fn orders(&mut self) {
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

    async fn aggregates(&mut self) {
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
            self.check("sum of money", summed, &[(101, value_type)], &case, Rows::Bag).await;
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

    async fn computes(&mut self, title: &str, expr: ScalarExpr, value_type: ValueType, case: &Case) {
        let input = Box::new(self.scan("nasty", 0));
        let projected =
            Relation::Project { input, exprs: vec![(ColumnId(0), column(0)), (ColumnId(200), expr.clone())] };
        self.check(title, projected.clone(), &[(0, ValueType::Int64), (200, value_type)], case, Rows::Bag).await;
        // The same above a fence, and as a condition.
        let fenced = Relation::Fence { input: Box::new(projected) };
        let known = filter(fenced, ScalarExpr::IsNull { expr: Box::new(column(200)), negated: true });
        self.check(title, known, &[(0, ValueType::Int64)], case, Rows::Bag).await;
    }

    async fn functions(&mut self) {
        let call = |function, args, value_type| ScalarExpr::Function { function, args, value_type };
        let text = ValueType::Text;
        for (function, value_type) in [
            (ScalarFunction::CharLength, ValueType::Int32),
            (ScalarFunction::OctetLength, ValueType::Int32),
            (ScalarFunction::Upper, text),
            (ScalarFunction::Lower, text),
            (ScalarFunction::Trim, text),
            (ScalarFunction::LTrim, text),
            (ScalarFunction::RTrim, text),
        ] {
            let expr = call(function, vec![column(8)], value_type);
            self.computes(function.name(), expr, value_type, &Case::default()).await;
        }
        for (function, value_type) in [
            (ScalarFunction::Trim, text),
            (ScalarFunction::StrPos, ValueType::Int32),
            (ScalarFunction::StartsWith, ValueType::Boolean),
            (ScalarFunction::EndsWith, ValueType::Boolean),
            (ScalarFunction::Contains, ValueType::Boolean),
            (ScalarFunction::Concat, text),
            (ScalarFunction::ConcatSkipNull, text),
            (ScalarFunction::NullIf, text),
            (ScalarFunction::Coalesce, text),
            (ScalarFunction::Greatest, text),
            (ScalarFunction::Least, text),
        ] {
            for other in ["", "a", "A", " ", "a ", "😀", "\\", "\u{301}", "%"] {
                let mut case = Case::default();
                let other = case.bind(&Value::text(other));
                let expr = call(function, vec![column(8), other], value_type);
                self.computes(function.name(), expr, value_type, &case).await;
            }
            let expr = call(function, vec![column(8), column(8)], value_type);
            self.computes(function.name(), expr, value_type, &Case::default()).await;
        }
        for number in [-2, -1, 0, 1, 2, 3, 100] {
            for function in [ScalarFunction::Left, ScalarFunction::Right, ScalarFunction::Substr] {
                let mut case = Case::default();
                let number = case.bind(&Value::Int64(number));
                let expr = call(function, vec![column(8), number], text);
                self.computes(function.name(), expr, text, &case).await;
            }
            for count in [0, 1, 2, 100] {
                let mut case = Case::default();
                let (number, count) = (case.bind(&Value::Int64(number)), case.bind(&Value::Int64(count)));
                let expr = call(ScalarFunction::Substr, vec![column(8), number, count], text);
                self.computes("substr", expr, text, &case).await;
            }
        }
        for (from, to) in [("a", "bb"), ("", "x"), ("\\", ""), ("😀", "é")] {
            let mut case = Case::default();
            let (from, to) = (case.bind(&Value::text(from)), case.bind(&Value::text(to)));
            self.computes("replace", call(ScalarFunction::Replace, vec![column(8), from, to], text), text, &case).await;
        }
        self.numbers().await;
        self.dates().await;
    }

    async fn numbers(&mut self) {
        let call = |function, args, value_type| ScalarExpr::Function { function, args, value_type };
        for (id, _, value_type) in self.columns() {
            for function in [ScalarFunction::Abs, ScalarFunction::Sign, ScalarFunction::Round] {
                if value_type.is_numeric() && !value_type.is_decimal() {
                    let expr = call(function, vec![column(id)], value_type);
                    self.computes(function.name(), expr, value_type, &Case::default()).await;
                }
            }
            for to in [ValueType::Int64, ValueType::Float64, ValueType::Text, ValueType::Boolean, ValueType::Date] {
                if castable(value_type, to) {
                    let expr = ScalarExpr::Cast { expr: Box::new(column(id)), from: value_type, to };
                    self.computes("cast", expr, to, &Case::default()).await;
                }
            }
            let branches = vec![(column(1), column(id))];
            self.computes("case", ScalarExpr::Case { branches, otherwise: None }, value_type, &Case::default()).await;
        }
        let ops = [
            ArithmeticOp::Add,
            ArithmeticOp::Subtract,
            ArithmeticOp::Multiply,
            ArithmeticOp::Divide,
            ArithmeticOp::Remainder,
        ];
        for op in ops {
            for (id, value) in [(4, Value::Int64(3)), (5, Value::Float64(0.3)), (5, Value::Float64(-1e10))] {
                let mut case = Case::default();
                let (left, right) = (Box::new(column(id)), Box::new(case.bind(&value)));
                let value_type = value.value_type();
                self.computes("arithmetic", ScalarExpr::Arithmetic { op, left, right, value_type }, value_type, &case)
                    .await;
            }
        }
        for function in [ScalarFunction::BitAnd, ScalarFunction::BitOr, ScalarFunction::BitXor] {
            let mut case = Case::default();
            let other = case.bind(&Value::Int64(5));
            self.computes(
                function.name(),
                call(function, vec![column(4), other], ValueType::Int64),
                ValueType::Int64,
                &case,
            )
            .await;
        }
    }

    async fn dates(&mut self) {
        let parts = [
            DatePart::Year,
            DatePart::Quarter,
            DatePart::Month,
            DatePart::Week,
            DatePart::Day,
            DatePart::DayOfWeek,
            DatePart::IsoDayOfWeek,
            DatePart::DayOfYear,
            DatePart::Hour,
            DatePart::Minute,
            DatePart::Second,
        ];
        let units = [
            DateUnit::Year,
            DateUnit::Quarter,
            DateUnit::Month,
            DateUnit::Week,
            DateUnit::Day,
            DateUnit::Hour,
            DateUnit::Minute,
            DateUnit::Second,
        ];
        let dated = |value_type| matches!(value_type, ValueType::Date | ValueType::Timestamp { .. });
        for (id, _, value_type) in self.columns() {
            if !dated(value_type) {
                continue;
            }
            for part in parts {
                let function = ScalarFunction::DatePart(part);
                let expr = ScalarExpr::Function { function, args: vec![column(id)], value_type: ValueType::Int32 };
                self.computes(&format!("{part:?}"), expr, ValueType::Int32, &Case::default()).await;
            }
            for unit in units {
                let function = ScalarFunction::DateTrunc(unit);
                let expr = ScalarExpr::Function { function, args: vec![column(id)], value_type };
                self.computes(&format!("truncate to {unit:?}"), expr, value_type, &Case::default()).await;
            }
        }
    }

    async fn joins(&mut self) {
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

    async fn sets(&mut self) {
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

    async fn random(&mut self) {
        let mut seeded = Seeded::new(0x51ED);
        for number in 0..RANDOM_CASES {
            let mut case = Case::default();
            let predicate = self.predicate(&mut seeded, &mut case, 3);
            self.keeps(&format!("random {number}: {predicate:?} {:?}", case.values), predicate, &case).await;
        }
    }

    fn predicate(&self, seeded: &mut Seeded, case: &mut Case, depth: usize) -> ScalarExpr {
        let deeper = |seeded: &mut Seeded, case: &mut Case| self.predicate(seeded, case, depth - 1);
        match if depth == 0 { 9 } else { seeded.below(8) } {
            0 | 1 => ScalarExpr::And((0..=seeded.below(3)).map(|_| deeper(seeded, case)).collect()),
            2 | 3 => ScalarExpr::Or((0..=seeded.below(3)).map(|_| deeper(seeded, case)).collect()),
            4 => ScalarExpr::Not(Box::new(deeper(seeded, case))),
            5 => ScalarExpr::IsTruth {
                expr: Box::new(deeper(seeded, case)),
                truth: Truth::True,
                negated: seeded.below(2) == 0,
            },
            _ => self.leaf(seeded, case),
        }
    }

    fn leaf(&self, seeded: &mut Seeded, case: &mut Case) -> ScalarExpr {
        let columns = self.columns();
        // The last column is a list, which most sources cannot compare.
        let (id, _, value_type) =
            columns.get(seeded.below(columns.len() - 1)).copied().unwrap_or((0, "id", ValueType::Int64));
        let mut operands = values(value_type, self.limits);
        operands.push(Value::Null(value_type));
        let mut operand = |seeded: &mut Seeded| match seeded.choose(&operands) {
            Some(value) => case.bind(value),
            None => column(id),
        };
        match seeded.below(4) {
            0 => ScalarExpr::IsNull { expr: Box::new(column(id)), negated: seeded.below(2) == 0 },
            1 => {
                let list = (0..seeded.below(4)).map(|_| operand(seeded)).collect();
                ScalarExpr::InList { expr: Box::new(column(id)), list, negated: seeded.below(2) == 0 }
            }
            _ => {
                let ops = [ComparisonOp::Eq, ComparisonOp::NotEq, ComparisonOp::Lt, ComparisonOp::GtEq];
                let op = seeded.choose(&ops).copied().unwrap_or(ComparisonOp::Eq);
                let right = operand(seeded);
                ScalarExpr::compare(op, column(id), right)
            }
        }
    }
}

fn castable(from: ValueType, to: ValueType) -> bool {
    match to {
        ValueType::Int64 => from.is_integer() || from == ValueType::Boolean,
        ValueType::Float64 | ValueType::Text | ValueType::Boolean => from.is_integer(),
        ValueType::Date => matches!(from, ValueType::Timestamp { .. }),
        _ => false,
    }
}

/// Rows of batches as values.
///
/// # Errors
/// A column of a type without a [`ValueType`].
pub fn values_of(batches: &[RecordBatch]) -> Result<Vec<Vec<Value>>> {
    let mut rows = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let cells = batch.columns().iter().map(|array| Value::from_array(array.as_ref(), row));
            rows.push(cells.collect::<Result<Vec<_>>>()?);
        }
    }
    if rows.len() > 1_000_000 {
        return Err(Error::new(ErrorCode::ProgramLimitExceeded, "too many rows for the suite"));
    }
    Ok(rows)
}

fn differs(mut expected: Vec<Vec<Value>>, mut got: Vec<Vec<Value>>, rows: Rows) -> Option<String> {
    if expected.len() != got.len() {
        return Some(format!("expected {} rows, got {}", expected.len(), got.len()));
    }
    if rows != Rows::Ordered {
        let by_cells = |a: &Vec<Value>, b: &Vec<Value>| {
            a.iter().zip(b).map(|(a, b)| order(a, b)).find(|found| found.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
        };
        expected.sort_by(by_cells);
        got.sort_by(by_cells);
    }
    for (expected, got) in expected.iter().zip(&got) {
        let equal = expected.len() == got.len()
            && expected.iter().zip(got).all(|(a, b)| a.is_null() == b.is_null() && close(a, b, rows));
        if !equal {
            return Some(format!("expected {expected:?}, got {got:?}"));
        }
    }
    None
}

fn close(expected: &Value, got: &Value, rows: Rows) -> bool {
    match (expected, got) {
        (Value::Float64(a), Value::Float64(b)) if rows == Rows::Approximate => {
            order(expected, got).is_eq() || (a - b).abs() <= a.abs().max(b.abs()) * 1e-12
        }
        // A decimal sum may be wider than its column.
        (Value::Decimal128 { value: a, .. }, Value::Decimal128 { value: b, .. }) => a == b,
        (a, b) if a.is_null() && b.is_null() => true,
        (a, b) => a.value_type() == b.value_type() && order(a, b).is_eq(),
    }
}
