//! Hostile messages against the binary, before and after the login, while others work: no panic, no bytes of one message read
//! as another's, nothing of another session in an answer, bounded memory, and an error with a code or an orderly close.
//! `QUERYGATE_HOSTILE_MESSAGES=1000000 SEED=7 cargo test -p querygate-tests --test e2e hostile -- --nocapture` for more.

use crate::hostile_messages::{SMUGGLED, burst, frame, opening, text};
use querygate_tests::harness::Rng;
use querygate_tests::server::{Frame, RawClient, Server, Variant};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What only iris may read: the name of her program, her statement, her cursor.
const MARK: &str = "mark-of-iris";
/// What the server's memory may grow by, however many messages come.
const GROWTH_MAX: u64 = 192 << 20;

#[derive(Debug, Default)]
struct Tally {
    messages: u64,
    connections: u64,
    logins: u64,
    answers: u64,
    codes: BTreeMap<String, u64>,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.messages += other.messages;
        self.connections += other.connections;
        self.logins += other.logins;
        self.answers += other.answers;
        for (code, count) in other.codes {
            *self.codes.entry(code).or_default() += count;
        }
    }

    /// Looks at one answer: known to the protocol, an error with its code, nothing that is not this client's.
    fn take(&mut self, answer: &Frame, seed: &str) {
        self.answers += 1;
        let tag = char::from(answer.tag);
        assert!("1234ACDEHIKNRSTZcdnstv".contains(tag), "{seed}: {answer:?}");
        let holds = |what: &str| answer.body.windows(what.len()).any(|part| part == what.as_bytes());
        // A syntax error may quote the client's own text, where it was the client's statement.
        assert!(tag == 'E' || !holds(SMUGGLED), "{seed}: {answer:?}");
        assert!(!holds(MARK), "{seed}: {answer:?}");
        if tag == 'E' {
            let code = answer.field(b'C').unwrap_or_default();
            assert!(code.len() == 5 && code != "XX000" && answer.field(b'M').is_some(), "{seed}: {answer:?}");
            *self.codes.entry(code).or_default() += 1;
        }
    }
}

/// One attacker's share, in bursts; a failure names the seed of its burst.
fn attack(address: SocketAddr, seed: u64, share: u64) -> Tally {
    let mut tally = Tally::default();
    let mut session = None;
    let mut part = 0;
    while tally.messages < share {
        part += 1;
        let (mut rng, name) = (Rng::part(seed, part), format!("SEED={seed} burst {part}"));
        if rng.percent(60) {
            knock(address, &mut rng, &mut tally, &name);
        } else {
            let client = session.take().unwrap_or_else(|| {
                tally.logins += 1;
                RawClient::login(address, "sam")
            });
            session = trouble(client, &mut rng, &mut tally, part, &name);
        }
    }
    tally
}

/// A connection that never logs in.
fn knock(address: SocketAddr, rng: &mut Rng, tally: &mut Tally, name: &str) {
    let (bytes, messages) = opening(rng);
    let client = RawClient::connect(address);
    tally.connections += 1;
    tally.messages += messages;
    let answers = last_words(client, &bytes, tally, name);
    assert!(!answers.contains(&b'Z'), "{name}: came in");
}

/// Sends what may end the connection. All that comes back are whole messages, and then the end; gives their types.
fn last_words(mut client: RawClient, bytes: &[u8], tally: &mut Tally, name: &str) -> Vec<u8> {
    // The server may have closed before the last byte: that is an answer, too.
    let _ = client.tcp.write_all(bytes).and_then(|()| client.tcp.shutdown(Shutdown::Write));
    let mut answer = Vec::new();
    let torn = match client.tcp.read_to_end(&mut answer) {
        Ok(_) => false,
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => true,
        Err(error) => panic!("{name}: {error}"),
    };
    let (mut rest, mut types) = (&answer[..], Vec::new());
    while let Some(tag) = rest.first() {
        let length = rest.get(1..5).map(|length| u32::from_be_bytes(length.try_into().unwrap()) as usize);
        match length.filter(|length| *length >= 4 && *length < rest.len()) {
            Some(length) => {
                tally.take(&Frame { tag: *tag, body: rest[5..=length].to_vec() }, name);
                types.push(*tag);
                rest = &rest[length + 1..];
            }
            // "No encryption" is one byte and no message.
            None if *tag == b'N' && types.is_empty() => rest = &rest[1..],
            None => {
                assert!(torn, "{name}: {rest:?} is no message");
                break;
            }
        }
    }
    types
}

/// A burst in a session, and then a question: a session that goes on answers it, once and rightly.
fn trouble(mut client: RawClient, rng: &mut Rng, tally: &mut Tally, part: u64, name: &str) -> Option<RawClient> {
    let mut made = burst(rng);
    let asked = format!("question-{part}");
    if !made.broken {
        frame(&mut made.bytes, b'S', b"");
        frame(&mut made.bytes, b'Q', &text("ROLLBACK"));
        frame(&mut made.bytes, b'Q', &text(&format!("SELECT '{asked}'")));
    }
    tally.messages += made.messages;
    if made.broken {
        last_words(client, &made.bytes, tally, name);
        return None;
    }
    client.tcp.write_all(&made.bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
    loop {
        let answer = client.read().unwrap_or_else(|| panic!("{name}: the server closed"));
        tally.take(&answer, name);
        if answer.tag == b'D' && answer.body.ends_with(asked.as_bytes()) {
            break;
        }
    }
    let rest: Vec<u8> = client.read_until(b'Z').iter().map(|answer| answer.tag).collect();
    assert_eq!(rest, b"CZ", "{name}");
    Some(client)
}

/// Someone at work meanwhile: a cursor, a statement and a setting that nobody disturbs. Gives the number of rounds.
fn work(address: SocketAddr, ended: &AtomicBool) -> u64 {
    let mut client = RawClient::login(address, "iris");
    let mut ask = |sql: &str| -> Vec<String> {
        client.query(sql);
        let answers = client.read_until(b'Z');
        let refused =
            answers.iter().find(|answer| answer.tag == b'E').map(|answer| (answer.field(b'C'), answer.field(b'M')));
        assert_eq!(refused, None, "{sql}");
        let rows = answers.iter().filter(|answer| answer.tag == b'D');
        rows.map(|row| String::from_utf8(row.body[6..].to_vec()).unwrap()).collect()
    };
    for sql in [
        format!("SET application_name = '{MARK}'"),
        format!("PREPARE victim AS SELECT '{MARK}'"),
        format!(
            "DECLARE victim CURSOR WITH HOLD FOR SELECT '{MARK}' || n FROM generate_series(1, 100000) AS t(n) ORDER BY n"
        ),
    ] {
        ask(&sql);
    }
    let mut rounds = 0;
    while !ended.load(Ordering::Relaxed) {
        rounds += 1;
        assert_eq!(ask("EXECUTE victim"), [MARK]);
        assert_eq!(ask("FETCH 1 FROM victim"), [format!("{MARK}{rounds}")]);
        assert_eq!(ask("SHOW application_name"), [MARK]);
        std::thread::sleep(Duration::from_millis(20));
    }
    rounds
}

fn connections(server: &Server) -> Option<u64> {
    let metrics = server.get("/metrics");
    let line = metrics.lines().find_map(|line| line.strip_prefix("querygate_pgwire_connections "))?;
    line.trim().parse().ok()
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}

#[test]
fn hostile_messages_harm_nobody() {
    let (messages, seed) = (number("QUERYGATE_HOSTILE_MESSAGES", 20_000), number("SEED", 1));
    let variant = Variant::new(|config| config);
    let mut server = variant.serve();
    let (address, ended, most) = (server.postgres, AtomicBool::new(false), AtomicU64::new(0));
    // What is made once for each user, statement and thread is made before memory is looked at.
    attack(address, seed.wrapping_add(1_000), 2_000);
    let (before, began) = (server.resident_bytes(), Instant::now());
    let mut tally = Tally::default();
    let rounds = std::thread::scope(|scope| {
        let worker = scope.spawn(|| work(address, &ended));
        let watch = scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                most.fetch_max(server.resident_bytes(), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(200));
            }
        });
        let attackers: Vec<_> =
            (0..3).map(|n| scope.spawn(move || attack(address, seed + n, messages / 3 + 1))).collect();
        let attacked: Vec<_> = attackers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        ended.store(true, Ordering::Relaxed);
        watch.join().unwrap();
        for share in attacked {
            tally.add(share.unwrap());
        }
        worker.join().unwrap()
    });
    let (seconds, most) = (began.elapsed().as_secs(), most.load(Ordering::Relaxed));
    let mib = |bytes: u64| bytes >> 20;
    eprintln!(
        "{tally:?}\n{rounds} rounds of work beside it, {seconds} s, {} MiB before, {} at most",
        mib(before),
        mib(most)
    );
    assert!(tally.messages >= messages && rounds > 0 && tally.codes.len() > 10, "{tally:?}");
    assert!(most.saturating_sub(before) < GROWTH_MAX, "{} MiB before, {} at most", mib(before), mib(most));
    // Every connection is given back.
    let deadline = Instant::now() + Duration::from_secs(60);
    while connections(&server) != Some(0) {
        assert!(Instant::now() < deadline, "{:?} connections are left", connections(&server));
        std::thread::sleep(Duration::from_millis(50));
    }
    let panics: Vec<String> = server.lines().into_iter().filter(|line| line.contains("panicked")).collect();
    assert!(panics.is_empty(), "{panics:?}");
    assert_eq!(server.stop(), 0);
}
