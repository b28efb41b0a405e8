//! `GET /realtime`: changes as they are committed, as server-sent events or over a WebSocket.

mod following;
mod sse;
mod ws;

use crate::call::Call;
use crate::code::Code;
use crate::refusal::{Envelope, Refusal};
use crate::site::{Shared, Site};
use axum::extract::{FromRequest, Request, State};
use axum::response::Response;
use following::Following;
use hyper::upgrade::OnUpgrade;
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
    let (filter, key) = (filter(&call)?, ws::key(&call)?);
    let following = Following::begin(site, call, identity, filter).await?;
    match (key, upgrade) {
        (Some(key), Some(upgrade)) => Ok(ws::answer(following, upgrade, &key)),
        (Some(_), None) => Err(Refusal::new(Code::InvalidRequest, "This connection cannot become a WebSocket.")),
        (None, _) => Ok(sse::answer(following)),
    }
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
