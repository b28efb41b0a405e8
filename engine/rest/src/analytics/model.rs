//! Measures and dimensions of an object, by their names: those whose fields the principal may compare, group and compute with. Others
//! are as if they were not declared.

use super::ask::{ComputedOperator, Selection};
use super::condition::ConditionNames;
use super::fields::{ModelFields, paths_of};
use super::sql::computed;
use crate::refusal::Refusal;
use querygate_query_api::requests::question::{
    AggregateFunction, Aggregation, Bucket, FieldDescription, GroupKey, JsonForm, OrderKey, Question,
};
use querygate_types::vendor::VendorCode;
use serde_json::{Value, json};
use std::collections::BTreeSet;

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
    pub(super) fields: ModelFields,
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
    pub(super) unserved: UnservedNames,
    /// Records that there are at all.
    pub(super) filter: Option<Value>,
}

#[derive(Default)]
pub(super) struct UnservedNames {
    measures: BTreeSet<String>,
    pub(super) dimensions: BTreeSet<String>,
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

/// A name without a model's own before it.
pub(super) fn own_of<'n>(model: &str, name: &'n str) -> &'n str {
    name.strip_prefix(model).and_then(|rest| rest.strip_prefix('.')).unwrap_or(name)
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

/// The function of a measure's type: datasets spell one of them in their own way, too.
pub(super) fn function_of(word: &str) -> Option<AggregateFunction> {
    AggregateFunction::named(if word == "countDistinct" { "count_distinct" } else { word })
}

/// What a cube declares under a key, by its names.
fn entries_of<'c>(cube: &'c Value, key: &str) -> impl Iterator<Item = (&'c String, &'c Value)> {
    cube.get(key).and_then(Value::as_object).into_iter().flatten()
}

/// Paths of fields that a cube names.
pub(super) fn cube_paths(cube: &Value) -> BTreeSet<String> {
    let members = || ["measures", "dimensions"].into_iter().flat_map(move |key| entries_of(cube, key));
    let filters = members().filter_map(|(_, member)| member.get("filter"));
    let filtered = filters.flat_map(|filter| ConditionNames::of(filter).all().collect::<Vec<_>>());
    paths_of(members().filter_map(|(_, member)| text(member, "sql")).chain(filtered))
}

/// Paths along which a dataset names fields.
pub(super) fn dataset_paths(dataset: &Value) -> BTreeSet<String> {
    let paths = dataset.get("include").and_then(Value::as_array).into_iter().flatten();
    paths.filter_map(|path| path.as_str().map(str::to_owned)).collect()
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
    pub(super) fn of_cube(name: &str, cube: &Value, fields: ModelFields) -> Self {
        let measure = |(name, entry): (&String, &Value)| {
            let function = function_of(text(entry, "type")?)?;
            let field = text(entry, "sql").filter(|field| *field != "*").map(str::to_owned);
            let label = text(entry, "label").unwrap_or(name).to_owned();
            Some(Measure { name: name.clone(), label, function, field, filter: entry.get("filter").cloned() })
        };
        let dimension = |(name, entry): (&String, &Value)| {
            let field = text(entry, "sql").unwrap_or(name).to_owned();
            let kind = kind_of(fields.open(&field)?);
            let label = text(entry, "label").unwrap_or(name).to_owned();
            // A dimension of which there is one span only is of that span.
            let bucket = match entry.get("granularities").and_then(Value::as_array).map(Vec::as_slice) {
                Some([Value::String(only)]) if kind == "time" => Bucket::named(only),
                _ => None,
            };
            Some(Dimension { name: name.clone(), label, kind, field, bucket })
        };
        let measures = entries_of(cube, "measures").filter_map(measure).collect();
        let dimensions = entries_of(cube, "dimensions").filter_map(dimension).collect();
        let title = text(cube, "title").unwrap_or(name).to_owned();
        let joins = cube.get("joins").and_then(Value::as_object).is_some_and(|joins| !joins.is_empty());
        let computed = entries_of(cube, "measures").filter_map(|(own, entry)| computed(name, own, entry)).collect();
        let names = |key: &str| entries_of(cube, key).map(|(name, _)| name.clone()).collect::<BTreeSet<_>>();
        let unserved = UnservedNames { measures: names("measures"), dimensions: names("dimensions") };
        Self { title, joins, computed, measures, dimensions, unserved, ..Self::of_object(name, fields) }.seen()
    }

    /// An object, of which only inferred measures can be asked.
    pub(super) fn of_object(name: &str, fields: ModelFields) -> Self {
        let title = fields.object.label.clone();
        Self {
            name: name.to_owned(),
            title,
            fields,
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

    /// A dataset. Measures and dimensions along a path that it does not include are not served.
    pub(super) fn of_dataset(name: &str, dataset: &Value, fields: ModelFields) -> Self {
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
            let kind = kind_of(fields.open(&field)?);
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
        let base = Self::of_object(name, fields);
        Self { title, is_dataset: true, measures, dimensions, combined, unserved, filter, ..base }.seen()
    }

    /// Without measures of fields that the principal may not compute with.
    fn seen(mut self) -> Self {
        let sees = |model: &Self, measure: &Measure| {
            let field = measure.field.as_deref().is_none_or(|field| model.fields.open(field).is_some());
            field && measure.filter.as_ref().is_none_or(|filter| model.is_open(filter))
        };
        let measures = std::mem::take(&mut self.measures);
        self.measures = measures.into_iter().filter(|measure| sees(&self, measure)).collect();
        let UnservedNames { measures, dimensions } = &mut self.unserved;
        measures.retain(|name| !self.measures.iter().any(|measure| measure.name == *name));
        dimensions.retain(|name| !self.dimensions.iter().any(|dimension| dimension.name == *name));
        self
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
        own_of(&self.name, name)
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
            let field = self.fields.own(name.strip_suffix(end)?)?;
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
        let kind = field.filter(|_| is_extreme).and_then(|name| self.fields.field(name)).map(|field| kind_of(field));
        kind.filter(|kind| *kind == "time").unwrap_or("number")
    }

    /// # Errors
    /// There is none of this name, or none that the principal may group by.
    pub(super) fn dimension(&self, name: &str) -> Result<Dimension, Refusal> {
        let name = self.own(name);
        if let Some(dimension) = self.declared(name) {
            return Ok(dimension.clone());
        }
        if self.unserved.dimensions.contains(name) {
            return Err(unknown("dimension", name));
        }
        let field = self.fields.open(name).ok_or_else(|| unknown("dimension", name))?;
        let (kind, label) = (kind_of(field), field.label.clone());
        Ok(Dimension { name: name.to_owned(), label, kind, field: name.to_owned(), bucket: None })
    }

    /// A dimension that is declared and served, by its own name.
    pub(super) fn declared(&self, own: &str) -> Option<&Dimension> {
        self.dimensions.iter().find(|dimension| dimension.name == own)
    }

    /// The field whose values a column of the answer has, where it is a group's key as it is stored.
    pub(super) fn group_field(&self, question: &Question, column: usize) -> Option<&FieldDescription> {
        let key = question.group_by.get(column).filter(|key| key.bucket.is_none())?;
        self.fields.field(&key.field).map(AsRef::as_ref)
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
        let narrowed = selection.filter.as_ref().map(|filter| self.condition(filter)).transpose()?;
        for filter in self.filter.iter().chain(&narrowed) {
            self.check_paths(filter)?;
            filters.push(filter.clone());
        }
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
            object: self.fields.object.name.clone(),
            paths: true,
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
