//! Sources with their connections, and who is connected.

use super::NOT_HERE;
use crate::pages::format::{count, millis, moment};
use crate::pages::html::{Html, element};
use crate::pages::layout::{badge, heading, nothing, section, table};
use crate::pages::read::{Reader, Row};
use querygate_types::Result;

const SOURCES: &str = "SELECT name, kind, tables, up, error, pool_size, in_use, idle, waiting, opened, failed, \
     mean_lease_ms, breaker FROM querygate.sources ORDER BY name LIMIT 200";
const WORKERS: &str = "SELECT name, address, answers, running, parts, rows, bytes, failures FROM querygate.workers \
     ORDER BY name, address LIMIT 200";
const SESSIONS: &str = "SELECT login, door, application, peer, since, statements, state FROM querygate.sessions \
     ORDER BY since DESC LIMIT 200";

pub(crate) async fn sources(reader: &Reader) -> Result<Html> {
    let found = reader.rows(SOURCES, &[]).await?;
    let workers = reader.rows_if_any("workers", WORKERS, &[]).await?.unwrap_or_default();
    let sessions = reader.rows_if_any("sessions", SESSIONS, &[]).await?;
    let about = "The backends behind this gate, their connections, and who is connected to it.";
    Ok([heading("Sources", about), of_sources(reader, &found), of_workers(&workers), of_sessions(sessions)].into())
}

fn of_sources(reader: &Reader, found: &[Row]) -> Html {
    if found.is_empty() {
        let why = if reader.operator { "No source is configured." } else { "Sources are named to operators only." };
        return section("Backends", "", nothing(why));
    }
    let rows = found.iter().map(|row| {
        let up = row.flag(3) == Some(true);
        let mut state = vec![if up { badge("good", "up") } else { badge("bad", "down") }];
        let error = row.text(4);
        if !error.is_empty() {
            state.push(element("div", &[("class", "remark")], error));
        }
        vec![
            element("strong", &[], row.text(0)),
            row.text(1).into(),
            state.into(),
            count(row.number(2).unwrap_or(0.0)).into(),
            pool(row),
            row.number(8).map_or_else(|| "–".to_owned(), count).into(),
            row.number(9).map_or_else(|| "–".to_owned(), count).into(),
            row.number(10).map_or_else(|| "–".to_owned(), count).into(),
            row.number(11).map_or_else(|| "–".to_owned(), millis).into(),
            breaker(&row.text(12)),
        ]
    });
    let columns = [
        ("Source", false),
        ("Kind", false),
        ("State", false),
        ("Tables", true),
        ("Connections in use", false),
        ("Waiting", true),
        ("Opened", true),
        ("Failed", true),
        ("Mean lease", true),
        ("Breaker", false),
    ];
    section("Backends", "", table(&columns, rows.collect()))
}

/// Nothing where there are none, or for others than operators.
fn of_workers(found: &[Row]) -> Html {
    if found.is_empty() {
        return Html::default();
    }
    let rows = found.iter().map(|row| {
        let (name, address) = (row.text(0), row.text(1));
        let mut called = vec![element("strong", &[], name.clone())];
        if address != name {
            called.push(element("div", &[("class", "remark")], address));
        }
        let answers = row.flag(2) == Some(true);
        let counted = |column| -> Html { count(row.number(column).unwrap_or(0.0)).into() };
        vec![
            Html::from(called),
            if answers { badge("good", "answers") } else { badge("bad", "does not answer") },
            counted(3),
            counted(4),
            counted(5),
            counted(6),
            counted(7),
        ]
    });
    let columns = [
        ("Worker", false),
        ("State", false),
        ("Running parts", true),
        ("Parts", true),
        ("Rows", true),
        ("Bytes", true),
        ("Failures", true),
    ];
    section("Workers", "", table(&columns, rows.collect()))
}

fn pool(row: &Row) -> Html {
    let (Some(size), Some(used)) = (row.number(5), row.number(6)) else { return "none of its own".into() };
    let value = format!("{}", if size > 0.0 { used / size } else { 0.0 });
    let bar = element("meter", &[("min", "0"), ("max", "1"), ("value", &value)], "");
    let idle = row.number(7).unwrap_or(0.0);
    let words = format!(" {} of {}, {} idle", count(used), count(size), count(idle));
    [bar, words.into()].into()
}

fn breaker(state: &str) -> Html {
    match state {
        "" => "–".into(),
        "closed" => badge("good", "closed"),
        "open" => badge("bad", "open"),
        other => badge("warn", other),
    }
}

fn of_sessions(sessions: Option<Vec<Row>>) -> Html {
    let Some(sessions) = sessions else { return section("Sessions", "", nothing(NOT_HERE)) };
    let rows = sessions.iter().map(|row| {
        vec![
            row.text(0).into(),
            row.text(1).into(),
            row.text(2).into(),
            row.text(3).into(),
            row.time(4).map(moment).unwrap_or_default().into(),
            count(row.number(5).unwrap_or(0.0)).into(),
            badge(if row.text(6) == "idle" { "plain" } else { "good" }, &row.text(6)),
        ]
    });
    let columns = [
        ("User", false),
        ("Door", false),
        ("Application", false),
        ("Peer", false),
        ("Since, UTC", false),
        ("Statements", true),
        ("State", false),
    ];
    section("Sessions", "", table(&columns, rows.collect()))
}
