//! Which records rows of an import mean, found by the values of some fields. Many rows are one question, whose records are known by
//! their values; where these do not say it, a row is asked for by itself. Changes nothing.

use crate::code::Code;
use crate::refusal::Refusal;
use crate::work::Work;
use futures::future::BoxFuture;
use querygate_query_api::requests::question::Question;
use querygate_types::vendor::VendorCode;
use serde_json::{Map, Value, json};

/// Rows of one question with one field, and conditions of it with several.
const ROWS_AT_ONCE: usize = 50;
const CONDITIONS_AT_ONCE: usize = 100;

/// The record that a row means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Match {
    /// There is none that its importer reads.
    Missing,
    /// Its key.
    Found(String),
    Several,
    /// A value of the row is none of its field's, so that no record can be asked for.
    Unreadable {
        code: String,
        error: String,
    },
}

/// By what rows are matched.
pub(super) struct Matching<'a> {
    pub(super) work: &'a Work,
    pub(super) object: &'a str,
    /// The name of the object's key.
    pub(super) key: &'a str,
    pub(super) fields: &'a [String],
}

/// A record that was found: its key, and its values in the order of the fields.
struct Candidate {
    key: String,
    values: Vec<Value>,
}

impl Matching<'_> {
    /// What each row means. A row has a value for each of the fields.
    ///
    /// # Errors
    /// The records cannot be asked for.
    pub(super) async fn of_rows(&self, rows: &[&Map<String, Value>]) -> Result<Vec<Match>, Refusal> {
        let most = ROWS_AT_ONCE.min(CONDITIONS_AT_ONCE / self.fields.len().max(1)).max(1);
        let mut matches = Vec::with_capacity(rows.len());
        for part in rows.chunks(most) {
            matches.extend(self.of_readable(part, most).await?);
        }
        Ok(matches)
    }

    /// What rows mean, of which some may have a value that cannot be asked for: these are found by halves.
    fn of_readable<'a>(
        &'a self,
        rows: &'a [&'a Map<String, Value>],
        most: usize,
    ) -> BoxFuture<'a, Result<Vec<Match>, Refusal>> {
        Box::pin(async move {
            match self.of_part(rows, most).await {
                Err(refusal) if is_unreadable(&refusal) && rows.len() > 1 => {
                    let (first, second) = rows.split_at(rows.len() / 2);
                    let mut matches = self.of_readable(first, most).await?;
                    matches.extend(self.of_readable(second, most).await?);
                    Ok(matches)
                }
                Err(refusal) if is_unreadable(&refusal) => Ok(vec![Match::Unreadable {
                    code: refusal.code().name().to_owned(),
                    error: refusal.message().to_owned(),
                }]),
                found => found,
            }
        })
    }

    async fn of_part(&self, rows: &[&Map<String, Value>], most: usize) -> Result<Vec<Match>, Refusal> {
        let mut matches = vec![Match::Missing; rows.len()];
        let mut open: Vec<usize> = (0..rows.len()).collect();
        while open.len() > 1 {
            let mut asked: Vec<Value> = open.iter().filter_map(|at| Some(self.filter(rows.get(*at)?))).collect();
            // Of one length each time: so all of them have one plan.
            if let Some(last) = asked.last().cloned() {
                asked.resize(most, last);
            }
            let limit = 2 * most;
            let found = self.candidates(json!({ "$or": asked }), limit + 1).await?;
            if found.is_empty() {
                return Ok(matches);
            }
            let before = open.len();
            // There may be more than came: those that came say nothing of the others.
            if found.len() > limit {
                break;
            }
            open.retain(|at| {
                let (Some(row), Some(place)) = (rows.get(*at), matches.get_mut(*at)) else { return false };
                let mut own = found.iter().filter(|candidate| self.is_meant(candidate, row));
                match (own.next(), own.next()) {
                    // Its value may be stored in another form.
                    (None, _) => return true,
                    (Some(one), None) => *place = Match::Found(one.key.clone()),
                    (Some(_), Some(_)) => *place = Match::Several,
                }
                false
            });
            if open.len() == before {
                break;
            }
        }
        for at in open {
            let (Some(row), Some(place)) = (rows.get(at), matches.get_mut(at)) else { continue };
            *place = match &self.candidates(self.filter(row), 2).await?[..] {
                [] => Match::Missing,
                [one] => Match::Found(one.key.clone()),
                _ => Match::Several,
            };
        }
        Ok(matches)
    }

    fn filter(&self, row: &Map<String, Value>) -> Value {
        let of = |name: &String| (name.clone(), row.get(name).cloned().unwrap_or_default());
        Value::Object(self.fields.iter().map(of).collect())
    }

    /// Whether a record has a row's values, as far as that is seen without knowing their types.
    fn is_meant(&self, candidate: &Candidate, row: &Map<String, Value>) -> bool {
        self.fields.iter().zip(&candidate.values).all(|(name, found)| row.get(name).is_some_and(|own| same(own, found)))
    }

    async fn candidates(&self, filter: Value, limit: usize) -> Result<Vec<Candidate>, Refusal> {
        let mut names = vec![self.key.to_owned()];
        names.extend(self.fields.iter().filter(|name| *name != self.key).cloned());
        let question = Question {
            object: self.object.to_owned(),
            fields: Some(names),
            filter: Some(filter),
            limit: u64::try_from(limit).ok(),
            ..Question::default()
        };
        let (mut records, mut candidates) = (self.work.find(&question).await?, Vec::new());
        while let Some(printer) = records.next().await? {
            let cells = |name: &str| {
                let place = printer.columns.iter().position(|column| column.name == name)?;
                printer.cells(place)
            };
            for row in 0..printer.rows {
                let Some(key) = cells(self.key).and_then(|cells| cells.texts(row).pop()) else { continue };
                let mut values = Vec::with_capacity(self.fields.len());
                for name in self.fields {
                    let Some(cells) = cells(name) else {
                        values.push(Value::Null);
                        continue;
                    };
                    let mut text = String::new();
                    cells.print(row, &mut text)?;
                    values.push(querygate_types::json::value::exact(&text).map_err(querygate_types::Error::internal)?);
                }
                candidates.push(Candidate { key, values });
            }
        }
        Ok(candidates)
    }
}

/// Whether a question was refused for a value that it compares with.
fn is_unreadable(refusal: &Refusal) -> bool {
    refusal.code() == Code::Vendor(VendorCode::InvalidFilter)
}

/// Whether a given value is surely a stored one: equal texts, equal whole numbers, equal truth values. Of others it is not known here.
fn same(given: &Value, stored: &Value) -> bool {
    match (given, stored) {
        (Value::String(given), Value::String(stored)) => given == stored,
        (Value::Bool(given), Value::Bool(stored)) => given == stored,
        (Value::Number(given), Value::Number(stored)) => {
            given.as_i64().is_some_and(|given| stored.as_i64() == Some(given))
        }
        (
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_),
            _,
        ) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_the_same_only_where_that_is_sure() {
        for (given, stored) in [
            (json!("a"), json!("a")),
            (json!(7), json!(7)),
            (json!(9_007_199_254_740_993_i64), json!(9_007_199_254_740_993_i64)),
            (json!("1234567890123456.78"), json!("1234567890123456.78")),
            (json!(true), json!(true)),
        ] {
            assert!(same(&given, &stored));
        }
        for (given, stored) in [
            (json!("7"), json!(7)),
            (json!("a"), json!("A")),
            (json!(0.5), json!(0.5)),
            (json!(9_007_199_254_740_993_i64), json!(9_007_199_254_740_992_i64)),
            (json!(null), json!(null)),
            (json!(["a"]), json!(["a"])),
        ] {
            assert!(!same(&given, &stored), "{given}");
        }
    }
}
