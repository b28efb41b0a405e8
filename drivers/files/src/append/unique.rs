//! Values that no two rows of a table share. Files keep nothing unique, so a transaction that adds rows looks for their values first, and is the
//! only one to add rows to the table until its transaction ends.

use super::pending::Pending;
use super::unwritten;
use crate::table::FileTable;
use arrow::array::{Array, ArrayRef, Float32Array, Float64Array, RecordBatch, Scalar};
use arrow::compute::cast;
use arrow::compute::kernels::numeric::add;
use arrow::datatypes::DataType;
use arrow::row::{OwnedRow, RowConverter, SortField};
use datafusion::catalog::TableProvider;
use datafusion::common::{Column, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, lit};
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::TryStreamExt;
use querygate_driver_api::execution::{ExecuteContext, Uncommitted};
use querygate_driver_api::identifier::Identifier;
use querygate_driver_api::value::ValueType;
use querygate_driver_api::write::{TargetColumn, Violation};
use querygate_types::{Error, ErrorCode, Result};
use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::fs::{File, TryLockError};
use std::hash::BuildHasher;
use std::path::Path as FsPath;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Columns whose values together are those of one row.
pub(super) type UniqueSet = Vec<(Identifier, ValueType)>;

/// How long the end of another writer is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is looked whether there is one.
const LOOK: Duration = Duration::from_millis(10);
/// Values that files are pruned by.
const VALUES_MAX: usize = 500;
/// Rows of one transaction whose numbers are kept: some 20 MB.
const SEEN_MAX: usize = 1_000_000;

/// Values of a set that a transaction has stored, as numbers that say of others that they are not among them. What was taken back with
/// a savepoint stays.
#[derive(Debug, Default)]
pub(super) struct Seen {
    state: RandomState,
    numbers: HashSet<u64>,
    is_full: bool,
}

impl Seen {
    fn may_have(&self, keys: &HashSet<OwnedRow>) -> bool {
        self.is_full || keys.iter().any(|key| self.numbers.contains(&self.state.hash_one(key)))
    }

    fn add(&mut self, keys: &HashSet<OwnedRow>) {
        if self.is_full || self.numbers.len().saturating_add(keys.len()) > SEEN_MAX {
            (self.is_full, self.numbers) = (true, HashSet::new());
            return;
        }
        self.numbers.extend(keys.iter().map(|key| self.state.hash_one(key)));
    }
}

/// Waits until no other transaction adds rows to the table. The lock ends with the file, and with the process.
///
/// # Errors
/// 55P03: another writer does not end. 57014.
pub(super) async fn alone(table: &FileTable, context: &ExecuteContext) -> Result<File> {
    let root = table.shared.root().ok_or_else(|| Error::internal("a table without a folder was to be locked"))?;
    let name = lock_name(table.pattern.base().as_ref());
    let file = super::blocking(move || open(&root, &name)).await?;
    let until = Instant::now() + PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(unwritten(&error)),
        }
        if Instant::now() >= until {
            return Err(Error::new(ErrorCode::LockNotAvailable, "another transaction adds rows to the table"));
        }
        tokio::select! {
            biased;
            error = context.over() => return Err(error),
            () = tokio::time::sleep(LOOK) => {}
        }
    }
    // Another process may have added a file that is not listed yet.
    table.files.invalidate();
    Ok(file)
}

fn open(root: &FsPath, name: &str) -> Result<File> {
    let folder = super::room::lobby(root).map_err(|error| unwritten(&error))?;
    File::create(folder.join(name)).map_err(|error| unwritten(&error))
}

/// A name of the folder's own: its letters, and a number of all of it (FNV-1a, which is the same in every build).
fn lock_name(base: &str) -> String {
    let number = base
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let letters: String = base.chars().filter(char::is_ascii_alphanumeric).take(40).collect();
    format!("{letters}-{number:016x}.lock")
}

/// Looks for the values of new rows, among themselves and in the table.
///
/// # Errors
/// 23505: one is there. The files'.
pub(super) async fn check(
    table: &Arc<FileTable>,
    (pending, seen): (&Arc<Pending>, &mut Seen),
    set: &UniqueSet,
    (rows, columns): (&RecordBatch, &[TargetColumn]),
    context: &ExecuteContext,
) -> Result<()> {
    let mut given = Vec::with_capacity(set.len());
    for (name, value_type) in set {
        let at = columns.iter().position(|column| column.name == *name);
        // Without a value it is like no other.
        let Some(values) = at.and_then(|at| rows.columns().get(at)) else { return Ok(()) };
        given.push(one_zero(&cast(values, &value_type.to_arrow()).map_err(Error::internal)?)?);
    }
    let converter = converter(set)?;
    let mut keys = HashSet::new();
    for key in keys_of(&converter, &given)? {
        if !keys.insert(key) {
            return Err(Violation::Unique.error());
        }
    }
    if keys.is_empty() {
        return Ok(());
    }
    // A read of the transaction's own rows completes the file that they are added to.
    let own = seen.may_have(&keys).then_some(pending);
    let found =
        search(table, own, set, &given, |stored| Ok(keys_of(&converter, stored)?.iter().any(|key| keys.contains(key))));
    let is_there = tokio::select! {
        biased;
        error = context.over() => return Err(error),
        found = found => found?,
    };
    if is_there {
        return Err(Violation::Unique.error());
    }
    seen.add(&keys);
    Ok(())
}

/// Values with one zero, as they compare: a row would keep the sign of another one.
fn one_zero(values: &ArrayRef) -> Result<ArrayRef> {
    let zero: ArrayRef = match values.data_type() {
        DataType::Float32 => Arc::new(Float32Array::from(vec![0.0])),
        DataType::Float64 => Arc::new(Float64Array::from(vec![0.0])),
        _ => return Ok(Arc::clone(values)),
    };
    add(values, &Scalar::new(zero)).map_err(Error::internal)
}

fn converter(set: &UniqueSet) -> Result<RowConverter> {
    let fields = set.iter().map(|(_, value_type)| SortField::new(value_type.to_arrow()));
    RowConverter::new(fields.collect()).map_err(Error::internal)
}

/// Each row's values; none of a row that lacks one.
fn keys_of(converter: &RowConverter, columns: &[ArrayRef]) -> Result<Vec<OwnedRow>> {
    let rows = converter.convert_columns(columns).map_err(Error::internal)?;
    let is_whole = |row: &usize| columns.iter().all(|column| column.is_valid(*row));
    let count = rows.num_rows();
    Ok((0..count).filter(is_whole).map(|row| rows.row(row).owned()).collect())
}

/// Whether a batch of the table's rows, or of the transaction's own, is what is looked for.
async fn search(
    table: &Arc<FileTable>,
    pending: Option<&Arc<Pending>>,
    set: &UniqueSet,
    given: &[ArrayRef],
    is_found: impl Fn(&[ArrayRef]) -> Result<bool>,
) -> Result<bool> {
    let failed = |error: DataFusionError| table.names.reading(&error).unwrap_or_else(|| Error::internal(error));
    let pending = pending.filter(|pending| !pending.is_empty());
    if pending.is_none() && table.listed_or_none().await?.is_empty() {
        return Ok(false);
    }
    let own = Uncommitted::default();
    if let Some(pending) = pending {
        own.show(&Arc::new(pending.own_files()));
    }
    let config = SessionConfig::new().with_target_partitions(1).with_extension(Arc::new(own));
    let mut columns = Vec::with_capacity(set.len());
    for (name, _) in set {
        let at = table.file_names.iter().position(|own| own == name.as_str());
        let field = at.and_then(|at| table.schema.fields().get(at));
        let field = field.ok_or_else(|| table.names.unfit("a unique column is not one of the table's"))?;
        columns.push(Expr::Column(Column::new_unqualified(field.name())));
    }
    let provider: Arc<dyn TableProvider> = Arc::<FileTable>::clone(table);
    let mut read = SessionContext::new_with_config(config).read_table(provider).map_err(failed)?;
    if let Some(among) = columns.first().zip(given.first()).and_then(|(column, values)| among(column, values)) {
        read = read.filter(among).map_err(failed)?;
    }
    let mut batches = read.select(columns).map_err(failed)?.execute_stream().await.map_err(failed)?;
    while let Some(batch) = batches.try_next().await.map_err(failed)? {
        let typed =
            batch.columns().iter().zip(set).map(|(values, (_, value_type))| cast(values, &value_type.to_arrow()));
        let typed = typed.collect::<Result<Vec<_>, _>>().map_err(Error::internal)?;
        let typed = typed.iter().map(one_zero).collect::<Result<Vec<_>>>()?;
        if is_found(&typed)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// That a column has one of a few values, by which files are pruned. `None`: they are many, or such that compare in several ways.
fn among(column: &Expr, values: &ArrayRef) -> Option<Expr> {
    let compares = matches!(values.data_type(), DataType::Utf8) || values.data_type().is_integer();
    if !compares || values.len() > VALUES_MAX {
        return None;
    }
    let list = (0..values.len()).map(|row| ScalarValue::try_from_array(values, row).ok().map(lit));
    Some(column.clone().in_list(list.collect::<Option<Vec<_>>>()?, false))
}
