//! Histories of changes by one principal, over a world and over the copy of it that lacks what the principal does not see: the same
//! answers, the same rows afterwards, and the hidden rows as they were. What a source cannot but tell is no difference: that a hidden
//! row refers to one that is to be deleted. It ends the history. Most histories are transactions that are rolled back, with savepoints.

use crate::rule::{Kind, value};
use crate::world::{ObjectDef, World};
use querygate_tests::harness::{Answer, Client, Layout, Rng, TestGate, runtime};
use serde_json::Value;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection, Row as _};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Of a history.
const STATEMENTS: usize = 9;
/// Of a world.
pub(crate) const HISTORIES: usize = 4;

/// What histories have shown.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) histories: usize,
    pub(crate) statements: usize,
    pub(crate) changed: usize,
    refused: usize,
    /// Histories that ended because a hidden row refers to one that was to go.
    told: usize,
    pub(crate) differences: Vec<String>,
}

impl Found {
    pub(crate) fn add(&mut self, other: Self) {
        self.histories += other.histories;
        self.statements += other.statements;
        self.changed += other.changed;
        self.refused += other.refused;
        self.told += other.told;
        self.differences.extend(other.differences);
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { histories, statements, changed, refused, told, differences } = self;
        write!(
            f,
            "{histories} histories of {statements} statements: {changed} changed rows, {refused} were refused; {told} histories ended by a dependent"
        )?;
        write!(f, ", {} differences", differences.len())
    }
}

/// Rows by object and id, as SQLite writes literals.
type Stored = BTreeMap<(String, String), String>;

struct Side {
    gate: TestGate,
    client: Client,
}

impl Side {
    fn new(world: &World, keep: bool, sabotage: bool) -> Self {
        let mut open = world.clone();
        if sabotage {
            open.objects.iter_mut().for_each(|object| object.policies.clear());
        }
        let mut fixture = if keep { open.governed() } else { world.twin() };
        fixture.writes = true;
        let gate = TestGate::new(&fixture, Layout::Sqlite);
        Self { client: gate.client(&world.who), gate }
    }

    fn stored(&self, world: &World) -> Stored {
        let options = SqliteConnectOptions::new().filename(self.gate.sqlite_file());
        runtime().block_on(async {
            let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
            let mut all = Stored::new();
            for object in &world.objects {
                let mut names = vec!["id".to_owned()];
                names.extend(object.owned.then(|| "owner_id".to_owned()));
                names.extend(object.fields.iter().map(|field| field.name.clone()));
                let cells: Vec<String> = names.iter().map(|name| format!("quote(\"{name}\")")).collect();
                let sql = format!("SELECT id, concat_ws('|', {}) FROM \"{}\"", cells.join(", "), object.name);
                for row in sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut connection).await.unwrap() {
                    all.insert((object.name.clone(), row.get(0)), row.get(1));
                }
            }
            connection.close().await.unwrap();
            all
        })
    }
}

/// The histories of one world: those that are rolled back, and one whose statements are committed one by one. `sabotage`: the gate
/// forgets its row policies.
pub(crate) fn histories(rng: &mut Rng, n: u64, sabotage: bool) -> Found {
    let world = World::random(rng);
    let pair = Pair::new(&world, n, sabotage);
    let mut found = Found::default();
    for round in 0..HISTORIES {
        let in_block = round + 1 < HISTORIES;
        found.histories += 1;
        if let Err(difference) = pair.history(rng, in_block, &mut found) {
            found.differences.push(difference);
            break;
        }
    }
    found
}

/// A world and its copy, each behind a gate.
struct Pair<'w> {
    world: &'w World,
    number: u64,
    governed: Side,
    twin: Side,
    before: Stored,
    before_twin: Stored,
    hidden: BTreeSet<(String, String)>,
}

impl<'w> Pair<'w> {
    fn new(world: &'w World, number: u64, sabotage: bool) -> Self {
        let (governed, twin) = (Side::new(world, true, sabotage), Side::new(world, false, false));
        let mut hidden = BTreeSet::new();
        for (at, object) in world.objects.iter().enumerate() {
            for (row, visible) in object.rows.iter().zip(world.visible(at)) {
                if !visible {
                    hidden.insert((object.name.clone(), row["id"].as_str().unwrap().to_owned()));
                }
            }
        }
        let (before, before_twin) = (governed.stored(world), twin.stored(world));
        Self { world, number, governed, twin, before, before_twin, hidden }
    }

    fn both(&self, sql: &str) -> (Answer, Answer) {
        (self.governed.client.run(sql), self.twin.client.run(sql))
    }

    fn history(&self, rng: &mut Rng, in_block: bool, found: &mut Found) -> Result<(), String> {
        let mut log = Vec::new();
        if in_block {
            self.both("BEGIN");
        }
        let mut is_told = false;
        for step in 0..STATEMENTS {
            let Some((object, sql)) = statement(rng, self.world, step) else { break };
            if in_block {
                self.both("SAVEPOINT s");
            }
            let (own, other) = self.both(&sql);
            log.push(format!("{sql}  -- {}", short(&own)));
            found.statements += 1;
            found.changed += usize::from(is_change(&own) && !sql.starts_with("SELECT"));
            found.refused += usize::from(own.code().is_some());
            if sorted(&own) != sorted(&other) {
                is_told = sql.starts_with("DELETE") && self.is_told(object, &own);
                if is_told {
                    found.told += 1;
                    break;
                }
                return Err(self.report(&log, &format!("{} over the copy", short(&other))));
            }
            if in_block && (own.code().is_some() || rng.percent(10)) {
                self.both("ROLLBACK TO s");
            }
        }
        if in_block {
            self.both("ROLLBACK");
            if self.governed.stored(self.world) != self.before || self.twin.stored(self.world) != self.before_twin {
                return Err(self.report(&log, "a rollback left something"));
            }
            return Ok(());
        }
        self.compare(is_told).map_err(|text| self.report(&log, &text))
    }

    /// Whether a refused delete tells what the source cannot keep: that a hidden row refers to a row that is to go. A dependent whose rule
    /// the source cannot judge refuses it by the rule alone, which the copy does not have.
    fn is_told(&self, object: &ObjectDef, own: &Answer) -> bool {
        match own.code() {
            Some("23503") => refers(self.world, &self.hidden, object),
            Some("0A000") => true,
            _ => false,
        }
    }

    /// Hidden rows are as they were, and the others as in the copy.
    fn compare(&self, is_told: bool) -> Result<(), String> {
        let (own, other) = (self.governed.stored(self.world), self.twin.stored(self.world));
        for key in &self.hidden {
            if own.get(key) != self.before.get(key) {
                return Err(format!("{key:?} is {:?} and was {:?}", own.get(key), self.before.get(key)));
            }
        }
        let seen: Stored = own.into_iter().filter(|(key, _)| !self.hidden.contains(key)).collect();
        if is_told || seen == other {
            return Ok(());
        }
        let differ = |key: &&(String, String)| seen.get(*key) != other.get(*key);
        let keys: Vec<_> = seen.keys().chain(other.keys()).filter(differ).collect();
        Err(format!("rows differ: {keys:?}"))
    }

    fn report(&self, log: &[String], text: &str) -> String {
        let mut report = format!("world {}: {text}\n  {}", self.number, log.join("\n  "));
        if std::env::var_os("NONINTERFERENCE_WORLD").is_some() {
            report.push_str(&self.world.report());
        }
        report
    }
}

/// Whether a hidden row refers to a row of an object, or to one that goes with it.
fn refers(world: &World, hidden: &BTreeSet<(String, String)>, object: &ObjectDef) -> bool {
    let mut going = vec![object.name.as_str()];
    let mut known = BTreeSet::new();
    while let Some(target) = going.pop() {
        for child in &world.objects {
            let fields =
                child.fields.iter().filter(|field| field.reference.as_ref().is_some_and(|(to, _)| to == target));
            for field in fields {
                let is_hidden = |row: &&querygate_tests::harness::Row| {
                    let key = (child.name.clone(), row["id"].as_str().unwrap().to_owned());
                    hidden.contains(&key) && row.get(&field.name).is_some_and(|value| !value.is_null())
                };
                if child.rows.iter().any(|row| is_hidden(&row)) {
                    return true;
                }
                if known.insert(child.name.as_str()) {
                    going.push(child.name.as_str());
                }
            }
        }
    }
    false
}

fn is_change(answer: &Answer) -> bool {
    match answer {
        Answer::Command(tag) => !tag.contains(" 0\"") && !tag.is_empty(),
        Answer::Rows { rows, .. } => !rows.is_empty(),
        Answer::Notice(_) | Answer::Failed { .. } => false,
    }
}

fn sorted(answer: &Answer) -> Answer {
    let mut answer = answer.clone();
    if let Answer::Rows { rows, .. } = &mut answer {
        rows.sort();
    }
    answer
}

fn short(answer: &Answer) -> String {
    match answer {
        Answer::Rows { rows, .. } => format!("{} rows {rows:?}", rows.len()),
        other => format!("{other:?}"),
    }
    .chars()
    .take(400)
    .collect()
}

/// A random statement over an object that the principal may read; a tenth of the ids in it are of rows that are not there.
fn statement<'w>(rng: &mut Rng, world: &'w World, step: usize) -> Option<(&'w ObjectDef, String)> {
    let readable: Vec<&ObjectDef> = world.objects.iter().filter(|object| object.readable).collect();
    if readable.is_empty() {
        return None;
    }
    let object = *rng.pick(&readable);
    let name = object.sql_name();
    let columns: Vec<(&str, Kind, Option<&str>)> = object
        .fields
        .iter()
        .filter(|field| !field.hidden && field.mask.is_none() && field.kind != Kind::Tags)
        .map(|field| (field.name.as_str(), field.kind, field.reference.as_ref().map(|(target, _)| target.as_str())))
        .collect();
    let returning = if rng.percent(25) { " RETURNING id" } else { "" };
    let sql = match rng.below(10) {
        0..=2 => {
            let chosen: Vec<_> = columns.iter().filter(|_| rng.percent(70)).copied().collect();
            let names: Vec<String> =
                std::iter::once("id".to_owned()).chain(chosen.iter().map(|c| c.0.to_owned())).collect();
            let count = if rng.percent(25) { 2 } else { 1 };
            let rows: Vec<String> = (0..count)
                .map(|row| {
                    let cells = chosen.iter().map(|(_, kind, target)| cell(rng, world, *kind, *target));
                    let cells: Vec<String> = std::iter::once(format!("'new{step}_{row}'")).chain(cells).collect();
                    format!("({})", cells.join(", "))
                })
                .collect();
            format!("INSERT INTO {name} ({}) VALUES {}{returning}", names.join(", "), rows.join(", "))
        }
        3..=6 if !columns.is_empty() => {
            let (column, kind, target) = *rng.pick(&columns);
            let made = match kind {
                Kind::Number | Kind::Int | Kind::Money if target.is_none() && rng.percent(40) => match rng.below(3) {
                    0 => format!("{column} + 1"),
                    1 => format!("100 / {column}"),
                    _ => format!("{column} * {column}"),
                },
                Kind::Text if target.is_none() && rng.percent(30) => format!("{column} || 'x'"),
                _ => cell(rng, world, kind, target),
            };
            format!("UPDATE {name} SET {column} = {made}{}{returning}", predicate(rng, world, object, &columns))
        }
        3..=8 => format!("DELETE FROM {name}{}{returning}", predicate(rng, world, object, &columns)),
        _ => format!("SELECT * FROM {name}"),
    };
    Some((object, sql))
}

fn cell(rng: &mut Rng, world: &World, kind: Kind, target: Option<&str>) -> String {
    if rng.percent(10) {
        return "NULL".to_owned();
    }
    match target {
        Some(target) => id(rng, world.object(target)),
        None => literal(&value(rng, kind)),
    }
}

/// An id of a row, visible or hidden, or of none.
fn id(rng: &mut Rng, object: &ObjectDef) -> String {
    if object.rows.is_empty() || rng.percent(10) {
        return "'none'".to_owned();
    }
    literal(&rng.pick(&object.rows)["id"])
}

fn predicate(rng: &mut Rng, world: &World, object: &ObjectDef, columns: &[(&str, Kind, Option<&str>)]) -> String {
    let numbers: Vec<&str> =
        columns.iter().filter(|c| matches!(c.1, Kind::Number | Kind::Int | Kind::Money)).map(|c| c.0).collect();
    match rng.below(8) {
        0 => String::new(),
        1..=4 => {
            let ids: Vec<String> = (0..rng.between(1, 4)).map(|_| id(rng, object)).collect();
            format!(" WHERE id IN ({})", ids.join(", "))
        }
        5 if !numbers.is_empty() => format!(" WHERE 12 / {} > 1", rng.pick(&numbers)),
        6 if !numbers.is_empty() => format!(" WHERE {} > {}", rng.pick(&numbers), rng.below(5)),
        _ if !columns.is_empty() => {
            let (column, kind, target) = *rng.pick(columns);
            format!(" WHERE {column} = {}", cell(rng, world, kind, target))
        }
        _ => format!(" WHERE id = {}", id(rng, object)),
    }
}

fn literal(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => format!("'{}'", text.replace('\'', "''")),
        Value::Array(_) | Value::Object(_) => panic!("no literal of {value}"),
    }
}
