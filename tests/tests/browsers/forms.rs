//! Every form of the pages, used as a person uses it.

use crate::browser;
use crate::gate::{Gate, ask};
use querygate_tests::browser::{Browser, Kind};

pub(crate) fn every_form(kind: Kind) {
    let Some(browser) = browser(kind) else { return };
    let gate = Gate::start();
    gate.log_in(&browser, "ada");
    acknowledge(&gate, &browser);
    apply_and_undo(&gate, &browser);
    decide_on_plans(&gate, &browser);
    let calls = "SELECT template FROM querygate.audit WHERE login = 'ada' AND door = 'http' AND template LIKE 'call querygate%'";
    for procedure in ["acknowledge", "apply", "undo", "pin", "unpin", "forget"] {
        // A page is left before the gate has carried out what its form asks for.
        browser.wait_until(&format!("in the books: {procedure}"), |_| {
            let called = ask(&gate.server, "ada", calls);
            called.iter().any(|call| call.contains(&format!("querygate . {procedure} (")))
        });
    }
}

fn acknowledge(gate: &Gate, browser: &Browser) {
    browser.go(&gate.page("/ui/anomalies"));
    browser.click("form[action='/ui/anomalies/acknowledge'] button");
    let waiting = |browser: &Browser| browser.has("form[action='/ui/anomalies/acknowledge'] button");
    browser.wait_until("acknowledged", |browser| !waiting(browser) && browser.url() == gate.page("/ui/anomalies"));
    let by = "SELECT DISTINCT acknowledged_by FROM querygate.anomalies";
    assert_eq!(ask(&gate.server, "ada", by), ["ada"]);
}

fn apply_and_undo(gate: &Gate, browser: &Browser) {
    // One at the database that is this gate's own.
    let suggested = "SELECT id FROM querygate.index_suggestions WHERE state = 'suggested' AND kind = 'create' AND source = 'crm' LIMIT 1";
    let id = &ask(&gate.server, "ada", suggested)[0];
    browser.go(&gate.page("/ui/indexes"));
    browser.click(&format!("a[href='/ui/indexes/apply/{id}']"));
    browser.wait_for("It is written into the audit log with your name.");
    assert!(browser.text().contains("CREATE INDEX"), "{}", browser.text());
    let state = format!("SELECT state FROM querygate.index_suggestions WHERE id = {id}");
    for (action, then) in [("apply", "applied"), ("undo", "undone")] {
        browser.go(&gate.page(&format!("/ui/indexes/{action}/{id}")));
        browser.click(&format!("form[action='/ui/indexes/{action}'] button"));
        browser.wait_until("done", |browser| browser.url() == gate.page("/ui/indexes"));
        assert_eq!(ask(&gate.server, "ada", &state), [then]);
    }
}

/// Pins a plan, lets the advisor choose again, forgets what was measured.
fn decide_on_plans(gate: &Gate, browser: &Browser) {
    let fingerprint = gate.contested();
    let page = gate.page(&format!("/ui/query/{fingerprint}"));
    let fixed =
        format!("SELECT count(*) > 0 FROM querygate.plans WHERE fingerprint = '{fingerprint}' AND state = 'fixed'");
    browser.go(&page);
    browser.click("form[action='/ui/plans/pin'] button");
    browser.wait_for("a person chose it");
    assert_eq!(browser.url(), page);
    assert_eq!(ask(&gate.server, "ada", &fixed), ["t"]);
    browser.click("form[action='/ui/plans/unpin'] button");
    browser.wait_until("chosen by the advisor", |_| ask(&gate.server, "ada", &fixed) == ["f"]);
    browser.go(&page);
    browser.click("form[action='/ui/plans/forget'] button");
    browser.wait_until("forgotten", |browser| !browser.has("form[action='/ui/plans/forget']"));
}
