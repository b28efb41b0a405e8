//! Infers the columns of files for introspection: Parquet from footers, text from a sample. Knows no plan.

use crate::compat::readable_as;
use crate::config::{CsvOptions, FileFormat, TableSpec};
use crate::error::Names;
use crate::footers;
use crate::pattern::FilePattern;
use crate::source::Shared;
use crate::store::fetch::{Fetch, Lines};
use crate::store::listing;
use crate::text::RowFailure;
use crate::text::csv::Records;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use futures::stream::{self, StreamExt};
use object_store::{ObjectMeta, ObjectStore};
use querygate_types::{Error, ErrorCode, Result};
use serde_json::Value;
use std::sync::Arc;

/// Rows and files that a sample of text looks at.
const SAMPLE_ROWS: usize = 1_000;
const SAMPLE_FILES: usize = 4;

/// What the files of a table look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inferred {
    /// Columns, hive partitions last and as text; all nullable.
    pub schema: SchemaRef,
    pub files: usize,
    pub bytes: u64,
    /// Rows, where the format counts them.
    pub rows: Option<u64>,
}

pub(crate) async fn infer(shared: &Shared, spec: &TableSpec) -> Result<Inferred> {
    let names = Names::new(&shared.config.name, &spec.name);
    let store = shared.store()?;
    let pattern = FilePattern::parse(&spec.pattern)
        .map_err(|e| Error::new(ErrorCode::MetadataInvalid, format!("table \"{}\": {e}", spec.name)))?;
    let limits = &shared.config.limits;
    let listed = {
        let _whole = shared.replacing.read().await;
        listing::list(store.as_ref(), &pattern, &spec.format, limits, &names).await?
    };
    let (mut columns, rows) = match &spec.format {
        FileFormat::Parquet => from_footers(shared, &listed, &names).await?,
        FileFormat::Csv(_) | FileFormat::Ndjson => {
            let mut columns = Columns::default();
            for meta in listed.iter().take(SAMPLE_FILES) {
                let sampled = match &spec.format {
                    FileFormat::Csv(options) => sample_csv(shared, &store, meta, options, &mut columns).await,
                    _ => sample_ndjson(shared, &store, meta, &mut columns).await,
                };
                sampled.map_err(|failure| match failure {
                    RowFailure::Store(error) => names.store(&error),
                    RowFailure::TooLong => names.too_big("a row of", &meta.location),
                    RowFailure::Row(error) => names.unfit(format!("{}: {error}", meta.location)),
                    RowFailure::Format(text) => names.broken(format!("{}: {text}", meta.location)),
                })?;
            }
            (columns.fields(), None)
        }
    };
    for (key, _) in listed.first().map(|m| pattern.partitions(&m.location)).unwrap_or_default() {
        columns.retain(|f| f.name() != &key);
        columns.push(Field::new(key, DataType::Utf8, true));
    }
    if columns.len() > limits.columns_max {
        return Err(names.too_big("the number of columns of", columns.len()));
    }
    let bytes = listed.iter().map(|m| m.size).sum();
    Ok(Inferred { schema: Arc::new(Schema::new(columns)), files: listed.len(), bytes, rows })
}

async fn from_footers(shared: &Shared, listed: &[ObjectMeta], names: &Names) -> Result<(Vec<Field>, Option<u64>)> {
    let reader = shared.footers()?;
    let reads: Vec<_> = listed.iter().map(|meta| reader.footer(meta, names)).collect();
    let mut read = stream::iter(listed).zip(stream::iter(reads).buffered(16));
    let (mut columns, mut rows): (Vec<Field>, u64) = (Vec::new(), 0);
    while let Some((meta, footer)) = read.next().await {
        let footer = footer?;
        rows += u64::try_from(footer.file_metadata().num_rows()).unwrap_or(0);
        let schema = footers::file_schema(&footer).map_err(|e| names.broken(format!("{}: {e}", meta.location)))?;
        for field in schema.fields() {
            match columns.iter_mut().find(|c| c.name() == field.name()) {
                None => columns.push(field.as_ref().clone().with_nullable(true)),
                Some(known) if readable_as(field.data_type(), known.data_type()) => {}
                Some(known) if readable_as(known.data_type(), field.data_type()) => {
                    known.set_data_type(field.data_type().clone());
                }
                Some(known) => {
                    let cause = format!(
                        "{}: column \"{}\" is {}, other files have {}",
                        meta.location,
                        field.name(),
                        field.data_type(),
                        known.data_type()
                    );
                    return Err(names.unfit(cause));
                }
            }
        }
    }
    Ok((columns, Some(rows)))
}

/// What the sampled values of a column have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Nothing,
    Boolean,
    Integer,
    Float,
    Date,
    Instant,
    Text,
    Texts,
    Json,
}

impl Seen {
    fn and(self, other: Self) -> Self {
        use Seen::{Date, Float, Instant, Integer, Json, Nothing, Text, Texts};
        match (self, other) {
            (a, b) if a == b => a,
            (Nothing, a) | (a, Nothing) => a,
            (Integer, Float) | (Float, Integer) => Float,
            (Date, Instant) | (Instant, Date) => Instant,
            (Json | Texts, _) | (_, Json | Texts) => Json,
            _ => Text,
        }
    }

    fn text(value: &str) -> Self {
        let bytes = value.as_bytes();
        let digits = value.strip_prefix('-').unwrap_or(value);
        // A leading zero is part of a code, not of a number.
        let coded = digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.");
        let dated = bytes.len() >= 10 && bytes[4] == b'-' && bytes[7] == b'-';
        match value {
            "" => Self::Nothing,
            "true" | "false" => Self::Boolean,
            _ if !coded && digits.bytes().all(|b| b.is_ascii_digit()) && value.parse::<i64>().is_ok() => Self::Integer,
            _ if !coded && digits.starts_with(|c: char| c.is_ascii_digit()) && value.parse::<f64>().is_ok() => {
                Self::Float
            }
            _ if dated && bytes.len() == 10 && digit_date(bytes) => Self::Date,
            _ if dated && digit_date(bytes) && matches!(bytes[10], b'T' | b' ') => Self::Instant,
            _ => Self::Text,
        }
    }

    fn json(value: &Value) -> Self {
        match value {
            Value::Null => Self::Nothing,
            Value::Bool(_) => Self::Boolean,
            Value::Number(n) if n.is_i64() => Self::Integer,
            Value::Number(_) => Self::Float,
            Value::String(text) => match Self::text(text) {
                quoted @ (Self::Date | Self::Instant) => quoted,
                _ => Self::Text,
            },
            Value::Array(items) if items.iter().all(Value::is_string) => Self::Texts,
            Value::Array(_) | Value::Object(_) => Self::Json,
        }
    }

    fn field(self, name: &str) -> Field {
        let kind = match self {
            Self::Boolean => DataType::Boolean,
            Self::Integer => DataType::Int64,
            Self::Float => DataType::Float64,
            Self::Date => DataType::Date32,
            Self::Instant => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
            Self::Nothing | Self::Text | Self::Json => DataType::Utf8,
            Self::Texts => DataType::List(Arc::new(Field::new("item", DataType::Utf8, true))),
        };
        let field = Field::new(name, kind, true);
        match self {
            Self::Json => field.with_metadata([("ARROW:extension:name".to_owned(), "arrow.json".to_owned())].into()),
            _ => field,
        }
    }
}

fn digit_date(bytes: &[u8]) -> bool {
    [0, 1, 2, 3, 5, 6, 8, 9].iter().all(|&i| bytes[i].is_ascii_digit())
}

#[derive(Debug, Default)]
struct Columns(Vec<(String, Seen)>);

impl Columns {
    fn see(&mut self, name: &str, seen: Seen) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = known.and(seen),
            None => self.0.push((name.to_owned(), seen)),
        }
    }

    fn fields(&self) -> Vec<Field> {
        self.0.iter().map(|(name, seen)| seen.field(name)).collect()
    }
}

async fn sample_csv(
    shared: &Shared,
    store: &Arc<dyn ObjectStore>,
    meta: &ObjectMeta,
    options: &CsvOptions,
    columns: &mut Columns,
) -> Result<(), RowFailure> {
    let limits = &shared.config.limits;
    let fetch = Fetch::new(Arc::clone(store), meta, shared.is_local(), 0);
    let mut records = Records::new(fetch, options, limits.row_bytes_max, limits.columns_max);
    let mut header: Option<Vec<String>> = None;
    for _ in 0..SAMPLE_ROWS {
        let Some(fields) = records.next().await? else { break };
        let values = (0..fields).map(|at| records.field(at)).collect::<Result<Vec<_>, _>>()?;
        match &header {
            None if options.header => {
                let names: Vec<String> = values.iter().map(|v| v.trim().to_owned()).collect();
                names.iter().for_each(|name| columns.see(name, Seen::Nothing));
                header = Some(names);
                continue;
            }
            None => header = Some((1..=fields).map(|n| format!("column_{n}")).collect()),
            Some(_) => {}
        }
        for (name, value) in header.iter().flatten().zip(values) {
            columns.see(name, if value == options.null { Seen::Nothing } else { Seen::text(value) });
        }
    }
    Ok(())
}

async fn sample_ndjson(
    shared: &Shared,
    store: &Arc<dyn ObjectStore>,
    meta: &ObjectMeta,
    columns: &mut Columns,
) -> Result<(), RowFailure> {
    use crate::store::fetch::LineError;
    let limits = &shared.config.limits;
    let mut lines = Lines::new(Fetch::new(Arc::clone(store), meta, shared.is_local(), 0), limits.row_bytes_max);
    for _ in 0..SAMPLE_ROWS {
        let line = match lines.next().await {
            Ok(Some((_, line))) => line,
            Ok(None) => break,
            Err(LineError::Store(error)) => return Err(RowFailure::Store(error)),
            Err(LineError::TooLong) => return Err(RowFailure::TooLong),
        };
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line);
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let row: serde_json::Map<String, Value> =
            serde_json::from_slice(line).map_err(|_| RowFailure::Format("a line is not one JSON object".to_owned()))?;
        if row.len() > limits.columns_max {
            return Err(RowFailure::TooLong);
        }
        for (key, value) in &row {
            columns.see(key, Seen::json(value));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_told_apart() {
        let cases = [
            ("", Seen::Nothing),
            ("12", Seen::Integer),
            ("-1", Seen::Integer),
            ("0", Seen::Integer),
            ("0012", Seen::Text),
            ("9999999999999999999", Seen::Float),
            ("1.5", Seen::Float),
            ("0.5", Seen::Float),
            ("1e5", Seen::Float),
            ("nan", Seen::Text),
            ("true", Seen::Boolean),
            ("2024-01-02", Seen::Date),
            ("2024-01-02T00:00:00Z", Seen::Instant),
            ("20240102", Seen::Integer),
            ("x", Seen::Text),
        ];
        for (text, want) in cases {
            assert_eq!(Seen::text(text), want, "{text}");
        }
        assert_eq!(Seen::Integer.and(Seen::Float), Seen::Float);
        assert_eq!(Seen::Integer.and(Seen::Boolean), Seen::Text);
        assert_eq!(Seen::Texts.and(Seen::Text), Seen::Json);
    }
}
