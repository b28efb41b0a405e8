//! A report for the terminal, from the store alone: indexes to make, the costliest templates, incidents. Shows what the system
//! tables show an operator; opens no source.

use crate::anomaly::Anomalies;
use crate::index::{IndexAdvisor, IndexOptions};
use crate::options::LearningOptions;
use crate::plugin::Plugin;
use crate::telemetry::Store;
use crate::templates::Templates;
use querygate_telemetry_api::system::Cell;
use querygate_types::principal::Principal;
use querygate_types::{Result, harmless};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use tokio::runtime::Handle;

/// Templates and incidents that are listed.
const LISTED_MAX: usize = 10;
/// Longest text of a statement in a line.
const TEXT_MAX: usize = 100;

type Row = HashMap<&'static str, Cell>;

/// The report of a store; `None`: there is none in the folder.
///
/// # Errors
/// The store cannot be read, or is none of this version. It is left as it is: a gate may be writing it.
pub async fn report(directory: &Path) -> Result<Option<String>> {
    if !directory.join("telemetry.db").exists() {
        return Ok(None);
    }
    let store = Store::open_to_read(directory).await?;
    let indexes = IndexAdvisor::new(IndexOptions::default(), Arc::new(Vec::new), Handle::current());
    indexes.load(&store).await?;
    let known = Templates::default();
    known.load(&store).await?;
    let anomalies = Anomalies::new(LearningOptions::in_directory(directory.to_path_buf()));
    // Incidents of a running gate are still open.
    anomalies.read(&store).await?;
    let mut text = String::new();
    suggestions(&rows(indexes.as_ref(), "index_suggestions")?, &mut text);
    templates(rows(&known, "templates")?, &mut text);
    incidents(rows(&anomalies, "anomalies")?, &mut text);
    Ok(Some(text))
}

/// The rows of a plugin's relation, by column.
fn rows(plugin: &dyn Plugin, relation: &str) -> Result<Vec<Row>> {
    let columns = plugin.relations().into_iter().find(|known| known.name == relation).map_or(&[][..], |r| r.columns);
    let operator = Principal::builder("advise").operator(true).build();
    let rows = plugin.rows(relation, &operator)?;
    Ok(rows.into_iter().map(|row| columns.iter().map(|(name, _)| *name).zip(row).collect()).collect())
}

fn cell(row: &Row, column: &str) -> String {
    match row.get(column) {
        None | Some(Cell::Null) => String::new(),
        // Texts come from clients and sources; to a terminal they are text, not commands.
        Some(Cell::Text(text)) => text.chars().map(harmless).collect(),
        Some(Cell::Integer(number)) => number.to_string(),
        Some(Cell::Float(number)) => format!("{number:.1}"),
        Some(Cell::Flag(flag)) => flag.to_string(),
        Some(Cell::Time(time)) => chrono::DateTime::<chrono::Utc>::from(*time).format("%Y-%m-%d %H:%M").to_string(),
    }
}

fn number(row: &Row, column: &str) -> f64 {
    match row.get(column) {
        Some(Cell::Float(number)) => *number,
        #[expect(clippy::cast_precision_loss, reason = "a count, for people")]
        Some(Cell::Integer(number)) => *number as f64,
        _ => 0.0,
    }
}

fn short(text: &str) -> String {
    let mut line: String = text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(TEXT_MAX).collect();
    if line.chars().count() == TEXT_MAX {
        line.push('…');
    }
    line
}

fn suggestions(rows: &[Row], text: &mut String) {
    let of = |rejected: bool| rows.iter().filter(move |row| (cell(row, "state") == "rejected") == rejected);
    let _ = writeln!(text, "Indexes and layouts ({})", of(false).count());
    for row in of(false) {
        let percent = |column| format!("{:.1}%", 100.0 * number(row, column));
        let _ = writeln!(
            text,
            "\n  {}  {} on {}: {}",
            cell(row, "id"),
            cell(row, "state"),
            cell(row, "source"),
            cell(row, "ddl")
        );
        let mib = number(row, "size_bytes") / 1_048_576.0;
        if cell(row, "kind") == "create" {
            let (benefit, writes) = (percent("benefit"), percent("write_cost"));
            let _ = writeln!(
                text,
                "     saves {benefit} of the source's cost, writes cost {writes}, about {mib:.1} MiB, confidence {}",
                cell(row, "confidence")
            );
        }
        let rewrites = cell(row, "kind") == "rewrite";
        if rewrites {
            let (benefit, once) = (percent("benefit"), percent("write_cost"));
            let _ = writeln!(
                text,
                "     saves {benefit} of what is read of the table, writing it anew costs {once} of that once, about {mib:.1} MiB, \
                 confidence {}",
                cell(row, "confidence")
            );
        }
        for (label, column) in [("templates", "templates"), ("evidence", "evidence"), ("measured", "measured")] {
            let value = cell(row, column);
            if !value.is_empty() {
                let _ = writeln!(text, "     {label}: {value}");
            }
        }
        if matches!(row.get("measured_effect"), Some(Cell::Float(_))) {
            let what = if rewrites { "what is read" } else { "the median" };
            let _ = writeln!(text, "     effect: {what} fell by {}", percent("measured_effect"));
        }
    }
    if of(true).next().is_some() {
        let _ = writeln!(text, "\n  Not suggested");
    }
    for row in of(true).take(LISTED_MAX) {
        let _ = writeln!(text, "     {}: {}", cell(row, "ddl"), cell(row, "evidence"));
    }
}

fn templates(mut rows: Vec<Row>, text: &mut String) {
    rows.sort_by(|a, b| number(b, "total_ms").total_cmp(&number(a, "total_ms")));
    let all: f64 = rows.iter().map(|row| number(row, "total_ms")).sum();
    let _ = writeln!(text, "\nTemplates by total time ({} known)", rows.len());
    for row in rows.iter().take(LISTED_MAX) {
        let _ = writeln!(
            text,
            "  {:5.1}%  {:>8} runs  p50 {:>9} ms  p95 {:>9} ms  {}",
            100.0 * number(row, "total_ms") / all.max(f64::MIN_POSITIVE),
            cell(row, "statements"),
            cell(row, "p50_ms"),
            cell(row, "p95_ms"),
            short(&cell(row, "template"))
        );
    }
}

fn incidents(rows: Vec<Row>, text: &mut String) {
    let _ = writeln!(text, "\nIncidents ({})", rows.len());
    for row in rows.iter().rev().take(LISTED_MAX) {
        let fields = ["id", "severity", "state", "started", "kind", "subject", "what", "causes"];
        let told: Vec<String> = fields.iter().map(|name| cell(row, name)).filter(|value| !value.is_empty()).collect();
        let _ = writeln!(text, "  {}", told.join("  "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Moment;
    use crate::testing::{DAY, statement};
    use std::time::Duration;

    #[tokio::test]
    async fn a_report_writes_nothing_and_sends_the_terminal_no_commands() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(report(folder.path()).await.unwrap(), None);
        let store = Store::open(folder.path(), DAY).await.unwrap();
        let known = Templates::default();
        let mut record = statement("sam", 1, 5, DAY);
        record.template = "select \u{1b}]0;x\u{7} from t".into();
        let now = Moment { seconds: DAY, running: Duration::ZERO };
        known.follow(&[record.clone()], now, &store).await.unwrap();
        store.append(&[&record]).await.unwrap();
        known.tick(Moment { running: Duration::from_secs(3_600), ..now }, &store).await.unwrap();
        let before = store.all("template").await.unwrap();
        let text = report(folder.path()).await.unwrap().unwrap();
        assert!(text.contains("Incidents (0)") && text.contains("]0;x") && !text.contains('\u{1b}'), "{text:?}");
        assert_eq!(store.all("template").await.unwrap(), before);

        let other = tempfile::tempdir().unwrap();
        let file = other.path().join("telemetry.db");
        std::fs::write(&file, "no database").unwrap();
        assert!(report(other.path()).await.is_err());
        assert_eq!(std::fs::read(&file).unwrap(), b"no database", "it is left as it is");
    }
}
