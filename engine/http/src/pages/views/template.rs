//! One template: its runs over time, who ran it, what went to which source, and its plans.

use super::overview::{meter, number};
use super::plans::alternatives;
use super::runs::{Run, quantile, span};
use crate::pages::auth::Seat;
use crate::pages::chart::{Axis, Frame, Mark, NOTHING, both, instant, points};
use crate::pages::format::{count, millis, moment, share};
use crate::pages::html::{Html, classed, element, link};
use crate::pages::layout::{badge, heading, legend, nothing, section, table, tile, tiles};
use crate::pages::read::{Reader, Row};
use crate::pages::sql::laid_out;
use querygate_types::Result;

const RUNS: &str = "SELECT fingerprint, started, total_ms, rows, outcome, login, door, planning_ms, cached, objects \
     FROM querygate.queries WHERE fingerprint = $1 ORDER BY started DESC LIMIT 2000";
const TEXT: &str = "SELECT min(template) AS template FROM querygate.queries WHERE fingerprint = $1";
/// What a statement's fragments were, for its latest forms.
const FRAGMENTS: &str = "SELECT f.source, f.object, f.receipt, count(*) AS runs, max(q.started) AS latest \
     FROM querygate.fragments f JOIN querygate.queries q ON q.id = f.query WHERE q.fingerprint = $1 \
     GROUP BY f.source, f.object, f.receipt ORDER BY latest DESC LIMIT 20";

const RECENT: usize = 25;

pub(crate) async fn template(reader: &Reader, seat: &Seat, fingerprint: &str) -> Result<Html> {
    let back = classed("p", "back", link("/ui", "← All queries"));
    let rows = reader.rows(RUNS, &[fingerprint]).await?;
    if rows.is_empty() {
        let none = nothing("No statement with this fingerprint is remembered, or none that you may see.");
        return Ok([back, heading("One query", ""), section("Runs", "", none)].into());
    }
    let text = reader.rows(TEXT, &[fingerprint]).await?.first().map(|row| row.text(0)).unwrap_or_default();
    let runs: Vec<Run> = rows.iter().filter_map(Run::read).collect();
    let fragments = reader.rows(FRAGMENTS, &[fingerprint]).await?;
    Ok([
        back,
        heading("One query", &format!("Fingerprint {fingerprint}")),
        classed("pre", "sql card", laid_out(&text)),
        figures(&runs, &rows),
        history(&runs, &rows),
        alternatives(reader, seat, fingerprint).await?,
        fragments_table(&fragments),
        by_user(&rows),
        recent(&rows),
    ]
    .into())
}

fn figures(runs: &[Run], rows: &[Row]) -> Html {
    let ms = |share: f64| quantile(runs.iter().map(|run| run.total_ms), share).map_or_else(|| "–".to_owned(), millis);
    let failed = runs.iter().filter(|run| run.failed).count();
    let cached = rows.iter().filter(|row| row.flag(8) == Some(true)).count();
    let planning = quantile(rows.iter().filter_map(|row| row.number(7)), 0.5).map_or_else(|| "–".to_owned(), millis);
    let spared = share(number(cached) / number(rows.len().max(1)));
    tiles([
        tile("Runs", &count(number(runs.len())), &format!("{failed} failed")),
        tile("Median time", &ms(0.5), &format!("fastest {}", ms(0.0))),
        tile("95% within", &ms(0.95), &format!("slowest {}", ms(1.0))),
        tile("Planning", &planning, &format!("spared in {spared} of runs")),
    ])
}

fn history(runs: &[Run], rows: &[Row]) -> Html {
    let Some(ends) = span(runs) else { return section("History", "", nothing(NOTHING)) };
    let axis = Axis::by_powers(runs.iter().map(|run| run.total_ms), millis);
    let mark = |(run, row): (&Run, &Row)| Mark {
        x: instant(run.started),
        y: run.total_ms,
        class: if run.failed { "bad" } else { "s0" },
        tip: format!("{}\n{} by {}, {} rows", moment(run.started), millis(run.total_ms), row.text(5), count(run.rows)),
    };
    let marks: Vec<Mark> = runs.iter().zip(rows).map(mark).collect();
    let drawn = both(|size| {
        let mut frame = Frame::over_time(size, "Time of each run", ends, axis, 240.0);
        points(&mut frame, &marks);
        frame.finish()
    });
    let drawn = [legend(&[("s0", "went well"), ("bad", "failed")]), drawn];
    section("History", "Each point is a run; its height is the time it took.", drawn)
}

fn fragments_table(fragments: &[Row]) -> Html {
    if fragments.is_empty() {
        return section("What ran where", "", nothing("No source ran a part of it."));
    }
    let rows = fragments.iter().map(|row| {
        vec![
            row.text(0).into(),
            row.text(1).into(),
            receipt(&row.text(2)),
            count(row.number(3).unwrap_or(0.0)).into(),
            row.time(4).map(moment).unwrap_or_default().into(),
        ]
    });
    let columns = [("Source", false), ("Object", false), ("Receipt", false), ("Runs", true), ("Latest, UTC", false)];
    section("What ran where", "What was pushed to a source, what stayed, and why.", table(&columns, rows.collect()))
}

/// The lines of a receipt, each with what became of it.
fn receipt(text: &str) -> Html {
    let line = |line: &str| {
        let line = line.trim();
        let (word, rest) = line.split_once(": ").unwrap_or(("", line));
        let class = match word {
            _ if word.starts_with("pushed to ") => "good",
            "read" => "good",
            "kept" => "plain",
            _ => return element("div", &[], line),
        };
        element("div", &[], [badge(class, word), Html::from(format!(" {rest}"))])
    };
    let lines = text.lines().flat_map(|lines| lines.split("; ")).filter(|line| !line.trim().is_empty());
    classed("div", "receipt", lines.take(40).map(line).collect::<Html>())
}

fn by_user(rows: &[Row]) -> Html {
    let mut users: Vec<(String, f64, f64, f64)> = Vec::new();
    for row in rows {
        let (login, ms, delivered) = (row.text(5), row.number(2).unwrap_or(0.0), row.number(3).unwrap_or(0.0));
        match users.iter_mut().find(|(name, ..)| *name == login) {
            Some((_, runs, total, rows)) => {
                *runs += 1.0;
                *total += ms;
                *rows += delivered;
            }
            None => users.push((login, 1.0, ms, delivered)),
        }
    }
    users.sort_by(|a, b| b.2.total_cmp(&a.2));
    let all: f64 = users.iter().map(|user| user.2).sum();
    let lines = users.into_iter().map(|(login, runs, total, delivered)| {
        let part = if all > 0.0 { total / all } else { 0.0 };
        vec![
            login.into(),
            meter(part),
            millis(total).into(),
            count(runs).into(),
            millis(total / runs).into(),
            count(delivered).into(),
        ]
    });
    let columns =
        [("User", false), ("Share of time", false), ("Total", true), ("Runs", true), ("Mean", true), ("Rows", true)];
    section("Who ran it", "", table(&columns, lines.collect()))
}

fn recent(rows: &[Row]) -> Html {
    let lines = rows.iter().take(RECENT).map(|row| {
        let outcome = row.text(4);
        vec![
            row.time(1).map(moment).unwrap_or_default().into(),
            row.text(5).into(),
            row.text(6).into(),
            millis(row.number(7).unwrap_or(0.0)).into(),
            millis(row.number(2).unwrap_or(0.0)).into(),
            count(row.number(3).unwrap_or(0.0)).into(),
            if outcome == "ok" { badge("good", "ok") } else { badge("bad", &outcome) },
        ]
    });
    let columns = [
        ("Started, UTC", false),
        ("User", false),
        ("Door", false),
        ("Planning", true),
        ("Total", true),
        ("Rows", true),
        ("Outcome", false),
    ];
    section("Latest runs", "", table(&columns, lines.collect()))
}
