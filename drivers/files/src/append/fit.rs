//! Values as the files of a table hold them, which reading gives back as they were. A new file is made like the newest one.

use super::unsupported;
use crate::buffered::Buffered;
use crate::error::Names;
use crate::footers;
use crate::table::FileTable;
use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::{CastOptions, can_cast_types, cast, cast_with_options};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::util::display::FormatOptions;
use parquet::basic::Compression;
use querygate_driver_api::write::{TargetColumn, Violation};
use querygate_types::{Error, ErrorCode, Result};
use std::fs::Permissions;
use std::sync::Arc;

/// Room for files that other writers add at the same time.
const FILES_SPARED: usize = 100;

/// What a new file of a table is like.
#[derive(Debug, Clone)]
pub(super) struct Template {
    /// As the newest file has them; behind them declared columns that it lacks.
    pub(super) schema: SchemaRef,
    pub(super) compression: Compression,
    /// Who may read a file.
    pub(super) permissions: Option<Permissions>,
    /// What all files that are written of the source keep in memory.
    pub(super) buffered: Buffered,
    /// By their names in files, as what they are read.
    declared: Vec<(String, DataType)>,
}

impl Template {
    /// Of a table as it is now.
    ///
    /// # Errors
    /// The files'. 54000: the table has as many files as it may have.
    pub(super) async fn of(table: &FileTable) -> Result<Self> {
        let fields = table.schema.fields().iter().zip(&table.file_names);
        let declared: Vec<_> = fields.map(|(field, name)| (name.clone(), plain(field.data_type()))).collect();
        let listed = table.listed_or_none().await?;
        if listed.len() + FILES_SPARED > table.shared.config.limits.files_max {
            let error = Error::new(ErrorCode::ProgramLimitExceeded, "the table has as many files as it may have");
            return Err(error.with_hint(
                "Each transaction that adds rows makes a file: ask an operator to write them anew as fewer.",
            ));
        }
        let newest = listed.iter().max_by(|a, b| (a.last_modified, &a.location).cmp(&(b.last_modified, &b.location)));
        let (mut fields, mut compression, mut permissions) = (Vec::new(), Compression::SNAPPY, None);
        if let Some(newest) = newest {
            let footer = table.shared.footers()?.footer(newest, &table.names).await?;
            let found = footers::file_schema(&footer).map_err(|error| table.names.broken(error))?;
            fields.extend(found.fields().iter().cloned());
            let first = footer.row_groups().first().and_then(|group| group.columns().first());
            compression = first.map_or(compression, |column| writable(column.compression()));
            let place =
                |root: std::path::PathBuf| newest.location.parts().fold(root, |at, part| at.join(part.as_ref()));
            permissions =
                table.shared.root().map(place).and_then(|place| Some(std::fs::metadata(place).ok()?.permissions()));
        }
        for (name, data_type) in &declared {
            if !fields.iter().any(|field| field.name() == name) {
                fields.push(Arc::new(Field::new(name, data_type.clone(), true)));
            }
        }
        let buffered = table.shared.buffered.clone();
        Ok(Self { schema: Arc::new(Schema::new(fields)), compression, permissions, buffered, declared })
    }

    /// New rows as the file holds them. Columns that get no value have none.
    ///
    /// # Errors
    /// 22000: a value that would be read as another one. 23502: a column that is never empty gets no value. 0A000: a column whose
    /// type in the files takes no values of the declared one.
    pub(super) fn fit(&self, rows: &RecordBatch, columns: &[TargetColumn], names: &Names) -> Result<RecordBatch> {
        let mut arrays = Vec::with_capacity(self.schema.fields().len());
        for field in self.schema.fields() {
            let given = columns.iter().position(|column| column.name.as_str() == field.name());
            let array = match given.and_then(|at| Some((columns.get(at)?, rows.columns().get(at)?))) {
                Some((column, values)) => self.stored(column, values, field)?,
                None => new_null_array(field.data_type(), rows.num_rows()),
            };
            if !field.is_nullable() && array.logical_null_count() > 0 {
                return Err(Violation::NotNull.error());
            }
            arrays.push(array);
        }
        if columns.iter().any(|column| self.schema.field_with_name(column.name.as_str()).is_err()) {
            return Err(names.unfit("a column that is written is not one of the table's"));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options).map_err(Error::internal)
    }

    fn stored(&self, column: &TargetColumn, values: &ArrayRef, field: &Field) -> Result<ArrayRef> {
        let own = column.value_type.to_arrow();
        let given = cast(values, &own).map_err(Error::internal)?;
        let declared =
            self.declared.iter().find(|(name, _)| name == field.name()).map_or(&own, |(_, declared)| declared);
        if *declared == own && *field.data_type() == own {
            return Ok(given);
        }
        let (held, read) = (field.data_type(), declared);
        if !can_cast_types(&own, held) || !can_cast_types(held, read) || !can_cast_types(read, &own) {
            let text =
                format!("values of column \"{}\" cannot be written in the type that its files have", field.name());
            return Err(unsupported(&text));
        }
        // As it would be read: what comes back otherwise is not written.
        let stored = exactly(&given, held)?;
        let again = exactly(&exactly(&stored, read)?, &own)?;
        if again.to_data() == given.to_data() { Ok(stored) } else { Err(Violation::Value.error()) }
    }
}

/// A declared type as files are given it: views are how a reader holds texts.
fn plain(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8View => DataType::Utf8,
        other => other.clone(),
    }
}

/// How the newest file is compressed, where this is written here too.
fn writable(compression: Compression) -> Compression {
    match compression {
        Compression::UNCOMPRESSED | Compression::SNAPPY | Compression::ZSTD(_) | Compression::LZ4_RAW => compression,
        Compression::GZIP(_) | Compression::LZO | Compression::BROTLI(_) | Compression::LZ4 => Compression::SNAPPY,
    }
}

fn exactly(values: &ArrayRef, data_type: &DataType) -> Result<ArrayRef> {
    let options = CastOptions { safe: false, format_options: FormatOptions::default() };
    cast_with_options(values, data_type, &options).map_err(|_| Violation::Value.error())
}

#[cfg(test)]
mod tests;
