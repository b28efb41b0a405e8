//! `GET /data/:object/export`: records as CSV or JSON for people, with labels and titles in place of values and ids.

use super::list::opens;
use super::record::refuse_unknown;
use crate::answer::{JSON, Pieces, of_pieces};
use crate::call::{Call, Named, Parameters};
use crate::code::Code;
use crate::data::question::{filter_of, order_of};
use crate::refusal::{Envelope, Refusal};
use crate::site::Shared;
use crate::values::{Cells, Printer};
use crate::work::{Found, Work};
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;
use chrono::DateTime;
use querygate_query_api::requests::question::{
    AnswerColumn, FieldDescription, JsonForm, ObjectDescription, OrderKey, Question,
};
use querygate_types::Error;
use querygate_types::json::print::quoted;
use querygate_types::json::value::value;
use querygate_types::vendor::VendorCode;
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Rows of one file where no number is given, and at most.
const ROWS: u64 = 10_000;
const ROWS_MAX: u64 = 50_000;
/// Bytes that one piece aims at.
const PIECE_BYTES: usize = 32 << 10;
const PARAMETERS: [&str; 9] =
    ["fields", "filter", "format", "header", "limit", "orderby", "page", "search", "searchFields"];

pub(crate) async fn export(State(site): Shared, Named(object): Named<String>, call: Call) -> Response {
    let answer = async {
        let work = site.work(&call).await?;
        let described = exportable(&work, &object).await?;
        opens(&described, "list")?;
        let parameters = call.parameters()?;
        refuse_unknown(&parameters, &PARAMETERS)?;
        refuse_repeated(&parameters)?;
        let file = File::of(&described, &parameters)?;
        let found = work.find(&file.question).await?;
        let (content_type, format) = match file.format {
            Format::Csv => ("text/csv; charset=utf-8", "csv"),
            Format::Json => (JSON, "json"),
        };
        let limit = file.question.limit.unwrap_or(ROWS_MAX);
        let rows = Rows { work, file, found, begun: false, ended: false, printed: 0 };
        let mut answer = of_pieces(content_type, rows).await?;
        let headers = answer.headers_mut();
        headers.insert(HeaderName::from_static("x-export-format"), HeaderValue::from_static(format));
        headers.insert(HeaderName::from_static("x-export-limit"), HeaderValue::from(limit));
        if let Ok(name) = HeaderValue::from_str(&format!("attachment; filename=\"{object}.{format}\"")) {
            headers.insert(header::CONTENT_DISPOSITION, name);
        }
        Ok(answer)
    };
    answer.await.unwrap_or_else(|refusal: Refusal| refusal.about(&object).into_answer(Envelope::Flat))
}

/// The object, where the reader may take its records away. One that the reader does not see is as one that is not to be taken away.
async fn exportable(work: &Work, object: &str) -> Result<Arc<ObjectDescription>, Refusal> {
    let seen = work.object_if_seen(object).await?.filter(|described| described.may_export);
    seen.ok_or_else(|| {
        let message = format!("Export is not permitted on object '{object}' for this user");
        Refusal::new(Code::ExportNotPermitted, message)
    })
}

fn refuse_repeated(parameters: &Parameters) -> Result<(), Refusal> {
    for name in PARAMETERS {
        parameters
            .one(name)
            .map_err(|refusal| Refusal::new(VendorCode::ValidationError, refusal.message()).within(Envelope::Nested))?;
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Csv,
    Json,
}

/// What is written, and how.
struct File {
    format: Format,
    header: bool,
    question: Question,
    /// The columns of a CSV file; a name that the object has not is an empty column.
    columns: Vec<(String, Option<Arc<FieldDescription>>)>,
}

impl File {
    fn of(object: &ObjectDescription, parameters: &Parameters) -> Result<Self, Refusal> {
        let one = |name: &'static str| parameters.one(name);
        let format = if one("format")? == Some("json") { Format::Json } else { Format::Csv };
        let number = |name| Ok::<_, Refusal>(one(name)?.and_then(|text| text.trim().parse::<u64>().ok()));
        let limit = number("limit")?.unwrap_or(ROWS).clamp(1, ROWS_MAX);
        let page = number("page")?.unwrap_or(1).max(1);
        let filter = match one("filter")?.filter(|text| !text.trim().is_empty()) {
            None => None,
            Some(text) => {
                let value = value(text);
                let value = value.map_err(|_| Refusal::new(Code::InvalidRequest, "filter must be JSON"))?;
                Some(filter_of(value, "filter")?)
            }
        };
        let names = |name| {
            Ok::<_, Refusal>(
                one(name)?.map(|text| text.split(',').map(|name| name.trim().to_owned()).collect::<Vec<_>>()),
            )
        };
        let wanted = names("fields")?;
        let columns = match &wanted {
            Some(names) => names.iter().map(|name| (name.clone(), object.field(name).cloned())).collect(),
            None => {
                let without_key = object.fields.iter().filter(|field| Some(&field.name) != object.key.as_ref());
                without_key.map(|field| (field.name.clone(), Some(Arc::clone(field)))).collect()
            }
        };
        let question = Question {
            object: object.name.clone(),
            filter,
            order: order(one("orderby")?)?,
            limit: Some(limit),
            offset: Some((page - 1).saturating_mul(limit)).filter(|offset| *offset > 0),
            search: one("search")?.map(str::to_owned).filter(|text| !text.trim().is_empty()),
            search_fields: names("searchFields")?,
            ..Question::default()
        };
        Ok(Self { format, header: one("header")? != Some("false"), question, columns })
    }
}

/// `name`, `name:desc`, `name desc`, or a list of `{field, order}`.
fn order(text: Option<&str>) -> Result<Vec<OrderKey>, Refusal> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(Vec::new()) };
    if !text.starts_with(['[', '{']) {
        return order_of(&[&text.replace(':', " ")], "orderby");
    }
    let wrong = || Refusal::new(Code::InvalidRequest, "orderby must be JSON");
    let value: Value = value(text).map_err(|_| wrong())?;
    let keys = match value {
        Value::Array(keys) => keys,
        key => vec![key],
    };
    let key = |key: &Value| {
        let field = key.get("field").and_then(Value::as_str)?.to_owned();
        Some(OrderKey { field, descending: key.get("order").and_then(Value::as_str) == Some("desc") })
    };
    keys.iter().map(|one| key(one).ok_or_else(wrong)).collect()
}

/// Rows on their way out.
struct Rows {
    work: Work,
    file: File,
    found: Found,
    begun: bool,
    ended: bool,
    printed: u64,
}

impl Pieces for Rows {
    async fn next(&mut self) -> Result<Option<String>, Refusal> {
        if self.ended {
            return Ok(None);
        }
        let mut out = String::new();
        if !self.begun {
            self.begun = true;
            self.begin(&mut out);
        }
        while out.len() < PIECE_BYTES {
            let Some(printer) = self.found.next().await? else {
                self.ended = true;
                if self.file.format == Format::Json {
                    out.push(']');
                }
                break;
            };
            let titles = titles(&self.work, &printer).await?;
            for row in 0..printer.rows {
                match self.file.format {
                    Format::Csv => self.csv(&printer, &titles, row, &mut out)?,
                    Format::Json => {
                        if self.printed > 0 {
                            out.push(',');
                        }
                        let instead = |column: usize, row: usize, out: &mut String| {
                            let text = dressed(&printer, &titles, column, row)?;
                            Ok(text.is_some_and(|text| {
                                quoted(&text, out);
                                true
                            }))
                        };
                        printer.print(row, &mut out, instead, |_| false)?;
                    }
                }
                self.printed += 1;
            }
        }
        Ok(Some(out))
    }
}

impl Rows {
    fn begin(&self, out: &mut String) {
        match self.file.format {
            Format::Json => out.push('['),
            Format::Csv if self.file.header => {
                let labels = self.file.columns.iter();
                let labels =
                    labels.map(|(name, field)| field.as_ref().map_or(name.as_str(), |field| field.label.as_str()));
                line(labels.map(str::to_owned), out);
            }
            Format::Csv => {}
        }
    }

    fn csv(&self, printer: &Printer, titles: &Titles, row: usize, out: &mut String) -> Result<(), Refusal> {
        let mut cells = Vec::with_capacity(self.file.columns.len());
        for (name, _) in &self.file.columns {
            let column = printer.columns.iter().position(|column| column.name == *name);
            let Some((column, values)) = column.and_then(|at| Some((at, printer.cells(at)?))) else {
                cells.push(String::new());
                continue;
            };
            cells.push(match dressed(printer, titles, column, row)? {
                Some(text) => text,
                None => plain(values, row)?,
            });
        }
        line(cells.into_iter(), out);
        Ok(())
    }
}

/// A value as text, without quotes; nothing for null.
fn plain(values: &Cells, row: usize) -> Result<String, Refusal> {
    let mut text = String::new();
    values.print(row, &mut text)?;
    Ok(match value(&text) {
        Ok(Value::Null) => String::new(),
        Ok(Value::String(text)) => text,
        Ok(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) | Err(_) => text,
    })
}

fn line(cells: impl Iterator<Item = String>, out: &mut String) {
    for (at, cell) in cells.enumerate() {
        if at > 0 {
            out.push(',');
        }
        if cell.contains(['"', ',', '\n', '\r']) {
            out.push('"');
            out.push_str(&cell.replace('"', "\"\""));
            out.push('"');
        } else {
            out.push_str(&cell);
        }
    }
    out.push_str("\r\n");
}

/// Titles of related records: by column, by id.
type Titles = HashMap<usize, HashMap<String, String>>;

/// What people read in place of a value; `None`: the value itself.
fn dressed(printer: &Printer, titles: &Titles, column: usize, row: usize) -> Result<Option<String>, Error> {
    let (Some(described), Some(values)) = (printer.columns.get(column), printer.cells(column)) else {
        return Err(Error::internal("a file has a column without cells"));
    };
    if described.form == JsonForm::Instant {
        let mut text = String::new();
        values.print(row, &mut text)?;
        // Null, and instants beyond the calendar, stay as they are.
        let at = DateTime::parse_from_rfc3339(text.trim_matches('"')).ok();
        return Ok(at.map(|at| at.format("%Y-%m-%d %H:%M:%S").to_string()));
    }
    Ok(named(described, titles.get(&column), &values.texts(row)))
}

/// Labels of options, or titles of related records, in place of these texts.
fn named(column: &AnswerColumn, titles: Option<&HashMap<String, String>>, texts: &[String]) -> Option<String> {
    let field = column.field.as_ref().filter(|_| !texts.is_empty())?;
    let shown = |text: &String| -> String {
        let label = field.options.iter().find(|(value, _)| value == text).map(|(_, label)| label);
        let title = titles.and_then(|titles| titles.get(text));
        label.or(title).unwrap_or(text).clone()
    };
    if field.options.is_empty() && titles.is_none() {
        return None;
    }
    Some(texts.iter().map(shown).collect::<Vec<_>>().join(", "))
}

/// Looks up what references of a batch are called, as far as the reader sees it.
async fn titles(work: &Work, printer: &Printer) -> Result<Titles, Refusal> {
    let mut all = Titles::new();
    for (at, column) in printer.columns.iter().enumerate() {
        let target = column.field.as_ref().and_then(|field| field.references.as_deref());
        let (Some(target), Some(cells)) = (target, printer.cells(at)) else { continue };
        // Who does not see the related object reads ids.
        let Some(object) = work.object_if_seen(target).await? else { continue };
        let (Some(key), Some(name)) = (&object.key, &object.name_field) else { continue };
        if object.field(name).is_none() {
            continue;
        }
        let ids: BTreeSet<String> = (0..printer.rows).flat_map(|row| cells.texts(row)).collect();
        if ids.is_empty() {
            continue;
        }
        let question = Question {
            object: target.to_owned(),
            fields: Some(vec![key.clone(), name.clone()]),
            filter: Some(json!({key: {"$in": ids}})),
            ..Question::default()
        };
        let mut found = work.find(&question).await?;
        let mut titles = HashMap::new();
        while let Some(related) = found.next().await? {
            let place = |name: &str| related.columns.iter().position(|column| column.name == name);
            let (Some(key), Some(name)) = (place(key), place(name)) else { continue };
            for row in 0..related.rows {
                let (Some(keys), Some(names)) = (related.cells(key), related.cells(name)) else { continue };
                if let Some(id) = keys.texts(row).pop() {
                    titles.insert(id, plain(names, row)?);
                }
            }
        }
        all.insert(at, titles);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_where_they_must_be() {
        let mut out = String::new();
        line(["a", "b,c", "d\"e", "f\ng", ""].into_iter().map(str::to_owned), &mut out);
        assert_eq!(out, "a,\"b,c\",\"d\"\"e\",\"f\ng\",\r\n");
    }

    #[test]
    fn orders_are_read_in_each_spelling() {
        let read = |text| {
            order(Some(text)).map(|keys| keys.into_iter().map(|key| (key.field, key.descending)).collect::<Vec<_>>())
        };
        assert_eq!(read("name:desc").unwrap(), [("name".to_owned(), true)]);
        assert_eq!(read("name").unwrap(), [("name".to_owned(), false)]);
        assert_eq!(read(r#"[{"field":"a","order":"desc"},{"field":"b"}]"#).unwrap().len(), 2);
        assert!(read("{").is_err() && read("[1]").is_err());
    }
}
