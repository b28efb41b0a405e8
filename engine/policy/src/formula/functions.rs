//! The functions of formulas, by name and number of arguments.

use super::calendar::{add_days, add_months, day_at};
use super::{Cell, Fault, TEXT_BYTES_MAX};
use std::cmp::Ordering;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Now,
    Today,
    DaysAgo,
    DaysFromNow,
    AddDays,
    AddMonths,
    DaysBetween,
    Date,
    Datetime,
    IsBlank,
    IsEmpty,
    Coalesce,
    JoinNonEmpty,
    Trim,
    Lower,
    Upper,
    Len,
    Contains,
    StartsWith,
    EndsWith,
    Abs,
    Ceil,
    Floor,
    Round,
    Min,
    Max,
    String,
    Double,
    Int,
}

impl Function {
    /// The function that a call names, written as `f(x, y)` or `x.f(y)`; `None` for one that formulas do not have.
    pub(super) fn of(name: &str, arguments: usize) -> Option<Self> {
        Some(match (name, arguments) {
            ("now", 0) => Self::Now,
            ("today", 0) => Self::Today,
            ("daysAgo", 1) => Self::DaysAgo,
            ("daysFromNow", 1) => Self::DaysFromNow,
            ("addDays", 2) => Self::AddDays,
            ("addMonths", 2) => Self::AddMonths,
            ("daysBetween", 2) => Self::DaysBetween,
            ("date", 1) => Self::Date,
            ("datetime" | "timestamp", 1) => Self::Datetime,
            ("isBlank", 1) => Self::IsBlank,
            ("isEmpty", 1) => Self::IsEmpty,
            ("coalesce", 2) => Self::Coalesce,
            ("joinNonEmpty", 2) => Self::JoinNonEmpty,
            ("trim", 1) => Self::Trim,
            ("lower" | "lowerAscii", 1) => Self::Lower,
            ("upper" | "upperAscii", 1) => Self::Upper,
            ("len" | "size", 1) => Self::Len,
            ("contains", 2) => Self::Contains,
            ("startsWith", 2) => Self::StartsWith,
            ("endsWith", 2) => Self::EndsWith,
            ("abs", 1) => Self::Abs,
            ("ceil", 1) => Self::Ceil,
            ("floor", 1) => Self::Floor,
            ("round", 1) => Self::Round,
            ("min", 2) => Self::Min,
            ("max", 2) => Self::Max,
            ("string", 1) => Self::String,
            ("double", 1) => Self::Double,
            ("int", 1) => Self::Int,
            _ => return None,
        })
    }

    /// Its value. The number of arguments is the one it was found by.
    pub(super) fn call(self, arguments: &[Cell], now_ms: i64) -> Result<Cell, Fault> {
        let first = arguments.first().unwrap_or(&Cell::Null);
        let second = arguments.get(1).unwrap_or(&Cell::Null);
        match self {
            Self::Now => Ok(Cell::Timestamp(now_ms)),
            Self::Today => day_at(now_ms).map(Cell::Date),
            Self::DaysAgo => day_of(now_ms, first.integer()?.checked_neg().ok_or(Fault::Range)?),
            Self::DaysFromNow => day_of(now_ms, first.integer()?),
            Self::AddDays => shift(first, second.integer()?, add_days),
            Self::AddMonths => shift(first, second.integer()?, add_months),
            Self::DaysBetween => {
                Ok(Cell::Integer(i64::from(day_at(second.instant()?)?) - i64::from(day_at(first.instant()?)?)))
            }
            Self::Date => day_at(first.instant()?).map(Cell::Date),
            Self::Datetime => first.instant().map(Cell::Timestamp),
            Self::IsBlank => Ok(Cell::Boolean(match first {
                Cell::Text(text) => text.trim().is_empty(),
                other => other.is_empty(),
            })),
            Self::IsEmpty => Ok(Cell::Boolean(first.is_empty())),
            Self::Coalesce => Ok(if *first == Cell::Null { second } else { first }.clone()),
            Self::JoinNonEmpty => join(first, second.text()?),
            Self::Trim => Ok(Cell::Text(first.text()?.trim().to_owned())),
            Self::Lower => bounded(first.text()?.to_lowercase()),
            Self::Upper => bounded(first.text()?.to_uppercase()),
            Self::Len => length(first),
            Self::Contains => contains(first, second),
            Self::StartsWith => Ok(Cell::Boolean(first.text()?.starts_with(second.text()?))),
            Self::EndsWith => Ok(Cell::Boolean(first.text()?.ends_with(second.text()?))),
            Self::Abs | Self::Ceil | Self::Floor | Self::Round => self.number(first),
            Self::Min => pick(first, second, Ordering::Less),
            Self::Max => pick(first, second, Ordering::Greater),
            Self::String => first.render().map(Cell::Text),
            Self::Double => match first {
                Cell::Text(text) => text.trim().parse().map(Cell::Float).map_err(|_| Fault::Type),
                other => other.float().map(Cell::Float),
            },
            Self::Int => match first {
                Cell::Text(text) => text.trim().parse().map(Cell::Integer).map_err(|_| Fault::Type),
                Cell::Float(n) => Cell::Float(n.trunc()).integer().map(Cell::Integer),
                other => other.integer().map(Cell::Integer),
            },
        }
    }

    /// Whole numbers stay whole.
    fn number(self, of: &Cell) -> Result<Cell, Fault> {
        if let Cell::Integer(n) = of {
            return Ok(Cell::Integer(if self == Self::Abs { n.checked_abs().ok_or(Fault::Range)? } else { *n }));
        }
        let n = of.float()?;
        Ok(Cell::Float(match self {
            Self::Abs => n.abs(),
            Self::Ceil => n.ceil(),
            Self::Floor => n.floor(),
            // Halves go up, as JavaScript rounds.
            _ => (n + 0.5).floor(),
        }))
    }
}

fn day_of(now_ms: i64, days: i64) -> Result<Cell, Fault> {
    add_days(day_at(now_ms)?, days).map(Cell::Date)
}

/// A date stays a date, an instant keeps its time of day.
fn shift(of: &Cell, by: i64, shifted: fn(i32, i64) -> Result<i32, Fault>) -> Result<Cell, Fault> {
    let ms = of.instant()?;
    let day = shifted(day_at(ms)?, by)?;
    Ok(match of {
        Cell::Date(_) => Cell::Date(day),
        Cell::Text(text) if text.len() == 10 => Cell::Date(day),
        _ => Cell::Timestamp(i64::from(day) * super::calendar::DAY_MS + ms.rem_euclid(super::calendar::DAY_MS)),
    })
}

fn join(list: &Cell, separator: &str) -> Result<Cell, Fault> {
    let Cell::List(items) = list else { return Err(Fault::Type) };
    let texts = items.iter().filter(|item| !item.is_empty()).map(Cell::render).collect::<Result<Vec<_>, _>>()?;
    bounded(texts.join(separator))
}

/// Characters of a text, members of a list.
fn length(of: &Cell) -> Result<Cell, Fault> {
    let length = match of {
        Cell::List(items) => items.len(),
        other => other.text()?.chars().count(),
    };
    i64::try_from(length).map(Cell::Integer).map_err(|_| Fault::Range)
}

fn contains(whole: &Cell, part: &Cell) -> Result<Cell, Fault> {
    Ok(Cell::Boolean(match whole {
        Cell::List(items) => items.iter().any(|item| item.equals(part)),
        other => other.text()?.contains(part.text()?),
    }))
}

fn pick(first: &Cell, second: &Cell, wanted: Ordering) -> Result<Cell, Fault> {
    let order = first.order(second)?.ok_or(Fault::Range)?;
    Ok(if order == wanted { first } else { second }.clone())
}

/// A text within the bound.
pub(super) fn bounded(text: String) -> Result<Cell, Fault> {
    if text.len() > TEXT_BYTES_MAX { Err(Fault::Size) } else { Ok(Cell::Text(text)) }
}
