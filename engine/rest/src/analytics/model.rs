//! Measures and dimensions of an object, by their names: those whose fields the principal may compare, group and compute with. Others
//! are as if they were not declared.

use super::ask::{Selection, bucket_of};
use super::sql::computed;
use crate::refusal::Refusal;
use querygate_query_api::requests::question::{
    AggregateFunction, Aggregation, Bucket, FieldDescription, GroupKey, JsonForm, ObjectDescription, OrderKey, Question,
};
use querygate_types::vendor::VendorCode;
use serde_json::{Value, json};
use std::sync::Arc;

/// Measures that every object has of each field: what the name ends with.
const INFERRED: [(&str, AggregateFunction); 5] = [
    ("_count_distinct", AggregateFunction::CountDistinct),
    ("_sum", AggregateFunction::Sum),
    ("_avg", AggregateFunction::Avg),
    ("_min", AggregateFunction::Min),
    ("_max", AggregateFunction::Max),
];

#[derive(Debug, Clone)]
pub(super) struct Measure {
    name: String,
    label: String,
    pub(super) function: AggregateFunction,
    pub(super) field: Option<String>,
    pub(super) filter: Option<Value>,
}

/// A field by which measures are computed.
#[derive(Debug, Clone)]
pub(super) struct Dimension {
    name: String,
    label: String,
    kind: &'static str,
    pub(super) field: String,
    pub(super) bucket: Option<Bucket>,
}

/// What can be asked of one object.
pub(super) struct Model {
    name: String,
    title: String,
    pub(super) object: Arc<ObjectDescription>,
    /// It names objects beside its own.
    pub(super) joins: bool,
    pub(super) is_dataset: bool,
    /// Measures that are SQL expressions, as they are listed: they are not served, and may be of any field.
    computed: Vec<Value>,
    measures: Vec<Measure>,
    dimensions: Vec<Dimension>,
}

/// A question, and what its answer's columns are.
pub(super) struct Asked {
    pub(super) question: Question,
    pub(super) fields: Vec<Value>,
}

/// The object of a cube.
pub(super) fn object_of(cube: &Value) -> Option<&str> {
    cube.get("sql").and_then(Value::as_str)
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

pub(super) fn function_of(word: &str) -> Option<AggregateFunction> {
    Some(match word {
        "count" => AggregateFunction::Count,
        "sum" => AggregateFunction::Sum,
        "avg" => AggregateFunction::Avg,
        "min" => AggregateFunction::Min,
        "max" => AggregateFunction::Max,
        "count_distinct" | "countDistinct" => AggregateFunction::CountDistinct,
        _ => return None,
    })
}

fn word_of(function: AggregateFunction) -> &'static str {
    match function {
        AggregateFunction::Count => "count",
        AggregateFunction::Sum => "sum",
        AggregateFunction::Avg => "avg",
        AggregateFunction::Min => "min",
        AggregateFunction::Max => "max",
        AggregateFunction::CountDistinct => "count_distinct",
    }
}

/// The field, where the principal may compute with it.
fn open<'a>(object: &'a ObjectDescription, name: &str) -> Option<&'a Arc<FieldDescription>> {
    object.field(name).filter(|field| !field.is_masked && !field.is_computed)
}

fn kind_of(field: &FieldDescription) -> &'static str {
    match field.form {
        JsonForm::Number => "number",
        JsonForm::Boolean => "boolean",
        JsonForm::Date | JsonForm::Instant => "time",
        JsonForm::Text | JsonForm::Bytes | JsonForm::Time | JsonForm::List | JsonForm::Json => "string",
    }
}

/// A dataset that a body describes.
///
/// # Errors
/// It has names that are none.
pub(super) fn check_dataset(given: &Value) -> Result<(), Refusal> {
    let parts = ["measures", "dimensions"].into_iter().filter_map(|key| given.get(key)?.as_array()).flatten();
    let mut names = parts.map(|part| text(part, "name")).chain([text(given, "name"), text(given, "object")]);
    let is_name = |name: Option<&str>| name.is_some_and(|name| name.chars().count() >= 2);
    if names.all(is_name) {
        return Ok(());
    }
    Err(Refusal::new(VendorCode::ValidationFailed, "Invalid dataset definition."))
}

impl Model {
    /// A cube of the metadata. Measures and dimensions that are SQL, and no field's name, are not served.
    pub(super) fn of_cube(name: &str, cube: &Value, object: Arc<ObjectDescription>) -> Self {
        let entries = |key: &str| {
            let entries = cube.get(key).and_then(Value::as_object).into_iter().flatten();
            entries.map(|(name, entry)| (name.clone(), entry.clone())).collect::<Vec<_>>()
        };
        let measure = |(name, entry): (String, Value)| {
            let function = function_of(text(&entry, "type")?)?;
            let field = text(&entry, "sql").filter(|field| *field != "*").map(str::to_owned);
            let label = text(&entry, "label").unwrap_or(&name).to_owned();
            Some(Measure { name, label, function, field, filter: entry.get("filter").cloned() })
        };
        let dimension = |(name, entry): (String, Value)| {
            let field = text(&entry, "sql").unwrap_or(&name).to_owned();
            let kind = kind_of(open(&object, &field)?);
            let label = text(&entry, "label").unwrap_or(&name).to_owned();
            Some(Dimension { name, label, kind, field, bucket: None })
        };
        let measures = entries("measures").into_iter().filter_map(measure).collect();
        let dimensions = entries("dimensions").into_iter().filter_map(dimension).collect();
        let title = text(cube, "title").unwrap_or(name).to_owned();
        let joins = cube.get("joins").and_then(Value::as_object).is_some_and(|joins| !joins.is_empty());
        let computed = entries("measures").iter().filter_map(|(own, entry)| computed(name, own, entry)).collect();
        Self { name: name.to_owned(), title, object, joins, is_dataset: false, computed, measures, dimensions }.seen()
    }

    /// An object, of which only inferred measures can be asked.
    pub(super) fn of_object(name: &str, object: Arc<ObjectDescription>) -> Self {
        let title = object.label.clone();
        let (computed, measures, dimensions) = (Vec::new(), Vec::new(), Vec::new());
        Self { name: name.to_owned(), title, object, joins: false, is_dataset: false, computed, measures, dimensions }
    }

    /// A dataset. Measures that are computed of others are not served.
    pub(super) fn of_dataset(name: &str, dataset: &Value, object: Arc<ObjectDescription>) -> Self {
        let entries = |key: &str| dataset.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
        let measure = |entry: Value| {
            let name = text(&entry, "name")?.to_owned();
            Some(Measure {
                label: text(&entry, "label").unwrap_or(&name).to_owned(),
                function: function_of(text(&entry, "aggregate")?)?,
                field: text(&entry, "field").map(str::to_owned),
                filter: entry.get("filter").cloned(),
                name,
            })
        };
        let dimension = |entry: Value| {
            let name = text(&entry, "name")?.to_owned();
            let field = text(&entry, "field").unwrap_or(&name).to_owned();
            let kind = kind_of(open(&object, &field)?);
            let label = text(&entry, "label").unwrap_or(&name).to_owned();
            Some(Dimension { name, label, kind, field, bucket: text(&entry, "dateGranularity").and_then(bucket_of) })
        };
        let measures = entries("measures").into_iter().filter_map(measure).collect();
        let dimensions = entries("dimensions").into_iter().filter_map(dimension).collect();
        let title = text(dataset, "label").unwrap_or(name).to_owned();
        let (name, computed) = (name.to_owned(), Vec::new());
        Self { name, title, object, joins: false, is_dataset: true, computed, measures, dimensions }.seen()
    }

    /// Without measures of fields that the principal may not compute with.
    fn seen(mut self) -> Self {
        let object = Arc::clone(&self.object);
        self.measures.retain(|measure| measure.field.as_deref().is_none_or(|field| open(&object, field).is_some()));
        self
    }

    /// As `/analytics/meta` lists it. `whole`: with what is declared and not served.
    pub(super) fn told(&self, whole: bool) -> Value {
        let full = |name: &str| format!("{}.{name}", self.name);
        let measures = self.measures.iter().map(
            |measure| json!({"name": full(&measure.name), "type": word_of(measure.function), "title": measure.label}),
        );
        let dimensions = self.dimensions.iter();
        let dimensions = dimensions
            .map(|dimension| json!({"name": full(&dimension.name), "type": dimension.kind, "title": dimension.label}));
        json!({
            "name": self.name,
            "title": self.title,
            "measures": measures.chain(self.computed.iter().filter(|_| whole).cloned()).collect::<Vec<_>>(),
            "dimensions": dimensions.collect::<Vec<_>>(),
        })
    }

    /// A name without the model's own before it.
    fn own<'a>(&self, name: &'a str) -> &'a str {
        name.strip_prefix(self.name.as_str()).and_then(|rest| rest.strip_prefix('.')).unwrap_or(name)
    }

    /// # Errors
    /// There is none of this name, or none that the principal may compute.
    pub(super) fn measure(&self, name: &str) -> Result<Measure, Refusal> {
        let name = self.own(name);
        if let Some(measure) = self.measures.iter().find(|measure| measure.name == name) {
            return Ok(measure.clone());
        }
        let inferred = |(end, function): (&str, AggregateFunction)| {
            let field = open(&self.object, name.strip_suffix(end)?)?;
            Some((function, Some(field.name.clone())))
        };
        let found = (name == "count").then_some((AggregateFunction::Count, None));
        let found = found.or_else(|| INFERRED.into_iter().find_map(inferred));
        let (function, field) = found.ok_or_else(|| unknown("measure", name))?;
        Ok(Measure { name: name.to_owned(), label: name.to_owned(), function, field, filter: None })
    }

    /// # Errors
    /// There is none of this name, or none that the principal may group by.
    pub(super) fn dimension(&self, name: &str) -> Result<Dimension, Refusal> {
        let name = self.own(name);
        if let Some(dimension) = self.dimensions.iter().find(|dimension| dimension.name == name) {
            return Ok(dimension.clone());
        }
        let field = open(&self.object, name).ok_or_else(|| unknown("dimension", name))?;
        let (kind, field, label) = (kind_of(field), field.name.clone(), field.label.clone());
        Ok(Dimension { name: name.to_owned(), label, kind, field, bucket: None })
    }

    /// The field whose values a column of the answer has, where it is a group's key as it is stored.
    pub(super) fn group_field(&self, question: &Question, column: usize) -> Option<&FieldDescription> {
        let key = question.group_by.get(column).filter(|key| key.bucket.is_none())?;
        self.object.field(&key.field).map(AsRef::as_ref)
    }

    /// The question that a selection is.
    ///
    /// # Errors
    /// `INVALID_FIELD` of names that are none, or are not for the principal.
    pub(super) fn asked(&self, selection: &Selection) -> Result<Asked, Refusal> {
        let (mut group_by, mut fields, mut filters) = (Vec::new(), Vec::new(), Vec::new());
        let mut add = |dimension: Dimension, bucket: Option<Bucket>| {
            let Dimension { name, label, kind, field, bucket: own } = dimension;
            fields.push(json!({"name": name, "type": kind, "label": label}));
            group_by.push(GroupKey { field, bucket: bucket.or(own), alias: Some(name) });
        };
        for name in &selection.dimensions {
            add(self.dimension(name)?, None);
        }
        for time in &selection.times {
            let dimension = self.dimension(&time.name)?;
            if let Some((first, last)) = &time.range {
                filters.push(json!({dimension.field.as_str(): {"$between": [first, last]}}));
            }
            if time.bucket.is_some() {
                add(dimension, time.bucket);
            }
        }
        let mut aggregations = Vec::new();
        for name in &selection.measures {
            let Measure { name, label, function, field, filter } = self.measure(name)?;
            fields.push(json!({"name": name, "type": "number", "label": label}));
            aggregations.push(Aggregation { function, field, alias: name, filter });
        }
        filters.extend(selection.filter.clone());
        let order = selection.order.iter();
        let order: Vec<OrderKey> = order
            .map(|(name, descending)| OrderKey { field: self.own(name).to_owned(), descending: *descending })
            .collect();
        let known = |key: &OrderKey| fields.iter().any(|field| field["name"] == key.field.as_str());
        if let Some(key) = order.iter().find(|key| !known(key)) {
            return Err(unknown("selected name", &key.field));
        }
        let question = Question {
            object: self.object.name.clone(),
            filter: (!filters.is_empty()).then(|| json!({"$and": filters})),
            order,
            limit: Some(selection.limit),
            offset: selection.offset,
            group_by,
            aggregations,
            ..Question::default()
        };
        Ok(Asked { question, fields })
    }
}

fn unknown(what: &str, name: &str) -> Refusal {
    Refusal::new(VendorCode::InvalidField, format!("There is no {what} '{name}'.")).with("field", name)
}
