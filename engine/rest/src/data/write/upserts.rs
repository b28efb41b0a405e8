//! Records of a batch that are to be there or to be made: which of them are there for their writer.

use crate::refusal::Refusal;
use crate::work::Work;
use querygate_query_api::requests::question::Question;
use querygate_query_api::requests::record_change::{RecordAction, RecordChange};
use std::collections::BTreeSet;

/// Has those upserts update their record whose record the writer reads; of the others, the change itself finds out whether there is one that the
/// writer may change without reading it. Without a right to read, and of objects whose records have no key of one field, all stay as they are.
///
/// # Errors
/// The records cannot be asked for.
pub(super) async fn update_seen(work: &Work, object: &str, changes: &mut [RecordChange]) -> Result<(), Refusal> {
    let named = |change: &RecordChange| match &change.action {
        RecordAction::Upsert { id, .. } => Some(id.clone()),
        RecordAction::Create { .. } | RecordAction::Update { .. } | RecordAction::Delete { .. } => None,
    };
    let ids: BTreeSet<String> = changes.iter().filter_map(named).collect();
    let Some(key) = work.object_if_seen(object).await?.and_then(|described| described.key.clone()) else {
        return Ok(());
    };
    if ids.is_empty() {
        return Ok(());
    }
    let (fields, limit) = (Some(vec![key]), u64::try_from(ids.len()).ok());
    let keys = Some(ids.into_iter().collect());
    let question = Question { object: object.to_owned(), keys, fields, limit, ..Question::default() };
    let (mut there, mut found) = (BTreeSet::new(), work.find(&question).await?);
    while let Some(printer) = found.next().await? {
        for row in 0..printer.rows {
            there.extend(printer.cells(0).and_then(|cells| cells.texts(row).pop()));
        }
    }
    for change in changes {
        if let RecordAction::Upsert { id, values } = &mut change.action
            && there.contains(id)
        {
            let (id, values) = (std::mem::take(id), std::mem::take(values));
            change.action = RecordAction::Update { id, values, expected_version: None };
        }
    }
    Ok(())
}
