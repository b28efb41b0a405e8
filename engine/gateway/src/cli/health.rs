//! `querygate health`: asks a running gate whether it is ready, for containers that have no other program to ask with.

use super::args::HealthArgs;
use super::{Ended, written};
use crate::config::{self, worker};
use crate::output::{Output, Stream};
use querygate_types::{Error, ErrorCode, Result};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Bytes of an answer.
const ANSWER_MAX: u64 = 64 << 10;

pub(super) fn run(args: &HealthArgs, output: &mut Output) -> Result<Ended> {
    let address = match args.http {
        Some(address) => address,
        None => configured(args, output)?,
    };
    let path = if args.live { "/healthz" } else { "/readyz" };
    let (status, body) = get(within(address), path, Duration::from_secs(args.timeout))?;
    output.line(body.trim()).map_err(written)?;
    Ok(if status == 200 { Ended::Well } else { Ended::WithFindings })
}

/// Where the configuration, a gate's or a worker's, opens the HTTP door.
fn configured(args: &HealthArgs, output: &mut Output) -> Result<SocketAddr> {
    let file = args.config.file();
    let (http, table, report) = if worker::is_worker(&file) {
        let (config, report) = worker::load(&file);
        (config.map(|config| config.http), "[worker]", report)
    } else {
        let (config, report) = config::load_with(&file, output.extensions());
        (config.map(|config| config.server.http), "[server]", report)
    };
    let Some(http) = http else {
        report.render(output, Stream::Err).map_err(written)?;
        return Err(Error::new(ErrorCode::ConfigInvalid, format!("{} is not usable", file.display()))
            .with_hint("Name the address with --http instead."));
    };
    http.ok_or_else(|| {
        Error::new(ErrorCode::ConfigInvalid, "the HTTP door is off")
            .with_hint(format!("Set `http` in {table}: health is asked for there."))
    })
}

/// Whether what answers on an address is the HTTP door of a gate.
pub(super) fn is_gate(address: SocketAddr) -> bool {
    let answer = get(within(address), "/readyz", Duration::from_secs(2));
    answer.is_ok_and(|(_, body)| body.contains("\"metadata\"") && body.contains("\"sources\""))
}

/// Status and body of what a gate says of its readiness.
pub(super) fn asked(address: SocketAddr, patience: Duration) -> Result<(u16, String)> {
    get(within(address), "/readyz", patience)
}

/// A door that is open on every address is asked on this machine's own.
fn within(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Status and body of the answer to one request.
fn get(address: SocketAddr, path: &str, patience: Duration) -> Result<(u16, String)> {
    let silent = |error: std::io::Error| {
        Error::new(ErrorCode::SourceUnavailable, format!("nothing answers on {address}")).with_detail(error.to_string())
    };
    let deadline = Instant::now() + patience;
    let mut stream = TcpStream::connect_timeout(&address, patience).map_err(silent)?;
    let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    stream.set_read_timeout(Some(left)).map_err(silent)?;
    stream.set_write_timeout(Some(left)).map_err(silent)?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(silent)?;
    let mut answer = String::new();
    stream.take(ANSWER_MAX).read_to_string(&mut answer).map_err(silent)?;
    let parsed = answer.split_once("\r\n\r\n").and_then(|(head, body)| {
        let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
        Some((status, body.to_owned()))
    });
    parsed.ok_or_else(|| {
        Error::new(ErrorCode::SourceUnavailable, format!("what answers on {address} is not the HTTP door of a gate"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn answering(answer: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                request.extend(byte);
            }
            assert!(request.starts_with(b"GET /readyz HTTP/1.1\r\n"));
            stream.write_all(answer.as_bytes()).unwrap();
        });
        address
    }

    #[test]
    fn status_and_body_are_read() {
        let patience = Duration::from_secs(5);
        let address = answering("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\n{}");
        assert_eq!(get(address, "/readyz", patience).unwrap(), (503, "{}".to_owned()));
        assert!(get(answering("220 mail\r\n\r\n"), "/readyz", patience).is_err());
        assert!(get("127.0.0.1:1".parse().unwrap(), "/readyz", patience).is_err());
    }

    #[test]
    fn a_door_on_every_address_is_asked_here() {
        for (address, expected) in
            [("0.0.0.0:80", "127.0.0.1:80"), ("[::]:80", "[::1]:80"), ("192.0.2.1:80", "192.0.2.1:80")]
        {
            assert_eq!(within(address.parse().unwrap()), expected.parse().unwrap());
        }
    }
}
