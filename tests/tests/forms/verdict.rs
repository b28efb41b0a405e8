//! Whether two answers are alike, differ for a reason that `engine/docs/differences.md` gives, or differ.

use crate::case::Case;
use crate::wire::{Answer, Cell, Column};
use std::fmt;
use tokio_postgres::types::Type;

/// What differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Other values or rows.
    Rows,
    /// The same numbers with another number of places.
    Places,
    Types,
    Names,
    /// The types of parameters.
    Parameters,
    /// The gate refuses.
    Refused,
    /// The gate answers what PostgreSQL refuses.
    Answered,
    Internal,
    Lost,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Alike,
    Known(String),
    Different(Kind),
}

pub(crate) fn judge(case: &Case, postgres: &Answer, gate: &Answer) -> Verdict {
    let verdict = difference(case, postgres, gate);
    match verdict {
        None => Verdict::Alike,
        Some(kind @ (Kind::Internal | Kind::Lost)) => Verdict::Different(kind),
        Some(kind) => match case.reason.clone().or_else(|| reason(case, kind, postgres, gate)) {
            Some(reason) => Verdict::Known(reason),
            None => Verdict::Different(kind),
        },
    }
}

fn difference(case: &Case, postgres: &Answer, gate: &Answer) -> Option<Kind> {
    match (postgres, gate) {
        (_, Answer::Failed(code)) if code == "XX000" => Some(Kind::Internal),
        (_, Answer::Lost) => Some(Kind::Lost),
        // Both refuse: one class of SQLSTATE is enough, since texts are each server's own.
        (Answer::Failed(theirs), Answer::Failed(ours)) => (theirs[..2] != ours[..2]).then_some(Kind::Refused),
        (Answer::Unfit(theirs), Answer::Unfit(ours)) => (theirs != ours).then_some(Kind::Parameters),
        (Answer::Unfit(_), _) | (_, Answer::Unfit(_)) => Some(Kind::Parameters),
        (Answer::Failed(_) | Answer::Lost, Answer::Rows { .. }) => Some(Kind::Answered),
        (_, Answer::Failed(_)) => Some(Kind::Refused),
        (
            Answer::Rows { parameters, columns, rows },
            Answer::Rows { parameters: our_parameters, columns: our_columns, rows: our_rows },
        ) => {
            let by_rows = rows_differ(case, (columns, rows), (our_columns, our_rows));
            by_rows.or_else(|| (parameters != our_parameters).then_some(Kind::Parameters))
        }
    }
}

type Table<'a> = (&'a [Column], &'a [Vec<Cell>]);

fn rows_differ(case: &Case, theirs: Table<'_>, ours: Table<'_>) -> Option<Kind> {
    let types = |table: Table<'_>| table.0.iter().map(|column| column.oid).collect::<Vec<_>>();
    let names = |table: Table<'_>| table.0.iter().map(|column| column.name.clone()).collect::<Vec<_>>();
    let (mut their_rows, mut our_rows) = (theirs.1.to_vec(), ours.1.to_vec());
    if !case.is_ordered() {
        their_rows.sort();
        our_rows.sort();
    }
    if their_rows != our_rows {
        let close = their_rows.len() == our_rows.len()
            && their_rows.iter().flatten().zip(our_rows.iter().flatten()).all(|(their, our)| same_number(their, our));
        return Some(if close && types(theirs) == types(ours) { Kind::Places } else { Kind::Rows });
    }
    if types(theirs) != types(ours) {
        return Some(Kind::Types);
    }
    (names(theirs) != names(ours)).then_some(Kind::Names)
}

/// Equal, or one number written with more zeros.
fn same_number(their: &Cell, our: &Cell) -> bool {
    let trimmed = |cell: &Cell| {
        let text = String::from_utf8(cell.clone()?).ok()?;
        let decimal =
            text.contains('.') && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.' || byte == b'-');
        decimal.then(|| text.trim_end_matches('0').trim_end_matches('.').to_owned()).or(Some(text))
    };
    their == our || (trimmed(their).is_some() && trimmed(their) == trimmed(our))
}

/// Within the last digits of a double.
fn near(their: &Cell, our: &Cell) -> bool {
    let number = |cell: &Cell| String::from_utf8(cell.clone()?).ok()?.parse::<f64>().ok();
    match (number(their), number(our)) {
        (Some(their), Some(our)) => their == our || (their - our).abs() <= 1e-9 * their.abs().max(our.abs()),
        _ => their == our,
    }
}

/// The reason of `engine/docs/differences.md` that explains a difference of the form itself.
fn reason(case: &Case, kind: Kind, postgres: &Answer, gate: &Answer) -> Option<String> {
    let sql = case.sql.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| sql.contains(word));
    let reason = match (kind, postgres, gate) {
        (Kind::Refused, Answer::Failed(_), Answer::Failed(_)) => "code",
        (Kind::Answered, Answer::Failed(code), _) if ["42883", "42804", "42725", "42846"].contains(&code.as_str()) => {
            "checked-later"
        }
        (Kind::Refused, Answer::Rows { .. }, Answer::Failed(code)) if is_wide(case, postgres) && is_limit(code) => {
            "numeric-width"
        }
        (Kind::Places, Answer::Rows { rows, .. }, _) if rows.len() > 1 => "numeric-scale",
        (Kind::Rows | Kind::Types | Kind::Places, Answer::Rows { rows, .. }, Answer::Rows { rows: ours, .. })
            if rows.len() == ours.len()
                && rows.iter().flatten().zip(ours.iter().flatten()).all(|(a, b)| near(a, b)) =>
        {
            if has(&["avg("]) || (case.source != "none" && has(&["/"])) {
                "numeric-average"
            } else if has(&["sqrt(", "exp(", "ln(", "log(", "log10(", "power(", "^", "stddev", "var", "corr", "regr"]) {
                "double"
            } else {
                return None;
            }
        }
        _ => return None,
    };
    Some(reason.to_owned())
}

fn is_limit(code: &str) -> bool {
    ["22003", "0A000", "22P02"].contains(&code)
}

/// A number of more than 38 digits, or none, in the answer or beside the statement.
fn is_wide(case: &Case, postgres: &Answer) -> bool {
    let wide = |text: &str| {
        text.bytes().filter(u8::is_ascii_digit).count() > 38 || ["NaN", "Infinity", "-Infinity"].contains(&text)
    };
    let values = case.values.iter().filter(|value| value.pg_type == Type::NUMERIC);
    let sent = values.filter_map(|value| value.text.as_deref()).any(wide);
    sent || match postgres {
        Answer::Rows { rows, .. } => {
            rows.iter().flatten().flatten().any(|cell| wide(std::str::from_utf8(cell).unwrap_or_default()))
        }
        Answer::Failed(_) | Answer::Unfit(_) | Answer::Lost => false,
    }
}

/// An answer on one line.
pub(crate) struct Shown<'a>(pub(crate) &'a Answer);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |oid: &u32| Type::from_oid(*oid).map_or(oid.to_string(), |known| known.name().to_owned());
        match self.0 {
            Answer::Failed(code) => write!(f, "!{code}"),
            Answer::Unfit(types) => write!(f, "!unfit for {:?}", types.iter().map(named).collect::<Vec<_>>()),
            Answer::Lost => f.write_str("!lost"),
            Answer::Rows { parameters, columns, rows } => {
                if !parameters.is_empty() {
                    write!(f, "({}) ", parameters.iter().map(named).collect::<Vec<_>>().join(", "))?;
                }
                let heads = columns.iter().map(|column| format!("{} {}", column.name, named(&column.oid)));
                write!(f, "{} => ", heads.collect::<Vec<_>>().join(", "))?;
                let cell = |cell: &Cell| match cell {
                    None => "NULL".to_owned(),
                    Some(bytes) => std::str::from_utf8(bytes).map_or_else(
                        |_| bytes.iter().fold("0x".to_owned(), |text, byte| text + &format!("{byte:02x}")),
                        |text| text.escape_debug().to_string(),
                    ),
                };
                let row = |row: &Vec<Cell>| row.iter().map(cell).collect::<Vec<_>>().join("|");
                write!(f, "{}", rows.iter().map(row).collect::<Vec<_>>().join(" ; "))
            }
        }
    }
}
