//! `GET /search`: words in several objects, the records that changed last first.

use super::list::opens;
use super::record::{once, refuse_unknown};
use crate::answer::ok;
use crate::call::Call;
use crate::code::Code;
use crate::refusal::{Envelope, Refusal};
use crate::site::Shared;
use crate::work::Work;
use axum::extract::State;
use axum::response::Response;
use querygate_query_api::requests::question::{ObjectDescription, OrderKey, Question};
use querygate_types::vendor::VendorCode;
use serde_json::{Value, json};
use std::sync::Arc;

/// Hits where no number is given, and at most.
const HITS: usize = 20;
const HITS_MAX: usize = 100;
/// Hits of one object where no number is given.
const PER_OBJECT: usize = 5;
const PARAMETERS: [&str; 5] = ["limit", "objects", "perObject", "q", "query"];

pub(crate) async fn search(State(site): Shared, call: Call) -> Response {
    let answer = async {
        let identity = site.identify(&call)?;
        let parameters = call.parameters()?;
        refuse_unknown(&parameters, &PARAMETERS)?;
        let one = |name: &'static str| once(&parameters, name);
        let words = one("q")?.or(one("query")?).unwrap_or_default().trim().to_owned();
        let number = |name| Ok::<_, Refusal>(one(name)?.and_then(|text| text.trim().parse::<usize>().ok()));
        let most = number("limit")?.unwrap_or(HITS).clamp(1, HITS_MAX);
        let each = number("perObject")?.unwrap_or(PER_OBJECT).clamp(1, HITS_MAX);
        if words.is_empty() {
            return Ok(told(&words, Vec::new(), 0, false));
        }
        let named: Option<Vec<&str>> = one("objects")?.map(|names| names.split(',').map(str::trim).collect());
        if named.is_none() && !site.platform.reads_every_object(&identity.principal) {
            let message =
                "You do not have permission to perform this action. Contact your administrator if you need access.";
            return Err(Refusal::new(VendorCode::PermissionDenied, message));
        }
        let work = site.open(&identity.principal, &call).await?;
        let all = work.session().objects().await?;
        let wanted: Vec<&Arc<ObjectDescription>> = all
            .iter()
            .filter(|object| named.as_ref().is_none_or(|named| named.contains(&object.name.as_str())))
            .collect();
        let (mut hits, mut searched, mut is_cut) = (Vec::new(), 0, false);
        for object in wanted {
            if let Some(found) = hits_of(&work, object, &words, each, named.is_some()).await? {
                searched += 1;
                hits.extend(found);
            }
            if hits.len() > most {
                is_cut = true;
                break;
            }
        }
        hits.sort_by(|one, other| other.changed.cmp(&one.changed));
        hits.truncate(most);
        Ok(told(&words, hits, searched, is_cut))
    };
    answer.await.unwrap_or_else(|refusal| refusal.into_answer(Envelope::Flat))
}

/// A record in which the words are.
struct Hit {
    changed: String,
    shown: Value,
}

fn told(words: &str, hits: Vec<Hit>, objects: usize, is_cut: bool) -> Response {
    let shown: Vec<Value> = hits.into_iter().map(|hit| hit.shown).collect();
    let count = shown.len();
    ok(&json!({
        "query": words, "hits": shown, "pages": [], "totalObjects": objects, "totalHits": count, "truncated": is_cut,
    }))
}

/// Hits of one object; `None` of one that has nothing to be searched.
async fn hits_of(
    work: &Work,
    object: &ObjectDescription,
    words: &str,
    most: usize,
    is_named: bool,
) -> Result<Option<Vec<Hit>>, Refusal> {
    match opens(object, "list") {
        Ok(()) => {}
        Err(_) if !is_named => return Ok(None),
        Err(refusal) => return Err(refusal),
    }
    let order = object.field("updated_at").map(|field| OrderKey { field: field.name.clone(), descending: true });
    let question = Question {
        object: object.name.clone(),
        search: Some(words.to_owned()),
        order: order.into_iter().collect(),
        limit: u64::try_from(most).ok(),
        ..Question::default()
    };
    let mut found = match work.find(&question).await {
        Ok(found) => found,
        Err(refusal) if !is_named && refusal.code() == Code::Vendor(VendorCode::InvalidField) => return Ok(None),
        Err(refusal) => return Err(refusal),
    };
    let mut hits = Vec::new();
    while let Some(printer) = found.next().await? {
        for row in 0..printer.rows {
            let mut text = String::new();
            printer.print(row, &mut text, |_, _, _| Ok(false), |_| false)?;
            let record: Value = querygate_types::json::value::value(&text).map_err(querygate_types::Error::internal)?;
            let field = |name: Option<&str>| name.and_then(|name| record.get(name)).and_then(Value::as_str);
            let title = field(object.name_field.as_deref()).unwrap_or_default().to_owned();
            let changed = field(Some("updated_at")).unwrap_or_default().to_owned();
            let id = object.key.as_deref().and_then(|key| record.get(key)).cloned();
            let shown = json!({"object": object.name, "id": id, "title": title, "snippet": title, "record": record});
            hits.push(Hit { changed, shown });
        }
    }
    Ok(Some(hits))
}
