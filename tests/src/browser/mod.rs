//! Real browsers, driven through WebDriver as Debian's Chromium and Firefox speak it. Knows no page of the gate.

mod driver;
mod foreign;
mod inspect;

pub use driver::Kind;
pub use foreign::{Foreign, form};
pub use inspect::{faults, forgive};

use crate::server::Request;
use base64::Engine as _;
use driver::Driver;
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a page may take to become what is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(50);
/// Widths of pages: on a desk, and on a telephone.
pub const WIDTHS: [u32; 2] = [DESK, 390];
const DESK: u32 = 1280;
/// WebDriver's error for an element of a page that has given way to another.
const GONE: &str = "stale element reference";
/// WebDriver's name for a reference to an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// What a person prefers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Theme {
    Light,
    Dark,
}

/// A browser with a new profile, ended when dropped.
#[derive(Debug)]
pub struct Browser {
    driver: Driver,
    session: String,
    theme: Theme,
    width: std::cell::Cell<u32>,
}

impl Browser {
    /// `None` where the browser or its driver is absent, which is printed.
    ///
    /// # Panics
    /// When there is one and it does not start.
    #[must_use]
    pub fn start(kind: Kind, theme: Theme) -> Option<Self> {
        let driver = Driver::start(kind)?;
        let answer = driver.send("POST", "/session", Some(&kind.capabilities(theme, driver.profile())));
        let session = answer["sessionId"].as_str().unwrap_or_else(|| panic!("{kind:?}: {answer}")).to_owned();
        let browser = Self { driver, session, theme, width: std::cell::Cell::new(0) };
        let size = json!({"width": 1400, "height": 1000});
        let _ = browser.command("POST", "/window/rect", Some(&size));
        browser.resize(DESK);
        Some(browser)
    }

    #[must_use]
    pub fn kind(&self) -> Kind {
        self.driver.kind()
    }

    /// A command of the session.
    fn command(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        self.driver.send(method, &format!("/session/{}{path}", self.session), body)
    }

    /// A command of the session that may fail.
    fn attempt(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, String> {
        self.driver.attempt(method, &format!("/session/{}{path}", self.session), body)
    }

    /// Opens an address as a person who types it, and waits until it is there.
    pub fn go(&self, url: &str) {
        let _ = self.command("POST", "/url", Some(&json!({"url": url})));
        self.set_width();
    }

    #[must_use]
    pub fn url(&self) -> String {
        self.command("GET", "/url", None).as_str().unwrap_or_default().to_owned()
    }

    /// Loads the page again, and waits until it is a new one: a form that is sent again is not there when the driver answers.
    pub fn reload(&self) {
        let _ = self.script("window.isFormerPage = true");
        let _ = self.command("POST", "/refresh", Some(&json!({})));
        self.wait_until("a new page", |browser| browser.holds("!window.isFormerPage"));
    }

    /// Whether an expression is true of the page; of one that is just leaving, nothing is.
    fn holds(&self, expression: &str) -> bool {
        let script = json!({"script": format!("return {expression}"), "args": []});
        self.attempt("POST", "/execute/sync", Some(&script)).is_ok_and(|answer| answer == true)
    }

    /// The value of a script's `return`.
    #[must_use]
    pub fn script(&self, script: &str) -> Value {
        self.command("POST", "/execute/sync", Some(&json!({"script": script, "args": []})))
    }

    /// The text that a person sees.
    #[must_use]
    pub fn text(&self) -> String {
        self.script("return document.body ? document.body.innerText : ''").as_str().unwrap_or_default().to_owned()
    }

    fn find(&self, css: &str) -> Result<String, String> {
        let found = self.attempt("POST", "/element", Some(&json!({"using": "css selector", "value": css})))?;
        found[ELEMENT].as_str().map(str::to_owned).ok_or_else(|| format!("no element: {found}"))
    }

    #[must_use]
    pub fn has(&self, css: &str) -> bool {
        self.find(css).is_ok()
    }

    /// Does something with the first element that a selector finds. The page may be about to show it, or to give way to the page that
    /// has it.
    ///
    /// # Panics
    /// When there is none in time, or it cannot be done.
    fn with_element(&self, css: &str, act: impl Fn(&str) -> Result<(), String>) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let error = match self.find(css) {
                Err(error) => error,
                Ok(id) => match act(&id) {
                    Ok(()) => return,
                    Err(error) if error.contains(GONE) => error,
                    Err(error) => panic!("{:?} {}: {css}: {error}\n{}", self.kind(), self.url(), self.text()),
                },
            };
            assert!(Instant::now() < deadline, "{:?} {}: {css}: {error}\n{}", self.kind(), self.url(), self.text());
            std::thread::sleep(PAUSE);
        }
    }

    /// A command to an element.
    fn order(&self, id: &str, command: &str, body: &Value) -> Result<(), String> {
        self.attempt("POST", &format!("/element/{id}/{command}"), Some(body)).map(drop)
    }

    /// Clicks on the first element that a selector finds, as a person does.
    ///
    /// # Panics
    /// When there is none, or it cannot be clicked on.
    pub fn click(&self, css: &str) {
        self.with_element(css, |id| self.order(id, "click", &json!({})));
    }

    /// Types a text into the first field that a selector finds, in place of what is there.
    ///
    /// # Panics
    /// When there is none, or it takes no text.
    pub fn fill(&self, css: &str, text: &str) {
        self.with_element(css, |id| {
            self.order(id, "clear", &json!({}))?;
            if text.is_empty() { Ok(()) } else { self.order(id, "value", &json!({"text": text})) }
        });
    }

    /// Waits until something is so of a page that is there as a whole.
    ///
    /// # Panics
    /// When it does not become so.
    pub fn wait_until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !(self.holds("document.readyState === 'complete'") && is_so(self)) {
            let seen = || format!("{:?} {}: not {what}:\n{}", self.kind(), self.url(), self.text());
            assert!(Instant::now() < deadline, "{}", seen());
            std::thread::sleep(PAUSE);
        }
    }

    /// Waits until a text is seen.
    pub fn wait_for(&self, text: &str) {
        self.wait_until(text, |browser| browser.text().contains(text));
    }

    /// Gives pages this width, in pixels.
    pub fn resize(&self, width: u32) {
        self.width.set(width);
        self.set_width();
    }

    fn set_width(&self) {
        let width = self.width.get();
        match self.kind() {
            Kind::Chromium => {
                let metrics = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false});
                let _ = self.devtools("Emulation.setDeviceMetricsOverride", &metrics);
                let scheme = json!({"name": "prefers-color-scheme", "value": self.theme.name()});
                let _ = self.devtools("Emulation.setEmulatedMedia", &json!({"features": [scheme]}));
            }
            // A window has a least width; the part of it that shows the page has none.
            Kind::Firefox => {
                let script = format!(
                    "const shown = Services.wm.getMostRecentWindow('navigator:browser').gBrowser.selectedBrowser;\
                     for (const name of ['width', 'min-width', 'max-width']) shown.style.setProperty(name, '{width}px', 'important');\
                     shown.style.setProperty('flex', 'none', 'important');"
                );
                let _ = self.inside(&script);
                self.wait_until("as wide as it should be", |browser| {
                    browser.script("return innerWidth") == json!(width) || browser.url().starts_with("about:")
                });
            }
        }
    }

    /// A command of Chromium's own protocol.
    fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.command("POST", "/goog/cdp/execute", Some(&json!({"cmd": command, "params": parameters})))
    }

    /// A script with Firefox' own rights.
    fn inside(&self, script: &str) -> Value {
        let _ = self.command("POST", "/moz/context", Some(&json!({"context": "chrome"})));
        let answer = self.attempt("POST", "/execute/sync", Some(&json!({"script": script, "args": []})));
        let _ = self.command("POST", "/moz/context", Some(&json!({"context": "content"})));
        answer.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// What the browser complained of since it was last asked: scripts that failed, and what a page may not load.
    ///
    /// # Panics
    /// When it does not say.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        let texts = |said: &Value, text: &str, is_one: &dyn Fn(&Value) -> bool| {
            let said = said.as_array().unwrap_or_else(|| panic!("no list: {said}"));
            said.iter().filter(|one| is_one(one)).map(|one| one[text].to_string()).collect()
        };
        match self.kind() {
            Kind::Chromium => {
                let said = self.command("POST", "/se/log", Some(&json!({"type": "browser"})));
                texts(&said, "message", &|one| one["level"] == "SEVERE" || one["level"] == "WARNING")
            }
            Kind::Firefox => {
                let said = self.inside(
                    "const said = Services.console.getMessageArray().filter(one => one instanceof Ci.nsIScriptError)\
                     .map(one => ({text: one.errorMessage, source: one.sourceName}));\
                     Services.console.reset(); return said;",
                );
                texts(&said, "text", &|one| one["source"].as_str().is_some_and(|source| source.starts_with("http")))
            }
        }
    }

    /// The whole page as PNG.
    ///
    /// # Panics
    /// When the browser makes no picture.
    #[must_use]
    pub fn picture(&self) -> Vec<u8> {
        let made = match self.kind() {
            Kind::Chromium => {
                let size = self.script("const all = document.documentElement; return [innerWidth, all.scrollHeight]");
                let clip = json!({"x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1});
                let how = json!({"captureBeyondViewport": true, "clip": clip});
                self.devtools("Page.captureScreenshot", &how)["data"].clone()
            }
            Kind::Firefox => self.command("GET", "/moz/screenshot/full", None),
        };
        base64::engine::general_purpose::STANDARD.decode(made.as_str().unwrap_or_default()).unwrap()
    }

    /// Keeps a picture of the page in a folder: `PAGE[-WIDTH][-dark][-firefox].png`.
    ///
    /// # Panics
    /// When there is none to be had.
    pub fn keep(&self, folder: &Path, page: &str) {
        let width = match self.width.get() {
            DESK => String::new(),
            width => format!("-{width}"),
        };
        let theme = if self.theme == Theme::Dark { "-dark" } else { "" };
        let kind = if self.kind() == Kind::Firefox { "-firefox" } else { "" };
        let (name, picture) = (format!("{page}{width}{theme}{kind}.png"), self.picture());
        assert!(picture.starts_with(b"\x89PNG") && picture.len() > 5_000, "{name}: {} bytes", picture.len());
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join(name), picture).unwrap();
    }

    /// The text within the first frame of the page; empty where the browser shows none.
    #[must_use]
    pub fn framed(&self) -> String {
        if self.attempt("POST", "/frame", Some(&json!({"id": 0}))).is_err() {
            return String::new();
        }
        let text = self.attempt(
            "POST",
            "/execute/sync",
            Some(&json!({"script": "return document.body.innerText", "args": []})),
        );
        let _ = self.command("POST", "/frame", Some(&json!({"id": null})));
        text.ok().and_then(|text| text.as_str().map(str::to_owned)).unwrap_or_default()
    }

    /// Cookies of the page, by name.
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<Value> {
        self.attempt("GET", &format!("/cookie/{name}"), None).ok()
    }

    /// Gives the page's site a cookie, as another server of the same name can.
    pub fn set_cookie(&self, cookie: &Value) {
        let _ = self.command("POST", "/cookie", Some(&json!({"cookie": cookie})));
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // A browser that is gone already needs no end.
        let _ = self.attempt("DELETE", "", None);
    }
}

impl Theme {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }
}

/// A request of WebDriver.
fn request(method: &str, path: &str, body: Option<&Value>) -> Request {
    let request = Request::new(method, path);
    match body {
        Some(body) => request.json(body),
        None => request,
    }
}
