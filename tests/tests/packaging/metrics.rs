//! Names of metrics: those that the sources record, and those that dashboards, alerts and documents ask for.

use super::{files_in, packaging, read, root};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What one metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    /// Shown with quantiles, a sum and a count.
    Histogram,
}

/// Metrics that are recorded anywhere in the product's sources, with the names of their labels.
fn recorded() -> BTreeMap<String, (Kind, BTreeSet<String>)> {
    let mut found = BTreeMap::new();
    for folder in ["engine", "flight", "optimizer", "pgwire-frontend", "drivers"] {
        walk(&root().join(folder), &mut |text| collect(text, &mut found));
    }
    found
}

fn walk(folder: &Path, each: &mut impl FnMut(&str)) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            walk(&path, each);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            each(&read(&path));
        }
    }
}

fn collect(text: &str, found: &mut BTreeMap<String, (Kind, BTreeSet<String>)>) {
    for (macro_, kind) in [("counter!(", Kind::Counter), ("gauge!(", Kind::Gauge), ("histogram!(", Kind::Histogram)] {
        for rest in text.split(macro_).skip(1) {
            // Between quotes: a label's name is followed by an arrow.
            let quoted: Vec<&str> = inside(rest).split('"').collect();
            let Some(name) = quoted.get(1) else { continue };
            let labels = quoted.windows(2).filter(|pair| pair[1].trim_start().starts_with("=>"));
            let entry = found.entry((*name).to_owned()).or_insert((kind, BTreeSet::new()));
            assert_eq!(entry.0, kind, "{name} is of two kinds");
            entry.1.extend(labels.map(|pair| pair[0].to_owned()));
        }
    }
}

/// The text up to the parenthesis that closes what is open.
fn inside(text: &str) -> &str {
    let mut open = 1;
    for (at, c) in text.char_indices() {
        match c {
            '(' => open += 1,
            ')' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return &text[..at];
        }
    }
    text
}

/// A metric that an expression asks for, with the labels that it is chosen by.
type Asked = (String, BTreeSet<String>);

/// The metrics of an expression of PromQL: words that begin as ours do, and the labels of the braces behind them.
fn asked(expression: &str) -> Vec<Asked> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(at) = rest.find(is_word) {
        let end = rest[at..].find(|c| !is_word(c)).map_or(rest.len(), |end| at + end);
        let (word, after) = (&rest[at..end], &rest[end..]);
        rest = after;
        if word.starts_with("querygate_") || word.starts_with("process_") {
            let chosen = after.strip_prefix('{').and_then(|inside| inside.split('}').next()).unwrap_or_default();
            let outside = chosen.split('"').step_by(2);
            let labels =
                outside.flat_map(|part| part.split(',')).map(|part| part.trim().trim_end_matches(['=', '!', '~']));
            found.push((word.to_owned(), labels.filter(|l| !l.is_empty()).map(str::to_owned).collect()));
        }
    }
    found
}

/// Labels that Prometheus adds.
const OF_PROMETHEUS: [&str; 2] = ["instance", "job"];

fn wrong(expression: &str, recorded: &BTreeMap<String, (Kind, BTreeSet<String>)>) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, labels) in asked(expression) {
        let base = ["_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
        let of_histogram = base.and_then(|base| recorded.get(base)).filter(|(kind, _)| *kind == Kind::Histogram);
        let is_whole = of_histogram.is_none();
        let Some((kind, known)) = of_histogram.or_else(|| recorded.get(&name)) else {
            wrong.push(format!("{name} is recorded nowhere: {expression}"));
            continue;
        };
        for label in labels.iter().filter(|label| !OF_PROMETHEUS.contains(&label.as_str())) {
            let is_quantile = label == "quantile" && *kind == Kind::Histogram && is_whole;
            if !known.contains(label) && !is_quantile {
                wrong.push(format!("{name} has no label {label}: {expression}"));
            }
        }
        if *kind == Kind::Histogram && is_whole && !labels.contains("quantile") {
            wrong.push(format!("{name} is asked for without a quantile: {expression}"));
        }
        if *kind == Kind::Counter && !name.ends_with("_total") {
            wrong.push(format!("{name} is a counter without the ending of one"));
        }
    }
    wrong
}

fn expressions(dashboard: &Value) -> Vec<String> {
    match dashboard {
        Value::Object(map) => {
            let own = map.iter().filter(|(key, _)| matches!(key.as_str(), "expr" | "query" | "definition"));
            let own = own.filter_map(|(_, value)| value.as_str().map(str::to_owned)).collect::<Vec<_>>();
            own.into_iter().chain(map.values().flat_map(expressions)).collect()
        }
        Value::Array(items) => items.iter().flat_map(expressions).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

#[test]
fn the_reading_of_expressions_finds_names_and_labels() {
    let found =
        asked(r#"sum by (door) (rate(querygate_a_total{instance=~"$instance", outcome!="x, y"}[5m])) / process_b > 1"#);
    let labels = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let expected = [("querygate_a_total", labels(&["instance", "outcome"])), ("process_b", labels(&[]))];
    assert_eq!(found, expected.map(|(name, labels)| (name.to_owned(), labels)));
    let mut recorded = BTreeMap::new();
    collect(
        "metrics::histogram!(\n  \"querygate_s\", \"door\" => door).record(1.0); metrics::counter!(\"querygate_c_total\").increment(1)",
        &mut recorded,
    );
    for (expression, errors) in [
        (r#"querygate_s{door="x", quantile="0.5"}"#, 0),
        (r#"rate(querygate_s_sum{door="x"}[5m])"#, 0),
        ("querygate_s", 1),
        (r#"querygate_c_total{door="x"}"#, 1),
        (r#"querygate_c_total{instance="x"}"#, 0),
        ("querygate_d_total", 1),
        (r#"querygate_s_sum{quantile="0.5"}"#, 1),
    ] {
        assert_eq!(wrong(expression, &recorded).len(), errors, "{expression}");
    }
}

#[test]
fn dashboards_ask_for_metrics_that_exist_and_leave_none_out() {
    let recorded = recorded();
    assert!(recorded.len() > 40, "{recorded:?}");
    let (mut failures, mut shown, mut uids) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    let files = files_in(&packaging().join("grafana"), ".json");
    assert_eq!(files.len(), 3);
    for file in &files {
        let dashboard: Value = serde_json::from_str(&read(file)).unwrap();
        assert!(uids.insert(dashboard["uid"].as_str().unwrap().to_owned()), "{} has another's uid", file.display());
        let panels = dashboard["panels"].as_array().unwrap();
        let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
        assert_eq!(ids.len(), panels.len(), "panels of {} share an id", file.display());
        for expression in expressions(&dashboard) {
            failures.extend(wrong(&expression, &recorded));
            shown.extend(asked(&expression).into_iter().map(|(name, _)| name));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    let is_shown = |name: &&String| ["", "_sum", "_count"].iter().any(|end| shown.contains(&format!("{name}{end}")));
    let missing: Vec<&String> = recorded.keys().filter(|name| !is_shown(name)).collect();
    assert!(missing.is_empty(), "no dashboard shows {missing:?}");
}

#[test]
fn alerts_ask_for_metrics_that_exist_and_have_tests_and_runbooks() {
    let folder = packaging().join("prometheus");
    let (rules, tests) = (read(&folder.join("alerts.yml")), read(&folder.join("alerts.test.yml")));
    let lines = || rules.lines().map(str::trim).filter(|line| !line.starts_with('#') && !line.starts_with("summary:"));
    let recorded = recorded();
    let failures: Vec<String> = lines().flat_map(|line| wrong(line, &recorded)).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    let names: Vec<&str> = lines().filter_map(|line| line.strip_prefix("- alert: ")).collect();
    assert!(names.len() > 15, "{names:?}");
    let runbooks = read(&root().join("engine/docs/runbooks.md"));
    let sections: BTreeSet<&str> = runbooks.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert_eq!(sections, names.iter().copied().collect(), "sections of runbooks.md are alerts");
    for name in names {
        assert!(tests.contains(&format!("        alertname: {name}\n")), "{name} has no test");
        let link = format!("runbook: \"engine/docs/runbooks.md#{}\"", name.to_lowercase());
        assert!(rules.contains(&link), "{name} does not name its runbook");
    }
}

#[test]
fn metrics_say_what_they_are() {
    let texts = read(&root().join("engine/gateway/src/process/help.rs"));
    let described: BTreeSet<String> = texts
        .split("];")
        .next()
        .unwrap()
        .lines()
        .filter_map(|line| line.trim().strip_prefix("(\"")?.split_once('"'))
        .map(|(name, _)| name.to_owned())
        .collect();
    assert_eq!(described, recorded().into_keys().collect());
}

#[test]
fn the_guide_names_metrics_that_exist() {
    let recorded = recorded();
    let guide = read(&root().join("engine/docs/guide.md"));
    let marked =
        guide.split('`').skip(1).step_by(2).filter(|text| text.starts_with("querygate_") && !text.contains('='));
    let names = marked.map(|text| text.split('{').next().unwrap());
    let lost: Vec<&str> =
        names.filter(|name| *name != "querygate_anomalies" && !recorded.contains_key(*name)).collect();
    assert!(lost.is_empty(), "{lost:?}");
}
