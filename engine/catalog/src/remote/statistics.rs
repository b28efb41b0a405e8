//! Statistics of a source's table, as its source gave them last. Asked beside queries, never by one; decides nothing.

use arrow::datatypes::SchemaRef;
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};
use querygate_driver_api::Value;
use querygate_driver_api::remote::TableStatistics;
use std::sync::{Arc, PoisonError, RwLock};

/// The last answer; none yet, if the source was never reached.
#[derive(Debug, Default)]
pub(super) struct TableStats(RwLock<Option<Arc<Statistics>>>);

impl TableStats {
    pub(super) fn last(&self) -> Option<Statistics> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).as_deref().cloned()
    }

    /// Keeps an answer; `remote` gives the source's name of each column of the schema, where it has one.
    pub(super) fn keep<'a>(
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
