//! What of a changed file a running gate takes, and which keys wait for its next start. Opens nothing.

use super::syntax::diagnostic::{Place, Report, Severity};
use super::{Config, Governance, Server, Source, load_with};
use querygate_types::{Error, ErrorCode, Result};
use std::collections::{BTreeSet, HashMap};
use toml::{Table, Value};

/// Tables that are taken as a whole. Sources have their own rule.
const TABLES: &[&str] = &["users", "issuers", "views", "metadata", "sources"];
/// Keys of other tables that are taken.
const KEYS: &[(&str, &str)] = &[
    ("governance", "mask_in_predicates"),
    ("server", "tls_certificate"),
    ("server", "tls_key"),
    ("flight", "client_ca"),
];

/// A changed configuration, as far as it is taken.
pub(crate) struct Taken {
    pub(crate) config: Config,
    /// Keys of the file that wait for the next start.
    pub(crate) waiting: Vec<String>,
}

/// Reads the file of a configuration again.
///
/// # Errors
/// It has a mistake, or cannot be read: the first one, with its line.
pub(crate) fn reread(config: &Config) -> Result<Config> {
    let (read, report) = load_with(&config.file, &config.extensions);
    read.ok_or_else(|| refusal(&report))
}

fn refusal(report: &Report) -> Error {
    let mut errors = report.diagnostics.iter().filter(|found| found.severity == Severity::Error);
    let first = errors.next();
    let line = first.and_then(|found| found.span.clone()).map(|span| Place::of(&report.text, span).line);
    let at = line.map(|line| format!(":{line}")).unwrap_or_default();
    let what = first.map_or("it is not usable", |found| found.message.as_str());
    let more = match errors.count() {
        0 => String::new(),
        1 => " (and 1 more error)".to_owned(),
        more => format!(" (and {more} more errors)"),
    };
    let error = Error::new(ErrorCode::ConfigInvalid, format!("{}{at}: {what}{more}", report.file));
    error.with_hint("`querygate check` shows all that is wrong.")
}

impl Config {
    /// What this running configuration becomes when its file says something else. `started`: what the process was started with.
    pub(crate) fn taking(&self, next: Self, started: &Self) -> Taken {
        let mut waiting = waiting(started.text.expose(), next.text.expose());
        let (sources, written_sources) = self.sources_of(next.sources, &mut waiting);
        let mut server = Server { tls: next.server.tls.clone(), ..self.server.clone() };
        if server.tls.is_some() != started.server.tls.is_some() {
            waiting.extend(["server.tls_certificate", "server.tls_key"].map(str::to_owned));
            server.tls.clone_from(&self.server.tls);
        }
        let mut flight = self.flight.clone();
        if next.flight.client_ca.is_some() == started.flight.client_ca.is_some() {
            flight.client_ca = next.flight.client_ca;
        } else {
            waiting.insert("flight.client_ca".to_owned());
        }
        let config = Self {
            text: next.text,
            secrets: next.secrets,
            secret_files: next.secret_files,
            server,
            flight,
            metadata: next.metadata,
            sources,
            written_sources,
            users: next.users,
            issuers: next.issuers,
            views: next.views,
            governance: Governance {
                mask_in_predicates: next.governance.mask_in_predicates,
                ..self.governance.clone()
            },
            ..self.clone()
        };
        Taken { config, waiting: waiting.into_iter().collect() }
    }

    /// The sources that a running gate goes on with, and as they are written. What takes part in transactions of several sources, or keeps
    /// an outbox, is known to more than statements: it stays as it is.
    fn sources_of(&self, next: Vec<Source>, waiting: &mut BTreeSet<String>) -> (Vec<Source>, Vec<Source>) {
        let is_bound = |source: &Source| source.is_distributed() || source.outbox.is_some();
        let named = |sources: &[Source], name: &str| sources.iter().find(|source| source.name == name).cloned();
        let (mut served, mut written) = (Vec::new(), Vec::new());
        let names: BTreeSet<String> = next.iter().map(|source| source.name.clone()).collect();
        for source in next {
            let was = named(&self.sources, &source.name).zip(named(&self.written_sources, &source.name));
            let is_as_written = was.as_ref().is_some_and(|(_, was)| was.is_like(&source));
            let waits = is_bound(&source) || was.as_ref().is_some_and(|(was, _)| is_bound(was));
            match was {
                Some((own, was)) if is_as_written || waits => {
                    if !is_as_written {
                        waiting.insert(format!("sources.{}", source.name));
                    }
                    served.push(own);
                    written.push(was);
                }
                None if waits => {
                    waiting.insert(format!("sources.{}", source.name));
                }
                Some(_) | None => {
                    served.push(source.clone());
                    written.push(source);
                }
            }
        }
        for gone in self.sources.iter().filter(|source| is_bound(source) && !names.contains(&source.name)) {
            waiting.insert(format!("sources.{}", gone.name));
            served.push(gone.clone());
            written.extend(named(&self.written_sources, &gone.name));
        }
        (served, written)
    }
}

/// Keys that differ and are not taken by a running gate.
fn waiting(started: &str, next: &str) -> BTreeSet<String> {
    let parse = |text: &str| text.parse::<Table>().unwrap_or_default();
    let (started, next) = (parse(started), parse(next));
    let names: BTreeSet<&String> = started.keys().chain(next.keys()).collect();
    let mut waiting = BTreeSet::new();
    for name in names.into_iter().filter(|name| !TABLES.contains(&name.as_str())) {
        match (started.get(name), next.get(name)) {
            (Some(was), Some(is)) if was == is => {}
            (was, is) => {
                let (was, is) = (keys(was), keys(is));
                let differs = |key: &&String| was.get(*key) != is.get(*key);
                let taken = |key: &&String| KEYS.contains(&(name.as_str(), key.as_str()));
                let differing: BTreeSet<&String> = was.keys().chain(is.keys()).copied().filter(differs).collect();
                let is_empty = differing.is_empty();
                waiting.extend(differing.into_iter().filter(|key| !taken(key)).map(|key| format!("{name}.{key}")));
                if is_empty {
                    // A table that is there and empty is another thing than none.
                    waiting.insert(name.clone());
                }
            }
        }
    }
    waiting
}

fn keys(value: Option<&Value>) -> HashMap<&String, &Value> {
    value.and_then(Value::as_table).into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Environment, parse};
    use std::path::Path;

    const PLAIN: &str = "[metadata]\npath = \"m\"\n[limits]\nqueries_max = 5\n[[sources]]\nname = \"a\"\nkind = \"sqlite\"\npath = \"a.sqlite\"\n";

    fn config(text: &str) -> Config {
        let environment = Environment::fixed(Path::new("/nowhere"), &[]);
        let (config, report) = parse(Path::new("/nowhere/querygate.toml"), text, &environment);
        config.unwrap_or_else(|| panic!("{:?}", report.diagnostics))
    }

    fn taken(started: &str, next: &str) -> (Config, Vec<String>) {
        let started = config(started);
        let taken = started.taking(config(next), &started);
        (taken.config, taken.waiting)
    }

    #[test]
    fn what_is_not_taken_is_named_and_stays() {
        for (next, waiting) in [
            (PLAIN.to_owned(), vec![]),
            (PLAIN.replace("= 5", "= 6"), vec!["limits.queries_max"]),
            (PLAIN.replace("queries_max = 5", "rows_max = 5"), vec!["limits.queries_max", "limits.rows_max"]),
            (PLAIN.replace("[limits]\nqueries_max = 5\n", ""), vec!["limits.queries_max"]),
            (format!("{PLAIN}[flight]\naddress = \"127.0.0.1:1\"\n"), vec!["flight.address"]),
            (format!("{PLAIN}[learning]\n"), vec!["learning"]),
            (
                format!("{PLAIN}[server]\ntls_certificate = \"c\"\ntls_key = \"k\"\n"),
                vec!["server.tls_certificate", "server.tls_key"],
            ),
        ] {
            let (taken, named) = taken(PLAIN, &next);
            assert_eq!(named, waiting, "{next}");
            assert_eq!((taken.limits.queries_max, taken.limits.rows_max), (5, None));
            assert!(taken.flight.address.is_none() && taken.learning.is_none() && taken.server.tls.is_none());
        }
    }

    #[test]
    fn users_sources_views_and_certificates_are_taken() {
        let tls = |name: &str| format!("[server]\ntls_certificate = \"{name}\"\ntls_key = \"k\"\n");
        let started = format!("{PLAIN}{}", tls("one"));
        let next = format!("{PLAIN}{}", tls("two")).replace("a.sqlite", "b.sqlite");
        let next = format!(
            "{next}[[sources]]\nname = \"b\"\nkind = \"memory\"\n[[users]]\nname = \"u\"\n[[views]]\nname = \"v\"\nsql = \"SELECT 1\"\n\
             [governance]\nmask_in_predicates = \"refuse\"\n"
        );
        let (taken, waiting) = taken(&started, &next);
        assert_eq!(waiting, [""; 0]);
        assert!(taken.server.tls.unwrap().certificate.ends_with("two"));
        assert_eq!((taken.sources.len(), taken.users.len(), taken.views.len()), (2, 1, 1));
        assert!(taken.sources[0].is_like(&config(&next).sources[0]));
    }

    #[test]
    fn a_source_of_transactions_stays_and_one_that_a_command_changed_does_so_too() {
        let bound = PLAIN.replace("path = \"a.sqlite\"\n", "path = \"a.sqlite\"\nwrites = true\noutbox = \"o\"\n");
        for next in [PLAIN.to_owned(), PLAIN.replace("\"a\"", "\"c\""), bound.replace("a.sqlite", "b.sqlite")] {
            let (taken, waiting) = taken(&bound, &next);
            assert!(waiting.contains(&"sources.a".to_owned()), "{next}");
            assert!(taken.sources.iter().any(|source| source.name == "a" && source.outbox.is_some()), "{next}");
        }
        let (mut running, started) = (config(PLAIN), config(PLAIN));
        running.sources[0].outbox = Some("o".to_owned());
        let taken = running.taking(config(&PLAIN.replace("[limits]", "# a word\n[limits]")), &started);
        assert!(taken.waiting.is_empty() && taken.config.sources[0].outbox.is_some());
    }
}
