//! The data lake of the demo: Parquet files, sorted by time, in row groups of 100,000. Counts what the guide promises.

use super::company::{Company, REGIONS, account_id, days, product_id};
use super::rng::Rng;
use super::sqlite::table_rng;
use arrow::array::{
    ArrayRef, Date32Builder, Decimal128Builder, Float64Builder, RecordBatch, StringBuilder, TimestampMillisecondBuilder,
};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;
use querygate_types::{Error, ErrorCode, Result};
use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

const ROW_GROUP_ROWS: usize = 100_000;
pub(super) const EVENTS: u32 = 1_200_000;
const INVOICES: u32 = 120_000;
const MILLIS_PER_DAY: i64 = 86_400_000;

/// Days that the printed query asks for.
pub(super) const QUESTION_FIRST_DAY: i32 = days::LAST - 29;
/// Kind that the printed query asks for.
pub(super) const QUESTION_KIND: &str = "demo_request";

/// Per region: which accounts had an event of the printed query, and how many events, with each owner's part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct EventCount {
    pub(super) events: u64,
    pub(super) accounts: BTreeSet<u32>,
}

/// What the events file holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct EventFigures {
    pub(super) rows: u64,
    /// By account region: all events, and those of sam's accounts.
    pub(super) all: [EventCount; 4],
    pub(super) sams: [EventCount; 4],
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorCode::SourceError, "cannot write the demo files").with_detail(error.to_string())
}

fn writer(path: &Path, schema: &Arc<Schema>, sorted_ids: &[&str]) -> Result<ArrowWriter<File>> {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_data_page_row_count_limit(20_000);
    for id in sorted_ids {
        properties = properties.set_column_dictionary_enabled(ColumnPath::from(*id), false);
    }
    let file = File::create(path).map_err(failed)?;
    ArrowWriter::try_new(file, Arc::clone(schema), Some(properties.build())).map_err(failed)
}

fn text(name: &str) -> Field {
    Field::new(name, DataType::Utf8, true)
}

/// The type that the metadata's `currency` has.
const MONEY: DataType = DataType::Decimal128(18, 4);

fn money() -> Decimal128Builder {
    Decimal128Builder::new().with_data_type(MONEY)
}

fn cents(cents: u32) -> i128 {
    i128::from(cents) * 100
}

/// Writes `events.parquet`.
pub(super) fn write_events(path: &Path, company: &Company) -> Result<EventFigures> {
    let instant = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    let schema = Arc::new(Schema::new(vec![
        text("id"),
        text("account_id"),
        text("owner_id"),
        text("region_id"),
        text("kind"),
        text("channel"),
        Field::new("occurred_at", instant, true),
        Field::new("duration_ms", DataType::Float64, true),
        text("page"),
    ]));
    let mut writer = writer(path, &schema, &["id"])?;
    let mut rng = table_rng("events");
    let mut figures = EventFigures::default();
    let total = company.scale.rows(EVENTS);
    let span = i64::from(days::LAST + 1 - days::EVENTS_FIRST) * MILLIS_PER_DAY;
    let step = span / i64::from(total);
    let start = i64::from(days::EVENTS_FIRST) * MILLIS_PER_DAY;
    let mut number = 0;
    while number < total {
        let end = total.min(number + u32::try_from(ROW_GROUP_ROWS).unwrap_or(u32::MAX));
        let mut events = Events::default();
        while number < end {
            // Evenly spread with jitter inside the step, so that the file is sorted.
            let jitter = i64::from(rng.below(u32::try_from(step).unwrap_or(u32::MAX)));
            events.push(company, &mut rng, number, start + i64::from(number) * step + jitter, &mut figures);
            number += 1;
        }
        writer.write(&events.finish(&schema)?).map_err(failed)?;
    }
    figures.rows = u64::from(total);
    writer.close().map_err(failed)?;
    Ok(figures)
}

#[derive(Default)]
struct Events {
    texts: [StringBuilder; 6],
    occurred_at: TimestampMillisecondBuilder,
    duration_ms: Float64Builder,
    page: StringBuilder,
}

const PAGES: [&str; 8] = ["/", "/pricing", "/docs", "/docs/api", "/blog", "/status", "/app/reports", "/app/settings"];

impl Events {
    fn push(&mut self, company: &Company, rng: &mut Rng, number: u32, at: i64, figures: &mut EventFigures) {
        let account = company.busy_account(rng);
        let facts = company.account(account);
        let kind = match rng.below(100) {
            0..50 => "page_view",
            50..70 => "login",
            70..90 => "feature_use",
            90..96 => "download",
            96..99 => "webinar",
            _ => QUESTION_KIND,
        };
        let region = usize::from(facts.region);
        if kind == QUESTION_KIND && at >= i64::from(QUESTION_FIRST_DAY) * MILLIS_PER_DAY {
            let mut counts = vec![&mut figures.all[region]];
            if facts.owner == super::company::SAM {
                counts.push(&mut figures.sams[region]);
            }
            for count in counts {
                count.events += 1;
                count.accounts.insert(account);
            }
        }
        let [id, account_column, owner, region_column, kind_column, channel] = &mut self.texts;
        id.append_value(format!("evt_{:07}", number + 1));
        account_column.append_value(account_id(account));
        owner.append_value(company.user(facts.owner));
        region_column.append_value(REGIONS[region]);
        kind_column.append_value(kind);
        channel.append_value(rng.pick(&["web", "web", "mobile", "api", "partner"]));
        self.occurred_at.append_value(at);
        self.duration_ms.append_value(f64::from(rng.between(5, 60_000)));
        if kind == "page_view" { self.page.append_value(rng.pick(&PAGES)) } else { self.page.append_null() }
    }

    fn finish(mut self, schema: &Arc<Schema>) -> Result<RecordBatch> {
        let mut columns: Vec<ArrayRef> = self.texts.iter_mut().map(|t| Arc::new(t.finish()) as ArrayRef).collect();
        columns.push(Arc::new(self.occurred_at.finish().with_timezone("UTC")));
        columns.push(Arc::new(self.duration_ms.finish()));
        columns.push(Arc::new(self.page.finish()));
        RecordBatch::try_new(Arc::clone(schema), columns).map_err(failed)
    }
}

/// Writes `invoices.parquet` and `invoice_lines.parquet`. Returns the rows of each.
pub(super) fn write_invoices(invoices: &Path, lines: &Path, company: &Company) -> Result<(u64, u64)> {
    let invoice_schema = Arc::new(Schema::new(vec![
        text("id"),
        text("number"),
        text("account_id"),
        text("owner_id"),
        text("region_id"),
        text("status"),
        text("currency"),
        Field::new("total", MONEY, true),
        Field::new("issued_on", DataType::Date32, true),
        Field::new("due_on", DataType::Date32, true),
        Field::new("paid_on", DataType::Date32, true),
    ]));
    let line_schema = Arc::new(Schema::new(vec![
        text("id"),
        text("invoice_id"),
        text("product_id"),
        Field::new("quantity", DataType::Float64, true),
        Field::new("unit_price", MONEY, true),
        Field::new("amount", MONEY, true),
    ]));
    let mut invoice_writer = writer(invoices, &invoice_schema, &["id", "number"])?;
    let mut line_writer = writer(lines, &line_schema, &["id"])?;
    let mut rng = table_rng("invoices");
    let total = company.scale.rows(INVOICES);
    let mut all_lines = 0;
    let mut number = 0;
    while number < total {
        let end = total.min(number + 40_000);
        let mut invoice_rows = Invoices::default();
        let mut line_rows = InvoiceLines::default();
        while number < end {
            let amount = line_rows.push(&mut rng, number, &mut all_lines);
            invoice_rows.push(company, &mut rng, number, total, amount);
            number += 1;
        }
        invoice_writer.write(&invoice_rows.finish(&invoice_schema)?).map_err(failed)?;
        line_writer.write(&line_rows.finish(&line_schema)?).map_err(failed)?;
    }
    invoice_writer.close().map_err(failed)?;
    line_writer.close().map_err(failed)?;
    Ok((u64::from(total), all_lines))
}

struct Invoices {
    texts: [StringBuilder; 7],
    total: Decimal128Builder,
    dates: [Date32Builder; 3],
}

impl Default for Invoices {
    fn default() -> Self {
        Self { texts: Default::default(), total: money(), dates: Default::default() }
    }
}

impl Invoices {
    fn push(&mut self, company: &Company, rng: &mut Rng, number: u32, of: u32, amount: i128) {
        let account = company.busy_account(rng);
        let facts = company.account(account);
        let span = i64::from(days::LAST - days::FIRST);
        let issued = days::FIRST + i32::try_from(i64::from(number) * span / i64::from(of)).unwrap_or(0);
        let due = issued + 30;
        let status = match rng.below(100) {
            0..3 => "cancelled",
            3..10 if due < days::LAST => "overdue",
            10..90 if due < days::LAST => "paid",
            _ if due < days::LAST => "paid",
            _ => "open",
        };
        let [id, invoice_number, account_column, owner, region, status_column, currency] = &mut self.texts;
        id.append_value(invoice_id(number));
        invoice_number.append_value(format!("R-{:07}", number + 1));
        account_column.append_value(account_id(account));
        owner.append_value(company.user(facts.owner));
        region.append_value(REGIONS[usize::from(facts.region)]);
        status_column.append_value(status);
        currency.append_value(rng.pick(&["EUR", "EUR", "EUR", "USD", "GBP", "CHF"]));
        self.total.append_value(amount);
        let [issued_on, due_on, paid_on] = &mut self.dates;
        issued_on.append_value(issued);
        due_on.append_value(due);
        if status == "paid" {
            paid_on.append_value(issued + i32::try_from(rng.between(1, 40)).unwrap_or(1));
        } else {
            paid_on.append_null();
        }
    }

    fn finish(mut self, schema: &Arc<Schema>) -> Result<RecordBatch> {
        let mut columns: Vec<ArrayRef> = self.texts.iter_mut().map(|t| Arc::new(t.finish()) as ArrayRef).collect();
        columns.push(Arc::new(self.total.finish()));
        columns.extend(self.dates.iter_mut().map(|d| Arc::new(d.finish()) as ArrayRef));
        RecordBatch::try_new(Arc::clone(schema), columns).map_err(failed)
    }
}

fn invoice_id(number: u32) -> String {
    format!("inv_{:06}", number + 1)
}

struct InvoiceLines {
    texts: [StringBuilder; 3],
    quantity: Float64Builder,
    unit_price: Decimal128Builder,
    amount: Decimal128Builder,
}

impl Default for InvoiceLines {
    fn default() -> Self {
        Self { texts: Default::default(), quantity: Float64Builder::new(), unit_price: money(), amount: money() }
    }
}

impl InvoiceLines {
    /// One to four lines. Returns their sum in units of the decimal's last digit.
    fn push(&mut self, rng: &mut Rng, invoice: u32, all_lines: &mut u64) -> i128 {
        let mut sum = 0;
        for _ in 0..rng.between(1, 4) {
            *all_lines += 1;
            let quantity = rng.between(1, 20);
            let price = rng.between(4_900, 499_900);
            let amount = cents(price) * i128::from(quantity);
            let [id, invoice_column, product] = &mut self.texts;
            id.append_value(format!("inl_{all_lines:06}"));
            invoice_column.append_value(invoice_id(invoice));
            product.append_value(product_id(rng));
            self.quantity.append_value(f64::from(quantity));
            self.unit_price.append_value(cents(price));
            self.amount.append_value(amount);
            sum += amount;
        }
        sum
    }

    fn finish(mut self, schema: &Arc<Schema>) -> Result<RecordBatch> {
        let mut columns: Vec<ArrayRef> = self.texts.iter_mut().map(|t| Arc::new(t.finish()) as ArrayRef).collect();
        columns.push(Arc::new(self.quantity.finish()));
        columns.push(Arc::new(self.unit_price.finish()));
        columns.push(Arc::new(self.amount.finish()));
        RecordBatch::try_new(Arc::clone(schema), columns).map_err(failed)
    }
}
