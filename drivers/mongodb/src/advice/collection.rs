//! What is known of a collection: how many documents it has, and, from a bounded sample of them, how many values its fields have,
//! alone and together. Values are hashed as they come; of each field two are kept for as long as a search takes, to ask the server with.

use mongodb::bson::{Bson, Document};
use querygate_driver_api::advice::distinct_of_sample;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};

/// Longest value that is kept: the server need not be asked with a book.
const VALUE_MAX: f64 = 256.0;

/// A collection. Holds values, and so is never printed.
#[derive(Default)]
pub(super) struct Collection {
    pub(super) rows: f64,
    fields: Vec<String>,
    /// Document by document, a hash for each field; 0 for NULL or no field.
    cells: Vec<u32>,
    /// Sum of the lengths of each field's values, in bytes.
    lengths: Vec<f64>,
    /// Two values of each field, the lesser first where they can be told apart.
    values: Vec<Option<(Bson, Bson)>>,
    /// Answers so far, by places of fields: a search asks the same again and again.
    counted: Mutex<HashMap<Vec<usize>, f64>>,
}

/// The name of a field in documents of a sample.
pub(super) fn sampled(place: usize) -> String {
    format!("f{place}")
}

impl Collection {
    pub(super) fn new(rows: f64, fields: Vec<String>) -> Self {
        let (lengths, values) = (vec![0.0; fields.len()], vec![None; fields.len()]);
        Self { rows, fields, lengths, values, ..Self::default() }
    }

    /// Takes a document of the sample, whose fields are called [`sampled`]. Returns its bytes, roughly.
    pub(super) fn note(&mut self, document: &Document) -> f64 {
        let mut bytes = 0.0;
        for place in 0..self.fields.len() {
            let value = document.get(sampled(place)).filter(|value| **value != Bson::Null);
            self.cells.push(value.map_or(0, hash));
            let Some(value) = value else { continue };
            let length = length(value);
            bytes += length;
            if let Some(sum) = self.lengths.get_mut(place) {
                *sum += length;
            }
            if let Some(kept) = self.values.get_mut(place).filter(|_| length <= VALUE_MAX) {
                match kept {
                    None => *kept = Some((value.clone(), value.clone())),
                    Some((low, high)) if low == high && low != value => {
                        if is_less(value, low) {
                            *low = value.clone();
                        } else {
                            *high = value.clone();
                        }
                    }
                    Some(_) => {}
                }
            }
        }
        bytes
    }

    pub(super) fn fields(&self) -> &[String] {
        &self.fields
    }

    fn taken(&self) -> usize {
        self.cells.len().checked_div(self.fields.len()).unwrap_or(0)
    }

    fn place(&self, path: &str) -> Option<usize> {
        self.fields.iter().position(|known| known == path)
    }

    /// Two values that the field holds in some documents.
    pub(super) fn values(&self, path: &str) -> Option<&(Bson, Bson)> {
        self.values.get(self.place(path)?)?.as_ref()
    }

    /// Share of the documents whose field is NULL or missing.
    pub(super) fn nulls(&self, path: &str) -> f64 {
        let Some(place) = self.place(path) else { return 0.0 };
        let nulls = self.cells.chunks(self.fields.len()).filter(|row| row.get(place) == Some(&0)).count();
        if self.taken() == 0 { 0.0 } else { count(nulls) / count(self.taken()) }
    }

    /// Mean bytes of a value.
    pub(super) fn width(&self, path: &str) -> f64 {
        let values = (1.0 - self.nulls(path)) * count(self.taken());
        let sum = self.place(path).and_then(|place| self.lengths.get(place)).copied().unwrap_or(0.0);
        if values < 1.0 { 8.0 } else { sum / values }
    }

    /// Distinct combinations of values of these fields. A field that was not looked at counts as one value.
    pub(super) fn distinct(&self, paths: &[&str]) -> f64 {
        let mut places: Vec<usize> = paths.iter().filter_map(|path| self.place(path)).collect();
        places.sort_unstable();
        if places.is_empty() {
            return 1.0;
        }
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = counted.get(&places) {
            return *known;
        }
        let mut seen: HashMap<u64, u32> = HashMap::new();
        for row in self.cells.chunks(self.fields.len()) {
            let mut hasher = DefaultHasher::new();
            places.iter().for_each(|place| row.get(*place).hash(&mut hasher));
            *seen.entry(hasher.finish()).or_default() += 1;
        }
        let once = seen.values().filter(|times| **times == 1).count();
        let distinct = distinct_of_sample(self.taken(), seen.len(), once, self.rows);
        counted.insert(places, distinct);
        distinct
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a sample are small")]
fn count(number: usize) -> f64 {
    number as f64
}

/// Never 0, which is NULL.
#[expect(clippy::cast_possible_truncation, reason = "half of a hash is one too")]
fn hash(value: &Bson) -> u32 {
    let mut hasher = DefaultHasher::new();
    value.to_string().hash(&mut hasher);
    (hasher.finish() as u32).max(1)
}

fn length(value: &Bson) -> f64 {
    match value {
        Bson::String(text) => count(text.len()),
        Bson::Binary(binary) => count(binary.bytes.len()),
        Bson::Int32(_) => 4.0,
        Bson::Boolean(_) | Bson::Null => 1.0,
        Bson::Int64(_) | Bson::Double(_) | Bson::DateTime(_) => 8.0,
        Bson::ObjectId(_) => 12.0,
        Bson::Decimal128(_) => 16.0,
        other => count(other.to_string().len()),
    }
}

/// Whether one value comes before another, as far as that is plain to see.
fn is_less(one: &Bson, other: &Bson) -> bool {
    match (one, other) {
        (Bson::Int32(one), Bson::Int32(other)) => one < other,
        (Bson::Int64(one), Bson::Int64(other)) => one < other,
        (Bson::Double(one), Bson::Double(other)) => one < other,
        (Bson::String(one), Bson::String(other)) => one < other,
        (Bson::DateTime(one), Bson::DateTime(other)) => one < other,
        (Bson::ObjectId(one), Bson::ObjectId(other)) => one < other,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mongodb::bson::doc;

    #[test]
    fn fields_are_counted_alone_and_together() {
        let mut orders = Collection::new(10_000.0, vec!["region".to_owned(), "city".to_owned(), "closed".to_owned()]);
        for number in 0..1_000_i64 {
            // A city is in one region.
            let city = number % 50;
            let mut document = doc! { "f0": format!("region {}", city % 10), "f1": city };
            if number % 4 == 0 {
                document.insert("f2", if number % 8 == 0 { Bson::Null } else { Bson::Int32(1) });
            }
            orders.note(&document);
        }
        assert!((orders.distinct(&["region"]) - 10.0).abs() < 0.1 && (orders.distinct(&["city"]) - 50.0).abs() < 0.5);
        assert!((orders.distinct(&["city", "region"]) - 50.0).abs() < 0.5, "not 500");
        assert!((orders.nulls("closed") - 0.875).abs() < 1e-9 && orders.nulls("region") < 1e-9);
        assert!((orders.width("region") - 8.0).abs() < 1e-9 && (orders.width("city") - 8.0).abs() < 1e-9);
        assert_eq!(orders.values("city"), Some(&(Bson::Int64(0), Bson::Int64(1))));
        assert!((orders.distinct(&["elsewhere"]) - 1.0).abs() < 1e-9 && orders.values("elsewhere").is_none());
    }

    #[test]
    fn a_key_is_as_many_values_as_documents_and_nothing_is_known_of_nothing() {
        let mut keys = Collection::new(1e6, vec!["_id".to_owned()]);
        (0..2_000_i64).for_each(|number| {
            keys.note(&doc! { "f0": number });
        });
        assert!((keys.distinct(&["_id"]) - 1e6).abs() < 1.0);
        let empty = Collection::new(0.0, vec!["a".to_owned()]);
        assert!((empty.distinct(&["a"]) - 1.0).abs() < 1e-9 && empty.nulls("a") < 1e-9 && empty.width("a") > 0.0);
    }
}
