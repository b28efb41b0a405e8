//! Expanded references: the ids of a batch are looked up at once, with the reader's own rights. Knows no route.

use crate::code::Code;
use crate::data::own;
use crate::data::question::Expand;
use crate::refusal::Refusal;
use crate::values::Printer;
use crate::work::{Held, Work};
use futures::FutureExt;
use futures::future::BoxFuture;
use querygate_query_api::requests::platform::OwnRecords;
use querygate_query_api::requests::question::{ObjectDescription, Question};
use querygate_types::vendor::VendorCode;
use querygate_types::{Error, ErrorCode};
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Ids that one question asks for.
const IDS_PER_QUESTION: usize = 1_000;

/// Bytes of a record with the related records that its lists of references print.
const RELATED_BYTES_MAX: usize = 16 << 20;

/// Bytes of an entry beside its texts.
const ENTRY_BYTES: usize = 64;

/// Types of fields that can be expanded.
const REFERENCES: [&str; 4] = ["lookup", "master_detail", "user", "tree"];

/// Related records by id, printed.
type Related = HashMap<String, String>;

/// Related records of some batches: one map for each field that is expanded. Fields that point at records of one object in one way
/// share theirs.
pub(crate) struct Expansions {
    by_field: Vec<(String, Arc<Related>)>,
    /// The records' bytes and those of their ids, as long as they are kept.
    _held: Held,
}

/// Fields whose related records are looked up together.
struct Together<'a> {
    target: String,
    expand: &'a Expand,
    fields: Vec<&'a str>,
    ids: BTreeSet<String>,
}

/// Every name in the tree's first level is a reference, or a field that the reader does not see, which is left out.
///
/// # Errors
/// One is neither.
pub(crate) async fn check_names(work: &Work, object: &ObjectDescription, expand: &[Expand]) -> Result<(), Refusal> {
    for one in expand {
        let refused = |why: String| Refusal::new(VendorCode::InvalidField, why).with("field", one.field.as_str());
        match object.field(&one.field) {
            Some(field) if REFERENCES.contains(&field.type_name) => {}
            Some(_) => {
                return Err(refused(format!(
                    "Field '{}' on object '{}' is not a relationship. 'expand' resolves a reference field into the related \
                     record, so only lookup / master_detail / user / tree fields can be expanded.",
                    one.field, object.name
                )));
            }
            None if is_hidden(work, object, &one.field).await? => {}
            None => {
                return Err(refused(format!(
                    "Unknown field '{}' on object '{}'. 'expand' resolves a reference field into the related record, so a \
                     name the object does not declare can never be expanded.",
                    one.field, object.name
                )));
            }
        }
    }
    Ok(())
}

/// Whether a name that the reader does not see is a field all the same: to ask for one is no fault.
async fn is_hidden(work: &Work, object: &ObjectDescription, name: &str) -> Result<bool, Refusal> {
    let question = Question { object: object.name.clone(), fields: Some(vec![name.to_owned()]), ..Question::default() };
    match work.check(&question).await {
        Ok(()) => Ok(true),
        Err(refusal) if refusal.code() == Code::Vendor(VendorCode::InvalidField) => Ok(false),
        Err(refusal) => Err(refusal),
    }
}

impl Expansions {
    /// Looks up what the references of batches of one answer point at: each level of references is asked for once.
    pub(crate) fn of<'a>(
        work: &'a Work,
        printers: &'a [Printer],
        expand: &'a [Expand],
    ) -> BoxFuture<'a, Result<Self, Refusal>> {
        async move {
            let (mut by_field, mut held) = (Vec::new(), work.held());
            for Together { target, expand, fields, ids } in together(printers, expand, &mut held)? {
                let ids: Vec<String> = ids.into_iter().collect();
                let related = Arc::new(related(work, &target, &ids, expand, &mut held).await?);
                by_field.extend(fields.into_iter().map(|field| (field.to_owned(), Arc::clone(&related))));
            }
            Ok(Self { by_field, _held: held })
        }
        .boxed()
    }

    /// Prints the related record in place of the id; `false`: the column is not expanded.
    ///
    /// # Errors
    /// 54000: the related records of this row are too large together.
    pub(crate) fn print(&self, printer: &Printer, column: usize, row: usize, out: &mut String) -> Result<bool, Error> {
        let field = printer.columns.get(column).map(|column| &column.name);
        let related = self.by_field.iter().find_map(|(own, related)| (Some(own) == field).then_some(related));
        let (Some(related), Some(cells)) = (related, printer.cells(column)) else { return Ok(false) };
        let one = |id: &String, out: &mut String| match related.get(id) {
            Some(record) => out.push_str(record),
            None => querygate_types::json::print::quoted(id, out),
        };
        let ids = cells.texts(row);
        // A list names a record as often as it likes, and each of its records has lists of its own.
        let bytes = ids.iter().filter_map(|id| related.get(id)).map(String::len).fold(0, usize::saturating_add);
        if ids.len() > 1 && out.len().saturating_add(bytes) > RELATED_BYTES_MAX {
            return Err(Error::new(
                ErrorCode::ProgramLimitExceeded,
                "the expanded references of a record are too large",
            )
            .with_detail(format!("The limit is {RELATED_BYTES_MAX} bytes."))
            .with_hint("Expand fewer levels, or name the fields that are wanted."));
        }
        if cells.is_list() && !ids.is_empty() {
            out.push('[');
            for (at, id) in ids.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                one(id, out);
            }
            out.push(']');
            return Ok(true);
        }
        Ok(match ids.first().and_then(|id| related.get(id)) {
            Some(record) => {
                out.push_str(record);
                true
            }
            // The key stays as it is, a text or a number.
            None => false,
        })
    }
}

/// What is looked up for batches. Their columns may stand in other places in each: metadata may change between two questions. The ids
/// are charged to `held`, column by column.
///
/// # Errors
/// 53200: there is no room for the ids.
fn together<'a>(printers: &[Printer], expand: &'a [Expand], held: &mut Held) -> Result<Vec<Together<'a>>, Refusal> {
    let mut all: Vec<Together<'a>> = Vec::new();
    for one in expand {
        for printer in printers {
            // One that is not among the fields that were asked for is passed over.
            let Some(column) = printer.columns.iter().position(|column| column.name == one.field) else { continue };
            let described = printer.columns.get(column).and_then(|column| column.field.as_ref());
            let Some(target) = described.and_then(|field| field.references.clone()) else { continue };
            let Some(cells) = printer.cells(column) else { continue };
            let ids: BTreeSet<String> = (0..printer.rows).flat_map(|row| cells.texts(row)).collect();
            held.grow(ids.iter().map(|id| id.len() + ENTRY_BYTES).sum())?;
            let same = |known: &&mut Together<'_>| {
                let Expand { field: _, fields, filter, inner } = known.expand;
                known.target == target && (fields, filter, inner) == (&one.fields, &one.filter, &one.inner)
            };
            match all.iter_mut().find(same) {
                Some(known) => {
                    if !known.fields.contains(&one.field.as_str()) {
                        known.fields.push(&one.field);
                    }
                    known.ids.extend(ids);
                }
                None => all.push(Together { target, expand: one, fields: vec![&one.field], ids }),
            }
        }
    }
    Ok(all)
}

/// Whether a refusal says that the reader does not see the related records: then ids stay.
fn hides(refusal: &Refusal) -> bool {
    matches!(
        refusal.code(),
        Code::Vendor(
            VendorCode::ObjectNotFound
                | VendorCode::ObjectApiDisabled
                | VendorCode::PermissionDenied
                | VendorCode::Forbidden
        )
    )
}

/// Records of one of ObjectStack's own objects by their ids; none of another object. Which of them a filter of the request wants is not
/// known: the ids stay.
fn own_related(
    work: &Work,
    target: &str,
    ids: &[String],
    expand: &Expand,
    kept: &mut Held,
) -> Result<Related, Refusal> {
    let mut found = Related::new();
    if expand.filter.is_some() || !work.keeps_own(target) {
        return Ok(found);
    }
    let wanted: BTreeSet<&str> = ids.iter().map(String::as_str).collect();
    let (OwnRecords { records, .. }, _held) = work.own_records(target, Some(&wanted))?;
    work.session().record_platform_read(target, records.len() as u64)?;
    for record in records {
        let Some(id) = record.get("id").and_then(Value::as_str).map(str::to_owned) else { continue };
        let record = Value::Object(own::part(record, expand.fields.as_deref())).to_string();
        kept.grow(id.len() + record.len() + ENTRY_BYTES)?;
        found.insert(id, record);
    }
    Ok(found)
}

/// Records of an object by their ids. What they take when they are printed is charged to `kept`.
async fn related(
    work: &Work,
    target: &str,
    ids: &[String],
    expand: &Expand,
    kept: &mut Held,
) -> Result<Related, Refusal> {
    let mut found = Related::new();
    if ids.is_empty() {
        return Ok(found);
    }
    let object = match work.session().object(target).await.map_err(Refusal::from) {
        Ok(object) => object,
        Err(refusal) if hides(&refusal) => return own_related(work, target, ids, expand, kept),
        Err(refusal) => return Err(refusal),
    };
    let Some(key) = object.key.clone() else { return Ok(found) };
    check_names(work, &object, &expand.inner).await?;
    // Names that the related object has not are passed over, as the vendor does.
    let wanted = expand
        .fields
        .as_ref()
        .map(|names| names.iter().filter(|name| object.field(name).is_some()).cloned().collect::<Vec<_>>());
    let adds_key = wanted.as_ref().is_some_and(|names| !names.contains(&key));
    let fields = wanted.map(|mut names| {
        if adds_key {
            names.push(key.clone());
        }
        names
    });
    let (mut printers, mut held) = (Vec::new(), work.held());
    for chunk in ids.chunks(IDS_PER_QUESTION) {
        let mut filter = json!({&key: {"$in": chunk}});
        if let Some(own) = &expand.filter {
            filter = json!({"$and": [filter, own]});
        }
        let question =
            Question { object: target.to_owned(), fields: fields.clone(), filter: Some(filter), ..Question::default() };
        let mut rows = match work.find(&question).await {
            Ok(rows) => rows,
            Err(refusal) if hides(&refusal) => return Ok(found),
            Err(refusal) => return Err(refusal),
        };
        while let Some(printer) = rows.next().await? {
            held.grow(printer.bytes)?;
            printers.push(printer);
        }
    }
    let inner = Expansions::of(work, &printers, &expand.inner).await?;
    for printer in &printers {
        let Some(at) = printer.columns.iter().position(|column| column.name == key) else { continue };
        for row in 0..printer.rows {
            let Some(id) = printer.cells(at).and_then(|cells| cells.texts(row).pop()) else { continue };
            let mut record = String::new();
            let instead = |column, row, out: &mut String| inner.print(printer, column, row, out);
            printer.print(row, &mut record, instead, |column| adds_key && column == at)?;
            kept.grow(id.len() + record.len() + ENTRY_BYTES)?;
            found.insert(id, record);
        }
    }
    Ok(found)
}
