//! What a selection asks, written as SQL for people to read: no source is sent this text, and the rules that narrow what a reader sees are
//! not in it. Values of conditions are `$1`, `$2`, ….

use super::ask::{Selection, TimeDimension};
use super::model::{Measure, Model, function_of};
use chrono::{Days, NaiveDate};
use querygate_query_api::requests::question::{AggregateFunction, Bucket};
use querygate_types::Error;
use querygate_types::json::value::value;
use serde_json::{Map, Value};

/// A text, and the values of its conditions.
pub(super) struct Printed {
    pub(super) text: String,
    pub(super) values: Vec<Value>,
}

/// A measure of a cube that is an SQL expression, as it is listed; `None` of another one.
pub(super) fn computed(cube: &str, name: &str, entry: &Value) -> Option<Value> {
    let text = |key: &str| entry.get(key).and_then(Value::as_str);
    let kind = text("type").filter(|kind| function_of(kind).is_none())?;
    let title = text("label").unwrap_or(name);
    Some(serde_json::json!({"name": format!("{cube}.{name}"), "type": kind, "title": title}))
}

/// Where columns are of a model's object.
struct Columns<'m> {
    table: &'m str,
    /// Columns have the name of their object before them: the model joins others.
    is_qualified: bool,
}

impl Columns<'_> {
    fn named(&self, field: &str) -> String {
        if self.is_qualified { format!("\"{}\".\"{field}\"", self.table) } else { field.to_owned() }
    }
}

fn word_of(bucket: Bucket) -> &'static str {
    match bucket {
        Bucket::Day => "day",
        Bucket::Week => "week",
        Bucket::Month => "month",
        Bucket::Quarter => "quarter",
        Bucket::Year => "year",
    }
}

/// The selection as one statement; `None` of one whose conditions have no plain form.
pub(super) fn printed(model: &Model, selection: &Selection) -> Option<Printed> {
    let dimension = |name: &String| model.dimension(name).ok();
    let dimensions = selection.dimensions.iter().map(|name| dimension(name).map(|own| (name, own.field, own.bucket)));
    let times = selection.times.iter().filter(|time| time.bucket.is_some());
    let times = times.map(|time| dimension(&time.name).map(|own| (&time.name, own.field, time.bucket)));
    let keys: Vec<(&String, String, Option<Bucket>)> = dimensions.chain(times).collect::<Option<_>>()?;
    let is_plain = keys.iter().all(|(_, _, bucket)| bucket.is_none());
    let table = model.object.name.as_str();
    let columns = Columns { table, is_qualified: model.joins && is_plain };
    let (mut shown, mut groups, mut spans) = (Vec::new(), Vec::new(), Vec::new());
    for (name, field, bucket) in keys {
        let column = columns.named(&field);
        let key = bucket.map_or(column.clone(), |bucket| format!("date_trunc('{}', {column})", word_of(bucket)));
        shown.push(format!("{key} AS \"{name}\""));
        spans.extend(bucket.map(|_| name.clone()));
        groups.push(key);
    }
    for name in &selection.measures {
        let measure = model.measure(name).ok().filter(|measure| measure.filter.is_none())?;
        shown.push(format!("{} AS \"{name}\"", aggregate(&measure, &columns)));
    }
    let (mut values, mut conditions) = (Vec::new(), Vec::new());
    if let Some(filter) = &selection.filter {
        for (name, wanted) in filter.as_object()? {
            condition(&columns.named(&field_of(model, name)), wanted, &mut values, &mut conditions)?;
        }
    }
    for time in &selection.times {
        conditions.extend(span(model, &columns, time, &mut values));
    }
    let mut text = format!("SELECT {} FROM \"{table}\"", shown.join(", "));
    if !conditions.is_empty() {
        text.push_str(&format!(" WHERE {}", conditions.join(" AND ")));
    }
    if !groups.is_empty() {
        text.push_str(&format!(" GROUP BY {}", groups.join(", ")));
    }
    let mut order: Vec<String> = selection.order.iter().map(|(name, falls)| directed(name, *falls)).collect();
    if order.is_empty() && model.is_dataset {
        order.extend(spans.iter().map(|name| directed(name, false)));
    }
    if !order.is_empty() {
        text.push_str(&format!(" ORDER BY {}", order.join(", ")));
    }
    for (word, rows) in [("LIMIT", selection.given_limit), ("OFFSET", selection.offset)] {
        text.push_str(&rows.map(|rows| format!(" {word} {rows}")).unwrap_or_default());
    }
    Some(Printed { text, values })
}

fn directed(name: &str, falls: bool) -> String {
    format!("\"{name}\" {}", if falls { "DESC" } else { "ASC" })
}

/// The field that a condition is about.
fn field_of(model: &Model, name: &str) -> String {
    model.dimension(name).map_or_else(|_| name.to_owned(), |dimension| dimension.field)
}

fn aggregate(measure: &Measure, columns: &Columns<'_>) -> String {
    let column = measure.field.as_deref().map_or_else(|| "*".to_owned(), |field| columns.named(field));
    match measure.function {
        AggregateFunction::Count => format!("COUNT({column})"),
        AggregateFunction::Sum => format!("SUM({column})"),
        AggregateFunction::Avg => format!("AVG({column})"),
        AggregateFunction::Min => format!("MIN({column})"),
        AggregateFunction::Max => format!("MAX({column})"),
        AggregateFunction::CountDistinct => format!("COUNT(DISTINCT {column})"),
    }
}

/// One more value, and its place.
fn bound(value: &Value, values: &mut Vec<Value>) -> String {
    values.push(value.clone());
    format!("${}", values.len())
}

/// A field's condition; `None`: it has no plain form.
fn condition(column: &str, wanted: &Value, values: &mut Vec<Value>, conditions: &mut Vec<String>) -> Option<()> {
    match wanted {
        Value::Null => conditions.push(format!("{column} IS NULL")),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            conditions.push(format!("{column} = {}", bound(wanted, values)));
        }
        Value::Array(_) => return None,
        Value::Object(tests) => {
            for (operator, operand) in tests {
                conditions.push(test(column, operator, operand, values)?);
            }
        }
    }
    Some(())
}

fn test(column: &str, operator: &str, operand: &Value, values: &mut Vec<Value>) -> Option<String> {
    let is_scalar = !operand.is_null() && !operand.is_array() && !operand.is_object();
    let sign = match operator {
        "$eq" => "=",
        "$gt" => ">",
        "$gte" => ">=",
        "$lt" => "<",
        "$lte" => "<=",
        "$in" => {
            let members: Vec<String> = operand.as_array()?.iter().map(|member| bound(member, values)).collect();
            return Some(format!("{column} IN ({})", members.join(", "))).filter(|_| !members.is_empty());
        }
        _ => return None,
    };
    is_scalar.then(|| format!("{column} {sign} {}", bound(operand, values)))
}

/// The range of a dimension of time; its last day is wholly in it.
fn span(model: &Model, columns: &Columns<'_>, time: &TimeDimension, values: &mut Vec<Value>) -> Option<String> {
    let (first, last) = time.range.as_ref()?;
    let column = columns.named(&field_of(model, &time.name));
    let next =
        last.as_str().and_then(|day| day.parse::<NaiveDate>().ok()).and_then(|day| day.checked_add_days(Days::new(1)));
    let first = bound(first, values);
    Some(match next {
        Some(next) => format!("({column} >= {first} AND {column} < {})", bound(&next.to_string().into(), values)),
        None => format!("({column} >= {first} AND {column} <= {})", bound(last, values)),
    })
}

/// The days that a key of a group of spans stands for: from the first to the one behind the last. `None` of no such key.
fn days_of(bucket: Bucket, key: &str) -> Option<(NaiveDate, NaiveDate)> {
    let (year, rest) = key.split_once('-').map_or((key, ""), |(year, rest)| (year, rest));
    let year: i32 = year.parse().ok()?;
    let months = |first: u32, count: u32| {
        let from = NaiveDate::from_ymd_opt(year, first, 1)?;
        Some((from, from.checked_add_months(chrono::Months::new(count))?))
    };
    match bucket {
        Bucket::Year => months(1, 12),
        Bucket::Quarter => {
            let quarter: u32 = rest.strip_prefix('Q')?.parse().ok().filter(|quarter| (1..=4).contains(quarter))?;
            months(quarter * 3 - 2, 3)
        }
        Bucket::Month => months(rest.parse().ok()?, 1),
        Bucket::Week => {
            let from = NaiveDate::from_isoywd_opt(year, rest.strip_prefix('W')?.parse().ok()?, chrono::Weekday::Mon)?;
            Some((from, from.checked_add_days(Days::new(7))?))
        }
        Bucket::Day => {
            let from: NaiveDate = key.parse().ok()?;
            Some((from, from.checked_add_days(Days::new(1))?))
        }
    }
}

/// Rows whose span is not known come behind the others, where no order is asked for. `rows`: as they are shown, and as they are stored.
///
/// # Errors
/// They are no rows.
pub(super) fn nulls_last(
    model: &Model,
    selection: &Selection,
    rows: (String, String),
) -> Result<(String, String), Error> {
    let is_span = |name: &&String| model.dimension(name).is_ok_and(|dimension| dimension.bucket.is_some());
    let Some(span) = selection.dimensions.iter().find(is_span).filter(|_| selection.order.is_empty()) else {
        return Ok(rows);
    };
    let is_known = |(row, _): &(Value, Value)| row.get(span.as_str()).is_some_and(|key| !key.is_null());
    let both = list_of(&rows.0)?.into_iter().zip(list_of(&rows.1)?);
    let (known, unknown): (Vec<_>, Vec<_>) = both.partition(is_known);
    let (shown, stored): (Vec<_>, Vec<_>) = known.into_iter().chain(unknown).unzip();
    let printed = |rows: Vec<Value>| rows.iter().map(Value::to_string).collect::<Vec<_>>().join(",");
    Ok((printed(shown), printed(stored)))
}

/// Rows that were printed one after the other.
fn list_of(rows: &str) -> Result<Vec<Value>, Error> {
    match value(&format!("[{rows}]")).map_err(Error::internal)? {
        Value::Array(rows) => Ok(rows),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            Err(Error::internal("rows are no list"))
        }
    }
}

/// For each row, the days that its keys of spans stand for; empty where the selection has no such key.
///
/// # Errors
/// They are no rows.
pub(super) fn ranges(model: &Model, selection: &Selection, rows: &str) -> Result<Vec<Value>, Error> {
    let spans = selection.dimensions.iter().filter_map(|name| {
        let dimension = model.dimension(name).ok()?;
        Some((name, dimension.field, dimension.bucket?))
    });
    let spans: Vec<(&String, String, Bucket)> = spans.collect();
    if spans.is_empty() {
        return Ok(Vec::new());
    }
    let of_row = |row: &Value| {
        let known = spans.iter().filter_map(|(name, field, bucket)| {
            let (from, to) = days_of(*bucket, row.get(name.as_str())?.as_str()?)?;
            let span = serde_json::json!({"field": field, "gte": from.to_string(), "lt": to.to_string()});
            Some(((*name).clone(), span))
        });
        Value::Object(known.collect::<Map<String, Value>>())
    };
    Ok(list_of(rows)?.iter().map(of_row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_of_spans_are_days() {
        let days = |bucket, key| days_of(bucket, key).map(|(from, to)| (from.to_string(), to.to_string()));
        let expected = |from: &str, to: &str| Some((from.to_owned(), to.to_owned()));
        assert_eq!(days(Bucket::Year, "2026"), expected("2026-01-01", "2027-01-01"));
        assert_eq!(days(Bucket::Quarter, "2026-Q4"), expected("2026-10-01", "2027-01-01"));
        assert_eq!(days(Bucket::Month, "2026-02"), expected("2026-02-01", "2026-03-01"));
        assert_eq!(days(Bucket::Week, "2026-W01"), expected("2025-12-29", "2026-01-05"));
        assert_eq!(days(Bucket::Day, "2026-02-28"), expected("2026-02-28", "2026-03-01"));
        for (bucket, key) in [(Bucket::Quarter, "2026-Q5"), (Bucket::Month, "2026-13"), (Bucket::Day, "x")] {
            assert_eq!(days(bucket, key), None, "{key}");
        }
    }

    #[test]
    fn values_of_conditions_are_not_in_the_text() {
        let (mut values, mut conditions) = (Vec::new(), Vec::new());
        let wanted = json!({"$gte": 1, "$in": ["a", "b"]});
        condition("c", &wanted, &mut values, &mut conditions).unwrap();
        condition("d", &json!(null), &mut values, &mut conditions).unwrap();
        assert_eq!(conditions, ["c >= $1", "c IN ($2, $3)", "d IS NULL"]);
        assert_eq!(values, [json!(1), json!("a"), json!("b")]);
        assert!(condition("c", &json!({"$contains": "x"}), &mut values, &mut conditions).is_none());
    }
}
