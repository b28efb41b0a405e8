//! `querygate sql` as one more door: statements in, rows and SQLSTATEs out. Reads its CSV by rules of its own.

use querygate_tests::server::{binary, shared_folder};
use std::io::Write as _;
use std::process::{Command, Stdio};

type Lines = Vec<Vec<Option<String>>>;

/// Stands between the results of a script.
const MARK: &str = "-- next --";

fn run(user: &str, script: &str) -> (bool, String, String) {
    let config = shared_folder().join("querygate.toml");
    let mut child = Command::new(binary())
        .args(["sql", "--csv", "-u", user, "-c", config.to_str().unwrap()])
        .env_remove("QUERYGATE_LOG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let text = script.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

/// Names of columns and rows of each statement; none of them fails.
pub(crate) fn answers(user: &str, statements: &[&String]) -> Vec<(Vec<String>, Lines)> {
    let marked = statements.iter().map(|sql| format!("SELECT '{MARK}' AS mark;\n{sql};\n"));
    let (succeeded, out, err) = run(user, &marked.collect::<String>());
    assert!(succeeded, "{user}: {err}");
    let mark = format!("mark\n{MARK}\n");
    let mut results = out.split(mark.as_str());
    assert_eq!(results.next(), Some(""));
    results
        .map(|csv| {
            let mut lines = parsed(csv).into_iter();
            let head = lines.next().unwrap_or_default();
            (head.into_iter().map(Option::unwrap).collect(), lines.collect())
        })
        .collect()
}

/// The SQLSTATE with which a statement is refused.
pub(crate) fn refusal(user: &str, sql: &str) -> String {
    let (succeeded, _, err) = run(user, sql);
    assert!(!succeeded, "{user}: {sql} succeeded");
    let line = err.lines().find(|line| line.contains("ERROR")).unwrap_or_else(|| panic!("{user}: {sql}: {err}"));
    line.rsplit_once('(').unwrap().1.trim_end_matches(')').to_owned()
}

/// RFC 4180; nothing between two commas is NULL, two quotes are the empty text.
fn parsed(csv: &str) -> Lines {
    let (mut lines, mut line, mut cell, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut was_quoted = false;
    let mut chars = csv.chars().peekable();
    while let Some(next) = chars.next() {
        match next {
            '"' if quoted && chars.peek() == Some(&'"') => {
                cell.push('"');
                chars.next();
            }
            '"' => (quoted, was_quoted) = (!quoted, true),
            ',' | '\n' if !quoted => {
                let whole = std::mem::take(&mut cell);
                line.push((was_quoted || !whole.is_empty()).then_some(whole));
                was_quoted = false;
                if next == '\n' {
                    lines.push(std::mem::take(&mut line));
                }
            }
            other => cell.push(other),
        }
    }
    assert!(line.is_empty() && cell.is_empty() && !quoted, "{csv}");
    lines
}

/// A cell of the Postgres port as the shell writes the same value: it has another text for some types.
pub(crate) fn as_shell(kind: &str, cell: &str) -> String {
    match kind {
        "float4" | "float8" => number(cell),
        "bytea" => cell.trim_start_matches("\\x").to_owned(),
        "timestamp" | "timestamptz" | "time" => seconds(cell),
        _ => cell.to_owned(),
    }
}

/// A cell of the shell, in the form that [`as_shell`] gives.
pub(crate) fn of_shell(kind: &str, cell: &str) -> String {
    match kind {
        "float4" | "float8" => number(cell),
        "timestamp" | "timestamptz" | "time" => seconds(cell),
        _ => cell.to_owned(),
    }
}

fn number(text: &str) -> String {
    text.parse::<f64>().map_or_else(|_| text.to_owned(), |number| format!("{number:?}"))
}

/// Without zeros at the end of a fraction.
fn seconds(text: &str) -> String {
    let (time, zone) = text.strip_suffix("+00").map_or((text, ""), |time| (time, "+00"));
    let time = if time.contains('.') { time.trim_end_matches('0').trim_end_matches('.') } else { time };
    format!("{time}{zone}")
}
