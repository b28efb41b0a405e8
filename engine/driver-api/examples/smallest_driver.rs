//! The smallest whole driver: tables in memory, of which columns are read and rows found by equal values. It shows what a new kind of
//! source has to give; `tests/smallest_driver.rs` runs the conformance suite on it.
#![allow(clippy::print_stdout, reason = "the rows are the result")]

use arrow::array::{RecordBatch, RecordBatchOptions, UInt64Array};
use arrow::compute::take;
use async_trait::async_trait;
use futures::future::BoxFuture;
use futures::{FutureExt, TryStreamExt};
use querygate_driver_api::aggregate::{AggregateExpr, WindowExpr};
use querygate_driver_api::capability::{Capabilities, Refusal, RefusalReason};
use querygate_driver_api::columns::ColumnTypes;
use querygate_driver_api::driver::Driver;
use querygate_driver_api::execution::{
    Answer, Ask, BatchStream, Binding, BindingForm, DeclineReason, Delivery, ExecuteContext, NativeStatement, delivery,
};
use querygate_driver_api::fragment::{Fragment, OutputColumn};
use querygate_driver_api::identifier::{ColumnId, Identifier, TableRef};
use querygate_driver_api::planning::check_setting;
use querygate_driver_api::relation::{Encoding, Relation, ScanColumn};
use querygate_driver_api::remote::{RemoteColumn, RemoteTable, TableStatistics};
use querygate_driver_api::scalar::{ComparisonOp, Held, ScalarExpr};
use querygate_driver_api::value::{Value, ValueType};
use querygate_types::{Error, ErrorCode, Result};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

/// Tables that do not change, by name.
#[derive(Debug, Default)]
pub(crate) struct SmallestDriver {
    tables: BTreeMap<String, RecordBatch>,
    abilities: Abilities,
}

impl SmallestDriver {
    #[must_use]
    pub(crate) fn new(tables: BTreeMap<String, RecordBatch>) -> Self {
        Self { tables, abilities: Abilities }
    }

    fn table(&self, name: &str) -> Result<&RecordBatch> {
        self.tables.get(name).ok_or_else(|| Error::new(ErrorCode::UndefinedTable, "table does not exist in the source"))
    }

    fn batches(&self, statement: &NativeStatement, values: &[Value], context: ExecuteContext) -> Result<BatchStream> {
        Fragment::check_values(&statement.parameters, values)?;
        check_setting(self, context.setting)?;
        let request = Request::parse(&statement.text)?;
        let reading = Reading::new(self.table(request.table)?, &request, statement, values)?;
        let (delivery, batches) = delivery();
        tokio::spawn(async move {
            // Only an end that was sent is one: a task that panics leaves an error behind.
            match reading.deliver(&context, &delivery).await {
                Ok(Delivered::All) => delivery.end(Ok(())).await,
                Ok(Delivered::NoReader) => {}
                Err(error) => delivery.end(Err(error)).await,
            }
        });
        Ok(batches)
    }
}

#[async_trait]
impl Driver for SmallestDriver {
    fn kind(&self) -> &'static str {
        "example"
    }

    fn capabilities(&self) -> &dyn Capabilities {
        &self.abilities
    }

    async fn tables(&self) -> Result<Vec<TableRef>> {
        self.tables.keys().map(|name| TableRef::new([name.as_str()])).collect()
    }

    async fn describe(&self, table: &TableRef) -> Result<RemoteTable> {
        let rows = self.table(table.name())?;
        let columns = rows.schema_ref().fields().iter().map(|field| {
            let name = Identifier::new(field.name().as_str())?;
            let (native_type, value_type) = (field.data_type().to_string(), ValueType::from_arrow(field.data_type()));
            Ok(RemoteColumn { nullable: field.is_nullable(), ..RemoteColumn::new(name, native_type, value_type) })
        });
        Ok(RemoteTable {
            row_estimate: u64::try_from(rows.num_rows()).ok(),
            ..RemoteTable::new(table.clone(), columns.collect::<Result<_>>()?)
        })
    }

    fn read_as(&self, column: &RemoteColumn, wanted: ValueType) -> Result<Encoding, Refusal> {
        if column.value_type == Some(wanted) { Ok(Encoding::Canonical) } else { refuse("a column has another type") }
    }

    async fn statistics(&self, table: &TableRef) -> Result<TableStatistics> {
        let rows = u64::try_from(self.table(table.name())?.num_rows()).ok();
        Ok(TableStatistics { rows, ..TableStatistics::default() })
    }

    fn render(&self, fragment: &Fragment) -> Result<Arc<NativeStatement>, Refusal> {
        self.abilities.supports_fragment(fragment)?;
        compile(fragment).map(Arc::new)
    }

    fn accepts(&self, _: &NativeStatement, _: &[Value]) -> Result<(), Refusal> {
        Ok(())
    }

    fn run<'a>(
        &'a self,
        statement: &'a Arc<NativeStatement>,
        values: &'a [Value],
        ask: Ask<'a>,
    ) -> BoxFuture<'a, Result<Answer>> {
        let answer = match ask {
            Ask::Batches(context) => self.batches(statement, values, context).map(Answer::Batches),
            Ask::LookUp | Ask::WireRows(_) => Ok(Answer::Declined(DeclineReason::Unsupported)),
        };
        async { answer }.boxed()
    }

    async fn health(&self) -> Result<()> {
        Ok(())
    }
}

fn refuse<T>(text: &str) -> Result<T, Refusal> {
    Err(Refusal::new(RefusalReason::Operator, text))
}

/// What is pushed: columns of one table, and conditions that a column equals a value, joined by AND.
#[derive(Debug, Default)]
struct Abilities;

impl Capabilities for Abilities {
    fn operator(&self, relation: &Relation, _: &ColumnTypes) -> Result<(), Refusal> {
        match relation {
            Relation::Scan { .. } | Relation::Filter { .. } => Ok(()),
            Relation::Project { exprs, .. } => match exprs.iter().all(|(_, expr)| column(expr).is_some()) {
                true => Ok(()),
                false => refuse("the source computes nothing"),
            },
            Relation::Join { .. }
            | Relation::Aggregate { .. }
            | Relation::Distinct { .. }
            | Relation::Sort { .. }
            | Relation::Limit { .. }
            | Relation::SetOperation { .. }
            | Relation::Window { .. }
            | Relation::Fence { .. }
            | Relation::Values { .. }
            | Relation::EmptyRow => refuse("the source reads and filters one table"),
        }
    }

    fn scalar(&self, expr: &ScalarExpr, types: &ColumnTypes) -> Result<(), Refusal> {
        match expr {
            ScalarExpr::Column(_) | ScalarExpr::Parameter(..) | ScalarExpr::And(_) => Ok(()),
            ScalarExpr::Comparison { op: ComparisonOp::Eq, left, right } => match (left.as_ref(), right.as_ref()) {
                (ScalarExpr::Column(id), ScalarExpr::Parameter(_, given)) => {
                    let stored =
                        types.of(*id).map_err(|error| Refusal::new(RefusalReason::Invalid, error.message()))?;
                    match stored.value_type == *given && is_equal_by_value(*given) {
                        true => Ok(()),
                        false => refuse("the source compares no values of this type"),
                    }
                }
                _ => refuse("the source compares a column with a value"),
            },
            ScalarExpr::Comparison { .. }
            | ScalarExpr::Constant(_)
            | ScalarExpr::Or(_)
            | ScalarExpr::Not(_)
            | ScalarExpr::IsNull { .. }
            | ScalarExpr::IsTruth { .. }
            | ScalarExpr::Between { .. }
            | ScalarExpr::InList { .. }
            | ScalarExpr::Like { .. }
            | ScalarExpr::Arithmetic { .. }
            | ScalarExpr::Negate(_)
            | ScalarExpr::Case { .. }
            | ScalarExpr::Cast { .. }
            | ScalarExpr::Function { .. }
            | ScalarExpr::Exists { .. }
            | ScalarExpr::InSubquery { .. }
            | ScalarExpr::ScalarSubquery { .. } => refuse("the source has no such expression"),
        }
    }

    fn aggregate(&self, _: &AggregateExpr, _: &ColumnTypes) -> Result<(), Refusal> {
        refuse("the source aggregates nothing")
    }

    fn window(&self, _: &WindowExpr, _: &ColumnTypes) -> Result<(), Refusal> {
        refuse("the source has no windows")
    }

    fn holds(&self) -> Held {
        Held::OfType
    }

    fn parameters_max(&self) -> usize {
        64
    }
}

/// Whether two values of the type are equal in the vocabulary exactly where they are one value here. Floats are not: zero has two
/// signs.
fn is_equal_by_value(value_type: ValueType) -> bool {
    match value_type {
        ValueType::Boolean
        | ValueType::Int16
        | ValueType::Int32
        | ValueType::Int64
        | ValueType::Text
        | ValueType::Binary
        | ValueType::Date => true,
        ValueType::Float32
        | ValueType::Float64
        | ValueType::Decimal128 { .. }
        | ValueType::Time
        | ValueType::Timestamp { .. }
        | ValueType::TextList
        | ValueType::List(_) => false,
    }
}

fn column(expr: &ScalarExpr) -> Option<ColumnId> {
    if let ScalarExpr::Column(id) = expr { Some(*id) } else { None }
}

/// A fragment as text, a line for each thing: a name is the rest of its line, and values are numbered.
#[derive(Default)]
struct Compiler {
    table: String,
    /// Names in the source of the columns that are seen so far.
    names: BTreeMap<ColumnId, String>,
    conditions: String,
    bindings: Vec<Binding>,
}

fn compile(fragment: &Fragment) -> Result<NativeStatement, Refusal> {
    let mut compiler = Compiler::default();
    compiler.relation(&fragment.relation)?;
    let mut text = format!("from {}\n{}", compiler.table, compiler.conditions);
    for output in &fragment.output {
        writeln!(text, "give {}", compiler.name(output.id)?).or_else(|_| refuse("the statement is not written"))?;
    }
    let canonical = |output: &OutputColumn| (output.clone(), Encoding::Canonical);
    Ok(NativeStatement {
        text: text.into(),
        bindings: compiler.bindings,
        parameters: fragment.parameters.clone(),
        output: fragment.output.iter().map(canonical).collect(),
        schema: fragment.schema(),
    })
}

impl Compiler {
    fn name(&self, id: ColumnId) -> Result<&str, Refusal> {
        self.names.get(&id).map(String::as_str).ok_or_else(|| Refusal::new(RefusalReason::Invalid, "an unknown column"))
    }

    fn relation(&mut self, relation: &Relation) -> Result<(), Refusal> {
        match relation {
            Relation::Scan { table, columns } => self.scan(table, columns),
            Relation::Filter { input, predicate } => {
                self.relation(input)?;
                self.condition(predicate)
            }
            Relation::Project { input, exprs } => {
                self.relation(input)?;
                let named = exprs.iter().map(|(id, expr)| match column(expr) {
                    Some(from) => Ok((*id, self.name(from)?.to_owned())),
                    None => refuse("the source computes nothing"),
                });
                self.names = named.collect::<Result<_, _>>()?;
                Ok(())
            }
            Relation::Join { .. }
            | Relation::Aggregate { .. }
            | Relation::Distinct { .. }
            | Relation::Sort { .. }
            | Relation::Limit { .. }
            | Relation::SetOperation { .. }
            | Relation::Window { .. }
            | Relation::Fence { .. }
            | Relation::Values { .. }
            | Relation::EmptyRow => refuse("the source reads and filters one table"),
        }
    }

    fn scan(&mut self, table: &TableRef, columns: &[ScanColumn]) -> Result<(), Refusal> {
        let mut names = columns.iter().map(|column| column.name.as_str()).chain([table.name()]);
        if names.any(|name| name.contains('\n')) {
            return Err(Refusal::new(RefusalReason::Name, "a name has a line feed"));
        }
        table.name().clone_into(&mut self.table);
        self.names = columns.iter().map(|column| (column.id, column.name.as_str().to_owned())).collect();
        Ok(())
    }

    fn condition(&mut self, predicate: &ScalarExpr) -> Result<(), Refusal> {
        if let ScalarExpr::And(all) = predicate {
            return all.iter().try_for_each(|one| self.condition(one));
        }
        let ScalarExpr::Comparison { op: ComparisonOp::Eq, left, right } = predicate else {
            return refuse("the source compares a column with a value");
        };
        let (ScalarExpr::Column(id), ScalarExpr::Parameter(parameter, _)) = (left.as_ref(), right.as_ref()) else {
            return refuse("the source compares a column with a value");
        };
        let line = format!("where ${} is {}\n", self.bindings.len(), self.name(*id)?);
        self.conditions.push_str(&line);
        self.bindings.push(Binding { parameter: *parameter, form: BindingForm::Value });
        Ok(())
    }
}

/// A statement's text, read.
#[derive(Debug, Default)]
struct Request<'a> {
    table: &'a str,
    /// Columns that must equal the values of the statement's bindings, in their order.
    equal: Vec<&'a str>,
    given: Vec<&'a str>,
}

impl<'a> Request<'a> {
    fn parse(text: &'a str) -> Result<Self> {
        let mut request = Self::default();
        for line in text.lines() {
            match line.split_once(' ') {
                Some(("from", name)) => request.table = name,
                Some(("give", name)) => request.given.push(name),
                Some(("where", condition)) => {
                    let (_, name) = condition.split_once(" is ").ok_or_else(|| unreadable(line))?;
                    request.equal.push(name);
                }
                Some(_) | None => return Err(unreadable(line)),
            }
        }
        Ok(request)
    }
}

fn unreadable(line: &str) -> Error {
    Error::internal(format!("a statement has the line {line:?}"))
}

/// One run.
struct Reading {
    /// Columns in the order of the output, then those of the conditions.
    rows: RecordBatch,
    equal: Vec<(usize, Value)>,
    schema: arrow::datatypes::SchemaRef,
}

enum Delivered {
    All,
    NoReader,
}

impl Reading {
    fn new(table: &RecordBatch, request: &Request<'_>, statement: &NativeStatement, values: &[Value]) -> Result<Self> {
        let changed = || Error::new(ErrorCode::SourceSchemaChanged, "a column is not in the source any more");
        let place = |name: &&str| table.schema_ref().column_with_name(name).map(|(place, _)| place).ok_or_else(changed);
        let given = request.given.iter().map(place).collect::<Result<Vec<_>>>()?;
        let bound = statement.bindings.iter().map(|binding| values.get(binding.parameter).cloned());
        let equal = request.equal.iter().zip(bound).map(|(name, value)| {
            let value = value.ok_or_else(|| Error::internal("a value is missing"))?;
            Ok((place(name)?, value))
        });
        let equal: Vec<(usize, Value)> = equal.collect::<Result<_>>()?;
        let places: Vec<usize> = given.iter().copied().chain(equal.iter().map(|(place, _)| *place)).collect();
        let rows = table.project(&places).map_err(Error::internal)?;
        let equal = equal.into_iter().zip(given.len()..).map(|((_, value), place)| (place, value)).collect();
        Ok(Self { rows, equal, schema: Arc::clone(&statement.schema) })
    }

    async fn deliver(&self, context: &ExecuteContext, delivery: &Delivery) -> Result<Delivered> {
        for from in (0..self.rows.num_rows()).step_by(context.batch_rows.max(1)) {
            let batch = self.batch(from, context.batch_rows.max(1))?;
            let wanted = async {
                match batch.num_rows() {
                    0 => {
                        tokio::task::yield_now().await;
                        true
                    }
                    _ => delivery.batch(batch).await,
                }
            };
            tokio::select! {
                biased;
                error = context.over() => return Err(error),
                is_wanted = wanted => if !is_wanted {
                    return Ok(Delivered::NoReader);
                }
            }
        }
        Ok(Delivered::All)
    }

    /// What the conditions leave of some rows.
    fn batch(&self, from: usize, count: usize) -> Result<RecordBatch> {
        let rows = self.rows.slice(from, count.min(self.rows.num_rows() - from));
        let mut kept = Vec::new();
        for row in 0..rows.num_rows() {
            if self.holds(&rows, row)? {
                kept.extend(u64::try_from(row));
            }
        }
        let kept = UInt64Array::from(kept);
        let given = rows.columns().iter().take(self.schema.fields().len());
        let columns = given.map(|column| take(column.as_ref(), &kept, None).map_err(Error::internal));
        let options = RecordBatchOptions::new().with_row_count(Some(kept.len()));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns.collect::<Result<_>>()?, &options)
            .map_err(Error::internal)
    }

    /// NULL equals nothing.
    fn holds(&self, rows: &RecordBatch, row: usize) -> Result<bool> {
        for (place, value) in &self.equal {
            let column = rows.columns().get(*place).ok_or_else(|| Error::internal("a column is missing"))?;
            let is_null = matches!(value, Value::Null(_)) || column.is_null(row);
            if is_null || Value::from_array(column.as_ref(), row)? != *value {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

#[tokio::main(flavor = "current_thread")]
#[allow(dead_code, reason = "the test of this file has its own beginning")]
async fn main() -> Result<()> {
    let names = arrow::array::StringArray::from(vec!["Ada", "Grace"]);
    let people = RecordBatch::try_from_iter([("name", Arc::new(names) as _)]).map_err(Error::internal)?;
    let driver = SmallestDriver::new(BTreeMap::from([("people".to_owned(), people)]));
    let table = driver.describe(&TableRef::new(["people"])?).await?;
    let (id, text) = (ColumnId(0), ValueType::Text);
    let columns = table.columns.iter().map(|column| ScanColumn {
        id,
        name: column.name.clone(),
        value_type: text,
        nullable: column.nullable,
        collation: column.collation.clone(),
        encoding: column.encoding,
    });
    let scan = Relation::Scan { table: table.table.clone(), columns: columns.collect() };
    let predicate = ScalarExpr::compare(ComparisonOp::Eq, ScalarExpr::Column(id), ScalarExpr::Parameter(0, text));
    let relation = Relation::Filter { input: Box::new(scan), predicate };
    let output = vec![OutputColumn { id, name: "name".to_owned(), value_type: text, nullable: true }];
    let statement = driver.render(&Fragment { relation, output, parameters: vec![text] }).map_err(Error::internal)?;
    println!("{}", statement.text);
    let answer = driver.run(&statement, &[Value::text("Ada")], Ask::Batches(ExecuteContext::default())).await?;
    let batches: Vec<RecordBatch> = answer.batches()?.try_collect().await?;
    println!("{batches:?}");
    Ok(())
}
