//! Finding a value in a value: members, elements, paths; containment and existence.

use super::tree::{Json, Node};
use datafusion::common::Result;
use querygate_resources::proceed;

/// The member of an object. Of equal keys the last.
pub(crate) fn member<'a>(node: &'a Node, key: &str) -> Option<&'a Node> {
    match &node.value {
        Json::Object(members) => members.iter().rev().find(|(k, _)| k == key).map(|(_, value)| value),
        _ => None,
    }
}

/// The element of an array; negative places count from the end.
pub(crate) fn element(node: &Node, place: i64) -> Option<&Node> {
    match &node.value {
        Json::Array(items) => items.get(index(items.len(), place)?),
        _ => None,
    }
}

/// A place counted from 0, from the end if it is negative.
pub(crate) fn index(length: usize, place: i64) -> Option<usize> {
    let length = i64::try_from(length).ok()?;
    let at = if place < 0 { length + place } else { place };
    usize::try_from(at).ok()
}

/// What a path of keys and places leads to. A NULL in the path leads nowhere.
pub(crate) fn follow<'a>(node: &'a Node, path: &[Option<String>]) -> Option<&'a Node> {
    path.iter().try_fold(node, |node, step| {
        let step = step.as_deref()?;
        match &node.value {
            Json::Object(_) => member(node, step),
            Json::Array(_) => element(node, step.trim().parse().ok()?),
            _ => None,
        }
    })
}

/// A value as text without quotes; JSON's null is NULL. `source`: the text that nodes were read from, where their own
/// spelling is wanted.
pub(crate) fn as_text(node: &Node, source: Option<&str>) -> Option<String> {
    match &node.value {
        Json::Null => None,
        Json::String(text) => Some(text.clone()),
        _ => Some(spelled(node, source)),
    }
}

/// A value's own spelling in the source, or jsonb's.
pub(crate) fn spelled(node: &Node, source: Option<&str>) -> String {
    match source {
        Some(source) => source[node.from..node.to].to_owned(),
        None => super::print::normal_text(node.clone()),
    }
}

/// Equality of values: numbers by value, keys in any order.
pub(crate) fn equal(a: &Node, b: &Node) -> bool {
    match (&a.value, &b.value) {
        (Json::Number(x), Json::Number(y)) => canonical(x) == canonical(y),
        (Json::Array(x), Json::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(x, y)| equal(x, y)),
        (Json::Object(x), Json::Object(y)) => {
            x.len() == y.len() && x.iter().all(|(key, value)| member(b, key).is_some_and(|other| equal(value, other)))
        }
        (x, y) => x == y,
    }
}

/// A number's digits without zeros that say nothing.
fn canonical(number: &str) -> String {
    let node = super::print::normal(Json::Number(number.to_owned()).node());
    match node.value {
        Json::Number(text) if text.contains('.') => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        Json::Number(text) => text,
        _ => number.to_owned(),
    }
}

/// `@>`: objects contain objects with some of their members, arrays contain arrays of some of their elements, an array
/// contains a scalar that is one of its elements.
///
/// # Errors
/// The statement is over: the time is the product of both lengths.
pub(crate) fn contains(whole: &Node, part: &Node, outermost: bool) -> Result<bool> {
    match (&whole.value, &part.value) {
        (Json::Object(_), Json::Object(members)) => {
            for (key, value) in members {
                proceed()?;
                let Some(own) = member(whole, key) else { return Ok(false) };
                if !contains(own, value, false)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (Json::Array(items), Json::Array(wanted)) => {
            for wanted in wanted {
                proceed()?;
                let mut found = false;
                for item in items {
                    found = contains(item, wanted, false)?;
                    if found {
                        break;
                    }
                }
                if !found {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (Json::Array(_), Json::Object(_)) => Ok(false),
        (Json::Array(items), _) if outermost => Ok(items.iter().any(|item| equal(item, part))),
        _ => Ok(equal(whole, part)),
    }
}

/// `?`: a key of an object, or a string of an array.
pub(crate) fn has(node: &Node, key: &str) -> bool {
    match &node.value {
        Json::Object(_) => member(node, key).is_some(),
        Json::Array(items) => items.iter().any(|item| item.value == Json::String(key.to_owned())),
        Json::String(text) => text == key,
        Json::Null | Json::Bool(_) | Json::Number(_) => false,
    }
}
