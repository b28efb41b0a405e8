//! The pages of the REST port: the description, and an answer that is kept up to date.

use crate::browser;
use crate::gate::{Gate, shared};
use querygate_tests::browser::{Browser, Foreign, Kind, faults, forgive, form};

fn sign_in(browser: &Browser, password: &str) {
    browser.fill("#email", "ada@crm.example");
    browser.fill("#password", password);
    browser.click("#sign-in button");
}

/// Whom the browser is known as at the REST port.
fn known(gate: &Gate, browser: &Browser) -> String {
    browser.go(&gate.rest("/api/v1/docs/live"));
    browser.wait_for("what this user may see");
    browser.script("return document.getElementById('who').innerText").as_str().unwrap_or_default().to_owned()
}

pub(crate) fn pages(kind: Kind) {
    let Some(browser) = browser(kind) else { return };
    let gate = shared();
    browser.go(&gate.rest("/"));
    assert_eq!(browser.url(), gate.rest("/api/v1/docs"), "the port leads somewhere");
    browser.wait_for("Not signed in");
    browser.wait_until("described", |browser| browser.has("#interface .opblock-tag"));
    assert_eq!(faults(&browser), [""; 0]);
    sign_in(&browser, "wrong");
    browser.wait_for("Invalid email or password");
    forgive(&browser);
    sign_in(&browser, "demo-ada");
    browser.wait_for("what this user may see and do");
    browser.wait_until("described", |browser| browser.text().contains("crm_accounts"));
    assert_eq!(faults(&browser), [""; 0]);

    browser.go(&gate.rest("/api/v1/docs/live"));
    browser.wait_for("what this user may see");
    for (question, told) in [
        ("", "A question is JSON that names an object"),
        ("{}", "The question names no object"),
        ("{\"object\": ", "A question is JSON that names an object"),
        ("{\"object\": \"nothing_like_it\"}", "nothing_like_it"),
    ] {
        browser.fill("#query", question);
        browser.click("#question button");
        browser.wait_until(told, |browser| {
            browser
                .script("return document.getElementById('state').innerText")
                .as_str()
                .unwrap_or_default()
                .contains(told)
        });
    }
    forgive(&browser);
    browser.fill("#query", "{\"object\": \"crm_accounts\", \"where\": {\"country\": \"DE\"}, \"fields\": [\"id\", \"name\"], \"limit\": 20}");
    browser.click("#question button");
    browser.wait_until("answered", |browser| browser.has("#records tr"));
    assert!(browser.text().contains("20 records, changed 0 times"), "{}", browser.text());
    for width in [1280, 390] {
        browser.resize(width);
        assert_eq!(faults(&browser), [""; 0], "{kind:?} at {width} px");
    }
    browser.resize(1280);
    browser.click("#sign-out");
    browser.wait_for("Not signed in.");
}

pub(crate) fn attacks(kind: Kind) {
    let Some(browser) = browser(kind) else { return };
    let (gate, foreign) = (shared(), Foreign::start());
    browser.go(&gate.rest("/api/v1/docs/live"));
    sign_in(&browser, "demo-ada");
    browser.wait_for("what this user may see");
    let ada = known(gate, &browser);
    let elsewhere = [foreign.same_site(), foreign.other_site()];
    // A form whose body is JSON by its one name and value.
    let credentials = "{\"email\":\"sam@crm.example\",\"password\":\"demo-sam\",\"x\":\"";
    let plain =
        |action: &str, name: &str| form(action, &[(name, "\"}")]).replace("<form ", "<form enctype=\"text/plain\" ");
    for (path, name) in [("/auth/sign-in/email", credentials), ("/auth/sign-out", "{\"x\":\"")] {
        let action = gate.rest(&format!("/api/v1{path}"));
        foreign.show(&plain(&action, name));
        for site in &elsewhere {
            browser.go(site);
            browser.wait_until("sent", |browser| browser.url() == action && !browser.text().is_empty());
            assert_eq!(known(gate, &browser), ada, "{kind:?} {site} {path}");
        }
    }
    // What a script of another origin may read, with the cookie.
    let session = gate.rest("/api/v1/auth/get-session");
    foreign.show(&format!(
        "<p id=p>waits</p><script>fetch('{session}', {{credentials: 'include'}}).then(a => a.text()).then(t => p.innerText = 'read: ' + t)\
         .catch(e => p.innerText = 'refused')</script>"
    ));
    for site in &elsewhere {
        browser.go(site);
        browser.wait_until("tried", |browser| !browser.text().contains("waits"));
        assert_eq!(browser.text().trim(), "refused", "{kind:?} {site}");
    }
}
