//! What other sites in the same browser try in vain, while the same form of the page itself is taken.

use crate::browser;
use crate::gate::{Gate, ask, send_login, shared};
use querygate_tests::browser::{Browser, Foreign, Kind, form};

/// The token of the page that is open.
fn token(browser: &Browser) -> String {
    browser.script("return document.querySelector('input[name=token]').value").as_str().unwrap().to_owned()
}

fn is_ada(gate: &Gate, browser: &Browser) -> bool {
    browser.go(&gate.page("/ui"));
    browser.url() == gate.page("/ui")
        && browser.script("return document.querySelector('.who .login').innerText") == "ada"
}

/// Sends a form from a page of somebody else and waits for what the gate says.
fn send(browser: &Browser, from: &str, gate: &Gate) {
    browser.go(from);
    let origin = gate.page("/");
    browser.wait_until("sent", |browser| browser.url().starts_with(&origin) && !browser.text().is_empty());
}

pub(crate) fn forms_of_other_sites(kind: Kind) {
    let Some(browser) = browser(kind) else { return };
    let (gate, foreign) = (shared(), Foreign::start());
    let elsewhere = [foreign.same_site(), foreign.other_site()];

    // To be somebody else here: before a login, and in place of one.
    let login = form(&gate.page("/ui/login"), &[("user", "sam"), ("password", "demo-sam")]);
    foreign.show(&login);
    for site in &elsewhere {
        send(&browser, site, gate);
        assert!(browser.text().contains("came from another site"), "{kind:?} {site}: {}", browser.text());
        browser.go(&gate.page("/ui"));
        assert_eq!(browser.url(), gate.page("/ui/login"), "{kind:?} {site}");
    }
    gate.log_in(&browser, "ada");
    for site in &elsewhere {
        send(&browser, site, gate);
        assert!(is_ada(gate, &browser), "{kind:?} {site}: {}", browser.text());
    }

    // What ada may do, with a token that was found out.
    let token = token(&browser);
    let before = "SELECT count(*) FROM querygate.audit WHERE login = 'ada' AND door = 'http' AND template LIKE 'call querygate%'";
    let called = ask(&gate.server, "ada", before);
    let incident = &ask(&gate.server, "ada", "SELECT id FROM querygate.anomalies LIMIT 1")[0];
    let suggestion = &ask(&gate.server, "ada", "SELECT id FROM querygate.index_suggestions LIMIT 1")[0];
    let forms = [
        ("/ui/anomalies/acknowledge", ("id", incident.as_str())),
        ("/ui/indexes/apply", ("id", suggestion.as_str())),
        ("/ui/plans/forget", ("fingerprint", "00000000000000ff")),
        ("/ui/logout", ("x", "y")),
    ];
    for (action, field) in forms {
        foreign.show(&form(&gate.page(action), &[("token", &token), field]));
        for site in &elsewhere {
            send(&browser, site, gate);
            let said = browser.text();
            let is_refused = said.contains("not one of this session") || said.contains("Log in");
            assert!(is_refused, "{kind:?} {site} {action}: {said}");
            assert!(is_ada(gate, &browser), "{kind:?} {site} {action}");
        }
    }
    assert_eq!(ask(&gate.server, "ada", before), called, "nothing has reached the engine");
    assert_eq!(ask(&gate.server, "ada", "SELECT count(acknowledged_by) FROM querygate.anomalies"), ["0"]);

    // The page's own form is taken.
    browser.click("form[action='/ui/logout'] button");
    browser.wait_until("out", |browser| browser.url() == gate.page("/ui/login"));
}

pub(crate) fn frames(kind: Kind) {
    let Some(browser) = browser(kind) else { return };
    let (gate, foreign) = (shared(), Foreign::start());
    gate.log_in(&browser, "ada");
    for url in [gate.page("/ui"), gate.page("/ui/login"), gate.rest("/api/v1/docs"), gate.rest("/api/v1/docs/live")] {
        foreign.show(&format!("<p>Click here.</p><iframe src='{url}' width=900 height=700></iframe>"));
        for site in [foreign.same_site(), foreign.other_site()] {
            browser.go(&site);
            let shown = browser.framed();
            let ours =
                ["Querygate", "Log in", "Queries", "Sign in", "Question"].iter().any(|word| shown.contains(word));
            assert!(!ours, "{kind:?} {site} shows {url}: {shown}");
        }
    }
    // A page that may be framed is seen there: the test sees what it looks for.
    let other = Foreign::start();
    other.show("Log in");
    foreign.show(&format!("<iframe src='{}'></iframe>", other.same_site()));
    browser.go(&foreign.same_site());
    assert_eq!(browser.framed().trim(), "Log in");
}

pub(crate) fn replays(kind: Kind) {
    let Some(browser) = browser(kind) else { return };
    let gate = shared();
    gate.log_in(&browser, "ada");
    let (cookie, former) = (browser.cookie("querygate_session").unwrap(), token(&browser));
    browser.click("form[action='/ui/logout'] button");
    browser.wait_until("out", |browser| browser.url() == gate.page("/ui/login"));
    // The cookie that was copied before.
    browser.set_cookie(&cookie);
    browser.go(&gate.page("/ui"));
    assert_eq!(browser.url(), gate.page("/ui/login"), "{kind:?}");
    // The token of the session before, in the own form of the one after.
    send_login(&browser, "ada", "demo-ada");
    browser.wait_until("in", |browser| browser.url() == gate.page("/ui"));
    assert_ne!(token(&browser), former);
    let _ = browser.script(&format!("document.querySelector('form[action=\"/ui/logout\"] input').value = '{former}'"));
    browser.click("form[action='/ui/logout'] button");
    browser.wait_for("not one of this session");
    assert!(is_ada(gate, &browser), "{kind:?}");
}
