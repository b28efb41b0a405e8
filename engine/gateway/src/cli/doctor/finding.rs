//! One finding, and all of them as text for people and as JSON for programs. Knows no check.

use crate::config::Secret;
use crate::output::Output;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io;

/// How bad it is. The order is that of exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Ok,
    Warning,
    Problem,
}

impl Level {
    const ALL: [Self; 3] = [Self::Ok, Self::Warning, Self::Problem];

    const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

/// What was looked at, what was seen, what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) level: Level,
    /// Name of the check; stays as it is from version to version.
    pub(super) check: &'static str,
    /// What was looked at: the name of a source or door, a file.
    pub(super) subject: String,
    pub(super) what: String,
    pub(super) advice: Option<String>,
}

impl Finding {
    pub(super) fn new(level: Level, check: &'static str, subject: impl Into<String>, what: impl Into<String>) -> Self {
        Self { level, check, subject: subject.into(), what: what.into(), advice: None }
    }

    pub(super) fn ok(check: &'static str, subject: impl Into<String>, what: impl Into<String>) -> Self {
        Self::new(Level::Ok, check, subject, what)
    }

    pub(super) fn warning(check: &'static str, subject: impl Into<String>, what: impl Into<String>) -> Self {
        Self::new(Level::Warning, check, subject, what)
    }

    pub(super) fn problem(check: &'static str, subject: impl Into<String>, what: impl Into<String>) -> Self {
        Self::new(Level::Problem, check, subject, what)
    }

    /// What to do about it, as a clause without a full stop.
    #[must_use]
    pub(super) fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }
}

/// Shape of the JSON. A change that breaks readers gets the next number.
const FORMAT: u32 = 1;
/// Secrets that are shorter could be parts of any text.
const SECRET_MIN: usize = 4;
/// Stands where a secret was.
const HIDDEN: &str = "…";

/// All findings about a configuration.
#[derive(Debug)]
pub(super) struct Report {
    file: String,
    findings: Vec<Finding>,
    hidden: Vec<Secret>,
}

impl Report {
    pub(super) fn new(file: &str) -> Self {
        Self { file: file.to_owned(), findings: Vec::new(), hidden: Vec::new() }
    }

    pub(super) fn add(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    pub(super) fn extend(&mut self, findings: impl IntoIterator<Item = Finding>) {
        self.findings.extend(findings);
    }

    /// Texts of sources and of the system go into findings: none of these values may be in them.
    pub(super) fn hide(&mut self, secrets: &[Secret]) {
        self.hidden.extend(secrets.iter().filter(|secret| secret.expose().len() >= SECRET_MIN).cloned());
    }

    pub(super) fn level(&self) -> Level {
        self.findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok)
    }

    fn shown(&self, text: &str) -> String {
        let hide = |text: String, secret: &Secret| text.replace(secret.expose(), HIDDEN);
        self.hidden.iter().fold(text.to_owned(), hide)
    }

    fn count(&self, level: Level) -> usize {
        self.findings.iter().filter(|finding| finding.level == level).count()
    }

    pub(super) fn to_json(&self) -> Value {
        let finding = |finding: &Finding| {
            json!({
                "level": finding.level.name(),
                "check": finding.check,
                "subject": self.shown(&finding.subject),
                "what": self.shown(&finding.what),
                "do": finding.advice.as_deref().map(|advice| self.shown(advice)),
            })
        };
        let counts: BTreeMap<&str, usize> =
            Level::ALL.map(|level| (level.name(), self.count(level))).into_iter().collect();
        json!({
            "format": FORMAT,
            "querygate": env!("CARGO_PKG_VERSION"),
            "configuration": self.file,
            "level": self.level().name(),
            "counts": counts,
            "findings": self.findings.iter().map(finding).collect::<Vec<_>>(),
        })
    }

    /// A line for each finding and one for what to do, then what they add up to. `quiet`: without those that are good.
    pub(super) fn print(&self, quiet: bool, output: &mut Output) -> io::Result<()> {
        let shown = || self.findings.iter().filter(|finding| !quiet || finding.level != Level::Ok);
        let width = shown().map(|finding| finding.check.len()).max().unwrap_or(0);
        for finding in shown() {
            let level = format!("{:<7}", finding.level.name());
            let level = match finding.level {
                Level::Ok => output.dim(&level),
                Level::Warning => output.yellow(&level),
                Level::Problem => output.red(&level),
            };
            let (subject, what) = (self.shown(&finding.subject), self.shown(&finding.what));
            output.line(&format!("{level}  {:<width$}  {subject}: {what}", finding.check))?;
            if let Some(advice) = &finding.advice {
                output.line(&format!("{:<7}  {:<width$}  do: {}", "", "", self.shown(advice)))?;
            }
        }
        let number = |level: Level, one: &str, many: &str| match self.count(level) {
            1 => format!("1 {one}"),
            count => format!("{count} {many}"),
        };
        let line = format!(
            "{}: {}, {}, {} ok",
            self.file,
            number(Level::Problem, "problem", "problems"),
            number(Level::Warning, "warning", "warnings"),
            self.count(Level::Ok)
        );
        output.line(&output.bold(&line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut report = Report::new("q.toml");
        report.add(Finding::ok("memory", "limits", "enough"));
        report.add(Finding::warning("source.clock", "shop", "said hunter2 twice: hunter2").advise("not hunter2"));
        report
    }

    #[test]
    fn the_worst_finding_decides_and_nothing_is_a_success() {
        assert_eq!(Report::new("q.toml").level(), Level::Ok);
        let mut report = report();
        assert_eq!(report.level(), Level::Warning);
        report.add(Finding::problem("disk.spill", "spill", "full"));
        report.add(Finding::ok("memory", "limits", "enough"));
        assert_eq!(report.level(), Level::Problem);
    }

    #[test]
    fn the_json_has_its_agreed_shape() {
        let json = report().to_json();
        let keys =
            |value: &Value| value.as_object().unwrap().keys().cloned().collect::<std::collections::BTreeSet<_>>();
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(keys(&json), names(&["configuration", "counts", "findings", "format", "level", "querygate"]));
        assert_eq!(keys(&json["findings"][0]), names(&["check", "do", "level", "subject", "what"]));
        assert_eq!(json["counts"], json!({"ok": 1, "warning": 1, "problem": 0}));
        assert_eq!((&json["format"], &json["level"]), (&json!(1), &json!("warning")));
        assert_eq!(json["findings"][0]["do"], Value::Null);
    }

    #[test]
    fn secrets_are_in_no_output() {
        let mut report = report();
        report.hide(&[Secret::plain("hunter2".to_owned()), Secret::plain("q".to_owned())]);
        let (mut output, captured) = Output::captured("");
        report.print(false, &mut output).unwrap();
        for text in [captured.text(), report.to_json().to_string()] {
            assert!(!text.contains("hunter2") && text.contains("said … twice: …") && text.contains("q.toml"), "{text}");
        }
    }

    #[test]
    fn quiet_leaves_out_what_is_good_and_counts_it() {
        let (mut output, captured) = Output::captured("");
        report().print(true, &mut output).unwrap();
        let text = captured.text();
        assert!(!text.contains("enough") && text.ends_with("q.toml: 0 problems, 1 warning, 1 ok\n"), "{text}");
    }
}
