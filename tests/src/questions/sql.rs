//! A question in SQL, written by hand where its meaning is plain: an oracle beside what the gate says to the question itself.

use super::Kind;
use crate::harness::Answer;
use serde_json::{Map, Value};

/// A question's other form.
#[derive(Debug, Clone)]
pub struct Twin {
    pub sql: String,
    /// What is compared, in the order of the statement's columns.
    columns: Vec<(String, Kind)>,
    /// Whether the order of rows is determined.
    ordered: bool,
}

/// What a field of an object holds; `None`: there is none.
type Kinds<'a> = &'a dyn Fn(&str) -> Option<Kind>;

/// How an answer is not its twin's.
#[derive(Debug)]
pub enum Differs {
    /// SQL refuses: it compares no such types.
    Refused(String),
    Rows(String),
}

impl Twin {
    /// # Errors
    /// The records are not the rows.
    pub fn compare(&self, records: &[Value], answer: &Answer) -> Result<(), Differs> {
        let rows = match answer {
            Answer::Rows { rows, .. } => rows,
            other => return Err(Differs::Refused(other.text())),
        };
        let mut said: Vec<Vec<Option<String>>> = records.iter().map(|record| self.cells(record)).collect();
        let kinds = || self.columns.iter().map(|(_, kind)| *kind);
        let mut found: Vec<Vec<Option<String>>> = rows
            .iter()
            .map(|row| row.iter().zip(kinds()).map(|(cell, kind)| plain_cell(cell.as_deref(), kind)).collect())
            .collect();
        if !self.ordered {
            said.sort();
            found.sort();
        }
        if said == found {
            Ok(())
        } else {
            Err(Differs::Rows(format!("{}\n  said {said:?}\n  SQL  {found:?}", self.sql)))
        }
    }

    fn cells(&self, record: &Value) -> Vec<Option<String>> {
        let cell = |(name, kind): &(String, Kind)| {
            let text = match &record[name] {
                Value::Null => None,
                Value::Bool(is) => Some(if *is { "t" } else { "f" }.to_owned()),
                Value::String(text) => Some(text.clone()),
                other => Some(other.to_string()),
            };
            plain_cell(text.as_deref(), *kind)
        };
        self.columns.iter().map(cell).collect()
    }
}

/// One spelling of a value that has several.
fn plain_cell(text: Option<&str>, kind: Kind) -> Option<String> {
    let text = text?;
    Some(match kind {
        _ if kind.is_number() => {
            text.parse::<f64>().map_or_else(|_| text.to_owned(), |number| format!("{:.9e}", number + 0.0))
        }
        Kind::Bool => text.replace("true", "t").replace("false", "f"),
        Kind::Instant | Kind::Time => {
            let text = text.replace('T', " ").trim_end_matches('Z').trim_end_matches("+00").to_owned();
            if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
        }
        _ => text.to_owned(),
    })
}

/// The statement of a body over a table; `None` where something in it has no plain form. `fields`: what an answer without
/// `fields` is compared by.
#[must_use]
pub fn statement(table: &str, body: &Value, kinds: Kinds<'_>) -> Option<Twin> {
    let list = |key: &str| body[key].as_array().map(Vec::as_slice).unwrap_or_default();
    if ["search", "joins"].iter().any(|key| body.get(key).is_some()) {
        return None;
    }
    let condition = match body.get("where") {
        None | Some(Value::Null) => "true".to_owned(),
        Some(filter) => condition(filter, kinds)?,
    };
    let from = format!("FROM \"{table}\" WHERE {condition}");
    if list("groupBy").is_empty() && list("aggregations").is_empty() {
        records(body, &from, kinds)
    } else {
        groups(body, &from, kinds)
    }
}

fn records(body: &Value, from: &str, kinds: Kinds<'_>) -> Option<Twin> {
    let expanded = body["expand"].as_object();
    let names: Vec<String> = match body["fields"].as_array() {
        Some(fields) => fields.iter().map(|name| name.as_str().map(str::to_owned)).collect::<Option<_>>()?,
        None => vec!["id".to_owned()],
    };
    let columns: Vec<(String, Kind)> = names
        .into_iter()
        .filter(|name| expanded.is_none_or(|e| !e.contains_key(name)))
        .map(|name| {
            let kind = kinds(&name)?;
            Some((name, kind))
        })
        .collect::<Option<_>>()?;
    let columns: Vec<_> = columns.into_iter().filter(|(_, kind)| !matches!(kind, Kind::Tags | Kind::Other)).collect();
    let list = columns.iter().map(|(name, _)| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    let list = if list.is_empty() { "1" } else { &list };
    let (order, ordered) = order(body, &["id".to_owned()], kinds)?;
    Some(Twin { sql: format!("SELECT {list} {from}{order}"), ordered: ordered && !columns.is_empty(), columns })
}

/// The end of a statement, and whether it determines the order. Pages end their order with the keys, which fall where the last key of
/// the order does.
fn order(body: &Value, keys: &[String], kinds: Kinds<'_>) -> Option<(String, bool)> {
    let mut parts = Vec::new();
    for key in body["orderBy"].as_array().map(Vec::as_slice).unwrap_or_default() {
        let name = key["field"].as_str()?;
        if matches!(kinds(name)?, Kind::Tags | Kind::Other) {
            return None;
        }
        let direction = if key["order"] == "desc" { "DESC NULLS LAST" } else { "ASC NULLS FIRST" };
        parts.push(format!("\"{name}\" {direction}"));
    }
    let (limit, offset) = (body["limit"].as_u64(), body["offset"].as_u64().filter(|offset| *offset > 0));
    let pages = limit.is_some() || offset.is_some();
    if pages {
        let falls = body["orderBy"].as_array().and_then(|keys| keys.last()).is_some_and(|key| key["order"] == "desc");
        let direction = if falls { "DESC NULLS LAST" } else { "ASC NULLS FIRST" };
        parts.extend(keys.iter().map(|key| format!("\"{key}\" {direction}")));
    }
    let mut end = if parts.is_empty() { String::new() } else { format!(" ORDER BY {}", parts.join(", ")) };
    limit.into_iter().for_each(|limit| end.push_str(&format!(" LIMIT {limit}")));
    offset.into_iter().for_each(|offset| end.push_str(&format!(" OFFSET {offset}")));
    Some((end, pages))
}

fn groups(body: &Value, from: &str, kinds: Kinds<'_>) -> Option<Twin> {
    let list = |key: &str| body[key].as_array().map(Vec::as_slice).unwrap_or_default();
    let (mut selected, mut grouped, mut columns) = (Vec::new(), Vec::new(), Vec::<(String, Kind)>::new());
    for key in list("groupBy") {
        let (expr, name, kind) = group_key(key, kinds)?;
        selected.push(format!("{expr} AS \"{name}\""));
        grouped.push(expr);
        columns.push((name, kind));
    }
    let keys: Vec<String> = columns.iter().map(|(name, _)| name.clone()).collect();
    for aggregation in list("aggregations") {
        let (expr, kind) = aggregate(aggregation, kinds)?;
        let alias = aggregation["alias"].as_str()?.to_owned();
        selected.push(format!("{expr} AS \"{alias}\""));
        columns.push((alias, kind));
    }
    let by = if grouped.is_empty() { String::new() } else { format!(" GROUP BY {}", grouped.join(", ")) };
    let inner = format!("SELECT {} {from}{by}", selected.join(", "));
    let outputs = |name: &str| columns.iter().find(|(other, _)| other == name).map(|(_, kind)| *kind);
    let having = match body.get("having") {
        None => "true".to_owned(),
        Some(filter) => condition(filter, &outputs)?,
    };
    let (order, ordered) = order(body, &keys, &outputs)?;
    Some(Twin { sql: format!("SELECT * FROM ({inner}) q WHERE {having}{order}"), columns, ordered })
}

fn group_key(key: &Value, kinds: Kinds<'_>) -> Option<(String, String, Kind)> {
    let field = key.as_str().or_else(|| key["field"].as_str())?;
    let kind = kinds(field)?;
    let name = key["alias"].as_str().unwrap_or(field).to_owned();
    let form = match key["dateGranularity"].as_str() {
        None if matches!(kind, Kind::Tags | Kind::Other) => return None,
        None => return Some((format!("\"{field}\""), name, kind)),
        Some("year") => "YYYY",
        Some("quarter") => "YYYY-\"Q\"Q",
        Some("month") => "YYYY-MM",
        Some("week") => "IYYY-\"W\"IW",
        Some("day") => "YYYY-MM-DD",
        Some(_) => return None,
    };
    let at = match kind {
        Kind::Date => format!("\"{field}\""),
        Kind::Instant => format!("\"{field}\" AT TIME ZONE 'UTC'"),
        _ => return None,
    };
    Some((format!("to_char({at}, '{form}')"), name, Kind::Text))
}

fn aggregate(aggregation: &Value, kinds: Kinds<'_>) -> Option<(String, Kind)> {
    let filter = match aggregation.get("filter") {
        None => String::new(),
        Some(filter) => format!(" FILTER (WHERE {})", condition(filter, kinds)?),
    };
    let function = aggregation["function"].as_str()?;
    let Some(field) = aggregation["field"].as_str() else {
        return (function == "count").then(|| (format!("count(*){filter}"), Kind::Number));
    };
    let kind = kinds(field)?;
    let cell =
        if kind == Kind::Bool && function != "count" { format!("\"{field}\"::int") } else { format!("\"{field}\"") };
    let is_number = kind.is_number() || kind == Kind::Bool;
    let least = if kind == Kind::Bool { Kind::Number } else { kind };
    Some(match function {
        "count" => (format!("count({cell}){filter}"), Kind::Number),
        "count_distinct" if !matches!(kind, Kind::Tags | Kind::Other) => {
            (format!("count(DISTINCT {cell}){filter}"), Kind::Number)
        }
        "sum" if is_number => (format!("coalesce(sum({cell}){filter}, 0)::float8"), Kind::Number),
        "sum" if kind == Kind::Text => ("0".to_owned(), Kind::Number),
        "avg" if is_number => (format!("(avg({cell}){filter})::float8"), Kind::Number),
        "min" | "max" if !matches!(kind, Kind::Tags | Kind::Other) => (format!("{function}({cell}){filter}"), least),
        _ => return None,
    })
}

/// A condition that is true or false on every row.
fn condition(filter: &Value, kinds: Kinds<'_>) -> Option<String> {
    let mut parts = Vec::new();
    for (key, value) in filter.as_object()? {
        parts.push(match key.as_str() {
            "$and" => joined(value, " AND ", "true", kinds)?,
            "$or" => joined(value, " OR ", "false", kinds)?,
            "$not" => format!("NOT ({})", condition(value, kinds)?),
            field => on_field(field, value, kinds)?,
        });
    }
    Some(if parts.is_empty() { "true".to_owned() } else { format!("({})", parts.join(" AND ")) })
}

fn joined(branches: &Value, word: &str, empty: &str, kinds: Kinds<'_>) -> Option<String> {
    let parts = branches.as_array()?.iter().map(|branch| condition(branch, kinds)).collect::<Option<Vec<_>>>()?;
    Some(if parts.is_empty() { empty.to_owned() } else { format!("({})", parts.join(word)) })
}

fn on_field(field: &str, value: &Value, kinds: Kinds<'_>) -> Option<String> {
    let kind = kinds(field)?;
    let Value::Object(operators) = value else { return test(field, kind, "$eq", value, kinds) };
    let tests = operators
        .iter()
        .map(|(operator, value)| test(field, kind, operator, value, kinds))
        .collect::<Option<Vec<_>>>()?;
    (!tests.is_empty()).then(|| format!("({})", tests.join(" AND ")))
}

fn test(name: &str, kind: Kind, operator: &str, value: &Value, kinds: Kinds<'_>) -> Option<String> {
    let field = format!("\"{name}\"");
    let sign = match operator {
        "$eq" | "$ne" if value.is_null() => {
            return Some(format!("{field} IS {}NULL", if operator == "$ne" { "NOT " } else { "" }));
        }
        "$null" => return Some(format!("{field} IS {}NULL", if value.as_bool()? { "" } else { "NOT " })),
        "$exists" => return Some(format!("{field} IS {}NULL", if value.as_bool()? { "NOT " } else { "" })),
        "$in" | "$nin" => {
            let members = value.as_array()?.iter().map(|value| literal(kind, value)).collect::<Option<Vec<_>>>()?;
            let is_member = match members.is_empty() {
                true => "false".to_owned(),
                false => format!("coalesce({field} IN ({}), false)", members.join(", ")),
            };
            return Some(if operator == "$nin" { format!("NOT {is_member}") } else { is_member });
        }
        "$between" => {
            let [low, high] = value.as_array()?.as_slice() else { return None };
            let (low, high) = (test(name, kind, "$gte", low, kinds)?, test(name, kind, "$lte", high, kinds)?);
            return Some(format!("({low} AND {high})"));
        }
        "$eq" | "$ne" => "=",
        "$gt" => ">",
        "$gte" => ">=",
        "$lt" => "<",
        "$lte" => "<=",
        _ => return text_test(&field, kind, operator, value.as_str()?),
    };
    let is_day = kind == Kind::Instant && value.as_str().is_some_and(|text| text.len() == 10);
    let compared = match value.as_object() {
        Some(other) => column(kind, other, kinds)?,
        // A day that ends a span of instants is a whole day. Equality with a day has no plain form.
        None if is_day && operator == "$lte" => {
            return Some(format!("coalesce({field} < {} + INTERVAL '1 day', false)", literal(kind, value)?));
        }
        None if is_day && sign == "=" => return None,
        None => literal(kind, value)?,
    };
    let is = format!("coalesce({field} {sign} {compared}, false)");
    Some(if operator == "$ne" { format!("NOT {is}") } else { is })
}

/// Another column of the same kind.
fn column(kind: Kind, other: &Map<String, Value>, kinds: Kinds<'_>) -> Option<String> {
    let name = other.get("$field")?.as_str()?;
    (kinds(name)? == kind && other.len() == 1).then(|| format!("\"{name}\""))
}

fn text_test(field: &str, kind: Kind, operator: &str, value: &str) -> Option<String> {
    if kind != Kind::Text || value.starts_with('{') {
        return None;
    }
    const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let folded = format!("translate({field}, '{UPPER}', '{}')", UPPER.to_ascii_lowercase());
    let lower = quoted(&value.to_ascii_lowercase());
    let text = quoted(value);
    let length = value.chars().count();
    let (is, on_null) = match operator {
        "$contains" => (format!("strpos({field}, {text}) > 0"), false),
        "$notContains" => (format!("strpos({field}, {text}) = 0"), true),
        "$startsWith" => (format!("left({field}, {length}) = {text}"), false),
        "$endsWith" => (format!("right({field}, {length}) = {text}"), false),
        "$icontains" if !value.is_empty() => (format!("strpos({folded}, {lower}) > 0"), false),
        "$like" => (format!("{field} LIKE {text}"), false),
        "$ilike" => (format!("{folded} LIKE {lower}"), false),
        _ => return None,
    };
    Some(format!("coalesce({is}, {on_null})"))
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn literal(kind: Kind, value: &Value) -> Option<String> {
    match (kind, value) {
        (Kind::Number | Kind::Integer | Kind::Money, Value::Number(number)) => Some(number.to_string()),
        (Kind::Number | Kind::Integer | Kind::Money, Value::String(text)) => {
            text.parse::<f64>().ok().filter(|n| n.is_finite()).map(|_| text.clone())
        }
        (Kind::Bool, Value::Bool(is)) => Some(is.to_string()),
        (Kind::Text, Value::String(text)) if !text.starts_with('{') => Some(quoted(text)),
        (Kind::Date, Value::String(text)) => Some(format!("DATE {}", quoted(text.get(..10)?))),
        (Kind::Instant, Value::String(text)) if text.starts_with(|c: char| c.is_ascii_digit()) => {
            let text = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.clone() };
            Some(format!("TIMESTAMPTZ {}", quoted(&text)))
        }
        (Kind::Time, Value::String(text)) => Some(format!("TIME {}", quoted(text))),
        _ => None,
    }
}
