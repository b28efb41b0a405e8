//! The same parameters sent to PostgreSQL and to the door, results compared byte for byte in text and binary: proves
//! decoding and encoding of every type at once. Needs a server: `QUERYGATE_POSTGRES=host:port:user:password:database`.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]
#![allow(clippy::print_stderr, reason = "says what was measured or skipped")]

mod common;

use common::client::{Client, bind, error_field, execute, fields, frame, parse, query, sync};
use common::serve;
use std::net::SocketAddr;
use tokio::io::AsyncWriteExt as _;

async fn postgres() -> Option<Client> {
    let Ok(target) = std::env::var("QUERYGATE_POSTGRES") else {
        eprintln!("SKIPPED: QUERYGATE_POSTGRES absent, nothing was compared with PostgreSQL");
        return None;
    };
    let [host, port, user, password, database] = target.splitn(5, ':').collect::<Vec<_>>().try_into().unwrap();
    let addr = SocketAddr::new(host.parse().unwrap(), port.parse().unwrap());
    let mut client = Client::raw(addr).await;
    let frames = client.login(3 << 16, &[("user", user), ("database", database)], password).await;
    assert_eq!(frames.last().unwrap().tag, 'Z', "{frames:?}");
    Some(client)
}

/// What came back: the value in text and binary, or a SQLSTATE.
type Answer = Result<Vec<Option<Vec<u8>>>, String>;

/// Sends all values of a type in one go, each with both result formats.
async fn answers(client: &mut Client, sql: &str, oid: u32, values: &[Vec<u8>], format: i16) -> Vec<Answer> {
    let mut answers = Vec::new();
    for chunk in values.chunks(200) {
        let mut batch = Vec::new();
        for value in chunk {
            for result in [0, 1] {
                batch.extend(parse("", sql, &[oid]));
                batch.extend(bind("", "", &[format], &[Some(value)], &[result]));
                batch.extend([execute("", 0), sync()].concat());
            }
        }
        client.stream.write_all(&batch).await.unwrap();
        for _ in chunk {
            let mut both = Ok(Vec::new());
            for _ in 0..2 {
                for frame in client.until_ready().await {
                    match (frame.tag, &mut both) {
                        ('D', Ok(both)) => both.extend(fields(&frame)),
                        ('E', _) => both = Err(error_field(&frame, 'C')),
                        _ => {}
                    }
                }
            }
            answers.push(both);
        }
    }
    answers
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
    fn digits(&mut self, most: u64) -> String {
        let count = self.next() % most + 1;
        (0..count).map(|_| char::from(b'0' + (self.next() % 10) as u8)).collect()
    }
}

#[expect(clippy::too_many_lines, reason = "one flat table")]
/// Literals of a type: the tricky ones by name, and generated ones.
fn literals(pg_type: &str) -> Vec<String> {
    let list = |text: &str| text.split('|').map(str::to_owned).collect::<Vec<_>>();
    let mut random = Random(0x5eed);
    let mut many =
        |make: &mut dyn FnMut(&mut Random) -> String| (0..1500).map(|_| make(&mut random)).collect::<Vec<_>>();
    match pg_type {
        "bool" => list("t|f|TRUE| yes |no|on|of|off|o|1|0|2||tru|nope|y|n"),
        "int2" => list("0|-32768|32767|32768| 7 |+5|-0|1.5||x|1e3|99999999999999999999"),
        "int4" => list("0|-2147483648|2147483647|2147483648| 7|x||1 2"),
        "int8" => list("0|-9223372036854775808|9223372036854775807|9223372036854775808|x"),
        "oid" => list("0|4294967295|4294967296|x"),
        "float4" => {
            let mut values = list(
                "0|-0|1|1e6|999999|1000000|16777216|1e-5|0.0001|3.4028235e38|1e39|1e-46|NaN|infinity|-inf|x|1.1|0.3|8388608.5",
            );
            values.extend(many(&mut |r| f32::from_bits((r.next() >> 32) as u32).to_string()));
            values
        }
        "float8" => {
            let mut values = list(
                "0|-0|1|100000|1e15|123456789012345|1e21|1e-5|0.0001|1e308|1e400|1e-400|5e-324|NaN|Infinity|-infinity|x||.5|5.|1e23|9007199254740993|4.35|2.5e-5|1e|0x10",
            );
            values.extend(many(&mut |r| f64::from_bits(r.next()).to_string()));
            values.extend(many(&mut |r| format!("{}e{}", r.digits(4), (r.next() % 40).cast_signed() - 20)));
            // Powers of two and what lies beside them, where shortest digits are decided by the boundaries.
            values.extend((0..2000_u64).map(|at| {
                let bits = ((at + 24) << 52) + (at % 3);
                format!("{:e}", f64::from_bits(bits))
            }));
            values
        }
        "numeric" => {
            let mut values = list(
                "0|0.00|-0.0|17.00|1e3|1.5e-3|.5|5.|x||1e|-1|0.0001|10000|9999.9999|100000000|0.00000001|12345678901234567890.123456789|99999999999999999999999999999999999999",
            );
            values.extend(many(&mut |r| {
                format!("{}{}.{}", if r.next() % 2 == 0 { "-" } else { "" }, r.digits(18), r.digits(18))
            }));
            values.extend(many(&mut |r| r.digits(36)));
            values
        }
        "text" | "varchar" => list("|a|grüß 🎉|NULL|a\tb\nc\\d|'\"|  x  "),
        "bytea" => list("|\\x|\\x00ff|\\xABcd|a\\\\b|\\001\\377|\\x0|\\9|\\xzz|plain|\\x 01 02"),
        "uuid" => list(
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11|A0EEBC999C0B4EF8BB6D6BB9BD380A11|{a0eebc99-9c0b4ef8-bb6d6bb9-bd380a11}|a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11|a0eebc99|x||a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1g",
        ),
        "date" => {
            let mut values = list(
                "2024-02-29|2023-02-29|0044-03-15 BC|12345-06-07|infinity|-infinity|epoch|20240229|1999-01-08|2024-13-01|5874897-12-31|5874898-01-01|4714-11-24 BC|4714-11-23 BC|2024-02-29 23:59:59|0000-01-01|x|",
            );
            values.extend(many(&mut |r| {
                format!("{:04}-{:02}-{:02}", r.next() % 9999 + 1, r.next() % 12 + 1, r.next() % 28 + 1)
            }));
            values
        }
        "time" => {
            let mut values = list(
                "00:00:00|24:00:00|23:59:59.999999|12:34|12:34:56.5|12:34:60|24:00:01|25:00|x||12:00:00.0000005|12:00:00.0000015",
            );
            values.extend(many(&mut |r| {
                format!("{:02}:{:02}:{:02}.{}", r.next() % 24, r.next() % 60, r.next() % 60, r.digits(6))
            }));
            values
        }
        "timestamp" | "timestamptz" => {
            let mut values = list(
                "2024-07-01 12:00:00|2024-07-01T12:00:00.5|2024-07-01 12:00:00+05:30|2024-07-01 12:00:00Z|0044-03-15 10:00 BC|infinity|-infinity|epoch|294276-12-31 23:59:59.999999|4714-11-24 00:00:00 BC|4714-11-23 23:59:59 BC|2024-02-30 00:00|2024-07-01 24:00:00|2024-07-01 25:00:00|2024-07-01|1883-11-18 12:00:00|1900-01-01 00:00:00|2024-03-31 02:30:00|2024-10-27 02:30:00|2150-07-01 12:00:00|9999-12-31 23:59:59|20240701 120000|x||2024-07-01 12:00:00 America/New_York|2024-07-01 12:00:00-08|2024-07-01 12:00:00+0530",
            );
            values.extend(many(&mut |r| {
                let (year, month, day) = (r.next() % 3000 + 1, r.next() % 12 + 1, r.next() % 28 + 1);
                let clock = format!("{:02}:{:02}:{:02}.{}", r.next() % 24, r.next() % 60, r.next() % 60, r.digits(6));
                format!("{year:04}-{month:02}-{day:02} {clock}")
            }));
            values
        }
        "interval" => {
            let mut values = list(
                "0|1 year 2 mons 3 days 04:05:06.789|-1 days +04:05:06|1 hour 30 minutes ago|1.5 days|1.5 months|1.5 years|2h|90|P1Y2M3DT4H5M6.5S|P2W|-00:00:01|1 day -1 hour|100000:00:00|-1 mon 1 day|1 parsec||x|P|1:2:3:4|0.1 months|1.1 weeks|-1.5 years|1 year -1 mon|-0.5 days|00:00:00.000001|12 mons|1 mon -40 days",
            );
            values.extend(many(&mut |r| {
                format!(
                    "{} mons {} days {} microseconds",
                    r.next() as i16,
                    r.next() as i16,
                    (r.next() >> 24).cast_signed() - (1 << 39)
                )
            }));
            values
        }
        "json" | "jsonb" => list("{\"a\": 1}|[1, 2]|null|\"x\""),
        "_int4" => list("{}|{1,2,3}|{1,NULL,3}|{ 1 , 2 }|{1,}|{x}|1|{1"),
        "_text" => list(
            "{}|{a,b}|{\"\"}|{NULL,\"NULL\",null}|{\"a,b\",\"c\\\"d\",\"e\\\\f\"}|{ a b , c}|{\"{}\"}|{a\\ }|{ä,\t}|{\"\"x}",
        ),
        "_numeric" => list("{1.5,2.5}|{0.00}|{}"),
        "_timestamp" => list("{\"2024-01-01 00:00:00\",NULL}|{infinity}"),
        "_bool" => list("{t,f,NULL}"),
        "_float8" => list("{1.5,-0,NaN,1e300}"),
        "_bytea" => list("{\"\\\\x00ff\",\"\"}"),
        "_uuid" => list("{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}"),
        "_date" => list("{2024-01-01,\"0044-03-15 BC\"}"),
        "_interval" => list("{\"1 day\",\"-00:00:01\"}"),
        "int2vector" => list("1 2 3||5"),
        "oidvector" => list("1 2 3||5"),
        _ => panic!("no literals of {pg_type}"),
    }
}

/// Differences that are known: refused here on purpose.
fn is_known(pg_type: &str, literal: &str, theirs: &Answer, ours: &Answer) -> bool {
    match (pg_type, ours.as_ref().err().map(String::as_str)) {
        // Microseconds from 1970 end in 294247, thirty years before PostgreSQL's.
        ("timestamp" | "timestamptz", Some("22008")) => {
            theirs.as_ref().is_ok_and(|both| both[0].as_ref().is_some_and(|text| text.starts_with(b"294276")))
        }
        // PostgreSQL does not read the empty vectors that it sends.
        ("int2vector" | "oidvector", None) => theirs == &Err("22P03".to_owned()),
        ("float8", Some("22P02")) => literal == "0x10",
        // Arrow's intervals hold nanoseconds: beyond 292 years of hours they do not fit.
        ("interval", Some("22008")) => true,
        // Forms that no driver sends.
        ("timestamp" | "timestamptz", Some("22007")) => literal == "20240701 120000",
        _ => false,
    }
}

#[tokio::test]
async fn every_type_goes_in_and_out_as_in_postgres() {
    let Some(mut postgres) = postgres().await else { return };
    let door = serve().await;
    let mut ours = Client::connect(door.addr).await;
    let types = [
        "bool",
        "int2",
        "int4",
        "int8",
        "oid",
        "float4",
        "float8",
        "numeric",
        "text",
        "varchar",
        "bytea",
        "uuid",
        "date",
        "time",
        "timestamp",
        "timestamptz",
        "interval",
        "json",
        "jsonb",
        "_int4",
        "_text",
        "_numeric",
        "_timestamp",
        "_bool",
        "_float8",
        "_bytea",
        "_uuid",
        "_date",
        "_interval",
        "int2vector",
        "oidvector",
    ];
    let (mut compared, mut different) = (0, Vec::new());
    for zone in ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"] {
        postgres.talk(&query(&format!("set timezone = '{zone}'"))).await;
        ours.talk(&query(&format!("set TimeZone = {zone}"))).await;
        for pg_type in types {
            if zone != "UTC" && !pg_type.starts_with("timestamp") {
                continue;
            }
            let oid = querygate_types::PgType::from_name(pg_type).unwrap().oid();
            let literals = literals(pg_type);
            let values: Vec<Vec<u8>> = literals.iter().map(|literal| literal.clone().into_bytes()).collect();
            let expected = answers(&mut postgres, &format!("select $1::{pg_type}"), oid, &values, 0).await;
            let found = answers(&mut ours, &format!("echo {pg_type}"), oid, &values, 0).await;
            for ((literal, expected), found) in literals.iter().zip(&expected).zip(&found) {
                compared += 1;
                if expected != found && !is_known(pg_type, literal, expected, found) {
                    different.push(describe(pg_type, zone, literal, expected, found));
                }
            }
            // What PostgreSQL sends in binary goes in again in binary.
            let binary: Vec<Vec<u8>> = expected.iter().flatten().filter_map(|both| both[1].clone()).collect();
            let expected = answers(&mut postgres, &format!("select $1::{pg_type}"), oid, &binary, 1).await;
            let found = answers(&mut ours, &format!("echo {pg_type}"), oid, &binary, 1).await;
            for ((value, expected), found) in binary.iter().zip(&expected).zip(&found) {
                compared += 1;
                if expected != found && !is_known(pg_type, "", expected, found) {
                    different.push(describe(pg_type, zone, &format!("{value:02x?}"), expected, found));
                }
            }
        }
    }
    postgres.send(&frame(b'X', &[])).await;
    eprintln!("compared {compared}, different {}", different.len());
    assert!(different.is_empty(), "{}\n{} different", different.join("\n"), different.len());
    door.stop().await;
}

fn describe(pg_type: &str, zone: &str, literal: &str, expected: &Answer, found: &Answer) -> String {
    let show = |answer: &Answer| match answer {
        Err(sqlstate) => sqlstate.clone(),
        Ok(both) => format!(
            "{} {:02x?}",
            both[0].as_deref().map_or("NULL".into(), String::from_utf8_lossy),
            both.get(1).and_then(Option::as_deref).unwrap_or_default()
        ),
    };
    format!("{pg_type} {zone} {literal:?}: postgres {} door {}", show(expected), show(found))
}
