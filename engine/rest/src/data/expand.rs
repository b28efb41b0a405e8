//! Expanded references: the ids of a batch are looked up at once, with the reader's own rights. Knows no route.

use super::ask::Expand;
use crate::code::Code;
use crate::refusal::Refusal;
use crate::values::Printer;
use crate::work::Work;
use futures::FutureExt;
use futures::future::BoxFuture;
use querygate_query_api::requests::question::{ObjectDescription, Question};
use querygate_types::vendor::VendorCode;
use serde_json::json;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Ids that one question asks for.
const IDS_PER_QUESTION: usize = 1_000;

/// Types of fields that can be expanded.
const REFERENCES: [&str; 4] = ["lookup", "master_detail", "user", "tree"];

/// Related records by id, printed.
type Related = HashMap<String, String>;

/// Related records of some batches: one map for each column that is expanded. Columns that point at records of one object in one
/// way share theirs.
#[derive(Debug, Default)]
pub(crate) struct Expansions(HashMap<usize, Arc<Related>>);

/// Columns whose related records are looked up together.
struct Together<'a> {
    target: String,
    expand: &'a Expand,
    columns: Vec<usize>,
    ids: BTreeSet<String>,
}

/// Every name in the tree's first level is a reference that the reader sees.
///
/// # Errors
/// One is not.
pub(crate) fn check_names(object: &ObjectDescription, expand: &[Expand]) -> Result<(), Refusal> {
    for one in expand {
        let refused = |why: String| Refusal::new(VendorCode::InvalidField, why).with("field", one.field.as_str());
        match object.field(&one.field) {
            Some(field) if REFERENCES.contains(&field.type_name) => {}
            Some(_) => {
                return Err(refused(format!(
                    "Field '{}' on object '{}' is not a relationship: only lookup / master_detail / user / tree fields \
                     can be expanded.",
                    one.field, object.name
                )));
            }
            None => return Err(refused(format!("Unknown field '{}' on object '{}'.", one.field, object.name))),
        }
    }
    Ok(())
}

impl Expansions {
    /// Looks up what the references of batches of one answer point at: each level of references is asked for once.
    pub(crate) fn of<'a>(
        work: &'a Work,
        printers: &'a [Printer],
        expand: &'a [Expand],
    ) -> BoxFuture<'a, Result<Self, Refusal>> {
        async move {
            let mut found = HashMap::new();
            for Together { target, expand, columns, ids } in together(printers, expand) {
                let ids: Vec<String> = ids.into_iter().collect();
                let related = Arc::new(related(work, &target, &ids, expand).await?);
                found.extend(columns.into_iter().map(|column| (column, Arc::clone(&related))));
            }
            Ok(Self(found))
        }
        .boxed()
    }

    /// Bytes of the printed records.
    pub(crate) fn bytes(&self) -> usize {
        self.0.values().flat_map(|related| related.iter()).map(|(id, record)| id.len() + record.len() + 64).sum()
    }

    /// Prints the related record in place of the id; `false`: the column is not expanded.
    pub(crate) fn print(&self, printer: &Printer, column: usize, row: usize, out: &mut String) -> bool {
        let (Some(related), Some(cells)) = (self.0.get(&column), printer.cells(column)) else { return false };
        let one = |id: &String, out: &mut String| match related.get(id) {
            Some(record) => out.push_str(record),
            None => querygate_types::json::print::quoted(id, out),
        };
        let ids = cells.texts(row);
        if cells.is_list() && !ids.is_empty() {
            out.push('[');
            for (at, id) in ids.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                one(id, out);
            }
            out.push(']');
            return true;
        }
        match ids.first().and_then(|id| related.get(id)) {
            Some(record) => {
                out.push_str(record);
                true
            }
            // The key stays as it is, a text or a number.
            None => false,
        }
    }
}

fn together<'a>(printers: &[Printer], expand: &'a [Expand]) -> Vec<Together<'a>> {
    let Some(first) = printers.first() else { return Vec::new() };
    let mut all: Vec<Together<'a>> = Vec::new();
    for one in expand {
        // One that is not among the fields that were asked for is passed over.
        let places = first.columns.iter().enumerate().filter(|(_, column)| column.name == one.field);
        for (column, described) in places.take(1) {
            let Some(target) = described.field.as_ref().and_then(|field| field.references.clone()) else { continue };
            let cells = printers.iter().filter_map(|printer| Some((printer.cells(column)?, printer.rows)));
            let ids = cells.flat_map(|(cells, rows)| (0..rows).flat_map(|row| cells.texts(row)));
            let ids: BTreeSet<String> = ids.collect();
            let same = |known: &&mut Together<'_>| {
                let Expand { field: _, fields, filter, inner } = known.expand;
                known.target == target && (fields, filter, inner) == (&one.fields, &one.filter, &one.inner)
            };
            match all.iter_mut().find(same) {
                Some(known) => {
                    known.columns.push(column);
                    known.ids.extend(ids);
                }
                None => all.push(Together { target, expand: one, columns: vec![column], ids }),
            }
        }
    }
    all
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

async fn related(work: &Work, target: &str, ids: &[String], expand: &Expand) -> Result<Related, Refusal> {
    let mut found = Related::new();
    if ids.is_empty() {
        return Ok(found);
    }
    let object = match work.session().object(target).await.map_err(Refusal::from) {
        Ok(object) => object,
        Err(refusal) if hides(&refusal) => return Ok(found),
        Err(refusal) => return Err(refusal),
    };
    let Some(key) = object.key.clone() else { return Ok(found) };
    check_names(&object, &expand.inner)?;
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
    let mut printers = Vec::new();
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
            found.insert(id, record);
        }
    }
    Ok(found)
}
