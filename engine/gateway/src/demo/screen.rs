//! What the demo prints: a first screen, and a guide with every statement to try, its answers and programs.

use super::guide::Question;
use super::{DATABASE, DEMO_USERS, Seeded, snippet};
use crate::serve::Bound;
use querygate_query_api::service::Door;
use std::net::SocketAddr;
use std::path::Path;

/// Which of the guide's statements the first screen shows.
const SHOWN: usize = 1;

fn addresses(bound: Bound) -> [Option<SocketAddr>; 4] {
    [Door::Postgres, Door::Http, Door::FlightSql, Door::Rest].map(|door| bound.of(door))
}

/// The first screen, for the ports that were bound. `is_tls`: they speak TLS. `guide`: the file that holds the rest.
pub(crate) fn screen_text(seeded: &Seeded, bound: Bound, is_tls: bool, guide: Option<&Path>) -> String {
    let [postgres, http, flight, rest] = addresses(bound);
    let mut text = ready(seeded);
    text.push_str(&pages(http));
    text.push_str(&logins(postgres));
    if let Some(question) = seeded.guide.questions.get(SHOWN) {
        text.push_str("\nOne statement, three answers:\n");
        text.push_str(&question_text(question));
    }
    text.push('\n');
    if let Some(address) = flight {
        let scheme = if is_tls { "grpc+tls" } else { "grpc" };
        text.push_str(&format!("Arrow Flight SQL: {scheme}://{address}\n"));
    }
    if let Some(address) = rest {
        text.push_str(&format!("REST: http://{address}/api/v1, and its page to try: http://{address}/api/v1/docs\n"));
    }
    if let Some(address) = http {
        text.push_str(&format!("Health and metrics: curl http://{address}/readyz, curl http://{address}/metrics\n"));
    }
    if let Some(guide) = guide {
        text.push_str(&format!(
            "\nMore statements with their answers, and programs in Python, shell and JavaScript: {}\n",
            guide.display()
        ));
    }
    text.push_str("Next: querygate demo --traffic (queries and advice to look at), demo --writes (changes),\n");
    text.push_str("      querygate init SOURCE (your own files or database)\n");
    text.push_str(&last_line(seeded));
    text
}

fn ready(seeded: &Seeded) -> String {
    let made = if seeded.reused { "found" } else { "made" };
    format!(
        "\nThe demo is ready: {} rows in 21 tables over 4 sources, {made} in {:.1} s in {}\n",
        seeded.guide.rows,
        seeded.seconds,
        seeded.layout.folder.display()
    )
}

fn pages(http: Option<SocketAddr>) -> String {
    // As the configuration has them by default.
    match http.filter(|address| address.ip().is_loopback()) {
        Some(address) => format!(
            "\nIn a browser: http://{address}/ui (ada, demo-ada; sam and iris see their own)\n              http://{address}/docs (all documents, with a search)\n"
        ),
        None => String::new(),
    }
}

fn logins(postgres: Option<SocketAddr>) -> String {
    let Some(address) = postgres else { return String::new() };
    let mut text = "\nConnect:\n".to_owned();
    for user in &DEMO_USERS {
        text.push_str(&format!(
            "  psql 'postgres://{}:{}@{address}/{DATABASE}'   # {}\n",
            user.login, user.password, user.about
        ));
    }
    text
}

fn last_line(seeded: &Seeded) -> String {
    format!("\nEdit {} and it is loaded within seconds. Ctrl-C stops.\n", seeded.layout.metadata().display())
}

/// The guide as text, for the ports that were bound. `certificate`: the server's, where it has one.
pub(crate) fn guide_text(seeded: &Seeded, bound: Bound, certificate: Option<&Path>) -> String {
    let [postgres, http, flight, rest] = addresses(bound);
    let mut text = ready(seeded);
    text.push_str(&logins(postgres));
    if let Some(address) = flight {
        text.push_str(&snippet::python(address, certificate));
    }
    if let Some(address) = rest {
        text.push_str(&snippet::records(address, &seeded.guide.contacts));
    }
    text.push_str("\nTry, as each of them:\n");
    text.push_str(&questions_text(&seeded.guide.questions));
    text.push_str("\nAlso: \\dt, \\d accounts, SELECT * FROM open_cases LIMIT 5, EXPLAIN SELECT …,\n");
    text.push_str("      SELECT * FROM querygate.sources; SELECT * FROM querygate.queries;\n");
    text.push_str("      SELECT * FROM querygate.policies_effective;\n");
    if let Some(address) = http {
        text.push_str(&format!("      curl http://{address}/readyz, curl http://{address}/metrics\n"));
    }
    text.push_str(&pages(http));
    text.push_str(&last_line(seeded));
    text
}

/// Each statement with the answer of each user, under its title.
pub(super) fn questions_text(questions: &[Question]) -> String {
    questions.iter().map(|question| format!("\n-- {}\n{}", question.title, question_text(question))).collect()
}

/// A statement with the answer of each user.
fn question_text(question: &Question) -> String {
    let mut text = format!("{}\n", question.sql);
    for (login, answer) in &question.answers {
        for (index, line) in answer.lines().iter().enumerate() {
            let name = if index == 0 { login.as_str() } else { "" };
            text.push_str(&format!("   {name:<5} {line}\n"));
        }
    }
    text
}
