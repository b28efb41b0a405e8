//! Times of day with a zone. In Arrow each is the twelve bytes of its key, which order and compare as PostgreSQL does: by the instant
//! that the time is in Greenwich, then by the zone. Knows no clock.

use arrow::datatypes::DataType;

/// Bytes of a key.
const KEY_BYTES: i32 = 12;
/// Added to both numbers of a key, so that bytes without sign order them.
const INSTANT_BIAS: i64 = i64::MIN;
const WEST_BIAS: i32 = i32::MIN;
const SECOND: i64 = 1_000_000;

/// A time of day and its zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeTz {
    /// Microseconds of the day; 24:00:00 is a whole day.
    pub micros: i64,
    /// Seconds east of Greenwich.
    pub east: i32,
}

impl TimeTz {
    /// The Arrow type of such times, which nothing else has.
    pub const ARROW: DataType = DataType::FixedSizeBinary(KEY_BYTES);

    /// The time in Greenwich, in microseconds; before or after the day, too.
    #[must_use]
    pub fn instant(self) -> i64 {
        self.micros - i64::from(self.east) * SECOND
    }

    #[must_use]
    pub fn key(self) -> [u8; 12] {
        let mut key = [0; 12];
        let (instant, west) = key.split_at_mut(8);
        instant.copy_from_slice(&(self.instant() ^ INSTANT_BIAS).to_be_bytes());
        west.copy_from_slice(&((-self.east) ^ WEST_BIAS).to_be_bytes());
        key
    }

    /// `None`: not a key's length.
    #[must_use]
    pub fn of_key(key: &[u8]) -> Option<Self> {
        let (instant, west) = key.split_at_checked(8)?;
        let instant = i64::from_be_bytes(instant.try_into().ok()?) ^ INSTANT_BIAS;
        let east = -(i32::from_be_bytes(west.try_into().ok()?) ^ WEST_BIAS);
        Some(Self { micros: instant + i64::from(east) * SECOND, east })
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
    }
}
