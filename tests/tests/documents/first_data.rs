//! The first gate over one's own data: three ways to it, and the same steps and answers behind each.

use super::page::Page;
use super::{document, path, postgres};
use querygate_tests::server::blessing;

const PAGE: &str = "first-data.md";

/// What the page has at least by each way; where Python is absent, without the chart.
const ANSWERS_MIN: usize = 8;

/// Follows the page by one of its ways, and compares each answer.
fn followed(mut page: Page, way: &str) {
    let text = document(PAGE);
    let mut made = Vec::new();
    for part in text.split("\n## ") {
        let is_another_way = part.starts_with("From ") && !part.starts_with(way);
        made.push(if is_another_way { part.to_owned() } else { page.run(part) });
    }
    if blessing() {
        std::fs::write(path(PAGE), made.join("\n## ")).unwrap();
    }
    let answers = page.end();
    assert!(answers >= ANSWERS_MIN, "{way}: {answers} answers");
}

#[test]
fn by_files_and_a_database_file_the_first_data_is_served() {
    for way in ["From files", "From SQLite"] {
        followed(Page::new(), way);
    }
}

#[test]
fn by_a_server_the_first_data_is_served() {
    let Some(server) = postgres::server() else { return };
    let mut page = Page::new();
    page.places.push(("127.0.0.1:5432".to_owned(), format!("127.0.0.1:{}", server.port)));
    // The page's reader has one for the server.
    page.has("PGPASSWORD", postgres::PASSWORD);
    followed(page, "From PostgreSQL");
}
