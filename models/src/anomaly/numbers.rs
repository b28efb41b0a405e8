//! Numbers as people read them. Knows no metric.

pub(crate) fn times(factor: f64) -> String {
    format!("{} times", count(factor))
}

pub(crate) fn per_day(an_hour: f64) -> String {
    if an_hour >= 1.0 { format!("{} an hour", count(an_hour)) } else { format!("{} a day", count(24.0 * an_hour)) }
}

pub(crate) fn percent(share: f64) -> String {
    format!("{}%", count(100.0 * share))
}

pub(crate) fn duration(seconds: f64) -> String {
    let (value, unit) = match seconds {
        s if s < 90.0 => (s, "second"),
        s if s < 5400.0 => (s / 60.0, "minute"),
        s if s < 129_600.0 => (s / 3600.0, "hour"),
        s => (s / 86_400.0, "day"),
    };
    let value = value.round().max(1.0);
    format!("{value} {unit}{}", if value > 1.0 { "s" } else { "" })
}

/// Three significant digits, thousands apart: 411,987 is 412,000, 0.04567 is 0.0457.
pub(crate) fn count(value: f64) -> String {
    if !value.is_finite() {
        return "unknown".to_owned();
    }
    if value.abs() < 1e-9 {
        return "0".to_owned();
    }
    #[allow(clippy::cast_possible_truncation, reason = "a decimal exponent")]
    let digits = 2 - value.abs().log10().floor() as i32;
    if digits > 0 {
        let places = usize::try_from(digits.min(9)).unwrap_or(0);
        let text = format!("{value:.places$}");
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    let unit = 10f64.powi(-digits);
    let text = format!("{:.0}", (value / unit).round() * unit);
    let (sign, text) = text.strip_prefix('-').map_or(("", text.as_str()), |text| ("-", text));
    let groups: Vec<&str> =
        text.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap_or_default()).collect();
    format!("{sign}{}", groups.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits() {
        for (value, text) in [
            (0.0, "0"),
            (0.045_67, "0.0457"),
            (9.999, "10"),
            (12.34, "12.3"),
            (999.6, "1,000"),
            (1_234_567.0, "1,230,000"),
            (-45_678.0, "-45,700"),
            (f64::NAN, "unknown"),
        ] {
            assert_eq!(count(value), text, "{value}");
        }
    }
}
