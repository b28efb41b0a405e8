//! What every page looks like: nothing is missing, leaves the screen, or is too small to be read.

use crate::gate::{Gate, ask, shared};
use querygate_tests::browser::{Browser, Kind, Theme, WIDTHS, faults};
use std::path::Path;

fn look(browser: &Browser, page: &str, url: &str) {
    for width in WIDTHS {
        browser.resize(width);
        browser.go(url);
        let found = faults(browser);
        assert!(found.is_empty(), "{:?} {page} at {width} px: {found:#?}", browser.kind());
        let height = browser.script("return document.documentElement.scrollHeight").as_u64().unwrap();
        assert!(height < 12_000, "{page} at {width} px is {height} px high");
        if let Some(folder) = std::env::var_os("SCREENSHOTS") {
            browser.keep(Path::new(&folder), page);
        }
    }
    browser.resize(WIDTHS[0]);
}

fn all(gate: &Gate, browser: &Browser) {
    look(browser, "login", &gate.page("/ui/login"));
    look(browser, "documents", &gate.page("/docs"));
    look(browser, "documents-search", &gate.page("/docs?q=row+policy"));
    look(browser, "document", &gate.page("/docs/paths/analyst"));
    gate.log_in(browser, "ada");
    let busiest = "SELECT fingerprint FROM querygate.queries WHERE objects <> '' GROUP BY fingerprint ORDER BY count(*) DESC LIMIT 1";
    let query = &ask(&gate.server, "ada", busiest)[0];
    let suggested = "SELECT id FROM querygate.index_suggestions WHERE state = 'suggested' AND kind = 'create' LIMIT 1";
    let suggestion = &ask(&gate.server, "ada", suggested)[0];
    let failed = "SELECT count(*) FROM querygate.queries WHERE login = 'ada' AND outcome <> 'ok' AND door = 'http'";
    for (page, path) in [
        ("queries", "/ui".to_owned()),
        ("query", format!("/ui/query/{query}")),
        ("no-query", "/ui/query/0000000000000000".to_owned()),
        ("plans", "/ui/plans".to_owned()),
        ("indexes", "/ui/indexes".to_owned()),
        ("apply", format!("/ui/indexes/apply/{suggestion}")),
        ("no-suggestion", "/ui/indexes/apply/7".to_owned()),
        ("anomalies", "/ui/anomalies".to_owned()),
        ("sources", "/ui/sources".to_owned()),
    ] {
        look(browser, page, &gate.page(&path));
        assert_eq!(ask(&gate.server, "ada", failed), ["0"], "{page}: what a page asks in vain counts as its reader's");
    }
}

/// The documents are open to all, and are searched without a script.
pub(crate) fn documents(kind: Kind) {
    let Some(browser) = Browser::start(kind, Theme::Light) else { return };
    let gate = shared();
    browser.go(&gate.page("/docs"));
    assert!(browser.text().contains("First steps"), "{}", browser.text());
    browser.fill("input[type=search]", "reload");
    browser.click("form[role=search] button");
    browser.wait_until("found", |browser| browser.has(".hits li a"));
    browser.click(".hits li a");
    browser.wait_for("SIGHUP");
    assert!(browser.url().contains("/docs/") && browser.url().contains('#'), "{}", browser.url());
    for (asked, expected) in [
        ("/docs/absent", "There is no such page"),
        ("/docs/..%2fCargo.toml", "There is no such page"),
        ("/docs?q=%3Cscript%3Ealert(1)%3C/script%3E", "No page has all"),
    ] {
        browser.go(&gate.page(asked));
        let text = browser.text();
        assert!(text.contains(expected), "{asked}: {text}");
    }
}

pub(crate) fn every_page(kind: Kind) {
    let gate = shared();
    for theme in [Theme::Light, Theme::Dark] {
        let Some(browser) = Browser::start(kind, theme) else { return };
        browser.go(&gate.page("/ui/login"));
        let _ = browser.complaints();
        let prefers = format!("return matchMedia('(prefers-color-scheme: {})').matches", theme.name());
        assert_eq!(browser.script(&prefers), true, "{kind:?} {theme:?}");
        all(gate, &browser);
        for (page, path) in [("docs", "/api/v1/docs"), ("live", "/api/v1/docs/live")] {
            look(&browser, page, &gate.rest(path));
        }
    }
}
