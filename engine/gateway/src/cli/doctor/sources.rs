//! What a source's state means for a gate: whether it is there, its clock, its login's rights, how the way to it is protected.

use super::super::check::count;
use super::finding::Finding;
use crate::config::tls::Tls;
use crate::config::{Config, Source, SourceKind};
use crate::init::{ConfiguredTrial, ROWS, UntriedTable};
use crate::introspect::Unreadable;
use crate::wiring::{Away, SourceState, Vitals, grouped};
use querygate_types::Result;

/// Clocks that differ by more give `now()` and ages of tokens another meaning here than there.
const CLOCK_WARNING_MS: i64 = 5_000;
const CLOCK_PROBLEM_MS: i64 = 300_000;
/// Objects that are named in one finding.
const NAMED_MAX: usize = 5;

pub(super) fn findings(state: &SourceState, config: &Config) -> Vec<Finding> {
    let mut found = vec![reachable(state)];
    if let Some(vitals) = &state.vitals {
        found.push(clock(&state.name, vitals));
        found.extend(powerful(&state.name, vitals));
    }
    found.extend(config.sources.iter().find(|source| source.name == state.name).and_then(encryption));
    if state.away.is_none() {
        found.extend(tables(state));
    }
    found
}

fn reachable(state: &SourceState) -> Finding {
    let SourceState { name, kind, away, vitals, .. } = state;
    if let Some(away) = away {
        let what = format!("{kind}, does not answer: {}", away.why);
        return Finding::problem("source.reachable", name, what).advise(against(kind, away));
    }
    let version = vitals.as_ref().map(|vitals| format!(" {}", vitals.version)).unwrap_or_default();
    Finding::ok("source.reachable", name, format!("{kind}{version} answers"))
}

/// What to do about a source that does not answer.
fn against<'a>(kind: &str, away: &'a Away) -> &'a str {
    match (kind, &away.asked) {
        ("sqlite" | "files" | "memory", _) => "correct `path` of the source, or the rights of the gate's user",
        (_, Some(asked)) => asked,
        (_, None) => "start the server, or correct the source's address; the gate serves the others meanwhile",
    }
}

fn clock(name: &str, vitals: &Vitals) -> Finding {
    let off = vitals.ahead_ms.saturating_abs();
    if off <= CLOCK_WARNING_MS {
        return Finding::ok("source.clock", name, format!("its clock differs by less than {} s", off / 1_000 + 1));
    }
    let direction = if vitals.ahead_ms > 0 { "ahead of" } else { "behind" };
    let what = format!("its clock is {} s {direction} this machine's", off / 1_000);
    let finding = if off > CLOCK_PROBLEM_MS {
        Finding::problem("source.clock", name, what)
    } else {
        Finding::warning("source.clock", name, what)
    };
    finding
        .advise("let both follow the same time servers: `now()` in a statement means the gate's clock or the source's")
}

fn powerful(name: &str, vitals: &Vitals) -> Option<Finding> {
    let what = "the login that reads may do anything there";
    let advice = "give the gate a login of its own with SELECT on its tables alone";
    vitals.is_powerful.then(|| Finding::warning("source.rights", name, what).advise(advice))
}

/// How far TLS goes, where there is a way to protect.
fn encryption(source: &Source) -> Option<Finding> {
    let (tls, host) = match &source.kind {
        SourceKind::Postgres(server) => (Some(server.tls), server.host.as_str()),
        SourceKind::Mysql(server) if server.socket.is_none() => (server.tls, server.host.as_str()),
        // What their addresses say of it is theirs.
        SourceKind::Mongodb(server) => (Some(server.tls?), ""),
        SourceKind::Mysql(_)
        | SourceKind::Sqlite { .. }
        | SourceKind::Files { .. }
        | SourceKind::Memory { .. }
        | SourceKind::Native(_) => {
            return None;
        }
    };
    let is_here = host.starts_with('/') || matches!(host, "localhost" | "127.0.0.1" | "::1");
    let (check, name) = ("source.encryption", source.name.as_str());
    match tls {
        _ if is_here => None,
        Some(Tls::Off) => Some(
            Finding::warning(check, name, "rows and the password's proof travel in the clear")
                .advise("set tls = \"verify-full\", and tls_ca where the authority is your own"),
        ),
        Some(Tls::Require) => Some(
            Finding::warning(check, name, "encrypted, and the server's certificate is not looked at")
                .advise("set tls = \"verify-full\", and tls_ca where the authority is your own"),
        ),
        Some(tls) => Some(Finding::ok(check, name, format!("tls = \"{}\"", tls.name()))),
        None => Some(Finding::ok(check, name, "tls = \"verify-full\"")),
    }
}

fn tables(state: &SourceState) -> Vec<Finding> {
    let name = &state.name;
    let mut found = Vec::new();
    for (reason, count, first) in grouped(&state.unserved) {
        let more = if count > 1 { format!(" and {} more", count - 1) } else { String::new() };
        found.push(
            Finding::problem("source.tables", name, format!("`{first}`{more}: {reason}"))
                .advise("make the table or correct the metadata; `querygate introspect` writes what the source has"),
        );
    }
    if !state.unreadable.is_empty() {
        let named: Vec<String> = state.unreadable.iter().take(NAMED_MAX).map(|object| format!("`{object}`")).collect();
        let what =
            format!("the login may not read the tables of {} ({} in all)", named.join(", "), state.unreadable.len());
        let advice = "GRANT USAGE on their schema and SELECT on them to the login that reads";
        found.push(Finding::problem("source.rights", name, what).advise(advice));
    }
    if found.is_empty() && state.objects > 0 {
        let what = match state.objects {
            1 => "the table of its one object is there".to_owned(),
            objects => format!("the tables of its {objects} objects are there"),
        };
        found.push(Finding::ok("source.tables", name, what));
    }
    found
}

/// What the first rows of all tables say, read as a client reads them.
pub(super) fn values(tried: Result<ConfiguredTrial>) -> Vec<Finding> {
    const CHECK: &str = "source.values";
    let tried = match tried {
        Ok(tried) => tried,
        Err(error) => {
            let what = format!("the tables could not be read for a trial: {}", error.message());
            return vec![Finding::warning(CHECK, "tables", what).advise("correct what else is found here")];
        }
    };
    let mut found: Vec<Finding> = tried.unreadable.iter().map(|(source, found)| value(CHECK, source, found)).collect();
    found.extend(tried.fileless.iter().map(|(source, found)| {
        let what = format!("the files of `{}` cannot be read: {}", found.table, found.reason);
        let advice = "put them where `external.remoteName` of the object looks for them, or correct it";
        Finding::warning("source.tables", source, what).advise(advice)
    }));
    if found.is_empty() && tried.tables > 0 {
        let what = format!("the first {ROWS} rows of {} can be read", count(tried.tables, "table"));
        found.push(Finding::ok(CHECK, "tables", what));
    }
    found.extend(UntriedTable::sentences(&tried.untried).into_iter().map(|what| Finding::ok(CHECK, "tables", what)));
    found
}

fn value(check: &'static str, source: &str, found: &Unreadable) -> Finding {
    let place = match &found.column {
        Some(column) => format!("`{column}` of `{}`", found.table),
        None => format!("`{}`", found.table),
    };
    Finding::warning(check, source, format!("{place} cannot be read whole: {}", found.reason)).advise(
        "correct the value, describe the column as text, or set `bad_values` of the source or the object: \"null\" or \"text\"",
    )
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::super::tests::config;
    use super::*;

    fn state() -> SourceState {
        SourceState {
            name: "shop".to_owned(),
            kind: "postgres",
            away: None,
            vitals: Some(Vitals { version: "15.4".to_owned(), ahead_ms: 0, is_powerful: false }),
            objects: 3,
            unserved: Vec::new(),
            unreadable: Vec::new(),
        }
    }

    fn server(host: &str, more: &str) -> Config {
        config(&format!(
            "[[sources]]\nname = \"shop\"\nkind = \"postgres\"\nhost = \"{host}\"\nuser = \"u\"\ndatabase = \"d\"\n{more}"
        ))
    }

    fn levels(state: &SourceState, config: &Config) -> Vec<(&'static str, Level)> {
        findings(state, config).into_iter().map(|finding| (finding.check, finding.level)).collect()
    }

    #[test]
    fn a_good_source_is_good_in_every_respect() {
        let expected = ["source.reachable", "source.clock", "source.encryption", "source.tables"];
        assert_eq!(levels(&state(), &server("db.example", "")), expected.map(|check| (check, Level::Ok)));
    }

    #[test]
    fn of_a_source_that_is_away_nothing_else_is_said() {
        let why = |asked: Option<&str>| Away { why: "refused".to_owned(), asked: asked.map(str::to_owned) };
        let mut away = SourceState { away: Some(why(None)), vitals: None, objects: 0, ..state() };
        assert_eq!(levels(&away, &server("localhost", "")), [("source.reachable", Level::Problem)]);
        assert!(reachable(&away).advice.unwrap().starts_with("start the server"));
        away.away = Some(why(Some("look at the source's user and password")));
        assert_eq!(reachable(&away).advice.as_deref(), Some("look at the source's user and password"));
    }

    #[test]
    fn a_table_without_files_is_warned_of() {
        let reason = "no file matches below \"two.csv\"".to_owned();
        let code = querygate_types::ErrorCode::SourceError;
        let lost = Unreadable { table: "two".to_owned(), column: None, reason, code };
        let fileless = vec![("lake".to_owned(), lost)];
        let found = values(Ok(ConfiguredTrial { tables: 1, fileless, ..ConfiguredTrial::default() }));
        let [found] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((found.level, found.check, found.subject.as_str()), (Level::Warning, "source.tables", "lake"));
        assert!(found.what.contains("`two`") && found.what.contains("two.csv"), "{}", found.what);
    }

    #[test]
    fn clocks_and_logins_are_judged() {
        for (ahead_ms, expected) in [
            (5_000, Level::Ok),
            (-5_001, Level::Warning),
            (300_000, Level::Warning),
            (-300_001, Level::Problem),
            (i64::MIN, Level::Problem),
        ] {
            let finding = clock("shop", &Vitals { version: String::new(), ahead_ms, is_powerful: false });
            assert_eq!(finding.level, expected, "{ahead_ms}");
        }
        let mut powerful = state();
        powerful.vitals.as_mut().unwrap().is_powerful = true;
        assert!(levels(&powerful, &server("localhost", "")).contains(&("source.rights", Level::Warning)));
    }

    #[test]
    fn tables_that_are_gone_or_closed_are_problems() {
        let gone = |object: &str| (object.to_owned(), "table does not exist".to_owned());
        let broken = SourceState { unserved: vec![gone("a"), gone("b")], unreadable: vec!["c".to_owned()], ..state() };
        let found = tables(&broken);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found[0].what.contains("`a` and 1 more") && found.iter().all(|f| f.level == Level::Problem),
            "{found:?}"
        );
    }

    #[test]
    fn a_way_through_a_network_is_encrypted_and_verified() {
        for (host, tls, expected) in [
            ("db.example", "off", Some(Level::Warning)),
            ("db.example", "require", Some(Level::Warning)),
            ("db.example", "verify-ca", Some(Level::Ok)),
            ("localhost", "off", None),
            ("/run/postgresql", "off", None),
        ] {
            let config = server(host, &format!("tls = \"{tls}\"\n"));
            assert_eq!(encryption(&config.sources[0]).map(|finding| finding.level), expected, "{host} {tls}");
        }
    }
}
