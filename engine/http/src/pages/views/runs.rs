//! Finished statements as numbers: quantiles, counts over time. Reads nothing and draws nothing.

use crate::pages::chart::Bar;
use crate::pages::read::Row;

/// One finished statement.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Run {
    pub(super) fingerprint: String,
    /// Microseconds since 1970.
    pub(super) started: i64,
    pub(super) total_ms: f64,
    pub(super) rows: f64,
    pub(super) failed: bool,
}

impl Run {
    /// From `fingerprint, started, total_ms, rows, outcome`.
    pub(super) fn read(row: &Row) -> Option<Self> {
        Some(Self {
            fingerprint: row.text(0),
            started: row.time(1)?,
            total_ms: row.number(2)?,
            rows: row.number(3).unwrap_or(0.0),
            failed: row.text(4) != "ok",
        })
    }
}

/// First and last moment; `None` of nothing.
pub(super) fn span(runs: &[Run]) -> Option<(i64, i64)> {
    let first = runs.iter().map(|run| run.started).min()?;
    let last = runs.iter().map(|run| run.started).max()?;
    Some((first, last))
}

/// The value below which this share of the values lies; `None` of nothing.
pub(super) fn quantile(values: impl IntoIterator<Item = f64>, share: f64) -> Option<f64> {
    let mut sorted: Vec<f64> = values.into_iter().filter(|v| v.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank among at most some ten thousand values"
    )]
    let rank = (last as f64 * share.clamp(0.0, 1.0)).round() as usize;
    sorted.get(rank).copied()
}

const SECOND: i64 = 1_000_000;
/// Widths of bars, in microseconds.
const WIDTHS: [i64; 11] = [
    SECOND,
    5 * SECOND,
    10 * SECOND,
    30 * SECOND,
    60 * SECOND,
    5 * 60 * SECOND,
    15 * 60 * SECOND,
    3_600 * SECOND,
    6 * 3_600 * SECOND,
    24 * 3_600 * SECOND,
    7 * 24 * 3_600 * SECOND,
];
const BARS_MAX: i64 = 90;

/// Statements that went well and that failed, per stretch of time.
pub(super) fn over_time(runs: &[Run]) -> Vec<Bar> {
    let Some((first, last)) = span(runs) else { return Vec::new() };
    let fitting = WIDTHS.into_iter().find(|width| (last - first) / width < BARS_MAX);
    let width = fitting.unwrap_or((last - first) / BARS_MAX + 1);
    let begin = first.div_euclid(width) * width;
    let count = usize::try_from((last - begin) / width + 1).unwrap_or(1);
    let mut bars: Vec<Bar> = Vec::with_capacity(count);
    let mut from = begin;
    for _ in 0..count {
        bars.push(Bar { from, to: from + width, counts: vec![0.0, 0.0] });
        from += width;
    }
    for run in runs {
        let at = usize::try_from((run.started - begin) / width).unwrap_or(0);
        let count = bars.get_mut(at).and_then(|bar| bar.counts.get_mut(usize::from(run.failed)));
        if let Some(count) = count {
            *count += 1.0;
        }
    }
    bars
}

/// How many of the runs began in each of `parts` equal stretches of time.
pub(super) fn rhythm<'a>(runs: impl Iterator<Item = &'a Run>, (first, last): (i64, i64), parts: usize) -> Vec<f64> {
    let mut counts = vec![0.0; parts];
    let width = ((last - first) / i64::try_from(parts.max(1)).unwrap_or(1) + 1).max(1);
    for run in runs {
        let at = usize::try_from((run.started - first) / width).unwrap_or(0);
        if let Some(count) = counts.get_mut(at) {
            *count += 1.0;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(started: i64, failed: bool) -> Run {
        Run { fingerprint: String::new(), started, total_ms: 1.0, rows: 0.0, failed }
    }

    #[test]
    fn quantiles_are_values() {
        assert_eq!(quantile([], 0.5), None);
        assert_eq!(quantile([3.0], 0.95), Some(3.0));
        assert_eq!(quantile((1..=100).map(f64::from), 0.95), Some(95.0));
        assert_eq!(quantile([f64::NAN, 2.0, 1.0, 3.0], 0.5), Some(2.0));
    }

    #[test]
    fn every_run_is_in_one_bar() {
        assert_eq!(over_time(&[]), []);
        for spread in [0, 1, SECOND, 100 * SECOND, 3_000 * 24 * 3_600 * SECOND] {
            let runs: Vec<Run> = (0..100).map(|n| run(1_700_000_000 * SECOND + n * spread / 99, n % 10 == 0)).collect();
            let bars = over_time(&runs);
            assert!(bars.len() <= 92, "{}", bars.len());
            let count = |n: usize| bars.iter().map(|bar| bar.counts[n]).sum::<f64>();
            assert_eq!((count(0), count(1)), (90.0, 10.0), "{spread}");
            let all: f64 = rhythm(runs.iter(), span(&runs).unwrap(), 12).iter().sum();
            assert_eq!(all, 100.0);
        }
    }
}
