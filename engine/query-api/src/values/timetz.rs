//! Times of day with a zone. In Arrow each is the twelve bytes of its key, which order and compare as PostgreSQL does: by the instant
//! that the time is in Greenwich, then by the zone. Knows no clock.

use arrow::datatypes::DataType;
use std::fmt::{self, Display, Formatter};

/// Added to both numbers of a key, so that bytes without sign order them.
const INSTANT_BIAS: i64 = i64::MIN;
const WEST_BIAS: i32 = i32::MIN;
const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;
/// Seconds that a zone is away from Greenwich at most, PostgreSQL's limit.
const EAST_MAX: i32 = 16 * 3_600;

/// A time of day and its zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeTz {
    /// Microseconds of the day; 24:00:00 is a whole day.
    pub micros: i64,
    /// Seconds east of Greenwich.
    pub east: i32,
}

impl TimeTz {
    /// Bytes of a key.
    pub const BYTES: i32 = 12;
    /// The Arrow type of such times, which nothing else has.
    pub const ARROW: DataType = DataType::FixedSizeBinary(Self::BYTES);

    /// The time in Greenwich, in microseconds; before or after the day, too.
    #[must_use]
    pub fn instant(self) -> i64 {
        self.micros - i64::from(self.east) * SECOND
    }

    /// The bytes of an Arrow cell: instant, then zone, both ordered without sign.
    #[must_use]
    pub fn key(self) -> [u8; 12] {
        let mut key = [0; 12];
        let (instant, west) = key.split_at_mut(8);
        instant.copy_from_slice(&(self.instant() ^ INSTANT_BIAS).to_be_bytes());
        west.copy_from_slice(&((-self.east) ^ WEST_BIAS).to_be_bytes());
        key
    }

    /// `None`: no key of a time of day.
    #[must_use]
    pub fn of_key(key: &[u8]) -> Option<Self> {
        let (instant, west) = key.split_at_checked(8)?;
        let instant = i64::from_be_bytes(instant.try_into().ok()?) ^ INSTANT_BIAS;
        let east = (i32::from_be_bytes(west.try_into().ok()?) ^ WEST_BIAS).checked_neg()?;
        let micros = instant.checked_add(i64::from(east) * SECOND)?;
        let is_time = (0..=DAY).contains(&micros) && (-EAST_MAX..=EAST_MAX).contains(&east);
        is_time.then_some(Self { micros, east })
    }
}

/// As PostgreSQL prints it: `10:30:00.5+05:30`.
impl Display for TimeTz {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (seconds, fraction) = (self.micros / SECOND, self.micros % SECOND);
        write!(f, "{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)?;
        if fraction > 0 {
            write!(f, ".{}", format!("{fraction:06}").trim_end_matches('0'))?;
        }
        let east = self.east.unsigned_abs();
        write!(f, "{}{:02}", if self.east < 0 { '-' } else { '+' }, east / 3_600)?;
        if !east.is_multiple_of(3_600) {
            write!(f, ":{:02}", east / 60 % 60)?;
        }
        if !east.is_multiple_of(60) {
            write!(f, ":{:02}", east % 60)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_order_by_instant_then_zone() {
        let hour = 3_600 * SECOND;
        let ordered = [
            TimeTz { micros: 0, east: 57_599 },
            TimeTz { micros: hour, east: 7_200 },
            TimeTz { micros: hour, east: 3_600 },
            TimeTz { micros: 0, east: 0 },
            TimeTz { micros: 24 * hour, east: 0 },
            TimeTz { micros: 24 * hour, east: -57_599 },
        ];
        assert!(ordered.windows(2).all(|pair| pair[0].key() < pair[1].key()));
        for time in ordered {
            assert_eq!(TimeTz::of_key(&time.key()), Some(time));
        }
        assert_eq!(TimeTz::of_key(&[0; 4]), None);
        assert_eq!(TimeTz::of_key(&[0; 12]), None);
        assert_eq!(TimeTz::of_key(&[0xff; 12]), None);
    }

    #[test]
    fn texts_are_postgres_s() {
        for (micros, east, shown) in [
            (0, 0, "00:00:00+00"),
            (37_800 * SECOND + 500_000, 19_800, "10:30:00.5+05:30"),
            (DAY, -1, "24:00:00-00:00:01"),
        ] {
            assert_eq!(TimeTz { micros, east }.to_string(), shown);
        }
    }
}
