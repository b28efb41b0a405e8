//! Formats of files and what they can hold. Writes nothing.

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use clap::ValueEnum;
use querygate_types::{Error, ErrorCode, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Parquet,
    /// Arrow's file format, which Feather readers read too.
    Arrow,
    Csv,
}

impl Format {
    /// By a file's ending.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "parquet" | "pq" => Some(Self::Parquet),
            "arrow" | "feather" | "ipc" => Some(Self::Arrow),
            "csv" => Some(Self::Csv),
            _ => None,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Parquet => "Parquet",
            Self::Arrow => "Arrow",
            Self::Csv => "CSV",
        }
    }
}

/// Compression inside a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Compression {
    None,
    Snappy,
    Lz4,
    Zstd,
}

/// The file to write.
#[derive(Debug, Clone)]
pub(crate) struct FileOptions {
    pub(crate) path: PathBuf,
    pub(crate) format: Format,
    /// `None`: the format's usual one.
    pub(crate) compression: Option<Compression>,
    /// What NULL is in CSV.
    pub(crate) null: String,
}

impl FileOptions {
    /// The schema of the file for a result's: the same, except where the format has no place for a layout. An Arrow file
    /// has one dictionary for a column, and streams that run side by side have one each: there the values are written.
    pub(super) fn schema(&self, result: &SchemaRef) -> Result<SchemaRef> {
        match self.format {
            Format::Parquet => Ok(Arc::clone(result)),
            Format::Arrow => {
                let fields = result.fields().iter().map(|field| match field.data_type() {
                    DataType::Dictionary(_, values) => field.as_ref().clone().with_data_type(values.as_ref().clone()),
                    _ => field.as_ref().clone(),
                });
                let fields: Vec<Field> = fields.collect();
                Ok(Arc::new(Schema::new_with_metadata(fields, result.metadata().clone())))
            }
            Format::Csv => match result.fields().iter().find(|field| field.data_type().is_nested()) {
                Some(nested) => Err(self.unfit(&format!("column \"{}\" holds lists or records", nested.name()))),
                None => Ok(Arc::clone(result)),
            },
        }
    }

    /// A result that the format cannot hold.
    pub(super) fn unfit(&self, why: &str) -> Error {
        Error::new(ErrorCode::FeatureNotSupported, format!("{} cannot hold this result", self.format.name()))
            .with_detail(why.to_owned())
            .with_hint("Write .arrow, or cast the column to text in the query.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_name_formats() {
        for (name, format) in [
            ("a.parquet", Some(Format::Parquet)),
            ("a.b.PQ", Some(Format::Parquet)),
            ("x/a.arrow", Some(Format::Arrow)),
            ("a.feather", Some(Format::Arrow)),
            ("a.csv", Some(Format::Csv)),
            ("a.txt", None),
            ("parquet", None),
        ] {
            assert_eq!(Format::of(Path::new(name)), format, "{name}");
        }
    }
}
