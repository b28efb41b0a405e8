//! SQLite's refusals of changes as our codes. Its own texts name columns, so that they go to the log only.

use crate::error::from_sqlx;
use querygate_driver_api::write::Violation;
use querygate_types::{Error, SourceRule};

/// Extended result codes of <https://sqlite.org/rescode.html>.
pub(super) fn from_change(error: &sqlx::Error) -> Error {
    let sqlx::Error::Database(database) = error else { return from_sqlx(error) };
    let code = database.code().and_then(|code| code.parse::<i32>().ok()).unwrap_or(1);
    let message = database.message();
    let violation = match (code & 0xff, code) {
        (19, 787) => Violation::ForeignKey,
        (19, 1_299) => Violation::NotNull,
        (19, 1_555 | 2_067 | 2_579) => Violation::Unique,
        (19, 3_091) | (20, _) => Violation::Value,
        // A check, a trigger's own words, or a rule of a kind that we do not know.
        (19, _) => Violation::Check,
        (5 | 6, _) => Violation::Locked,
        (1, _) if message.contains("generated column") => Violation::Generated,
        _ => return from_sqlx(error),
    };
    violation.error().with_source_rule(rule(message)).with_cause(error)
}

/// `UNIQUE constraint failed: t.a, t.b`; `CHECK constraint failed: name`, which is the condition where it has none.
fn rule(message: &str) -> SourceRule {
    let Some((kind, names)) = message.split_once(" constraint failed: ") else { return SourceRule::default() };
    if kind == "CHECK" {
        return SourceRule { constraint: Some(names.to_owned()), ..SourceRule::default() };
    }
    let columns: Vec<(&str, &str)> = names.split(", ").filter_map(|name| name.split_once('.')).collect();
    SourceRule {
        table: columns.first().map(|(table, _)| (*table).to_owned()),
        constraint: None,
        columns: columns.iter().map(|(_, column)| (*column).to_owned()).collect(),
        ..SourceRule::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_from_what_sqlite_says() {
        let of = |message: &str| {
            let SourceRule { table, constraint, columns, .. } = rule(message);
            (table.unwrap_or_default(), constraint.unwrap_or_default(), columns.join("|"))
        };
        let own = |table: &str, constraint: &str, columns: &str| (table.into(), constraint.into(), columns.into());
        assert_eq!(of("UNIQUE constraint failed: t.a, t.b"), own("t", "", "a|b"));
        assert_eq!(of("NOT NULL constraint failed: t.a"), own("t", "", "a"));
        assert_eq!(of("CHECK constraint failed: sound"), own("", "sound", ""));
        assert_eq!(of("FOREIGN KEY constraint failed"), own("", "", ""));
    }
}
