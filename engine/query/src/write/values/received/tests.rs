//! Tests of values that come in other types than their columns: they become what an INSERT of the same expression stores.

use super::*;
use crate::testing::{Reader, Shop, lines_of};
use arrow::array::StringArray;
use arrow::compute::cast as read;
use arrow::datatypes::TimeUnit;
use querygate_query_api::column::arrow_type_of;

/// Types as SQL and as Arrow, each with texts of some of its values.
fn kinds() -> Vec<(&'static str, DataType, &'static [&'static str])> {
    let zoned = arrow_type_of(PgType::Timestamptz).unwrap();
    vec![
        ("smallint", DataType::Int16, &["0", "-32768", "32767"]),
        ("integer", DataType::Int32, &["1", "-2147483648", "2147483647"]),
        ("bigint", DataType::Int64, &["7", "-9223372036854775808", "9223372036854775807"]),
        ("real", DataType::Float32, &["0.5", "-2.5", "3.4e38"]),
        ("double precision", DataType::Float64, &["2.5", "3.5", "0.1", "1e300", "-0.5"]),
        ("numeric(12,4)", DataType::Decimal128(12, 4), &["2.5000", "-0.5000", "99999999.9999"]),
        ("date", DataType::Date32, &["2024-02-29", "1969-12-31"]),
        ("time", DataType::Time64(TimeUnit::Microsecond), &["23:59:59.999999", "00:00:00"]),
        (
            "timestamp",
            DataType::Timestamp(TimeUnit::Microsecond, None),
            &["2024-07-01T12:00:00.5", "2024-03-31T02:30:00"],
        ),
        ("timestamptz", zoned, &["2024-07-01T12:00:00.5Z", "2024-01-01T23:30:00Z"]),
        ("boolean", DataType::Boolean, &["true", "false"]),
        ("text", DataType::Utf8, &["words", ""]),
    ]
}

fn stored(array: ArrayRef, to: &DataType, reader: &Reader) -> std::result::Result<Vec<String>, String> {
    let code = |error: Error| error.code().sqlstate().to_owned();
    let given = Field::new("given", array.data_type().clone(), true);
    let cast = cast(&given, Field::new("", to.clone(), true), &reader.state).map_err(code)?;
    let rows = RecordBatch::try_from_iter_with_nullable([("given", array, true)]).unwrap();
    let (made, wrong) = Received { casts: vec![Some(cast)] }.sound(&rows).map_err(code)?;
    match wrong {
        Some(error) => Err(code(error)),
        None => Ok(lines_of(&[made])),
    }
}

/// Each cast that an assignment makes gives the value, or the refusal, of the same cast in a query, in a session's zone too.
#[test]
fn casts_are_those_of_a_query() {
    let reader = Shop::open().owner();
    let mut berlin = reader.clone();
    let mut config = reader.state.config().clone();
    config.options_mut().execution.time_zone = Some("Europe/Berlin".to_owned());
    berlin.state = Arc::new(
        datafusion::execution::session_state::SessionStateBuilder::new_from_existing((*reader.state).clone())
            .with_config(config)
            .build(),
    );
    let mut compared = 0;
    for reader in [&reader, &berlin] {
        for (from, given, values) in kinds() {
            for (to, wanted, _) in kinds() {
                if is_kept(&given, &wanted) {
                    continue;
                }
                for value in values {
                    let array = read(&StringArray::from(vec![*value]), &given).unwrap();
                    let found = stored(array, &wanted, reader);
                    let sql =
                        format!("SELECT CAST(v AS {to}) FROM (SELECT CAST('{value}' AS {from}) AS v OFFSET 0) AS t");
                    let expected = reader.rows(&sql).map_err(|error| error.code().sqlstate().to_owned());
                    assert_eq!(found, expected, "{from} '{value}' to {to}");
                    compared += 1;
                }
            }
        }
    }
    assert!(compared > 300, "{compared}");
    let moment: ArrayRef =
        read(&StringArray::from(vec!["2024-07-01T12:00:00"]), &DataType::Timestamp(TimeUnit::Microsecond, None))
            .unwrap();
    let zoned = arrow_type_of(PgType::Timestamptz).unwrap();
    let (in_utc, in_berlin) = (stored(Arc::clone(&moment), &zoned, &reader), stored(moment, &zoned, &berlin));
    assert_ne!(in_utc, in_berlin, "a moment without a zone is one of the session's");
}

/// The rows before the first that is no value of its column are given, and what is wrong with that one.
#[test]
fn the_first_wrong_row_is_found() {
    let reader = Shop::open().owner();
    let given = Field::new("given", DataType::Float64, true);
    for wrong in [0, 1, 6, 7] {
        let values = (0..8).map(|at| if at >= wrong { 1e10 } else { f64::from(at) });
        let array: ArrayRef = Arc::new(arrow::array::Float64Array::from_iter_values(values));
        let rows = RecordBatch::try_from_iter_with_nullable([("given", array, true)]).unwrap();
        let cast = cast(&given, Field::new("", DataType::Int32, true), &reader.state).unwrap();
        let (sound, error) = Received { casts: vec![Some(cast)] }.sound(&rows).unwrap();
        assert_eq!(sound.num_rows(), usize::try_from(wrong).unwrap());
        assert_eq!(sound.column(0).data_type(), &DataType::Int32);
        assert_eq!(error.unwrap().code().sqlstate(), "22003");
    }
}
