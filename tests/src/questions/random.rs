//! Random bodies of questions. Answers are determined by the data: where a page is cut, the gate itself orders by the key at last.

use super::Kind;
use crate::harness::Rng;
use serde_json::{Map, Value, json};

/// An object as its reader sees it.
#[derive(Debug, Clone)]
pub struct Object {
    pub name: String,
    pub fields: Vec<(String, Kind)>,
    pub references: Vec<Reference>,
}

/// A field that refers to records of an object.
#[derive(Debug, Clone)]
pub struct Reference {
    pub field: String,
    pub to: String,
}

/// What questions are made of.
#[derive(Debug)]
pub struct Questions<'a> {
    pub rng: &'a mut Rng,
    pub objects: &'a [Object],
    /// Objects and fields that are not for the reader, or not to be compared: named now and then.
    pub forbidden: &'a [(String, String)],
    /// Values worth trying.
    pub values: &'a [Value],
}

const TEXTS: [&str; 8] = ["a", "b", "emea", "%", "", "Ab", "1", "x@y"];
const NUMBERS: [f64; 7] = [0.0, 1.0, 2.0, 2.5, 7.0, -3.0, 33.0];
const DAYS: [&str; 5] = ["2024-01-31", "2024-02-29", "2025-01-01", "2026-12-31", "1999-05-05"];
const INSTANTS: [&str; 4] =
    ["2024-01-31T10:00:00.000Z", "2024-02-29T23:59:59.999Z", "2026-12-31T00:00:00Z", "2025-01-01T12:30:00.5Z"];

impl Questions<'_> {
    /// An object's name and a body.
    ///
    /// # Panics
    /// Where there is no object.
    pub fn question(&mut self) -> (String, Value) {
        let object = self.rng.pick(self.objects).clone();
        let mut body = Map::new();
        if self.rng.percent(70) {
            body.insert("where".to_owned(), self.filter(&object, 2));
        }
        if self.rng.percent(35) {
            self.groups(&object, &mut body)
        } else {
            self.records(&object, &mut body)
        }
        if self.rng.percent(40) {
            body.insert("limit".to_owned(), json!(self.rng.below(7)));
        }
        if self.rng.percent(20) {
            body.insert("offset".to_owned(), json!(self.rng.below(4)));
        }
        if self.rng.percent(5) {
            body.insert("count".to_owned(), json!(false));
        }
        let name = match self.rng.below(60) {
            0 if !self.forbidden.is_empty() => self.rng.pick(self.forbidden).0.clone(),
            _ => object.name,
        };
        (name, Value::Object(body))
    }

    /// A field's name and kind: seldom one that is forbidden.
    fn field(&mut self, object: &Object, wants: impl Fn(Kind) -> bool) -> Option<(String, Kind)> {
        if self.rng.percent(3) {
            let forbidden: Vec<_> = self.forbidden.iter().filter(|(of, _)| *of == object.name).collect();
            if !forbidden.is_empty() {
                return Some((self.rng.pick(&forbidden).1.clone(), Kind::Text));
            }
        }
        let fields: Vec<&(String, Kind)> = object.fields.iter().filter(|(_, kind)| wants(*kind)).collect();
        if fields.is_empty() { None } else { Some((*self.rng.pick(&fields)).clone()) }
    }

    fn records(&mut self, object: &Object, body: &mut Map<String, Value>) {
        if self.rng.percent(60) {
            let mut names = vec!["id".to_owned()];
            for _ in 0..self.rng.between(1, 4) {
                names.extend(self.field(object, |_| true).map(|(name, _)| name).filter(|name| !names.contains(name)));
            }
            body.insert("fields".to_owned(), json!(names));
        }
        if self.rng.percent(45) {
            let mut keys: Vec<Value> = Vec::new();
            for _ in 0..self.rng.between(1, 2) {
                let order = *self.rng.pick(&["asc", "desc"]);
                keys.extend(self.field(object, sorts).map(|(field, _)| json!({"field": field, "order": order})));
            }
            body.insert("orderBy".to_owned(), json!(keys));
        }
        if self.rng.percent(10) {
            let words = *self.rng.pick(&["a", "emea", "1 2", "X9", "nobody"]);
            body.insert("search".to_owned(), json!(words));
            if self.rng.percent(60)
                && let Some((field, _)) =
                    self.field(object, |kind| kind == Kind::Text).filter(|(field, _)| field != "id")
            {
                body.insert("searchFields".to_owned(), json!([field]));
            }
        }
        if self.rng.percent(35)
            && let Some(expand) = self.expand(object, 3)
        {
            // What is to be expanded must be among the fields.
            if let Some(names) = body.get_mut("fields").and_then(Value::as_array_mut) {
                names.extend(
                    expand.keys().map(|name| json!(name)).filter(|name| !names.contains(name)).collect::<Vec<_>>(),
                );
            }
            body.insert("expand".to_owned(), Value::Object(expand));
        }
    }

    fn expand(&mut self, object: &Object, depth: usize) -> Option<Map<String, Value>> {
        if depth == 0 || object.references.is_empty() {
            return None;
        }
        let reference = self.rng.pick(&object.references).clone();
        let mut one = json!({"object": reference.to});
        if let Some(target) = self.objects.iter().find(|other| other.name == reference.to).cloned() {
            if self.rng.percent(40) {
                let mut names = vec!["id".to_owned()];
                names.extend(self.field(&target, |_| true).map(|(name, _)| name).filter(|name| name != "id"));
                one["fields"] = json!(names);
            }
            if self.rng.percent(25) {
                one["where"] = self.filter(&target, 1);
            }
            if self.rng.percent(60)
                && let Some(inner) = self.expand(&target, depth - 1)
            {
                if let Some(names) = one["fields"].as_array_mut() {
                    names.extend(
                        inner.keys().map(|name| json!(name)).filter(|name| !names.contains(name)).collect::<Vec<_>>(),
                    );
                }
                one["expand"] = Value::Object(inner);
            }
        }
        Some(Map::from_iter([(reference.field, one)]))
    }

    fn groups(&mut self, object: &Object, body: &mut Map<String, Value>) {
        let (mut keys, mut names) = (Vec::new(), Vec::<(String, Kind)>::new());
        for n in 0..self.rng.below(3) {
            let Some((field, kind)) = self.field(object, sorts) else { continue };
            if names.iter().any(|(name, _)| *name == field) {
                continue;
            }
            if matches!(kind, Kind::Date | Kind::Instant) && self.rng.percent(70) {
                let span = *self.rng.pick(&["day", "week", "month", "quarter", "year"]);
                keys.push(json!({"field": field, "dateGranularity": span, "alias": format!("k{n}")}));
                names.push((format!("k{n}"), Kind::Text));
            } else {
                keys.push(json!(field));
                names.push((field, kind));
            }
        }
        let mut computed = Vec::new();
        for n in 0..self.rng.between(usize::from(keys.is_empty()), 3) {
            let alias = format!("v{n}");
            let (mut one, kind) = self.computed(object);
            one["alias"] = json!(alias);
            if self.rng.percent(20) {
                one["filter"] = self.filter(object, 1);
            }
            names.push((alias, kind));
            computed.push(one);
        }
        if !computed.is_empty() && self.rng.percent(30) {
            let outputs = Object { name: object.name.clone(), fields: names.clone(), references: Vec::new() };
            body.insert("having".to_owned(), self.filter(&outputs, 1));
        }
        if self.rng.percent(30)
            && let Some(key) = keys.first()
        {
            let name = key.as_str().or_else(|| key["alias"].as_str()).unwrap().to_owned();
            body.insert("orderBy".to_owned(), json!([{"field": name, "order": self.rng.pick(&["asc", "desc"])}]));
        }
        if !keys.is_empty() {
            body.insert("groupBy".to_owned(), json!(keys));
        }
        if !computed.is_empty() {
            body.insert("aggregations".to_owned(), json!(computed));
        }
    }

    fn computed(&mut self, object: &Object) -> (Value, Kind) {
        let function = *self.rng.pick(&["count", "sum", "avg", "min", "max", "count_distinct"]);
        let wants = |kind: Kind| match function {
            "sum" | "avg" => kind.is_number() || kind == Kind::Bool,
            "min" | "max" => kind != Kind::Tags && kind != Kind::Other,
            _ => kind != Kind::Other && kind != Kind::Tags,
        };
        match self.field(object, wants) {
            Some((field, kind)) if function != "count" || self.rng.percent(50) => {
                let kind =
                    if matches!(function, "min" | "max") && !matches!(kind, Kind::Bool) { kind } else { Kind::Number };
                (json!({"function": function, "field": field}), kind)
            }
            _ => (json!({"function": "count"}), Kind::Number),
        }
    }

    fn filter(&mut self, object: &Object, depth: usize) -> Value {
        if depth > 0 && self.rng.percent(40) {
            let branches: Vec<Value> = (0..self.rng.below(3)).map(|_| self.filter(object, depth - 1)).collect();
            return match self.rng.below(4) {
                0 => json!({"$not": self.filter(object, depth - 1)}),
                1 => json!({"$and": branches}),
                _ => json!({"$or": branches}),
            };
        }
        let Some((field, kind)) = self.field(object, |kind| kind != Kind::Other) else { return json!({}) };
        let tested = self.test(object, &field, kind);
        Value::Object(Map::from_iter([(field, tested)]))
    }

    fn test(&mut self, object: &Object, field: &str, kind: Kind) -> Value {
        if self.rng.percent(10) {
            return json!({ *self.rng.pick(&["$null", "$exists"]): self.rng.percent(50) });
        }
        if kind == Kind::Tags {
            return json!({ *self.rng.pick(&["$contains", "$notContains"]): self.value(Kind::Text) });
        }
        if self.rng.percent(6) {
            let same: Vec<&(String, Kind)> =
                object.fields.iter().filter(|(other, of)| *of == kind && other != field).collect();
            if !same.is_empty() {
                return json!({ *self.rng.pick(&["$eq", "$lt", "$gte"]): {"$field": self.rng.pick(&same).0} });
            }
        }
        let operators: &[&str] = match kind {
            Kind::Text => &[
                "",
                "$eq",
                "$ne",
                "$in",
                "$nin",
                "$gt",
                "$lte",
                "$contains",
                "$notContains",
                "$startsWith",
                "$endsWith",
                "$icontains",
                "$like",
                "$ilike",
            ],
            Kind::Bool => &["", "$eq", "$ne"],
            _ => &["", "$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$between"],
        };
        let operator = *self.rng.pick(operators);
        let one = self.value(kind);
        match operator {
            "" => one,
            "$in" | "$nin" => {
                let members: Vec<Value> = (0..self.rng.below(4)).map(|_| self.value(kind)).collect();
                json!({ operator: members })
            }
            "$between" => json!({ operator: [one, self.value(kind)] }),
            "$icontains" if one == "" => json!({"$icontains": "a"}),
            _ => json!({ operator: one }),
        }
    }

    fn value(&mut self, kind: Kind) -> Value {
        let fits: Vec<&Value> = self
            .values
            .iter()
            .filter(|value| match kind {
                Kind::Text => value.as_str().is_some_and(|text| !text.contains('{')),
                Kind::Number | Kind::Integer | Kind::Money => value.is_number(),
                _ => false,
            })
            .collect();
        if !fits.is_empty() && self.rng.percent(60) {
            return (*self.rng.pick(&fits)).clone();
        }
        match kind {
            Kind::Number | Kind::Integer | Kind::Money => json!(self.rng.pick(&NUMBERS)),
            Kind::Bool => json!(self.rng.percent(50)),
            Kind::Date => json!(self.rng.pick(&DAYS)),
            Kind::Instant if self.rng.percent(50) => json!(self.rng.pick(&DAYS)),
            Kind::Instant => json!(self.rng.pick(&INSTANTS)),
            Kind::Time => json!(self.rng.pick(&["09:00:00", "14:30:00"])),
            Kind::Text | Kind::Tags | Kind::Other => json!(self.rng.pick(&TEXTS)),
        }
    }
}

fn sorts(kind: Kind) -> bool {
    !matches!(kind, Kind::Tags | Kind::Other)
}
