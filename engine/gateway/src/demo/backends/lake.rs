//! The demo's Parquet file: what became of each order. Starts no server.

use super::governance;
use super::guide::Part;
use super::trade::{Table, Trade};
use arrow::array::{ArrayRef, Date32Array, Int32Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use querygate_types::{Error, ErrorCode, Result};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;

pub(super) const SOURCE: &str = "lake";
/// Keys of its `[[sources]]` entry beside the name.
pub(super) const ENTRY: &str = "kind = \"files\"\npath = \"lake\"\n";

pub(super) fn write(folder: &Path, trade: &Trade) -> Result<()> {
    let failed = |e: String| Error::new(ErrorCode::SourceError, "cannot write the demo files").with_detail(e);
    std::fs::create_dir(folder).map_err(|e| super::disk(&e))?;
    let orders = || (0_u32..).zip(&trade.orders);
    let ids: ArrayRef = Arc::new(orders().map(|(number, _)| Some(Trade::order_id(number))).collect::<StringArray>());
    let regions: ArrayRef = Arc::new(orders().map(|(_, order)| Some(trade.region(order))).collect::<StringArray>());
    let carriers: ArrayRef = Arc::new(orders().map(|(_, order)| Some(order.carrier)).collect::<StringArray>());
    let shipped: ArrayRef = Arc::new(Date32Array::from_iter_values(orders().map(|(_, order)| order.day + 2)));
    let late: ArrayRef = Arc::new(Int32Array::from_iter_values(orders().map(|(_, order)| order.days_late)));
    let columns =
        [("order_id", ids), ("region", regions), ("carrier", carriers), ("shipped_on", shipped), ("days_late", late)];
    let batch = RecordBatch::try_from_iter(columns).map_err(Error::internal)?;
    let file = std::fs::File::create(folder.join("shipments.parquet")).map_err(|e| super::disk(&e))?;
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).map_err(|e| failed(e.to_string()))?;
    writer.write(&batch).map_err(|e| failed(e.to_string()))?;
    writer.close().map(drop).map_err(|e| failed(e.to_string()))
}

pub(super) fn govern(package: &mut Value) -> Result<()> {
    let own_region = [("lake_shipments", "region == current_user.region")];
    governance::grant(package, governance::set("lake_region", "Shipments of one region", &own_region))
}

pub(super) fn part() -> Part {
    Part {
        columns: &["s.days_late"],
        tables: "shipments s",
        on: "s.order_id = o.id",
        condition: "s.days_late >= 10",
        keeps: |_, order| order.days_late >= 10,
        sets: ["lake_reader", "lake_region", "lake_region"],
        words: "Parquet how late it came",
        loads: &[Table::Shipments],
    }
}
