//! Statistics of a source's table, as its source gave them last. Asked beside queries, never by one; decides nothing.

use arrow::datatypes::SchemaRef;
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};
use querygate_driver_api::remote::TableStatistics;
use querygate_driver_api::value::Value;
use std::sync::{Arc, PoisonError, RwLock};

/// The last answer; none yet, if the source was never reached.
#[derive(Debug, Default)]
pub(crate) struct TableStats(RwLock<Option<Arc<Statistics>>>);

impl TableStats {
    pub(crate) fn last(&self) -> Option<Statistics> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).as_deref().cloned()
    }

    /// Keeps an answer; `remote` gives the source's name of each column of the schema, where it has one.
    pub(crate) fn keep<'a>(
        &self,
        answer: &TableStatistics,
        schema: &SchemaRef,
        remote: impl Iterator<Item = Option<&'a str>>,
    ) {
        let mut statistics = Statistics::new_unknown(schema);
        statistics.num_rows = inexact(answer.rows);
        statistics.total_byte_size = inexact(answer.bytes);
        statistics.column_statistics =
            remote.map(|name| name.map_or_else(ColumnStatistics::new_unknown, |name| column(answer, name))).collect();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(statistics));
    }
}

fn inexact(count: Option<u64>) -> Precision<usize> {
    count.and_then(|count| usize::try_from(count).ok()).map_or(Precision::Absent, Precision::Inexact)
}

fn column(answer: &TableStatistics, name: &str) -> ColumnStatistics {
    let mut statistics = ColumnStatistics::new_unknown();
    let Some(found) = answer.columns.iter().find(|column| column.name.as_str() == name) else { return statistics };
    statistics.distinct_count = inexact(found.distinct);
    let scalar = |value: &Option<Value>| {
        let array = value.as_ref()?.to_array().ok()?;
        ScalarValue::try_from_array(&array, 0).ok().filter(|value| !value.is_null())
    };
    statistics.min_value = scalar(&found.least).map_or(Precision::Absent, Precision::Inexact);
    statistics.max_value = scalar(&found.greatest).map_or(Precision::Absent, Precision::Inexact);
    statistics
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{DataType, Field, Schema};
    use querygate_driver_api::identifier::Identifier;
    use querygate_driver_api::remote::ColumnStatistics as SourceColumn;

    /// What a source told of some columns, by their places in the schema: others are unknown, and nothing is exact.
    #[test]
    fn the_last_answer_is_kept_by_the_places_of_its_columns() {
        let schema: SchemaRef =
            Arc::new(Schema::new(["a", "b", "computed"].map(|name| Field::new(name, DataType::Int32, true)).to_vec()));
        let column = SourceColumn {
            name: Identifier::new("remote_b").unwrap(),
            distinct: Some(7),
            null_fraction: None,
            least: Some(Value::Int32(-1)),
            greatest: Some(Value::Null(querygate_driver_api::value::ValueType::Int32)),
        };
        let told = TableStats::default();
        assert!(told.last().is_none(), "nobody asked yet");
        let answer = TableStatistics { rows: Some(100), bytes: None, columns: vec![column] };
        told.keep(&answer, &schema, [Some("remote_a"), Some("remote_b"), None].into_iter());
        let kept = told.last().unwrap();
        assert_eq!((kept.num_rows, kept.total_byte_size), (Precision::Inexact(100), Precision::Absent));
        assert_eq!(kept.column_statistics.len(), 3);
        let known = &kept.column_statistics[1];
        assert_eq!(known.distinct_count, Precision::Inexact(7));
        assert_eq!(known.min_value, Precision::Inexact(ScalarValue::Int32(Some(-1))));
        assert_eq!(known.max_value, Precision::Absent, "NULL is no greatest value");
        for unknown in [0, 2] {
            assert_eq!(kept.column_statistics[unknown], ColumnStatistics::new_unknown());
        }
        told.keep(
            &TableStatistics { rows: Some(5), bytes: None, columns: Vec::new() },
            &schema,
            [None, None, None].into_iter(),
        );
        assert_eq!(told.last().unwrap().num_rows, Precision::Inexact(5), "the newer one");
    }
}
