//! Conditions of models and of what is asked of them: the names that stand in them, and fields in place of the names of dimensions.

use super::model::{Model, unknown};
use crate::refusal::Refusal;
use serde_json::{Value, json};

/// Names that stand in a condition.
#[derive(Debug, Default)]
pub(super) struct ConditionNames<'v> {
    /// Of what is compared.
    pub(super) keys: Vec<&'v str>,
    /// Of what it is compared with.
    pub(super) comparands: Vec<&'v str>,
}

impl<'v> ConditionNames<'v> {
    pub(super) fn of(condition: &'v Value) -> Self {
        let mut names = Self::default();
        names.add(condition);
        names
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &'v str> {
        self.keys.iter().chain(&self.comparands).copied()
    }

    fn add(&mut self, condition: &'v Value) {
        for (key, value) in condition.as_object().into_iter().flatten() {
            match key.as_str() {
                "$and" | "$or" => value.as_array().into_iter().flatten().for_each(|part| self.add(part)),
                "$not" => self.add(value),
                name => {
                    self.keys.push(name);
                    self.add_comparands(value);
                }
            }
        }
    }

    fn add_comparands(&mut self, value: &'v Value) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.add_comparands(item)),
            Value::Object(entries) => {
                self.comparands.extend(entries.get("$field").and_then(Value::as_str));
                entries.values().for_each(|value| self.add_comparands(value));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

impl Model {
    /// Whether the principal may compare each field that the model's own filter names.
    pub(super) fn is_filter_open(&self) -> bool {
        self.filter.as_ref().is_none_or(|filter| self.is_open(filter))
    }

    /// Whether the principal may compare each field that a condition names.
    pub(super) fn is_open(&self, condition: &Value) -> bool {
        let shown = |name: &str| self.fields.field(name).is_some_and(|field| !field.is_masked);
        let field = |name: &str| {
            let own = self.own(name);
            self.declared(own).map_or_else(|| own.to_owned(), |dimension| dimension.field.clone())
        };
        let ConditionNames { keys, comparands } = ConditionNames::of(condition);
        keys.into_iter().all(|name| shown(&field(name))) && comparands.into_iter().all(shown)
    }

    /// # Errors
    /// `INVALID_FIELD` of a path that the model has not.
    pub(super) fn check_paths(&self, condition: &Value) -> Result<(), Refusal> {
        let stray = ConditionNames::of(condition).all().find(|name| !self.fields.leads(name));
        stray.map_or(Ok(()), |name| Err(unknown("field", name)))
    }

    /// A condition with fields in place of the names of dimensions.
    ///
    /// # Errors
    /// It names a dimension that is not served.
    pub(super) fn condition(&self, given: &Value) -> Result<Value, Refusal> {
        let Value::Object(entries) = given else { return Ok(given.clone()) };
        let translated = entries.iter().map(|(key, value)| match (key.as_str(), value) {
            ("$and" | "$or", Value::Array(parts)) => {
                let parts = parts.iter().map(|part| self.condition(part)).collect::<Result<_, _>>()?;
                Ok((key.clone(), Value::Array(parts)))
            }
            ("$not", part) => Ok((key.clone(), self.condition(part)?)),
            (name, value) => {
                let own = self.own(name);
                let declared = self.declared(own);
                if declared.is_none() && self.unserved.dimensions.contains(own) {
                    return Err(unknown("dimension", own));
                }
                Ok((declared.map_or_else(|| own.to_owned(), |dimension| dimension.field.clone()), value.clone()))
            }
        });
        let mut condition: Vec<Value> = Vec::new();
        let mut object = serde_json::Map::new();
        for entry in translated {
            let (key, value) = entry?;
            match object.contains_key(&key) {
                // Two names of one field.
                true => condition.push(json!({key: value})),
                false => drop(object.insert(key, value)),
            }
        }
        if condition.is_empty() {
            return Ok(Value::Object(object));
        }
        condition.push(Value::Object(object));
        Ok(json!({"$and": condition}))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_a_condition_are_found_however_they_nest() {
        let condition = json!({"$and": [{"a": 1}, {"$not": {"b.c": {"$gt": {"$field": "d.e"}, "$in": [2]}}}],
            "$or": [{"f": {"$between": [{"$field": "g"}, 3]}}], "$and ": 4});
        let mut names = ConditionNames::of(&condition);
        names.keys.sort_unstable();
        names.comparands.sort_unstable();
        assert_eq!(names.keys, ["$and ", "a", "b.c", "f"]);
        assert_eq!(names.comparands, ["d.e", "g"]);
        assert_eq!(ConditionNames::of(&json!([{"a": 1}])).all().count(), 0, "it is no condition");
    }
}
