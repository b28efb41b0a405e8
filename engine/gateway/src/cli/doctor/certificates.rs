//! Certificates of doors, and authorities that doors and sources trust: whether they can be used, and until when.

use super::finding::Finding;
use super::validity::{Validity, validity};
use crate::config::{Config, SourceKind};
use crate::tls;
use chrono::DateTime;
use querygate_types::Error;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::path::Path;

/// Seconds of a day.
const DAY: i64 = 86_400;
/// How long before its end a certificate is worth a word.
const NOTICE_DAYS: i64 = 30;

/// Everything that the configuration names; `now` in seconds since 1970.
pub(super) fn findings(config: &Config, now: i64) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some(files) = &config.server.tls {
        found.push(match tls::load(files, config.flight.client_ca.as_deref()) {
            Ok(_) => of_file("door.certificate", &files.certificate, now),
            Err(error) => unusable("door.certificate", "[server]", &error),
        });
    }
    if let Some(file) = &config.flight.client_ca {
        found.push(of_file("door.authorities", file, now));
    }
    for source in &config.sources {
        let authorities = match &source.kind {
            SourceKind::Postgres(server) => server.tls_ca.as_deref(),
            SourceKind::Mysql(server) => server.tls_ca.as_deref(),
            SourceKind::Mongodb(server) => server.tls_ca.as_deref(),
            SourceKind::Sqlite { .. }
            | SourceKind::Files { .. }
            | SourceKind::Memory { .. }
            | SourceKind::Native(_) => None,
        };
        found.extend(authorities.map(|file| of_file("source.authorities", file, now)));
    }
    found
}

/// Files of which no side of a connection can be made.
pub(super) fn unusable(check: &'static str, table: &str, error: &Error) -> Finding {
    let advice = "give PEM files of a certificate and the key that belongs to it, readable by the gate's user";
    Finding::problem(check, table, said(error)).advise(advice)
}

/// An error in one line.
pub(super) fn said(error: &Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.message()),
        None => error.message().to_owned(),
    }
}

/// The certificate of a file that ends first.
pub(super) fn of_file(check: &'static str, file: &Path, now: i64) -> Finding {
    let name = file.display().to_string();
    let read: Result<Vec<CertificateDer<'_>>, _> = CertificateDer::pem_file_iter(file).and_then(Iterator::collect);
    let certificates = match read {
        Ok(certificates) => certificates,
        Err(error) => {
            return Finding::problem(check, name, error.to_string()).advise("give a PEM file that is readable");
        }
    };
    let found: Option<Vec<Validity>> = certificates.iter().map(|certificate| validity(certificate)).collect();
    match found.as_deref() {
        None | Some([]) => Finding::problem(check, name, "no certificate in it could be read")
            .advise("give a PEM file of certificates"),
        Some(found) => judge(check, name, found, now),
    }
}

fn judge(check: &'static str, name: String, found: &[Validity], now: i64) -> Finding {
    let until = found.iter().map(|one| one.until).min().unwrap_or(i64::MIN);
    let from = found.iter().map(|one| one.from).max().unwrap_or(i64::MAX);
    let left = (until - now) / DAY;
    if until <= now {
        let what = format!("a certificate ended on {}", date(until));
        return Finding::problem(check, name, what)
            .advise("put a new one in its place; a gate takes it by `querygate reload`, a worker at its next start");
    }
    if from > now {
        let what = format!("a certificate is good from {} on only", date(from));
        return Finding::problem(check, name, what).advise("correct this machine's clock, or wait until then");
    }
    if left < NOTICE_DAYS {
        let what = format!("a certificate ends in {left} days, on {}", date(until));
        return Finding::warning(check, name, what).advise("renew it before then");
    }
    Finding::ok(check, name, format!("good until {}, for {left} days", date(until)))
}

fn date(seconds: i64) -> String {
    DateTime::from_timestamp(seconds, 0).map_or_else(|| seconds.to_string(), |at| at.format("%Y-%m-%d").to_string())
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    const NOW: i64 = 1_770_000_000;

    #[test]
    fn a_certificate_is_warned_of_for_thirty_days_and_then_refused() {
        for (from, until, expected) in [
            (-DAY, 31 * DAY, Level::Ok),
            (-DAY, 30 * DAY, Level::Ok),
            (-DAY, 30 * DAY - 1, Level::Warning),
            (-DAY, 1, Level::Warning),
            (-DAY, 0, Level::Problem),
            (-2 * DAY, -DAY, Level::Problem),
            (1, 90 * DAY, Level::Problem),
        ] {
            let found = Validity { from: NOW + from, until: NOW + until };
            let finding = judge("door.certificate", String::new(), &[found], NOW);
            assert_eq!((finding.level, finding.advice.is_some()), (expected, expected != Level::Ok), "{until}");
        }
    }

    #[test]
    fn the_one_that_ends_first_decides() {
        let one = |days: i64| Validity { from: NOW - DAY, until: NOW + days * DAY };
        let finding = judge("door.certificate", String::new(), &[one(300), one(5), one(60)], NOW);
        assert!(finding.level == Level::Warning && finding.what.contains("in 5 days"), "{finding:?}");
    }
}
