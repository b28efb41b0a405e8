//! TPC-H: the eight tables at any scale, generated, and the 22 statements with the specification's validation parameters.

use arrow::array::RecordBatchReader;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use querygate_types::{Error, ErrorCode, Result};
use std::fs::File;
use std::path::{Path, PathBuf};
use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator, PartSuppGenerator,
    RegionGenerator, SupplierGenerator,
};
use tpchgen_arrow::{
    CustomerArrow, LineItemArrow, NationArrow, OrderArrow, PartArrow, PartSuppArrow, RegionArrow, SupplierArrow,
};

/// The tables, small ones first.
pub const TABLES: [&str; 8] = ["region", "nation", "supplier", "customer", "part", "partsupp", "orders", "lineitem"];

/// Rows of one row group: small enough that a selective scan skips most of a table at scale 0.1.
const ROW_GROUP_ROWS: usize = 128 * 1024;

macro_rules! query_texts {
    ($($number:literal),*) => {
        [$(($number, include_str!(concat!("../../tests/tpch/queries/q", $number, ".sql")))),*]
    };
}

/// `(number, text)` of the 22 statements.
#[must_use]
pub const fn queries() -> [(&'static str, &'static str); 22] {
    query_texts!(
        "01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12", "13", "14", "15", "16", "17", "18",
        "19", "20", "21", "22"
    )
}

/// Streams the rows of a table at `scale` (1 is about 1 GB of text over all tables).
pub fn reader(table: &str, scale: f64) -> Result<Box<dyn RecordBatchReader + Send>> {
    Ok(match table {
        "region" => Box::new(RegionArrow::new(RegionGenerator::new(scale, 1, 1))),
        "nation" => Box::new(NationArrow::new(NationGenerator::new(scale, 1, 1))),
        "supplier" => Box::new(SupplierArrow::new(SupplierGenerator::new(scale, 1, 1))),
        "customer" => Box::new(CustomerArrow::new(CustomerGenerator::new(scale, 1, 1))),
        "part" => Box::new(PartArrow::new(PartGenerator::new(scale, 1, 1))),
        "partsupp" => Box::new(PartSuppArrow::new(PartSuppGenerator::new(scale, 1, 1))),
        "orders" => Box::new(OrderArrow::new(OrderGenerator::new(scale, 1, 1))),
        "lineitem" => Box::new(LineItemArrow::new(LineItemGenerator::new(scale, 1, 1))),
        other => {
            return Err(Error::new(ErrorCode::UndefinedTable, format!("TPC-H has no table \"{other}\"")));
        }
    })
}

/// The rows of a table in memory.
pub fn batches(table: &str, scale: f64) -> Result<(SchemaRef, Vec<RecordBatch>)> {
    let reader = reader(table, scale)?;
    let schema = reader.schema();
    let batches = reader.collect::<std::result::Result<Vec<_>, _>>().map_err(Error::internal)?;
    Ok((schema, batches))
}

/// Writes every table to `<dir>/<table>.parquet` and gives the paths, in the order of [`TABLES`].
pub fn write_parquet(dir: &Path, scale: f64) -> Result<Vec<PathBuf>> {
    TABLES
        .iter()
        .map(|table| {
            let path = dir.join(format!("{table}.parquet"));
            write_table(&path, table, scale)?;
            Ok(path)
        })
        .collect()
}

fn write_table(path: &Path, table: &str, scale: f64) -> Result<()> {
    write_rows(path, reader(table, scale)?)
}

/// Writes rows to a Parquet file.
pub(crate) fn write_rows(path: &Path, rows: impl RecordBatchReader) -> Result<()> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .build();
    let file = File::create(path).map_err(Error::internal)?;
    let mut writer = ArrowWriter::try_new(file, rows.schema(), Some(properties)).map_err(Error::internal)?;
    for batch in rows {
        writer.write(&batch.map_err(Error::internal)?).map_err(Error::internal)?;
    }
    writer.close().map_err(Error::internal)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_of_a_hundredth_has_the_specified_rows() {
        let expected = [5, 25, 100, 1_500, 2_000, 8_000, 15_000, 60_175];
        for (table, rows) in TABLES.iter().zip(expected) {
            let (_, batches) = batches(table, 0.01).unwrap();
            assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), rows, "{table}");
        }
        assert_eq!(reader("orderz", 0.01).err().unwrap().code(), ErrorCode::UndefinedTable);
    }

    #[test]
    fn every_statement_is_one_select() {
        for (number, text) in queries() {
            let text = text.trim();
            assert!(text.ends_with(';') && text.matches(';').count() == 1, "q{number}");
            assert!(text.starts_with("select") || text.starts_with("with"), "q{number}");
        }
    }

    #[test]
    fn parquet_holds_all_tables() {
        let dir = tempfile::tempdir().unwrap();
        let paths = write_parquet(dir.path(), 0.001).unwrap();
        assert_eq!(paths.len(), TABLES.len());
        assert!(paths.iter().all(|p| p.metadata().unwrap().len() > 0));
    }
}
