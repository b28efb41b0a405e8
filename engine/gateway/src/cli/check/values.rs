//! What a check says of values in the metadata that its own fields would refuse: defaults, formats of numbers, rows that share a key.

use super::count;
use crate::config::diagnostic::nearest;
use querygate_metadata::model::{DefaultValue, Field, FieldType, Object, SeedData, Snapshot, StrictRule};
use querygate_metadata::{Diagnostic, Severity};
use serde_json::Value;
use std::collections::BTreeSet;

pub(super) fn findings(snapshot: &Snapshot) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for object in snapshot.objects.values() {
        for field in object.fields.values() {
            found.extend(default(object, field));
            found.extend(format(object, field));
        }
    }
    found.extend(no_digits(snapshot));
    for seed in &snapshot.seed {
        if let Some(object) = snapshot.object(&seed.object) {
            found.extend(doubles(object, seed));
        }
    }
    found
}

/// A default that is none of the field's options: every new record without a value is refused.
fn default(object: &Object, field: &Field) -> Option<Diagnostic> {
    let Some(DefaultValue::Literal(value)) = &field.default else { return None };
    let members = match value {
        Value::Array(members) => members.as_slice(),
        other => std::slice::from_ref(other),
    };
    let is_none = |text: &&str| !field.options.is_empty() && field.option(text).is_none();
    let wrong = members.iter().filter_map(Value::as_str).find(is_none)?;
    let message = format!("the default '{wrong}' of {}.{} is none of its options", object.name, field.name);
    let mut finding = Diagnostic::at(Severity::Warning, &field.location, &message);
    let near = nearest(wrong, field.options.iter().map(|option| option.value.as_str()));
    finding.hint = near.map(|near| format!("Did you mean '{near}'?"));
    Some(finding)
}

/// Fields whose `precision` leaves no digit: catalogs from before it bound what is stored write the number of decimal places there.
fn no_digits(snapshot: &Snapshot) -> Option<Diagnostic> {
    let is_bound = |field: &Field| {
        use FieldType as F;
        matches!(field.field_type, F::Number | F::Currency | F::Percent | F::Rating | F::Slider)
    };
    let fields = snapshot.objects.values().flat_map(|object| object.fields.values().map(move |field| (object, field)));
    let mut without = fields.filter(|(_, field)| field.precision == Some(0) && is_bound(field));
    let (object, first) = without.next().filter(|_| snapshot.protocol.has(StrictRule::Precision))?;
    let more = match without.count() {
        0 => String::new(),
        more => format!(" and {}", count(more, "more field")),
    };
    let name = format!("{}.{}", object.name, first.name);
    let message = format!("precision 0 of {name}{more} leaves no digit: no number but 0 is stored there");
    let mut finding = Diagnostic::at(Severity::Warning, &first.location, &message);
    let hint = "It is the number of all digits. For whole numbers leave it out, and write `scale: 0`.";
    finding.hint = Some(hint.to_owned());
    Some(finding)
}

/// A bracket that is not closed is a text in each number.
fn format(object: &Object, field: &Field) -> Option<Diagnostic> {
    let format = field.autonumber_format.as_ref()?;
    if format.matches('{').count() == format.matches('}').count() {
        return None;
    }
    let message = format!("brackets of autonumberFormat of {}.{} are not closed: {format}", object.name, field.name);
    Some(Diagnostic::at(Severity::Warning, &field.location, &message))
}

/// Rows of one list that have one key: the table would have two rows of it.
fn doubles(object: &Object, seed: &SeedData) -> Vec<Diagnostic> {
    let key = object.key();
    let mut known = BTreeSet::new();
    let mut found = Vec::new();
    for (at, record) in seed.records.iter().enumerate() {
        let values: Option<Vec<String>> = key.iter().map(|field| Some(record.get(&field.name)?.to_string())).collect();
        let Some(values) = values.filter(|values| !values.is_empty()) else { continue };
        let shown = values.join(", ");
        if !known.insert(values) {
            let message = format!("two seed rows of {} have the key {shown}", object.name);
            let place = seed.places.get(at).unwrap_or(&seed.location);
            found.push(Diagnostic::at(Severity::Warning, place, &message));
        }
    }
    found
}
