//! References of changed rows: whether the records are there that they name. Changes nothing.

use super::prepared::PreparedStatement;
use super::start::Invocation;
use crate::run::interrupt::Interrupt;
use crate::run::lifecycle::Run;
use crate::session::gate_session::GateSession;
use crate::write::find::existing;
use crate::write::target::Targeted;
use arrow::array::{Array, ArrayRef, RecordBatch};
use datafusion::common::ScalarValue;
use querygate_types::vendor::{FieldFault, VendorCode};
use querygate_types::{Error, ErrorCode, Result};
use std::collections::HashSet;

/// Values that one query looks for.
const REFERENCES_AT_ONCE: usize = 200;

impl GateSession {
    /// Whether every record that a value refers to is there for the principal: one that is hidden is not.
    pub(in crate::session) async fn refer(
        &self,
        prepared: &PreparedStatement,
        interrupt: &Interrupt,
        targeted: &Targeted,
        found: &RecordBatch,
    ) -> Result<()> {
        let seen = targeted.find().map_or(0, |find| find.seen.len());
        let object = &targeted.intent().object().object;
        let record = targeted.intent().record();
        let names: Vec<&String> =
            record.map_or_else(|| targeted.assigned().iter().collect(), |record| record.values().keys().collect());
        for (at, name) in names.into_iter().enumerate() {
            let Some(field) = object.field(name).filter(|field| field.field_type.is_reference()) else { continue };
            let Some(target) = field.reference.as_deref().filter(|target| !target.starts_with("sys_")) else {
                continue;
            };
            let values = match record {
                Some(record) => record.referred(name),
                None => found.columns().get(seen + at).map(distinct).transpose()?,
            };
            let values = values.ok_or_else(|| Error::internal("a value is missing"))?;
            if values.is_empty() {
                continue;
            }
            let absent = || {
                let text = format!("column \"{name}\" refers to a record that does not exist");
                let message = format!("{}: no {target} record has this id", field.label);
                let (field, label) = (name.clone(), Some(field.label.clone()));
                let fault = FieldFault { field, code: "reference_not_found", message, label };
                Error::new(ErrorCode::ForeignKeyViolation, text)
                    .with_vendor_code(VendorCode::ValidationFailed)
                    .with_faults(vec![fault])
            };
            let workspace = self.workspace().await?;
            let visible = workspace.catalog.objects().iter().find(|visible| visible.object.name == target);
            let visible = visible.ok_or_else(absent)?;
            let key = visible.object.referenced_field().ok_or_else(absent)?;
            if !visible.table.columns().iter().any(|column| *column.field.name() == key.name && column.is_open()) {
                return Err(absent());
            }
            for some in values.chunks(REFERENCES_AT_ONCE) {
                let query = existing(&visible.sql_name, &key.name, some.len())?;
                let bound = self.bind_query(&query, &[], None).await?;
                let parameters = some.iter().map(ScalarValue::to_array).collect::<std::result::Result<Vec<_>, _>>();
                let parameters = parameters.map_err(Error::internal)?;
                let of = Invocation { prepared, bound: &bound, parameters: &parameters, part: None, is_find: true };
                let mut run = Run::unrecorded(&self.runs, &prepared.parsed, tokio::time::Instant::now());
                let there = self.found(&mut run, interrupt, of).await?;
                let there = there.columns().first().map(distinct).transpose()?.unwrap_or_default();
                let is_there = |value: &ScalarValue| {
                    there.iter().any(|known| known.cast_to(&value.data_type()).is_ok_and(|known| known == *value))
                };
                if !some.iter().all(is_there) {
                    return Err(absent());
                }
            }
        }
        Ok(())
    }
}

/// The values of a column, each once, without NULL and empty texts.
fn distinct(values: &ArrayRef) -> Result<Vec<ScalarValue>> {
    let mut known = HashSet::new();
    for row in 0..values.len() {
        let value = ScalarValue::try_from_array(values, row).map_err(Error::internal)?;
        let is_empty = value.is_null() || matches!(&value, ScalarValue::Utf8(Some(text)) if text.is_empty());
        if !is_empty {
            known.insert(value);
        }
    }
    Ok(known.into_iter().collect())
}
