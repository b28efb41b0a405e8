//! Queries by total time, and how busy the gate was.

use super::runs::{Run, over_time, quantile, rhythm, span};
use crate::pages::chart::{Axis, Frame, NOTHING, bars, both, spark};
use crate::pages::format::{clock, count, millis, share, stretch};
use crate::pages::html::{Html, classed, element, percent};
use crate::pages::layout::{badge, heading, legend, nothing, section, sql_line, table, tile, tiles};
use crate::pages::read::{Reader, Row};
use querygate_types::Result;
use std::collections::HashMap;

/// Statements that read a governed table, or were refused: these pages' own are neither.
const TEMPLATES: &str = "SELECT fingerprint, min(template) AS template, count(*) AS runs, sum(total_ms) AS total_ms, \
     max(total_ms) AS most_ms, sum(rows) AS rows, sum(CASE WHEN outcome <> 'ok' THEN 1 ELSE 0 END) AS failed, \
     count(DISTINCT login) AS users \
     FROM querygate.queries WHERE objects <> '' OR outcome <> 'ok' \
     GROUP BY fingerprint ORDER BY total_ms DESC LIMIT 50";
pub(super) const RUNS: &str = "SELECT fingerprint, started, total_ms, rows, outcome FROM querygate.queries \
     WHERE objects <> '' OR outcome <> 'ok' ORDER BY started DESC LIMIT 10000";

/// Points of the small line in each row.
const SPARK_POINTS: usize = 24;

pub(crate) async fn overview(reader: &Reader) -> Result<Html> {
    let runs: Vec<Run> = reader.rows(RUNS, &[]).await?.iter().filter_map(Run::read).collect();
    let templates = reader.rows(TEMPLATES, &[]).await?;
    let about = if reader.operator {
        "What everybody ran through this gate, by the time it took together."
    } else {
        "What you ran through this gate, by the time it took together."
    };
    Ok([heading("Queries", about), figures(&runs, &templates), activity(&runs), by_time(&runs, &templates)].into())
}

fn figures(runs: &[Run], templates: &[Row]) -> Html {
    let times = || runs.iter().map(|run| run.total_ms);
    let failed = runs.iter().filter(|run| run.failed).count();
    let since = span(runs).map(|(first, _)| format!("since {} UTC", clock(first))).unwrap_or_default();
    let ms = |share: f64| quantile(times(), share).map_or_else(|| "–".to_owned(), millis);
    let rows: f64 = runs.iter().map(|run| run.rows).sum();
    tiles([
        tile("Statements", &count(number(runs.len())), &since),
        tile("Median time", &ms(0.5), &format!("95% within {}", ms(0.95))),
        tile("Rows delivered", &count(rows), &format!("{} templates", templates.len())),
        tile("Failed", &share(number(failed) / number(runs.len().max(1))), &format!("{failed} statements")),
    ])
}

#[allow(clippy::cast_precision_loss, reason = "counts of at most some ten thousand")]
pub(super) fn number(count: usize) -> f64 {
    count as f64
}

fn activity(runs: &[Run]) -> Html {
    let stretches = over_time(runs);
    let (Some(first), Some(last)) = (stretches.first(), stretches.last()) else {
        return section("Activity", "", nothing(NOTHING));
    };
    let highest = stretches.iter().map(|bar| bar.counts.iter().sum());
    let ends = (first.from, last.to);
    let axis = Axis::from_zero(highest, count);
    let drawn = both(|size| {
        let mut frame = Frame::over_time(size, "Statements over time", ends, axis, 200.0);
        bars(&mut frame, &stretches, &[("went well", "s0"), ("failed", "bad")]);
        frame.finish()
    });
    let width = stretch(first.to - first.from);
    let note = format!("Statements per {width}, times in UTC.");
    section("Activity", &note, [legend(&[("s0", "went well"), ("bad", "failed")]), drawn])
}

fn by_time(runs: &[Run], templates: &[Row]) -> Html {
    if templates.is_empty() {
        return section("By total time", "", nothing("No statement has read a table yet."));
    }
    let mut of: HashMap<&str, Vec<&Run>> = HashMap::new();
    for run in runs {
        of.entry(&run.fingerprint).or_default().push(run);
    }
    let ends = span(runs).unwrap_or((0, 1));
    let all: f64 = templates.iter().filter_map(|row| row.number(3)).sum();
    let rows = templates.iter().map(|row| {
        let fingerprint = row.text(0);
        let own = of.get(fingerprint.as_str()).map(Vec::as_slice).unwrap_or_default();
        let p95 = quantile(own.iter().map(|run| run.total_ms), 0.95).or(row.number(4)).unwrap_or(0.0);
        let (calls, total) = (row.number(2).unwrap_or(0.0), row.number(3).unwrap_or(0.0));
        let failed = row.number(6).unwrap_or(0.0);
        let href = format!("/ui/query/{}", percent(&fingerprint));
        let part = if all > 0.0 { total / all } else { 0.0 };
        vec![
            sql_line(&row.text(1), Some(&href)),
            meter(part),
            millis(total).into(),
            count(calls).into(),
            millis(total / calls.max(1.0)).into(),
            millis(p95).into(),
            count(row.number(5).unwrap_or(0.0) / calls.max(1.0)).into(),
            if failed > 0.0 { badge("bad", &count(failed)) } else { Html::from("0") },
            count(row.number(7).unwrap_or(0.0)).into(),
            spark(&rhythm(own.iter().copied(), ends, SPARK_POINTS)),
        ]
    });
    let columns = [
        ("Statement, values left out", false),
        ("Share of time", false),
        ("Total", true),
        ("Runs", true),
        ("Mean", true),
        ("95%", true),
        ("Rows each", true),
        ("Failed", true),
        ("Users", true),
        ("Runs over time", false),
    ];
    section("By total time", "", table(&columns, rows.collect()))
}

/// A bar of a share, and its number.
pub(super) fn meter(part: f64) -> Html {
    let value = format!("{part:.4}");
    let bar = element("meter", &[("min", "0"), ("max", "1"), ("value", &value)], "");
    classed("span", "share", [bar, Html::from(format!(" {}", share(part)))])
}
