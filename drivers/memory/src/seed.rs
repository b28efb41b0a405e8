//! Loads NDJSON seed rows into one batch. Knows no table and no policy.

use crate::rows::{RowDecoder, UnknownKeys};
use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use querygate_types::{Error, ErrorCode, Result, limits};
use std::io::BufRead;

/// Rows from newline-delimited JSON in `schema`. Keys are the column names; a key that is no column is refused.
/// `bytes_max` bounds the text. Errors name line and column (`MetadataInvalid`), never a value.
pub fn load_ndjson(reader: impl BufRead, schema: &SchemaRef, bytes_max: usize) -> Result<RecordBatch> {
    let keys: Vec<String> = schema.fields().iter().map(|f| f.name().clone()).collect();
    let mut decoder = RowDecoder::new(SchemaRef::clone(schema), &keys, UnknownKeys::Refuse)
        .map_err(|e| Error::new(ErrorCode::MetadataInvalid, e))?;
    let bound = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    let mut reader = reader.take(bound);
    let (mut line, mut number, mut total, mut batches) = (String::new(), 0_usize, 0_usize, Vec::new());
    loop {
        line.clear();
        let read = reader
            .read_line(&mut line)
            .map_err(|e| at(number + 1, &"the line cannot be read as UTF-8 text").with_cause(e))?;
        number += 1;
        total += read;
        if total > bytes_max {
            return Err(Error::new(ErrorCode::ProgramLimitExceeded, "seed rows exceed their size limit")
                .with_detail(format!("At most {bytes_max} bytes are allowed.")));
        }
        if read == 0 {
            break;
        }
        if line.trim().is_empty() {
            continue;
        }
        decoder.push_json(line.trim_start_matches('\u{feff}')).map_err(|e| at(number, &e))?;
        if decoder.rows() >= limits::BATCH_ROWS {
            batches.push(decoder.flush().map_err(Error::internal)?);
        }
    }
    batches.push(decoder.flush().map_err(Error::internal)?);
    concat_batches(schema, &batches).map_err(Error::internal)
}

fn at(line: usize, reason: &impl std::fmt::Display) -> Error {
    Error::new(ErrorCode::MetadataInvalid, format!("line {line}: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::AsArray;
    use arrow::datatypes::{DataType, Field, Float64Type, Schema, TimeUnit, TimestampMillisecondType};
    use arrow::util::pretty::pretty_format_batches;
    use std::sync::Arc;

    fn schema() -> SchemaRef {
        let item = || Arc::new(Field::new("item", DataType::Utf8, true));
        let json = Field::new("doc", DataType::Utf8, true)
            .with_metadata([("ARROW:extension:name".to_owned(), "arrow.json".to_owned())].into());
        Arc::new(Schema::new(vec![
            Field::new("id", DataType::Utf8, true),
            Field::new("amount", DataType::Decimal128(18, 4), true),
            Field::new("score", DataType::Float64, true),
            Field::new("rating", DataType::Int32, true),
            Field::new("active", DataType::Boolean, true),
            Field::new("due", DataType::Date32, true),
            Field::new("at", DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())), true),
            Field::new("tags", DataType::List(item()), true),
            json,
            Field::new("stage", DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)), true),
            Field::new("start", DataType::Time32(TimeUnit::Millisecond), true),
        ]))
    }

    fn load(text: &str) -> Result<RecordBatch> {
        load_ndjson(text.as_bytes(), &schema(), 1 << 20)
    }

    #[test]
    fn jsonb_is_kept_as_jsonb_prints_it() {
        let doc =
            Field::new("doc", DataType::Utf8, true).with_metadata([("pg_type".to_owned(), "jsonb".to_owned())].into());
        let schema: SchemaRef = Arc::new(Schema::new(vec![doc]));
        let rows = concat!(
            r#"{"doc":{"b":1,   "a":"\u00c9", "b":2.50}}"#,
            "\n",
            r#"{"doc":"plain"}"#,
            "\n",
            r#"{"doc":"{\"k\":  [1]}"}"#,
            "\n",
            r#"{"doc":null}"#,
        );
        let batch = load_ndjson(rows.as_bytes(), &schema, 1 << 20).unwrap();
        let found: Vec<Option<&str>> = batch.column(0).as_string::<i32>().iter().collect();
        let expected = [Some(r#"{"a": "É", "b": 2.50}"#), Some(r#""plain""#), Some(r#"{"k": [1]}"#), None];
        assert_eq!(found, expected);
    }

    #[test]
    fn values_are_coerced_as_objectstack_does() {
        let batch = load(concat!(
            r#"{"id":"a","amount":"12.5","score":"2","rating":"4","active":"1","due":"2024-02-29T10:00:00Z","at":"2024-01-01","tags":"x","doc":{"k":[1, 2]},"stage":"won","start":"14:30"}"#,
            "\n\n",
            r#"{"id":7,"amount":123456789012.3456,"score":-0.0,"active":false,"tags":["a",null,""],"doc":"123","at":"1969-12-31T23:59:59.999+00:00"}"#,
            "\r\n",
            r#"{"tags":[],"doc":null}"#,
        ))
        .unwrap();
        let text = pretty_format_batches(std::slice::from_ref(&batch)).unwrap().to_string();
        let cells: Vec<Vec<&str>> = text
            .lines()
            .filter(|l| l.starts_with("| "))
            .skip(1)
            .map(|l| l.split('|').map(str::trim).filter(|c| !c.is_empty()).collect())
            .collect();
        assert_eq!(
            cells[0],
            [
                "a",
                "12.5000",
                "2.0",
                "4",
                "true",
                "2024-02-29",
                "2024-01-01T00:00:00Z",
                "[x]",
                "{\"k\":[1, 2]}",
                "won",
                "14:30:00"
            ]
        );
        assert_eq!(batch.column(0).as_string::<i32>().value(1), "7");
        assert_eq!(batch.column(8).as_string::<i32>().value(1), "\"123\"");
        assert_eq!(batch.column(6).as_primitive::<TimestampMillisecondType>().value(1), -1);
        assert!(batch.column(2).as_primitive::<Float64Type>().value(1).is_sign_negative());
        assert_eq!(batch.column(7).as_list::<i32>().value_length(2), 0);
        assert!(batch.column(8).is_null(2) && batch.column(0).is_null(2) && batch.column(7).is_valid(2));
    }

    #[test]
    fn errors_name_line_and_column_and_never_the_value() {
        let cases = [
            (
                "{\"id\":\"a\"}\n{\"amount\":\"s3cret\"}",
                "line 2: column \"amount\": expected a number that fits the declared precision and scale",
            ),
            (
                "{\"amount\":0.00001}",
                "line 1: column \"amount\": expected a number that fits the declared precision and scale",
            ),
            ("{\"rating\":4000000000}", "line 1: column \"rating\": expected an integer in the range of its type"),
            ("{\"rating\":true}", "line 1: column \"rating\": expected an integer"),
            ("{\"active\":\"yes\"}", "line 1: column \"active\": expected a boolean"),
            ("{\"due\":20240101}", "line 1: column \"due\": expected a date, YYYY-MM-DD"),
            ("{\"at\":\"soon\"}", "line 1: column \"at\": expected an ISO 8601 instant in the range of its type"),
            ("{\"tags\":{\"a\":1}}", ""),
            ("{\"amuont\":1}", "line 1: unknown key \"amuont\", nearest is \"amount\""),
            ("{\"zzzzzz\":1}", "line 1: unknown key \"zzzzzz\""),
            ("{\"id\":1,\"id\":2}", "line 1: key \"id\" stands twice"),
            ("[1]", "line 1: the line is not one JSON object"),
            ("{\"id\":1", "line 1: the line is not one JSON object"),
        ];
        for (text, want) in cases {
            match load(text) {
                Ok(batch) => assert!(want.is_empty() && batch.num_rows() == 1, "{text}"),
                Err(error) => {
                    assert_eq!(error.message(), want, "{text}");
                    assert_eq!(error.code(), ErrorCode::MetadataInvalid);
                    assert!(!error.to_string().contains("s3cret"));
                }
            }
        }
    }

    #[test]
    fn the_size_limit_and_bad_utf8_are_refused() {
        let big = "{\"id\":\"aaaaaaaaaaaaaaaa\"}\n".repeat(100);
        let error = load_ndjson(big.as_bytes(), &schema(), 1000).unwrap_err();
        assert_eq!(error.code(), ErrorCode::ProgramLimitExceeded);
        let error = load_ndjson(&b"{\"id\":\"\xff\"}"[..], &schema(), 1000).unwrap_err();
        assert_eq!(error.message(), "line 1: the line cannot be read as UTF-8 text");
    }

    #[test]
    fn nothing_gives_an_empty_batch_of_the_schema() {
        let batch = load("").unwrap();
        assert_eq!((batch.num_rows(), batch.num_columns()), (0, 11));
    }

    #[test]
    fn types_that_text_cannot_give_are_refused_at_once() {
        let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new("b", DataType::Binary, true)]));
        let error = load_ndjson(&b""[..], &schema, 10).unwrap_err();
        assert_eq!(error.message(), "column \"b\": a column of type Binary cannot be read from text");
    }
}
