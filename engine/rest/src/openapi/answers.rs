//! What operations answer: the envelopes, and refusals with the codes that each status may have. Knows no route.

use super::shape::{Shape, any, closed, count, list, object, one_of, only, requires, text, with, words};
use crate::code::Code;
use crate::refusal::Envelope;
use querygate_types::vendor::{VendorCode, VendorFact};
use std::collections::BTreeSet;
use utoipa::openapi::{
    ComponentsBuilder, Content, HeaderBuilder, Ref, RefOr, Response, ResponseBuilder, ResponsesBuilder,
};

/// Media type of nearly all bodies.
pub(super) const JSON: &str = "application/json";

/// Statuses of requests that read, beside the one of an answer.
const OF_READS: [u16; 11] = [400, 401, 403, 404, 413, 429, 499, 500, 501, 503, 504];
/// Further ones of changes.
const OF_CHANGES: [u16; 3] = [405, 409, 422];

/// What kind of request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asks {
    Read,
    Change,
}

/// An answer that is not a refusal.
pub(super) fn answer(description: &str, body: impl Into<Shape>) -> Response {
    of_type(description, JSON, body)
}

pub(super) fn of_type(description: &str, media_type: &str, body: impl Into<Shape>) -> Response {
    ResponseBuilder::new().description(description).content(media_type, Content::new(Some(body.into()))).build()
}

/// An answer with an entity tag.
pub(super) fn with_tag(answer: Response) -> Response {
    let mut answer = answer;
    let tag = HeaderBuilder::new().schema(Some(text())).description(Some("Changes with what you may see.")).build();
    answer.headers.insert("ETag".to_owned(), RefOr::T(tag));
    answer
}

/// `{success, data}`.
pub(super) fn wrapped(data: impl Into<Shape>) -> Shape {
    requires(with(object(), [("success", only(true).into()), ("data", data.into())]), &["success", "data"]).into()
}

/// The answers of an operation.
pub(super) fn responses(status: &str, answer: Response, envelope: Envelope, asks: Asks) -> ResponsesBuilder {
    let mut statuses: BTreeSet<u16> = OF_READS.into();
    if asks == Asks::Change {
        statuses.extend(OF_CHANGES);
    } else {
        // An object whose metadata opens it for other methods only.
        statuses.insert(405);
    }
    let builder = ResponsesBuilder::new().response(status, answer);
    statuses.into_iter().fold(builder, |builder, status| {
        builder.response(status.to_string(), Ref::from_response_name(name(envelope, status)))
    })
}

fn name(envelope: Envelope, status: u16) -> String {
    let envelope = match envelope {
        Envelope::Flat => "Flat",
        Envelope::Wrapped | Envelope::Unnumbered => "Wrapped",
        Envelope::Nested => "Nested",
        Envelope::Message => "Message",
        Envelope::Plain => "Plain",
    };
    format!("{envelope}{status}")
}

/// All refusals by envelope and status.
pub(super) fn components(builder: ComponentsBuilder) -> ComponentsBuilder {
    let statuses: BTreeSet<u16> = OF_READS.into_iter().chain(OF_CHANGES).collect();
    let builder = builder.schema("Fault", fault());
    let envelopes = [Envelope::Flat, Envelope::Wrapped, Envelope::Message, Envelope::Plain];
    let all = envelopes.into_iter().flat_map(|envelope| statuses.iter().map(move |status| (envelope, *status)));
    all.fold(builder, |builder, (envelope, status)| builder.response(name(envelope, status), refusal(envelope, status)))
}

/// What is wrong with one field.
fn fault() -> Shape {
    let texts = ["field", "code", "message", "label"].map(|key| (key, text().into()));
    // What was demanded, of which value, and which options there are.
    let facts = ["constraint", "value", "options"].map(|key| (key, any().into()));
    requires(closed(texts.into_iter().chain(facts)), &["field", "code", "message"]).into()
}

/// Codes that come with a status.
fn codes(status: u16) -> BTreeSet<&'static str> {
    let own = Code::all().filter(|code| code.status().as_u16() == status).map(Code::name);
    // A name that is not there, on the route of one record.
    let others = (status == 404).then_some(VendorCode::InvalidField.name());
    own.chain(others).collect()
}

fn refusal(envelope: Envelope, status: u16) -> Response {
    let code = || -> Shape { words(codes(status)).into() };
    let nested = || -> Shape {
        let error = requires(with(object(), [("code", code()), ("message", text().into())]), &["code", "message"]);
        requires(closed([("error", error.into())]), &["error"]).into()
    };
    let body: Shape = match envelope {
        // Parameters that a route does not know are refused in a form of their own.
        Envelope::Flat | Envelope::Nested => one_of([flat(code()), nested(), wrapped_error(code())]),
        Envelope::Wrapped | Envelope::Unnumbered => one_of([wrapped_error(code()), flat(code())]),
        Envelope::Message => one_of([
            requires(with(object(), [("message", text().into()), ("code", code())]), &["message", "code"]).into(),
            flat(code()),
        ]),
        Envelope::Plain => flat(code()),
    };
    let description = match status {
        400 => "The request cannot be read, or names what is not there.",
        401 => "Nobody is known by what the request shows.",
        403 => "You may not do this.",
        404 => "There is no such thing, or none that you may see.",
        405 => "The object is not open for this method.",
        409 => "Another record or change stands in the way.",
        413 => "The body is too large, or what is asked for is.",
        422 => "A record that this one belongs to is missing.",
        429 => "Too much at once. Try again after the given seconds.",
        499 => "The request was canceled.",
        501 => "The gate has not what is asked for.",
        503 => "What is needed does not answer now.",
        504 => "It took too long.",
        _ => "The gate failed.",
    };
    let answer = ResponseBuilder::new().description(description).content(JSON, Content::new(Some(body)));
    if status != 429 {
        return answer.build();
    }
    answer
        .header("Retry-After", HeaderBuilder::new().schema(Some(count())).description(Some("Seconds.")).build())
        .build()
}

/// `{error, code, …}`.
fn flat(code: Shape) -> Shape {
    let facts = VendorFact::ALL.map(|fact| (fact.name(), described(fact)));
    let keys = [
        ("error", text().into()),
        ("code", code),
        ("message", text().into()),
        ("object", text().into()),
        ("fields", list(super::shape::named("Fault")).into()),
        // What was expected at which path, on the route across objects.
        ("issues", list(object()).into()),
        // What a rule of the metadata calls it.
        ("declaredCode", text().into()),
        ("hint", text().into()),
        ("sqlstate", text().into()),
        ("allowed", list(text()).into()),
        ("count", count().into()),
        ("max", count().into()),
        // Of a record that was changed since the version that a change names, as the caller reads it.
        ("currentVersion", any().into()),
        ("currentRecord", object().into()),
    ];
    requires(closed(keys.into_iter().chain(facts)), &["error", "code"]).into()
}

fn described(fact: VendorFact) -> Shape {
    match fact {
        VendorFact::Field | VendorFact::DeveloperMessage | VendorFact::DependentObject => text().into(),
        VendorFact::DependentCount => count().into(),
    }
}

/// `{success: false, error: {code, message, …}}`.
fn wrapped_error(code: Shape) -> Shape {
    let keys = [("code", code), ("message", text().into()), ("httpStatus", count().into()), ("details", any().into())];
    let error = requires(with(object(), keys), &["code", "message"]);
    requires(closed([("success", only(false).into()), ("error", error.into())]), &["success", "error"]).into()
}
