//! A fragment's rows in ranges, so that they can be read in parts: of their table's pages where its source reads them so, else
//! of its key. The ends of a key's ranges are keys of rows that the reader sees, found with the policy in place. All ranges are
//! of one snapshot where the source keeps it. What is not understood has no ranges.

use crate::leaf::{GovernedTable, governed_leaf, leaf_of, over_leaf};
use crate::remote::{CompiledFragment, DriverTable, FragmentExec};
use datafusion::catalog::TableProvider;
use datafusion::physical_plan::ExecutionPlan;
use futures::TryStreamExt as _;
use querygate_driver_api::aggregate::{AggregateExpr, AggregateFunction};
use querygate_driver_api::execution::{Ask, ExecuteContext, Pages, Snapshot, SnapshotAnswer, SnapshotShare};
use querygate_driver_api::fragment::{Fragment, OutputColumn};
use querygate_driver_api::identifier::ColumnId;
use querygate_driver_api::relation::{Collation, Encoding, JoinKind, Relation, ScanColumn, SortKey};
use querygate_driver_api::scalar::{ComparisonOp, ScalarExpr};
use querygate_driver_api::value::{Value, ValueType};
use querygate_resources::Holder;
use querygate_rules::opener::RemoteColumn;
use querygate_types::{Error, Result};
use std::any::Any;
use std::sync::Arc;

/// First of the column ids that are added here; a translation counts its own from 0.
const FRESH: u32 = 1 << 30;

/// Keys from `low`, itself included, to below `high`; open where there is none. NULL is below every key.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyRange {
    pub low: Option<Value>,
    pub high: Option<Value>,
}

/// The key by which a table's rows can be read in ranges: one visible, unmasked column that the source orders as we do.
#[must_use]
pub fn range_key(table: &GovernedTable) -> Option<RemoteColumn> {
    let raw: &dyn Any = table.raw().as_ref();
    let remote = raw.downcast_ref::<DriverTable>()?;
    let [only] = remote.key()?.as_slice() else { return None };
    let schema = TableProvider::schema(remote);
    let name = schema.fields().get(*only)?.name();
    table.columns().iter().find(|column| column.field.name() == name && column.mask.is_none())?;
    let key = remote.column(name)?;
    (matches!(key.encoding, Encoding::Canonical) && is_ordered(key)).then(|| key.clone())
}

/// Whether the source's own order, and so its index, is ours.
fn is_ordered(key: &RemoteColumn) -> bool {
    match key.value_type {
        ValueType::Int16 | ValueType::Int32 | ValueType::Int64 => true,
        ValueType::Text => key.collation == Collation::Binary,
        ValueType::Boolean
        | ValueType::Float32
        | ValueType::Float64
        | ValueType::Decimal128 { .. }
        | ValueType::Binary
        | ValueType::Date
        | ValueType::Time
        | ValueType::Timestamp { .. }
        | ValueType::TextList
        | ValueType::List(_) => false,
    }
}

fn compiled(plan: &Arc<dyn ExecutionPlan>) -> Option<&CompiledFragment> {
    let (leaf, _) = governed_leaf(plan)?;
    let (inner, _) = leaf_of(leaf.inner())?;
    let any: &dyn Any = inner.as_ref();
    any.downcast_ref::<FragmentExec>().map(FragmentExec::compiled)
}

/// Which of a fragment's rows a part has.
#[derive(Debug, Clone, PartialEq)]
pub enum Rows {
    Keys(KeyRange),
    Pages(Pages),
}

/// A part of a fragment's rows.
#[derive(Debug, Clone, PartialEq)]
pub struct RowRange {
    /// The snapshot of which they are. `None`: each range is of its own.
    pub snapshot: Option<Arc<str>>,
    pub rows: Rows,
}

/// A fragment's rows, divided.
#[derive(Default)]
pub struct RowRanges {
    /// Each row is in exactly one. Empty: they can only be read as a whole.
    pub ranges: Vec<RowRange>,
    /// What ends their snapshot when it is dropped.
    pub hold: Option<Arc<dyn Any + Send + Sync>>,
}

impl RowRanges {
    fn of(ranges: Vec<Rows>, kept: Option<Snapshot>) -> Self {
        let snapshot = kept.as_ref().map(|kept| Arc::clone(&kept.name));
        let ranges = ranges.into_iter().map(|rows| RowRange { snapshot: snapshot.clone(), rows }).collect();
        Self { ranges, hold: kept.map(|kept| kept.hold) }
    }
}

/// Divides the rows of a physical plan into at most `of` ranges of about the same size. None: its rows do not come from one
/// fragment that treats them one by one, the source cannot count and order them, or it has no room for their snapshot, or none for
/// another one of this user's.
///
/// # Errors
/// What the source says.
pub async fn row_ranges(
    plan: &Arc<dyn ExecutionPlan>,
    key: Option<&RemoteColumn>,
    of: usize,
    holder: &Holder,
) -> Result<RowRanges> {
    let Some(compiled) = compiled(plan) else { return Ok(RowRanges::default()) };
    let keyed = key.and_then(|key| carry(&compiled.fragment.relation, key, &mut { FRESH }).map(|found| (key, found)));
    let (kept, of) = match compiled.driver.keep(&compiled.statement).await? {
        SnapshotAnswer::Unsupported => (None, of),
        SnapshotAnswer::NoRoom => return Ok(RowRanges::default()),
        SnapshotAnswer::Kept(snapshot) => {
            let Some(place) = holder.hold_snapshot(&compiled.source, &compiled.driver) else {
                return Ok(RowRanges::default());
            };
            let (of, hold) = (of.min(snapshot.executions_max), Arc::new((snapshot.hold, place)));
            (Some(Snapshot { hold, ..snapshot }), of)
        }
    };
    if let Some(pages) = kept.as_ref().and_then(|kept| kept.pages) {
        let ranges = Pages::divided(pages, of).into_iter().map(Rows::Pages).collect();
        return Ok(RowRanges::of(ranges, kept));
    }
    let Some((key, (relation, id))) = keyed else { return Ok(RowRanges::default()) };
    let share = kept.as_ref().map(|kept| SnapshotShare { snapshot: Arc::clone(&kept.name), pages: None });
    let context = ExecuteContext { share, ..ExecuteContext::default() };
    let ranges = key_ranges(compiled, &context, &relation, id, key.value_type, of).await?;
    Ok(ranges.map(|ranges| RowRanges::of(ranges, kept)).unwrap_or_default())
}

/// At most `of` ranges of a key with about as many rows each.
async fn key_ranges(
    compiled: &CompiledFragment,
    context: &ExecuteContext,
    relation: &Relation,
    id: ColumnId,
    value_type: ValueType,
    of: usize,
) -> Result<Option<Vec<Rows>>> {
    let Some(Value::Int64(rows)) = ask(compiled, context, counted(relation)).await? else {
        return Ok(None);
    };
    let rows = u64::try_from(rows).map_err(Error::internal)?;
    let mut ends: Vec<Value> = Vec::new();
    for part in 1..of as u64 {
        let place = u64::try_from(u128::from(rows) * u128::from(part) / of as u128).map_err(Error::internal)?;
        let found = ask(compiled, context, at_place(relation, id, place, value_type)).await?;
        // Without a kept snapshot rows come and go between two questions: there may be nothing at a place any more, or a key below
        // the one before, which would give rows to two ranges.
        ends.extend(found.filter(|value| is_above(value, ends.last())));
    }
    let mut low = None;
    let mut ranges = Vec::with_capacity(ends.len() + 1);
    for end in ends {
        ranges.push(Rows::Keys(KeyRange { low: low.replace(end.clone()), high: Some(end) }));
    }
    ranges.push(Rows::Keys(KeyRange { low, high: None }));
    Ok(Some(ranges))
}

/// Whether a key can be an end behind another one.
fn is_above(value: &Value, last: Option<&Value>) -> bool {
    match (value, last) {
        (Value::Int16(_) | Value::Int32(_) | Value::Int64(_) | Value::Text(_), None) => true,
        (Value::Int16(value), Some(Value::Int16(last))) => value > last,
        (Value::Int32(value), Some(Value::Int32(last))) => value > last,
        (Value::Int64(value), Some(Value::Int64(last))) => value > last,
        (Value::Text(value), Some(Value::Text(last))) => value > last,
        // NULL, and what `range_key` takes for no key.
        _ => false,
    }
}

/// The plan for the rows of one range. `None`: the plan has no ranges, or the source does not take the values.
///
/// # Errors
/// Internal: a fragment that was divided before and cannot be made now.
pub fn in_range(
    plan: &Arc<dyn ExecutionPlan>,
    key: Option<&RemoteColumn>,
    range: &RowRange,
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let (Some(whole), Some((leaf, _))) = (compiled(plan), governed_leaf(plan)) else { return Ok(None) };
    let share = |pages| range.snapshot.as_ref().map(|snapshot| SnapshotShare { snapshot: Arc::clone(snapshot), pages });
    let part = match &range.rows {
        Rows::Pages(pages) => {
            let Some(share) = share(Some(*pages)) else { return Ok(None) };
            CompiledFragment { share: Some(share), part: true, setting: None, ..whole.clone() }
        }
        Rows::Keys(keys) => {
            let Some(part) = key.map(|key| of_keys(whole, key, keys)).transpose()?.flatten() else { return Ok(None) };
            CompiledFragment { share: share(None), ..part }
        }
    };
    let inner = over_leaf(leaf.inner(), Arc::new(FragmentExec::new(part))).map_err(Error::internal)?;
    over_leaf(plan, Arc::new(leaf.with_inner(inner))).map(Some).map_err(Error::internal)
}

/// The fragment for the rows of one range of its key.
fn of_keys(whole: &CompiledFragment, key: &RemoteColumn, range: &KeyRange) -> Result<Option<CompiledFragment>> {
    let mut fragment = Fragment::clone(&whole.fragment);
    let mut values = whole.values.to_vec();
    let Some((relation, _)) = narrowed(&fragment.relation, key, range, &mut fragment.parameters, &mut values) else {
        return Ok(None);
    };
    fragment.relation = relation;
    fragment.check()?;
    let Ok(statement) = whole.driver.render(&fragment) else { return Ok(None) };
    if whole.driver.accepts(&statement, &values).is_err() {
        return Ok(None);
    }
    // A template of its own would be one for each range.
    let known = Arc::clone(&whole.known);
    known.template(&whole.driver, &whole.source, &whole.fragment, &whole.statement);
    let (values, fragment) = (values.into(), Arc::new(fragment));
    Ok(Some(CompiledFragment { fragment, statement, values, known, part: true, setting: None, ..whole.clone() }))
}

/// The relation with the key among its columns. `None`: it looks at several rows at once.
fn carry(relation: &Relation, key: &RemoteColumn, fresh: &mut u32) -> Option<(Relation, ColumnId)> {
    Some(match relation {
        Relation::Scan { table, columns } => {
            let (columns, id) = with_key(columns, key, fresh);
            (Relation::Scan { table: table.clone(), columns }, id)
        }
        Relation::Filter { input, predicate } => {
            let (input, id) = carry(input, key, fresh)?;
            (Relation::Filter { input: Box::new(input), predicate: predicate.clone() }, id)
        }
        Relation::Fence { input } => {
            let (input, id) = carry(input, key, fresh)?;
            (Relation::Fence { input: Box::new(input) }, id)
        }
        Relation::Project { input, exprs } => {
            let (input, below) = carry(input, key, fresh)?;
            let mut exprs = exprs.clone();
            let known = exprs.iter().find(|(_, expr)| *expr == ScalarExpr::Column(below)).map(|(id, _)| *id);
            let id = known.unwrap_or_else(|| {
                exprs.push((below, ScalarExpr::Column(below)));
                below
            });
            (Relation::Project { input: Box::new(input), exprs }, id)
        }
        Relation::Join { kind: kind @ (JoinKind::LeftSemi | JoinKind::LeftAnti), left, right, on } => {
            let (left, id) = carry(left, key, fresh)?;
            (Relation::Join { kind: *kind, left: Box::new(left), right: right.clone(), on: on.clone() }, id)
        }
        Relation::Join { .. }
        | Relation::Aggregate { .. }
        | Relation::Distinct { .. }
        | Relation::Sort { .. }
        | Relation::Limit { .. }
        | Relation::SetOperation { .. }
        | Relation::Window { .. }
        | Relation::Values { .. }
        | Relation::EmptyRow => return None,
    })
}

fn with_key(columns: &[ScanColumn], key: &RemoteColumn, fresh: &mut u32) -> (Vec<ScanColumn>, ColumnId) {
    let mut columns = columns.to_vec();
    if let Some(known) = columns.iter().find(|column| column.name == key.name) {
        let id = known.id;
        return (columns, id);
    }
    let id = ColumnId(*fresh);
    *fresh += 1;
    columns.push(ScanColumn {
        id,
        name: key.name.clone(),
        value_type: key.value_type,
        nullable: key.nullable,
        collation: key.collation.clone(),
        encoding: key.encoding,
    });
    (columns, id)
}

/// The relation with the range as a condition directly on the table's rows, where the source can use its index.
fn narrowed(
    relation: &Relation,
    key: &RemoteColumn,
    range: &KeyRange,
    parameters: &mut Vec<ValueType>,
    values: &mut Vec<Value>,
) -> Option<(Relation, ColumnId)> {
    let mut again = |input: &Relation| -> Option<Box<Relation>> {
        narrowed(input, key, range, parameters, values).map(|(relation, _)| Box::new(relation))
    };
    let same = ColumnId(FRESH);
    Some(match relation {
        Relation::Scan { table, columns } => {
            let mut fresh = FRESH;
            let (columns, id) = with_key(columns, key, &mut fresh);
            let scan = Relation::Scan { table: table.clone(), columns };
            let predicate = condition(id, range, parameters, values);
            (Relation::Filter { input: Box::new(scan), predicate }, id)
        }
        Relation::Filter { input, predicate } => {
            (Relation::Filter { input: again(input)?, predicate: predicate.clone() }, same)
        }
        Relation::Fence { input } => (Relation::Fence { input: again(input)? }, same),
        Relation::Project { input, exprs } => (Relation::Project { input: again(input)?, exprs: exprs.clone() }, same),
        Relation::Join { kind: kind @ (JoinKind::LeftSemi | JoinKind::LeftAnti), left, right, on } => {
            (Relation::Join { kind: *kind, left: again(left)?, right: right.clone(), on: on.clone() }, same)
        }
        Relation::Join { .. }
        | Relation::Aggregate { .. }
        | Relation::Distinct { .. }
        | Relation::Sort { .. }
        | Relation::Limit { .. }
        | Relation::SetOperation { .. }
        | Relation::Window { .. }
        | Relation::Values { .. }
        | Relation::EmptyRow => return None,
    })
}

fn condition(key: ColumnId, range: &KeyRange, parameters: &mut Vec<ValueType>, values: &mut Vec<Value>) -> ScalarExpr {
    let mut compared = |op: ComparisonOp, value: &Value| {
        parameters.push(value.value_type());
        values.push(value.clone());
        let bound = ScalarExpr::Parameter(parameters.len() - 1, value.value_type());
        ScalarExpr::compare(op, ScalarExpr::Column(key), bound)
    };
    let low = range.low.as_ref().map(|low| compared(ComparisonOp::GtEq, low));
    let high = range.high.as_ref().map(|high| compared(ComparisonOp::Lt, high));
    match (low, high) {
        (None, Some(high)) => {
            let null = ScalarExpr::IsNull { expr: Box::new(ScalarExpr::Column(key)), negated: false };
            ScalarExpr::Or(vec![high, null])
        }
        (low, high) => ScalarExpr::And(low.into_iter().chain(high).collect()),
    }
}

fn counted(relation: &Relation) -> ValueQuery {
    let id = ColumnId(FRESH + 1_000);
    let count = AggregateExpr {
        function: AggregateFunction::CountStar,
        args: Vec::new(),
        distinct: false,
        filter: None,
        value_type: ValueType::Int64,
    };
    let input = Box::new(relation.clone());
    let relation = Relation::Aggregate { input, group: Vec::new(), aggregates: vec![(id, count)] };
    ValueQuery { relation, id, value_type: ValueType::Int64 }
}

fn at_place(relation: &Relation, key: ColumnId, place: u64, value_type: ValueType) -> ValueQuery {
    let keys = vec![(key, ScalarExpr::Column(key))];
    let keys = Relation::Project { input: Box::new(relation.clone()), exprs: keys };
    let order = vec![SortKey { expr: ScalarExpr::Column(key), ascending: true, nulls_first: true }];
    let sorted = Relation::Sort { input: Box::new(keys), keys: order };
    let relation = Relation::Limit { input: Box::new(sorted), skip: place, fetch: Some(1) };
    ValueQuery { relation, id: key, value_type }
}

/// A relation of one row and one column.
struct ValueQuery {
    relation: Relation,
    id: ColumnId,
    value_type: ValueType,
}

/// The one value that a relation over a fragment's rows gives; `None`: no row, or the source may not be asked.
async fn ask(whole: &CompiledFragment, context: &ExecuteContext, query: ValueQuery) -> Result<Option<Value>> {
    let ValueQuery { relation, id, value_type } = query;
    let output = vec![OutputColumn { id, name: "value".to_owned(), value_type, nullable: true }];
    let fragment = Fragment { relation, output, parameters: whole.fragment.parameters.clone() };
    fragment.check()?;
    let Ok(statement) = whole.driver.render(&fragment) else { return Ok(None) };
    if whole.driver.accepts(&statement, &whole.values).is_err() {
        return Ok(None);
    }
    let mut batches = whole.driver.run(&statement, &whole.values, Ask::Batches(context.clone())).await?.batches()?;
    while let Some(batch) = batches.try_next().await? {
        if let Some(column) = batch.columns().first().filter(|_| batch.num_rows() > 0) {
            return Ok(Value::from_array(column.as_ref(), 0).ok());
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
