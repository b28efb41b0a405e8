//! What a request for records asks: a question, what is expanded, whether records are counted. Knows no spelling.

use crate::code::Code;
use crate::refusal::Refusal;
use querygate_query_api::requests::question::{OrderKey, Question};
use querygate_types::vendor::VendorCode;
use serde_json::Value;

/// Levels of references that one request expands.
pub(crate) const EXPAND_DEPTH_MAX: usize = 3;
/// References that one request expands, on all levels.
pub(crate) const EXPAND_MAX: usize = 32;

/// A request for records.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ask {
    pub(crate) question: Question,
    pub(crate) expand: Vec<Expand>,
    /// Whether the answer says how many there are.
    pub(crate) counts: bool,
    /// Whether a `limit` or an `offset` is given, whatever it is.
    pub(crate) is_paged: bool,
    /// `offset` without `limit`: the vendor counts what is left.
    pub(crate) rest_only: bool,
}

/// A reference whose record takes its place.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Expand {
    pub(crate) field: String,
    /// Fields of the related record; `None`: all.
    pub(crate) fields: Option<Vec<String>>,
    /// Which related records take the place of their id.
    pub(crate) filter: Option<Value>,
    pub(crate) inner: Vec<Expand>,
}

impl Expand {
    /// Adds a path of references, as `project.account`. Of a path that is too long as much as is refused for it: a tree as deep as a
    /// client says has no place on a stack.
    pub(crate) fn add(mut to: &mut Vec<Self>, path: &str) {
        for field in path.split('.').take(EXPAND_DEPTH_MAX + 1) {
            let at = to.iter().position(|expand| expand.field == field).unwrap_or(to.len());
            // Beyond the bound, which refuses them all, none is looked for among the others.
            if at == to.len() && at > EXPAND_MAX {
                return;
            }
            if at == to.len() {
                to.push(Self { field: field.to_owned(), ..Self::default() });
            }
            let Some(expand) = to.get_mut(at) else { return };
            to = &mut expand.inner;
        }
    }

    /// # Errors
    /// They are too deep, or too many.
    pub(crate) fn check_bounds(expand: &[Self]) -> Result<(), Refusal> {
        if depth(expand) > EXPAND_DEPTH_MAX {
            let message = format!("'expand' follows at most {EXPAND_DEPTH_MAX} references one after the other.");
            return Err(Refusal::new(VendorCode::InvalidQuery, message));
        }
        if count(expand) > EXPAND_MAX {
            let message = format!("'expand' names at most {EXPAND_MAX} references.");
            return Err(Refusal::new(VendorCode::InvalidQuery, message));
        }
        Ok(())
    }
}

fn depth(expand: &[Expand]) -> usize {
    expand.iter().map(|one| 1 + depth(&one.inner)).max().unwrap_or(0)
}

fn count(expand: &[Expand]) -> usize {
    expand.iter().map(|one| 1 + count(&one.inner)).sum()
}

/// A number of rows as JavaScript reads it: fractions are cut, a negative limit is none.
pub(crate) fn limit_of(number: f64) -> Option<u64> {
    if number.is_nan() || number < 0.0 {
        return None;
    }
    whole(number)
}

/// # Errors
/// It is negative.
pub(crate) fn offset_of(number: f64) -> Result<Option<u64>, Refusal> {
    if number.is_nan() {
        return Ok(None);
    }
    if number < 0.0 {
        return Err(Refusal::invalid("query.offset", "min_value", "'offset' must not be negative."));
    }
    Ok(whole(number).filter(|offset| *offset > 0))
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative, and cut on purpose")]
fn whole(number: f64) -> Option<u64> {
    // More rows than any table has: no limit.
    (number < 1e15).then_some(number as u64)
}

/// Keys of an order as a list of texts spells them: `f`, `-f`, `f desc`.
///
/// # Errors
/// A direction that is none.
pub(crate) fn order_of(texts: &[&str], parameter: &str) -> Result<Vec<OrderKey>, Refusal> {
    let keys = texts.iter().flat_map(|text| text.split(',')).map(str::trim).filter(|key| !key.is_empty());
    keys.map(|key| order_key(key, parameter)).collect()
}

fn order_key(key: &str, parameter: &str) -> Result<OrderKey, Refusal> {
    let (falls, key) = key.strip_prefix('-').map_or((false, key), |rest| (true, rest.trim()));
    let (field, direction) = key.split_once(char::is_whitespace).unwrap_or((key, ""));
    let descending = match direction.trim().to_ascii_lowercase().as_str() {
        "" => falls,
        "asc" => false,
        "desc" => true,
        _ => {
            let message = format!(
                "Query parameter '{parameter}' gives '{field}' the direction '{}', which is neither 'asc' nor 'desc'. It was \
                 not applied, and an unapplied sort returns the rows in an arbitrary order — which 'top'/'limit' then \
                 slices into an arbitrary page.",
                direction.trim()
            );
            return Err(Refusal::new(VendorCode::InvalidSort, message));
        }
    };
    Ok(OrderKey { field: field.to_owned(), descending })
}

/// The route's object and the one that the request names are the same.
///
/// # Errors
/// They are not.
pub(crate) fn same_object(object: &str, named: &str) -> Result<(), Refusal> {
    if object == named {
        return Ok(());
    }
    let message = format!("Conflicting object: the route addresses '{object}' but the query body says '{named}'.");
    Err(Refusal::new(Code::QueryObjectMismatch, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_read_in_each_spelling() {
        let read = |text: &str| {
            let keys = order_of(&[text], "sort").unwrap();
            keys.into_iter()
                .map(|key| format!("{}{}", if key.descending { "-" } else { "" }, key.field))
                .collect::<Vec<_>>()
        };
        assert_eq!(read("title"), ["title"]);
        assert_eq!(read("-title, id"), ["-title", "id"]);
        assert_eq!(read(" title desc,b  ASC"), ["-title", "b"]);
        assert_eq!(read(","), [""; 0]);
        assert_eq!(read("title:desc"), ["title:desc"], "the engine says that there is no such field");
        assert!(order_of(&["title sideways"], "sort").is_err());
    }

    #[test]
    fn numbers_of_rows_are_read_as_javascript_does() {
        assert_eq!([1.5, 0.0, -1.0, f64::NAN, 1e300].map(limit_of), [Some(1), Some(0), None, None, None]);
        assert_eq!(offset_of(0.0).unwrap(), None);
        assert!(offset_of(-1.0).is_err());
    }

    #[test]
    fn paths_of_references_become_a_tree_within_bounds() {
        let mut tree = Vec::new();
        for path in ["project", "project.account", "owner_id", "project.account.parent"] {
            Expand::add(&mut tree, path);
        }
        assert_eq!((tree.len(), depth(&tree), count(&tree)), (2, 3, 4));
        Expand::check_bounds(&tree).unwrap();
        for long in ["a.b.c.d".to_owned(), "a.".repeat(1_000_000)] {
            let mut tree = Vec::new();
            Expand::add(&mut tree, &long);
            assert!(Expand::check_bounds(&tree).is_err());
        }
    }
}
