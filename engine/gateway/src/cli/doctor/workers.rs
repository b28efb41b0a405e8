//! The workers of a gate as it would reach them: the key that seals parts, what both sides show each other, whether each answers.

use super::certificates;
use super::finding::Finding;
use crate::config::Workers;
use crate::tls;
use crate::wiring::workers::{names, signing_key};
use querygate_types::Result;
use rustls::{ClientConfig, ClientConnection, Stream};
use rustls_pki_types::ServerName;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Longest wait for one worker.
const PATIENCE: Duration = Duration::from_secs(3);
/// Workers that are asked at once.
const AT_ONCE: usize = 32;
/// How a client of HTTP/2 begins: its preface, and settings without any. The server answers with its own.
const GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

pub(super) fn findings(workers: &Workers, now: i64) -> Vec<Finding> {
    let mut found = vec![of_key(&workers.signing_key, signing_key(&workers.signing_key))];
    let client = tls::of_client(&workers.tls, &workers.authorities);
    found.push(match &client {
        Ok(_) => certificates::of_file("workers.certificate", &workers.tls.certificate, now),
        Err(error) => certificates::unusable("workers.certificate", "[workers]", error),
    });
    found.push(certificates::of_file("workers.authorities", &workers.authorities, now));
    let (all, list) = match names(workers) {
        Ok(all) => (all, None),
        Err(error) => {
            let finding = Finding::problem("workers.reachable", "list", certificates::said(&error));
            (workers.addresses.clone(), Some(finding.advise("give a file with one address, host:port, in each line")))
        }
    };
    found.extend(list);
    if let Ok(mut client) = client {
        client.alpn_protocols = vec![b"h2".to_vec()];
        let client = Arc::new(client);
        found.extend(asked(&all, false, &client));
        found.extend(asked(&workers.names, true, &client));
    }
    found
}

/// The file of a key for sealed parts, of either side.
pub(super) fn of_key<K>(file: &Path, key: Result<K>) -> Finding {
    let (check, name) = ("workers.key", file.display().to_string());
    match key {
        Ok(_) => Finding::ok(check, name, "a key of Ed25519"),
        Err(error) => {
            let what = certificates::said(&error).replacen(&format!("{name} is "), "it is ", 1);
            let advice = error.hint().unwrap_or("give a file that the process may read").trim_end_matches('.');
            Finding::problem(check, name, what).advise(as_clause(advice))
        }
    }
}

/// A sentence as the rest of a line.
fn as_clause(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

/// Asks all, some at a time. `each`: behind one name are several.
fn asked(all: &[String], each: bool, client: &Arc<ClientConfig>) -> Vec<Finding> {
    let mut found = Vec::with_capacity(all.len());
    for some in all.chunks(AT_ONCE) {
        let answers: Vec<_> = std::thread::scope(|scope| {
            let started: Vec<_> = some.iter().map(|name| scope.spawn(move || of_worker(name, each, client))).collect();
            started.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
        });
        found.extend(answers.into_iter().flatten().flatten());
    }
    found
}

/// A worker, or each of those behind the name.
fn of_worker(name: &str, each: bool, client: &Arc<ClientConfig>) -> Vec<Finding> {
    let addresses: Vec<SocketAddr> = match name.to_socket_addrs() {
        Ok(addresses) => addresses.collect(),
        Err(error) => return vec![judge(name, Err(error))],
    };
    let is_refused = |answer: &io::Result<()>| answer.as_ref().is_err_and(|e| e.kind() == ErrorKind::ConnectionRefused);
    let (refused, mut answers): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .map(|address| (address, greet(name, address, client)))
        .partition(|(_, answer)| is_refused(answer));
    if each {
        answers.extend(refused);
    } else if answers.is_empty() {
        // A machine may have several addresses, of which the worker listens on one.
        answers.extend(refused.into_iter().take(1));
    }
    let several = answers.len() > 1;
    let subject = |address: SocketAddr| if several { format!("{name} at {}", address.ip()) } else { name.to_owned() };
    answers.into_iter().map(|(address, answer)| judge(&subject(address), answer)).collect()
}

/// Connects as the gate does, until the worker has said something.
fn greet(name: &str, address: SocketAddr, client: &Arc<ClientConfig>) -> io::Result<()> {
    let host = name.rsplit_once(':').map_or(name, |(host, _)| host).trim_matches(['[', ']']).to_owned();
    let host = ServerName::try_from(host).map_err(io::Error::other)?;
    let mut socket = TcpStream::connect_timeout(&address, PATIENCE)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    let mut connection = ClientConnection::new(Arc::clone(client), host).map_err(io::Error::other)?;
    let mut stream = Stream::new(&mut connection, &mut socket);
    stream.write_all(GREETING)?;
    stream.flush()?;
    // What it thinks of the gate's certificate is known with the first byte only.
    stream.read_exact(&mut [0])
}

fn judge(name: &str, answer: io::Result<()>) -> Finding {
    let check = "workers.reachable";
    let Err(error) = answer else { return Finding::ok(check, name, "answers, and each side trusts the other") };
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::InvalidCertificate(_)) => {
            Finding::problem(check, name, format!("what it shows is not trusted: {error}"))
                .advise("give it a certificate of tls_ca's authority, made for the name by which the gate calls it")
        }
        Some(rustls::Error::AlertReceived(_)) => {
            Finding::problem(check, name, format!("it does not trust the gate: {error}"))
                .advise("its client_ca must be the authority of tls_certificate in [workers]")
        }
        Some(_) => Finding::problem(check, name, format!("there is no TLS with it: {error}"))
            .advise("correct the address: it must be `listen` of a worker"),
        None => Finding::warning(check, name, format!("does not answer: {error}")).advise(
            "start it, or correct the address; others are asked meanwhile, and with `auto` the gate reads by itself",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;
    use querygate_types::{Error, ErrorCode};

    #[test]
    fn who_distrusts_whom_is_told() {
        let of = |error: rustls::Error| judge("lake-1:7001", Err(io::Error::new(ErrorKind::InvalidData, error)));
        for (found, level, word) in [
            (judge("lake-1:7001", Ok(())), Level::Ok, "answers"),
            (judge("lake-1:7001", Err(ErrorKind::ConnectionRefused.into())), Level::Warning, "does not answer"),
            (of(rustls::CertificateError::Expired.into()), Level::Problem, "not trusted"),
            (of(rustls::Error::AlertReceived(rustls::AlertDescription::UnknownCA)), Level::Problem, "trust the gate"),
            (of(rustls::InvalidMessage::InvalidContentType.into()), Level::Problem, "no TLS"),
        ] {
            assert!(found.level == level && found.what.contains(word), "{found:?}");
            assert_eq!(found.advice.is_some(), level != Level::Ok);
        }
    }

    #[test]
    fn a_file_that_is_no_key_says_how_to_make_one() {
        let error = Error::new(ErrorCode::ConfigInvalid, "gate.key is not the private key of a gate")
            .with_detail("no items found")
            .with_hint("Make one.");
        let found = of_key::<()>(Path::new("gate.key"), Err(error));
        assert_eq!((found.level, found.advice.as_deref()), (Level::Problem, Some("make one")));
        assert_eq!(found.what, "it is not the private key of a gate: no items found");
        assert_eq!(of_key(Path::new("gate.key"), Ok(())).level, Level::Ok);
    }
}
