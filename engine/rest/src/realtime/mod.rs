//! `GET /realtime`: changes as they are committed, and answers that are kept up to date, as server-sent events or over a WebSocket.

mod credential;
mod following;
mod frames;
mod live;
mod sse;
mod ws;

use crate::call::{Call, question_of};
use crate::code::Code;
use crate::refusal::{Envelope, Refusal};
use crate::site::{Shared, Site};
use axum::extract::{FromRequest, Request, State};
use axum::response::Response;
use credential::Credential;
use following::Following;
use hyper::upgrade::OnUpgrade;
use live::{Connection, Live, Wish};
use querygate_query_api::requests::events::{EventFilter, EventOperation, Sequence};
use std::sync::Arc;

/// What the vendor calls the right that following takes.
const METHOD: &str = "list";

pub(crate) async fn follow(State(site): Shared, mut request: Request) -> Response {
    let upgrade = request.extensions_mut().remove::<OnUpgrade>();
    let Ok(call) = Call::from_request(request, &()).await;
    match answer(site, call, upgrade).await {
        Ok(answer) => answer,
        Err(refusal) => refusal.into_answer(Envelope::Wrapped),
    }
}

async fn answer(site: Arc<Site>, call: Call, upgrade: Option<OnUpgrade>) -> Result<Response, Refusal> {
    let identity = site.identify_here(&call).map_err(|refusal| refusal.within(Envelope::Flat))?;
    if !site.config.events {
        return Err(Refusal::not_implemented("realtime service: it keeps no events"));
    }
    let key = ws::key(&call)?;
    let upgrade = match (key, upgrade) {
        (Some(key), Some(upgrade)) => Some((key, upgrade)),
        (Some(_), None) => {
            return Err(Refusal::new(Code::InvalidRequest, "This connection cannot become a WebSocket."));
        }
        (None, _) => None,
    };
    let wish = match wanted(&call)? {
        Wanted::Changes(filter) => {
            let following = Following::begin(site, call, identity, filter).await?;
            return Ok(match upgrade {
                Some((key, upgrade)) => ws::follow(following, upgrade, &key),
                None => sse::answer(following),
            });
        }
        Wanted::Answers(wish) => wish,
    };
    match (upgrade, wish) {
        (Some((key, upgrade)), None) => Ok(ws::live(Connection::new(site, call, identity), upgrade, &key)),
        (Some(_), Some(_)) => {
            let message = "Over a WebSocket, with 'live' alone, a query comes in a message.";
            Err(Refusal::new(Code::InvalidRequest, message))
        }
        (None, Some(wish)) => {
            let live = Live::begin(&site, &identity.principal, &call, wish).await?;
            Ok(sse::live(live, Credential::new(site, &call.headers, call.peer, &identity)))
        }
        (None, None) => {
            Err(Refusal::new(Code::InvalidRequest, "'live' is for WebSockets: server-sent events need a 'query'."))
        }
    }
}

/// What a request is for.
enum Wanted {
    Changes(EventFilter),
    /// Answers that are kept up to date: the one of this question, or those that messages will ask for.
    Answers(Option<Wish>),
}

fn wanted(call: &Call) -> Result<Wanted, Refusal> {
    let parameters = call.parameters()?;
    let (query, live, every) = (parameters.one("query")?, parameters.one("live")?, parameters.one("every")?);
    if query.is_none() && live.is_none() {
        return filter(call).map(Wanted::Changes);
    }
    if let Some((unknown, _)) = parameters.iter().find(|(name, _)| !["query", "live", "every"].contains(name)) {
        let message = format!("Unknown query parameter '{unknown}' beside 'query' or 'live'.");
        return Err(Refusal::new(Code::UnsupportedQueryParam, message));
    }
    if live.is_some_and(|live| live != "true") {
        return Err(Refusal::invalid("live", "invalid_value", "'live' is true where it is given."));
    }
    let every = every.map(live::every_of).transpose()?;
    let Some(text) = query else { return Ok(Wanted::Answers(None)) };
    let query = question_of(text.as_bytes())?;
    let query = query.ok_or_else(|| Refusal::invalid("query", "invalid_type", "'query' is no JSON."))?;
    Ok(Wanted::Answers(Some(Wish { id: String::new(), query, every })))
}

/// What is followed: `objects` and `operations` with commas or several times, `from` or the header of a browser that comes again.
fn filter(call: &Call) -> Result<EventFilter, Refusal> {
    let parameters = call.parameters()?;
    if let Some((unknown, _)) = parameters.iter().find(|(name, _)| !["objects", "operations", "from"].contains(name)) {
        let message = format!("Unknown query parameter '{unknown}'.");
        return Err(Refusal::new(Code::UnsupportedQueryParam, message));
    }
    let named = |name: &'static str| {
        let words = parameters.all(name).flat_map(|value| value.split(',')).map(str::trim);
        let words: Vec<String> = words.filter(|word| !word.is_empty()).map(str::to_owned).collect();
        words
    };
    // Who names none would follow all.
    let is_blank = |name: &&&'static str| parameters.all(name).next().is_some() && named(name).is_empty();
    if let Some(name) = ["objects", "operations"].iter().find(is_blank) {
        return Err(Refusal::invalid(name, "required", format!("'{name}' names at least one where it is given.")));
    }
    let objects = named("objects");
    let operations = named("operations").iter().map(|word| operation(word)).collect::<Result<Vec<_>, _>>()?;
    let from = match call.header("last-event-id").filter(|id| !id.is_empty()) {
        Some(id) => Some(id),
        None => parameters.one("from")?,
    };
    Ok(EventFilter {
        objects: (!objects.is_empty() && !objects.iter().any(|name| name == "*")).then_some(objects),
        operations: (!operations.is_empty()).then_some(operations),
        from: from.map(Sequence::parse).transpose()?,
    })
}

fn operation(word: &str) -> Result<EventOperation, Refusal> {
    EventOperation::named(word).ok_or_else(|| {
        let message = format!("'{word}' is no operation: there are insert, update and delete.");
        Refusal::invalid("operations", "invalid_option", message)
    })
}
