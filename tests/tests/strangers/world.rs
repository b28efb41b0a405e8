//! A gate, one stranger's connections, and users beside them who are timed.

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{Action, Criteria, HandshakeRequest};
use base64::Engine as _;
use futures::stream;
use querygate_tests::server::{RawClient, Request, Server, Variant, runtime};
use serde_json::json;
use std::collections::BTreeSet;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tonic::transport::Endpoint;

/// What all strangers may have together, and what the allocator, users beside them and a build without optimization take.
pub(crate) const GROWTH_MAX: u64 = (32 + 40) << 20;
/// The allocator gives back at once, so that what the process has is what is held.
const ALLOCATOR: [&str; 2] = ["env", "_RJEM_MALLOC_CONF=dirty_decay_ms:0,muzzy_decay_ms:0"];
/// A user's login and question; a second on a machine with nothing else to do. What it took is printed.
const LONG: Duration = Duration::from_secs(60);

/// The doors that users come in by here, and that attacks of this program are made on, as a gate names them.
const ATTACKED: [&str; 4] = ["postgres", "http", "flight", "rest"];

/// The doors that a gate says it serves.
fn open_doors(server: &Server) -> BTreeSet<String> {
    let lines = server.lines();
    let line = lines.iter().find_map(|line| line.split_once("querygate serves ")).expect("a line of its doors");
    line.1.split(", ").map(|door| door.split_once(" on ").expect(line.1).0.to_owned()).collect()
}

/// A configuration with other limits.
fn limited(config: &str, limits: &str) -> String {
    let (before, section) = config.split_once("[limits]\n").expect("a section of limits");
    let after = section.split_once("\n[").map_or("", |(_, after)| after);
    format!("{before}[limits]\n{limits}\n[{after}")
}

pub(crate) struct World {
    pub(crate) server: Server,
    _variant: Variant,
    before: u64,
    most: u64,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with("", GROWTH_MAX)
    }

    /// `limits`: lines of the configuration's section of limits. `most`: bytes that the process may grow by.
    pub(crate) fn with(limits: &str, most: u64) -> Self {
        let mine = std::process::id().to_string();
        let raised = Command::new("prlimit").args(["--pid", &mine, "--nofile=8192:"]).status().unwrap();
        assert!(raised.success(), "this test needs 8,192 open files");
        let variant = Variant::new(|config| {
            let config = if limits.is_empty() { config } else { limited(&config, limits) };
            if config.contains("[rest]") { config } else { config + "\n[rest]\nlisten = \"127.0.0.1:0\"\n" }
        });
        let server = variant.serve_by(&ALLOCATOR);
        assert_eq!(open_doors(&server), ATTACKED.map(str::to_owned).into(), "a door that no attack knows");
        let mut world = Self { server, _variant: variant, before: 0, most };
        // What is made once is not a stranger's.
        for _ in 0..3 {
            world.users();
        }
        world.before = world.server.resident_bytes();
        world
    }

    pub(crate) fn rest(&self) -> SocketAddr {
        self.server.rest.unwrap()
    }

    /// A user comes in at each door and asks something; gives how long each took.
    fn users(&self) -> [(&'static str, Duration); 4] {
        let timed = |door, work: &dyn Fn()| {
            let began = Instant::now();
            // The attacker comes from the same address: a login that has to make room for another comes again.
            while catch_unwind(AssertUnwindSafe(work)).is_err() {
                assert!(began.elapsed() < LONG, "{door}: no login in {LONG:?}");
                std::thread::sleep(Duration::from_millis(100));
            }
            (door, began.elapsed())
        };
        [
            timed("postgres", &|| {
                let mut client = RawClient::login(self.server.postgres, "iris");
                client.query("SELECT count(*) FROM regions");
                assert!(client.read_until(b'Z').iter().any(|frame| frame.tag == b'D'));
            }),
            timed("flight", &|| runtime().block_on(fly(self.server.flight))),
            timed("rest", &|| {
                let login = json!({"email": "ada@crm.example", "password": "demo-ada"});
                let answer = Request::new("POST", "/api/v1/auth/sign-in/email").json(&login).send(self.rest());
                let token = answer.json()["token"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned();
                let asked =
                    Request::new("GET", "/api/v1/auth/get-session").header("authorization", &format!("Bearer {token}"));
                assert_eq!(asked.send(self.rest()).status, 200);
                let ends =
                    Request::new("POST", "/api/v1/auth/sign-out").header("authorization", &format!("Bearer {token}"));
                assert_eq!(ends.send(self.rest()).status, 200);
            }),
            timed("pages", &|| {
                let form = Request::new("POST", "/ui/login");
                let form = form.text("application/x-www-form-urlencoded", "user=sam&password=demo-sam");
                let answer = form.send(self.server.http);
                assert_eq!(answer.status, 303, "{answer:?}");
            }),
        ]
    }

    /// Runs an attack and holds what it opened, while users come in; the process stays within bounds.
    pub(crate) fn attack(&self, name: &str, open: impl FnOnce(&mut Vec<TcpStream>) + Send) {
        let (done, longest) = (AtomicBool::new(false), Mutex::new([("", Duration::ZERO); 4]));
        let began = Instant::now();
        let most = std::thread::scope(|scope| {
            let watch = scope.spawn(|| {
                let mut most = 0;
                while !done.load(Ordering::Relaxed) {
                    most = most.max(self.server.resident_bytes());
                    std::thread::sleep(Duration::from_millis(5));
                }
                most
            });
            let beside = scope.spawn(|| {
                loop {
                    let last = done.load(Ordering::Relaxed);
                    for (longest, (door, took)) in longest.lock().unwrap().iter_mut().zip(self.users()) {
                        *longest = (door, took.max(longest.1));
                    }
                    if last {
                        break;
                    }
                    std::thread::sleep(Duration::from_millis(100));
                }
            });
            let mut held = Vec::new();
            open(&mut held);
            std::thread::sleep(Duration::from_millis(500));
            done.store(true, Ordering::Relaxed);
            beside.join().unwrap_or_else(|_| {
                let lines = self.server.lines();
                panic!("{name}: {}", lines[lines.len().saturating_sub(20)..].join("\n"));
            });
            drop(held);
            watch.join().unwrap()
        });
        let (grown, longest) = (most.saturating_sub(self.before), longest.into_inner().unwrap());
        println!("{name}: grown by {} MB, users {longest:?}, {:?} in all", grown >> 20, began.elapsed());
        if std::env::var_os("STRANGERS_MEASURE").is_some() {
            return;
        }
        assert!(grown <= self.most, "{name}: grown by {} MB", grown >> 20);
        assert!(longest.iter().all(|(_, took)| *took < LONG), "{name}: {longest:?}");
        assert!(self.server.is_alive(), "{name}");
    }
}

/// A login over Flight, and a call with its token.
async fn fly(address: SocketAddr) {
    let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    let mut client = FlightServiceClient::new(channel);
    let mut request = tonic::Request::new(stream::iter([HandshakeRequest::default()]));
    let password = base64::engine::general_purpose::STANDARD.encode("iris:demo-iris");
    request.metadata_mut().insert("authorization", format!("Basic {password}").parse().unwrap());
    let answer = client.handshake(request).await.unwrap();
    let token = answer.metadata().get("authorization").unwrap();
    let mut request = tonic::Request::new(Criteria::default());
    request.metadata_mut().insert("authorization", token.clone());
    // Known, and not served.
    assert_eq!(client.list_flights(request).await.unwrap_err().code(), tonic::Code::Unimplemented);
    let mut request = tonic::Request::new(Action::new("CloseSession", ""));
    request.metadata_mut().insert("authorization", token.clone());
    client.do_action(request).await.unwrap();
}

/// A connection that waits for nobody.
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let tcp = TcpStream::connect(address).unwrap();
    tcp.set_nonblocking(true).unwrap();
    tcp
}

/// Sends as much of it as is taken; `false`: the gate has closed the connection.
pub(crate) fn push(mut tcp: &TcpStream, bytes: &[u8], sent: &mut usize) -> bool {
    while *sent < bytes.len() {
        match tcp.write(&bytes[*sent..]) {
            Ok(count) => *sent += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
            Err(_) => return false,
        }
    }
    true
}

/// Sends one text over many connections, in turns, until all is sent or nothing moves any more; reads nothing.
pub(crate) fn flood(address: SocketAddr, connections: usize, bytes: &[u8], held: &mut Vec<TcpStream>) {
    let mut open: Vec<(TcpStream, usize)> = (0..connections).map(|_| (connect(address), 0)).collect();
    let (mut moved, began) = (Instant::now(), Instant::now());
    while moved.elapsed() < Duration::from_millis(500) && began.elapsed() < Duration::from_secs(20) {
        for (tcp, sent) in &mut open {
            let before = *sent;
            if *sent < bytes.len() && push(tcp, bytes, sent) && *sent > before {
                moved = Instant::now();
            }
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    held.extend(open.into_iter().map(|(tcp, _)| tcp));
}

/// Whether the gate has closed it by now.
pub(crate) fn is_closed(mut tcp: &TcpStream) -> bool {
    let mut room = [0; 65_536];
    loop {
        match tcp.read(&mut room) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != ErrorKind::WouldBlock,
        }
    }
}

/// Waits until the gate has closed all.
pub(crate) fn assert_closed(name: &str, held: &[TcpStream], within: Duration) {
    let began = Instant::now();
    while !held.iter().all(is_closed) {
        assert!(began.elapsed() < within, "{name}: still open after {within:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
    println!("{name}: closed after {:?}", began.elapsed());
}
