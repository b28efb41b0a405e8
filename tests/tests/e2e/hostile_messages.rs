//! Hostile messages by seed: well-framed ones out of order and out of range, and broken ones. Knows the protocol's grammar,
//! not the server.

use querygate_tests::harness::Rng;

/// What a message with a lying length may bring about in bytes that are not its own; no answer may ever hold it.
pub(crate) const SMUGGLED: &str = "smuggled";

/// Statements that change nothing for others, and some that try.
const STATEMENTS: [&str; 44] = [
    "",
    ";",
    "SELECT 1",
    "SELECT $1::int4",
    "SELECT $1, $2",
    "SELECT $1::numeric, $2::timestamptz, $3::text[], $4::bytea",
    "SELECT count(*) FROM accounts",
    "SELECT id FROM accounts ORDER BY id LIMIT 3",
    "SELECT 1; SELECT 2",
    "SELECT 1/0",
    "SELECT no_such FROM accounts",
    "SELECT * FROM no_such",
    "selec",
    "SELECT 'open",
    "SELECT 1 /* open",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT a",
    "ROLLBACK TO a",
    "RELEASE a",
    "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
    "FETCH 5 FROM c",
    "FETCH BACKWARD 5 FROM c",
    "MOVE 1 FROM c",
    "CLOSE ALL",
    "PREPARE p AS SELECT $1::int4",
    "EXECUTE p(1)",
    "EXECUTE p(1, 2, 3)",
    "DEALLOCATE ALL",
    "DISCARD ALL",
    "RESET ALL",
    "COPY (SELECT 1) TO STDOUT (FORMAT binary)",
    "COPY accounts FROM STDIN",
    "SET ROLE iris",
    "SELECT set_config('role', 'iris', false)",
    "SET search_path = pg_catalog",
    "EXECUTE victim",
    "FETCH ALL FROM victim",
    "SELECT application_name FROM pg_stat_activity",
    "SELECT name, statement FROM pg_prepared_statements",
    "SELECT name, statement FROM pg_cursors",
    "SELECT * FROM querygate.sessions",
    "INSERT INTO accounts VALUES (1)",
];

/// Oids of types that there are, that there are not, and that mean none.
const OIDS: [u32; 8] = [0, 23, 25, 1_700, 1_184, 705, 1, u32::MAX];

/// Messages of a session.
pub(crate) struct Burst {
    pub(crate) bytes: Vec<u8>,
    pub(crate) messages: u64,
    /// The last message is broken: the server may end the connection, or wait for bytes that never come.
    pub(crate) broken: bool,
}

pub(crate) fn burst(rng: &mut Rng) -> Burst {
    let mut made = Burst { bytes: Vec::new(), messages: 0, broken: rng.percent(10) };
    for _ in 0..rng.between(20, 60) {
        let tag = *rng.pick(b"QQQPPPPBBBBBDDEEEECHSSSSSSFcdf");
        let body = body(tag, rng);
        frame(&mut made.bytes, tag, &body);
        made.messages += 1;
    }
    if made.broken {
        made.bytes.extend(broken(rng));
        made.messages += 1;
    }
    made
}

pub(crate) fn frame(out: &mut Vec<u8>, tag: u8, body: &[u8]) {
    out.push(tag);
    out.extend(u32::try_from(body.len() + 4).unwrap().to_be_bytes());
    out.extend(body);
}

pub(crate) fn text(value: &str) -> Vec<u8> {
    value.bytes().chain([0]).collect()
}

/// A body that the message's grammar admits.
fn body(tag: u8, rng: &mut Rng) -> Vec<u8> {
    let mut out = Vec::new();
    match tag {
        b'Q' | b'f' => out.extend(text(&statement(rng))),
        b'P' => {
            out.extend(name(rng));
            out.extend(text(&statement(rng)));
            let types = rng.below(4);
            count(types, &mut out);
            (0..types).for_each(|_| out.extend(rng.pick(&OIDS).to_be_bytes()));
        }
        b'B' => {
            out.extend(name(rng));
            out.extend(name(rng));
            formats(rng, &mut out);
            values(rng, &mut out);
            formats(rng, &mut out);
        }
        b'D' | b'C' => {
            out.push(*rng.pick(b"SP"));
            out.extend(name(rng));
        }
        b'E' => {
            out.extend(name(rng));
            out.extend(rng.pick(&[0, 1, 2, -1, i32::MAX, i32::MIN]).to_be_bytes());
        }
        b'F' => {
            out.extend(rng.pick(&OIDS).to_be_bytes());
            formats(rng, &mut out);
            values(rng, &mut out);
            count(0, &mut out);
        }
        b'd' => out.extend((0..rng.below(40)).map(|_| rng.next().to_le_bytes()[0])),
        _ => {}
    }
    out
}

/// One of the list, sometimes with a few characters changed.
fn statement(rng: &mut Rng) -> String {
    let statement = *rng.pick(&STATEMENTS);
    if rng.percent(80) {
        return statement.to_owned();
    }
    let mut characters: Vec<char> = statement.chars().collect();
    for _ in 0..rng.between(1, 3) {
        let at = rng.below(characters.len() + 1);
        characters.insert(at, *rng.pick(&['\'', '"', '(', ')', ';', '$', '\u{e9}', '\u{1}', '0', '-', '\\', '\n']));
    }
    characters.into_iter().collect()
}

fn name(rng: &mut Rng) -> Vec<u8> {
    text(rng.pick::<&str>(&["", "", "", "", "a", "b", "c", "p", "victim", "\u{20ac}"]))
}

fn count(count: usize, out: &mut Vec<u8>) {
    out.extend(u16::try_from(count).unwrap().to_be_bytes());
}

fn formats(rng: &mut Rng, out: &mut Vec<u8>) {
    let codes = *rng.pick(&[0, 0, 1, 1, 2, 5]);
    count(codes, out);
    for _ in 0..codes {
        let code: i16 = if rng.percent(5) { 7 } else { i16::from(rng.percent(50)) };
        out.extend(code.to_be_bytes());
    }
}

fn values(rng: &mut Rng, out: &mut Vec<u8>) {
    let values = *rng.pick(&[0, 1, 1, 2, 4]);
    count(values, out);
    for _ in 0..values {
        if rng.percent(15) {
            out.extend((-1_i32).to_be_bytes());
            continue;
        }
        let length = rng.below(12);
        out.extend(i32::try_from(length).unwrap().to_be_bytes());
        out.extend(
            (0..length)
                .map(|_| if rng.percent(50) { *rng.pick(b"0123456789-+e.NaN{}") } else { rng.next().to_le_bytes()[0] }),
        );
    }
}

/// A message that is no message: its length, its count, its text or its type is wrong.
fn broken(rng: &mut Rng) -> Vec<u8> {
    let mut out = Vec::new();
    let mut smuggled = Vec::new();
    frame(&mut smuggled, b'Q', &text(&format!("SELECT '{SMUGGLED}'")));
    match rng.below(9) {
        // A whole Query inside a body whose own grammar ends before it.
        0 => {
            let tag = *rng.pick(b"QPBDECHSFcf");
            let body = [body(tag, rng), smuggled].concat();
            frame(&mut out, tag, &body);
        }
        // A value said to be longer than its message: the Query is this message's bytes.
        1 => {
            let body = [&[0, 0, 0, 0, 0, 1][..], &1_000_i32.to_be_bytes(), &smuggled].concat();
            frame(&mut out, b'B', &body);
        }
        2 => {
            let body = [&b"\0SELECT 1\0"[..], &u16::MAX.to_be_bytes(), &smuggled].concat();
            frame(&mut out, b'P', &body);
        }
        // Lengths that no message has.
        3 => {
            out.push(*rng.pick(b"QPBDECHSX"));
            out.extend(rng.pick(&[0, 1, 3, -1, i32::MIN, i32::MAX]).to_be_bytes());
        }
        4 => frame(&mut out, b'Q', b"SELECT 1"),
        5 => frame(&mut out, b'Q', b"SELECT '\xff\xfe'\0"),
        6 => frame(&mut out, *rng.pick(b"\0?zvRT9\xff"), &smuggled),
        7 => frame(&mut out, *rng.pick(b"pX"), b"SCRAM-SHA-256\0"),
        // Cut off: the rest never comes.
        _ => {
            frame(&mut out, b'P', &[text("a"), text("SELECT 1"), vec![0, 0]].concat());
            out.truncate(rng.between(1, out.len() - 1));
        }
    }
    out
}

/// First bytes of a connection that nobody is let in with, and how many messages they are.
pub(crate) fn opening(rng: &mut Rng) -> (Vec<u8>, u64) {
    let mut out = Vec::new();
    let mut messages = 1;
    let version =
        *rng.pick(&[196_608_u32, 196_610, 196_611, 131_072, 262_144, 0, u32::MAX, 80_877_102, 80_877_103, 80_877_104]);
    let parameters: Vec<u8> = match rng.below(6) {
        0 => [text("user"), text("sam"), text("database"), text("demo"), vec![0]].concat(),
        1 => [text("user"), text("nobody"), text("database"), text("demo"), vec![0]].concat(),
        2 => [text("user"), text("sam"), text("role"), text("iris"), vec![0]].concat(),
        3 => b"user\0sam".to_vec(),
        4 => b"user\0\xff\xfe\0\0".to_vec(),
        _ => (0..rng.below(60)).map(|_| rng.next().to_le_bytes()[0]).collect(),
    };
    let told = match rng.below(10) {
        0 => *rng.pick(&[0_u32, 3, 7, 10_001, 1 << 20, u32::MAX]),
        1 => u32::try_from(parameters.len() + 8).unwrap() + 1 + u32::try_from(rng.below(50)).unwrap(),
        _ => u32::try_from(parameters.len() + 8).unwrap(),
    };
    out.extend(told.to_be_bytes());
    out.extend(version.to_be_bytes());
    out.extend(parameters);
    // Behind it comes what only a session may send, or an answer to a question that was not asked.
    for _ in 0..rng.below(4) {
        match rng.below(5) {
            0 => frame(&mut out, b'p', b"SCRAM-SHA-256\0\0\0\0\x20n,,n=,r=abcdefghijklmnopqrst"),
            1 => frame(&mut out, b'p', b"SCRAM-SHA-256-PLUS\0\xff\xff\xff\xff"),
            2 => frame(&mut out, b'p', &text("demo-sam")),
            3 => frame(&mut out, b'Q', &text(&format!("SELECT '{SMUGGLED}'"))),
            _ => out.extend(broken(rng)),
        }
        messages += 1;
    }
    (out, messages)
}
