//! The gate against the guide: every printed statement, as every user, on a small company. The answers were counted
//! while the data was made, so the two share nothing but the seed.

use super::{DEMO_USERS, Scale, seed};
use crate::demo::guide::Answer;
use crate::gate::{Anew, Gate, Runtimes};
use crate::output::{Captured, Output};
use crate::shell::{Format, Shell};
use crate::wiring;
use querygate_query_api::service::{ClientInfo, Door};
use tokio::runtime::Handle;

async fn ask(gate: &Gate, login: &str, sql: &str) -> (bool, String) {
    let principal = gate.authenticator.principal(login).unwrap();
    let client = ClientInfo { door: Door::Shell, database: "demo".to_owned(), peer: None, settings: Vec::new() };
    let session = gate.service.open(principal, client).await.unwrap();
    let mut shell = Shell::new(session, login, Format::Plain);
    let (mut output, captured): (Output, Captured) = Output::captured("");
    let well = shell.run(sql, &mut output).await.unwrap();
    shell.close().await;
    (well, captured.text())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_printed_answer_is_the_gates_answer() {
    let folder = tempfile::tempdir().unwrap();
    let seeded = seed(folder.path(), Scale::divided_by(50), &mut |_| {}).await.unwrap();
    let config = crate::config::load(&seeded.layout.config()).0.unwrap();
    let runtimes = Runtimes { query: Handle::current() };
    let gate = wiring::build(&config, &runtimes).await.unwrap();
    for question in &seeded.guide.questions {
        for (login, answer) in &question.answers {
            let (well, text) = ask(&gate, login, &question.sql).await;
            let place = format!("{login}: {}\n{text}", question.sql);
            match answer {
                Answer::Rows(rows) => {
                    assert!(well, "{place}");
                    let expected: Vec<String> = rows.iter().map(|row| row.join("\t")).collect();
                    assert_eq!(text.lines().collect::<Vec<_>>(), expected, "{place}");
                }
                Answer::Error(sqlstate, message) => {
                    assert!(!well && text.contains(sqlstate) && text.contains(message), "{place}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_takes_an_edit_and_a_bad_one_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let seeded = seed(folder.path(), Scale::divided_by(1_000), &mut |_| {}).await.unwrap();
    let config = crate::config::load(&seeded.layout.config()).0.unwrap();
    let gate = wiring::build(&config, &Runtimes { query: Handle::current() }).await.unwrap();
    let iris = DEMO_USERS[2].login;
    let count = "SELECT count(*) FROM employees";
    assert!(!ask(&gate, iris, count).await.0);
    let file = seeded.layout.metadata().join("permissions.json");
    let before = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, grant(&before)).unwrap();
    (gate.reload)(Anew::Everything).await.unwrap();
    assert_eq!(ask(&gate, iris, count).await, (true, "10\n".to_owned()));
    std::fs::write(&file, "{").unwrap();
    assert!((gate.reload)(Anew::Everything).await.is_err());
    assert_eq!(ask(&gate, iris, count).await, (true, "10\n".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reloads_at_once_take_turns() {
    let folder = tempfile::tempdir().unwrap();
    let seeded = seed(folder.path(), Scale::divided_by(1_000), &mut |_| {}).await.unwrap();
    let config = crate::config::load(&seeded.layout.config()).0.unwrap();
    let gate = wiring::build(&config, &Runtimes { query: Handle::current() }).await.unwrap();
    let (one, two, three) =
        tokio::join!((gate.reload)(Anew::Everything), (gate.reload)(Anew::Everything), (gate.reload)(Anew::Everything));
    let mut versions = [one, two, three].map(|said| said.unwrap().summary.split(':').next().unwrap().to_owned());
    versions.sort();
    assert_eq!(versions, ["version 2", "version 3", "version 4"]);
    assert_eq!((gate.readiness)().metadata_version, Some(4));
}

/// Adds `crm_employees` to the set `crm_support`.
fn grant(text: &str) -> String {
    let mut stack: serde_json::Value = serde_json::from_str(text).unwrap();
    for set in stack["permissions"].as_array_mut().unwrap() {
        if set["name"] == "crm_support" {
            set["objects"]["crm_employees"] = serde_json::json!({"allowRead": true});
        }
    }
    stack.to_string()
}
