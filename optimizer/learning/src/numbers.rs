//! Counts as numbers, and changes of them in words.

/// A count, to compute with.
#[expect(clippy::cast_precision_loss, reason = "counts of runs")]
pub(crate) fn as_number(count: u64) -> f64 {
    count as f64
}

/// A change as a share of what was there: `-28%`, `+3%`, `0%`.
pub(crate) fn percent(change: f64) -> String {
    let whole = (100.0 * change).round();
    if whole == 0.0 { "0%".to_owned() } else { format!("{whole:+.0}%") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_has_one_sign_and_nothing_has_none() {
        let words = [-0.28, 0.03, 0.0, -0.0, -0.004, 0.004, 12.0].map(percent);
        assert_eq!(words, ["-28%", "+3%", "0%", "0%", "0%", "0%", "+1200%"]);
    }
}
