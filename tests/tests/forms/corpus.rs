//! The corpus in its forms: each statement of `tests/postgres/*.tsv` as it is, with its literals as parameters, and in other
//! statements.

use crate::case::{Ask, Case, PARAMETER_FORMS, Value};
use crate::literals::{Literal, literals, with_places};
use crate::sources::Gate;
use crate::tables::{Over, Table};
use crate::wire::Format;
use std::path::Path;

/// A statement of the corpus.
#[derive(Debug, Clone)]
pub(crate) struct Statement {
    pub(crate) sql: String,
    /// Columns of PostgreSQL's answer; none where it refuses.
    pub(crate) columns: usize,
    /// Why the gate answers otherwise.
    pub(crate) reason: Option<String>,
}

impl Statement {
    /// A query: it may stand in another one.
    pub(crate) fn is_query(&self) -> bool {
        let head = self.sql.trim_start_matches(['(', ' ']).to_ascii_uppercase();
        ["SELECT", "WITH", "VALUES"].iter().any(|word| head.starts_with(word))
    }
}

pub(crate) fn statements() -> Vec<Statement> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("postgres");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let texts = files.iter().map(|file| std::fs::read_to_string(file).unwrap());
    let lines = texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>());
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(|line| statement(&line)).collect()
}

fn statement(line: &str) -> Statement {
    let parts: Vec<&str> = line.split('\t').collect();
    let head = parts[1].split_once(" => ").map_or("", |(head, _)| head);
    let columns = if parts[1].starts_with('!') || head.is_empty() { 0 } else { head.split(", ").count() };
    Statement { sql: parts[0].to_owned(), columns, reason: parts.get(2).map(|reason| (*reason).to_owned()) }
}

/// Where a query stands in another statement. `{}` is the query.
const SHAPES: [(&str, &str); 9] = [
    ("subquery", "SELECT * FROM ({}) q"),
    ("CTE", "WITH q AS ({}) SELECT * FROM q"),
    ("CTE twice", "WITH q AS ({}) SELECT * FROM q UNION ALL SELECT * FROM q"),
    ("left join, found", "SELECT q.* FROM (VALUES (1)) o(k) LEFT JOIN ({}) q ON true"),
    ("left join, not found", "SELECT q.* FROM (VALUES (1)) o(k) LEFT JOIN ({}) q ON o.k = 2"),
    ("right join, not found", "SELECT q.* FROM ({}) q RIGHT JOIN (VALUES (1)) o(k) ON o.k = 2"),
    ("full join", "SELECT * FROM (SELECT 1 AS k1, q.* FROM ({}) q) a FULL JOIN (SELECT 2 AS k2) b ON a.k1 = b.k2"),
    ("lateral", "SELECT q.* FROM (VALUES (1), (2)) o(k), LATERAL (SELECT * FROM ({}) i WHERE o.k = 2) q"),
    ("rows counted", "SELECT count(*), count(q.*) FROM (VALUES (1)) o(k) LEFT JOIN ({}) q ON o.k = 2"),
];
/// The same for queries of one column.
const SCALAR_SHAPES: [(&str, &str); 9] = [
    ("scalar", "SELECT ({}) AS v"),
    ("scalar, empty", "SELECT (SELECT * FROM ({}) q WHERE false) AS v"),
    ("scalar, empty, IS NULL", "SELECT (SELECT * FROM ({}) q WHERE false) IS NULL AS v"),
    (
        "scalar, empty, CASE",
        "SELECT CASE WHEN (SELECT * FROM ({}) q WHERE false) IS NULL THEN 'none' ELSE 'one' END AS v",
    ),
    ("scalar, empty, WHERE", "SELECT 1 AS v WHERE (SELECT * FROM ({}) q WHERE false) IS NOT NULL"),
    ("scalar, empty, coalesce", "SELECT coalesce((SELECT * FROM ({}) q WHERE false), ({})) AS v"),
    (
        "scalar, empty, correlated",
        "SELECT o.k, (SELECT q.v FROM ({}) q(v) WHERE o.k = 2) IS NULL AS v FROM (VALUES (1), (2)) o(k)",
    ),
    ("VALUES", "VALUES ((SELECT * FROM ({}) q WHERE false))"),
    ("EXISTS", "SELECT EXISTS (SELECT * FROM ({}) q(v) WHERE v IS NULL) AS v"),
];

/// Every form of a statement that needs no source.
pub(crate) fn forms(statement: &Statement) -> Vec<Case> {
    let case = |form, sql: String, ask| Case {
        form,
        source: "none",
        sql,
        ask,
        values: Vec::new(),
        reason: statement.reason.clone(),
    };
    let mut cases = vec![case("simple", statement.sql.clone(), Ask::Simple)];
    if !statement.is_query() {
        return cases;
    }
    cases.push(case("extended", statement.sql.clone(), Ask::Extended(Format::Text)));
    cases.push(case("binary results", statement.sql.clone(), Ask::Extended(Format::Binary)));
    cases.extend(with_parameters(statement));
    if statement.columns == 0 {
        return cases;
    }
    let scalar = SCALAR_SHAPES.iter().filter(|_| statement.columns == 1);
    cases.extend(
        SHAPES.iter().chain(scalar).map(|&(form, shape)| case(form, shape.replace("{}", &statement.sql), Ask::Simple)),
    );
    cases
}

/// All literals as parameters, then the first one alone, then the last one.
fn with_parameters(statement: &Statement) -> Vec<Case> {
    let all = literals(&statement.sql);
    let chosen: Vec<&[Literal]> = match all.len() {
        0 => return Vec::new(),
        1 => vec![&all],
        last => vec![&all, &all[..1], &all[last - 1..]],
    };
    let forms = chosen.into_iter().flat_map(|chosen| {
        let sql = with_places(&statement.sql, chosen, |at| format!("${}", at + 1));
        let value = |literal: &Literal| Value { text: Some(literal.value.clone()), pg_type: literal.pg_type.clone() };
        let values: Vec<Value> = chosen.iter().map(value).collect();
        PARAMETER_FORMS.into_iter().map(move |(form, ask)| Case {
            form,
            source: "none",
            sql: sql.clone(),
            ask,
            values: values.clone(),
            reason: statement.reason.clone(),
        })
    });
    forms.collect()
}

/// Statements over tables: in each source as they are, and under an outer join and in a scalar subquery.
pub(crate) fn over_sources(over: &[Over], tables: &[Table], gate: &Gate) -> Vec<Case> {
    let mut cases = Vec::new();
    for (statement, source) in over.iter().flat_map(|over| gate.sources.iter().map(move |source| (over, *source))) {
        let name = &tables[statement.table].name;
        if !gate.shown.contains(&(source, name.clone())) {
            continue;
        }
        let sql = statement.sql.replace("{table}", &format!("{source}_{name}"));
        // Literals as columns are many: one form of each is enough.
        let beside: &[&str] =
            if statement.form == "rows" { &["CTE", "left join, not found", "rows counted"] } else { &[] };
        let shapes = SHAPES.iter().filter(|(form, _)| beside.contains(form));
        let shapes = shapes.map(|(form, shape)| (*form, shape.replace("{}", &sql)));
        cases.extend([(statement.form, sql.clone())].into_iter().chain(shapes).map(|(form, sql)| Case {
            form,
            source,
            sql,
            ask: Ask::Simple,
            values: Vec::new(),
            reason: statement.reason.clone(),
        }));
    }
    cases
}
