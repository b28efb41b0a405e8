//! The server's refusals of changes as our codes. Its own texts quote keys and name columns: they go to the log only.

use crate::error::{error_number, from_sqlx};
use querygate_driver_api::write::Violation;
use querygate_types::{Error, ErrorCode, SourceRule};

/// Error numbers that MariaDB and MySQL share, and those that only one of them has.
pub(super) fn from_change(error: &sqlx::Error) -> Error {
    let violation = match error_number(error) {
        Some(1062 | 1586) => Violation::Unique,
        Some(1048 | 1364) => Violation::NotNull,
        Some(1216 | 1217 | 1451 | 1452) => Violation::ForeignKey,
        // A check, and what a trigger signals.
        Some(3819 | 4025 | 1369 | 1644) => Violation::Check,
        Some(1906 | 3105) => Violation::Generated,
        Some(1020) => Violation::Serialization,
        Some(1213) => Violation::Deadlock,
        Some(1205 | 3572) => Violation::Locked,
        Some(1265 | 1292 | 1366 | 1411 | 3140 | 4078) => Violation::Value,
        Some(1264) => return Error::new(ErrorCode::NumericOutOfRange, "value is out of range").with_cause(error),
        Some(1406) => return Error::new(ErrorCode::StringDataTooLong, "text is too long").with_cause(error),
        Some(1044 | 1142 | 1143 | 1227 | 1370) => {
            return Error::new(ErrorCode::SourceError, "source refuses to let its tables be changed")
                .with_hint("An operator can grant the change to the source's writing user.")
                .with_source_rule(rule(&error.to_string()))
                .with_cause(error);
        }
        _ => return from_sqlx(error),
    };
    violation.error().with_source_rule(rule(&error.to_string())).with_cause(error)
}

/// What the server's text says: the key behind a duplicate's value, which may hold any text; a column; a constraint, and its table.
fn rule(message: &str) -> SourceRule {
    let quoted = |text: &str, mark: char| text.split(mark).next().map(str::to_owned);
    let after = |words: &str, mark: char| message.split_once(words).and_then(|(_, rest)| quoted(rest, mark));
    let mut rule = SourceRule::default();
    if let Some((_, key)) = message.rsplit_once(" for key '") {
        let key = key.split('\'').next().unwrap_or_default();
        // MySQL says the table, too.
        let (table, key) = key.split_once('.').map_or((None, key), |(table, key)| (Some(table.to_owned()), key));
        (rule.table, rule.constraint) = (table, Some(key.to_owned()));
        return rule;
    }
    if let Some((_, place)) = message.split_once(" fails (`") {
        rule.table = place.split_once("`.`").and_then(|(_, rest)| quoted(rest, '`'));
        rule.constraint = after("CONSTRAINT `", '`');
        rule.is_referred_to = message.contains("a parent row");
        return rule;
    }
    rule.constraint = after("CONSTRAINT `", '`').or_else(|| after("Check constraint '", '\''));
    // `INSERT command denied to user 'u'@'h' for table `db`.`t``, on MySQL with one pair of quotes.
    rule.table = message.rsplit_once(" for table ").map(|(_, name)| {
        let name = name.trim_matches(['\'', '`']);
        name.rsplit('.').next().unwrap_or(name).trim_matches('`').to_owned()
    });
    let column = after("Column '", '\'').or_else(|| after("Field '", '\''));
    rule.columns = column.into_iter().collect();
    rule
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_from_what_servers_say() {
        let of = |message: &str| {
            let SourceRule { table, constraint, columns, .. } = rule(message);
            (table.unwrap_or_default(), constraint.unwrap_or_default(), columns.join("|"))
        };
        let own = |table: &str, constraint: &str, columns: &str| (table.into(), constraint.into(), columns.into());
        for (message, expected) in [
            ("1062 (23000): Duplicate entry 'x' for key 'y' for key 'u_name'", own("", "u_name", "")),
            ("1062 (23000): Duplicate entry '1' for key 't.PRIMARY'", own("t", "PRIMARY", "")),
            ("1048 (23000): Column 'a' cannot be null", own("", "", "a")),
            ("1364 (HY000): Field 'a' doesn't have a default value", own("", "", "a")),
            (
                "1452 (23000): Cannot add or update a child row: a foreign key constraint fails (`shop`.`lines`, CONSTRAINT `to_order` \
                 FOREIGN KEY (`o`) REFERENCES `orders` (`id`))",
                own("lines", "to_order", ""),
            ),
            ("4025 (23000): CONSTRAINT `sound` failed for `shop`.`lines`", own("", "sound", "")),
            ("3819 (HY000): Check constraint 'sound' is violated.", own("", "sound", "")),
            ("1142 (42000): DELETE command denied to user 'w'@'h' for table `shop`.`lines`", own("lines", "", "")),
            ("1142 (42000): DELETE command denied to user 'w'@'h' for table 'lines'", own("lines", "", "")),
        ] {
            assert_eq!(of(message), expected, "{message}");
        }
    }
}
