//! The table behind an object as it is changed: reads that lock rows by their values and a policy, and the shapes of changes. Knows
//! no statement. Decides nothing: its callers have a permit.

mod empty_row;
mod key_read;
mod reads;
mod row_update;

pub use key_read::KeyRead;
pub use reads::PlainRead;
pub use row_update::{KeyUpdate, NewValue, NewValueExpr};

use crate::federation::{FragmentPolicy, Tables};
pub use crate::remote::CounterTurn;
use crate::remote::{Counters, DriverTable};
use arrow::array::RecordBatch;
use querygate_driver_api::driver::Driver;
use querygate_driver_api::execution::NativeStatement;
use querygate_driver_api::fragment::{Fragment, OutputColumn};
use querygate_driver_api::identifier::{ColumnId, Identifier, TableRef};
use querygate_driver_api::relation::{Encoding, Relation, ScanColumn};
use querygate_driver_api::remote::{RemoteTable, TableKind};
use querygate_driver_api::scalar::{ComparisonOp, ScalarExpr};
use querygate_driver_api::value::{Value, ValueType};
use querygate_driver_api::write::{
    ChangeOp, ChangeShape, Lock, LockStrength, LockWait, NativeChange, TargetColumn, Writer,
};
use querygate_policy::RowFilter;
use querygate_policy::write::{WriteOperation, WritePermit};
use querygate_rules::opener::{LeafPolicy as _, PolicyScope};
use querygate_types::{Error, ErrorCode, Result};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Values by which one read looks for rows, at most: well below what any source takes.
const VALUES_AT_ONCE: usize = 500;
/// Rows that somebody else has locked are waited for.
const LOCK: Lock = Lock { strength: LockStrength::Update, wait: LockWait::Wait };

/// A table that can be changed.
#[derive(Debug)]
pub struct WriteTarget {
    /// The object's name in metadata.
    object: Arc<str>,
    table: DriverTable,
    /// What the source said of the table.
    described: Arc<RemoteTable>,
    tables: Tables,
    fields: Vec<TargetField>,
    key: Vec<usize>,
    /// Sets of fields that the source itself keeps unique.
    unique: Vec<Vec<String>>,
    only_inserts: bool,
    /// Fields that the metadata calls the key.
    named_by: Vec<usize>,
}

/// A field of the object that its source has.
#[derive(Debug)]
pub struct TargetField {
    pub name: String,
    scan: ScanColumn,
    /// How values are stored; `None`: it is only read.
    column: Option<TargetColumn>,
}

impl TargetField {
    #[must_use]
    pub fn value_type(&self) -> ValueType {
        self.scan.value_type
    }

    /// Characters that its texts may have by the type that the source declares: `varchar(n)`.
    #[must_use]
    pub fn length_max(&self) -> Option<usize> {
        let native = self.column.as_ref()?.native_type.to_lowercase();
        let rest = native.strip_prefix("varchar").or_else(|| native.strip_prefix("character varying"))?;
        rest.trim().strip_prefix('(')?.split(')').next()?.trim().parse().ok()
    }

    /// Its column's name in the source.
    #[must_use]
    pub fn column(&self) -> &Identifier {
        &self.scan.name
    }

    /// Whether its source holds values in a form on which every operator is exact.
    #[must_use]
    pub fn is_canonical(&self) -> bool {
        matches!(self.scan.encoding.stored(), Encoding::Canonical)
    }

    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.column.is_some()
    }
}

/// A read that locks each row that it gives, with its values.
#[derive(Debug, Clone)]
pub struct LockedRead {
    pub statement: Arc<NativeStatement>,
    pub values: Vec<Value>,
    /// Whether it finds one row by the table's key.
    pub by_key: bool,
}

impl WriteTarget {
    /// `title`: what an error calls the table.
    pub(crate) async fn of(object: &str, title: &str, table: DriverTable, tables: Tables) -> Result<Self> {
        let writer = writer(table.driver().as_ref())?;
        let described = table.described().await?;
        match described.kind {
            TableKind::Table | TableKind::ForeignTable => {}
            TableKind::View => return Err(closed(title, "it is a view of its source")),
            TableKind::MaterializedView => return Err(closed(title, "it is a materialized view of its source")),
        }
        let only_inserts = writer.only_inserts();
        let named_by = table.key().cloned().unwrap_or_default();
        let key = match table.key().filter(|key| !key.is_empty()) {
            // Metadata may call columns a key; nothing there keeps them unique, and no row is found by them.
            _ if only_inserts => Vec::new(),
            Some(key) => key.clone(),
            None => return Err(without_key(title, &described)),
        };
        let mut fields = Vec::with_capacity(table.fields().len());
        for (index, field) in table.fields().iter().enumerate() {
            let column = &field.column;
            let id = ColumnId(u32::try_from(index).map_err(Error::internal)?);
            let native = described.columns.iter().find(|native| native.name == column.name);
            let stored = native.and_then(|native| {
                let encoding = writer.writable_as(native, column.value_type).ok()?;
                (encoding == column.encoding.stored()).then(|| TargetColumn::new(native, column.value_type, encoding))
            });
            let scan = ScanColumn {
                id,
                name: column.name.clone(),
                value_type: column.value_type,
                nullable: column.nullable,
                collation: column.collation.clone(),
                encoding: column.encoding,
            };
            fields.push(TargetField { name: field.field.clone(), scan, column: stored });
        }
        let names = |columns: &Vec<querygate_driver_api::identifier::Identifier>| {
            let field = |name: &querygate_driver_api::identifier::Identifier| {
                fields.iter().find(|field| field.scan.name == *name).map(|field| field.name.clone())
            };
            columns.iter().map(field).collect::<Option<Vec<String>>>()
        };
        let sets = std::iter::once(&described.primary_key).chain(&described.unique);
        let unique = sets.filter(|set| !set.is_empty()).filter_map(names).collect();
        Ok(Self { object: object.into(), table, described, tables, fields, key, unique, only_inserts, named_by })
    }

    /// Whether the source has said nothing else of the table since; asks it again after some seconds.
    ///
    /// # Errors
    /// The source's.
    pub async fn is_current(&self) -> Result<bool> {
        Ok(Arc::ptr_eq(&self.table.described().await?, &self.described))
    }

    /// The object that is stored there, by its name in metadata.
    #[must_use]
    pub fn object(&self) -> &Arc<str> {
        &self.object
    }

    #[must_use]
    pub fn source(&self) -> &Arc<str> {
        self.table.source()
    }

    /// Fields that the source has, in the order of locked rows' columns.
    #[must_use]
    pub fn fields(&self) -> &[TargetField] {
        &self.fields
    }

    #[must_use]
    pub fn place(&self, field: &str) -> Option<usize> {
        self.fields.iter().position(|own| own.name == field)
    }

    /// Fields that find one row, as indexes.
    #[must_use]
    pub fn key(&self) -> &[usize] {
        &self.key
    }

    /// Whether the source itself lets no two rows have the same values there.
    #[must_use]
    pub fn keeps_unique(&self, fields: &[String]) -> bool {
        let is_same = |set: &Vec<String>| set.len() == fields.len() && set.iter().all(|name| fields.contains(name));
        self.unique.iter().any(is_same)
    }

    /// Fields whose values name a stored row to clients, as indexes: its key, also where no row is found by it.
    #[must_use]
    pub fn named_by(&self) -> &[usize] {
        &self.named_by
    }

    /// Whether its source takes new rows and nothing else: none is found, locked or read there, and each is stored as it is given.
    #[must_use]
    pub fn only_inserts(&self) -> bool {
        self.only_inserts
    }

    #[must_use]
    pub fn driver(&self) -> &Arc<dyn Driver> {
        self.table.driver()
    }

    /// Sets of fields that the source itself keeps unique, the key among them.
    #[must_use]
    pub fn unique_keys(&self) -> &[Vec<String>] {
        &self.unique
    }

    /// Who changes the source.
    ///
    /// # Errors
    /// 0A000: it has no writer.
    pub fn writer(&self) -> Result<&dyn Writer> {
        writer(self.table.driver().as_ref())
    }

    /// The table in its source.
    #[must_use]
    pub fn remote(&self) -> &TableRef {
        self.table.table()
    }

    /// Rows that one read may look for by this number of fields.
    #[must_use]
    pub fn rows_at_once(&self, fields: usize) -> usize {
        (VALUES_AT_ONCE / fields.max(1)).max(1)
    }

    /// The ends of its autonumbers' counters.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        self.table.counters()
    }

    /// The highest number of rows that are gone, of the counter of a field and a prefix. 0: there is none.
    #[must_use]
    pub fn floor(&self, place: usize, prefix: &str) -> u64 {
        self.fields.get(place).map_or(0, |field| self.table.floors().of(field.column().as_str(), prefix))
    }

    /// Rows with these autonumbers are about to go: by place of the field and prefix, the highest of each.
    ///
    /// # Errors
    /// 53100: it cannot be kept that these numbers were given.
    pub async fn retire(&self, gone: BTreeMap<(usize, String), u64>) -> Result<()> {
        if gone.is_empty() {
            return Ok(());
        }
        let named = gone.into_iter().filter_map(|((place, prefix), last)| {
            let column = self.fields.get(place)?.column().as_str().to_owned();
            Some(((column, prefix), last))
        });
        self.table.floors().raise(named.collect()).await
    }

    /// Locks the rows with these keys that pass a filter, and gives all fields of them.
    ///
    /// # Errors
    /// As [`having`](Self::having).
    pub fn locked(&self, keys: &[Vec<Value>], filter: &RowFilter) -> Result<LockedRead> {
        self.locked_as(keys, filter, LOCK)
    }

    /// As [`locked`](Self::locked), with another lock.
    ///
    /// # Errors
    /// As [`having`](Self::having).
    pub fn locked_as(&self, keys: &[Vec<Value>], filter: &RowFilter, lock: Lock) -> Result<LockedRead> {
        self.matching(&self.key, keys, filter, lock)
    }

    /// The statement that locks the row of one key, for EXPLAIN. Its values are none of the table's.
    ///
    /// # Errors
    /// As [`having`](Self::having).
    pub fn lock_text(&self, filter: &RowFilter) -> Result<Arc<str>> {
        self.key_read(filter).map(|read| Arc::clone(read.text()))
    }

    /// Locks the rows with one of these combinations of values (NULL is found, too) that pass a filter, and gives all fields of
    /// them.
    ///
    /// # Errors
    /// 0A000: the source cannot be asked exactly this, which a filter may be the reason of.
    pub fn having(&self, by: &[usize], values: &[Vec<Value>], filter: &RowFilter) -> Result<LockedRead> {
        self.matching(by, values, filter, LOCK)
    }

    fn matching(&self, by: &[usize], values: &[Vec<Value>], filter: &RowFilter, lock: Lock) -> Result<LockedRead> {
        let all: Vec<usize> = (0..self.fields.len()).collect();
        let (fragment, bound) = self.fragment(by, values, filter, &all)?;
        let statement = self.writer()?.render_locked(&fragment, lock).map_err(|_| inexact())?;
        self.accepts(&statement, &bound)?;
        Ok(LockedRead { statement, values: bound, by_key: false })
    }

    /// The rows with one of these combinations of values that pass a filter, with some of their fields.
    fn fragment(
        &self,
        by: &[usize],
        values: &[Vec<Value>],
        filter: &RowFilter,
        wanted: &[usize],
    ) -> Result<(Fragment, Vec<Value>)> {
        let policy = FragmentPolicy::new(filter, &self.table, &self.tables).ok_or_else(inexact)?;
        let mut next = u32::try_from(self.fields.len()).map_err(Error::internal)?;
        let (mut sources, mut parameters, mut bound) = (Vec::new(), Vec::new(), Vec::new());
        let mut scope = PolicyScope::over(&mut next, &mut sources, &mut parameters, &mut bound);
        let id = |name| self.fields.iter().find(|field| field.scan.name == name).map(|field| field.scan.id);
        let ids = policy.columns().iter().map(|column| id(column.name.clone())).collect::<Option<Vec<_>>>();
        let allowed = policy.predicate(&ids.ok_or_else(inexact)?, &mut scope).map_err(|_| inexact())?;
        let found = self.one_of(by, values, &mut scope)?;
        let scan = Relation::Scan {
            table: self.table.table().clone(),
            columns: self.fields.iter().map(|field| field.scan.clone()).collect(),
        };
        let predicate = ScalarExpr::And(vec![allowed, found]);
        let mut output = Vec::with_capacity(wanted.len());
        for place in wanted {
            output.push(self.output(*place)?);
        }
        let relation = Relation::Filter { input: Box::new(scan), predicate };
        let fragment = Fragment { relation, output, parameters };
        self.admits(&fragment)?;
        Ok((fragment, bound))
    }

    fn output(&self, place: usize) -> Result<OutputColumn> {
        let field = self.fields.get(place).ok_or_else(|| Error::internal("a field that is not the table's"))?;
        let (id, value_type) = (field.scan.id, field.scan.value_type);
        Ok(OutputColumn { id, name: field.name.clone(), value_type, nullable: true })
    }

    fn admits(&self, fragment: &Fragment) -> Result<()> {
        fragment.check()?;
        self.table.driver().capabilities().supports_fragment(fragment).map(drop).map_err(|_| inexact())
    }

    fn accepts(&self, statement: &NativeStatement, values: &[Value]) -> Result<()> {
        let refused = |_| unchangeable("its source cannot be asked for these values");
        self.table.driver().accepts(statement, values).map_err(refused)
    }

    fn one_of(&self, by: &[usize], values: &[Vec<Value>], scope: &mut PolicyScope<'_>) -> Result<ScalarExpr> {
        let column = |place: usize| {
            let field = self.fields.get(place).ok_or_else(|| Error::internal("a field that is not the table's"))?;
            Ok::<_, Error>(ScalarExpr::Column(field.scan.id))
        };
        if let [only] = by
            && values.iter().flatten().all(|value| !value.is_null())
        {
            let list = values.iter().flatten().map(|value| scope.parameter(value.clone())).collect();
            return Ok(ScalarExpr::InList { expr: Box::new(column(*only)?), list, negated: false });
        }
        let mut rows = Vec::with_capacity(values.len());
        for row in values {
            let mut all = Vec::with_capacity(by.len());
            for (place, value) in by.iter().zip(row) {
                let column = column(*place)?;
                all.push(if value.is_null() {
                    ScalarExpr::IsNull { expr: Box::new(column), negated: false }
                } else {
                    ScalarExpr::compare(ComparisonOp::Eq, column, scope.parameter(value.clone()))
                });
            }
            rows.push(ScalarExpr::And(all));
        }
        Ok(ScalarExpr::Or(rows))
    }

    /// A change that stores these fields, and gives all fields of each row as it is stored. The permit is for this operation.
    ///
    /// # Errors
    /// 0A000: the source cannot store one of them exactly. Internal: the permit is for something else.
    pub fn change(&self, permit: &WritePermit, op: ChangeOp, assigned: &[usize]) -> Result<Arc<NativeChange>> {
        let is_permitted = match permit.operation() {
            WriteOperation::Insert => op == ChangeOp::Insert,
            WriteOperation::Update => op == ChangeOp::Update,
            WriteOperation::Delete => op == ChangeOp::Delete,
        };
        if !is_permitted {
            return Err(Error::internal("a permit for another operation was used"));
        }
        let stored = |place: &usize| {
            let column = self.fields.get(*place).and_then(|field| field.column.clone());
            column.ok_or_else(|| unchangeable("its source does not keep values of one of the columns as they are"))
        };
        // A source that makes the key itself is given none.
        let has_key = op != ChangeOp::Insert || self.key.iter().all(|place| assigned.contains(place));
        let key = if has_key { self.key.as_slice() } else { &[] };
        let assigned = assigned.iter().filter(|place| !key.contains(place));
        let key = key.iter().map(stored).collect::<Result<Vec<_>>>()?;
        let returning = match op {
            ChangeOp::Insert | ChangeOp::Update => self.fields.iter().map(|field| field.scan.clone()).collect(),
            ChangeOp::Delete => Vec::new(),
        };
        let assigned = assigned.map(stored).collect::<Result<Vec<_>>>()?;
        let shape = ChangeShape { table: self.table.table().clone(), op, key, assigned, returning };
        shape.check()?;
        self.writer()?.render_change(&shape).map_err(|_| unchangeable("its source does not take this change"))
    }

    /// The fields that a change's columns are of, in their order.
    #[must_use]
    pub fn places_of(&self, change: &NativeChange) -> Vec<usize> {
        let place = |name: &Identifier| self.fields.iter().position(|field| field.scan.name == *name);
        change.shape.columns().filter_map(|column| place(&column.name)).collect()
    }

    /// The values of a row's fields.
    ///
    /// # Errors
    /// Internal: a batch that is not of this table.
    pub fn values(&self, batch: &RecordBatch, row: usize, places: &[usize]) -> Result<Vec<Value>> {
        let value = |place: &usize| {
            let array = batch.columns().get(*place).ok_or_else(|| Error::internal("rows of another table"))?;
            Value::from_array(array.as_ref(), row)
        };
        places.iter().map(value).collect()
    }
}

fn inexact() -> Error {
    unchangeable("a rule that decides about its rows has no exact form in its source")
}

fn writer(driver: &dyn Driver) -> Result<&dyn Writer> {
    driver.writer().ok_or_else(|| {
        unchangeable("its source is only read").with_hint("An operator opens it with `writes = true` of the source.")
    })
}

/// Why a table cannot be changed by any principal.
#[must_use]
pub fn unchangeable(reason: &str) -> Error {
    closed("table", reason)
}

fn closed(title: &str, reason: &str) -> Error {
    Error::new(ErrorCode::FeatureNotSupported, format!("{title} cannot be changed"))
        .with_detail(format!("The reason: {reason}."))
}

/// Why no row of a table is found by a key. Names no column: the reader may not see it.
fn without_key(title: &str, described: &RemoteTable) -> Error {
    let key = &described.primary_key;
    if key.is_empty() {
        return closed(title, "it has no key");
    }
    if described.columns.iter().any(|column| column.nullable && key.contains(&column.name)) {
        return closed(title, "columns of its key may be NULL in its source, so that it does not tell rows apart")
            .with_hint("An operator declares them NOT NULL in the source.");
    }
    closed(title, "a column of its key is not served")
}

#[cfg(test)]
mod tests {
    use super::*;
    use querygate_driver_api::remote::RemoteColumn;

    #[test]
    fn a_table_without_a_usable_key_is_named_with_its_reason() {
        let name = |text: &str| Identifier::new(text).unwrap();
        let column = |text: &str, nullable: bool| RemoteColumn {
            nullable,
            ..RemoteColumn::new(name(text), "INTEGER", Some(ValueType::Int64))
        };
        let mut table =
            RemoteTable::new(TableRef::new(["lines"]).unwrap(), vec![column("a", false), column("b", true)]);
        let told = |table: &RemoteTable| {
            let error = without_key("table \"lines\"", table);
            assert_eq!(
                (error.code(), error.message()),
                (ErrorCode::FeatureNotSupported, "table \"lines\" cannot be changed")
            );
            error.detail().unwrap_or_default().to_owned()
        };
        assert_eq!(told(&table), "The reason: it has no key.");
        table.primary_key = vec![name("a"), name("b")];
        assert!(told(&table).contains("may be NULL"), "{}", told(&table));
        table.primary_key = vec![name("a")];
        assert_eq!(told(&table), "The reason: a column of its key is not served.");
    }
}
