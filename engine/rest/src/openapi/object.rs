//! The operations of one object's records: those that the principal may do.

use super::answers::{Asks, JSON, answer, of_type, responses};
use super::record::{created, read, schemas, updated};
use super::shape::{
    Shape, any, closed, count, flag, list, named, nullable, object, one_of, requires, text, with, words,
};
use super::{Document, Seen, query};
use crate::refusal::Envelope;
use querygate_query_api::requests::question::ObjectDescription;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::{Content, Required, Type};

/// Adds the schemas and operations of an object. `all`: what its references may be expanded to.
pub(super) fn add(document: &mut Document, seen: &Seen, all: &[Seen]) {
    document.name(schemas(seen, all));
    add_reads(document, seen, all);
    add_changes(document, seen);
    add_bulk(document, seen);
}

pub(super) fn operation(id: &str, tag: &str, summary: &str) -> OperationBuilder {
    OperationBuilder::new().operation_id(Some(id)).tag(tag).summary(Some(summary))
}

pub(super) fn with_parameters(operation: OperationBuilder, parameters: Vec<Parameter>) -> OperationBuilder {
    parameters.into_iter().fold(operation, OperationBuilder::parameter)
}

pub(super) fn with_body(operation: OperationBuilder, body: impl Into<Shape>) -> OperationBuilder {
    let content = Content::new(Some(body.into()));
    operation
        .request_body(Some(RequestBodyBuilder::new().content(JSON, content).required(Some(Required::True)).build()))
}

/// A body that may be left out: it is as an empty one.
pub(super) fn with_optional_body(operation: OperationBuilder, body: impl Into<Shape>) -> OperationBuilder {
    let content = Content::new(Some(body.into()));
    operation
        .request_body(Some(RequestBodyBuilder::new().content(JSON, content).required(Some(Required::False)).build()))
}

/// A part of the path.
pub(super) fn in_path(name: &str, description: &str) -> Parameter {
    let builder = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Path).required(Required::True);
    builder.schema(Some(text().min_length(Some(1)))).description(Some(description)).build()
}

fn in_header(name: &str, description: &str) -> Parameter {
    let builder = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Header).required(Required::False);
    builder.schema(Some(text().min_length(Some(1)))).description(Some(description)).build()
}

fn page(object: &ObjectDescription, record: Shape) -> Shape {
    let keys = [
        ("object", super::shape::only(object.name.as_str()).into()),
        ("records", list(record).into()),
        ("total", query::total()),
        ("hasMore", flag().into()),
    ];
    requires(closed(keys), &["object", "records", "hasMore"]).into()
}

fn one(object: &ObjectDescription) -> Shape {
    let dropped = requires(
        with(
            super::shape::object(),
            [("object", text().into()), ("fields", list(text()).into()), ("reason", text().into())],
        ),
        &["fields", "reason"],
    );
    let keys = [
        ("object", super::shape::only(object.name.as_str()).into()),
        ("id", text().into()),
        ("record", named(read(object))),
        ("droppedFields", list(dropped).into()),
    ];
    requires(closed(keys), &["object", "id", "record"]).into()
}

fn add_reads(document: &mut Document, seen: &Seen, all: &[Seen]) {
    let object = seen.object.as_ref();
    let (name, label) = (object.name.as_str(), object.label.as_str());
    if seen.opens("list") {
        let shown = page(object, named(read(object)));
        let list_of = operation(&format!("list_{name}"), name, &format!("Records of {label}"));
        let list_of = with_parameters(list_of, query::of_list(object, all)).responses(responses(
            "200",
            answer("A page of records.", shown),
            Envelope::Flat,
            Asks::Read,
        ));
        document.add(HttpMethod::Get, &format!("/data/{name}"), list_of);
        let groups = super::shape::object().description(Some("A group with its keys and computed values."));
        let shown = page(object, one_of([named(read(object)), groups.into()]));
        let asked = operation(&format!("query_{name}"), name, &format!("Records or groups of {label} by a query"));
        let asked = with_optional_body(asked, query::body(object, all)).responses(responses(
            "200",
            answer("A page of records or groups.", shown),
            Envelope::Flat,
            Asks::Read,
        ));
        document.add(HttpMethod::Post, &format!("/data/{name}/query"), asked);
    }
    if object.may_export && seen.opens("list") {
        let file = of_type("A file of records.", "text/csv", text());
        let mut file = file;
        file.content.insert(JSON.to_owned(), Content::new(Some(list(super::shape::object()))).into());
        let export = operation(&format!("export_{name}"), name, &format!("Records of {label} as a file"));
        let export = with_parameters(export, query::of_export(object)).responses(responses(
            "200",
            file,
            Envelope::Flat,
            Asks::Read,
        ));
        document.add(HttpMethod::Get, &format!("/data/{name}/export"), export);
    }
    if object.has_path() && seen.opens("get") {
        let get = operation(&format!("get_{name}"), name, &format!("One record of {label}"));
        let get = with_parameters(get.parameter(in_path("id", "The record's key.")), query::of_record(object, all))
            .responses(responses("200", answer("The record.", one(object)), Envelope::Flat, Asks::Read));
        document.add(HttpMethod::Get, &format!("/data/{name}/{{id}}"), get);
    }
}

fn add_changes(document: &mut Document, seen: &Seen) {
    let object = seen.object.as_ref();
    let (name, label) = (object.name.as_str(), object.label.as_str());
    let version = || in_header("If-Match", "`updated_at` of the record as you know it; another one is refused.");
    if seen.rights.create {
        let create = operation(&format!("create_{name}"), name, &format!("Adds a record of {label}"));
        let create = with_body(create, named(created(object))).responses(responses(
            "201",
            answer("The record.", one(object)),
            Envelope::Flat,
            Asks::Change,
        ));
        document.add(HttpMethod::Post, &format!("/data/{name}"), create);
    }
    if !object.has_path() {
        return;
    }
    let path = format!("/data/{name}/{{id}}");
    if seen.rights.update {
        let update = operation(&format!("update_{name}"), name, &format!("Changes a record of {label}"));
        let update = with_body(
            update.parameter(in_path("id", "The record's key.")).parameter(version()),
            named(updated(object)),
        )
        .responses(responses(
            "200",
            answer("The record as it is now.", one(object)),
            Envelope::Flat,
            Asks::Change,
        ));
        document.add(HttpMethod::Patch, &path, update);
    }
    if seen.rights.delete {
        let keys = [("object", text().into()), ("id", text().into()), ("success", flag().into())];
        let gone = requires(closed(keys), &["object", "id", "success"]);
        let delete = operation(&format!("delete_{name}"), name, &format!("Takes a record of {label} away"));
        let delete = delete.parameter(in_path("id", "The record's key.")).parameter(version()).responses(responses(
            "200",
            answer("It is gone.", gone),
            Envelope::Flat,
            Asks::Change,
        ));
        document.add(HttpMethod::Delete, &path, delete);
    }
}

/// What became of each of several changes.
fn outcomes(object: &ObjectDescription) -> Shape {
    let keys = [("code", text().into()), ("message", text().into()), ("httpStatus", count().into())];
    let error = requires(with(super::shape::object(), keys), &["code", "message"]);
    let keys = [
        ("id", text().into()),
        ("success", flag().into()),
        ("index", count().into()),
        ("data", named(read(object))),
        ("errors", list(error).into()),
    ];
    let row = requires(with(super::shape::object(), keys), &["success", "index"]);
    let keys = [
        ("success", flag().into()),
        ("operation", text().into()),
        ("total", query::total()),
        ("succeeded", query::total()),
        ("failed", query::total()),
        ("results", list(row).into()),
    ];
    requires(closed(keys), &["success", "operation", "total", "succeeded", "failed", "results"]).into()
}

fn options() -> Shape {
    let flag = || Shape::from(nullable(Type::Boolean));
    with(object(), [("atomic", flag()), ("continueOnError", flag()), ("returnRecords", flag())]).into()
}

/// Changes of several records. At most 200 each.
fn add_bulk(document: &mut Document, seen: &Seen) {
    let object = seen.object.as_ref();
    if !seen.opens("bulk") || !seen.changes() {
        return;
    }
    let (name, label) = (object.name.as_str(), object.label.as_str());
    let mut add = |route: &str, summary: &str, body: Shape, status: &str, shown: Shape| {
        let changed = operation(&format!("{route}_{name}"), name, &format!("{summary} of {label}"));
        let changed = with_body(changed, body).responses(responses(
            status,
            answer("What became of each.", shown),
            Envelope::Flat,
            Asks::Change,
        ));
        document.add(HttpMethod::Post, &format!("/data/{name}/{route}"), changed);
    };
    if seen.rights.create {
        let keys = [
            ("object", text().into()),
            ("records", list(named(read(object))).into()),
            ("count", query::total()),
            ("droppedFields", list(any()).into()),
        ];
        let shown = requires(closed(keys), &["object", "records", "count"]);
        let body = list(named(created(object))).max_items(Some(200));
        add("createMany", "Adds records, all or none,", body.into(), "201", shown.into());
    }
    if seen.rights.update && object.has_path() {
        let record = requires(
            with(super::shape::object(), [("id", text().into()), ("data", named(updated(object)))]),
            &["id", "data"],
        );
        let keys = [("records", list(record).max_items(Some(200)).into()), ("options", options())];
        let body = requires(with(super::shape::object(), keys), &["records"]);
        add("updateMany", "Changes records", body.into(), "200", outcomes(object));
    }
    if seen.rights.delete && object.has_path() {
        let keys = [("ids", list(text()).max_items(Some(200)).into()), ("options", options())];
        let body = requires(with(super::shape::object(), keys), &["ids"]);
        add("deleteMany", "Takes records away", body.into(), "200", outcomes(object));
    }
    let rights = [(seen.rights.create, "create"), (seen.rights.update, "update"), (seen.rights.delete, "delete")];
    let open = rights.into_iter().filter(|(open, _)| *open).map(|(_, word)| word);
    let upserts = (seen.rights.create && seen.rights.update).then_some("upsert");
    let record = with(super::shape::object(), [("id", text().into()), ("data", super::shape::object().into())]);
    let keys = [
        ("operation", words(open.chain(upserts)).into()),
        ("records", list(record).max_items(Some(200)).into()),
        ("options", options()),
    ];
    let body = requires(with(super::shape::object(), keys), &["operation", "records"]);
    add("batch", "Changes records in one way", body.into(), "200", outcomes(object));
}
