//! What was unusual: incidents on a timeline, each in plain words.

use super::LEARNING_IS_OFF;
use crate::pages::auth::Seat;
use crate::pages::chart::{Lane, both, timeline};
use crate::pages::format::{clock, moment};
use crate::pages::html::{Html, classed, element};
use crate::pages::layout::{badge, button, form, heading, hidden, legend, nothing, section, table, tile, tiles};
use crate::pages::read::{Reader, Row};
use chrono::Utc;
use querygate_types::Result;

const INCIDENTS: &str = "SELECT id, alert, severity, kind, subject, login, what, causes, state, started, last_seen, ended, \
     delivery, acknowledged_by FROM querygate.anomalies ORDER BY started DESC LIMIT 200";

/// Rows of the timeline.
const LANES: usize = 16;
/// Time that is shown around the incidents, in microseconds.
const AROUND: i64 = 60_000_000;

pub(crate) async fn anomalies(reader: &Reader, seat: &Seat) -> Result<Html> {
    let about =
        "What differed from the usual: per user, query, source and table. One incident for what belongs together.";
    let heading = heading("Anomalies", about);
    let Some(found) = reader.rows_if_any("anomalies", INCIDENTS, &[]).await? else {
        return Ok([heading, section("Incidents", "", nothing(LEARNING_IS_OFF))].into());
    };
    let now = Utc::now().timestamp_micros();
    if found.is_empty() {
        return Ok([
            heading,
            figures(&found, reader.operator, now),
            section("Incidents", "", nothing("Nothing unusual so far.")),
        ]
        .into());
    }
    let figures = figures(&found, reader.operator, now);
    Ok([heading, figures, over_time(&found), list(&found, reader.operator, seat, now)].into())
}

/// How an incident is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    GoingOn,
    /// Nothing unusual since then, and not yet for so long that it is over.
    QuietSince(i64),
    Ended(i64),
}

/// What was unusual within this time before now still goes on, in microseconds.
const JUST_NOW: i64 = 60_000_000;

fn course(row: &Row, now: i64) -> Course {
    match (row.time(11), row.time(10)) {
        (Some(ended), _) => Course::Ended(ended),
        (None, Some(seen)) if now.saturating_sub(seen) > JUST_NOW => Course::QuietSince(seen),
        (None, _) => Course::GoingOn,
    }
}

/// What became of an alert is told to operators only.
fn figures(found: &[Row], operator: bool, now: i64) -> Html {
    let open = found.iter().filter(|row| course(row, now) == Course::GoingOn).count();
    let critical = found.iter().filter(|row| row.text(2) == "critical").count();
    let mut figures = vec![
        tile("Going on now", &open.to_string(), &format!("{} in all", found.len())),
        tile("Critical", &critical.to_string(), ""),
    ];
    if operator {
        let seen = found.iter().filter(|row| !row.text(13).is_empty()).count();
        let delivered = found.iter().filter(|row| row.text(12) == "delivered").count();
        figures.push(tile("Acknowledged", &seen.to_string(), &format!("{} not yet", found.len() - seen)));
        figures.push(tile("Alerts delivered", &delivered.to_string(), "to the webhook"));
    }
    tiles(figures)
}

fn colour(severity: &str) -> &'static str {
    match severity {
        "critical" => "bad",
        "warning" => "warn",
        _ => "s0",
    }
}

/// One lane for each subject, the latest first.
fn over_time(found: &[Row]) -> Html {
    let mut lanes: Vec<Lane> = Vec::new();
    let (mut first, mut last) = (i64::MAX, i64::MIN);
    for row in found {
        let Some(from) = row.time(9) else { continue };
        let to = row.time(11).or(row.time(10)).unwrap_or(from).max(from);
        let tip = format!("{}\n{} – {}", row.text(6), moment(from), moment(to));
        let span = (from, to, colour(&row.text(2)), tip);
        let name = row.text(4);
        match lanes.iter().position(|lane| lane.name == name) {
            Some(at) => lanes.get_mut(at).into_iter().for_each(|lane| lane.spans.push(span.clone())),
            None if lanes.len() < LANES => lanes.push(Lane { name, spans: vec![span] }),
            None => continue,
        }
        first = first.min(from);
        last = last.max(to);
    }
    if lanes.is_empty() {
        return Html::default();
    }
    let ends = (first.saturating_sub(AROUND), last.saturating_add(AROUND));
    let names = legend(&[("bad", "critical"), ("warn", "warning"), ("s0", "notice")]);
    let drawn = [names, both(|size| timeline(size, "Incidents over time", ends, &lanes))];
    section("Timeline", "Times in UTC; each bar is an incident.", drawn)
}

fn list(found: &[Row], operator: bool, seat: &Seat, now: i64) -> Html {
    let rows = found.iter().map(|row| {
        let class = match colour(&row.text(2)) {
            "s0" => "plain",
            other => other,
        };
        let causes = row.text(7);
        let mut words = vec![element("div", &[], row.text(6))];
        if !causes.is_empty() {
            words.push(classed("div", "remark", format!("Likely: {causes}")));
        }
        let until = match course(row, now) {
            Course::Ended(ended) => moment(ended).into(),
            Course::QuietSince(seen) => badge("plain", &format!("quiet since {}", clock(seen))),
            Course::GoingOn => badge("warn", "going on"),
        };
        let mut cells = vec![
            badge(class, &row.text(2)),
            row.text(3).into(),
            classed("div", "words", words),
            row.time(9).map(moment).unwrap_or_default().into(),
            until,
        ];
        if operator {
            cells.push(row.text(12).into());
            cells.push(acknowledged(row, seat));
        }
        cells
    });
    let mut columns =
        vec![("Severity", false), ("Kind", false), ("What", false), ("Began, UTC", false), ("Ended, UTC", false)];
    if operator {
        columns.extend([("Alert", false), ("Acknowledged", false)]);
    }
    section("Incidents", "", table(&columns, rows.collect()))
}

fn acknowledged(row: &Row, seat: &Seat) -> Html {
    let by = row.text(13);
    if !by.is_empty() {
        return by.into();
    }
    form("/ui/anomalies/acknowledge", seat, [hidden("id", &row.text(0)), button("small", "Acknowledge")])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::read::Cell;

    #[test]
    fn an_incident_goes_on_while_something_unusual_is_seen() {
        let check = |seen: i64, ended: Option<i64>, expected: Course| {
            let mut cells = vec![Cell::Null; 10];
            cells.extend([Cell::Time(seen), ended.map_or(Cell::Null, Cell::Time)]);
            assert_eq!(course(&Row(cells), 1_000 * JUST_NOW), expected, "{seen} {ended:?}");
        };
        check(1_000 * JUST_NOW, None, Course::GoingOn);
        check(999 * JUST_NOW, None, Course::GoingOn);
        check(999 * JUST_NOW - 1, None, Course::QuietSince(999 * JUST_NOW - 1));
        check(1, Some(2), Course::Ended(2));
        assert_eq!(course(&Row::default(), 5), Course::GoingOn);
    }

    #[test]
    fn what_became_of_alerts_is_told_to_operators_only() {
        let [reader, operator] = [false, true].map(|operator| figures(&[], operator, 0).into_string());
        assert!(operator.contains("Alerts delivered") && operator.contains("Acknowledged"), "{operator}");
        assert!(reader.contains("Going on now") && !reader.contains("delivered"), "{reader}");
        assert!(!reader.contains("Acknowledged"), "{reader}");
    }
}
