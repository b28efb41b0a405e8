//! What is changed: the columns, which a driver prints once, and the rows, which are bound each time.

use crate::execution::NativeStatement;
use crate::fragment::OutputColumn;
use crate::identifier::{Identifier, TableRef};
use crate::relation::{Collation, Encoding, ScanColumn};
use crate::remote::RemoteColumn;
use crate::value::ValueType;
use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{Field, Schema};
use querygate_types::{Error, ErrorCode, Result, limits};
use std::collections::HashSet;
use std::sync::Arc;

/// Rows of one set, at most.
pub const ROWS_MAX: usize = limits::BATCH_ROWS;
/// Bytes of one set's rows in memory, at most.
pub const BYTES_MAX: usize = 64 << 20;
/// Bytes of the stored rows that one set gives back, at most.
pub const STORED_BYTES_MAX: usize = 256 << 20;

/// What becomes of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChangeOp {
    /// They are new.
    Insert,
    /// Their assigned columns get other values.
    Update,
    /// They are gone.
    Delete,
}

/// A column that a change finds rows by, or stores values in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetColumn {
    /// The source's name of it.
    pub name: Identifier,
    /// The source's own words for the type.
    pub native_type: Arc<str>,
    /// Type of the values in the rows.
    pub value_type: ValueType,
    /// The form in which the column holds them, as [`Writer::writable_as`](super::Writer::writable_as) gave it.
    pub encoding: Encoding,
    /// How the source compares it: a key is found by its bytes alone.
    pub collation: Collation,
}

/// A change without its rows: what a driver prints. An insert stores key and assigned columns; an update finds rows by their key
/// and stores the assigned columns; a delete has none of the latter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeShape {
    /// The table that is changed.
    pub table: TableRef,
    /// What becomes of the rows.
    pub op: ChangeOp,
    /// Columns that find one row. Only an insert may have none.
    pub key: Vec<TargetColumn>,
    /// Columns that get values.
    pub assigned: Vec<TargetColumn>,
    /// Columns wanted back as they are stored afterwards; of deleted rows, as they were.
    pub returning: Vec<ScanColumn>,
}

/// The rows of a change: columns of the key, then the assigned ones, in the types of the shape. Each row is one row of the table.
#[derive(Debug, Clone)]
pub struct ChangeSet {
    rows: RecordBatch,
}

/// A printed change. Its text holds no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NativeChange {
    /// What it was printed from.
    pub shape: ChangeShape,
    /// Text for one set of rows (of one row, where the text depends on their number), and what it delivers: `output` and
    /// `schema` are of the columns wanted back.
    pub statement: NativeStatement,
}

/// What a change did.
#[derive(Debug, Clone, Default)]
pub struct Applied {
    /// Rows of the table that were inserted, updated or deleted; triggers' own changes do not count.
    pub count: u64,
    /// The columns wanted back, of every such row, in no particular order. Empty where none is wanted.
    pub stored: Vec<RecordBatch>,
}

impl TargetColumn {
    /// A column that [`Writer::writable_as`](super::Writer::writable_as) admits with this encoding.
    #[must_use]
    pub fn new(column: &RemoteColumn, value_type: ValueType, encoding: Encoding) -> Self {
        Self {
            name: column.name.clone(),
            native_type: column.native_type.as_str().into(),
            value_type,
            encoding,
            collation: column.collation.clone(),
        }
    }
}

impl ChangeShape {
    /// Columns of the rows, in their order.
    pub fn columns(&self) -> impl Iterator<Item = &TargetColumn> + Clone {
        self.key.iter().chain(&self.assigned)
    }

    /// Proves that the operation has the columns that it needs, each once.
    ///
    /// # Errors
    /// An internal error if not: a fault of the shape's maker.
    pub fn check(&self) -> Result<()> {
        let fits = match self.op {
            ChangeOp::Insert => !self.key.is_empty() || !self.assigned.is_empty(),
            ChangeOp::Update => !self.key.is_empty() && !self.assigned.is_empty(),
            ChangeOp::Delete => !self.key.is_empty() && self.assigned.is_empty(),
        };
        let mut names = HashSet::new();
        if !fits || !self.columns().all(|column| names.insert(&column.name)) {
            return Err(Error::internal("a change lacks a column, or names one twice"));
        }
        if self.columns().count() > limits::RESULT_COLUMNS_MAX || self.returning.len() > limits::RESULT_COLUMNS_MAX {
            return Err(Error::new(ErrorCode::TooManyColumns, "change has too many columns"));
        }
        if self.columns().any(|column| !column.value_type.is_bound()) {
            return Err(Error::internal("a change has a column whose values cannot be bound"));
        }
        Ok(())
    }

    /// The printed change of this shape with this text.
    #[must_use]
    pub fn printed(&self, text: impl Into<Arc<str>>) -> NativeChange {
        let output: Vec<_> = self
            .returning
            .iter()
            .map(|column| {
                let output = OutputColumn {
                    id: column.id,
                    name: column.name.as_str().to_owned(),
                    value_type: column.value_type,
                    nullable: true,
                };
                (output, column.encoding)
            })
            .collect();
        let field = |(column, _): &(OutputColumn, Encoding)| {
            Field::new(&column.name, column.value_type.to_arrow(), column.nullable)
        };
        let schema = Arc::new(Schema::new(output.iter().map(field).collect::<Vec<_>>()));
        let statement =
            NativeStatement { text: text.into(), bindings: Vec::new(), parameters: Vec::new(), output, schema };
        NativeChange { shape: self.clone(), statement }
    }
}

impl ChangeSet {
    /// # Errors
    /// 54000: more rows or bytes than one set holds. 23502: a row without its key, which a source would take for one that is
    /// not there. Internal: columns that are not the shape's.
    pub fn new(shape: &ChangeShape, rows: RecordBatch) -> Result<Self> {
        if rows.num_rows() > ROWS_MAX || rows.get_array_memory_size() > BYTES_MAX {
            return Err(Error::new(ErrorCode::ProgramLimitExceeded, "too many rows in one change"));
        }
        let fits = |(column, array): (&TargetColumn, &arrow::array::ArrayRef)| {
            ValueType::from_arrow(array.data_type()).is_some_and(|found| found.comparable_with(column.value_type))
        };
        if rows.num_columns() != shape.columns().count() || !shape.columns().zip(rows.columns()).all(fits) {
            return Err(Error::internal("rows of a change do not fit its columns"));
        }
        // The source may give an inserted row its key.
        let found_by = if shape.op == ChangeOp::Insert { 0 } else { shape.key.len() };
        if rows.columns().iter().take(found_by).any(|array| array.logical_null_count() > 0) {
            return Err(super::Violation::NotNull.error());
        }
        Ok(Self { rows })
    }

    /// The rows, key columns first.
    #[must_use]
    pub const fn rows(&self) -> &RecordBatch {
        &self.rows
    }

    /// The number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.num_rows()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Applied {
    /// Adds rows that the source gave back.
    ///
    /// # Errors
    /// 54000: they are too many to be kept.
    pub fn keep(&mut self, batch: RecordBatch) -> Result<()> {
        let held: usize = self.stored.iter().map(RecordBatch::get_array_memory_size).sum();
        if held.saturating_add(batch.get_array_memory_size()) > STORED_BYTES_MAX {
            return Err(Error::new(ErrorCode::ProgramLimitExceeded, "stored rows of one change are too large"));
        }
        self.stored.push(batch);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Value;

    fn column(name: &str, value_type: ValueType) -> TargetColumn {
        TargetColumn {
            name: Identifier::new(name).unwrap(),
            native_type: "any".into(),
            value_type,
            encoding: Encoding::Canonical,
            collation: Collation::Binary,
        }
    }

    fn shape(op: ChangeOp, key: &[&str], assigned: &[&str]) -> ChangeShape {
        let columns = |names: &[&str]| names.iter().map(|name| column(name, ValueType::Int64)).collect();
        let table = TableRef::new(["main", "t"]).unwrap();
        ChangeShape { table, op, key: columns(key), assigned: columns(assigned), returning: Vec::new() }
    }

    fn rows(values: &[Value]) -> RecordBatch {
        let column = |(index, value): (usize, &Value)| (format!("c{index}"), value.to_array().unwrap(), true);
        RecordBatch::try_from_iter_with_nullable(values.iter().enumerate().map(column)).unwrap()
    }

    #[test]
    fn each_operation_has_the_columns_that_it_needs() {
        for (op, key, assigned, fits) in [
            (ChangeOp::Insert, &["id"][..], &["a"][..], true),
            (ChangeOp::Insert, &[], &["a"], true),
            (ChangeOp::Insert, &[], &[], false),
            (ChangeOp::Update, &["id"], &["a", "b"], true),
            (ChangeOp::Update, &["id"], &["id"], false),
            (ChangeOp::Update, &["id"], &[], false),
            (ChangeOp::Update, &[], &["a"], false),
            (ChangeOp::Delete, &["id"], &[], true),
            (ChangeOp::Delete, &["id"], &["a"], false),
            (ChangeOp::Delete, &[], &[], false),
        ] {
            assert_eq!(shape(op, key, assigned).check().is_ok(), fits, "{op:?} {key:?} {assigned:?}");
        }
        let mut lists = shape(ChangeOp::Insert, &["id"], &["a"]);
        lists.assigned[0].value_type = ValueType::List(crate::value::ItemType::Int32);
        assert!(lists.check().is_err());
    }

    #[test]
    fn rows_fit_their_columns_and_have_their_key() {
        let update = shape(ChangeOp::Update, &["id"], &["a"]);
        let (one, null) = (Value::Int64(1), Value::Null(ValueType::Int64));
        assert_eq!(ChangeSet::new(&update, rows(&[one.clone(), null.clone()])).unwrap().len(), 1);
        let keyless = ChangeSet::new(&update, rows(&[null.clone(), one.clone()])).unwrap_err();
        assert_eq!(keyless.code(), ErrorCode::NotNullViolation);
        assert!(ChangeSet::new(&shape(ChangeOp::Insert, &["id"], &["a"]), rows(&[null, one.clone()])).is_ok());
        for wrong in
            [vec![one.clone()], vec![one.clone(), Value::text("1")], vec![one.clone(), one.clone(), one.clone()]]
        {
            assert_eq!(ChangeSet::new(&update, rows(&wrong)).unwrap_err().code(), ErrorCode::Internal);
        }
        let many = arrow::array::Int64Array::from(vec![1; ROWS_MAX + 1]);
        let many = RecordBatch::try_from_iter([("id", Arc::new(many) as arrow::array::ArrayRef)]).unwrap();
        let delete = shape(ChangeOp::Delete, &["id"], &[]);
        assert_eq!(ChangeSet::new(&delete, many).unwrap_err().code(), ErrorCode::ProgramLimitExceeded);
    }
}
