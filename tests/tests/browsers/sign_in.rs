//! Who gets in, and who no longer.

use crate::browser;
use crate::gate::{send_login, shared};
use querygate_tests::browser::Kind;
use querygate_tests::server::Variant;

pub(crate) fn a_person_logs_in_and_out(kind: Kind) {
    let Some(browser) = browser(kind) else { return };
    let gate = shared();
    browser.go(&gate.page("/"));
    assert_eq!(browser.url(), gate.page("/ui/login"), "whoever is not known is asked who it is");
    send_login(&browser, "ada", "wrong");
    browser.wait_for("Wrong user name or password.");
    browser.reload();
    browser.wait_for("Wrong user name or password.");
    assert!(browser.cookie("querygate_session").is_none());
    send_login(&browser, "ada", "demo-ada");
    browser.wait_until("in", |browser| browser.url() == gate.page("/ui"));
    let cookie = browser.cookie("querygate_session").unwrap();
    assert_eq!((&cookie["httpOnly"], &cookie["sameSite"]), (&true.into(), &"Strict".into()), "{cookie}");
    assert!(browser.text().contains("ada"), "{}", browser.text());
    browser.go(&gate.page("/ui/login"));
    assert_eq!(browser.url(), gate.page("/ui"), "whoever is in is not asked again");
    browser.click("form[action='/ui/logout'] button");
    browser.wait_until("out", |browser| browser.url() == gate.page("/ui/login"));
    browser.go(&gate.page("/ui/sources"));
    assert_eq!(browser.url(), gate.page("/ui/login"));
}

/// Cookies know no port: that of a gate which is gone comes to the next one of the same name.
pub(crate) fn a_cookie_of_an_older_start(kind: Kind) {
    let Some(browser) = browser(kind) else { return };
    let variant = Variant::new(|config| config);
    let mut former = variant.serve();
    browser.go(&format!("http://{}/ui/login", former.http));
    send_login(&browser, "ada", "demo-ada");
    browser.wait_until("in", |browser| browser.url() == format!("http://{}/ui", former.http));
    assert_eq!(former.stop(), 0);
    let server = variant.serve();
    let page = |path: &str| format!("http://{}{path}", server.http);
    browser.go(&page("/ui"));
    assert_eq!(browser.url(), page("/ui/login"));
    assert!(browser.cookie("querygate_session").is_some(), "the browser still has it");
    send_login(&browser, "iris", "demo-iris");
    browser.wait_until("in", |browser| browser.url() == page("/ui"));
    assert!(browser.text().contains("iris"), "{}", browser.text());
}
