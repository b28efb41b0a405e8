//! Measures and dimensions of an object, by their names: those whose fields the principal may compare, group and compute with. Others
//! are as if they were not declared.

use super::ask::{ComputedOperator, Selection};
use super::sql::computed;
use crate::refusal::Refusal;
use querygate_query_api::requests::question::{
    AggregateFunction, Aggregation, Bucket, FieldDescription, GroupKey, JsonForm, ObjectDescription, OrderKey, Question,
};
use querygate_types::vendor::VendorCode;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Bytes of a name, as of all names that a question gives.
const NAME_BYTES_MAX: usize = 256;
/// Measures that one is computed of.
const OPERANDS_MAX: usize = 16;
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

impl Measure {
    /// What it is of a group without records, as JSON.
    pub(super) fn of_none(&self) -> &'static str {
        match self.function {
            AggregateFunction::Count | AggregateFunction::CountDistinct | AggregateFunction::Sum => "0",
            AggregateFunction::Avg | AggregateFunction::Min | AggregateFunction::Max => "null",
        }
    }
}

/// A measure that is computed of others.
#[derive(Debug, Clone)]
pub(super) struct ComputedMeasure {
    pub(super) name: String,
    pub(super) label: String,
    pub(super) operator: ComputedOperator,
    pub(super) of: Vec<String>,
}

/// A field by which measures are computed.
#[derive(Debug, Clone)]
pub(super) struct Dimension {
    pub(super) name: String,
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
    /// Measures of a dataset that are computed of others of it.
    pub(super) combined: Vec<ComputedMeasure>,
    /// Names that are declared for what is not served, or not for the principal. They are no names of the object's fields.
    unserved: UnservedNames,
    /// Records that there are at all.
    pub(super) filter: Option<Value>,
}

#[derive(Default)]
struct UnservedNames {
    measures: BTreeSet<String>,
    dimensions: BTreeSet<String>,
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

/// The function of a measure's type: datasets spell one of them in their own way, too.
pub(super) fn function_of(word: &str) -> Option<AggregateFunction> {
    AggregateFunction::named(if word == "countDistinct" { "count_distinct" } else { word })
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
    let is_name =
        |name: Option<&str>| name.is_some_and(|name| name.chars().count() >= 2 && name.len() <= NAME_BYTES_MAX);
    let measures = given.get("measures").and_then(Value::as_array).into_iter().flatten();
    let mut operands = measures.filter_map(|measure| measure.get("derived")?.get("of")?.as_array());
    if names.all(is_name) && operands.all(|of| of.len() <= OPERANDS_MAX) {
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
            // A dimension of which there is one span only is of that span.
            let bucket = match entry.get("granularities").and_then(Value::as_array).map(Vec::as_slice) {
                Some([Value::String(only)]) if kind == "time" => Bucket::named(only),
                _ => None,
            };
            Some(Dimension { name, label, kind, field, bucket })
        };
        let measures = entries("measures").into_iter().filter_map(measure).collect();
        let dimensions = entries("dimensions").into_iter().filter_map(dimension).collect();
        let title = text(cube, "title").unwrap_or(name).to_owned();
        let joins = cube.get("joins").and_then(Value::as_object).is_some_and(|joins| !joins.is_empty());
        let computed = entries("measures").iter().filter_map(|(own, entry)| computed(name, own, entry)).collect();
        let unserved = UnservedNames {
            measures: entries("measures").into_iter().map(|(name, _)| name).collect(),
            dimensions: entries("dimensions").into_iter().map(|(name, _)| name).collect(),
        };
        let name = name.to_owned();
        Self { title, joins, computed, measures, dimensions, unserved, ..Self::of_object(&name, object) }.seen()
    }

    /// An object, of which only inferred measures can be asked.
    pub(super) fn of_object(name: &str, object: Arc<ObjectDescription>) -> Self {
        let title = object.label.clone();
        Self {
            name: name.to_owned(),
            title,
            object,
            joins: false,
            is_dataset: false,
            computed: Vec::new(),
            measures: Vec::new(),
            dimensions: Vec::new(),
            combined: Vec::new(),
            unserved: UnservedNames::default(),
            filter: None,
        }
    }

    /// A dataset. Measures and dimensions of related records are not served.
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
            Some(Dimension {
                name,
                label,
                kind,
                field,
                bucket: text(&entry, "dateGranularity").and_then(Bucket::named),
            })
        };
        let measures = entries("measures").into_iter().filter_map(measure).collect();
        let dimensions = entries("dimensions").into_iter().filter_map(dimension).collect();
        let combined = |entry: Value| {
            let (name, derived) = (text(&entry, "name")?.to_owned(), entry.get("derived")?);
            let of = derived.get("of")?.as_array()?.iter().map(|name| name.as_str().map(str::to_owned));
            Some(ComputedMeasure {
                label: text(&entry, "label").unwrap_or(&name).to_owned(),
                operator: ComputedOperator::named(text(derived, "op")?)?,
                of: of.collect::<Option<Vec<_>>>().filter(|of| of.len() <= OPERANDS_MAX)?,
                name,
            })
        };
        let combined = entries("measures").into_iter().filter_map(combined).collect();
        let names = |key: &str| {
            entries(key).iter().filter_map(|entry| text(entry, "name").map(str::to_owned)).collect::<BTreeSet<_>>()
        };
        let unserved = UnservedNames { measures: names("measures"), dimensions: names("dimensions") };
        let title = text(dataset, "label").unwrap_or(name).to_owned();
        let filter = dataset.get("filter").filter(|filter| !filter.is_null()).cloned();
        let base = Self::of_object(name, object);
        Self { title, is_dataset: true, measures, dimensions, combined, unserved, filter, ..base }.seen()
    }

    /// Without measures of fields that the principal may not compute with.
    fn seen(mut self) -> Self {
        let object = Arc::clone(&self.object);
        let sees = |model: &Self, measure: &Measure| {
            let field = measure.field.as_deref().is_none_or(|field| open(&object, field).is_some());
            field && measure.filter.as_ref().is_none_or(|filter| model.is_open(filter))
        };
        let measures = std::mem::take(&mut self.measures);
        self.measures = measures.into_iter().filter(|measure| sees(&self, measure)).collect();
        let UnservedNames { measures, dimensions } = &mut self.unserved;
        measures.retain(|name| !self.measures.iter().any(|measure| measure.name == *name));
        dimensions.retain(|name| !self.dimensions.iter().any(|dimension| dimension.name == *name));
        self
    }

    /// Whether the principal may compare each field that its own filter names.
    pub(super) fn is_filter_open(&self) -> bool {
        self.filter.as_ref().is_none_or(|filter| self.is_open(filter))
    }

    fn is_open(&self, condition: &Value) -> bool {
        let parts = |given: &Value| given.as_array().is_none_or(|parts| parts.iter().all(|part| self.is_open(part)));
        condition.as_object().is_none_or(|entries| {
            entries.iter().all(|(key, value)| match key.as_str() {
                "$and" | "$or" => parts(value),
                "$not" => self.is_open(value),
                name => {
                    let own = self.own(name);
                    let declared = self.dimensions.iter().find(|dimension| dimension.name == own);
                    let field = declared.map_or(own, |dimension| dimension.field.as_str());
                    self.object.field(field).is_some_and(|field| !field.is_masked)
                }
            })
        })
    }

    /// As `/analytics/meta` lists it. `whole`: with what is declared and not served.
    pub(super) fn told(&self, whole: bool) -> Value {
        let full = |name: &str| format!("{}.{name}", self.name);
        let measures = self.measures.iter().map(
            |measure| json!({"name": full(&measure.name), "type": measure.function.name(), "title": measure.label}),
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
    pub(super) fn own<'a>(&self, name: &'a str) -> &'a str {
        name.strip_prefix(self.name.as_str()).and_then(|rest| rest.strip_prefix('.')).unwrap_or(name)
    }

    /// # Errors
    /// There is none of this name, or none that the principal may compute.
    pub(super) fn measure(&self, name: &str) -> Result<Measure, Refusal> {
        let name = self.own(name);
        if let Some(measure) = self.measures.iter().find(|measure| measure.name == name) {
            return Ok(measure.clone());
        }
        if self.unserved.measures.contains(name) {
            return Err(unknown("measure", name));
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

    /// What the values of a measure are.
    fn measured(&self, function: AggregateFunction, field: Option<&str>) -> &'static str {
        let is_extreme = matches!(function, AggregateFunction::Min | AggregateFunction::Max);
        let kind = field.filter(|_| is_extreme).and_then(|name| self.object.field(name)).map(|field| kind_of(field));
        kind.filter(|kind| *kind == "time").unwrap_or("number")
    }

    /// # Errors
    /// There is none of this name, or none that the principal may group by.
    pub(super) fn dimension(&self, name: &str) -> Result<Dimension, Refusal> {
        let name = self.own(name);
        if let Some(dimension) = self.dimensions.iter().find(|dimension| dimension.name == name) {
            return Ok(dimension.clone());
        }
        if self.unserved.dimensions.contains(name) {
            return Err(unknown("dimension", name));
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
                let declared = self.dimensions.iter().find(|dimension| dimension.name == own);
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

    /// What a selection groups by: its dimensions, and those of time for which it names a span. Each has the span that holds for it: its own
    /// in the selection, the selection's, the declared one.
    ///
    /// # Errors
    /// As of [`Self::dimension`].
    pub(super) fn keys(&self, selection: &Selection) -> Result<Vec<Dimension>, Refusal> {
        let spanned = |name: &str| selection.times.iter().find(|time| self.own(&time.name) == self.own(name));
        let of_dimension = |name: &String| {
            let mut dimension = self.dimension(name)?;
            let own = spanned(name).and_then(|time| time.bucket);
            let all = selection.granularity.filter(|_| dimension.kind == "time");
            dimension.bucket = own.or(all).or(dimension.bucket);
            Ok(dimension)
        };
        let mut keys = selection.dimensions.iter().map(of_dimension).collect::<Result<Vec<_>, Refusal>>()?;
        for time in selection.times.iter().filter(|time| time.bucket.is_some()) {
            let stands = selection.dimensions.iter().any(|name| self.own(name) == self.own(&time.name));
            if !stands {
                keys.push(Dimension { bucket: time.bucket, ..self.dimension(&time.name)? });
            }
        }
        Ok(keys)
    }

    /// The question that a selection is.
    ///
    /// # Errors
    /// `INVALID_FIELD` of names that are none, or are not for the principal.
    pub(super) fn asked(&self, selection: &Selection) -> Result<Asked, Refusal> {
        let (mut group_by, mut fields, mut filters) = (Vec::new(), Vec::new(), Vec::new());
        for Dimension { name, label, kind, field, bucket } in self.keys(selection)? {
            fields.push(json!({"name": name, "type": kind, "label": label}));
            group_by.push(GroupKey { field, bucket, alias: Some(name) });
        }
        for time in &selection.times {
            let dimension = self.dimension(&time.name)?;
            if let Some((first, last)) = &time.range {
                filters.push(json!({dimension.field.as_str(): {"$between": [first, last]}}));
            }
        }
        let mut aggregations = Vec::new();
        for name in &selection.measures {
            let Measure { name, label, function, field, filter } = self.measure(name)?;
            fields.push(json!({"name": name, "type": self.measured(function, field.as_deref()), "label": label}));
            aggregations.push(Aggregation { function, field, alias: name, filter });
        }
        filters.extend(self.filter.clone());
        filters.extend(selection.filter.as_ref().map(|filter| self.condition(filter)).transpose()?);
        // A group of which no measure counts a record is none.
        let own: Option<Vec<&Value>> = aggregations.iter().map(|aggregation| aggregation.filter.as_ref()).collect();
        if let Some(own) = own.filter(|own| self.is_dataset && !own.is_empty() && !group_by.is_empty()) {
            filters.push(json!({"$or": own}));
        }
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

pub(super) fn unknown(what: &str, name: &str) -> Refusal {
    Refusal::new(VendorCode::InvalidField, format!("There is no {what} '{name}'.")).with("field", name)
}
