//! The Numenta Anomaly Benchmark's standard score (version 1.1): windows, sigmoid, probation, profile. Judges alarms of any
//! detector; knows no detector.

/// Weights of the standard profile: a window found counts 1, missed −1, a false alarm −0.11.
const FALSE_ALARM: f64 = 0.11;

/// One series as the benchmark sees it. Indices are of values, windows include both ends and are in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Labelled {
    /// Name of the file.
    pub name: String,
    /// UTC seconds.
    pub times: Vec<i64>,
    /// One for each time.
    pub values: Vec<f64>,
    /// First and last index of each anomaly window.
    pub windows: Vec<(usize, usize)>,
}

/// What one series adds to the score.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Outcome {
    /// Sum over windows and false alarms: a perfect detector gets the number of windows, a silent one its negative.
    pub points: f64,
    /// Windows that count.
    pub windows: usize,
    /// Windows with an alarm.
    pub found: usize,
    /// Alarms outside of windows, after probation.
    pub false_alarms: usize,
    /// Length of the series.
    pub days: f64,
}

/// Values at the beginning whose alarms are ignored: 15% of the series, at most 750.
#[must_use]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 750")]
pub fn probation(values: usize) -> usize {
    (0.15 * values as f64).floor().min(750.0) as usize
}

/// 2·σ(−5x) − 1, and −1 from 3 on: almost 1 at the left end of a window (−1), 0 at its right end (0).
fn sigmoid(position: f64) -> f64 {
    if position >= 3.0 { -1.0 } else { 2.0 / (1.0 + (5.0 * position).exp()) - 1.0 }
}

/// Scores alarms, given as indices in order.
#[must_use]
pub fn outcome(series: &Labelled, alarms: &[usize]) -> Outcome {
    let probation = probation(series.values.len());
    let mut best: Vec<f64> = vec![-1.0; series.windows.len()];
    let (mut penalty, mut false_alarms) = (0.0, 0);
    for alarm in alarms.iter().copied().filter(|alarm| *alarm >= probation) {
        match series.windows.iter().position(|(first, last)| (*first..=*last).contains(&alarm)) {
            Some(at) => {
                let (first, last) = series.windows[at];
                let position = -((last - alarm + 1) as f64) / (last - first + 1) as f64;
                best[at] = best[at].max(sigmoid(position) / sigmoid(-1.0));
            }
            None => {
                let before = series.windows.iter().rfind(|(_, last)| *last < alarm);
                let position =
                    before.map_or(3.0, |(first, last)| (alarm - last) as f64 / ((last - first) as f64).max(1.0));
                penalty += FALSE_ALARM * sigmoid(position);
                false_alarms += 1;
            }
        }
    }
    let counted =
        || best.iter().zip(&series.windows).filter(|(_, (_, last))| *last >= probation).map(|(best, _)| *best);
    let seconds = series.times.last().zip(series.times.first()).map_or(0, |(last, first)| last - first);
    Outcome {
        points: counted().sum::<f64>() + penalty,
        windows: counted().count(),
        found: counted().filter(|best| *best > -1.0).count(),
        false_alarms,
        days: seconds as f64 / 86_400.0,
    }
}

/// The normalized standard score: 0 for silence, 100 for the first value of every window and nothing else.
#[must_use]
pub fn score(outcomes: &[Outcome]) -> f64 {
    let points: f64 = outcomes.iter().map(|outcome| outcome.points).sum();
    let windows = outcomes.iter().map(|outcome| outcome.windows).sum::<usize>().max(1) as f64;
    100.0 * (points + windows) / (2.0 * windows)
}

/// False alarms per series and day.
#[must_use]
pub fn false_per_day(outcomes: &[Outcome]) -> f64 {
    let days: f64 = outcomes.iter().map(|outcome| outcome.days).sum();
    outcomes.iter().map(|outcome| outcome.false_alarms).sum::<usize>() as f64 / days.max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(windows: Vec<(usize, usize)>) -> Labelled {
        let times = (0..1000).map(|step| step * 300).collect();
        Labelled { name: "s".into(), times, values: vec![0.0; 1000], windows }
    }

    #[test]
    fn the_ends_of_the_scale_are_0_and_100() {
        let series = series(vec![(200, 249), (600, 649)]);
        assert!(score(&[outcome(&series, &[])]).abs() < 1e-9);
        assert!((score(&[outcome(&series, &[200, 600])]) - 100.0).abs() < 1e-9);
    }

    #[test]
    fn alarms_count_by_where_they_are() {
        let series = series(vec![(200, 249), (600, 649)]);
        let points = |alarms: &[usize]| outcome(&series, alarms).points;
        let silent = points(&[]);
        // Probation (150 values) is free; far from windows an alarm costs its full weight, right behind one almost nothing.
        assert!((points(&[10, 149]) - silent).abs() < 1e-9);
        assert!((points(&[150]) - (silent - 0.11)).abs() < 1e-9);
        assert!((points(&[599]) - (silent - 0.11)).abs() < 1e-3);
        assert!((points(&[250]) - silent).abs() < 0.01);
        // The earliest alarm of a window decides, later ones are free.
        assert!((points(&[210]) - points(&[210, 211, 240])).abs() < 1e-9);
        assert!(points(&[200]) > points(&[225]) && points(&[225]) > points(&[249]));
        // Half a window is worth 2σ(2.5) − 1 by 2σ(5) − 1.
        assert!((points(&[225]) - silent - 1.0 - 0.848_28 / 0.986_61).abs() < 1e-3);
    }

    #[test]
    fn a_window_within_probation_does_not_count() {
        let series = series(vec![(20, 60), (600, 649)]);
        assert_eq!(outcome(&series, &[30]).windows, 1);
        assert_eq!(outcome(&series, &[30, 610]).found, 1);
    }
}
