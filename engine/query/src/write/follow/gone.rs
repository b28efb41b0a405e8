//! Autonumbers of rows that go: none of them is given again.

use arrow::array::{RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use querygate_catalog::write::WriteTarget;
use querygate_policy::rules::ObjectRules;
use querygate_types::{Error, Result};
use std::collections::BTreeMap;

/// Notes the numbers of rows that are about to be deleted. `rows`: all fields of the table.
///
/// # Errors
/// 53100: the numbers cannot be kept.
pub(crate) async fn retire(table: &WriteTarget, rules: &ObjectRules, rows: &RecordBatch) -> Result<()> {
    let mut gone: BTreeMap<(usize, String), u64> = BTreeMap::new();
    for (field, format) in rules.autonumbers() {
        let Some(place) = table.place(&field.name) else { continue };
        let texts = rows.columns().get(place).ok_or_else(|| Error::internal("rows of another table"))?;
        let texts = cast(texts, &DataType::Utf8).map_err(Error::internal)?;
        let texts = texts.as_any().downcast_ref::<StringArray>().ok_or_else(|| Error::internal("no texts"))?;
        for (prefix, counter) in texts.iter().flatten().flat_map(|text| format.readings(text)) {
            let last = gone.entry((place, prefix.to_owned())).or_default();
            *last = counter.max(*last);
        }
    }
    table.retire(gone).await
}
