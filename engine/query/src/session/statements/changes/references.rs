//! References of changed rows: whether the records are there that they name. Changes nothing.

use crate::run::interrupt::Interrupt;
use crate::run::lifecycle::Run;
use crate::session::gate_session::GateSession;
use crate::session::statements::prepared::PreparedStatement;
use crate::session::statements::start::Invocation;
use crate::write::find::existing;
use crate::write::target::Targeted;
use crate::write::values::given::referred;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::execution::memory_pool::MemoryConsumer;
use querygate_metadata::model::{Facts, Field, ValueType};
use querygate_policy::RowFilter;
use querygate_policy::write::Assignment;
use querygate_types::principal::Principal;
use querygate_types::vendor::{FieldFault, VendorCode};
use querygate_types::{Error, ErrorCode, Result};
use serde_json::{Map, json};
use std::collections::{HashMap, HashSet};

/// The object of users: the gate knows its own, whether or not there is a table of them.
const USERS: &str = "sys_user";
/// Values that one query looks for. Fewer are filled up to the next of these, so that few queries are bound.
const REFERENCES_AT_ONCE: [usize; 4] = [1, 20, 200, 1_000];
/// Bytes of the values that a statement remembers, about.
const KNOWN_BYTES_MAX: usize = 4 << 20;
/// Characters of an id that a message repeats, at most.
const SHOWN_ID_MAX: usize = 200;

/// Records that values of a statement's rows refer to, and that were found to be there: they are not looked for again.
#[derive(Debug, Default)]
pub(in crate::session) struct KnownReferences {
    values: HashMap<String, HashSet<ScalarValue>>,
    bytes: usize,
    /// The statement keeps its turn while they are looked for.
    has_turn: bool,
}

impl KnownReferences {
    /// Of a statement that has a turn, and keeps it.
    pub(in crate::session) fn within_turn() -> Self {
        Self { has_turn: true, ..Self::default() }
    }

    fn knows(&self, name: &str, value: &ScalarValue) -> bool {
        self.values.get(name).is_some_and(|known| known.contains(value))
    }

    fn learn(&mut self, name: &str, values: &[ScalarValue]) {
        let bytes: usize = values.iter().map(|value| value.size() + size_of::<ScalarValue>()).sum();
        if self.bytes + bytes > KNOWN_BYTES_MAX {
            self.values.clear();
            self.bytes = 0;
        }
        self.bytes += bytes;
        self.values.entry(name.to_owned()).or_default().extend(values.iter().cloned());
    }
}

/// A reference to a record that the principal does not find.
struct Absent {
    error: Error,
    /// The principal sees all records of that object, so that it is not a hidden one.
    is_nowhere: bool,
}

/// The values of a field that are looked up.
struct Referring<'a> {
    name: &'a str,
    label: &'a str,
    target: &'a str,
    values: Vec<ScalarValue>,
}

impl Referring<'_> {
    fn absent(&self, value: Option<&ScalarValue>, is_nowhere: bool) -> Absent {
        let text = format!("column \"{}\" refers to a record that does not exist", self.name);
        let shown = value.map(ToString::to_string).filter(|id| id.chars().count() <= SHOWN_ID_MAX);
        let message = absent_record(self.label, self.target, shown.as_deref());
        let (field, label) = (self.name.to_owned(), Some(self.label.to_owned()));
        let mut facts = Map::new();
        facts.insert("constraint".to_owned(), json!({"target": self.target}));
        facts.extend(shown.map(|id| ("value".to_owned(), id.into())));
        let fault = FieldFault { field, code: "reference_not_found", message: message.clone(), label, facts };
        let error = Error::new(ErrorCode::ForeignKeyViolation, text)
            .with_vendor_code(VendorCode::ValidationFailed)
            .with_vendor_message(message)
            .with_faults(vec![fault]);
        Absent { error, is_nowhere }
    }
}

impl GateSession {
    /// Whether every record that a value refers to is there for the principal: one that is hidden is not. A record that is given as values
    /// keeps which is not, and answers it in its turn.
    pub(in crate::session) async fn refer(
        &self,
        prepared: &PreparedStatement,
        interrupt: &Interrupt,
        targeted: &Targeted,
        found: &RecordBatch,
        known: &mut KnownReferences,
    ) -> Result<()> {
        let seen = targeted.find().map_or(0, |find| find.seen.len());
        let object = &targeted.intent().object().object;
        let record = targeted.intent().record();
        let names: Vec<&String> =
            record.map_or_else(|| targeted.assigned().iter().collect(), |record| record.values().keys().collect());
        for (at, name) in names.into_iter().enumerate() {
            let Some(field) = object.field(name).filter(|field| field.field_type.is_reference()) else { continue };
            let Some(target) = field.reference.as_deref() else { continue };
            let is_user = target == USERS;
            // A value that is dropped is not stored: the user whom it names does not matter.
            let is_stored = targeted.permit().assignment(name) == Some(Assignment::Free);
            if target.starts_with("sys_") && !(is_user && is_stored) {
                continue;
            }
            let values = match record {
                Some(record) => record.values().get(name).map(|value| referred(targeted, name, value)),
                None => found.columns().get(seen + at).map(distinct).transpose()?,
            };
            let mut values = values.ok_or_else(|| Error::internal("a value is missing"))?;
            values.retain(|value| !known.knows(name, value));
            if is_user && !values.is_empty() {
                let workspace = self.workspace().await?;
                let facts = &workspace.catalog.deployment().facts;
                values.retain(|value| !is_known_user(targeted.principal(), facts, value));
            }
            if values.is_empty() {
                continue;
            }
            let referring = Referring { name, label: &field.label, target, values };
            let absent = self.look_for(prepared, interrupt, &referring, known).await?;
            match (record, absent) {
                (_, None) => {}
                (Some(record), Some(Absent { error, is_nowhere })) => record.keep_absent(error, is_nowhere),
                (None, Some(Absent { error, .. })) => return Err(error),
            }
        }
        Ok(())
    }

    /// The first value of a field that refers to no record.
    async fn look_for(
        &self,
        prepared: &PreparedStatement,
        interrupt: &Interrupt,
        referring: &Referring<'_>,
        known: &mut KnownReferences,
    ) -> Result<Option<Absent>> {
        let Referring { name, target, values, .. } = referring;
        let workspace = self.workspace().await?;
        let visible = workspace.catalog.objects().iter().find(|visible| visible.object.name == *target);
        let Some(visible) = visible else { return Ok(Some(referring.absent(values.first(), false))) };
        let key = visible.object.referenced_field().filter(|key| {
            visible.table.columns().iter().any(|column| *column.field.name() == key.name && column.is_open())
        });
        let Some(key) = key else { return Ok(Some(referring.absent(values.first(), false))) };
        let sees_all = *visible.decision.row_filter() == RowFilter::All;
        if let Some(missing) = values.iter().find(|value| is_no_key(value, key)) {
            return Ok(Some(referring.absent(Some(missing), sees_all)));
        }
        let [.., most] = REFERENCES_AT_ONCE;
        for some in values.chunks(most) {
            let count = REFERENCES_AT_ONCE.into_iter().find(|count| *count >= some.len()).unwrap_or(most);
            let query = existing(&visible.sql_name, &key.name, count)?;
            let bound = self.bind_own_query(&query, &[], None).await?;
            let filled = some.iter().chain(some.last().into_iter().cycle()).take(count);
            let parameters = filled.map(ScalarValue::to_array).collect::<std::result::Result<Vec<_>, _>>();
            let parameters = parameters.map_err(Error::internal)?;
            let (bound, parameters) = (&bound, parameters.as_slice());
            let of = Invocation { prepared, bound, parameters, part: None, is_find: true, observed: None };
            let mut run = Run::unrecorded(&self.runs, &prepared.parsed, tokio::time::Instant::now());
            if known.has_turn {
                run.run_within();
            }
            let account = MemoryConsumer::new("references").register(&self.runs.statement_account());
            let there = self.found(&mut run, interrupt, of, &account).await?;
            let there = there.columns().first().map(distinct).transpose()?.unwrap_or_default();
            let own = some.first().map_or(DataType::Null, ScalarValue::data_type);
            let there: HashSet<ScalarValue> = there.iter().filter_map(|value| value.cast_to(&own).ok()).collect();
            if let Some(missing) = some.iter().find(|value| !there.contains(value)) {
                return Ok(Some(referring.absent(Some(missing), sees_all)));
            }
            known.learn(name, some);
        }
        Ok(None)
    }
}

/// Whether a value is the id of a user of the gate, or may be one of whom it does not know.
fn is_known_user(principal: &Principal, facts: &Facts, id: &ScalarValue) -> bool {
    let id = id.to_string();
    id == principal.user_id || facts.may_be_user(&id)
}

/// The values of a column, of a list its members, each once, without NULL and empty texts.
fn distinct(values: &ArrayRef) -> Result<Vec<ScalarValue>> {
    let mut known = HashSet::new();
    match values.as_list_opt::<i32>() {
        Some(lists) => lists.iter().flatten().try_for_each(|members| gather(&members, &mut known))?,
        None => gather(values, &mut known)?,
    }
    Ok(known.into_iter().collect())
}

fn gather(values: &ArrayRef, known: &mut HashSet<ScalarValue>) -> Result<()> {
    for row in 0..values.len() {
        let value = ScalarValue::try_from_array(values, row).map_err(Error::internal)?;
        let is_empty = value.is_null() || matches!(&value, ScalarValue::Utf8(Some(text)) if text.is_empty());
        if !is_empty {
            known.insert(value);
        }
    }
    Ok(())
}

/// Whether keys are whole numbers and a value is none that they hold: no record has it.
fn is_no_key(value: &ScalarValue, key: &Field) -> bool {
    let own = match key.value_type() {
        ValueType::Int16 => DataType::Int16,
        ValueType::Int32 => DataType::Int32,
        ValueType::Int64 => DataType::Int64,
        _ => return false,
    };
    value.cast_to(&own).is_err()
}

/// As ObjectStack says it. The value is one that the writer gave, or read.
fn absent_record(label: &str, target: &str, id: Option<&str>) -> String {
    match id {
        Some(id) => format!("{label}: no {target} record has id \"{id}\""),
        None => format!("{label}: no {target} record has this id"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int64Array, ListArray, StringArray};
    use arrow::datatypes::Int64Type;
    use std::sync::Arc;

    #[test]
    fn values_and_members_of_lists_are_looked_for_once() {
        let sorted = |values: ArrayRef| {
            let mut found: Vec<String> = distinct(&values).unwrap().iter().map(ToString::to_string).collect();
            found.sort_unstable();
            found
        };
        assert_eq!(sorted(Arc::new(Int64Array::from(vec![Some(7), None, Some(7), Some(8)]))), ["7", "8"]);
        assert_eq!(sorted(Arc::new(StringArray::from(vec![Some("b"), Some(""), None, Some("a")]))), ["a", "b"]);
        let lists = vec![Some(vec![Some(2), None]), None, Some(vec![Some(1), Some(2)])];
        assert_eq!(sorted(Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists))), ["1", "2"]);
    }
}
