//! Sessions in psql over the demo, statement after statement.

use super::document;
use super::page::Page;
use querygate_tests::server::{Variant, demo, psql};
use std::net::SocketAddr;
use std::path::Path;

/// Runs the sessions of a text over a gate, and compares each answer. How many statements.
fn replayed(text: &str, postgres: SocketAddr) -> usize {
    let mut page = Page::over(postgres);
    let _answered = page.run(text);
    page.end()
}

/// A text before and from a heading on.
fn parts<'a>(text: &'a str, heading: &str) -> (&'a str, &'a str) {
    let at = text.find(heading).unwrap_or_else(|| panic!("no {heading:?}"));
    text.split_at(at)
}

/// The heading of the part of the second session that changes rows.
const TRANSFER: &str = "\n## A change of two sources\n";

#[test]
fn the_sessions_of_the_demo_are_real_ones() {
    let text = document("demo.md");
    let (reading, changing) = parts(&text, "\n## A session of changes\n");
    assert_eq!(replayed(reading, demo().server.postgres), 11);
    let (variant, server) = Variant::writable();
    assert_eq!(replayed(changing, server.postgres), 7);
    drop((server, variant));
}

#[test]
fn the_sessions_of_the_readme_are_real_ones() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let text = std::fs::read_to_string(file).unwrap();
    let (sessions, _) = parts(&text, "\n## Start\n");
    let (reading, changing) = parts(sessions, "\nWith `demo --writes`");
    assert_eq!(replayed(reading, demo().server.postgres), 11);
    let (variant, server) = Variant::writable();
    assert_eq!(replayed(changing, server.postgres), 6);
    drop((server, variant));
}

#[test]
fn the_second_session_is_a_real_one() {
    let text = document("session.md");
    let (reading, _) = parts(&text, TRANSFER);
    assert_eq!(replayed(reading, demo().server.postgres), 4);
}

#[test]
fn the_transfer_of_the_second_session_is_a_real_one() {
    let (variant, mut server) = Variant::writable();
    let text = document("session.md");
    let (_, transfer) = parts(&text, TRANSFER);
    assert_eq!(replayed(transfer, server.postgres), 4);
    // What a kill leaves: the database has the whole of its part, and takes part again.
    server.signal("KILL");
    let _ = server.stop();
    let server = variant.serve_writable();
    let ada = |sql: &str| psql(&server, "ada", &["-At", "-c", sql]).both();
    assert_eq!(ada("SELECT count(*) FROM querygate.transactions"), "0\n");
    let moved = "SELECT count(DISTINCT region_id) FROM opportunities WHERE owner_id = 'usr_13' AND stage = 'negotiation' AND amount > 248000";
    assert_eq!(ada(moved), "1\n");
    let again = "BEGIN; UPDATE users SET active = false WHERE id = 'usr_13'; UPDATE opportunities SET region_id = 'amer' \
                 WHERE owner_id = 'usr_13' AND stage = 'proposal' AND amount > 248000; COMMIT";
    assert!(ada(again).ends_with("COMMIT\n"), "{}", ada(again));
    drop((server, variant));
}
