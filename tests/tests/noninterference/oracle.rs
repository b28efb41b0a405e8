//! PostgreSQL itself, asked directly: an engine that shares nothing with the gate. It holds the reduced copy, whose columns and
//! database order text by code point, and runs the same texts.

use crate::query::{Compare, Query, plain};
use querygate_tests::harness::{Answer, Fixture, PlainPostgres};

/// The reduced copy of one world in a schema of its own.
pub(crate) struct Oracle {
    server: PlainPostgres,
}

/// What an answer of the gate is beside PostgreSQL's.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Beside {
    Equal,
    /// A value raises on one side or both: whether and which first depends on the plan.
    Raised,
    /// One side does not take the statement; the code of the other.
    Refused(String),
    Different(String),
}

impl Oracle {
    /// `None` where no PostgreSQL is installed.
    pub(crate) fn over(reduced: &Fixture) -> Option<Self> {
        PlainPostgres::over(&reduced.tables).map(|server| Self { server })
    }

    /// Whether PostgreSQL answers the same, as far as it answers.
    pub(crate) fn beside(&self, query: &Query, answer: &Answer) -> Beside {
        let asked = self.server.run(&inlined(query));
        match (answer, asked) {
            (Answer::Rows { types, rows, .. }, Ok(found)) => {
                let ours = canonical(types, rows, query.compare);
                let theirs = canonical(types, &found, query.compare);
                if ours == theirs {
                    return Beside::Equal;
                }
                let first = (0..ours.len().max(theirs.len())).find(|at| ours.get(*at) != theirs.get(*at));
                let at = first.unwrap_or_default();
                Beside::Different(format!(
                    "{} rows, PostgreSQL {}; first {:?}, PostgreSQL {:?}",
                    ours.len(),
                    theirs.len(),
                    ours.get(at),
                    theirs.get(at)
                ))
            }
            (Answer::Failed { code, .. }, Err(other)) if *code == other => Beside::Equal,
            (Answer::Failed { code, .. }, Err(other)) if raised(code) && raised(&other) => Beside::Raised,
            (Answer::Failed { code, .. }, Err(other)) => Beside::Refused(format!("{code} here, {other} there")),
            (Answer::Failed { code, .. }, Ok(_)) if raised(code) => Beside::Raised,
            (Answer::Failed { code, .. }, Ok(_)) => Beside::Refused(format!("{code} here")),
            (Answer::Rows { .. } | Answer::Command(_) | Answer::Notice(_), Err(other)) if raised(&other) => {
                Beside::Raised
            }
            (Answer::Rows { .. } | Answer::Command(_) | Answer::Notice(_), Err(other)) => {
                Beside::Refused(format!("{other} there"))
            }
            (Answer::Command(_) | Answer::Notice(_), Ok(_)) => Beside::Different("no rows here".to_owned()),
        }
    }
}

/// Raised by a value, or by the size of a result.
fn raised(code: &str) -> bool {
    code.starts_with("22") || code == "21000" || code == "54000"
}

/// The text with its parameters in it: the protocol that answers in text takes none.
fn inlined(query: &Query) -> String {
    let mut text = plain(&query.text);
    for (at, value) in query.parameters.iter().enumerate().rev() {
        text = text.replace(&format!("${}", at + 1), &format!("'{}'", value.replace('\'', "''")));
    }
    text
}

/// Rows in one form on both sides, in their order where it is decided; where only their number is, nothing else.
fn canonical(types: &[String], rows: &[Vec<Option<String>>], compare: Compare) -> Vec<Vec<Option<String>>> {
    let cells = |row: &Vec<Option<String>>| {
        let cell = |(cell, of): (&Option<String>, &String)| cell.as_deref().map(|text| value(of, text));
        row.iter().zip(types).map(cell).collect::<Vec<_>>()
    };
    let mut rows: Vec<_> = match compare {
        Compare::Count => rows.iter().map(|_| Vec::new()).collect(),
        Compare::Ordered | Compare::Multiset => rows.iter().map(cells).collect(),
    };
    if compare == Compare::Multiset {
        rows.sort();
    }
    rows
}

/// A value as neither side prints it.
fn value(of: &str, text: &str) -> String {
    let of = of.split('(').next().unwrap_or(of);
    match of {
        "bool" => if text.starts_with('t') { "true" } else { "false" }.to_owned(),
        // Sums of doubles depend in their last digits on the order of their rows.
        "float4" | "float8" => match text.parse::<f64>() {
            Ok(0.0) => "0".to_owned(),
            Ok(number) => format!("{number:.11e}"),
            Err(_) => text.to_owned(),
        },
        "numeric" => shortest(text).to_owned(),
        "timestamptz" | "timestamp" => {
            let text = text.replace('T', " ");
            let text = text.trim_end_matches('Z').trim_end_matches("+00");
            shortest(text).to_owned()
        }
        "text[]" | "_text" => text.chars().filter(|c| !matches!(c, '[' | ']' | '{' | '}' | '"' | ' ')).collect(),
        _ => text.to_owned(),
    }
}

/// Without zeros behind the point.
fn shortest(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}
