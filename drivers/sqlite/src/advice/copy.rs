//! A copy of a database in memory: its schema and statistics without a row. Hypothetical indexes are made there and SQLite's
//! own planner is asked what it would do with them.
//!
//! `sqlite_stat1` is copied as it is, and hypothetical indexes get the lines that ANALYZE would write for them, estimated from
//! a sample. `sqlite_stat4` is left out: it tells of values, and the parameters of a statement stay open here.

use super::aliases::aliases;
use super::plan::{Known, OPEN_RANGE, Step, cost};
use super::sample::Sample;
use crate::dialect::quote;
use crate::error::from_sqlx;
use async_trait::async_trait;
use querygate_driver_api::advice::{Costed, IndexSpec, NativeQuery, NullTest, TableConditions, WhatIf};
use querygate_driver_api::identifier::Identifier;
use querygate_types::{Error, ErrorCode, Result};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor, Row};
use std::collections::{BTreeMap, HashMap};

/// Hypothetical indexes that a copy keeps; the search seldom has more at a time.
const KEPT_MAX: usize = 64;
/// Objects of a schema that are copied.
const OBJECTS_MAX: usize = 10_000;
/// Putting an entry into a tree, in visits: finding its place, and changing the page there.
const WRITE: f64 = 20.0;

/// What one index of the copy is over.
#[derive(Debug, Clone)]
struct Shape {
    table: String,
    columns: Vec<String>,
    /// Rows that it holds; `None`: all.
    rows: Option<NullTest>,
}

/// The copy.
pub(crate) struct Copy {
    connection: SqliteConnection,
    samples: HashMap<String, Sample>,
    /// Real and hypothetical indexes by name.
    shapes: HashMap<String, Shape>,
    made: BTreeMap<IndexSpec, String>,
    named: u64,
}

/// Schema and statistics of a database, as its own catalog holds them.
#[derive(Debug, Default)]
pub(crate) struct Schema {
    /// Statements that made it: tables, then indexes, then views.
    pub(crate) statements: Vec<String>,
    /// Lines of `sqlite_stat1`.
    pub(crate) statistics: Vec<(String, Option<String>, String)>,
    /// Columns of each plain index: name, table, columns.
    pub(crate) indexes: Vec<(String, String, Vec<String>)>,
}

impl Schema {
    pub(crate) async fn read(connection: &mut SqliteConnection) -> Result<Self> {
        let mut schema = Self::default();
        let listed = sqlx::query(
            "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND type IN ('table', 'index', 'view') \
             AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND sql NOT LIKE 'CREATE VIRTUAL%' \
             ORDER BY CASE type WHEN 'table' THEN 0 WHEN 'index' THEN 1 ELSE 2 END, rowid LIMIT ?1",
        )
        .bind(i64::try_from(OBJECTS_MAX).unwrap_or(i64::MAX))
        .fetch_all(&mut *connection)
        .await
        .map_err(|error| from_sqlx(&error))?;
        for row in &listed {
            schema.statements.push(row.try_get(0).map_err(|error| from_sqlx(&error))?);
        }
        let analyzed = sqlx::query("SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_stat1'")
            .fetch_all(&mut *connection)
            .await
            .map_err(|error| from_sqlx(&error))?;
        if !analyzed.is_empty() {
            let lines =
                sqlx::query("SELECT tbl, idx, stat FROM sqlite_stat1 WHERE tbl IS NOT NULL AND stat IS NOT NULL")
                    .fetch_all(connection)
                    .await
                    .map_err(|error| from_sqlx(&error))?;
            for row in &lines {
                let line = (row.try_get(0), row.try_get(1), row.try_get(2));
                if let (Ok(table), Ok(index), Ok(stat)) = line {
                    schema.statistics.push((table, index, stat));
                }
            }
        }
        Ok(schema)
    }
}

impl Copy {
    pub(crate) async fn new(schema: &Schema, samples: HashMap<String, Sample>) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .in_memory(true)
            .foreign_keys(false)
            .pragma("trusted_schema", "OFF")
            .disable_statement_logging();
        let mut connection = options.connect().await.map_err(|error| from_sqlx(&error))?;
        for statement in &schema.statements {
            // What needs a function or collation of its application is left out; statements over it then have no cost.
            drop(connection.execute(AssertSqlSafe(statement.clone())).await);
        }
        connection.execute("ANALYZE").await.map_err(|error| from_sqlx(&error))?;
        for (table, index, stat) in &schema.statistics {
            statistic(&mut connection, table, index.as_deref(), stat).await?;
        }
        connection.execute("ANALYZE sqlite_schema").await.map_err(|error| from_sqlx(&error))?;
        let shape = |table: &String, columns: &Vec<String>| Shape {
            table: table.clone(),
            columns: columns.clone(),
            rows: None,
        };
        let shapes =
            schema.indexes.iter().map(|(name, table, columns)| (name.clone(), shape(table, columns))).collect();
        Ok(Self { connection, samples, shapes, made: BTreeMap::new(), named: 0 })
    }

    /// Makes exactly these hypothetical indexes be there. Returns their names in the given order.
    async fn offer(&mut self, indexes: &[&IndexSpec]) -> Result<Vec<String>> {
        let surplus: Vec<IndexSpec> = self.made.keys().filter(|made| !indexes.contains(made)).cloned().collect();
        let missing: Vec<&IndexSpec> =
            indexes.iter().copied().filter(|index| !self.made.contains_key(*index)).collect();
        if surplus.is_empty() && missing.is_empty() {
            return Ok(self.names(indexes));
        }
        for index in surplus {
            if let Some(name) = self.made.remove(&index) {
                self.shapes.remove(&name);
                self.run(format!("DROP INDEX main.\"{name}\"")).await?;
            }
        }
        for index in missing {
            self.make(index).await?;
        }
        self.run("ANALYZE sqlite_schema".to_owned()).await?;
        Ok(self.names(indexes))
    }

    fn names(&self, indexes: &[&IndexSpec]) -> Vec<String> {
        indexes.iter().filter_map(|index| self.made.get(*index).cloned()).collect()
    }

    async fn make(&mut self, index: &IndexSpec) -> Result<()> {
        if self.made.len() >= KEPT_MAX {
            return Err(Error::new(ErrorCode::ProgramLimitExceeded, "too many hypothetical indexes at once"));
        }
        self.named += 1;
        let name = format!("querygate_what_if_{}", self.named);
        let quoted = quote(&name).map_err(|refusal| Error::internal(refusal.text))?;
        let text = super::create_text(index, &quoted).map_err(|refusal| Error::internal(refusal.text))?;
        self.run(text).await?;
        let columns: Vec<String> =
            index.keys.iter().chain(&index.include).map(|column| column.as_str().to_owned()).collect();
        let table = index.table.name().to_owned();
        let shape = Shape { table: table.clone(), columns, rows: index.rows.clone() };
        let mut stat = vec![whole(self.entries_of(&shape, 0).0)];
        stat.extend((1..=shape.columns.len()).map(|width| whole(self.entries_of(&shape, width).1)));
        statistic(&mut self.connection, &table, Some(&name), &stat.join(" ")).await?;
        self.shapes.insert(name.clone(), shape);
        self.made.insert(index.clone(), name);
        Ok(())
    }

    /// Entries of an index, and those at one value of its first columns.
    fn entries_of(&self, shape: &Shape, columns: usize) -> (f64, f64) {
        let Some(sample) = self.samples.get(&shape.table) else { return (1_000_000.0, 10.0) };
        let share = shape.rows.as_ref().map_or(1.0, |test| passing(sample, test));
        let entries = (sample.rows * share).max(1.0);
        if columns == 0 {
            return (entries, entries);
        }
        let names: Vec<&str> = shape.columns.iter().take(columns).map(String::as_str).collect();
        let distinct = sample.distinct(&names).unwrap_or(sample.rows / 10.0);
        (entries, (entries / distinct.max(1.0)).max(1.0))
    }

    async fn run(&mut self, statement: String) -> Result<()> {
        self.connection.execute(AssertSqlSafe(statement)).await.map(drop).map_err(|error| from_sqlx(&error))
    }
}

/// A line of the copy's `sqlite_stat1`.
async fn statistic(connection: &mut SqliteConnection, table: &str, index: Option<&str>, stat: &str) -> Result<()> {
    sqlx::query("INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (?1, ?2, ?3)")
        .bind(table.to_owned())
        .bind(index.map(str::to_owned))
        .bind(stat.to_owned())
        .execute(connection)
        .await
        .map(drop)
        .map_err(|error| from_sqlx(&error))
}

fn whole(number: f64) -> String {
    format!("{:.0}", number.ceil().max(1.0))
}

/// Share of the rows that meet a test.
fn passing(sample: &Sample, test: &NullTest) -> f64 {
    let nulls = sample.nulls(test.column.as_str());
    if test.negated { 1.0 - nulls } else { nulls }
}

/// The copy as the tables of one statement.
struct Names<'a> {
    copy: &'a Copy,
    tables: HashMap<String, String>,
    conditions: &'a [TableConditions],
}

impl Names<'_> {
    /// The table behind an alias. A plan for `count(*)` alone has the table's own name, whatever its alias.
    fn table(&self, alias: &str) -> Option<&str> {
        let own = || self.copy.samples.get_key_value(alias).map(|(table, _)| table.as_str());
        self.tables.get(alias).map(String::as_str).or_else(own)
    }

    /// What the statement asks of the table; nothing where it reads it twice and the uses cannot be told apart.
    fn conditions(&self, table: &str) -> Option<&TableConditions> {
        let mut all = self.conditions.iter().filter(|one| one.table.name() == table);
        let first = all.next()?;
        all.next().is_none().then_some(first)
    }
}

impl Known for Names<'_> {
    fn rows(&self, alias: &str) -> f64 {
        let sample = self.table(alias).and_then(|table| self.copy.samples.get(table));
        sample.map_or(1_000_000.0, |sample| sample.rows.max(1.0))
    }

    fn entries(&self, index: &str, columns: usize) -> Option<(f64, f64)> {
        self.copy.shapes.get(index).map(|shape| self.copy.entries_of(shape, columns))
    }

    fn has_values(&self, alias: &str, index: &str, columns: usize) -> bool {
        let asked = self.table(alias).and_then(|table| self.conditions(table));
        let (Some(asked), Some(shape)) = (asked, self.copy.shapes.get(index)) else { return true };
        let nulls = asked.nulls.iter().filter(|test| !test.negated).map(|test| &test.column);
        let compared: Vec<&str> = asked.equal.iter().chain(nulls).map(Identifier::as_str).collect();
        shape.columns.iter().take(columns).all(|column| compared.contains(&column.as_str()))
    }

    fn kept(&self, alias: &str, index: Option<(&str, usize)>) -> f64 {
        let Some(table) = self.table(alias) else { return 1.0 };
        let (Some(sample), Some(asked)) = (self.copy.samples.get(table), self.conditions(table)) else { return 1.0 };
        let shape = index.and_then(|(name, columns)| self.copy.shapes.get(name).map(|shape| (shape, columns)));
        let bound: Vec<&str> = shape
            .map_or(Vec::new(), |(shape, columns)| shape.columns.iter().take(columns).map(String::as_str).collect());
        let mut all = bound.clone();
        all.extend(asked.equal.iter().map(Identifier::as_str).filter(|column| !bound.contains(column)));
        let distinct = |columns: &[&str]| if columns.is_empty() { Some(1.0) } else { sample.distinct(columns) };
        let mut share = match (distinct(&bound), distinct(&all)) {
            (Some(bound), Some(all)) => (bound.max(1.0) / all.max(1.0)).min(1.0),
            _ => 1.0,
        };
        for column in asked.range.iter().filter(|column| !all.contains(&column.as_str())) {
            share *= OPEN_RANGE * (1.0 - sample.nulls(column.as_str()));
        }
        let held = shape.and_then(|(shape, _)| shape.rows.as_ref());
        for test in asked.nulls.iter().filter(|test| Some(*test) != held) {
            share *= passing(sample, test);
        }
        share
    }
}

#[async_trait]
impl WhatIf for Copy {
    fn evidence(&self) -> &'static str {
        "SQLite's planner over a copy of the schema with statistics; cost: rows and entries visited"
    }

    fn write_cost(&self) -> f64 {
        WRITE
    }

    async fn cost(&mut self, query: &NativeQuery, indexes: &[&IndexSpec]) -> Result<Costed> {
        let names = self.offer(indexes).await?;
        let text = &query.text;
        let rows = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {text}")))
            .persistent(false)
            .fetch_all(&mut self.connection)
            .await
            .map_err(|error| from_sqlx(&error))?;
        let step = |row: &sqlx::sqlite::SqliteRow| -> Result<Step, sqlx::Error> {
            Ok(Step { id: row.try_get(0)?, parent: row.try_get(1)?, detail: row.try_get(3)? })
        };
        let steps = rows.iter().map(step).collect::<Result<Vec<_>, _>>().map_err(|error| from_sqlx(&error))?;
        let (cost, used) = cost(&steps, &Names { copy: self, tables: aliases(text), conditions: &query.tables });
        let used = names.iter().enumerate().filter(|(_, name)| used.contains(name)).map(|(place, _)| place).collect();
        Ok(Costed { cost, planned: cost, worst: cost, used })
    }
}
