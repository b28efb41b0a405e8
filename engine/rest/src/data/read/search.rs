//! `GET /search`: words in several objects, one after the other; of each, the records that changed last first.

use super::list::{opens, order_ties};
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
use querygate_web::excerpt;
use serde_json::{Value, json};
use std::sync::Arc;

/// Hits where no number is given, and at most.
const HITS: usize = 20;
const HITS_MAX: usize = 100;
/// Hits of one object where no number is given.
const PER_OBJECT: usize = 5;
const PER_OBJECT_MAX: usize = 25;
/// Fields that name a record where none is declared to, or it is empty.
const TITLES: [&str; 6] = ["name", "full_name", "title", "subject", "label", "company"];
/// Types of fields whose texts are searched.
const TEXTS: [&str; 8] = ["text", "email", "phone", "url", "autonumber", "textarea", "markdown", "select"];
/// Characters of an excerpt before the word that it is made around, and from it on.
const EXCERPT: (usize, usize) = (30, 90);
const PARAMETERS: [&str; 5] = ["limit", "objects", "perObject", "q", "query"];

pub(crate) async fn search(State(site): Shared, call: Call) -> Response {
    let answer = async {
        let identity = site.identify(&call)?;
        let parameters = call.parameters()?;
        refuse_unknown(&parameters, &PARAMETERS)?;
        let one = |name: &'static str| once(&parameters, name);
        let words = one("q")?.or(one("query")?).unwrap_or_default().trim().to_owned();
        let number = |name, otherwise: usize, most: usize| {
            let given = one(name)?.map(|text| site.numbers().whole(name, text)).transpose()?.flatten();
            let given = given.map(|given| usize::try_from(given).unwrap_or(usize::MAX));
            Ok::<_, Refusal>(given.unwrap_or(otherwise).clamp(1, most))
        };
        let most = number("limit", HITS, HITS_MAX)?;
        let each = number("perObject", PER_OBJECT, PER_OBJECT_MAX)?;
        if words.is_empty() {
            return Ok(told(&words, Vec::new(), Vec::new(), 0, false));
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
        let (mut hits, mut searched) = (Vec::new(), 0);
        for object in wanted {
            if hits.len() >= most {
                break;
            }
            if let Some(found) = hits_of(&work, object, &words, each, named.is_some()).await? {
                searched += 1;
                hits.extend(found);
            }
        }
        hits.truncate(most);
        let is_cut = hits.len() >= most;
        let items = match named {
            None => site.platform.items(&identity.principal, "page"),
            Some(_) => Vec::new(),
        };
        let pages = items.iter().filter_map(|(name, page)| page_of(name, page, &words)).take(each).collect();
        Ok(told(&words, hits, pages, searched, is_cut))
    };
    answer.await.unwrap_or_else(|refusal| refusal.into_answer(Envelope::Flat))
}

fn told(words: &str, hits: Vec<Value>, pages: Vec<Value>, objects: usize, is_cut: bool) -> Response {
    let count = hits.len();
    ok(&json!({
        "query": words, "hits": hits, "pages": pages, "totalObjects": objects, "totalHits": count, "truncated": is_cut,
    }))
}

/// Hits of one object; `None` of one that has nothing to be searched.
async fn hits_of(
    work: &Work,
    object: &ObjectDescription,
    words: &str,
    most: usize,
    is_named: bool,
) -> Result<Option<Vec<Value>>, Refusal> {
    match opens(object, "list") {
        Ok(()) => {}
        Err(_) if !is_named => return Ok(None),
        Err(refusal) => return Err(refusal),
    }
    let order = object.field("updated_at").map(|field| OrderKey { field: field.name.clone(), descending: true });
    let mut question = Question {
        object: object.name.clone(),
        search: Some(words.to_owned()),
        order: order.into_iter().collect(),
        limit: u64::try_from(most).ok(),
        ..Question::default()
    };
    order_ties(&mut question, object, true);
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
            let id = object.key.as_deref().and_then(|key| record.get(key)).cloned();
            let named = object.name_field.as_deref().into_iter().chain(TITLES);
            let title = named.filter_map(|name| field(Some(name))).find(|text| !text.trim().is_empty());
            let title = title.or_else(|| id.as_ref()?.as_str()).unwrap_or_default().to_owned();
            let mut hit = json!({"object": object.name, "id": id, "title": title});
            if let Some(hit) = hit.as_object_mut() {
                let snippet = texts(object).find_map(|name| excerpt(field(Some(name))?, words, EXCERPT));
                hit.extend(snippet.map(|snippet| ("snippet".to_owned(), snippet.into())));
                hit.insert("record".to_owned(), record);
            }
            hits.push(hit);
        }
    }
    Ok(Some(hits))
}

/// A page of the metadata, where all words are in what it is called and what is said of it.
fn page_of(name: &str, page: &Value, words: &str) -> Option<Value> {
    let text = |key: &str| page.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let texts: Vec<String> =
        [Some(name), text("label"), text("description")].into_iter().flatten().map(str::to_lowercase).collect();
    let is_in = |word: &str| texts.iter().any(|text| text.contains(&word.to_lowercase()));
    if !words.split_whitespace().all(is_in) {
        return None;
    }
    let mut shown = json!({"kind": "page", "name": name, "title": text("label").unwrap_or(name)});
    let snippet = text("description").and_then(|text| excerpt(text, words, EXCERPT));
    if let Some(shown) = shown.as_object_mut() {
        shown.extend(snippet.map(|snippet| ("snippet".to_owned(), snippet.into())));
        shown.extend(text("type").map(|kind| ("pageType".to_owned(), kind.into())));
    }
    Some(shown)
}

/// Fields whose texts are searched, the one that names records first.
fn texts(object: &ObjectDescription) -> impl Iterator<Item = &str> {
    let first = object.name_field.as_deref();
    let others = object.fields.iter().filter(move |field| {
        let is_text = TEXTS.contains(&field.type_name) && !field.is_system && !field.is_masked && !field.is_computed;
        is_text && Some(field.name.as_str()) != first
    });
    first.into_iter().chain(others.map(|field| field.name.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_found_by_all_words() {
        let page = json!({"label": "Team board", "description": "Tasks of a team", "type": "home"});
        let found = page_of("board", &page, "TEAM tasks").unwrap();
        let expected = json!({"kind": "page", "name": "board", "title": "Team board", "snippet": "Tasks of a team", "pageType": "home"});
        assert_eq!(found, expected);
        assert!(page_of("board", &page, "team money").is_none());
        assert_eq!(
            page_of("board", &json!({}), "board").unwrap(),
            json!({"kind": "page", "name": "board", "title": "board"})
        );
    }
}
