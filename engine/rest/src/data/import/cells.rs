//! Cells of imported rows as values of fields: labels of options, titles of related records, words for truth. Changes nothing.

use crate::refusal::Refusal;
use crate::work::Work;
use querygate_query_api::requests::question::{FieldDescription, JsonForm, ObjectDescription, Question};
use querygate_types::json::value;
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

/// Titles that one question asks for.
const TITLES_PER_QUESTION: usize = 1_000;

/// A cell as it came.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    /// Of JSON.
    Value(Value),
    /// Of CSV.
    Text(String),
}

impl Cell {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Value(Value::String(text)) => Some(text),
            Self::Value(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => None,
        }
    }
}

/// Field, code and message of a cell that is no value of its field.
type Fault = (String, &'static str, String);

/// How the cells of one import are read.
pub(super) struct Readers<'a> {
    object: &'a ObjectDescription,
    /// Ids of related records by field, and by their id or title.
    related: HashMap<String, HashMap<String, String>>,
}

impl<'a> Readers<'a> {
    /// Looks up everything that the rows refer to.
    pub(super) async fn new(
        work: &Work,
        object: &'a ObjectDescription,
        rows: &[Vec<(String, Cell)>],
    ) -> Result<Self, Refusal> {
        let mut related = HashMap::new();
        for field in object.fields.iter().filter(|field| !field.is_list) {
            let Some(target) = field.references.as_deref() else { continue };
            let cells = rows.iter().flatten().filter(|(name, _)| *name == field.name);
            let texts: BTreeSet<&str> =
                cells.filter_map(|(_, cell)| cell.text()).filter(|text| !text.is_empty()).collect();
            if !texts.is_empty() {
                related.insert(field.name.clone(), titles(work, target, &texts).await?);
            }
        }
        Ok(Self { object, related })
    }

    /// The values of a row.
    pub(super) fn values(&self, row: &[(String, Cell)]) -> Result<Map<String, Value>, Fault> {
        let mut values = Map::new();
        for (name, cell) in row {
            let value = match self.object.field(name) {
                Some(field) => self.value(field, cell)?,
                // The engine says that there is no such field.
                None => cell.text().map_or(Value::Null, Value::from),
            };
            if !(value.is_null() && matches!(cell, Cell::Text(_))) {
                values.insert(name.clone(), value);
            }
        }
        Ok(values)
    }

    fn value(&self, field: &FieldDescription, cell: &Cell) -> Result<Value, Fault> {
        let fault = |code, text: String| Err((field.name.clone(), code, format!("{}: {text}", field.label)));
        let Some(text) = cell.text() else {
            return Ok(match cell {
                Cell::Value(value) => value.clone(),
                Cell::Text(_) => Value::Null,
            });
        };
        let is_csv = matches!(cell, Cell::Text(_));
        if text.is_empty() {
            return Ok(if is_csv { Value::Null } else { Value::from(text) });
        }
        if !field.options.is_empty() && !field.is_list {
            let fits = |(value, label): &&(String, String)| value == text || label == text;
            return match field.options.iter().find(fits) {
                Some((value, _)) => Ok(value.as_str().into()),
                None => fault("invalid_option", format!("\"{text}\" is not a known option")),
            };
        }
        if let Some(related) = self.related.get(&field.name) {
            return match related.get(text) {
                Some(id) => Ok(id.as_str().into()),
                None => fault("reference_not_found", format!("no record matches \"{text}\"")),
            };
        }
        match field.form {
            JsonForm::Boolean => match text.trim().to_lowercase().as_str() {
                "true" | "yes" | "y" | "1" | "是" => Ok(true.into()),
                "false" | "no" | "n" | "0" | "否" => Ok(false.into()),
                _ => fault("invalid_boolean", format!("\"{text}\" is not true or false")),
            },
            JsonForm::Number if is_grouped(text.trim()) => {
                Ok(number(&text.trim().replace(',', "")).unwrap_or_else(|| text.into()))
            }
            JsonForm::Number if is_csv => match number(text.trim()) {
                Some(number) => Ok(number),
                None => fault("invalid_number", format!("\"{text}\" is not a number")),
            },
            JsonForm::List if is_csv => {
                Ok(text.split([',', ';']).map(|item| Value::from(item.trim())).collect::<Vec<_>>().into())
            }
            JsonForm::Json if is_csv => Ok(value::value(text).unwrap_or_else(|_| text.into())),
            JsonForm::Date | JsonForm::Instant => Ok(calendar_text(text).into()),
            JsonForm::Text | JsonForm::Bytes | JsonForm::Number | JsonForm::Time | JsonForm::List | JsonForm::Json => {
                Ok(text.into())
            }
        }
    }
}

/// A text as a number, or as the text of its digits where a double does not have them. `None`: it is no number of JSON.
fn number(text: &str) -> Option<Value> {
    let number = value::number(text)?;
    Some(value::lost_digits(text).map_or(Value::Number(number), Value::String))
}

/// Whether a text is a number whose thousands stand apart: `1,234,567.5`.
fn is_grouped(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = text.split_once('.').map_or((text, None), |(whole, fraction)| (whole, Some(fraction)));
    let mut groups = whole.strip_prefix('-').unwrap_or(whole).split(',');
    let first = groups.next().is_some_and(|first| digits(first) && first.len() <= 3 && !first.starts_with('0'));
    let mut rest = groups.peekable();
    first && rest.peek().is_some() && rest.all(|group| digits(group) && group.len() == 3) && fraction.is_none_or(digits)
}

/// A day as spreadsheets write it, `2026/7/5`, with what follows it: as ISO 8601 writes it. Other texts are themselves.
fn calendar_text(text: &str) -> Cow<'_, str> {
    let (day, rest) = text.find([' ', 'T']).map_or((text, ""), |at| text.split_at(at));
    let sign = if day.contains('/') { '/' } else { '-' };
    let parts: Vec<&str> = day.split(sign).collect();
    let digits = |part: &str, most| (1..=most).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    match parts.as_slice() {
        [year, month, day] if year.len() == 4 && digits(year, 4) && digits(month, 2) && digits(day, 2) => {
            Cow::Owned(format!("{year}-{month:0>2}-{day:0>2}{rest}"))
        }
        _ => Cow::Borrowed(text),
    }
}

/// Ids of records that the importer sees, by id and by title. Of a title that several have, none.
async fn titles(work: &Work, target: &str, texts: &BTreeSet<&str>) -> Result<HashMap<String, String>, Refusal> {
    let mut found = HashMap::new();
    // Ids of an object that the importer does not see are left for the engine to judge.
    let Some(object) = work.object_if_seen(target).await? else {
        return Ok(texts.iter().map(|text| ((*text).to_owned(), (*text).to_owned())).collect());
    };
    let Some(key) = object.key.clone() else { return Ok(found) };
    let name = object
        .name_field
        .clone()
        .filter(|name| object.field(name).is_some_and(|field| !field.is_computed && !field.is_masked));
    let mut titled: HashMap<String, Option<String>> = HashMap::new();
    let all: Vec<&str> = texts.iter().copied().collect();
    // A title is no key that is a number, and is not compared with one.
    let has_numbers = object.field(&key).is_some_and(|field| field.form == JsonForm::Number);
    let is_key = |text: &&&str| !has_numbers || number(text).is_some();
    for chunk in all.chunks(TITLES_PER_QUESTION) {
        let keys: Vec<&&str> = chunk.iter().filter(is_key).collect();
        let mut either = vec![json!({&key: {"$in": keys}})];
        either.extend(name.as_ref().map(|name| json!({name: {"$in": chunk}})));
        let mut fields = vec![key.clone()];
        fields.extend(name.clone().filter(|name| *name != key));
        let question = Question {
            object: target.to_owned(),
            fields: Some(fields),
            filter: Some(json!({"$or": either})),
            ..Question::default()
        };
        let mut rows = work.find(&question).await?;
        while let Some(printer) = rows.next().await? {
            for row in 0..printer.rows {
                let text = |column| printer.cells(column).and_then(|cells| cells.texts(row).pop());
                let Some(id) = text(0) else { continue };
                if let Some(title) = text(1) {
                    titled.entry(title).and_modify(|other| *other = None).or_insert_with(|| Some(id.clone()));
                }
                found.insert(id.clone(), id);
            }
        }
    }
    for (title, id) in titled {
        if let Some(id) = id {
            found.entry(title).or_insert(id);
        }
    }
    Ok(found)
}

/// Rows of CSV below a line of names.
///
/// # Errors
/// A text in quotes does not end, or a row has more cells than there are names.
pub(super) fn table(text: &str) -> Result<Vec<Vec<(String, Cell)>>, String> {
    let mut lines = records(text)?.into_iter();
    let names = lines.next().unwrap_or_default();
    let row = |(at, cells): (usize, Vec<String>)| {
        if cells.iter().skip(names.len()).any(|cell| !cell.is_empty()) {
            let (count, known) = (cells.len(), names.len());
            return Err(format!("CSV row {} has {count} cells, and the first line names {known}", at + 1));
        }
        Ok(names.iter().cloned().zip(cells.into_iter().map(Cell::Text)).collect())
    };
    lines.enumerate().map(row).collect()
}

/// Records of CSV (RFC 4180); a line without anything is none.
///
/// # Errors
/// A text in quotes does not end.
fn records(text: &str) -> Result<Vec<Vec<String>>, String> {
    let (mut records, mut record, mut cell, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut signs = text.strip_prefix('\u{feff}').unwrap_or(text).chars().peekable();
    while let Some(sign) = signs.next() {
        match sign {
            '"' if quoted && signs.peek() == Some(&'"') => {
                signs.next();
                cell.push('"');
            }
            '"' if quoted => quoted = false,
            '"' if cell.is_empty() => quoted = true,
            ',' if !quoted => record.push(std::mem::take(&mut cell)),
            '\r' if !quoted && signs.peek() == Some(&'\n') => {}
            '\n' if !quoted => {
                record.push(std::mem::take(&mut cell));
                records.push(std::mem::take(&mut record));
            }
            _ => cell.push(sign),
        }
    }
    if quoted {
        return Err("CSV ends within a text in quotes".to_owned());
    }
    if !cell.is_empty() || !record.is_empty() {
        record.push(cell);
        records.push(record);
    }
    records.retain(|record: &Vec<String>| record.iter().any(|cell| !cell.is_empty()));
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_thousands_apart_where_each_has_three_digits() {
        for text in ["1,000", "12,345", "1,234,567.5", "-1,000.25"] {
            assert!(is_grouped(text), "{text}");
        }
        for text in ["1000", "3,14", "1,00,000", "1,0000", ",000", "1,000.", "0,100", "1.000,5", "1,000,"] {
            assert!(!is_grouped(text), "{text}");
        }
    }

    #[test]
    fn cells_of_numbers_keep_their_digits() {
        for (text, expected) in [
            ("1234567890123456.78", json!("1234567890123456.78")),
            ("9007199254740993", json!(9_007_199_254_740_993_i64)),
            ("0.10", json!(0.1)),
        ] {
            assert_eq!(number(text), Some(expected), "{text}");
        }
        assert_eq!([number("five"), number("\"5\""), number("1e400")], [None, None, None]);
    }

    #[test]
    fn days_are_read_as_spreadsheets_write_them() {
        for (text, expected) in [
            ("2026/07/15", "2026-07-15"),
            ("2026/7/5", "2026-07-05"),
            ("2026-7-5", "2026-07-05"),
            ("2026/07/15 10:00", "2026-07-15 10:00"),
            ("2026-07-15T10:00:00Z", "2026-07-15T10:00:00Z"),
            ("07/15/2026", "07/15/2026"),
            ("2026/07", "2026/07"),
            ("45000", "45000"),
        ] {
            assert_eq!(calendar_text(text), expected);
        }
    }

    #[test]
    fn csv_is_read_with_quotes_and_both_ends_of_lines() {
        let rows = table("\u{feff}a,b\r\n\"x, \"\"y\"\"\",\n\n1,\"two\nlines\"").unwrap();
        let cell = |text: &str| Cell::Text(text.to_owned());
        let names = |one: Cell, two: Cell| vec![("a".to_owned(), one), ("b".to_owned(), two)];
        assert_eq!(rows, [names(cell("x, \"y\""), cell("")), names(cell("1"), cell("two\nlines"))]);
        assert_eq!(table("").unwrap(), Vec::<Vec<_>>::new());
        assert_eq!(table("a,b\n1\n1,2,\n").unwrap().len(), 2, "what is absent or empty is nothing");
        assert_eq!(table("a,b\n1,2\n1,000,3\n").unwrap_err(), "CSV row 2 has 3 cells, and the first line names 2");
        assert_eq!(table("a,b\n1,\"2\n3,4\n").unwrap_err(), "CSV ends within a text in quotes");
    }
}
