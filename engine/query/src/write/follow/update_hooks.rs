//! Hooks of rows that are updated because of a change of others: of dependents that lose a reference, of masters whose roll-ups move.

use super::RelatedTable;
use crate::write::hooks::{HookRow, Hooks, MadeRow, shown};
use crate::write::target::Targeted;
use crate::write::unique::{is_unique, unkept};
use crate::write::values::rows::Row;
use arrow::array::RecordBatch;
use querygate_driver_api::execution::ExecuteContext;
use querygate_driver_api::write::Transaction;
use querygate_metadata::model::{HookEvent, StrictRule};
use querygate_policy::write::{WriteOperation, events_of};
use querygate_types::Result;

/// Rows that were updated.
pub(super) struct UpdatedRows<'a> {
    pub(super) made: Vec<MadeRow>,
    pub(super) before: &'a [Row],
    pub(super) after: &'a [Row],
}

/// With whose rights rows are updated, which hooks inherit.
#[derive(Debug, Clone, Copy)]
pub(super) enum UpdatedBy {
    /// Those of the principal of the change.
    Principal,
    Platform,
}

impl UpdatedBy {
    fn hooks<'a>(self, targeted: &'a Targeted, of: &'a RelatedTable, event: HookEvent) -> Option<Hooks<'a>> {
        let hooks = Hooks::following(targeted, &of.object.name, event)?;
        Some(match self {
            Self::Principal => hooks,
            Self::Platform => hooks.of_platform(),
        })
    }
}

/// What hooks before an update make of its values.
///
/// # Errors
/// P0001, 38000: a hook refuses it, or fails. 0A000: it sets what is not set here.
pub(super) async fn prepare_update(
    targeted: &Targeted,
    (of, by): (&RelatedTable, UpdatedBy),
    (before, payloads): (&[Row], &[Row]),
    transaction: &mut Transaction,
    context: &ExecuteContext,
) -> Result<Vec<MadeRow>> {
    let (event, _) = events_of(WriteOperation::Update);
    let Some(hooks) = by.hooks(targeted, of, event) else {
        return Ok(payloads.iter().cloned().map(MadeRow::from).collect());
    };
    let seen: Vec<Row> = payloads.iter().map(|payload| shown(&of.object, payload.clone())).collect();
    let row = |(input, before): (&Row, &Row)| HookRow {
        input: input.clone(),
        previous: Some(shown(&of.object, before.clone())),
        submitted: of.rules.follows(StrictRule::HookImage).then(|| input.clone()),
        ..HookRow::default()
    };
    let left = hooks.run(seen.iter().zip(before).map(row).collect(), transaction, context).await?;
    let mut made = Vec::with_capacity(left.len());
    for (((payload, seen), left), before) in payloads.iter().zip(&seen).zip(&left).zip(before) {
        let own = MadeRow::of(payload, seen, left);
        own.refuse_unfit(&of.object, &of.table, Some(before))?;
        made.push(own);
    }
    Ok(made)
}

/// Whether no other row has what these got that the metadata wants unique: a hook may have set it, and not every source keeps it so.
pub(super) async fn are_unique(
    of: &RelatedTable,
    (before, after): (&[Row], &[Row]),
    stored: &RecordBatch,
    transaction: &mut Transaction,
    context: &ExecuteContext,
) -> Result<bool> {
    let records = after.iter().enumerate().map(|(row, record)| (record, before.get(row)));
    for (places, _) in unkept(&of.table, &of.rules, records)? {
        if !is_unique(&of.table, &places, stored, transaction, context).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Runs the hooks after an update.
///
/// # Errors
/// As of [`prepare_update`].
pub(super) async fn conclude_update(
    targeted: &Targeted,
    (of, by): (&RelatedTable, UpdatedBy),
    UpdatedRows { made, before, after }: UpdatedRows<'_>,
    transaction: &mut Transaction,
    context: &ExecuteContext,
) -> Result<()> {
    let (_, event) = events_of(WriteOperation::Update);
    let Some(hooks) = by.hooks(targeted, of, event) else { return Ok(()) };
    let rows = made.into_iter().zip(before).zip(after).map(|((made, before), after)| HookRow {
        input: made.payload,
        previous: Some(shown(&of.object, before.clone())),
        result: Some(shown(&of.object, after.clone())),
        ..HookRow::default()
    });
    hooks.conclude(rows.collect(), transaction, context).await
}
