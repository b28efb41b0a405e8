//! The times of a token: RFC 7519 has them as seconds since 1970, with or without a fraction.

use serde_json::{Map, Value};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The last second of the year 9999. Beyond it are milliseconds that were taken for seconds, and ends that are none.
const LATEST: f64 = 253_402_300_799.0;

/// Whole seconds since 1970, by our clock.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// When a token ends, the skew of clocks included, if it holds at a time.
///
/// # Errors
/// It does not, or its times are none.
pub(crate) fn end(claims: &Map<String, Value>, now: u64, skew: u64) -> Result<u64, &'static str> {
    let time = |name: &str| claims.get(name).map(|value| seconds(value).ok_or(NO_TIME)).transpose();
    let (ends, begins, made) = (time("exp")?, time("nbf")?, time("iat")?);
    let ends = ends.ok_or("it lacks its end")?;
    // The end is later than the second it is in, where it has a fraction.
    let end = ends.as_secs().saturating_add(u64::from(ends.subsec_nanos() > 0)).saturating_add(skew);
    let is_ahead = |time: Option<Duration>| time.is_some_and(|time| time.as_secs() > now.saturating_add(skew));
    if now >= end {
        return Err("it has expired");
    }
    if is_ahead(begins) {
        return Err("it does not hold yet");
    }
    if is_ahead(made) {
        return Err("it says that it is made in the future");
    }
    Ok(end)
}

const NO_TIME: &str = "a time of it is no number of seconds since 1970";

fn seconds(value: &Value) -> Option<Duration> {
    let seconds = value.as_f64().filter(|seconds| (0.0..=LATEST).contains(seconds))?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn end_of(claims: &str) -> Result<u64, &'static str> {
        end(serde_json::from_str::<Value>(claims).unwrap().as_object().unwrap(), 1_000, 30)
    }

    #[test]
    fn times_are_numbers_of_any_spelling() {
        for (exp, expected) in [
            ("1500", 1_530),
            ("1500.25", 1_531),
            ("1500.0", 1_530),
            ("1.5e3", 1_530),
            ("15E2", 1_530),
            ("1e9", 1_000_000_030),
            ("150000e-2", 1_530),
            ("970.5", 1_001),
            ("253402300799", 253_402_300_829),
        ] {
            assert_eq!(end_of(&format!("{{\"exp\": {exp}}}")), Ok(expected), "{exp}");
        }
        for claims in ["{\"exp\":1500,\"nbf\":1030.75,\"iat\":1030.5}", "{\"exp\":1500,\"nbf\":0,\"iat\":-0.0}"] {
            assert_eq!(end_of(claims), Ok(1_530), "{claims}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused_and_what_is_past_or_ahead_too() {
        for name in ["exp", "nbf", "iat"] {
            for wrong in [
                "-1",
                "-0.5",
                "1e300",
                "253402300800",
                "\"1500\"",
                "null",
                "true",
                "[1500]",
                "{}",
                "18446744073709551616",
            ] {
                let mut claims = json!({"exp": 1_500});
                claims[name] = serde_json::from_str(wrong).unwrap();
                assert_eq!(end_of(&claims.to_string()), Err(NO_TIME), "{name} {wrong}");
            }
        }
        assert_eq!(end_of("{}"), Err("it lacks its end"));
        assert_eq!(end_of("{\"exp\": 970}"), Err("it has expired"));
        assert_eq!(end_of("{\"exp\": 1500, \"nbf\": 1031}"), Err("it does not hold yet"));
        assert_eq!(end_of("{\"exp\": 1500, \"iat\": 1031.5}"), Err("it says that it is made in the future"));
    }
}
