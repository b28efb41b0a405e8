//! Index suggestions: what they would cost and save, and what they did once applied.

use super::LEARNING_IS_OFF;
use crate::pages::auth::Seat;
use crate::pages::format::{bytes, moment, share};
use crate::pages::html::{Html, classed, element, link, percent};
use crate::pages::layout::{badge, button, form, heading, hidden, nothing, section, table, tile, tiles};
use crate::pages::read::{Reader, Row};
use querygate_types::Result;

const SUGGESTIONS: &str = "SELECT id, source, object, kind, ddl, state, benefit, templates, size_bytes, write_cost, \
     confidence, evidence, measured_effect, measured, suggested, applied FROM querygate.index_suggestions \
     ORDER BY benefit DESC NULLS LAST, id LIMIT 200";
const ONE: &str = "SELECT id, source, object, kind, ddl, state, benefit, templates, size_bytes, write_cost, \
     confidence, evidence FROM querygate.index_suggestions WHERE CAST(id AS text) = $1";

pub(crate) async fn indexes(reader: &Reader) -> Result<Html> {
    let about = "Indexes that would make the queries of this gate faster, checked with each source's own planner, and what \
                 they did once they were there.";
    let heading = heading("Index advice", about);
    let Some(found) = reader.rows_if_any("index_suggestions", SUGGESTIONS, &[]).await? else {
        return Ok([heading, section("Suggestions", "", nothing(LEARNING_IS_OFF))].into());
    };
    let is = |states: &'static [&'static str]| {
        let chosen = found.iter().filter(move |row| states.contains(&row.text(5).as_str()));
        chosen.collect::<Vec<&Row>>()
    };
    let (open, made) = (is(&["suggested"]), is(&["applied", "helped", "did not help", "undone"]));
    let rejected = is(&["rejected"]);
    if found.is_empty() {
        let why = if reader.operator {
            "No query has run often enough at a source that plans for itself."
        } else {
            "Suggestions are shown to operators only."
        };
        return Ok([heading, section("Suggestions", "", nothing(why))].into());
    }
    let note = "Applied here where the configuration allows it (apply_indexes), or by hand at the source.";
    let mut parts = vec![heading, figures(&open, &made), section("Suggested", note, open_table(&open))];
    if !made.is_empty() {
        let note = "Estimated is a share of the source's whole cost, as its planner sees it; measured a share of the time of the \
                    fragments that the index serves, less what others became faster or slower meanwhile.";
        parts.push(section("Before and after", note, made_table(&made)));
    }
    if !rejected.is_empty() {
        parts.push(section("Why not", "Obvious indexes that are not suggested.", rejected_table(&rejected)));
    }
    Ok(parts.into())
}

fn figures(open: &[&Row], made: &[&Row]) -> Html {
    // Files written anew take the place of others. The sum of nothing is -0.
    let size: f64 =
        open.iter().filter(|row| row.text(3) != "rewrite").filter_map(|row| row.number(8)).sum::<f64>().abs();
    let helped = made.iter().filter(|row| row.text(5) == "helped").count();
    let best = open.iter().filter_map(|row| row.number(6)).fold(0.0, f64::max);
    tiles([
        tile("Suggested", &open.len().to_string(), &format!("{} together", bytes(size))),
        tile("Largest benefit", &share(best), "of its queries' time, estimated"),
        tile("Applied", &made.len().to_string(), &format!("{helped} helped, measured")),
    ])
}

/// What can be done with a suggestion in this state: the action's name, its button, and what it does.
fn action(row: &Row) -> Option<(&'static str, &'static str, &'static str)> {
    // Dropping an index is advice only.
    if row.text(3) == "drop" {
        return None;
    }
    match row.text(5).as_str() {
        "suggested" | "undone" => Some(("apply", "Apply", "The source is changed as it says below.")),
        "applied" | "helped" | "did not help" => {
            Some(("undo", "Undo", "What was changed as it says below is put back."))
        }
        _ => None,
    }
}

/// A link to the page that asks once more.
fn offer(row: &Row) -> Html {
    let address = |(name, words, _): (&str, &str, &str)| {
        link(&format!("/ui/indexes/{name}/{}", percent(&row.text(0))), format!("{words}…"))
    };
    action(row).map(address).unwrap_or_default()
}

/// One change, whole, with the form that makes it.
pub(crate) async fn change(reader: &Reader, seat: &Seat, wanted: &str, id: &str) -> Result<Html> {
    let back = classed("p", "back", link("/ui/indexes", "← Index advice"));
    let found = reader.rows_if_any("index_suggestions", ONE, &[id]).await?.unwrap_or_default();
    let offered = found.first().and_then(|row| Some((row, action(row).filter(|(name, ..)| *name == wanted)?)));
    let Some((row, (name, words, does))) = offered else {
        let none = nothing("There is no such suggestion, none that you may see, or it is in another state by now.");
        return Ok([back, heading("Index advice", ""), section("Change", "", none)].into());
    };
    let address = match name {
        "apply" => "/ui/indexes/apply",
        _ => "/ui/indexes/undo",
    };
    let size = row.number(8).map_or_else(|| "–".to_owned(), bytes);
    let about = [
        classed("pre", "sql", row.text(4)),
        classed("p", "note", format!("Source {}, table {}; {size}.", row.text(1), row.text(2))),
        classed("div", "words", row.text(11)),
        gains(&row.text(7)),
        form(address, seat, [hidden("id", &row.text(0)), button("primary", &format!("{words} at {}", row.text(1)))]),
    ];
    let title = format!("{words} suggestion {}?", row.text(0));
    Ok([back, heading(&title, does), section("Change", "It is written into the audit log with your name.", about)]
        .into())
}

fn what(row: &Row) -> Html {
    let place = format!("{} · {}", row.text(1), row.text(2));
    [classed("code", "ddl", row.text(4)), classed("div", "remark", place)].into()
}

fn open_table(rows: &[&Row]) -> Html {
    if rows.is_empty() {
        return nothing("Nothing is suggested now.");
    }
    let cells = rows.iter().map(|row| {
        vec![
            row.text(0).into(),
            what(row),
            row.number(6).map_or_else(|| "–".into(), |benefit| badge("good", &share(benefit))),
            row.number(8).map_or_else(|| "–".to_owned(), bytes).into(),
            row.number(9).map_or_else(|| "–".to_owned(), share).into(),
            row.number(10).map_or_else(|| "–".to_owned(), share).into(),
            [classed("div", "words", row.text(11)), gains(&row.text(7))].into(),
            offer(row),
        ]
    });
    let columns = [
        ("Id", true),
        ("Change", false),
        ("Benefit", true),
        ("Size", true),
        ("Write cost", true),
        ("Confidence", true),
        ("Evidence", false),
        ("", false),
    ];
    table(&columns, cells.collect())
}

fn state(name: &str) -> Html {
    let class = match name {
        "helped" => "good",
        "did not help" => "bad",
        "applied" => "warn",
        _ => "plain",
    };
    badge(class, name)
}

fn made_table(rows: &[&Row]) -> Html {
    let cells = rows.iter().map(|row| {
        let bar = |part: Option<f64>, class: &'static str| {
            let value = format!("{:.3}", part.unwrap_or(0.0).clamp(0.0, 1.0));
            let meter = element("meter", &[("min", "0"), ("max", "1"), ("value", &value), ("class", class)], "");
            let words = part.map_or_else(|| " not yet".to_owned(), |part| format!(" {}", share(part)));
            classed("span", "share", [meter, words.into()])
        };
        vec![
            row.text(0).into(),
            what(row),
            state(&row.text(5)),
            bar(row.number(6), "estimate"),
            bar(row.number(12), "measured"),
            medians(&row.text(13)),
            row.time(15).map(moment).unwrap_or_default().into(),
            offer(row),
        ]
    });
    let columns = [
        ("Id", true),
        ("Change", false),
        ("State", false),
        ("Estimated", false),
        ("Measured", false),
        ("Runs", false),
        ("Applied, UTC", false),
        ("", false),
    ];
    table(&columns, cells.collect())
}

/// What was measured, one fragment a line, its long number shortened.
fn medians(text: &str) -> Html {
    let one = |part: &str| {
        let shortened = part.split_once(": ").filter(|(fingerprint, _)| {
            fingerprint.len() == FINGERPRINT_CHARS && fingerprint.bytes().all(|byte| byte.is_ascii_hexdigit())
        });
        match shortened {
            Some((fingerprint, rest)) => {
                let name = element("code", &[], fingerprint.get(..8).unwrap_or(fingerprint));
                element("div", &[], [name, format!(" {rest}").into()])
            }
            None => classed("div", "remark", part),
        }
    };
    classed("div", "words", text.split("; ").map(one).collect::<Html>())
}

fn rejected_table(rows: &[&Row]) -> Html {
    let cells = rows.iter().map(|row| {
        let size = row.number(8).map_or_else(|| "–".to_owned(), bytes);
        vec![what(row), size.into(), classed("div", "words", row.text(11))]
    });
    table(&[("Index", false), ("Size", true), ("Why it is not suggested", false)], cells.collect())
}

/// The queries that gain, each with a link to its page.
fn gains(list: &str) -> Html {
    let one = |gain: &str| {
        let (fingerprint, rest) = gain.split_at_checked(FINGERPRINT_CHARS)?;
        if !fingerprint.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let name = link(&format!("/ui/query/{fingerprint}"), fingerprint.get(..8).unwrap_or(fingerprint));
        Some(classed("div", "remark", [name, rest.into()]))
    };
    list.split(['\n', ';']).map(str::trim).filter_map(one).take(8).collect()
}

const FINGERPRINT_CHARS: usize = 16;
