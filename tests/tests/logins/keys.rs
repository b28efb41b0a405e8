//! API keys: made while the gate runs, at every door, narrowed, revoked.

use crate::flight::orders_by_handshake;
use crate::provider::encoded;
use crate::world::{TOKEN_USER, World};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use querygate_tests::server::Request;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

#[test]
fn a_key_lets_a_program_in_at_every_door_as_soon_as_it_is_made() {
    let world = World::new();
    let (_, key) = world.new_key(&["nora"]);
    assert!(world.everywhere(&key).into_iter().all(|seen| seen == Ok("3".to_owned())));
    let ca = world.folder().join("ca.pem");
    let basic = format!("Basic {}", STANDARD.encode(format!("{TOKEN_USER}:{key}")));
    for header in [format!("Bearer {key}"), basic] {
        assert_eq!(orders_by_handshake(world.server.flight, &ca, &header), Ok("3".to_owned()));
    }
    let answer = Request::new("GET", "/api/v1/data/shop_orders").header("x-api-key", &key);
    assert_eq!(answer.send(world.server.rest.unwrap()).status, 200);
    let who = world.psql(&key, "verify-ca", &["-c", "SELECT current_user, session_user"]);
    assert!(!who.success, "the authority is not known: {}", who.both());
    let who = world.psql(&key, "require", &["-c", "SELECT current_user, session_user"]);
    assert_eq!(who.out.trim(), "nora|nora", "{}", who.both());
    let lines = world.server.lines().join("\n");
    assert!(!lines.contains(&key) && !lines.contains(&encoded(&key)), "a key is in the log");
}

#[test]
fn a_narrowed_key_is_good_for_its_scope_at_every_door() {
    let world = World::new();
    let (_, key) = world.new_key(&["nora", "--scope", "shop_orders:read,create"]);
    assert!(world.everywhere(&key).into_iter().all(|seen| seen == Ok("3".to_owned())));
    let run = |sql: &str| world.psql(&key, "require", &["-c", sql]);
    for (sql, code) in [
        ("SELECT * FROM customers", "42P01"),
        ("UPDATE orders SET code = 'x'", "42501"),
        ("DELETE FROM orders", "42501"),
        ("INSERT INTO customers(id, name) VALUES ('c3', 'x')", "42P01"),
    ] {
        let printed = run(sql);
        assert!(!printed.success && printed.err.contains(code), "{sql}: {}", printed.both());
    }
    let stored = run("INSERT INTO orders(id, code) VALUES ('o9', 'N-9')");
    assert!(stored.success, "{}", stored.both());
    for (path, status) in [("/data/shop_orders", 200), ("/data/shop_customers", 403), ("/data/shop_orders/o1", 200)] {
        assert_eq!(world.get(&key, path).status, status, "{path}");
    }
    let rest = |method: &str, path: &str| {
        let request = Request::new(method, path).header("x-api-key", &key).json(&serde_json::json!({"code": "y"}));
        request.send(world.server.rest.unwrap()).status
    };
    assert_eq!(rest("PATCH", "/api/v1/data/shop_orders/o1"), 403);
    assert_eq!(rest("POST", "/api/v1/keys"), 403, "it would make a key that is good for more");
    // This user by another credential is not narrowed, and does not widen this one.
    let (_, wide) = world.new_key(&["nora"]);
    assert!(world.psql(&wide, "require", &["-c", "SELECT * FROM customers"]).success);
    assert!(!run("SELECT * FROM customers").success);
    // What its owner asked for by another one names what this one may not see.
    for (relation, column) in [("queries", "login"), ("sessions", "login"), ("audit", "login"), ("held", "login")] {
        let sql = format!("SELECT count(*) FROM querygate.{relation} WHERE {column} = 'nora'");
        let [narrowed, whole] = [&key, &wide].map(|key| world.psql(key, "require", &["-At", "-c", &sql]));
        assert_eq!(narrowed.out.trim(), "0", "{relation}: {}", narrowed.both());
        assert!(relation == "held" || whole.out.trim() != "0", "{relation}: {}", whole.both());
    }
}

#[test]
fn a_revoked_key_ends_sessions_and_opens_none() {
    let world = World::new();
    let (id, key) = world.new_key(&["nora"]);
    assert_eq!(world.over_flight(&format!("Bearer {key}")), Ok("3".to_owned()));
    let revoke = format!(
        "\\! {} key revoke {id} -c {}/querygate.toml 2>/dev/null",
        querygate_tests::server::binary().display(),
        world.folder().display()
    );
    let statements = ["-c", "SELECT 1", "-c", &revoke, "-c", "\\! sleep 1.5", "-c", "SELECT 2"];
    let session = world.psql(&key, "require", &statements);
    assert!(session.out.contains('1') && !session.out.contains('2'), "{}", session.both());
    assert!(session.err.contains("no longer holds"), "{}", session.both());
    let [postgres, flight, rest] = world.everywhere(&key);
    assert!(postgres.unwrap_err().1.contains("not valid"));
    assert_eq!(flight.unwrap_err().0, "Unauthenticated");
    assert_eq!(rest.unwrap_err().0, "401");
    assert!(!world.key(&["list"]).contains(&id));
}

#[test]
fn an_operator_sees_keys_and_revokes_one() {
    let world = World::new();
    let ((id, key), (_, root)) = (world.new_key(&["nora"]), world.new_key(&["root"]));
    let (narrow, _) = world.new_key(&["nora", "--scope", "shop_orders:read"]);
    let run = |key: &str, sql: &str| world.psql(key, "require", &["-c", sql]);
    let held = "SELECT name, state FROM querygate.held WHERE kind = 'API key' AND login = 'nora' AND session IS NULL";
    let mut shown = [format!("{id}|"), format!("{narrow}|narrowed")];
    shown.sort();
    for reader in [&root, &key] {
        let mut seen: Vec<String> = run(reader, held).out.lines().map(str::to_owned).collect();
        seen.sort();
        assert_eq!(seen, shown);
    }
    let of_others = run(&key, "SELECT count(*) FROM querygate.held WHERE kind = 'API key' AND login <> 'nora'");
    assert_eq!(of_others.out.trim(), "0");
    let revoke = format!("CALL querygate.revoke_key('{id}')");
    assert!(run(&key, &revoke).err.contains("42501"));
    assert!(run(&root, "CALL querygate.revoke_key('none')").err.contains("22023"));
    assert!(run(&root, &revoke).success, "{}", run(&root, &revoke).both());
    assert_eq!(run(&root, held).out.trim(), format!("{narrow}|narrowed"));
    assert!(!run(&key, "SELECT 1").success, "it opens nothing");
}

#[test]
fn without_tls_a_token_is_not_even_asked_for() {
    let world = World::new();
    let (_, key) = world.new_key(&["nora"]);
    let plain = world.psql(&key, "disable", &["-c", "SELECT 1"]);
    assert!(!plain.success && plain.err.contains("over TLS only"), "{}", plain.both());
    let mut tcp = std::net::TcpStream::connect(world.server.postgres).unwrap();
    let body = format!("\0\x03\0\0user\0{TOKEN_USER}\0database\0demo\0\0");
    let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
    tcp.write_all(&[&length[..], body.as_bytes()].concat()).unwrap();
    let mut answer = Vec::new();
    tcp.read_to_end(&mut answer).unwrap();
    assert_eq!(answer[0], b'E', "{}", String::from_utf8_lossy(&answer));
    assert!(String::from_utf8_lossy(&answer).contains("C28000"));
}

#[test]
fn wrong_keys_get_one_answer_and_count_against_who_tries() {
    let world = World::new();
    let (_, key) = world.new_key(&["nora"]);
    let mut said = Vec::new();
    for wrong in [&format!("{key}x"), "osk_", "osk_x", &key[..key.len() - 1], "something", ""] {
        let printed = world.over_postgres(wrong).unwrap_err();
        // libpq sends no empty password.
        said.extend((!wrong.is_empty()).then_some(printed.1));
    }
    assert!(said.iter().all(|words| words == "the API key or token is not valid"), "{said:?}");
    let wrong = format!("{key}x");
    let began = Instant::now();
    let mut refused = Vec::new();
    while began.elapsed() < Duration::from_secs(30) && refused.len() < 30 {
        refused.push(world.over_rest(&wrong).unwrap_err().0);
    }
    assert_eq!((refused[0].as_str(), refused.last().unwrap().as_str()), ("401", "429"));
    assert_eq!(world.over_rest(&key), Ok("3".to_owned()), "what holds is not kept out");
}

#[test]
fn too_many_requests_by_one_key_or_user_wait() {
    let world = World::with_rest("requests_per_key = 2\nrequests_per_user = 4");
    let keys = [world.new_key(&["nora"]).1, world.new_key(&["nora"]).1, world.new_key(&["nora"]).1];
    let all = |key: &str| (0..40).map(|_| world.get(key, "/data/shop_orders")).collect::<Vec<_>>();
    let answers = all(&keys[0]);
    let limited = answers.iter().find(|answer| answer.status == 429).expect("a key is limited");
    assert!(limited.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1, "{limited:?}");
    assert_eq!((answers[0].status, limited.json()["code"].as_str()), (200, Some("TOO_MANY_REQUESTS")));
    // Another key of the user has a rate of its own, within the user's.
    assert_eq!(world.get(&keys[1], "/data/shop_orders").status, 200);
    let refused = keys.iter().flat_map(|key| all(key)).filter(|answer| answer.status == 429).count();
    assert!(refused > 40, "{refused}");
    // Who shows nothing that is known is not counted as somebody.
    assert_eq!(world.get("osk_x", "/data/shop_orders").status, 401);
}

/// Runs a command of the binary, and waits until the gate has taken what it wrote.
fn changed(world: &World, arguments: &[&str]) {
    let ran = std::process::Command::new(querygate_tests::server::binary())
        .args(arguments)
        .current_dir(world.folder())
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    reloaded(world, "metadata reloaded");
}

fn reloaded(world: &World, word: &str) {
    let from = world.server.lines().len();
    world.server.signal("HUP");
    let _ = world.server.wait_for(word, from);
}

#[test]
fn the_keys_of_a_user_who_is_disabled_open_nothing_and_end_what_they_opened() {
    let world = World::new();
    let (_, key) = world.new_key(&["nora"]);
    assert!(world.everywhere(&key).into_iter().all(|seen| seen == Ok("3".to_owned())));
    changed(&world, &["user", "disable", "nora"]);
    // The Flight session of the key was open.
    std::thread::sleep(Duration::from_secs(1));
    let [postgres, flight, rest] = world.everywhere(&key);
    assert!(postgres.is_err());
    assert_eq!((flight.unwrap_err().0, rest.unwrap_err().0), ("Unauthenticated".to_owned(), "401".to_owned()));
    changed(&world, &["user", "enable", "nora"]);
    assert!(world.everywhere(&key).into_iter().all(|seen| seen == Ok("3".to_owned())));
}

#[test]
fn the_keys_of_a_user_with_another_password_stay_until_the_user_is_removed() {
    let world = World::new();
    let (id, key) = world.new_key(&["nora"]);
    changed(&world, &["user", "password", "nora", "--generate"]);
    std::thread::sleep(Duration::from_secs(1));
    assert!(world.everywhere(&key).into_iter().all(|seen| seen == Ok("3".to_owned())));
    assert!(world.key(&["list"]).contains(&id));
    changed(&world, &["user", "remove", "nora"]);
    std::thread::sleep(Duration::from_secs(1));
    let [postgres, flight, rest] = world.everywhere(&key);
    assert!(postgres.is_err());
    assert_eq!((flight.unwrap_err().0, rest.unwrap_err().0), ("Unauthenticated".to_owned(), "401".to_owned()));
}

/// Another authority, and a certificate of the server by it in the place of the one before.
const OTHERS: &str = r#"
set -e
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=other -keyout other.key -out other.pem
openssl x509 -req -in server.csr -CA other.pem -CAkey other.key -CAcreateserial -days 2 -extfile server.ext -out server.pem
"#;

#[test]
fn a_new_certificate_is_taken_by_a_reload_and_a_broken_one_is_not() {
    let world = World::new();
    let (_, key) = world.new_key(&["nora"]);
    let header = format!("Bearer {key}");
    let by = |authority: &str| orders_by_handshake(world.server.flight, &world.folder().join(authority), &header);
    assert_eq!(by("ca.pem"), Ok("3".to_owned()));
    let made =
        std::process::Command::new("/bin/sh").arg("-c").arg(OTHERS).current_dir(world.folder()).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    reloaded(&world, "metadata reloaded");
    assert_eq!(by("other.pem"), Ok("3".to_owned()));
    assert_eq!(world.over_postgres(&key), Ok("3".to_owned()));
    std::fs::write(world.folder().join("server.pem"), "no certificate").unwrap();
    reloaded(&world, "metadata not reloaded");
    assert_eq!(by("other.pem"), Ok("3".to_owned()));
}
