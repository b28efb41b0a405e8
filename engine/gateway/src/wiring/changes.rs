//! What sources changed in the tables of objects since these were first seen, and what is done about each change. Asks no
//! source anything itself.

use crate::config::{BadValues, OnChange};
use querygate_catalog::deployment::SchemaEvent;
use querygate_catalog::remote::{LostField, RemoteField};
use querygate_driver_api::driver::Driver;
use querygate_driver_api::relation::{Collation, Encoding};
use querygate_driver_api::remote::{RemoteColumn as Described, RemoteTable};
use querygate_driver_api::value::ValueType;
use querygate_metadata::model::{Field, Object, ValueType as Declared};
use querygate_rules::opener::RemoteColumn;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// Events that are kept; the log has all.
const EVENTS_MAX: usize = 1_000;

/// What is known of every object's table. It begins anew with the process, and for an object whose metadata is edited.
#[derive(Debug, Default)]
pub(super) struct Changes {
    known: Mutex<HashMap<String, Known>>,
    events: Mutex<VecDeque<SchemaEvent>>,
}

#[derive(Debug, Default)]
struct Known {
    /// The object's fields and table, as metadata had them.
    definition: String,
    /// The source's words for the type of each field that it had, when it was first seen.
    first: BTreeMap<String, String>,
    /// As it was when the tables of the deployment were made. `None`: not there.
    built: Option<Vec<Described>>,
    /// What was said last of a field: its type then, and what was done.
    told: BTreeMap<String, (Option<String>, Done)>,
    gone: bool,
}

/// What is done about a column that is not what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Done {
    /// It has another type that still gives the field's.
    Followed,
    Refused,
    Widened,
    Hidden,
}

impl Done {
    const fn name(self) -> &'static str {
        match self {
            Self::Followed => "followed",
            Self::Refused => "refused",
            Self::Widened => "widened",
            Self::Hidden => "hidden",
        }
    }
}

/// The columns of an object's table: those that are served, and those that are there and refused.
#[derive(Debug, Default)]
pub(super) struct Fitted {
    pub(super) fields: Vec<RemoteField>,
    pub(super) lost: Vec<LostField>,
    /// Among the served ones: those that became texts.
    pub(super) widened: Vec<LostField>,
}

/// One column of a table beside its field.
struct Fit<'a> {
    field: &'a Field,
    column: Option<&'a Described>,
    /// The source's words for its type, when it was first seen.
    was: Option<&'a str>,
    bad_values: BadValues,
}

impl Changes {
    /// The same, of which no table is known yet.
    pub(super) fn without_tables(&self) -> Self {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Self { known: Mutex::default(), events: Mutex::new(events) }
    }

    /// Everything that was noticed, oldest first.
    pub(super) fn events(&self) -> Vec<SchemaEvent> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// The columns that both the object and its table have, in the declared types. A field that the source never had is
    /// absent; what became of one that it had, or has otherwise than declared, is decided by `policy`.
    pub(super) fn fitted(
        &self,
        driver: &dyn Driver,
        object: &Object,
        described: &RemoteTable,
        (policy, bad_values): (OnChange, BadValues),
    ) -> Fitted {
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.entry(object.name.clone()).or_default();
        known.begin(object);
        let again = known.built.is_some();
        let mut fitted = Fitted::default();
        for (name, field) in columns(object) {
            let column = find(&described.columns, name);
            // Without its key no row could be found or changed.
            let is_key = described.primary_key.iter().any(|key| key.as_str() == name);
            let bad_values = if is_key { BadValues::Error } else { bad_values };
            let was = known.first.get(&field.name).cloned();
            let fit = Fit { field, column, was: was.as_deref(), bad_values };
            let done = fit.serve(driver, policy, &mut fitted);
            let is = column.map(|column| column.native_type.clone());
            if let (None, Some(first)) = (&was, &is) {
                known.first.insert(field.name.clone(), first.clone());
                if again && done.is_none() {
                    self.tell(object, Some(&field.name), None, is.clone(), "served");
                }
            }
            known.note(self, object, &field.name, was, is, done);
        }
        if known.gone {
            known.gone = false;
            self.tell(object, None, None, None, "restored");
        }
        known.built = Some(described.columns.clone());
        fitted
    }

    /// The table is not there. An event if it was.
    pub(super) fn missing(&self, object: &Object) {
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.entry(object.name.clone()).or_default();
        known.begin(object);
        if known.built.take().is_some() {
            known.gone = true;
            self.tell(object, None, None, None, Done::Refused.name());
        }
    }

    /// Puts back the columns of an object that its table was made of and that nobody can say are gone.
    pub(super) fn keep(&self, object: &Object, described: &mut RemoteTable) {
        let all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(built) = all.get(&object.name).and_then(|known| known.built.as_ref()) else { return };
        let kept: Vec<Described> = columns(object)
            .filter(|(name, _)| find(&described.columns, name).is_none())
            .filter_map(|(name, _)| find(built, name).cloned())
            .collect();
        described.columns.extend(kept);
    }

    /// Whether the columns of an object's table are not as they were when the deployment's was made of it. `None`: it is not
    /// there.
    pub(super) fn differs(&self, driver: &dyn Driver, object: &Object, now: Option<&RemoteTable>) -> bool {
        let all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let built = all.get(&object.name).and_then(|known| known.built.as_ref());
        match (built, now) {
            (None, None) => false,
            (Some(built), Some(now)) => columns(object).any(|(name, field)| {
                match (find(built, name), find(&now.columns, name)) {
                    (None, None) => false,
                    // Two samples hold other values of the same field as often as not.
                    (Some(was), Some(is)) if driver.samples() => read(driver, was, field) != read(driver, is, field),
                    (Some(was), Some(is)) => was != is,
                    (None, Some(_)) | (Some(_), None) => true,
                }
            }),
            (None, Some(_)) | (Some(_), None) => true,
        }
    }

    fn tell(&self, object: &Object, field: Option<&str>, was: Option<String>, is: Option<String>, done: &'static str) {
        let source = object.datasource.as_str();
        tracing::warn!(source, object = object.name, field, was, is, done, "a source changed a table");
        metrics::counter!("querygate_source_schema_changes_total", "source" => source.to_owned(), "done" => done)
            .increment(1);
        let event = SchemaEvent {
            at: SystemTime::now(),
            source: source.to_owned(),
            object: object.name.clone(),
            field: field.map(str::to_owned),
            was,
            is,
            done,
        };
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        if events.len() >= EVENTS_MAX {
            events.pop_front();
        }
        events.push_back(event);
    }
}

impl Known {
    /// Forgets everything when the object's metadata is not what it was: whoever edits it accepts what is there.
    fn begin(&mut self, object: &Object) {
        let definition = format!("{} {:?}", object.table_name(), object.fields);
        if self.definition != definition {
            *self = Self { definition, ..Self::default() };
        }
    }

    /// Says what was done with a column, once.
    fn note(
        &mut self,
        changes: &Changes,
        object: &Object,
        field: &str,
        was: Option<String>,
        is: Option<String>,
        done: Option<Done>,
    ) {
        let now = done.map(|done| (is.clone(), done));
        if self.told.get(field) == now.as_ref() {
            return;
        }
        changes.tell(object, Some(field), was, is, now.as_ref().map_or("restored", |(_, done)| done.name()));
        match now {
            Some(now) => self.told.insert(field.to_owned(), now),
            None => self.told.remove(field),
        };
    }
}

impl Fit<'_> {
    /// Puts the column where it belongs. `None`: it is as it was, or was never there.
    fn serve(&self, driver: &dyn Driver, policy: OnChange, fitted: &mut Fitted) -> Option<Done> {
        let wanted = wanted(self.field);
        let Some(column) = self.column else {
            let change = format!("was {} and is gone", self.was?);
            return Some(match policy {
                OnChange::Refuse | OnChange::Widen => self.refuse(change, wanted, fitted),
                OnChange::Hide => Done::Hidden,
            });
        };
        if self.reads_text(driver, column, wanted, fitted) {
            return None;
        }
        let reading = match self.bad_values {
            BadValues::Error | BadValues::Text => driver.read_as(column, wanted),
            BadValues::Null => driver.read_or_null(column, wanted),
        };
        let refusal = match reading {
            Ok(encoding) => {
                fitted.fields.push(self.remote(column, wanted, encoding));
                let other = self.was.filter(|was| *was != column.native_type);
                // A sample that shows more of what is read in the same form as ever is no change.
                let other = other.filter(|was| {
                    let before = Described { native_type: (*was).to_owned(), ..column.clone() };
                    !driver.samples() || driver.read_as(&before, wanted).ok() != Some(encoding)
                });
                return other.map(|_| Done::Followed);
            }
            Err(refusal) => refusal,
        };
        let change = match self.was.filter(|was| *was != column.native_type) {
            Some(was) => format!("was {was} and is {}", column.native_type),
            None => format!("is {}: {}", column.native_type, refusal.text),
        };
        Some(match (policy, wider(driver, column, wanted)) {
            (OnChange::Widen, Some((value_type, encoding))) => {
                fitted.fields.push(self.remote(column, value_type, encoding));
                if value_type == ValueType::Text {
                    fitted.widened.push(self.changed(change, wanted));
                }
                Done::Widened
            }
            (OnChange::Refuse, _) | (OnChange::Widen, None) => self.refuse(change, wanted, fitted),
            (OnChange::Hide, _) => Done::Hidden,
        })
    }

    /// Serves the column as text where its type may not hold all that is there, and that is wanted.
    fn reads_text(&self, driver: &dyn Driver, column: &Described, wanted: ValueType, fitted: &mut Fitted) -> bool {
        let may_be_text = match wanted {
            ValueType::Date
            | ValueType::Time
            | ValueType::Timestamp { .. }
            | ValueType::TextList
            | ValueType::List(_) => !driver.reads_surely(wanted),
            ValueType::Boolean
            | ValueType::Int16
            | ValueType::Int32
            | ValueType::Int64
            | ValueType::Float32
            | ValueType::Float64
            | ValueType::Decimal128 { .. }
            | ValueType::Text
            | ValueType::Binary => false,
        };
        if self.bad_values != BadValues::Text || !may_be_text {
            return false;
        }
        let Ok(encoding) = driver.read_as(column, ValueType::Text) else { return false };
        fitted.fields.push(self.remote(column, ValueType::Text, encoding));
        fitted.widened.push(self.changed("is read as text".to_owned(), wanted));
        true
    }

    fn refuse(&self, change: String, wanted: ValueType, fitted: &mut Fitted) -> Done {
        fitted.lost.push(self.changed(change, wanted));
        Done::Refused
    }

    fn changed(&self, change: String, wanted: ValueType) -> LostField {
        let has_changed = match (self.was, self.column) {
            (Some(was), Some(column)) => was != column.native_type,
            (Some(_), None) => true,
            (None, _) => false,
        };
        LostField { field: self.field.name.clone(), data_type: wanted.to_arrow(), change, has_changed }
    }

    fn remote(&self, column: &Described, value_type: ValueType, encoding: Encoding) -> RemoteField {
        let column = RemoteColumn {
            name: column.name.clone(),
            value_type,
            nullable: column.nullable && !self.field.not_null || encoding.makes_null(),
            collation: column.collation.clone(),
            encoding,
        };
        RemoteField { field: self.field.name.clone(), column }
    }
}

/// The fields that have a column, with what the source calls it.
pub(super) fn columns(object: &Object) -> impl Iterator<Item = (&str, &Field)> {
    let stored = object.fields.values().filter(|field| field.stored());
    stored.map(|field| (object.column_name(&field.name), field))
}

pub(super) fn find<'a>(columns: &'a [Described], name: &str) -> Option<&'a Described> {
    columns.iter().find(|column| column.name.as_str() == name)
}

/// All that the deployment takes from a column.
fn read<'a>(driver: &dyn Driver, column: &'a Described, field: &Field) -> (Option<Encoding>, &'a Collation, bool) {
    (driver.read_as(column, wanted(field)).ok(), &column.collation, column.nullable)
}

/// A type that holds every value of the declared one and gives the column's: the source's own, if it is of that family, else
/// text.
fn wider(driver: &dyn Driver, column: &Described, wanted: ValueType) -> Option<(ValueType, Encoding)> {
    let own = column.value_type.filter(|own| holds(*own, wanted));
    let mut types = own.into_iter().chain([ValueType::Text]);
    types.find_map(|value_type| driver.read_as(column, value_type).ok().map(|encoding| (value_type, encoding)))
}

/// Whether a value of the second type is one of the first, as a person counts.
fn holds(wider: ValueType, narrow: ValueType) -> bool {
    use ValueType as T;
    match narrow {
        T::Int16 | T::Int32 | T::Int64 | T::Decimal128 { .. } => {
            matches!(wider, T::Int32 | T::Int64 | T::Decimal128 { .. } | T::Float64)
        }
        T::Float32 | T::Float64 => matches!(wider, T::Float64 | T::Decimal128 { .. }),
        T::Date => matches!(wider, T::Timestamp { .. }),
        T::Boolean | T::Text | T::Binary | T::Time | T::TextList | T::List(_) | T::Timestamp { .. } => false,
    }
}

/// The vocabulary's type of a field.
pub(super) fn wanted(field: &Field) -> ValueType {
    wanted_of(field.value_type())
}

fn wanted_of(declared: Declared) -> ValueType {
    match declared {
        Declared::Text | Declared::Uuid | Declared::Coded(_) | Declared::JsonText | Declared::Json => ValueType::Text,
        // Read from their texts behind the policy.
        Declared::Numeric { .. } | Declared::Interval | Declared::TimeTz | Declared::Network { .. } => ValueType::Text,
        Declared::TextList | Declared::Float32Vector(_) => ValueType::TextList,
        Declared::List(item) => wanted_of(item.value_type()).listed().unwrap_or(ValueType::TextList),
        Declared::Float64 => ValueType::Float64,
        Declared::Float32 => ValueType::Float32,
        Declared::Int16 => ValueType::Int16,
        Declared::Int32 => ValueType::Int32,
        Declared::Int64 => ValueType::Int64,
        Declared::Binary => ValueType::Binary,
        Declared::Timestamp { utc } => ValueType::Timestamp { utc },
        Declared::Decimal { precision, scale } => ValueType::Decimal128 { precision, scale },
        Declared::Boolean => ValueType::Boolean,
        Declared::Date => ValueType::Date,
        Declared::TimestampMillisUtc => ValueType::Timestamp { utc: true },
        Declared::Time => ValueType::Time,
    }
}

#[cfg(test)]
mod tests;
