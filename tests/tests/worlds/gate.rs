//! A gate that `init` made over a world: what it serves is compared with what was made.

use super::cell::Cell;
use super::world::{Fate, Made, World};
use querygate_tests::server::{Server, binary, runtime};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use tokio_postgres::{Client, SimpleQueryMessage};

/// What became of a world's tables.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) made: usize,
    pub(crate) served: usize,
    pub(crate) left_out: BTreeMap<String, usize>,
    /// What is not as it was made.
    pub(crate) wrong: Vec<String>,
    pub(crate) cells: usize,
    /// What `init` printed.
    pub(crate) said: String,
}

/// An object of the metadata that was written.
struct Described {
    table: String,
    /// By the source's names.
    columns: BTreeMap<String, String>,
    ignored: Vec<String>,
}

fn querygate(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(binary()).args(arguments).current_dir(folder).env("NO_COLOR", "1").output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.success(), text)
}

/// Lets `init` set up a gate over a world, and compares all that the gate serves.
pub(crate) fn tried(world: &World) -> Outcome {
    let here = world.folder.path();
    let mut outcome = Outcome { made: world.made.len(), ..Outcome::default() };
    let arguments: Vec<&str> = std::iter::once("init").chain(world.source.iter().map(String::as_str)).collect();
    let (well, said) = querygate(here, &arguments);
    outcome.said.clone_from(&said);
    if !well || !here.join("querygate.toml").exists() {
        outcome.wrong.push(format!("init fails: {}", last_lines(&said)));
        return outcome;
    }
    let (well, checked) = querygate(here, &["check", "querygate.toml"]);
    if !well || !checked.contains("0 errors") {
        outcome.wrong.push(format!("check fails: {}", last_lines(&checked)));
        return outcome;
    }
    let described = described(here);
    again(here, &arguments, &mut outcome);
    let server = served(here);
    runtime().block_on(async {
        let client = server.client("analyst").await;
        for made in &world.made {
            compare(made, &described, &client, &mut outcome).await;
        }
    });
    let others = described.keys().filter(|remote| !world.made.iter().any(|made| made.remote == **remote));
    outcome.wrong.extend(others.map(|remote| format!("{remote}: is served, and was not made")));
    outcome
}

/// A second time, where nothing changed, nothing is written.
fn again(folder: &Path, arguments: &[&str], outcome: &mut Outcome) {
    let (well, said) = querygate(folder, arguments);
    if !well {
        outcome.wrong.push(format!("init fails the second time: {}", last_lines(&said)));
    } else if said.lines().filter(|line| line.starts_with("left metadata")).count() != 2 {
        let lines: Vec<&str> = said.lines().filter(|line| line.contains("metadata/")).collect();
        outcome.wrong.push(format!("init changes what it wrote: {}", lines.join(" / ")));
    }
}

fn last_lines(said: &str) -> String {
    let lines: Vec<&str> = said.lines().filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(4)..].join(" / ")
}

/// Objects by what the source calls their tables.
fn described(folder: &Path) -> BTreeMap<String, Described> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder.join("metadata")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !name.ends_with(".json") || name.ends_with(".querygate.json") {
            continue;
        }
        let stack: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let package = &stack["packages"][0]["manifest"];
        let namespace = package["namespace"].as_str().unwrap();
        for object in package["objects"].as_array().unwrap() {
            let (remote, described) = of_object(object, namespace);
            found.insert(remote, described);
        }
    }
    found
}

fn of_object(object: &Value, namespace: &str) -> (String, Described) {
    let external = &object["external"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let remote = match external["remoteSchema"].as_str() {
        Some(schema) => format!("{schema}.{}", text(&external["remoteName"])),
        None => text(&external["remoteName"]),
    };
    let map = external["columnMap"].as_object().cloned().unwrap_or_default();
    let by_field: BTreeMap<String, String> = map.iter().map(|(column, field)| (text(field), column.clone())).collect();
    let fields = object["fields"].as_object().unwrap().keys();
    let columns = fields.map(|field| (by_field.get(field).unwrap_or(field).clone(), field.clone())).collect();
    let ignored = external["ignoreColumns"].as_array().into_iter().flatten().map(text).collect();
    let name = object["name"].as_str().unwrap();
    let table = name.strip_prefix(namespace).unwrap().trim_start_matches('_').to_owned();
    (remote, Described { table, columns, ignored })
}

/// The gate, with a password that is known.
fn served(folder: &Path) -> Server {
    let config = folder.join("querygate.toml");
    let verifier = postgres_protocol::password::scram_sha_256(b"demo-analyst");
    let text = std::fs::read_to_string(&config).unwrap();
    let kept = text.lines().map(|line| match line.starts_with("verifier = ") {
        true => format!("verifier = \"{verifier}\""),
        false => line.to_owned(),
    });
    let text = kept.collect::<Vec<_>>().join("\n");
    std::fs::write(&config, format!("[server]\ndatabase = \"demo\"\n\n{text}\n")).unwrap();
    Server::serve(&config)
}

async fn compare(made: &Made, described: &BTreeMap<String, Described>, client: &Client, outcome: &mut Outcome) {
    let Some(described) = described.get(&made.remote) else {
        let label = match made.fate {
            Fate::MayBeLeftOut(why) | Fate::LeftOut(why) => why.to_owned(),
            Fate::Served => {
                let line = outcome.said.lines().find(|line| line.contains(&format!("{} (", made.remote)));
                let line = line.unwrap_or("nothing is said of it").to_owned();
                outcome.wrong.push(format!("{}: is not served: {line}", made.remote));
                return;
            }
        };
        if is_told(&outcome.said, &made.remote) {
            *outcome.left_out.entry(label).or_default() += 1;
        } else {
            outcome.wrong.push(format!("{}: is left out without a word ({label})", made.remote));
        }
        return;
    };
    if let Fate::LeftOut(why) = made.fate {
        outcome.wrong.push(format!("{}: is served, and should be left out ({why})", made.remote));
        return;
    }
    outcome.served += 1;
    let before = outcome.wrong.len();
    columns(made, described, outcome);
    if let Err(error) = rows(made, described, client, outcome).await {
        outcome.wrong.push(format!("{}: {error}", made.remote));
    }
    // One table's faults are of one cause as a rule.
    outcome.wrong.truncate(before + FAULTS_MAX);
}

/// Faults of a table that are shown.
const FAULTS_MAX: usize = 4;

/// Whether a line says that something is left out, and why. Names of files are shown as patterns.
fn is_told(said: &str, name: &str) -> bool {
    let plain = name.replace("[*]", "*").replace("[?]", "?").replace("[[]", "[");
    let illegal = name.contains(char::is_control) && said.contains("left out: an entry (");
    let starts = |line: &str, name: &str| line.starts_with(&format!("left out: {name} ("));
    illegal || said.lines().any(|line| starts(line, name) || starts(line, &plain))
}

/// Every column is served, or said to be left out.
fn columns(made: &Made, described: &Described, outcome: &mut Outcome) {
    for column in &made.columns {
        if described.columns.contains_key(&column.name) {
            continue;
        }
        let name = format!("{}.{}", made.remote, column.name);
        let told =
            is_told(&outcome.said, &name) || is_told(&outcome.said, &format!("{}.\"{}\"", made.remote, column.name));
        let listed = described.ignored.contains(&column.name) || column.name.is_empty();
        if !(told && listed) {
            outcome.wrong.push(format!("{name}: the column is gone without a word"));
        } else if column.may_go {
            *outcome.left_out.entry("a column that no type holds".to_owned()).or_default() += 1;
        } else {
            let line =
                outcome.said.lines().find(|line| line.starts_with(&format!("left out: {name} ("))).unwrap_or_default();
            outcome.wrong.push(format!("{name}: the column is left out: {line}"));
        }
    }
}

async fn rows(made: &Made, described: &Described, client: &Client, outcome: &mut Outcome) -> Result<(), String> {
    let table = format!("public.\"{}\"", described.table);
    let sql = format!("SELECT * FROM {table}");
    let statement = client.prepare(&sql).await.map_err(|error| said(&error))?;
    let kinds: BTreeMap<&str, &str> = statement.columns().iter().map(|c| (c.name(), c.type_().name())).collect();
    let got = asked(client, &sql).await?;
    let count = asked(client, &format!("SELECT count(*) FROM {table}")).await?;
    if count != [vec![("count".to_owned(), Some(made.rows.len().to_string()))]] {
        outcome.wrong.push(format!("{}: count(*) is {:?}, made were {}", made.remote, count, made.rows.len()));
    }
    // Columns that are there, by their place among those made.
    let there: Vec<(usize, &str, &str)> = made
        .columns
        .iter()
        .enumerate()
        .filter_map(|(at, column)| {
            let field = described.columns.get(&column.name)?;
            Some((at, field.as_str(), *kinds.get(field.as_str())?))
        })
        .collect();
    let shown = made.columns.iter().filter(|column| described.columns.contains_key(&column.name)).count();
    if there.len() != shown || kinds.len() != shown {
        outcome.wrong.push(format!("{}: SELECT * has the columns {:?}", made.remote, kinds.keys()));
    }
    let mut left: Vec<BTreeMap<String, Option<String>>> =
        got.into_iter().map(|row| row.into_iter().collect()).collect();
    for (number, row) in made.rows.iter().enumerate() {
        outcome.cells += there.len();
        let differing = |got: &BTreeMap<String, Option<String>>| {
            there.iter().filter(|(at, field, kind)| !row[*at].is_shown_as(got[*field].as_deref(), kind)).count()
        };
        let Some(best) = (0..left.len()).min_by_key(|at| differing(&left[*at])) else {
            outcome.wrong.push(format!("{}: row {number} is not there: {row:?}", made.remote));
            continue;
        };
        let got = left.swap_remove(best);
        for (at, field, kind) in
            there.iter().filter(|(at, field, kind)| !row[*at].is_shown_as(got[*field].as_deref(), kind))
        {
            outcome.wrong.push(differs(made, *at, &row[*at], got[*field].as_deref(), kind));
        }
    }
    outcome.wrong.extend(left.iter().map(|row| format!("{}: a row was not made: {row:?}", made.remote)));
    counts(made, &table, &there, client, outcome).await
}

/// How many values each column has, which a source may count by itself.
async fn counts(
    made: &Made,
    table: &str,
    there: &[(usize, &str, &str)],
    client: &Client,
    outcome: &mut Outcome,
) -> Result<(), String> {
    let is_sure = |at: usize| made.rows.iter().all(|row| !row[at].may_be_null() || row[at] == Cell::Null);
    let sure: Vec<(usize, &str)> =
        there.iter().map(|(at, field, _)| (*at, *field)).filter(|(at, _)| is_sure(*at)).collect();
    if sure.is_empty() {
        return Ok(());
    }
    let counted = sure.iter().map(|(_, field)| format!("count(\"{field}\")")).collect::<Vec<_>>().join(", ");
    let got = asked(client, &format!("SELECT {counted} FROM {table}")).await?;
    for ((at, _), (_, got)) in sure.into_iter().zip(got.into_iter().flatten()) {
        let own = made.rows.iter().filter(|row| row[at] != Cell::Null).count();
        if got != Some(own.to_string()) {
            outcome.wrong.push(format!("{}.{}: count is {got:?}, made were {own}", made.remote, made.columns[at].name));
        }
    }
    Ok(())
}

fn differs(made: &Made, at: usize, own: &Cell, got: Option<&str>, kind: &str) -> String {
    format!("{}.{}: made {own:?}, got {got:?} ({kind})", made.remote, made.columns[at].name)
}

type Row = Vec<(String, Option<String>)>;

async fn asked(client: &Client, sql: &str) -> Result<Vec<Row>, String> {
    let messages = client.simple_query(sql).await.map_err(|error| format!("{sql}: {}", said(&error)))?;
    let rows = messages.into_iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let cells = |row: tokio_postgres::SimpleQueryRow| {
        let names = row.columns().iter().map(|column| column.name().to_owned());
        names.enumerate().map(|(at, name)| (name, row.get(at).map(str::to_owned))).collect()
    };
    Ok(rows.map(cells).collect())
}

fn said(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(
        || error.to_string(),
        |error| format!("{}: {} {}", error.code().code(), error.message(), error.detail().unwrap_or_default()),
    )
}
