//! A thousand and more sockets that never log in, again and again, beside users who come and work.

use querygate_tests::server::{RawClient, Variant};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

/// More than a door's places.
const SOCKETS: usize = 1_002;
/// How often they come.
const ROUNDS: usize = 3;
/// To come in and ask, in a build without optimization on a machine with other work.
const LONG: Duration = Duration::from_secs(5);

fn answers(client: &mut RawClient) {
    client.query("SELECT count(*) FROM regions");
    let frames = client.read_until(b'Z');
    assert!(frames.iter().any(|frame| frame.tag == b'D'), "{frames:?}");
}

/// Sockets that say so much and no more.
fn come(address: SocketAddr, said: &[u8], held: &mut Vec<TcpStream>) {
    for _ in 0..SOCKETS {
        let mut tcp = TcpStream::connect(address).unwrap();
        // An older one may have gone; this one is the youngest.
        tcp.write_all(said).unwrap();
        held.push(tcp);
    }
}

/// Does something while sockets of each kind are held; gives the longest that it took.
fn beside(address: SocketAddr, kinds: &[(&str, &[u8])], mut work: impl FnMut()) {
    let mine = std::process::id().to_string();
    let raised = Command::new("prlimit").args(["--pid", &mine, "--nofile=8192:"]).status().unwrap();
    assert!(raised.success(), "this test needs 8,192 open files");
    for (name, said) in kinds {
        let (mut held, mut longest) = (Vec::new(), Duration::ZERO);
        for _ in 0..ROUNDS {
            come(address, said, &mut held);
            let began = Instant::now();
            work();
            longest = longest.max(began.elapsed());
        }
        eprintln!("{longest:?} beside {} sockets that sent {name}", held.len());
        assert!(longest < LONG, "{longest:?} beside sockets that sent {name}");
    }
}

#[test]
fn sockets_that_do_not_log_in_keep_nobody_out() {
    let variant = Variant::new(|config| config);
    let server = variant.serve();
    let kinds: [(&str, &[u8]); 4] = [
        ("nothing", b""),
        ("half a startup packet", b"\0\0\0\x28\0\x03"),
        ("an SSLRequest", b"\0\0\0\x08\x04\xd2\x16\x2f"),
        ("a user and no password", b"\0\0\0\x20\0\x03\0\0user\0sam\0database\0demo\0\0"),
    ];
    let mut worker = RawClient::login(server.postgres, "iris");
    beside(server.postgres, &kinds, || {
        let mut client = RawClient::login(server.postgres, "sam");
        answers(&mut client);
        answers(&mut worker);
    });
    assert!(server.is_alive());
}

#[test]
fn sockets_that_ask_nothing_keep_nobody_from_health_and_pages() {
    let variant = Variant::new(|config| config);
    let server = variant.serve();
    let kinds: [(&str, &[u8]); 3] = [
        ("nothing", b""),
        ("half a request", b"GET /healthz HTTP/1.1\r\nHost: x\r\n"),
        ("half a log-in", b"POST /ui/log-in HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nuser="),
    ];
    beside(server.http, &kinds, || {
        let mut tcp = TcpStream::connect(server.http).unwrap();
        tcp.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        tcp.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        tcp.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    });
}
