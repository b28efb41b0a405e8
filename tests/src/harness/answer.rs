//! What a client gets from one statement, as texts: rows, a command's tag, or an error with everything it says.

use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::StreamExt;
use querygate_query_api::column::Column;
use querygate_query_api::outcome::Rows;
use querygate_types::{Error, ErrorCode};
use std::fmt;

/// The answer to one statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Rows {
        columns: Vec<String>,
        /// Postgres types with their modifiers.
        types: Vec<String>,
        rows: Vec<Vec<Option<String>>>,
    },
    Command(String),
    /// SQLSTATE and text of a notice beside an answer.
    Notice(String),
    Failed {
        /// SQLSTATE.
        code: String,
        message: String,
        detail: Option<String>,
        hint: Option<String>,
    },
}

impl Answer {
    pub(super) fn failed(error: &Error) -> Self {
        if std::env::var_os("PRINT_CAUSES").is_some() && error.code() == ErrorCode::Internal {
            println!("cause: {:?}", error.cause());
        }
        Self::Failed {
            code: error.code().sqlstate().to_owned(),
            message: error.message().to_owned(),
            detail: error.detail().map(str::to_owned),
            hint: error.hint().map(str::to_owned),
        }
    }

    pub(super) fn rows(described: &[Column], batches: &[RecordBatch]) -> Self {
        let options = FormatOptions::default();
        let mut rows = Vec::new();
        for batch in batches {
            let columns: Vec<_> =
                batch.columns().iter().map(|c| (c, ArrayFormatter::try_new(c.as_ref(), &options).unwrap())).collect();
            for at in 0..batch.num_rows() {
                let cell = |(array, format): &(&arrow::array::ArrayRef, ArrayFormatter<'_>)| {
                    (!array.is_null(at)).then(|| format.value(at).to_string())
                };
                rows.push(columns.iter().map(cell).collect());
            }
        }
        let typed = |c: &Column| match c.type_modifier {
            -1 => c.pg_type.name().to_owned(),
            modifier => format!("{}({modifier})", c.pg_type.name()),
        };
        Self::Rows {
            columns: described.iter().map(|c| c.name.clone()).collect(),
            types: described.iter().map(typed).collect(),
            rows,
        }
    }

    /// The rows of an outcome, or the error that ended them.
    pub async fn collect(mut rows: Rows) -> Self {
        let mut batches = Vec::new();
        while let Some(batch) = rows.batches.next().await {
            match batch {
                Ok(batch) => batches.push(batch),
                Err(error) => return Self::failed(&error),
            }
        }
        Self::rows(&rows.columns, &batches)
    }

    /// SQLSTATE of a failure.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Failed { code, .. } => Some(code),
            Self::Rows { .. } | Self::Command(_) | Self::Notice(_) => None,
        }
    }

    /// The rows; panics on anything else.
    #[must_use]
    pub fn table(&self) -> &[Vec<Option<String>>] {
        match self {
            Self::Rows { rows, .. } => rows,
            Self::Command(_) | Self::Notice(_) | Self::Failed { .. } => panic!("no rows: {self}"),
        }
    }

    /// The same with rows in an order of their own: equal for equal multisets.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        if let Self::Rows { rows, .. } = &mut self {
            rows.sort();
        }
        self
    }

    /// Every text that the client is sent, in one.
    #[must_use]
    pub fn text(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command(tag) | Self::Notice(tag) => f.write_str(tag),
            Self::Failed { code, message, detail, hint } => {
                write!(f, "{code} {message}")?;
                detail.iter().try_for_each(|d| write!(f, "\n  detail: {d}"))?;
                hint.iter().try_for_each(|h| write!(f, "\n  hint: {h}"))
            }
            Self::Rows { columns, types, rows } => {
                let heads = columns.iter().zip(types).map(|(c, t)| format!("{c} {t}"));
                write!(f, "{}", heads.collect::<Vec<_>>().join(" | "))?;
                for row in rows {
                    let cells = row.iter().map(|c| c.as_deref().unwrap_or("NULL"));
                    write!(f, "\n{}", cells.collect::<Vec<_>>().join(" | "))?;
                }
                write!(f, "\n({} rows)", rows.len())
            }
        }
    }
}

/// Equal text, or numbers that differ by less than the last digit of an average of decimals.
fn same(found: &str, expected: &str) -> bool {
    found == expected
        || match (found.parse::<f64>(), expected.parse::<f64>()) {
            (Ok(found), Ok(expected)) => (found - expected).abs() <= 1.1e-6 + 1e-9 * expected.abs(),
            _ => false,
        }
}

/// What is wrong with an answer, beside the rows that another engine gave: lines of cells apart by tabs.
#[must_use]
pub fn answer_differs(found: &Answer, expected: &str) -> Option<String> {
    let expected: Vec<Vec<&str>> = expected.lines().map(|line| line.split('\t').map(str::trim).collect()).collect();
    let found: Vec<Vec<&str>> =
        found.table().iter().map(|row| row.iter().map(|cell| cell.as_deref().unwrap_or("").trim()).collect()).collect();
    if found.len() != expected.len() {
        return Some(format!("{} rows, expected {}", found.len(), expected.len()));
    }
    let equal = |f: &Vec<&str>, e: &Vec<&str>| f.len() == e.len() && f.iter().zip(e).all(|(f, e)| same(f, e));
    let other = found.iter().zip(&expected).find(|(f, e)| !equal(f, e));
    other.map(|(found, expected)| format!("{found:?}, expected {expected:?}"))
}
