//! `GET /data/:object/export`: records as CSV or JSON for people, with labels and titles in place of values and ids.

use super::list::opens;
use super::record::{once, refuse_unknown};
use crate::answer::{Pieces, of_pieces};
use crate::call::{Call, Named, Parameters};
use crate::code::Code;
use crate::data::question::{Numbers, filter_of, order_of};
use crate::refusal::{Envelope, Refusal};
use crate::site::{Shared, Site};
use crate::values::{Cells, Printer};
use crate::work::{Found, Work};
use arrow::array::Array as _;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;
use chrono::{DateTime, Utc};
use querygate_query_api::requests::question::{
    AnswerColumn, FieldDescription, JsonForm, ObjectDescription, OrderKey, Question,
};
use querygate_types::Error;
use querygate_types::json::print::quoted;
use querygate_types::json::value::{exact, value};
use serde_json::{Map, Value, json};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Rows of one file where no number is given, and at most.
const ROWS: u64 = 10_000;
const ROWS_MAX: u64 = 50_000;
/// Bytes that one piece aims at.
const PIECE_BYTES: usize = 32 << 10;
const PARAMETERS: [&str; 10] =
    ["fields", "filter", "format", "header", "limit", "locale", "orderby", "page", "search", "searchFields"];
/// Columns that the platform fills, as people read them: before the object's own.
const FILLED: [&str; 7] =
    ["organization_id", "created_at", "created_by", "updated_at", "updated_by", "owner_id", "owning_business_unit_id"];

pub(crate) async fn export(State(site): Shared, Named(object): Named<String>, call: Call) -> Response {
    let answer = async {
        let work = site.work(&call).await?;
        let described = exportable(&work, &object).await?;
        opens(&described, "list")?;
        let parameters = call.parameters()?;
        refuse_unknown(&parameters, &PARAMETERS)?;
        refuse_repeated(&parameters)?;
        let words = Words(site.bundle(&call, &object).unwrap_or_default());
        let order = site.order_of_fields(&call, &object)?;
        let file = File::of(&described, &order, &parameters, site.numbers())?;
        let (content_type, format) = match file.format {
            Format::Csv => ("text/csv; charset=utf-8", "csv"),
            Format::Json => ("application/json; charset=utf-8", "json"),
        };
        let file_name = file_name(&described, words.of_object().unwrap_or(&described.label), format);
        let limit = file.question.limit.unwrap_or(ROWS_MAX);
        // The file has its name before its records are asked for: a refusal of those comes with it, too.
        let mut answer =
            of_records(work, file, words, content_type).await.unwrap_or_else(|refusal| told(refusal, &object));
        let headers = answer.headers_mut();
        headers.insert(HeaderName::from_static("x-export-format"), HeaderValue::from_static(format));
        headers.insert(HeaderName::from_static("x-export-limit"), HeaderValue::from(limit));
        if let Ok(name) = HeaderValue::from_str(&file_name) {
            headers.insert(header::CONTENT_DISPOSITION, name);
        }
        Ok(answer)
    };
    answer.await.unwrap_or_else(|refusal: Refusal| told(refusal, &object))
}

async fn of_records(work: Work, file: File, words: Words, content_type: &'static str) -> Result<Response, Refusal> {
    let found = work.find(&file.question).await?;
    of_pieces(content_type, Rows { work, file, words, found, begun: false, ended: false, printed: 0 }).await
}

fn told(refusal: Refusal, object: &str) -> Response {
    let is_of_request = refusal.code() == Code::InvalidRequest;
    let refusal = if is_of_request { refusal } else { refusal.about(object) };
    refusal.into_answer(Envelope::Flat)
}

impl Site {
    /// Names of an object's fields as its metadata has them.
    fn order_of_fields(&self, call: &Call, object: &str) -> Result<Vec<String>, Refusal> {
        let item = self.platform.item(&self.identify(call)?.principal, "object", object);
        let fields = item.as_ref().and_then(|item| item.get("fields")).and_then(Value::as_object);
        Ok(fields.into_iter().flat_map(Map::keys).cloned().collect())
    }
}

/// Labels of an object in the language of who reads the file.
struct Words(Value);

impl Words {
    fn of_object(&self) -> Option<&str> {
        self.0.get("label")?.as_str()
    }

    fn of_field(&self, name: &str) -> Option<&str> {
        self.0.get("fields")?.get(name)?.get("label")?.as_str()
    }

    fn of_option(&self, field: &str, value: &str) -> Option<&String> {
        match self.0.get("fields")?.get(field)?.get("options")?.get(value)? {
            Value::String(label) => Some(label),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
        }
    }
}

/// A name with the second of the export, and the object's label for those who read more than ASCII.
fn file_name(object: &ObjectDescription, label: &str, format: &str) -> String {
    let stamp = Utc::now().format("%Y%m%d-%H%M%S");
    let label: String = form_urlencoded::byte_serialize(label.as_bytes()).collect::<String>().replace('+', "%20");
    format!("attachment; filename=\"{}-{stamp}.{format}\"; filename*=UTF-8''{label}-{stamp}.{format}", object.name)
}

/// The columns of a file: those that the platform fills, then the object's own as its metadata has them, without the key.
fn columns(object: &ObjectDescription, order: &[String]) -> Vec<(String, Option<Arc<FieldDescription>>)> {
    let place = |field: &FieldDescription| {
        let filled = FILLED.iter().position(|name| *name == field.name);
        let own = order.iter().position(|name| *name == field.name);
        own.or(filled).unwrap_or(usize::MAX)
    };
    let mut fields: Vec<&Arc<FieldDescription>> =
        object.fields.iter().filter(|field| Some(&field.name) != object.key.as_ref()).collect();
    fields.sort_by_key(|field| place(field));
    fields.into_iter().map(|field| (field.name.clone(), Some(Arc::clone(field)))).collect()
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
    PARAMETERS.iter().try_for_each(|name| once(parameters, name).map(|_| ()))
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
    /// `order`: names of the object's fields as its metadata has them.
    fn of(
        object: &ObjectDescription,
        order: &[String],
        parameters: &Parameters,
        numbers: Numbers,
    ) -> Result<Self, Refusal> {
        let one = |name: &'static str| parameters.one(name);
        let format = if one("format")? == Some("json") { Format::Json } else { Format::Csv };
        let number = |name| Ok::<_, Refusal>(one(name)?.map(|text| numbers.whole(name, text)).transpose()?.flatten());
        let limit = number("limit")?.unwrap_or(ROWS).clamp(1, ROWS_MAX);
        let page = number("page")?.unwrap_or(1).max(1);
        let filter = match one("filter")?.filter(|text| !text.trim().is_empty()) {
            None => None,
            Some(text) => {
                let value = exact(text).map_err(|_| Refusal::new(Code::InvalidRequest, "filter must be JSON"))?;
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
            None => columns(object, order),
        };
        let question = Question {
            object: object.name.clone(),
            filter,
            order: order_keys(one("orderby")?)?,
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
fn order_keys(text: Option<&str>) -> Result<Vec<OrderKey>, Refusal> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(Vec::new()) };
    if !text.starts_with(['[', '{']) {
        return order_of(&[&text.replace(':', " ")], "orderby");
    }
    let wrong = || Refusal::new(Code::InvalidRequest, "orderby must be JSON");
    let value: Value = value(text).map_err(|_| wrong())?;
    let keys = match value {
        Value::Array(keys) => keys,
        // `{field: direction}`, as the client sends it.
        Value::Object(keys) if !keys.contains_key("field") => {
            keys.into_iter().map(|(field, order)| json!({"field": field, "order": order})).collect()
        }
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
    words: Words,
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
                            let text = dressed(&printer, (&titles, &self.words), column, row)?;
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
                let labels = labels.map(|(name, field)| match field {
                    Some(field) => self.words.of_field(name).unwrap_or(&field.label),
                    None => name,
                });
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
            cells.push(match dressed(printer, (titles, &self.words), column, row)? {
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
fn dressed(
    printer: &Printer,
    (titles, words): (&Titles, &Words),
    column: usize,
    row: usize,
) -> Result<Option<String>, Error> {
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
    if let Cells::Boolean(flags) = values
        && described.form == JsonForm::Boolean
        && flags.is_valid(row)
    {
        // The vendor's signs, whatever the language.
        return Ok(Some(if flags.value(row) { "是" } else { "否" }.to_owned()));
    }
    let texts = values.texts(row);
    let is_texts = described.field.as_ref().is_some_and(|field| field.type_name != "vector");
    if let (Cells::List(lists, _), true) = (values, is_texts)
        && lists.is_valid(row)
    {
        let joined = || texts.join(", ");
        return Ok(Some(named(described, words, titles.get(&column), &texts).unwrap_or_else(joined)));
    }
    Ok(named(described, words, titles.get(&column), &texts))
}

/// Labels of options, or titles of related records, in place of these texts.
fn named(
    column: &AnswerColumn,
    words: &Words,
    titles: Option<&HashMap<String, String>>,
    texts: &[String],
) -> Option<String> {
    let field = column.field.as_ref().filter(|_| !texts.is_empty())?;
    let shown = |text: &String| -> String {
        let own = field.options.iter().find(|(value, _)| value == text).map(|(_, label)| label);
        let label = own.map(|own| words.of_option(&field.name, text).unwrap_or(own));
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
            order_keys(Some(text))
                .map(|keys| keys.into_iter().map(|key| (key.field, key.descending)).collect::<Vec<_>>())
        };
        assert_eq!(read("name:desc").unwrap(), [("name".to_owned(), true)]);
        assert_eq!(read("name").unwrap(), [("name".to_owned(), false)]);
        assert_eq!(read(r#"[{"field":"a","order":"desc"},{"field":"b"}]"#).unwrap().len(), 2);
        assert_eq!(read(r#"{"name":"desc"}"#).unwrap(), [("name".to_owned(), true)]);
        assert!(read("{").is_err() && read("[1]").is_err());
    }
}
