//! Reads series and windows of the Numenta Anomaly Benchmark in its own layout (`data/*/*.csv`, `labels/*.json`).

use querygate_bench_learning::nab::Labelled;
use serde_json::Value;
use std::path::Path;

/// UTC seconds of `YYYY-MM-DD hh:mm:ss`, a fraction ignored (days from civil, Hinnant).
fn seconds(text: &str) -> i64 {
    let number = |from: usize, to: usize| text[from..to].parse::<i64>().expect("a time of the benchmark");
    let (year, month, day) = (number(0, 4), number(5, 7), number(8, 10));
    let shifted = if month > 2 { year } else { year - 1 };
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let era = shifted.div_euclid(400);
    let year_of_era = shifted - era * 400;
    let days = era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year - 719_468;
    days * 86_400 + number(11, 13) * 3600 + number(14, 16) * 60 + number(17, 19)
}

/// All series that the labels name, in the order of their names.
pub(crate) fn read(root: &Path) -> Vec<Labelled> {
    let labels = std::fs::read_to_string(root.join("labels/combined_windows.json")).expect("the labels");
    let labels: Value = serde_json::from_str(&labels).expect("labels are JSON");
    let mut all = Vec::new();
    for (name, windows) in labels.as_object().expect("windows by series") {
        let text = std::fs::read_to_string(root.join("data").join(name)).expect("a series that the labels name");
        let rows = text.lines().skip(1).filter_map(|line| line.split_once(','));
        let (times, values): (Vec<i64>, Vec<f64>) =
            rows.map(|(time, value)| (seconds(time), value.trim().parse::<f64>().expect("a value"))).unzip();
        let place = |time: &Value| {
            let time = seconds(time.as_str().expect("a time"));
            times.iter().position(|t| *t == time).expect("windows begin and end at values")
        };
        let windows = windows.as_array().expect("windows").iter().map(|w| (place(&w[0]), place(&w[1]))).collect();
        all.push(Labelled { name: name.clone(), times, values, windows });
    }
    all
}
