//! Time zones for values in microseconds. Knows no clock.

use crate::casts::text::put_digits;
use crate::fault::external;
use datafusion::common::Result;
use querygate_query_api::values::zone::Zone as Rules;

/// Microseconds of a second.
pub(crate) const SECOND: i64 = 1_000_000;
/// Microseconds of a day.
pub(crate) const DAY: i64 = 86_400 * SECOND;

/// A time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Zone(Rules);

impl Zone {
    pub(crate) const UTC: Self = Self(Rules::UTC);

    /// Its distance from Greenwich, if that is one for all times.
    pub(crate) const fn always(self) -> Option<i32> {
        match self.0 {
            Rules::Fixed(east) => Some(east),
            Rules::Named(_) | Rules::Abbreviated(..) => None,
        }
    }

    /// Whether it is a city's, which has no clocks without a day.
    pub(crate) const fn is_named(self) -> bool {
        matches!(self.0, Rules::Named(_))
    }

    /// Seconds east of Greenwich, always.
    pub(crate) const fn fixed(east: i32) -> Self {
        Self(Rules::Fixed(east))
    }

    /// Reads a name, an abbreviation, an offset (`+02`, `-3:30`), or POSIX `<+02>-02`.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Rules::parse(name).map(Self)
    }

    /// # Errors
    /// 22023 for a name that is no zone's.
    pub(crate) fn required(name: &str) -> Result<Self> {
        Rules::required(name).map(Self).map_err(external)
    }

    /// A name that Arrow reads, too.
    pub(crate) fn name(self) -> String {
        self.0.name()
    }

    /// The zone that an argument of AT TIME ZONE names: there, a bare offset counts west of Greenwich, as in POSIX.
    pub(crate) fn argument(name: &str) -> Result<Self> {
        Ok(match Self::required(name)?.0 {
            Rules::Fixed(east) if name.trim().starts_with(['+', '-']) => Self::fixed(-east),
            other => Self(other),
        })
    }

    /// Seconds east of Greenwich at an instant in microseconds.
    pub(crate) fn offset_at(self, instant: i64) -> i32 {
        self.0.offset_at(instant.div_euclid(SECOND))
    }

    /// Seconds east of Greenwich on a wall clock in microseconds.
    pub(crate) fn offset_on_clock(self, local: i64) -> i32 {
        self.0.offset_of_local(local.div_euclid(SECOND))
    }

    /// The wall clock at an instant, both in microseconds. Infinite ones stay.
    pub(crate) fn local(self, instant: i64) -> i64 {
        if is_infinite(instant) { instant } else { instant + i64::from(self.offset_at(instant)) * SECOND }
    }

    /// The instant of a wall clock. In a gap the offset before it holds, in an overlap the later one.
    pub(crate) fn instant(self, local: i64) -> i64 {
        if is_infinite(local) {
            return local;
        }
        local - i64::from(self.0.offset_of_local(local.div_euclid(SECOND))) * SECOND
    }

    /// What stands for the zone at an instant: `CET`, `+02`.
    pub(crate) fn abbreviation(self, instant: i64) -> String {
        let name = self.0.abbreviation(instant.div_euclid(SECOND));
        name.unwrap_or_else(|| offset_text(self.offset_at(instant)))
    }
}

/// Infinity of time stamps, either way.
pub(crate) const fn is_infinite(micros: i64) -> bool {
    micros == i64::MAX || micros == i64::MIN
}

/// `+02`, `-03:30`.
pub(crate) fn offset_text(east: i32) -> String {
    let (sign, seconds) = (if east < 0 { '-' } else { '+' }, east.unsigned_abs());
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
    let mut text = String::with_capacity(6);
    text.push(sign);
    put_digits(u64::from(hours), 2, &mut text);
    if minutes != 0 {
        text.push(':');
        put_digits(u64::from(minutes), 2, &mut text);
    }
    if seconds % 60 != 0 {
        if minutes == 0 {
            text.push_str(":00");
        }
        text.push(':');
        put_digits(u64::from(seconds % 60), 2, &mut text);
    }
    text
}

/// `[+-]hh[[:]mm[[:]ss]]`, in seconds.
pub(crate) fn offset(text: &str) -> Option<i32> {
    Rules::offset(text)
}
