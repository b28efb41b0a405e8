//! Files of JSON: lines, lists and documents, with keys that come and go and values of several kinds.

use super::cell::Cell;
use super::files::{pattern, write};
use super::names;
use super::world::{Column, Fate, Made};
use querygate_tests::harness::Rng;
use std::path::Path;

/// A value of JSON, as it is written.
type Values = fn(&mut Rng) -> String;

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

const KINDS: [Values; 19] = [
    |rng| names::whole(rng).to_string(),
    |rng| (*rng.pick(&["1.5", "-0.25", "100", "1e3", "0.1", "-0", "1.50"])).to_owned(),
    |rng| (*rng.pick(&["9007199254740993", "0.5", "18446744073709551616", "12345678901234567.89"])).to_owned(),
    |rng| (*rng.pick(&["true", "false"])).to_owned(),
    |rng| (*rng.pick(&["1e400", "5", "-1E-400"])).to_owned(),
    |rng| {
        let depth = rng.between(1, 60);
        format!("{}1{}", "[".repeat(depth), "]".repeat(depth))
    },
    |rng| quoted(names::one(rng, &["Infinity", "NaN", "1.5"])),
    |rng| (*rng.pick(&["[\"2024-01-01\"]", "[true]", "[{}]", "[[]]"])).to_owned(),
    |rng| quoted(&names::text(rng)),
    |rng| quoted(&names::word(rng)),
    |rng| quoted(&names::day(rng)),
    |rng| quoted(&format!("{}T{}Z", names::day(rng), names::clock(rng))),
    |rng| quoted(names::one(rng, &["007", "12", "2024-01-01", "true", "null"])),
    |rng| (*rng.pick(&["[\"a\",\"b\"]", "[]", "[\"x,y\",\"\"]", "[null,\"z\"]"])).to_owned(),
    |rng| (*rng.pick(&["[1,2]", "[[1],[2]]", "[1,\"a\"]", "[]"])).to_owned(),
    |rng| (*rng.pick(&["{\"x\":1}", "{\"x\":{\"y\":[1.10]}}", "{}", "{\"é\":\"ü\",\"a b\":null}"])).to_owned(),
    |rng| (*rng.pick(&["1", "\"a\"", "true", "2.5"])).to_owned(),
    |rng| (*rng.pick(&["1", "\"a\"", "{\"x\":1}", "[2]", "false"])).to_owned(),
    |rng| (*rng.pick(&["\"\\u00e9\"", "\"tab\\t\"", "\"\\ud83e\\udd80\"", "\"\\/\"", "\"quote \\\"\""])).to_owned(),
];

struct Documents {
    columns: Vec<Column>,
    kinds: Vec<Values>,
}

impl Documents {
    fn random(rng: &mut Rng) -> Self {
        let mut taken = vec!["nr".to_owned()];
        let mut kinds: Vec<Values> = vec![|rng| rng.below(100_000).to_string()];
        for _ in 0..rng.between(1, 6) {
            names::name(rng, "key", &mut taken, &['\u{0}']);
            kinds.push(*rng.pick(&KINDS));
        }
        Self { columns: taken.into_iter().map(Column::of).collect(), kinds }
    }

    /// A document, and its cells. Keys are left out or null now and then, and stand in any order.
    fn document(&self, rng: &mut Rng, first: bool) -> (String, Vec<Cell>) {
        let (mut members, mut cells) = (Vec::new(), Vec::new());
        for (at, (column, kind)) in self.columns.iter().zip(&self.kinds).enumerate() {
            let text = if at > 0 && rng.percent(15) { "null".to_owned() } else { kind(rng) };
            // Of the first one all keys are there, so that none is in no document.
            let is_there = first || at == 0 || rng.percent(80);
            if is_there {
                members.push(format!("{}: {text}", quoted(&column.name)));
            }
            cells.push(if is_there { Cell::Json(text) } else { Cell::Null });
        }
        if rng.percent(30) {
            rng.shuffle(&mut members);
        }
        (format!("{{{}}}", members.join(", ")), cells)
    }

    fn all(&self, rng: &mut Rng, count: usize) -> (Vec<String>, Vec<Vec<Cell>>) {
        let whole = rng.below(count.max(1));
        (0..count).map(|at| self.document(rng, at == whole)).unzip()
    }
}

fn joined(rng: &mut Rng, documents: &[String]) -> (&'static str, String) {
    let end = if rng.percent(70) { "\n" } else { "" };
    let mark = if rng.percent(20) { "\u{feff}" } else { "" };
    match rng.below(6) {
        0 => ("json", format!("{mark}[{}]{end}", documents.join(", "))),
        1 => ("json", format!("{mark}[\n  {}\n]\n", documents.join(",\n  "))),
        2 => ("json", format!("{mark}{}{end}", documents.join("\n"))),
        3 => ("jsonl", format!("{mark}{}{end}", documents.join("\r\n"))),
        4 => ("ndjson.gz", format!("{mark}{}{end}", documents.join("\n"))),
        _ => ("ndjson", format!("{mark}{}{end}", documents.join("\n\n"))),
    }
}

pub(crate) fn one(rng: &mut Rng, folder: &Path, name: &str) -> Made {
    let documents = Documents::random(rng);
    let count = rng.between(1, 10);
    let (texts, rows) = documents.all(rng, count);
    let (ending, text) = joined(rng, &texts);
    let file = format!("{name}.{ending}");
    write(&folder.join(&file), text.as_bytes());
    Made { remote: pattern(&file), columns: documents.columns, rows, fate: Fate::Served }
}

/// Several files of a folder: keys of the first one may be in none of the others.
pub(crate) fn several(rng: &mut Rng, folder: &Path, name: &str) -> Made {
    let documents = Documents::random(rng);
    let mut all = Vec::new();
    for file in 0..rng.between(2, 4) {
        let count = rng.between(1, 4);
        let (texts, rows) = documents.all(rng, count);
        write(&folder.join(name).join(format!("{file}.ndjson")), texts.join("\n").as_bytes());
        all.extend(rows);
    }
    Made { remote: pattern(name), columns: documents.columns, rows: all, fate: Fate::Served }
}
