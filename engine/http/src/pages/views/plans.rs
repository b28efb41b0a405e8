//! The plan advisor: what it tried, what it chose, what that cost and saved.

use super::LEARNING_IS_OFF;
use crate::pages::auth::Seat;
use crate::pages::chart::{Axis, Frame, Series, both, instant, lines};
use crate::pages::format::{count, millis, share};
use crate::pages::html::{Html, classed, element, percent};
use crate::pages::layout::{
    badge, button, form, heading, hidden, legend, nothing, section, sql_line, table, tile, tiles,
};
use crate::pages::read::{Reader, Row};
use querygate_types::Result;

const PLANS: &str = "SELECT fingerprint, template, band, alternative, state, runs, mean_ms, ratio, upper, trial_ms, \
     saved_ms, why, login FROM querygate.plans ORDER BY fingerprint, login, band, alternative LIMIT 2000";
const ONE: &str = "SELECT fingerprint, template, band, alternative, state, runs, mean_ms, ratio, upper, trial_ms, \
     saved_ms, why, login FROM querygate.plans WHERE fingerprint = $1 ORDER BY login, band, alternative LIMIT 200";
/// Time gained and spent so far, over time.
const REGRET: &str = "SELECT at, saved_ms, trial_ms FROM querygate.plan_progress ORDER BY at LIMIT 5000";

pub(crate) async fn plans(reader: &Reader) -> Result<Html> {
    let about = "Which of several valid plans each query runs with, tried on a small share of its runs and kept only when \
                 measured to be better.";
    let heading = heading("Plan advisor", about);
    let Some(found) = reader.rows_if_any("plans", PLANS, &[]).await? else {
        return Ok([heading, section("Plans", "", nothing(LEARNING_IS_OFF))].into());
    };
    let progress = reader.rows_if_any("plan_progress", REGRET, &[]).await?.unwrap_or_default();
    Ok([heading, figures(&found), regret(&progress), decided(&found)].into())
}

fn figures(found: &[Row]) -> Html {
    let sum = |column: usize| found.iter().filter_map(|row| row.number(column)).sum::<f64>();
    let in_state = |state: &str| found.iter().filter(|row| row.text(4) == state).count();
    let (pinned, trial, suspended) = (in_state("pinned"), in_state("trial"), in_state("suspended"));
    let (spent, saved) = (sum(9), sum(10));
    tiles([
        tile("Pinned plans", &pinned.to_string(), &format!("{suspended} given up for now")),
        tile("In trial", &trial.to_string(), &format!("{} alternatives known", found.len())),
        tile("Saved", &millis(saved), "against the default, measured"),
        tile("Spent on trials", &millis(spent), &format!("{} of what was saved", share(ratio(spent, saved)))),
    ])
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

/// Time saved less time spent on trials: above zero, learning has paid.
fn regret(progress: &[Row]) -> Html {
    let read = |row: &Row| Some((row.time(0)?, row.number(1)?, row.number(2)?));
    let seen: Vec<(i64, f64, f64)> = progress.iter().filter_map(read).collect();
    let (Some(first), Some(last)) = (seen.first(), seen.last()) else {
        return section("Saved and spent", "", nothing("Nothing has been tried yet."));
    };
    let line = |class, value: fn(&(i64, f64, f64)) -> f64| Series {
        class,
        points: seen.iter().map(|one| (instant(one.0), value(one))).collect(),
    };
    let series = [line("s1", |one| one.1), line("bad", |one| -one.2), line("s0", |one| one.1 - one.2)];
    let values = series.iter().flat_map(|one| one.points.iter().map(|(_, y)| *y));
    let axis = Axis::around_zero(values, millis);
    let drawn = both(|size| {
        let label = "Time saved and spent by the advisor";
        let mut frame = Frame::over_time(size, label, (first.0, last.0), axis, 240.0);
        lines(&mut frame, &series);
        frame.finish()
    });
    let names = legend(&[("s1", "saved"), ("bad", "spent on trials"), ("s0", "net")]);
    section("Saved and spent", "Sums since the start, against the default plan.", [names, drawn])
}

const COLUMNS: [(&str, bool); 6] = [
    ("Alternative", false),
    ("State", false),
    ("Runs", true),
    ("Mean", true),
    ("Against default", true),
    ("Why", false),
];

fn cells(row: &Row) -> Vec<Html> {
    vec![
        element("code", &[], row.text(3)),
        state(&row.text(4)),
        count(row.number(5).unwrap_or(0.0)).into(),
        row.number(6).map_or_else(|| "–".to_owned(), millis).into(),
        row.number(7).map_or_else(|| "–".into(), times),
        row.text(11).into(),
    ]
}

fn times(ratio: f64) -> Html {
    let shown = format!("×{ratio:.2}");
    match ratio {
        _ if ratio < 0.95 => badge("good", &shown),
        _ if ratio > 1.1 => badge("bad", &shown),
        _ => shown.into(),
    }
}

fn state(name: &str) -> Html {
    let class = match name {
        "pinned" => "good",
        "trial" | "shadow" => "warn",
        "suspended" => "bad",
        _ => "plain",
    };
    badge(class, name)
}

/// Plans of one template, one user and one magnitude of rows belong together; the statement stands above them.
fn decided(found: &[Row]) -> Html {
    if found.is_empty() {
        return section("Alternatives", "", nothing("No query with alternatives has run yet."));
    }
    let same = |a: &Row, b: &Row| [0, 2, 12].iter().all(|column| a.text(*column) == b.text(*column));
    let mut groups: Vec<&[Row]> = found.chunk_by(|a, b| same(a, b)).collect();
    // Where something is in force or under way comes first.
    let rank = |group: &&[Row]| {
        let has = |state: &str| group.iter().any(|row| row.text(4) == state);
        (!has("pinned"), !has("fixed"), !has("trial"))
    };
    groups.sort_by_key(rank);
    let cards = groups.into_iter().take(GROUPS).map(|group| {
        let Some(first) = group.first() else { return Html::default() };
        let href = format!("/ui/query/{}", percent(&first.text(0)));
        let head = classed(
            "div",
            "head",
            [
                sql_line(&first.text(1), Some(&href)),
                classed("span", "remark", format!("{}{}", first.text(12), magnitude(first, " · about ", " rows"))),
            ],
        );
        classed("div", "group", [head, table(&COLUMNS, group.iter().map(cells).collect())])
    });
    section("Alternatives", "Each query's plans, per user and magnitude of the rows it reads.", cards.collect::<Html>())
}

/// The magnitude of the rows that are read; nothing for whom that would tell of hidden ones.
fn magnitude(row: &Row, before: &str, after: &str) -> String {
    let magnitude = row.text(2);
    if magnitude.is_empty() { String::new() } else { format!("{before}10^{magnitude}{after}") }
}

/// Groups on the page.
const GROUPS: usize = 40;

/// The alternatives of one template, for its own page.
pub(super) async fn alternatives(reader: &Reader, seat: &Seat, fingerprint: &str) -> Result<Html> {
    let found = reader.rows_if_any("plans", ONE, &[fingerprint]).await?.unwrap_or_default();
    if found.is_empty() {
        return Ok(Html::default());
    }
    let mut columns = vec![("User", false), ("Rows", true)];
    columns.extend(COLUMNS);
    let row = |row: &Row| {
        let mut all = vec![Html::from(row.text(12)), magnitude(row, "", "").into()];
        all.extend(cells(row));
        all
    };
    let measured = table(&columns, found.iter().map(row).collect());
    let decide = if reader.operator { decisions(seat, fingerprint, &found) } else { Html::default() };
    Ok(section("Plans", "Valid alternatives and what was measured of them.", [measured, decide]))
}

/// What an operator may decide of a template's plans.
fn decisions(seat: &Seat, fingerprint: &str, found: &[Row]) -> Html {
    let act = |action: &'static str, name: &str, alternative: &str| {
        let fields = [hidden("fingerprint", fingerprint), hidden("alternative", alternative), button("small", name)];
        form(action, seat, fields)
    };
    let mut names: Vec<String> = found.iter().map(|row| row.text(3)).collect();
    names.sort();
    names.dedup();
    let mut forms: Vec<Html> = names.iter().map(|name| act("/ui/plans/pin", &format!("Always {name}"), name)).collect();
    forms.push(act("/ui/plans/unpin", "Let the advisor choose", ""));
    forms.push(act("/ui/plans/forget", "Forget what was measured", ""));
    classed("div", "actions", forms)
}
