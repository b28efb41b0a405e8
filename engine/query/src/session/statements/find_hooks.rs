//! Questions about records whose object has hooks of reads: these run before the question and after it, and may refuse it.

use super::prepared::PreparedStatement;
use crate::bind::statement::{Answer, Bound};
use crate::books::clock::now_ms;
use crate::session::gate_session::GateSession;
use crate::session::hook_records::answer_rows;
use crate::sql::asking::Asking;
use crate::write::hooks::{FindHooks, TimeBound};
use arrow::array::ArrayRef;
use futures::StreamExt;
use querygate_metadata::model::HookEvent;
use querygate_query_api::outcome::{Outcome, Rows};
use querygate_query_api::requests::question::{AnswerForm, OrderKey, Question};
use querygate_query_api::service::Delivery;
use querygate_resources::bytes::batch_bytes;
use querygate_types::{Error, ErrorCode, Result};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Records that hooks after a read look at, and bytes of their columns.
const RECORDS_MAX: usize = 10_000;
const BYTES_MAX: usize = 16 << 20;

impl GateSession {
    /// The hooks of a question at an event. Counts, groups and totals have none, as in ObjectStack.
    fn find_hooks(&self, bound: &Bound, asking: &Asking, event: HookEvent) -> Result<FindHooks> {
        let catalog = &bound.workspace().catalog;
        let hooks = catalog.deployment().policies.hooks(&asking.question.object, event);
        let asks = hooks.iter().any(|hook| hook.asks_for_records());
        let interrupt = self.runs.interrupt(self.timeout());
        Ok(FindHooks {
            hooks: hooks.to_vec(),
            event,
            object: asking.question.object.clone(),
            principal: Arc::clone(catalog.principal()),
            now_ms: now_ms(),
            records: if asks { Some(self.records_of_reads()?) } else { None },
            until: TimeBound {
                cancel: interrupt.token().clone(),
                deadline: interrupt.deadline().map(tokio::time::Instant::into_std),
            },
        })
    }

    /// Whether hooks run for a question.
    pub(in crate::session) fn has_find_hooks(&self, bound: &Bound, asking: &Asking) -> bool {
        let (question, policies) = (&asking.question, &bound.workspace().catalog.deployment().policies);
        let has = |event| !policies.hooks(&question.object, event).is_empty();
        asking.form == AnswerForm::Records
            && question.aggregations.is_empty()
            && question.group_by.is_empty()
            && (has(HookEvent::BeforeFind) || has(HookEvent::AfterFind))
    }

    /// Runs a question with the hooks of its read.
    pub(in crate::session) async fn run_hooked(
        &self,
        prepared: &PreparedStatement,
        bound: &Arc<Bound>,
        asking: &Asking,
        parameters: &[ArrayRef],
    ) -> Result<Outcome> {
        let query = query(&asking.question);
        let before = self.find_hooks(bound, asking, HookEvent::BeforeFind)?;
        if let Err(error) = before.run(query.clone(), None).await {
            return Err(self.begin_run(prepared, Arc::clone(bound.objects())).fail(error));
        }
        let outcome = self.run_unhooked(prepared, bound, parameters, Delivery::Batches).await?;
        let after = self.find_hooks(bound, asking, HookEvent::AfterFind)?;
        if after.hooks.is_empty() {
            return Ok(outcome);
        }
        let Outcome::Rows(rows) = outcome else { return Err(Error::internal("a question gave no rows")) };
        let Rows { columns, schema, mut batches, tag } = rows;
        let Some(Answer { columns: described, .. }) = bound.answer() else {
            return Err(Error::internal("a question was bound as another statement"));
        };
        let (mut kept, mut found, mut bytes) = (Vec::new(), Vec::new(), 0_usize);
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            bytes = bytes.saturating_add(usize::try_from(batch_bytes(&batch)).unwrap_or(usize::MAX));
            found.extend(answer_rows(described, &batch)?.into_iter().map(Value::Object));
            if found.len() > RECORDS_MAX || bytes > BYTES_MAX {
                let text = "hooks of the table look at all records of an answer, and these are too many";
                return Err(Error::new(ErrorCode::ProgramLimitExceeded, text).with_hint("Ask for a page of them."));
            }
            kept.push(batch);
        }
        let is_one = asking.question.keys.as_ref().is_some_and(|keys| keys.len() == 1);
        let result = if is_one { found.pop().unwrap_or_default() } else { Value::Array(found) };
        after.run(query, Some(result)).await?;
        let batches = futures::stream::iter(kept.into_iter().map(Ok)).boxed();
        Ok(Outcome::Rows(Rows { columns, schema, batches, tag }))
    }
}

/// A question as hooks see it.
fn query(question: &Question) -> Map<String, Value> {
    let mut query = Map::new();
    let mut put = |key: &str, value: Value| drop(query.insert(key.to_owned(), value));
    match (&question.filter, question.keys.as_deref()) {
        (Some(filter), _) => put("where", filter.clone()),
        (None, Some([id])) => put("where", json!({ "id": id })),
        (None, Some(ids)) => put("where", json!({ "id": { "$in": ids } })),
        (None, None) => {}
    }
    if let Some(fields) = &question.fields {
        put("fields", json!(fields));
    }
    if !question.order.is_empty() {
        let key = |key: &OrderKey| json!({ "field": key.field, "order": if key.descending { "desc" } else { "asc" } });
        put("orderBy", question.order.iter().map(key).collect());
    }
    for (name, number) in [("limit", question.limit), ("offset", question.offset)] {
        if let Some(number) = number {
            put(name, number.into());
        }
    }
    if let Some(search) = &question.search {
        put("search", search.as_str().into());
    }
    query
}
