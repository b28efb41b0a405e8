//! Interval literals in a parameter. Knows no calendar.

use super::syntax;
use arrow::datatypes::IntervalMonthDayNano;
use querygate_query_api::values::interval::{IntervalFault, read_interval};
use querygate_types::{Error, ErrorCode, PgType, Result};

/// What PostgreSQL reads. Hours beyond 292 years do not fit.
pub(super) fn interval(text: &str) -> Result<IntervalMonthDayNano> {
    let overflow =
        || Error::new(ErrorCode::IntervalFieldOverflow, format!("interval field value out of range: \"{text}\""));
    let range = || Error::new(ErrorCode::DatetimeOverflow, format!("interval out of range: \"{text}\""));
    let read = read_interval(text).map_err(|fault| match fault {
        IntervalFault::Syntax => syntax(PgType::Interval, text),
        IntervalFault::Field => overflow(),
        IntervalFault::Range => range(),
    })?;
    let nanos = read.micros.checked_mul(1_000).ok_or_else(range)?;
    Ok(IntervalMonthDayNano::new(read.months, read.days, nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_read_in_each_style() {
        let check = |text: &str, months: i32, days: i32, micros: i64| {
            assert_eq!(interval(text).unwrap(), IntervalMonthDayNano::new(months, days, micros * 1_000), "{text}");
        };
        check("1 year 2 mons 3 days 04:05:06.789", 14, 3, 14_706_789_000);
        check("-1 days +04:05:06", 0, -1, 14_706_000_000);
        check("1 hour 30 minutes ago", 0, 0, -5_400_000_000);
        check("1.5 days", 0, 1, 43_200_000_000);
        check("1.5 months", 1, 15, 0);
        check("2h", 0, 0, 7_200_000_000);
        check("90", 0, 0, 90_000_000);
        check("P1Y2M3DT4H5M6.5S", 14, 3, 14_706_500_000);
        check("P2W", 0, 14, 0);
        check("-00:00:01", 0, 0, -1_000_000);
        for text in ["", "P", "1 parsec", "1:2:3:4", "five days"] {
            assert_eq!(interval(text).unwrap_err().code().sqlstate(), "22007", "{text}");
        }
        assert_eq!(interval("9223372036854775807 us").unwrap_err().code().sqlstate(), "22008");
        assert_eq!(interval("3000000000 days").unwrap_err().code().sqlstate(), "22015");
    }
}
