//! PostgreSQL's own settings that mean nothing here: its planner's, its memory's, its log's. Clients show them, and set those that any user
//! may set, to any value of their type; none has an effect. What would change answers keeps its value.

use super::{Kind, Setting};
use std::collections::HashMap;
use std::sync::LazyLock;

/// By name in lower case.
static NAMED: LazyLock<HashMap<String, Setting>> = LazyLock::new(|| {
    let lines = include_str!("postgres.tsv").lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(of_line).map(|setting| (setting.name.to_ascii_lowercase(), setting)).collect()
});

pub(super) fn find(name: &str) -> Option<&'static Setting> {
    NAMED.get(&name.to_ascii_lowercase())
}

/// All of them, by name.
pub(super) fn all() -> Vec<&'static Setting> {
    let mut all: Vec<_> = NAMED.values().collect();
    all.sort_by_key(|setting| setting.name.to_ascii_lowercase());
    all
}

/// A setting of a line. `None`: it is none, which a test forbids.
fn of_line(line: &'static str) -> Option<Setting> {
    let [name, of_type, unit, value, who, choices] = line.split('\t').collect::<Vec<_>>().try_into().ok()?;
    let typed = match of_type {
        "bool" => Kind::Bool,
        "integer" => Kind::Quantity(Unit::of(unit)?),
        "real" => Kind::Real,
        "enum" => Kind::Choice(choices.split(',').collect::<Vec<_>>().leak()),
        "string" => Kind::Text,
        _ => return None,
    };
    let kind = match who {
        "user" => typed,
        "same" => Kind::Same,
        "superuser" => Kind::Superuser,
        "postmaster" | "sighup" | "internal" | "backend" | "superuser-backend" => Kind::Fixed,
        _ => return None,
    };
    let default = match typed {
        // Few texts, made once.
        Kind::Quantity(unit) => unit.show(value.parse().ok()?).leak(),
        _ => value,
    };
    let context = if who == "same" { "user" } else { who };
    let help = "PostgreSQL's own: no effect here.";
    Some(Setting { name, kind, default, reported: false, help, vartype: of_type, context })
}

/// What a whole number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    One,
    /// Bytes, this many each.
    Bytes(i64),
    /// Milliseconds, this many each.
    Milliseconds(i64),
}

const BYTES: [(&str, i64); 5] = [("TB", 1 << 40), ("GB", 1 << 30), ("MB", 1 << 20), ("kB", 1 << 10), ("B", 1)];
const TIMES: [(&str, i64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000), ("ms", 1)];

impl Unit {
    fn of(unit: &str) -> Option<Self> {
        Some(match unit {
            "" => Self::One,
            "B" => Self::Bytes(1),
            "kB" => Self::Bytes(1 << 10),
            "8kB" => Self::Bytes(8 << 10),
            "MB" => Self::Bytes(1 << 20),
            "ms" => Self::Milliseconds(1),
            "s" => Self::Milliseconds(1_000),
            "min" => Self::Milliseconds(60_000),
            _ => return None,
        })
    }

    fn scale(self) -> (&'static [(&'static str, i64)], i64) {
        match self {
            Self::One => (&[], 1),
            Self::Bytes(each) => (&BYTES, each),
            Self::Milliseconds(each) => (&TIMES, each),
        }
    }

    /// The number that a text means: with a unit of its kind, or in this one.
    pub(super) fn read(self, text: &str) -> Option<i64> {
        let text = text.trim();
        let end = text.find(|c: char| !(c.is_ascii_digit() || c == '-')).unwrap_or(text.len());
        let number: i64 = text.get(..end)?.parse().ok()?;
        let (units, each) = self.scale();
        match text.get(end..)?.trim() {
            "" => Some(number),
            unit => {
                let (_, size) = units.iter().find(|(name, _)| *name == unit)?;
                number.checked_mul(*size).map(|all| all / each)
            }
        }
    }

    /// In the largest unit that divides it, as SHOW prints it.
    pub(super) fn show(self, number: i64) -> String {
        let (units, each) = self.scale();
        let whole = number.checked_mul(each).filter(|whole| *whole > 0);
        let shown = whole.and_then(|whole| {
            let (name, size) = units.iter().find(|(_, size)| whole % size == 0)?;
            Some(format!("{}{name}", whole / size))
        });
        shown.unwrap_or_else(|| number.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_setting_that_the_gate_has_not() {
        let lines: Vec<_> = include_str!("postgres.tsv").lines().filter(|line| !line.starts_with('#')).collect();
        assert!(lines.len() > 200);
        for line in lines {
            let setting = of_line(line).unwrap_or_else(|| panic!("no setting: {line}"));
            assert!(!super::super::SETTINGS.iter().any(|own| own.name.eq_ignore_ascii_case(setting.name)), "{line}");
        }
    }

    #[test]
    fn quantities_are_shown_as_postgres_shows_them() {
        for (name, shown) in [
            ("work_mem", "4MB"),
            ("shared_buffers", "128MB"),
            ("effective_cache_size", "4GB"),
            ("wal_level", "replica"),
            ("max_connections", "100"),
            ("jit_above_cost", "100000"),
            ("deadlock_timeout", "1s"),
            ("tcp_user_timeout", "0"),
            ("jit_expressions", "on"),
        ] {
            assert_eq!(find(name).unwrap().default, shown, "{name}");
        }
        for (text, number) in
            [("64MB", Some(65_536)), ("100", Some(100)), ("1 GB", Some(1 << 20)), ("1s", None), ("x", None)]
        {
            assert_eq!(Unit::Bytes(1 << 10).read(text), number, "{text}");
        }
    }
}
