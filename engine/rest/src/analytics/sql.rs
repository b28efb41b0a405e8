//! What a selection asks, written as SQL for people to read: no source is sent this text, and the rules that narrow what a reader sees are
//! not in it. Values of conditions are `$1`, `$2`, ….

use super::ask::{Selection, TimeDimension};
use super::condition::ConditionNames;
use super::fields::{ModelFields, paths_of};
use super::model::{Dimension, Measure, Model, function_of};
use chrono::{Days, NaiveDate};
use querygate_query_api::requests::question::AggregateFunction;
use serde_json::Value;
use std::collections::BTreeSet;

/// A text, and the values of its conditions.
pub(super) struct PrintedSelection {
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
        match field.rsplit_once('.') {
            Some((path, own)) => format!("{}.{}", named(&alias(path)), named(own)),
            None if self.is_qualified => format!("{}.{}", named(self.table), named(field)),
            None => field.to_owned(),
        }
    }
}

/// The selection as one statement; `None` of one whose conditions have no plain form.
pub(super) fn printed(model: &Model, selection: &Selection) -> Option<PrintedSelection> {
    let keys = model.keys(selection).ok()?;
    let is_plain = keys.iter().all(|key| key.bucket.is_none());
    let table = model.fields.object.name.as_str();
    let asked = selection.filter.as_ref().map(|filter| model.condition(filter)).transpose().ok()?;
    let joined = paths_asked(model, selection, asked.as_ref())?;
    let columns = Columns { table, is_qualified: model.joins && is_plain || !joined.is_empty() };
    let (mut shown, mut groups, mut spans) = (Vec::new(), Vec::new(), Vec::new());
    for Dimension { name, field, bucket, .. } in keys {
        let column = columns.named(&field);
        let key = bucket.map_or(column.clone(), |bucket| format!("date_trunc('{}', {column})", bucket.name()));
        shown.push(format!("{key} AS {}", named(&name)));
        spans.extend(bucket.map(|_| name.clone()));
        groups.push(key);
    }
    for name in &selection.measures {
        let measure = model.measure(name).ok().filter(|measure| measure.filter.is_none())?;
        shown.push(format!("{} AS {}", aggregate(&measure, &columns), named(name)));
    }
    let (mut values, mut conditions) = (Vec::new(), Vec::new());
    for filter in model.filter.iter().chain(&asked) {
        for (name, wanted) in filter.as_object()? {
            // What is no field's name has no plain form.
            model.fields.field(name)?;
            condition(&columns.named(name), wanted, &mut values, &mut conditions)?;
        }
    }
    for time in &selection.times {
        conditions.extend(span(model, &columns, time, &mut values));
    }
    let mut text = format!("SELECT {} FROM {}{}", shown.join(", "), named(table), joins(&model.fields, &joined)?);
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
    for (word, rows) in [("LIMIT", selection.given_limit.map(|_| selection.limit)), ("OFFSET", selection.offset)] {
        text.push_str(&rows.map(|rows| format!(" {word} {rows}")).unwrap_or_default());
    }
    Some(PrintedSelection { text, values })
}

/// The paths of what is asked; `None`: a name is none.
fn paths_asked(model: &Model, selection: &Selection, asked: Option<&Value>) -> Option<BTreeSet<String>> {
    let keys = model.keys(selection).ok()?.into_iter().map(|key| key.field);
    let times = selection.times.iter().map(|time| field_of(model, &time.name));
    let measured = selection.measures.iter().filter_map(|name| model.measure(name).ok()?.field);
    let fields: Vec<String> = keys.chain(times).chain(measured).collect();
    let conditions =
        model.filter.iter().chain(asked).flat_map(|filter| ConditionNames::of(filter).all().collect::<Vec<_>>());
    Some(paths_of(fields.iter().map(String::as_str).chain(conditions)))
}

/// What a table on a path is called.
fn alias(path: &str) -> String {
    path.replace('.', "__")
}

/// The joins along these paths; `None`: one of them leads nowhere.
fn joins(fields: &ModelFields, paths: &BTreeSet<String>) -> Option<String> {
    // What a path begins with stands before it.
    let begins = |path: &String| -> Vec<String> {
        path.match_indices('.')
            .map(|(end, _)| end)
            .chain([path.len()])
            .filter_map(|end| path.get(..end))
            .map(str::to_owned)
            .collect()
    };
    let mut text = String::new();
    for path in paths.iter().flat_map(begins).collect::<BTreeSet<_>>() {
        let related = fields.related(&path)?;
        let (table, reference) = match path.rsplit_once('.') {
            Some((before, reference)) => (alias(before), reference),
            None => (fields.object.name.clone(), path.as_str()),
        };
        let (own, key) = (named(&alias(&path)), named(related.key.as_deref()?));
        text.push_str(&format!(" LEFT JOIN {} {own} ON ", named(&related.name)));
        text.push_str(&format!("{}.{} = {own}.{key}", named(&table), named(reference)));
    }
    Some(text)
}

fn directed(name: &str, falls: bool) -> String {
    format!("{} {}", named(name), if falls { "DESC" } else { "ASC" })
}

/// A name between quotes.
fn named(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The field that a span is of.
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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
