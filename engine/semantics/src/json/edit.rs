//! Changing jsonb values: `||`, `-`, `#-`, `jsonb_set`, `jsonb_insert`, `json_strip_nulls`. Errors are Postgres' own.

use super::path::index;
use super::tree::{Json, Node};
use crate::fault::{external, refused};
use datafusion::common::Result;
use querygate_types::{Error, ErrorCode};

/// `a || b`.
pub(crate) fn concat(a: Node, b: Node) -> Node {
    match (a.value, b.value) {
        (Json::Object(mut a), Json::Object(b)) => {
            a.extend(b);
            Json::Object(a).node()
        }
        (a, b) => {
            let items = |value: Json| match value {
                Json::Array(items) => items,
                other => vec![other.node()],
            };
            let mut all = items(a);
            all.extend(items(b));
            Json::Array(all).node()
        }
    }
}

/// `value - 'key'`.
pub(crate) fn without_key(node: Node, key: &str) -> Result<Node> {
    Ok(match node.value {
        Json::Object(members) => Json::Object(members.into_iter().filter(|(k, _)| k != key).collect()).node(),
        Json::Array(items) => {
            let wanted = Json::String(key.to_owned());
            Json::Array(items.into_iter().filter(|item| item.value != wanted).collect()).node()
        }
        _ => return Err(refused("cannot delete from scalar")),
    })
}

/// `value - place`.
pub(crate) fn without_element(node: Node, place: i64) -> Result<Node> {
    Ok(match node.value {
        Json::Array(mut items) => {
            if let Some(at) = index(items.len(), place).filter(|at| *at < items.len()) {
                items.remove(at);
            }
            Json::Array(items).node()
        }
        Json::Object(_) => return Err(refused("cannot delete from object using integer index")),
        _ => return Err(refused("cannot delete from scalar")),
    })
}

/// `value #- path`.
pub(crate) fn without_path(node: Node, path: &[Option<String>]) -> Result<Node> {
    let Some((Some(first), rest)) = path.split_first() else { return Ok(node) };
    Ok(match node.value {
        Json::Object(members) => {
            let mut kept = Vec::with_capacity(members.len());
            for (key, value) in members {
                if key != *first {
                    kept.push((key, value));
                } else if !rest.is_empty() {
                    kept.push((key, inner(value, |v| without_path(v, rest))?));
                }
            }
            Json::Object(kept).node()
        }
        Json::Array(mut items) => {
            let at = place(first)?.and_then(|p| index(items.len(), p)).filter(|at| *at < items.len());
            if let Some(at) = at {
                let item = items.remove(at);
                if !rest.is_empty() {
                    items.insert(at, inner(item, |v| without_path(v, rest))?);
                }
            }
            Json::Array(items).node()
        }
        _ => return Err(refused("cannot delete path in scalar")),
    })
}

/// Scalars on the way end the path.
fn inner(node: Node, change: impl FnOnce(Node) -> Result<Node>) -> Result<Node> {
    if matches!(node.value, Json::Object(_) | Json::Array(_)) { change(node) } else { Ok(node) }
}

fn place(step: &str) -> Result<Option<i64>> {
    match step.trim().parse() {
        Ok(place) => Ok(Some(place)),
        Err(_) => Err(external(Error::new(ErrorCode::InvalidTextRepresentation, "path element is not an integer"))),
    }
}

/// What happens where a path ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// `jsonb_set`; whether something missing is made.
    Set { create: bool },
    /// `jsonb_insert`; whether behind the place.
    Insert { after: bool },
}

pub(crate) fn put(node: Node, path: &[Option<String>], value: &Node, change: Change) -> Result<Node> {
    let Some((Some(first), rest)) = path.split_first() else { return Ok(node) };
    Ok(match node.value {
        Json::Object(mut members) => {
            let found = members.iter().position(|(key, _)| key == first);
            match (found, rest.is_empty(), change) {
                (Some(at), true, Change::Set { .. }) => members[at].1 = value.clone(),
                (Some(_), true, Change::Insert { .. }) => return Err(refused("cannot replace existing key")),
                (None, true, Change::Set { create: true } | Change::Insert { .. }) => {
                    members.push((first.clone(), value.clone()));
                }
                (None, ..) => {}
                (Some(at), false, _) => {
                    let old = std::mem::replace(&mut members[at].1, Json::Null.node());
                    members[at].1 = inner(old, |v| put(v, rest, value, change))?;
                }
            }
            Json::Object(members).node()
        }
        Json::Array(mut items) => {
            let Some(place) = place(first)? else { return Ok(Json::Array(items).node()) };
            let at = index(items.len(), place);
            match (at.filter(|at| *at < items.len()), rest.is_empty(), change) {
                (Some(at), true, Change::Set { .. }) => items[at] = value.clone(),
                (Some(at), true, Change::Insert { after }) => items.insert(at + usize::from(after), value.clone()),
                (Some(at), false, _) => {
                    let old = std::mem::replace(&mut items[at], Json::Null.node());
                    items[at] = inner(old, |v| put(v, rest, value, change))?;
                }
                (None, true, Change::Set { create: true } | Change::Insert { .. }) => {
                    let end = if place < 0 { 0 } else { items.len() };
                    items.insert(end, value.clone());
                }
                (None, ..) => {}
            }
            Json::Array(items).node()
        }
        _ => return Err(refused("cannot set path in scalar")),
    })
}

/// Without members that are null, at every depth.
pub(crate) fn stripped(node: Node) -> Node {
    let value = match node.value {
        Json::Array(items) => Json::Array(items.into_iter().map(stripped).collect()),
        Json::Object(members) => Json::Object(
            members.into_iter().filter(|(_, v)| v.value != Json::Null).map(|(k, v)| (k, stripped(v))).collect(),
        ),
        other => other,
    };
    value.node()
}
