//! Questions as schemas: the parameters of a list, and QueryAST in a body.

use super::Seen;
use super::shape::{Shape, any, closed, count, flag, list, named, object, of, one_of, requires, text, with, words};
use querygate_query_api::requests::question::{AggregateFunction, Bucket, FieldDescription, ObjectDescription};
use serde_json::json;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{AdditionalProperties, SchemaType};
use utoipa::openapi::{Required, Type};

/// Operators of a condition.
const OPERATORS: [&str; 17] = [
    "$eq",
    "$ne",
    "$gt",
    "$gte",
    "$lt",
    "$lte",
    "$in",
    "$nin",
    "$between",
    "$contains",
    "$notContains",
    "$icontains",
    "$startsWith",
    "$endsWith",
    "$like",
    "$ilike",
    "$null",
];

/// Parameters of a list that are no fields.
const RESERVED: [&str; 9] =
    ["fields", "where", "orderBy", "limit", "offset", "expand", "search", "searchFields", "count"];

/// Schemas that all objects share.
pub(super) fn schemas() -> Vec<(String, Shape)> {
    let pairs: [(&str, Shape); 5] = [
        ("Filter", filter()),
        ("OrderKey", order_key()),
        ("GroupKey", group_key()),
        ("Aggregation", aggregation()),
        ("Expand", expand()),
    ];
    pairs.into_iter().map(|(name, shape)| (name.to_owned(), shape)).collect()
}

/// `{field: value}`, `{field: {$op: value}}`, `$and`, `$or`, `$not`.
fn filter() -> Shape {
    let operators = OPERATORS.iter().map(|name| (*name, any().into()));
    let condition = with(object(), operators).description(Some("Operators, all of which must hold."));
    let filters = || Shape::from(list(named("Filter")));
    let keys = [("$and", filters()), ("$or", filters()), ("$not", named("Filter"))];
    let scalar = any().schema_type(SchemaType::from_iter([Type::String, Type::Number, Type::Boolean, Type::Null]));
    let value = one_of([Shape::from(scalar), condition.into()]);
    with(object(), keys)
        .additional_properties(Some(AdditionalProperties::RefOr(value)))
        .description(Some("Fields with the values or operators that must hold for them. Instants and dates may be tokens, as `{today}`."))
        .examples([json!({"id": {"$in": ["1", "2"]}})])
        .into()
}

fn order_key() -> Shape {
    requires(with(object(), [("field", text().into()), ("order", words(["asc", "desc"]).into())]), &["field"]).into()
}

fn group_key() -> Shape {
    let grain = words(Bucket::ALL.map(Bucket::name));
    let keys = [("field", text().into()), ("dateGranularity", grain.into()), ("alias", text().into())];
    one_of([Shape::from(text()), requires(with(object(), keys), &["field"]).into()])
}

fn aggregation() -> Shape {
    let function = words(AggregateFunction::ALL.map(AggregateFunction::name));
    let keys = [
        ("function", function.into()),
        ("field", text().into()),
        ("alias", text().into()),
        ("filter", named("Filter")),
    ];
    requires(closed(keys), &["function", "alias"]).into()
}

fn expand() -> Shape {
    let inner = object().additional_properties(Some(AdditionalProperties::RefOr(named("Expand"))));
    let keys = [
        ("object", text().into()),
        ("fields", list(text()).into()),
        ("where", named("Filter")),
        ("expand", inner.into()),
    ];
    requires(with(object(), keys), &["object"]).into()
}

/// Fields that conditions, orders, groups and aggregations may name.
fn open(object: &ObjectDescription) -> impl Iterator<Item = &FieldDescription> {
    object.fields.iter().map(AsRef::as_ref).filter(|field| !field.is_masked && !field.is_computed)
}

fn names(object: &ObjectDescription) -> Shape {
    words(object.fields.iter().map(|field| field.name.as_str())).into()
}

fn open_names(object: &ObjectDescription) -> Shape {
    words(open(object).map(|field| field.name.as_str())).into()
}

/// Fields whose related record may take their place.
fn expandable<'a>(object: &'a ObjectDescription, all: &'a [Seen]) -> impl Iterator<Item = &'a str> {
    let related = |name: &str| all.iter().any(|seen| seen.object.name == name);
    let fields = object.fields.iter().filter(move |field| field.references.as_deref().is_some_and(related));
    fields.map(|field| field.name.as_str())
}

/// QueryAST about one object.
pub(super) fn body(object: &ObjectDescription, all: &[Seen]) -> Shape {
    let order = requires(
        with(super::shape::object(), [("field", open_names(object)), ("order", words(["asc", "desc"]).into())]),
        &["field"],
    );
    let mut expand = super::shape::object();
    for name in expandable(object, all) {
        expand = expand.property(name, named("Expand"));
    }
    let expand = expand.additional_properties(Some(AdditionalProperties::FreeForm(false)));
    let keys = [
        ("object", super::shape::only(object.name.as_str()).into()),
        ("fields", list(names(object)).into()),
        ("where", named("Filter")),
        ("orderBy", list(order).into()),
        ("limit", of(Type::Number).into()),
        ("offset", of(Type::Number).minimum(Some(0)).into()),
        ("count", flag().into()),
        ("groupBy", list(named("GroupKey")).into()),
        ("aggregations", list(named("Aggregation")).into()),
        ("having", named("Filter")),
        ("expand", expand.into()),
        ("search", text().into()),
        ("searchFields", list(open_names(object)).into()),
    ];
    closed(keys).description(Some("QueryAST. Aggregations and groups answer one record each group.")).into()
}

fn parameter(name: &str, schema: impl Into<Shape>, description: &str) -> Parameter {
    let builder = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Query).required(Required::False);
    builder.schema(Some(schema.into())).description(Some(description)).build()
}

/// Names with commas between them.
fn comma(name: &str, description: &str) -> Parameter {
    parameter(name, text(), description)
}

/// Parameters of a list.
pub(super) fn of_list(object: &ObjectDescription, all: &[Seen]) -> Vec<Parameter> {
    let mut parameters = vec![
        comma("fields", "Fields that are wanted, with commas between them. Also `select`, `$select`."),
        parameter("where", text(), "A filter as JSON. Also `filter`, `filters`, `$filter`."),
        comma("orderBy", "`field`, `-field` or `field desc`, with commas between them. Also `sort`, `$orderby`."),
        parameter("limit", text(), "Most records that are wanted. Also `top`, `$top`."),
        parameter("offset", text(), "Records that are passed over. Also `skip`, `$skip`."),
        parameter("search", text(), "Words that are looked for. Also `$search`."),
        comma("searchFields", "Fields in which they are looked for. Also `$searchFields`."),
        parameter("count", text(), "`false`: without `total`. Also `$count`."),
    ];
    if expandable(object, all).next().is_some() {
        let names: Vec<&str> = expandable(object, all).collect();
        let description =
            format!("References whose records take their place: {}. Also `populate`, `$expand`.", names.join(", "));
        parameters.push(comma("expand", &description));
    }
    let own = open(object).filter(|field| !RESERVED.contains(&field.name.as_str()) && !field.is_list);
    parameters.extend(own.map(|field| parameter(&field.name, text(), &format!("{} is this value.", field.label))));
    parameters
}

/// Parameters of one record.
pub(super) fn of_record(object: &ObjectDescription, all: &[Seen]) -> Vec<Parameter> {
    let mut parameters = vec![parameter("select", list(names(object)), "Fields that are wanted.")];
    if expandable(object, all).next().is_some() {
        let expandable = words(expandable(object, all));
        parameters.push(parameter("expand", list(expandable), "References whose records take their place."));
    }
    parameters
}

/// Parameters of an export.
pub(super) fn of_export(object: &ObjectDescription) -> Vec<Parameter> {
    vec![
        parameter("format", words(["csv", "json"]), "CSV where it is not given."),
        parameter("header", words(["true", "false"]), "Whether labels come first."),
        comma("fields", "Fields that are wanted, with commas between them."),
        parameter("filter", text(), "A filter as JSON."),
        comma("orderby", "`field` or `field:desc`, with commas between them."),
        parameter("limit", text(), "Most records that are wanted."),
        parameter("page", text(), "Which page of so many, from 1."),
        parameter("search", text(), &format!("Words that are looked for in {}.", object.label)),
        comma("searchFields", "Fields in which they are looked for."),
    ]
}

/// Parameters of the search in several objects.
pub(super) fn of_search() -> Vec<Parameter> {
    vec![
        parameter("q", text(), "Words that are looked for."),
        comma("objects", "Objects in which they are looked for, with commas between them."),
        parameter("limit", text(), "Most hits, up to 100."),
        parameter("perObject", text(), "Most hits of one object, up to 100."),
    ]
}

/// A number that answers count with.
pub(super) fn total() -> Shape {
    count().minimum(Some(0)).into()
}
