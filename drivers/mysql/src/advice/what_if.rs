//! What a statement costs at a MariaDB server with indexes that are not there. The server does not plan with those, so its EXPLAIN
//! is asked for the plan as it is, and only what an index would change in it is reckoned here, from sampled numbers of different values.
//!
//! A row or index entry that is visited costs 1, a row fetched through an index 3 more, finding the first entry log2 of the
//! entries. The order of tables stays as the server chose it: an index that would turn it round is worth more than is said here.

use crate::advice::explained::{Access, Way, aliases, blocks, question};
use crate::connect::session::Session;
use crate::error::from_sqlx;
use crate::wire::binary;
use async_trait::async_trait;
use querygate_driver_api::advice::{Costed, IndexSpec, IndexedTable, NativeQuery, TableConditions, WhatIf};
use querygate_driver_api::identifier::Identifier;
use querygate_types::{Error, ErrorCode, Result};
use sqlx::{AssertSqlSafe, Executor};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// How long one question may take.
const ANSWER_MAX: Duration = Duration::from_secs(20);
/// The server must not run a subquery to plan with its value: there is none. It writes conditions into its JSON as they are, so names
/// must not be in double quotes; the gate's are in backquotes in any mode.
const SETTINGS: &str = "SET expensive_subquery_limit = 0, sql_mode = 'NO_BACKSLASH_ESCAPES'";
/// Fetching a row through an index, in visits.
const FETCH: f64 = 3.0;
/// Comparing a row with one of a join's buffer, in visits.
const COMPARE: f64 = 0.1;
/// Writing an index entry, in visits.
const WRITE: f64 = 20.0;
/// Share of the rows behind a range of unknown values.
const RANGE: f64 = 0.25;
/// The plan as it is was asked for; the index itself was not planned with.
const CONFIDENCE: f64 = 0.5;

/// The planner, on a connection of its own. Dropped, it closes.
pub(crate) struct Explaining {
    session: Session,
    tables: Vec<IndexedTable>,
    /// Plans as they are, by text.
    plans: HashMap<Arc<str>, Arc<Plan>>,
}

#[derive(Debug)]
struct Plan {
    blocks: Vec<Vec<Access>>,
    aliases: HashMap<String, String>,
}

impl Explaining {
    /// # Errors
    /// The source's.
    pub(crate) async fn new(mut session: Session, tables: Vec<IndexedTable>) -> Result<Self> {
        session.connection.execute(SETTINGS).await.map_err(|error| from_sqlx(&error))?;
        Ok(Self { session, tables, plans: HashMap::new() })
    }

    async fn plan(&mut self, text: &Arc<str>) -> Result<Arc<Plan>> {
        if let Some(known) = self.plans.get(text) {
            return Ok(Arc::clone(known));
        }
        let asked = sqlx::raw_sql(AssertSqlSafe(question(text))).fetch_one(&mut self.session.connection);
        let row = asked.await.map_err(|error| from_sqlx(&error))?;
        let told = binary::text(&row, 0)?.ok_or_else(|| Error::internal("a plan without a plan"))?;
        let blocks = blocks(&serde_json::from_str(&told).map_err(Error::internal)?);
        let plan = Arc::new(Plan { blocks, aliases: aliases(text) });
        self.plans.insert(Arc::clone(text), Arc::clone(&plan));
        Ok(plan)
    }
}

#[async_trait]
impl WhatIf for Explaining {
    fn evidence(&self) -> &'static str {
        "MariaDB's EXPLAIN of the plan as it is, for values that it does not know; what an index that is not there would change is \
         reckoned from a sample of the rows; cost: rows visited"
    }

    fn write_cost(&self) -> f64 {
        WRITE
    }

    fn confidence(&self) -> f64 {
        CONFIDENCE
    }

    async fn cost(&mut self, query: &NativeQuery, indexes: &[&IndexSpec]) -> Result<Costed> {
        let late = |_| Error::new(ErrorCode::StatementTimeout, "the planner did not answer in time");
        let plan = tokio::time::timeout(ANSWER_MAX, self.plan(&query.text)).await.map_err(late)??;
        let mut reckoning =
            Reckoning { query, indexes, tables: &self.tables, aliases: &plan.aliases, used: Vec::new() };
        let cost = plan.blocks.iter().map(|block| reckoning.block(block)).sum::<f64>().max(1.0);
        Ok(Costed { cost, planned: cost, worst: cost, used: reckoning.used })
    }
}

/// A table of a plan, with what the statement asks of it.
struct Known<'a> {
    table: &'a IndexedTable,
    conditions: &'a TableConditions,
}

struct Reckoning<'a> {
    query: &'a NativeQuery,
    indexes: &'a [&'a IndexSpec],
    tables: &'a [IndexedTable],
    aliases: &'a HashMap<String, String>,
    used: Vec<usize>,
}

impl<'a> Reckoning<'a> {
    fn known(&self, alias: &str) -> Option<Known<'a>> {
        let (query, tables) = (self.query, self.tables);
        let name = self.aliases.get(alias)?;
        let conditions = query.tables.iter().filter(|conditions| conditions.table.name() == name);
        // Used twice, its uses are told apart by the order of their aliases.
        let mut same: Vec<&String> =
            self.aliases.iter().filter(|(_, of)| *of == name).map(|(alias, _)| alias).collect();
        same.sort_by_key(|alias| (alias.len(), *alias));
        let place = same.iter().position(|other| *other == alias)?;
        let conditions = conditions.clone().nth(place).or_else(|| conditions.clone().next())?;
        let table = tables.iter().find(|table| table.table == conditions.table)?;
        Some(Known { table, conditions })
    }

    /// The cost of nested loops over tables: each is read for each row that the ones before it leave.
    fn block(&mut self, block: &[Access]) -> f64 {
        let (mut cost, mut loops) = (0.0, 1.0_f64);
        for (place, access) in block.iter().enumerate() {
            let known = self.known(&access.alias);
            let entries = known.as_ref().map_or(access.rows, |known| known.table.rows).max(2.0);
            let present = match access.way {
                Way::Scan => loops * access.rows,
                Way::Buffered => access.rows + COMPARE * access.rows * loops,
                Way::Index { covered } => loops * found(entries, access.rows, covered),
            };
            let joined = place > 0;
            let offered = self.indexes.iter().enumerate().filter_map(|(number, index)| {
                let visited = known.as_ref()?.visited(index, joined)?;
                Some((loops * found(entries, visited, !index.include.is_empty()), number))
            });
            let best = offered.min_by(|one, other| one.0.total_cmp(&other.0)).filter(|(best, _)| *best < present);
            let left = match (access.way, &known) {
                // Of rows that are compared one by one the server does not say how many are equal.
                (Way::Buffered, Some(known)) => access.rows * access.kept * known.matching(),
                _ => access.rows * access.kept,
            };
            cost += best.map_or(present, |(best, _)| best);
            self.used.extend(best.map(|(_, number)| number).filter(|number| !self.used.contains(number)));
            loops *= left.max(1.0);
        }
        cost
    }
}

/// Finding the first of so many entries, and visiting some.
fn found(entries: f64, visited: f64, covered: bool) -> f64 {
    entries.log2() + visited * if covered { 1.0 } else { 1.0 + FETCH }
}

impl Known<'_> {
    fn distinct(&self, name: &Identifier) -> f64 {
        let column = self.table.columns.iter().find(|column| column.name == *name);
        column.map_or(1.0, |column| column.distinct.max(1.0))
    }

    /// Rows that are visited through an index; `None`: the statement gives its first column no value. `joined`: there are rows of
    /// other tables to look up.
    fn visited(&self, index: &IndexSpec, joined: bool) -> Option<f64> {
        if index.table != self.table.table || index.rows.is_some() {
            return None;
        }
        let mut visited = None;
        let conditions = self.conditions;
        for key in &index.keys {
            let rows = visited.unwrap_or(self.table.rows);
            if conditions.equal.contains(key) || (joined && conditions.join.contains(key)) {
                visited = Some(rows / self.distinct(key));
            } else {
                let ordered = self.table.columns.iter().any(|column| column.name == *key && !column.collates);
                if ordered && conditions.range.contains(key) {
                    visited = Some(rows * RANGE);
                }
                break;
            }
        }
        visited.map(|visited| visited.max(1.0))
    }

    /// Share of its rows that are equal to a row of the tables before it.
    fn matching(&self) -> f64 {
        self.conditions.join.iter().map(|column| 1.0 / self.distinct(column)).fold(1.0, f64::min)
    }
}
