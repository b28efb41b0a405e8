//! Operations that are about no single object: logins, what the interface says of itself, metadata, verdicts, several objects at once.

use super::answers::{Asks, answer, of_type, responses, with_tag, wrapped};
use super::object::{in_path, operation, with_body, with_optional_body, with_parameters};
use super::shape::{
    Shape, any, closed, flag, formatted, list, named, nullable, object, one_of, requires, text, with, words,
};
use super::{Document, Seen, query};
use crate::refusal::Envelope;
use crate::verdict::OPERATIONS;
use querygate_query_api::requests::question::Bucket;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::AdditionalProperties;
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{KnownFormat, Required, ResponseBuilder, Type};

/// An operation that anyone may ask for.
fn open(operation: OperationBuilder) -> OperationBuilder {
    operation.security(SecurityRequirement::default())
}

fn in_query(name: &str, schema: impl Into<Shape>, is_required: bool, description: &str) -> Parameter {
    let required = if is_required { Required::True } else { Required::False };
    let builder = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Query).required(required);
    builder.schema(Some(schema.into())).description(Some(description)).build()
}

/// What is open to all.
pub(super) fn add_open(document: &mut Document) {
    let mut get = |path: &str, id: &str, tag: &str, summary: &str, body: Shape| {
        let asked = open(operation(id, tag, summary));
        let asked = asked.responses(responses("200", answer(summary, body), Envelope::Wrapped, Asks::Read));
        document.add(HttpMethod::Get, path, asked);
    };
    get("/discovery", "discovery", "about", "The routes and services that there are", object().into());
    get("/health", "health", "about", "Whether the gate runs", wrapped(object()));
    get("/ready", "ready", "about", "Whether a source answers", wrapped(object()));
    get("/auth/config", "auth_config", "auth", "How one may log in", wrapped(object()));
    get("/auth/bootstrap-status", "bootstrap_status", "auth", "Whether there are users", object().into());
    get("/auth/get-session", "get_session", "auth", "The own session, or null", nullable(Type::Object).into());
    get("/auth/me/permissions", "my_permissions", "auth", "What the user holds and may do", object().into());
    get("/auth/me/localization", "my_localization", "auth", "Language and zone of the user", object().into());
    let apps = requires(with(object(), [("apps", list(object()).into())]), &["apps"]);
    get("/me/apps", "my_apps", "auth", "Apps with what the user may see of them", apps.into());
    let asked = open(operation("openapi", "about", "This document, as you may see it"));
    let shown = with_tag(answer("OpenAPI 3.1.", object()));
    let asked = asked.responses(
        responses("200", shown, Envelope::Wrapped, Asks::Read)
            .response("304", ResponseBuilder::new().description("You have it.").build()),
    );
    document.add(HttpMethod::Get, "/openapi.json", asked);
    let asked = open(operation("docs", "about", "A page that shows this document"));
    let page = of_type("A page.", "text/html", text());
    document.add(HttpMethod::Get, "/docs", asked.responses(responses("200", page, Envelope::Wrapped, Asks::Read)));
    add_languages(document);
    add_logins(document);
}

fn add_languages(document: &mut Document) {
    let mut add = |path: &str, id: &str, summary: &str, parts: &[&str]| {
        let asked = open(operation(id, "i18n", summary));
        let asked = parts.iter().fold(asked, |asked, part| asked.parameter(in_path(part, "Its name.")));
        let shown = answer(summary, wrapped(object()));
        let asked = asked.responses(responses("200", shown, Envelope::Wrapped, Asks::Read));
        document.add(HttpMethod::Get, path, asked);
    };
    add("/i18n/locales", "locales", "Languages that there are labels in", &[]);
    let path = "/i18n/translations/{locale}";
    add(path, "translations", "Labels of what you may see, in a language", &["locale"]);
    let path = "/i18n/labels/{object}/{locale}";
    add(path, "labels", "Labels of an object's fields that you may see, in a language", &["object", "locale"]);
}

fn add_logins(document: &mut Document) {
    let keys = [("email", formatted_email()), ("password", formatted(text(), KnownFormat::Password).into())];
    let body = requires(with(object(), keys), &["email", "password"]);
    let keys = [("redirect", flag().into()), ("token", text().into()), ("user", object().into())];
    let shown = requires(closed(keys), &["token", "user"]);
    let asked = with_body(open(operation("sign_in", "auth", "A password for a session's token")), body);
    let asked =
        asked.responses(responses("200", answer("The token, also as a cookie.", shown), Envelope::Message, Asks::Read));
    document.add(HttpMethod::Post, "/auth/sign-in/email", asked);
    let shown = requires(closed([("success", flag().into())]), &["success"]);
    let asked = open(operation("sign_out", "auth", "Ends the own session"));
    let asked = asked.responses(responses("200", answer("It is ended.", shown), Envelope::Message, Asks::Read));
    document.add(HttpMethod::Post, "/auth/sign-out", asked);
}

fn formatted_email() -> Shape {
    text().format(Some(utoipa::openapi::SchemaFormat::Custom("email".to_owned()))).into()
}

/// What is for who is known.
pub(super) fn add_known(document: &mut Document, seen: &[Seen]) {
    add_accounts(document);
    add_analytics(document);
    add_metadata(document);
    add_verdicts(document);
    let hits = [
        ("query", text().into()),
        ("hits", list(object()).into()),
        ("pages", list(any()).into()),
        ("totalObjects", query::total()),
        ("totalHits", query::total()),
        ("truncated", flag().into()),
    ];
    let shown = requires(closed(hits), &["query", "hits", "totalObjects", "totalHits", "truncated"]);
    let asked = with_parameters(operation("search", "data", "Words in several objects"), query::of_search());
    let asked =
        asked.responses(responses("200", answer("Records that have the words.", shown), Envelope::Flat, Asks::Read));
    document.add(HttpMethod::Get, "/search", asked);
    if seen.iter().any(Seen::changes) {
        add_batch(document, seen);
    }
}

fn add_accounts(document: &mut Document) {
    let mut get = |path: &str, id: &str, summary: &str| {
        let asked = operation(id, "auth", summary);
        let shown = answer(summary, list(object()));
        document.add(HttpMethod::Get, path, asked.responses(responses("200", shown, Envelope::Message, Asks::Read)));
    };
    get("/auth/list-sessions", "list_sessions", "The own sessions");
    get("/auth/organization/list", "list_organizations", "Organizations that the user belongs to");
}

/// Keys of programs, where the gate keeps some.
pub(super) fn add_keys(document: &mut Document) {
    let keys =
        [("name", text().into()), ("expires_at", formatted(nullable(Type::String), KnownFormat::DateTime).into())];
    let made = [("id", text().into()), ("name", text().into()), ("prefix", text().into()), ("key", text().into())];
    let made = requires(with(object(), made), &["id", "name", "prefix", "key"]);
    let asked =
        with_optional_body(operation("create_key", "auth", "A key for a program, shown once"), with(object(), keys));
    let shown = answer("The key.", wrapped(made));
    document.add(HttpMethod::Post, "/keys", asked.responses(responses("201", shown, Envelope::Wrapped, Asks::Read)));
}

fn add_metadata(document: &mut Document) {
    let types =
        requires(with(object(), [("types", list(text()).into()), ("entries", list(object()).into())]), &["types"]);
    let types = Shape::from(types);
    for (path, id) in [("/meta", "meta"), ("/meta/types", "meta_types")] {
        let asked = operation(id, "meta", "Types of metadata");
        let shown = answer("Types.", types.clone());
        document.add(HttpMethod::Get, path, asked.responses(responses("200", shown, Envelope::Flat, Asks::Read)));
    }
    let kind = || in_path("type", "A type of metadata, as `object`.");
    let package = || in_query("package", text(), false, "Items of this package only.");
    let items =
        requires(with(object(), [("type", text().into()), ("items", list(object()).into())]), &["type", "items"]);
    let asked =
        operation("meta_items", "meta", "Items of a type, as you may see them").parameter(kind()).parameter(package());
    let shown = answer("Items.", items);
    document.add(HttpMethod::Get, "/meta/{type}", asked.responses(responses("200", shown, Envelope::Flat, Asks::Read)));
    let item = [("type", text().into()), ("name", text().into()), ("item", object().into())];
    let item = requires(with(object(), item), &["type", "name", "item"]);
    let asked = operation("meta_item", "meta", "One item, as you may see it");
    let asked = asked.parameter(kind()).parameter(in_path("name", "The item's name.")).parameter(package());
    let asked = asked.responses(
        responses("200", answer("The item.", item), Envelope::Flat, Asks::Read)
            .response("304", ResponseBuilder::new().description("You have it.").build()),
    );
    document.add(HttpMethod::Get, "/meta/{type}/{name}", asked);
}

fn add_verdicts(document: &mut Document) {
    let keys = [
        ("allowed", flag().into()),
        ("object", text().into()),
        ("operation", text().into()),
        ("principal", object().into()),
        ("layers", list(object()).into()),
        ("readFilter", any().into()),
        ("record", object().into()),
    ];
    let verdict = requires(closed(keys), &["allowed", "object", "operation", "principal", "layers"]);
    let verdict = Shape::from(verdict);
    let shown = || answer("The verdict, layer by layer.", verdict.clone());
    let parts = || -> [(&'static str, Shape, bool, &'static str); 4] {
        [
            ("object", text().min_length(Some(1)).into(), true, "The object."),
            ("operation", words(OPERATIONS).into(), true, "What would be done."),
            ("recordId", text().into(), false, "Key of a record that it would be done to."),
            ("userId", text().into(), false, "Who would do it; only administrators ask for others."),
        ]
    };
    let asked = operation("explain", "security", "Whether an operation is allowed, and why");
    let asked = parts().into_iter().fold(asked, |asked, (name, shape, required, description)| {
        asked.parameter(in_query(name, shape, required, description))
    });
    let asked = asked.responses(responses("200", shown(), Envelope::Wrapped, Asks::Read));
    document.add(HttpMethod::Get, "/security/explain", asked);
    let body = with(object(), parts().map(|(name, shape, _, _)| (name, shape)));
    let asked = with_body(
        operation("explain_by_body", "security", "Whether an operation is allowed, and why"),
        requires(body, &["object", "operation"]),
    );
    let asked = asked.responses(responses("200", shown(), Envelope::Wrapped, Asks::Read));
    document.add(HttpMethod::Post, "/security/explain", asked);
}

/// Measures by dimensions.
fn add_analytics(document: &mut Document) {
    let asked = operation("analytics_meta", "analytics", "Cubes that you may ask");
    let asked = asked.parameter(in_query("cube", text(), false, "This one only."));
    let shown = answer("Cubes.", wrapped(list(object())));
    document.add(
        HttpMethod::Get,
        "/analytics/meta",
        asked.responses(responses("200", shown, Envelope::Wrapped, Asks::Read)),
    );
    let cube = [("cube", text().min_length(Some(1)).into()), ("where", named("Filter"))];
    let body = requires(with(closed(cube), selection_keys()), &["cube", "measures"]);
    let asked = with_body(operation("analytics_query", "analytics", "Measures of a cube or of an object"), body);
    let shown = with(closed(row_keys()), [("sql", text().into())]);
    let shown = answer("Rows, and the query as SQL for people.", wrapped(requires(shown, &["rows", "fields"])));
    let asked = asked.responses(responses("200", shown, Envelope::Wrapped, Asks::Read));
    document.add(HttpMethod::Post, "/analytics/query", asked);
    add_datasets(document);
}

/// What is asked of a cube or of a dataset.
fn selection_keys() -> [(&'static str, Shape); 7] {
    let time: [(&'static str, Shape); 3] = [
        ("dimension", text().into()),
        ("granularity", words(Bucket::ALL.map(Bucket::name)).into()),
        (
            "dateRange",
            one_of([
                Shape::from(list(text()).min_items(Some(2)).max_items(Some(2))),
                words(crate::analytics::windows()).into(),
            ]),
        ),
    ];
    let time = requires(with(object(), time), &["dimension"]);
    let direction = words(["asc", "desc"]);
    [
        ("measures", list(text()).min_items(Some(1)).into()),
        ("dimensions", list(text()).into()),
        ("timeDimensions", list(time).into()),
        ("timezone", text().into()),
        ("order", object().additional_properties(Some(AdditionalProperties::RefOr(direction.into()))).into()),
        ("limit", query::total()),
        ("offset", query::total()),
    ]
}

/// What an answer has.
fn row_keys() -> [(&'static str, Shape); 2] {
    [("rows", list(object()).into()), ("fields", list(object()).into())]
}

/// Measures of datasets.
fn add_datasets(document: &mut Document) {
    let compared = requires(
        with(object(), [("kind", words(["previousPeriod", "previousYear"]).into()), ("dimension", text().into())]),
        &["kind"],
    );
    let totals = requires(with(object(), [("groupings", list(list(text())).into())]), &["groupings"]);
    let own: [(&'static str, Shape); 4] = [
        ("runtimeFilter", named("Filter")),
        ("dateGranularity", words(Bucket::ALL.map(Bucket::name)).into()),
        ("compareTo", compared.into()),
        ("totals", totals.into()),
    ];
    let selection = requires(with(with(object(), selection_keys()), own), &["measures"]);
    let keys = [("datasetName", text().into()), ("dataset", object().into()), ("selection", selection.into())];
    let body = requires(with(object(), keys), &["selection"]);
    let asked = with_body(operation("analytics_dataset", "analytics", "Measures of a dataset"), body);
    let shown = answer("Rows.", requires(with(object(), row_keys()), &["rows", "fields"]));
    let asked = asked.responses(responses("200", shown, Envelope::Message, Asks::Read));
    document.add(HttpMethod::Post, "/analytics/dataset/query", asked);
}

/// Changes of several objects in one transaction.
fn add_batch(document: &mut Document, seen: &[Seen]) {
    let changed = seen.iter().filter(|seen| seen.changes()).map(|seen| seen.object.name.as_str());
    let keys = [
        ("object", words(changed).into()),
        ("action", words(["create", "update", "delete"]).into()),
        ("id", text().into()),
        ("data", object().description(Some("`{\"$ref\": n}` is the id of the n-th operation's record.")).into()),
    ];
    let operations = list(requires(with(object(), keys), &["object", "action"])).max_items(Some(200));
    let body = requires(with(object(), [("operations", operations.into())]), &["operations"]);
    let results = list(one_of([Shape::from(object()), flag().into()]));
    let shown = requires(closed([("results", results.into())]), &["results"]);
    let asked = with_body(operation("batch", "data", "Changes of several objects, all or none"), body);
    let asked = asked.responses(responses("200", answer("The records.", shown), Envelope::Flat, Asks::Change));
    document.add(HttpMethod::Post, "/batch", asked);
}
