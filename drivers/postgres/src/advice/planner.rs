//! PostgreSQL's own planner with hypothetical indexes of the extension HypoPG, on a connection of its own.
//!
//! A statement is prepared and planned with `plan_cache_mode = force_generic_plan`: values are never stored, and the generic
//! plan is what the server itself makes for any value, from the number of distinct values. (`EXPLAIN (GENERIC_PLAN)`
//! says the same from version 16 on; this way works from 15.) Each question prepares anew, because a plan that is kept does
//! not hear of hypothetical indexes.

use super::create_text;
use super::probe_cost::{ColumnsTogether, Known, ProbeCosts};
use crate::connect::connection::Connection;
use crate::connect::pool::Lease;
use crate::error::from_postgres;
use async_trait::async_trait;
use querygate_driver_api::advice::{Costed, IndexSpec, NativeQuery, WhatIf};
use querygate_types::{Error, ErrorCode, Result};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::SimpleQueryMessage;

/// How long one question may take.
const ANSWER_MAX: Duration = Duration::from_secs(20);
/// Writing an index entry, in units of the server's costs: a page of a sequential read.
const WRITE: f64 = 1.0;

/// The planner. Dropped, its connection closes, and hypothetical indexes with it.
pub(super) struct Planner {
    source: String,
    lease: Lease,
    /// Schema of the extension, quoted.
    extension: String,
    /// Hypothetical indexes: number and name; `None` for one that the server refuses.
    made: BTreeMap<IndexSpec, Option<(u32, String)>>,
    tables: Vec<Known>,
    /// How many parameters texts have.
    parameters: HashMap<Arc<str>, i32>,
    /// Whether a question that was given up on may have left its statement behind.
    left: bool,
}

impl Planner {
    pub(super) async fn new(source: &str, lease: Lease, extension: String, tables: Vec<Known>) -> Result<Self> {
        let (made, parameters) = (BTreeMap::new(), HashMap::new());
        let planner = Self { source: source.to_owned(), lease, extension, made, tables, parameters, left: false };
        let settings = format!("SET plan_cache_mode = force_generic_plan; SELECT {}.hypopg_reset()", planner.extension);
        planner.run(&settings).await?;
        Ok(planner)
    }

    fn connection(&self) -> &Connection {
        &self.lease.connection
    }

    async fn run(&self, text: &str) -> Result<()> {
        self.connection().client.batch_execute(text).await.map_err(|error| from_postgres(&self.source, &error))
    }

    /// Makes exactly these be there.
    async fn offer(&mut self, indexes: &[&IndexSpec]) -> Result<()> {
        let surplus: Vec<IndexSpec> = self.made.keys().filter(|made| !indexes.contains(made)).cloned().collect();
        for index in surplus {
            if let Some(Some((number, _))) = self.made.remove(&index) {
                self.run(&format!("SELECT {}.hypopg_drop_index({number})", self.extension)).await?;
            }
        }
        for index in indexes {
            if !self.made.contains_key(*index) {
                let made = self.make(index).await?;
                self.made.insert((*index).clone(), made);
            }
        }
        Ok(())
    }

    /// `None`: a type that has no order, a table that is gone. Such an index is as good as none.
    async fn make(&self, index: &IndexSpec) -> Result<Option<(u32, String)>> {
        let text = create_text(index, None).map_err(|refusal| Error::internal(refusal.text))?;
        let question = format!("SELECT indexrelid, indexname::text FROM {}.hypopg_create_index($1)", self.extension);
        match self.connection().client.query(&question, &[&text]).await {
            Ok(rows) => {
                let row = rows.first().ok_or_else(|| Error::internal("no hypothetical index"))?;
                let told = (row.try_get(0), row.try_get(1));
                Ok(Some((told.0.map_err(Error::internal)?, told.1.map_err(Error::internal)?)))
            }
            Err(error) if error.as_db_error().is_some() => Ok(None),
            Err(error) => Err(from_postgres(&self.source, &error)),
        }
    }

    async fn plan(&mut self, text: &Arc<str>) -> Result<Value> {
        let source = self.source.clone();
        let failed = |error: tokio_postgres::Error| from_postgres(&source, &error);
        if std::mem::replace(&mut self.left, true) {
            let _ = self.connection().client.batch_execute("DEALLOCATE querygate_what_if").await;
        }
        let client = &self.connection().client;
        // In the extended protocol a text is one statement, whatever is in it.
        let prepare = client.prepare(&format!("PREPARE querygate_what_if AS {text}")).await.map_err(failed)?;
        client.execute(&prepare, &[]).await.map_err(failed)?;
        let count = self.count(text).await?;
        let open = vec!["NULL"; usize::try_from(count).unwrap_or(0)].join(", ");
        let arguments = if open.is_empty() { String::new() } else { format!("({open})") };
        let question =
            format!("EXPLAIN (FORMAT JSON) EXECUTE querygate_what_if{arguments}; DEALLOCATE querygate_what_if");
        let rows = self.connection().client.simple_query(&question).await.map_err(failed)?;
        self.left = false;
        let plan: String = rows
            .iter()
            .filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => row.get(0),
                _ => None,
            })
            .collect();
        serde_json::from_str(&plan).map_err(Error::internal)
    }

    /// How many parameters the statement has that is prepared.
    async fn count(&mut self, text: &Arc<str>) -> Result<i32> {
        const COUNT: &str =
            "SELECT cardinality(parameter_types) FROM pg_prepared_statements WHERE name = 'querygate_what_if'";
        if let Some(known) = self.parameters.get(text) {
            return Ok(*known);
        }
        let counted = self.connection().client.query_one(COUNT, &[]).await;
        let counted = counted.map_err(|error| from_postgres(&self.source, &error))?;
        let count = counted.try_get(0).map_err(Error::internal)?;
        self.parameters.insert(Arc::clone(text), count);
        Ok(count)
    }
}

/// Names of the indexes in a plan.
fn indexes<'a>(plan: &'a Value, found: &mut Vec<&'a str>) {
    found.extend(plan.get("Index Name").and_then(Value::as_str));
    for child in plan.get("Plans").and_then(Value::as_array).into_iter().flatten() {
        indexes(child, found);
    }
}

#[async_trait]
impl WhatIf for Planner {
    fn evidence(&self) -> &'static str {
        "PostgreSQL's planner with hypothetical indexes (HypoPG), generic plans; cost: the planner's, and more for rows that \
         look-ups of a join and bitmaps fetch, and for joins by several columns"
    }

    fn write_cost(&self) -> f64 {
        WRITE
    }

    async fn cost(&mut self, query: &NativeQuery, offered: &[&IndexSpec]) -> Result<Costed> {
        let late = |_| Error::new(ErrorCode::StatementTimeout, "the planner did not answer in time");
        let plan = tokio::time::timeout(ANSWER_MAX, async {
            self.offer(offered).await?;
            self.plan(&query.text).await
        });
        let plan = plan.await.map_err(late)??;
        let plan = plan.get(0).and_then(|whole| whole.get("Plan"));
        let plan = plan.ok_or_else(|| Error::internal("a plan without a plan"))?;
        let cost =
            plan.get("Total Cost").and_then(Value::as_f64).ok_or_else(|| Error::internal("a plan without cost"))?;
        let mut names = Vec::new();
        indexes(plan, &mut names);
        let is_used = |index: &IndexSpec| {
            let made = self.made.get(index).and_then(Option::as_ref);
            made.is_some_and(|(_, name)| names.contains(&name.as_str()))
        };
        let used = offered.iter().enumerate().filter(|(_, index)| is_used(index)).map(|(place, _)| place).collect();
        let made = |name: &str| {
            let is_it = |made: &Option<(u32, String)>| made.as_ref().is_some_and(|(_, known)| known == name);
            self.made.iter().find(|(_, made)| is_it(made)).map(|(index, _)| index.clone())
        };
        let with_care =
            |columns_together| cost + ProbeCosts { tables: &self.tables, made: &made, columns_together }.surplus(plan);
        let (expected, worst) = (with_care(ColumnsTogether::HalfWay), with_care(ColumnsTogether::Together));
        Ok(Costed { cost: expected, planned: cost, worst, used })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_are_found_at_any_depth() {
        let plan = serde_json::json!({"Node Type": "Nested Loop", "Plans": [
            {"Index Name": "a"},
            {"Node Type": "Bitmap Heap Scan", "Plans": [{"Index Name": "<1>b"}]}
        ]});
        let mut found = Vec::new();
        indexes(&plan, &mut found);
        assert_eq!(found, ["a", "<1>b"]);
    }
}
