//! Statements with the answers of a PostgreSQL 15 server, byte for byte: column names, types, text output, error codes. Where
//! the gate answers otherwise, its answer stands beside the reason, which `engine/docs/differences.md` explains.
//!
//! A line of `tests/postgres/*.tsv`: statement, PostgreSQL's answer, and where they differ, the reason and the gate's answer.

use super::slt::{cells, columns};
use querygate_tests::server::{Frame, RawClient, demo};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::thread;

/// Sessions that ask at the same time.
const SESSIONS: usize = 4;

struct Case {
    statement: String,
    postgres: String,
    /// Reason and answer.
    ours: Option<(String, String)>,
}

fn cases(text: &str) -> Vec<Case> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let parts: Vec<&str> = line.split('\t').collect();
            let ours = match parts[2..] {
                [reason, answer] => Some((reason.to_owned(), answer.to_owned())),
                [] => None,
                _ => panic!("{line}"),
            };
            Case { statement: parts[0].to_owned(), postgres: parts[1].to_owned(), ours }
        })
        .collect()
}

/// What the server said, on one line.
fn answer(frames: &[Frame]) -> String {
    if let Some(error) = frames.iter().find(|frame| frame.tag == b'E') {
        return format!("!{}", error.field(b'C').unwrap_or_default());
    }
    let head = frames.iter().find(|frame| frame.tag == b'T').map(|frame| columns(&frame.body).join(", "));
    let rows: Vec<String> =
        frames.iter().filter(|frame| frame.tag == b'D').map(|frame| cells(&frame.body).join("|")).collect();
    format!("{} => {}", head.unwrap_or_default(), rows.join(" ; ")).replace('\t', "\\t").replace('\r', "\\r")
}

fn ask(cases: &[Case], first: usize) -> Vec<String> {
    let mut session = RawClient::login(demo().server.postgres, "ada");
    let mut wrong = Vec::new();
    for case in cases.iter().skip(first).step_by(SESSIONS) {
        session.query(&case.statement);
        let answered = answer(&session.read_until(b'Z'));
        let expected = case.ours.as_ref().map_or(&case.postgres, |(_, ours)| ours);
        if answered != *expected {
            wrong.push(format!("{}\n   expected {expected}\n   answered {answered}", case.statement));
        }
    }
    wrong
}

#[test]
fn statements_answer_as_postgres_byte_for_byte() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let explained = std::fs::read_to_string(root.join("../engine/docs/differences.md")).unwrap();
    let mut files: Vec<_> =
        std::fs::read_dir(root.join("postgres")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let all: Vec<Case> = files.iter().flat_map(|file| cases(&std::fs::read_to_string(file).unwrap())).collect();
    let told = format!("Of {},{:03} statements", all.len() / 1_000, all.len() % 1_000);
    assert!(all.len() > 3_000 && explained.contains(&told), "differences.md does not say: {told}");

    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for (reason, _) in all.iter().filter_map(|case| case.ours.as_ref()) {
        assert!(explained.contains(&format!("`{reason}`")), "{reason} is not explained");
        *reasons.entry(reason).or_default() += 1;
    }
    let wrong: Vec<String> = thread::scope(|scope| {
        let all = &all;
        let sessions: Vec<_> = (0..SESSIONS).map(|first| scope.spawn(move || ask(all, first))).collect();
        sessions.into_iter().flat_map(|session| session.join().unwrap()).collect()
    });
    let differ: usize = reasons.values().sum();
    let figures =
        format!("{} statements: {} as PostgreSQL, {differ} explained {reasons:?}", all.len(), all.len() - differ);
    writeln!(std::io::stdout(), "{figures}").unwrap();
    assert!(wrong.is_empty(), "{} of {} answer otherwise:\n{}", wrong.len(), all.len(), wrong.join("\n"));
}
