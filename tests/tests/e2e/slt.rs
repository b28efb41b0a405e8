//! SQL logic tests through the port. A record is a statement, `----`, and everything the server answered; `user NAME`
//! changes the session, each file begins anew. `BLESS=1` writes the answers.

use querygate_tests::server::{Frame, RawClient, demo, golden};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[test]
fn every_file_answers_as_recorded() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("slt");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let name = format!("slt/{}", file.file_name().unwrap().to_str().unwrap());
        golden(&name, &run(&std::fs::read_to_string(&file).unwrap()));
    }
}

/// The file's text with the answers of this server.
fn run(text: &str) -> String {
    let mut sessions: BTreeMap<String, RawClient> = BTreeMap::new();
    let mut user = "ada".to_owned();
    let mut result = Vec::new();
    for record in text.trim_end().split("\n\n") {
        let statement: Vec<&str> = record.lines().take_while(|line| *line != "----").collect();
        if let [line] = statement[..]
            && let Some(name) = line.strip_prefix("user ")
        {
            name.clone_into(&mut user);
            result.push(record.to_owned());
            continue;
        }
        let sql: Vec<&str> = statement.iter().copied().filter(|line| !line.starts_with('#')).collect();
        if sql.is_empty() {
            result.push(statement.join("\n"));
            continue;
        }
        let login = user.split(' ').next().unwrap().to_owned();
        let session = sessions.entry(user.clone()).or_insert_with(|| RawClient::login(demo().server.postgres, &login));
        session.query(&sql.join("\n"));
        let answer: Vec<String> = session.read_until(b'Z').iter().filter_map(line).collect();
        result.push(format!("{}\n----\n{}", statement.join("\n"), answer.join("\n")).trim_end().to_owned());
    }
    result.join("\n\n") + "\n"
}

/// A message as a line; none where it says nothing new.
fn line(frame: &Frame) -> Option<String> {
    match frame.tag {
        b'T' => Some(format!("columns {}", columns(&frame.body).join(", "))),
        b'D' => Some(cells(&frame.body).join("|")),
        b'C' => Some(text(&frame.body).trim_end_matches('\0').to_owned()),
        b'I' => Some("empty".to_owned()),
        b'H' => Some(format!("copy out, format {}, {} columns", frame.body[0], frame.body[2])),
        b'd' => Some(text(&frame.body).trim_end_matches('\n').escape_debug().to_string()),
        b'E' => Some(problem("ERROR", frame)),
        b'N' => Some(problem(&frame.field(b'S').unwrap_or_default(), frame)),
        b'S' => Some(format!("status {}", text(&frame.body).trim_end_matches('\0').replace('\0', " = "))),
        b'Z' => match frame.body[0] {
            b'T' => Some("(in transaction)".to_owned()),
            b'E' => Some("(failed transaction)".to_owned()),
            _ => None,
        },
        b'c' => None,
        other => Some(format!("message {}", char::from(other))),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn problem(head: &str, frame: &Frame) -> String {
    let field = |code| frame.field(code);
    let mut text = format!("{head} {}: {}", field(b'C').unwrap_or_default(), field(b'M').unwrap_or_default());
    // An incident has another number each time.
    if field(b'C').as_deref() == Some("XX000") {
        return text;
    }
    for (code, name) in [(b'D', "detail"), (b'H', "hint"), (b'P', "position")] {
        if let Some(value) = field(code) {
            text.push_str(&format!("\n  {name}: {value}"));
        }
    }
    text
}

fn number(bytes: &[u8]) -> i32 {
    bytes.iter().fold(0, |n, byte| (n << 8) | i32::from(*byte))
}

/// Names and types by their names, or oids.
pub(super) fn columns(body: &[u8]) -> Vec<String> {
    let mut rest = &body[2..];
    let mut found = Vec::new();
    while let Some(end) = rest.iter().position(|&byte| byte == 0) {
        let oid = u32::try_from(number(&rest[end + 7..end + 11])).unwrap();
        let kind = tokio_postgres::types::Type::from_oid(oid).map_or(oid.to_string(), |kind| kind.name().to_owned());
        found.push(format!("{} {kind}", text(&rest[..end])));
        rest = &rest[end + 19..];
    }
    found
}

pub(super) fn cells(body: &[u8]) -> Vec<String> {
    let mut rest = &body[2..];
    let mut found = Vec::new();
    while rest.len() >= 4 {
        match usize::try_from(number(&rest[..4])) {
            Err(_) => {
                found.push("NULL".to_owned());
                rest = &rest[4..];
            }
            Ok(length) => {
                let cell = text(&rest[4..4 + length]).replace('\n', "\\n");
                found.push(if cell.is_empty() { "(empty)".to_owned() } else { cell });
                rest = &rest[4 + length..];
            }
        }
    }
    found
}
