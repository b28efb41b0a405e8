//! `GET /data/:object`: every spelling of a parameter, and which of them say the same. Knows no field.

use super::ask::{Ask, Expand, limit_of, offset_of, order_of, same_object};
use super::conditions::filter_of;
use super::numbers::Numbers;
use crate::call::Parameters;
use crate::code::Code;
use crate::refusal::Refusal;
use querygate_query_api::requests::question::Question;
use querygate_types::json::value::exact;
use querygate_types::vendor::VendorCode;
use serde_json::{Map, Value};

/// Spellings of one parameter; the first is what errors call it.
struct Slot {
    spellings: &'static [&'static str],
    /// Whether it may be given several times.
    repeats: bool,
}

const FIELDS: Slot = Slot { spellings: &["fields", "select", "$select"], repeats: true };
const WHERE: Slot = Slot { spellings: &["where", "filter", "filters", "$filter"], repeats: false };
const ORDER: Slot = Slot { spellings: &["orderBy", "sort", "$orderby"], repeats: true };
const LIMIT: Slot = Slot { spellings: &["limit", "top", "$top"], repeats: false };
const OFFSET: Slot = Slot { spellings: &["offset", "skip", "$skip"], repeats: false };
const EXPAND: Slot = Slot { spellings: &["expand", "$expand", "populate"], repeats: true };
const SEARCH: Slot = Slot { spellings: &["search", "$search"], repeats: false };
const SEARCH_FIELDS: Slot = Slot { spellings: &["searchFields", "$searchFields"], repeats: false };
const COUNT: Slot = Slot { spellings: &["count", "$count"], repeats: false };
const SLOTS: [&Slot; 9] = [&FIELDS, &WHERE, &ORDER, &LIMIT, &OFFSET, &EXPAND, &SEARCH, &SEARCH_FIELDS, &COUNT];
/// Parameters that the vendor takes and does not read.
const UNREAD: [&str; 4] = ["cursor", "distinct", "having", "context"];
/// What only a body can say.
const IN_BODIES: [&str; 2] = ["groupBy", "aggregations"];

/// What a slot was given: under which spelling, and its values.
type Given<'a> = Option<(&'static str, Vec<&'a str>)>;

impl Slot {
    fn read<'a>(&self, parameters: &'a Parameters) -> Result<Given<'a>, Refusal> {
        let mut given: Given<'a> = None;
        for spelling in self.spellings {
            let values: Vec<&str> = if self.repeats {
                parameters.all(spelling).collect()
            } else {
                parameters.one(spelling)?.into_iter().collect()
            };
            if values.is_empty() {
                continue;
            }
            match &given {
                None => given = Some((spelling, values)),
                Some((_, other)) if *other == values => {}
                Some((first, _)) => return Err(conflict(first, spelling, self.spellings)),
            }
        }
        Ok(given)
    }

    fn one<'a>(&self, parameters: &'a Parameters) -> Result<Option<(&'static str, &'a str)>, Refusal> {
        Ok(self.read(parameters)?.and_then(|(spelling, values)| Some((spelling, *values.first()?))))
    }

    fn list(&self, parameters: &Parameters) -> Result<Option<Vec<String>>, Refusal> {
        let Some((_, values)) = self.read(parameters)? else { return Ok(None) };
        let names = values.iter().flat_map(|value| value.split(',')).map(str::trim).filter(|name| !name.is_empty());
        Ok(Some(names.map(str::to_owned).collect::<Vec<_>>()).filter(|names| !names.is_empty()))
    }
}

fn conflict(one: &str, other: &str, spellings: &[&str]) -> Refusal {
    let canonical = spellings.first().copied().unwrap_or_default();
    let message = format!(
        "Conflicting query parameters: '{one}', '{other}' are spellings of the same parameter (canonical \
         '{canonical}') and were given different values. Send exactly one."
    );
    Refusal::new(Code::InvalidRequest, message)
}

/// Whether a field holds truth values: a parameter names one by `1` or `0`.
pub(crate) type IsTruth<'a> = &'a dyn Fn(&str) -> bool;

/// What the parameters of a list ask.
///
/// # Errors
/// A parameter that contradicts another one, cannot be read, or is no list's.
pub(crate) fn ask_of(
    object: &str,
    parameters: &Parameters,
    is_truth: IsTruth<'_>,
    numbers: Numbers,
) -> Result<Ask, Refusal> {
    refuse_foreign(object, parameters)?;
    let number = |slot: &Slot| slot.one(parameters)?.map(|(name, text)| numbers.rows(name, text)).transpose();
    let (limit, offset) = (number(&LIMIT)?, number(&OFFSET)?);
    let is_paged = limit.is_some() || offset.is_some();
    let offset = offset.map(offset_of).transpose()?.flatten();
    let order = match ORDER.read(parameters)? {
        Some((spelling, values)) => order_of(&values, spelling)?,
        None => Vec::new(),
    };
    let mut expand = Vec::new();
    for path in EXPAND.list(parameters)?.unwrap_or_default() {
        Expand::add(&mut expand, &path);
    }
    let limit_rows = limit.and_then(limit_of);
    let question = Question {
        object: object.to_owned(),
        fields: FIELDS.list(parameters)?,
        filter: filter(parameters, is_truth)?,
        order,
        limit: limit_rows,
        offset,
        search: SEARCH.one(parameters)?.map(|(_, text)| text.to_owned()).filter(|text| !text.trim().is_empty()),
        search_fields: SEARCH_FIELDS.list(parameters)?,
        ..Question::default()
    };
    let counts = COUNT.one(parameters)?.is_none_or(|(_, text)| text != "false");
    Ok(Ask { rest_only: limit_rows.is_none() && offset.is_some(), question, expand, counts, is_paged })
}

fn refuse_foreign(object: &str, parameters: &Parameters) -> Result<(), Refusal> {
    let known = |name: &str| SLOTS.iter().any(|slot| slot.spellings.contains(&name));
    let foreign: Vec<&str> =
        parameters.iter().map(|(name, _)| name).filter(|name| name.starts_with('$') && !known(name)).collect();
    if !foreign.is_empty() {
        let message = format!(
            "Unsupported query parameter(s): {}. Supported $-prefixed parameters: $top, $skip, $orderby, $select, \
             $count, $search, $searchFields, $filter, $expand.",
            foreign.join(", ")
        );
        return Err(Refusal::new(Code::UnsupportedQueryParam, message));
    }
    if let Some(named) = parameters.one("object")? {
        same_object(object, named)?;
    }
    for name in IN_BODIES {
        if parameters.one(name)?.is_some() {
            let message = format!(
                "Query parameter '{name}' must be an array, received string: send it in the 'POST /data/:object/query' body."
            );
            return Err(Refusal::new(VendorCode::InvalidQuery, message));
        }
    }
    Ok(())
}

/// The filter, and an equality for each parameter that is none of the list's own.
fn filter(parameters: &Parameters, is_truth: IsTruth<'_>) -> Result<Option<Value>, Refusal> {
    let mut parts = Vec::new();
    if let Some((spelling, text)) = WHERE.one(parameters)?
        && !text.trim().is_empty()
    {
        let value = exact(text).map_err(|_| {
            let message = format!(
                "Query parameter '{spelling}' must be valid JSON. It was not applied, and an unapplied filter would have \
                 returned the unfiltered result set."
            );
            Refusal::new(VendorCode::InvalidFilter, message)
        })?;
        parts.push(filter_of(value, spelling)?);
    }
    let mut equal = Map::new();
    for (name, value) in parameters.iter() {
        let own = SLOTS.iter().any(|slot| slot.spellings.contains(&name));
        if own || UNREAD.contains(&name) || name == "object" {
            continue;
        }
        parameters.one(name)?;
        let value = match value {
            "1" | "0" if is_truth(name) => Value::Bool(value == "1"),
            text => text.into(),
        };
        equal.insert(name.to_owned(), value);
    }
    if !equal.is_empty() {
        parts.push(Value::Object(equal));
    }
    Ok(match parts.len() {
        0 => None,
        1 => parts.pop(),
        _ => Some(serde_json::json!({"$and": parts})),
    })
}
