//! `querygate demo --backends` as a person meets it: real servers, one printed query, an answer for each user, and nothing
//! left behind.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::print_stderr,
        clippy::print_stdout,
        reason = "tests panic"
    )
)]

#[path = "own_types/answers.rs"]
mod answers;
#[path = "own_types/checked.rs"]
#[allow(dead_code, reason = "shared with the tests of other sources")]
mod checked;
#[path = "flight/client.rs"]
#[allow(dead_code, reason = "shared with the tests of the Flight door")]
mod client;
#[path = "own_types/decoded.rs"]
mod decoded;
#[path = "own_types/described.rs"]
mod described;
#[path = "own_types/differences.rs"]
mod differences;
#[path = "own_types/doors.rs"]
mod doors;
#[path = "backends/every_type.rs"]
mod every_type;
#[path = "backends/parquet_extremes.rs"]
mod parquet_extremes;
#[path = "backends/parquet_types.rs"]
mod parquet_types;
#[path = "own_types/printed.rs"]
mod printed;
#[path = "own_types/sqlite_types.rs"]
mod sqlite_types;
#[path = "backends/described.rs"]
mod tables;
#[path = "flight/text.rs"]
mod text;
#[path = "backends/transfer.rs"]
mod transfer;
#[path = "own_types/values.rs"]
#[allow(dead_code, reason = "shared with the tests of other sources")]
mod values;
#[path = "own_types/wire.rs"]
mod wire;

use querygate_tests::server::{Server, find_after, psql, questions};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};

/// Whether the servers are installed; `CI` does not excuse their absence.
fn installed() -> bool {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let postgres = versions.map(|version| version.path().join("bin/initdb")).any(|program| program.exists());
    let there = postgres && Path::new("/usr/sbin/mariadbd").exists();
    assert!(there || std::env::var_os("CI").is_none(), "PostgreSQL and MariaDB must be installed");
    if !there {
        eprintln!("SKIPPED: servers are absent (apt-get install postgresql mariadb-server)");
    }
    there
}

/// Whether the demo says that it starts MongoDB, which may be absent; where the tests' installer put it, it is not.
fn with_mongodb(guide: &[String]) -> bool {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/querygate");
    let kept = std::env::var_os("QUERYGATE_CACHE").map_or_else(home, PathBuf::from).join("mongodb-8.2.0/mongod");
    let started = guide.iter().any(|line| line.contains("MongoDB: a private server"));
    assert!(started || !kept.exists(), "{}", guide.join("\n"));
    if !started {
        eprintln!("SKIPPED: the part of MongoDB, {} is absent (.ci/mongodb installs it)", kept.display());
    }
    started
}

/// Ports of the private servers, from the configuration.
fn ports(config: &str) -> Vec<SocketAddr> {
    let port = |line: &str| {
        let address = line.strip_prefix("url = ").map(|url| url.split(['@', '/']).nth(3).unwrap().to_owned());
        address.or_else(|| line.strip_prefix("port = ").map(|port| format!("127.0.0.1:{port}")))
    };
    config.lines().filter_map(port).map(|address| address.parse().unwrap()).collect()
}

#[test]
fn one_query_over_every_server_has_three_answers_and_nothing_stays_behind() {
    if !installed() {
        return;
    }
    let mut server = Server::start(&["demo", "--backends"]);
    let _ = server.wait_for("Ctrl-C stops", 0);
    let guide = server.lines();
    server.postgres = find_after(&guide, "demo-ada@").trim_end_matches("/demo'").parse().unwrap();
    server.http = find_after(&guide, "curl http://").trim_end_matches("/readyz,").parse().unwrap();
    let folder = PathBuf::from(find_after(&guide, "metadata is in ").trim_end_matches("/metadata."));
    let config = std::fs::read_to_string(folder.join("querygate.toml")).unwrap();
    let (ports, mongodb) = (ports(&config), with_mongodb(&guide));
    assert!(
        ports.len() == 2 + usize::from(mongodb) && ports.iter().all(|port| TcpStream::connect(port).is_ok()),
        "{config}"
    );

    let asked = questions(&guide);
    let [question] = asked.as_slice() else { panic!("{asked:?}") };
    assert_eq!(question.answers.iter().map(|(user, _)| user.as_str()).collect::<Vec<_>>(), ["ada", "sam", "iris"]);
    for (user, answer) in &question.answers {
        let printed = psql(&server, user, &["-At", "-F", " | ", "-c", &question.sql]);
        assert_eq!(printed.both().lines().collect::<Vec<_>>(), *answer, "{user}");
        assert_eq!(answer.len(), 3, "{user}");
    }
    plans(&server, &guide, &question.sql, mongodb);
    let servers = ["shop", "warehouse", "feedback"];
    secrets_stay_secret(&folder, &config, &guide, &servers[..ports.len()]);
    let sources = psql(&server, "ada", &["-At", "-c", "SELECT name, kind, up FROM querygate.sources ORDER BY name"]);
    let expected = ["lake|files|t", "shop|postgres|t", "warehouse|mysql|t", "feedback|mongodb|t"];
    for line in &expected[..=ports.len()] {
        assert!(sources.out.lines().any(|found| found == *line), "{}", sources.both());
    }
    if mongodb {
        assert!(question.sql.contains("JOIN reviews r"), "{}", question.sql);
        nested(&server);
    }
    checked(&server, &question.sql);
    assert_eq!(server.stop(), 0, "{}", server.lines().join("\n"));
    assert!(ports.iter().all(|port| TcpStream::connect(port).is_err()));
    assert!(!folder.exists());
}

/// One fragment for each source, the restricted user's with policies inside; values are numbered, never printed.
fn plans(server: &Server, guide: &[String], sql: &str, mongodb: bool) {
    let own = psql(server, "ada", &["-At", "-c", &format!("EXPLAIN {sql}")]).out;
    let shown: String = guide.iter().skip_while(|line| !line.contains("policies inside")).skip(1).cloned().collect();
    for (plan, restricted) in [(&own, false), (&shown, true)] {
        for text in
            ["source shop", "source warehouse", "source lake", "\"public\".\"orders\"", "`products`", "= (?", "$1"]
        {
            assert!(plan.contains(text), "{text}: {plan}");
        }
        if mongodb {
            assert!(plan.contains("source feedback") && plan.contains("{\"aggregate\":\"reviews\""), "{plan}");
            assert!(plan.contains("\"stars\":{\"$lte\":$"), "{plan}");
            assert_eq!(plan.contains("\"region\":{\"$eq\":$"), restricted, "{plan}");
        }
        assert_eq!(plan.contains("row policies inside"), restricted, "{plan}");
        assert!(!plan.contains("machines") && !plan.contains("900"), "{plan}");
    }
    assert!(shown.contains("\"region\" = $") && shown.contains("`audience` = (?"), "{shown}");
    assert!(!shown.contains("amer"), "{shown}");
    // Who is no operator sees neither text nor policy on the port.
    let hidden = psql(server, "sam", &["-At", "-c", &format!("EXPLAIN {sql}")]).out;
    assert!(hidden.contains("row policies inside") && !hidden.contains("audience"), "{hidden}");
}

/// Fields of nested documents are columns, which a user may lack.
fn nested(server: &Server) {
    let sql = "SELECT said_channel, count(said_words) FROM reviews GROUP BY 1 ORDER BY 1";
    let all = psql(server, "ada", &["-At", "-c", sql]).both();
    assert_eq!(all.lines().count(), 3, "{all}");
    let sum =
        |text: &str| text.lines().map(|line| line.split_once('|').unwrap().1.parse::<u32>().unwrap()).sum::<u32>();
    assert_eq!(sum(&all), 20_000);
    let some = psql(server, "iris", &["-At", "-c", sql]).both();
    assert!((1..20_000).contains(&sum(&some)), "{some}");
    let refused = psql(server, "sam", &["-At", "-c", sql]).both();
    assert!(refused.contains("42703"), "{refused}");
}

/// What the sources answer together is what the gate computes from their plain rows.
fn checked(server: &Server, sql: &str) {
    let asked = psql(server, "ada", &["-At", "-c", "SET querygate.verify_sample = 1", "-c", sql]);
    assert!(asked.success, "{}", asked.err);
    assert_eq!(server.self_checks().into_iter().collect::<Vec<_>>(), [("equal".to_owned(), 1)]);
}

fn secrets_stay_secret(folder: &Path, config: &str, guide: &[String], sources: &[&str]) {
    for source in sources {
        let password = std::fs::read_to_string(folder.join(format!("{source}.password"))).unwrap();
        assert_eq!(password.len(), 32);
        assert!(!config.contains(&password) && !guide.iter().any(|line| line.contains(&password)));
    }
}
