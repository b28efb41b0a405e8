//! What a change makes of a table's rows: new chunks for those that it touches, and proof that the columns and keys hold them.

use super::definition::{DefinedColumn, Definition, UniqueColumns};
use super::tables::TemporaryTables;
use crate::errors::{Stage, translate};
use crate::temporary_rows::{Chunk, ChunkStore, Chunks};
use crate::write::values::assignment::{fit, within};
use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, RecordBatch, RecordBatchOptions, StringArray, new_null_array,
};
use arrow::compute::{CastOptions, cast_with_options, concat_batches, interleave};
use arrow::datatypes::{DataType, Field};
use arrow::row::{RowConverter, SortField};
use datafusion::execution::memory_pool::MemoryReservation;
use querygate_semantics::numerics::{equality_keys, in_column};
use querygate_types::{Error, ErrorCode, PgType, Result};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use tokio::task::yield_now;

/// Rows of a query, charged as long as they are held.
#[derive(Debug)]
pub(crate) struct CollectedRows {
    pub(crate) batches: Vec<RecordBatch>,
    pub(crate) _charge: MemoryReservation,
}

/// A table's rows after a change.
#[derive(Debug)]
pub(crate) struct ChangedTable {
    pub(crate) rows: Chunks,
    /// New rows, rows with new values, or those that are gone.
    pub(crate) changed: Chunks,
}

impl ChangedTable {
    pub(crate) fn cleared() -> Self {
        Self { rows: Chunks::default(), changed: Chunks::default() }
    }
}

/// Rows that a few new ones are put together with, so that a table that grows row by row has no chunk for each.
const TOGETHER_MAX: usize = 2_048;
/// Bytes of such rows.
const TOGETHER_BYTES_MAX: usize = 1 << 20;

/// What a hash table takes for a row's number and place, about.
const PLACE_BYTES: usize = 56;

/// A table that is changed. Each step asks between chunks whether it is over.
#[derive(Debug)]
pub(crate) struct TableChange {
    pub(crate) before: Chunks,
    pub(crate) definition: Arc<Definition>,
    pub(crate) table: Arc<str>,
    pub(crate) tables: Arc<TemporaryTables>,
}

impl TableChange {
    fn store(&self) -> &ChunkStore {
        self.tables.store()
    }

    /// # Errors
    /// 23505: rows share a key. 53200, 53100: there is no room.
    pub(crate) async fn added(&self, new: Chunks) -> Result<ChangedTable> {
        let mut rows: Vec<Arc<Chunk>> = self.before.iter().map(Arc::clone).collect();
        let few = new.iter().map(|chunk| chunk.count()).sum::<usize>();
        let bytes = new.iter().map(|chunk| chunk.bytes()).fold(0, usize::saturating_add);
        match rows.last().map(Arc::clone) {
            Some(last) if last.count() + few <= TOGETHER_MAX && last.bytes() + bytes <= TOGETHER_BYTES_MAX => {
                let batches = [last].iter().chain(new.iter()).map(|chunk| chunk.batch()).collect::<Result<Vec<_>>>()?;
                let batch = concat_batches(self.definition.schema(), &batches).map_err(Error::internal)?;
                rows.pop();
                rows.push(self.store().keep(batch)?);
            }
            Some(_) | None => rows.extend(new.iter().map(Arc::clone)),
        }
        self.check_keys(&rows).await?;
        Ok(ChangedTable { rows: rows.into(), changed: new })
    }

    /// `found`: the number of each row, then its values for the columns `assigned`. Of a row that was found more than once, the first.
    ///
    /// # Errors
    /// As [`added`](Self::added); 22001, 23502: a value that the column does not hold.
    pub(crate) async fn updated(&self, found: &CollectedRows, assigned: &[usize]) -> Result<ChangedTable> {
        let charge = self.store().charge();
        let mut places: HashMap<i64, (usize, usize)> = HashMap::new();
        for (at, batch) in found.batches.iter().enumerate() {
            yield_now().await;
            charge_rows(&charge, batch.num_rows(), PLACE_BYTES)?;
            for (row, number) in numbers(batch)?.values().iter().enumerate() {
                places.entry(*number).or_insert((at, row));
            }
        }
        let values = new_values(found, assigned, &self.definition)?;
        let (mut rows, mut changed) = (Vec::new(), Vec::new());
        let mut first = 0_i64;
        for chunk in self.before.iter() {
            yield_now().await;
            let own = (first..).take(chunk.count());
            first = first.saturating_add(chunk.length());
            let hits: Vec<(usize, (usize, usize))> =
                own.enumerate().filter_map(|(row, number)| Some((row, *places.get(&number)?))).collect();
            if hits.is_empty() {
                rows.push(Arc::clone(chunk));
                continue;
            }
            let batch = with_values(&chunk.batch()?, &hits, &values)?;
            let batch = stored(&batch, &self.definition, &self.table)?;
            let numbers: Vec<u32> = hits.iter().filter_map(|(row, _)| u32::try_from(*row).ok()).collect();
            let new = self.store().keep(batch)?;
            changed.push(match new.only(&numbers)? {
                Some(only) => self.store().keep(only)?,
                None => Arc::clone(&new),
            });
            rows.push(new);
        }
        if !changed.is_empty() {
            self.check_keys(&rows).await?;
        }
        Ok(ChangedTable { rows: rows.into(), changed: changed.into() })
    }

    /// # Errors
    /// 53200, 53100: there is no room.
    pub(crate) async fn deleted(&self, found: &CollectedRows) -> Result<ChangedTable> {
        let charge = self.store().charge();
        let mut gone = HashSet::new();
        for batch in &found.batches {
            yield_now().await;
            charge_rows(&charge, batch.num_rows(), PLACE_BYTES)?;
            gone.extend(numbers(batch)?.values().iter().copied());
        }
        let (mut rows, mut changed) = (Vec::new(), Vec::new());
        let mut first = 0_i64;
        for chunk in self.before.iter() {
            yield_now().await;
            let own = (first..).take(chunk.count());
            first = first.saturating_add(chunk.length());
            let (lost, kept): (Vec<_>, Vec<_>) = own.zip(0_u32..).partition(|(number, _)| gone.contains(number));
            if lost.is_empty() {
                rows.push(Arc::clone(chunk));
                continue;
            }
            let of = |rows: Vec<(i64, u32)>| rows.into_iter().map(|(_, row)| row).collect::<Vec<u32>>();
            changed.push(match chunk.only(&of(lost))? {
                Some(only) => self.store().keep(only)?,
                None => Arc::clone(chunk),
            });
            if !kept.is_empty()
                && let Some(only) = chunk.only(&of(kept))?
            {
                rows.push(self.store().keep(only)?);
            }
        }
        Ok(ChangedTable { rows: rows.into(), changed: changed.into() })
    }

    async fn check_keys(&self, rows: &[Arc<Chunk>]) -> Result<()> {
        for key in self.definition.keys() {
            self.check_key(key, rows).await?;
        }
        Ok(())
    }

    async fn check_key(&self, key: &UniqueColumns, rows: &[Arc<Chunk>]) -> Result<()> {
        let places: Vec<usize> = key.columns.iter().filter_map(|name| self.definition.place(name)).collect();
        let charge = self.store().charge();
        let mut seen: HashSet<Box<[u8]>> = HashSet::new();
        for chunk in rows {
            yield_now().await;
            let batch = chunk.batch()?.project(&places).map_err(Error::internal)?;
            let own = places.iter().zip(batch.columns()).map(|(place, values)| {
                let pg_type = self.definition.columns().get(*place).map(|column| column.pg_type);
                let is_jsonb = matches!(pg_type, Some(PgType::Jsonb | PgType::JsonbArray));
                equality_keys(values, is_jsonb).map_err(|error| translate(&error, Stage::Execute))
            });
            let own = own.collect::<Result<Vec<_>>>()?;
            let fields = own.iter().map(|values| SortField::new(values.data_type().clone())).collect();
            let converter = RowConverter::new(fields).map_err(Error::internal)?;
            let keys = converter.convert_columns(&own).map_err(Error::internal)?;
            charge_rows(&charge, keys.num_rows(), PLACE_BYTES.saturating_add(keys.size() / keys.num_rows().max(1)))?;
            for (at, key_of_row) in keys.iter().enumerate() {
                // NULL is equal to nothing.
                if batch.columns().iter().all(|column| column.is_valid(at)) && !seen.insert(key_of_row.as_ref().into())
                {
                    return Err(taken(key, &self.table));
                }
            }
        }
        Ok(())
    }
}

/// Takes room for what is noted of each of some rows.
fn charge_rows(charge: &MemoryReservation, rows: usize, bytes: usize) -> Result<()> {
    charge.try_grow(rows.saturating_mul(bytes)).map_err(|error| translate(&error, Stage::Execute))
}

fn taken(key: &UniqueColumns, table: &str) -> Error {
    let usual = || match key.is_primary {
        true => format!("{table}_pkey"),
        false => format!("{table}_{}_key", key.columns.join("_")),
    };
    let name = key.name.clone().unwrap_or_else(usual);
    let text = format!("duplicate key value violates unique constraint \"{name}\"");
    Error::new(ErrorCode::UniqueViolation, text).with_constraint(name).with_relation(table)
}

fn numbers(batch: &RecordBatch) -> Result<&Int64Array> {
    let column = batch.columns().first().and_then(|column| column.as_primitive_opt());
    column.ok_or_else(|| Error::internal("rows were found without their numbers"))
}

/// By the place of each assigned column, the new values of each batch in the column's own type.
type NewValues = Vec<(usize, Vec<ArrayRef>)>;

fn new_values(found: &CollectedRows, assigned: &[usize], definition: &Definition) -> Result<NewValues> {
    let of = |(at, place): (usize, &usize)| {
        let lost = || Error::internal("a new value is missing");
        let field = definition.schema().fields().get(*place).ok_or_else(lost)?;
        let values = found.batches.iter();
        let values = values.map(|batch| converted(batch.columns().get(at + 1).ok_or_else(lost)?, field));
        Ok((*place, values.collect::<Result<Vec<_>>>()?))
    };
    assigned.iter().enumerate().map(of).collect()
}

/// A chunk's rows with new values of some columns in some of them.
fn with_values(batch: &RecordBatch, hits: &[(usize, (usize, usize))], values: &NewValues) -> Result<RecordBatch> {
    let mut indices: Vec<(usize, usize)> = (0..batch.num_rows()).map(|row| (0, row)).collect();
    for (row, (at, from)) in hits {
        if let Some(index) = indices.get_mut(*row) {
            *index = (at + 1, *from);
        }
    }
    let mut columns = batch.columns().to_vec();
    for (place, values) in values {
        let Some(own) = columns.get_mut(*place) else { continue };
        let arrays: Vec<&dyn Array> = [&*own].into_iter().chain(values).map(AsRef::as_ref).collect();
        let changed = interleave(&arrays, &indices).map_err(Error::internal)?;
        *own = changed;
    }
    RecordBatch::try_new(batch.schema(), columns).map_err(Error::internal)
}

/// Values in a column's own type.
///
/// # Errors
/// 22003: one that the type does not hold.
fn converted(values: &ArrayRef, wanted: &Field) -> Result<ArrayRef> {
    if values.data_type() == wanted.data_type() {
        return Ok(Arc::clone(values));
    }
    if let Some(numerics) = in_column(values, wanted).map_err(|error| translate(&error, Stage::Execute))? {
        return Ok(numerics);
    }
    let exact = CastOptions { safe: false, ..CastOptions::default() };
    let out_of_range =
        || Error::new(ErrorCode::NumericOutOfRange, format!("value is out of range for column \"{}\"", wanted.name()));
    let kept =
        cast_with_options(values, wanted.data_type(), &exact).map_err(|error| out_of_range().with_cause(error))?;
    if !loses_places(values.data_type(), wanted.data_type()) {
        return Ok(kept);
    }
    let back =
        cast_with_options(&kept, values.data_type(), &exact).map_err(|error| out_of_range().with_cause(error))?;
    if back.as_ref() == values.as_ref() { Ok(kept) } else { Err(out_of_range()) }
}

/// Whether a conversion may round. What rounds on purpose has done so: the statement casts to the column's type.
fn loses_places(from: &DataType, to: &DataType) -> bool {
    match (from, to) {
        (DataType::Decimal128(_, from), DataType::Decimal128(_, to)) => from > to,
        (DataType::List(from), DataType::List(to)) => loses_places(from.data_type(), to.data_type()),
        _ => false,
    }
}

/// Rows in the columns of a table, of which each holds its values.
///
/// # Errors
/// 22001: a text is too long. 23502: NULL where none may be.
pub(crate) fn stored(batch: &RecordBatch, definition: &Definition, table: &str) -> Result<RecordBatch> {
    let schema = definition.schema();
    let mut columns = Vec::with_capacity(schema.fields().len());
    for ((values, field), column) in batch.columns().iter().zip(schema.fields()).zip(definition.columns()) {
        let values = converted(values, field)?;
        columns.push(sized(values, column)?);
        let has_null = columns.last().is_some_and(|values| values.null_count() > 0);
        if column.not_null && has_null {
            let text = format!(
                "null value in column \"{}\" of relation \"{table}\" violates not-null constraint",
                column.name
            );
            return Err(Error::new(ErrorCode::NotNullViolation, text).with_relation(table).with_field(&column.name));
        }
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options).map_err(Error::internal)
}

/// Values of a type with a length: none is longer. Those of `character` are kept without the blanks that fill them up, as all such are.
fn sized(values: ArrayRef, column: &DefinedColumn) -> Result<ArrayRef> {
    let Some(length) = column.length() else { return Ok(values) };
    let values = within(values, Some(length))?;
    if column.pg_type != PgType::Bpchar {
        return Ok(values);
    }
    let Some(texts) = values.as_string_opt::<i32>() else { return Ok(values) };
    let plain = texts.iter().map(|text| text.map(|text| text.trim_end_matches(' ')));
    Ok(Arc::new(plain.collect::<StringArray>()))
}

/// Rows for some columns of a table, with NULL in all others.
///
/// # Errors
/// 42804: a column takes no values of such a type.
pub(crate) fn placed(batch: &RecordBatch, places: &[usize], definition: &Definition) -> Result<RecordBatch> {
    let schema = definition.schema();
    let mut columns = Vec::with_capacity(schema.fields().len());
    for (own, field) in schema.fields().iter().enumerate() {
        let given = places.iter().position(|place| *place == own).and_then(|at| batch.columns().get(at));
        columns.push(match given {
            Some(values) => match in_column(values, field).map_err(|error| translate(&error, Stage::Execute))? {
                Some(numerics) => numerics,
                None => fit(values, field.data_type(), field.name())?,
            },
            None => new_null_array(field.data_type(), batch.num_rows()),
        });
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options).map_err(Error::internal)
}
