//! Credentials of programs from Python, as its users have it: ADBC with a bearer header, and with a token in place of a password.

use crate::world::{Seen, TOKEN_USER, World};
use querygate_tests::server::flight_python;
use std::process::Command;

const SCRIPT: &str = r#"
import sys
import adbc_driver_flightsql.dbapi as flight
from adbc_driver_flightsql import DatabaseOptions as Options
from adbc_driver_manager import DatabaseOptions
address, authority, user, token = sys.argv[1:]
login = {Options.TLS_ROOT_CERTS.value: open(authority).read()}
if user:
    login |= {DatabaseOptions.USERNAME.value: user, DatabaseOptions.PASSWORD.value: token}
else:
    login |= {Options.AUTHORIZATION_HEADER.value: "Bearer " + token}
try:
    with flight.connect(f"grpc+tls://{address}", db_kwargs=login, autocommit=True) as connection, connection.cursor() as cursor:
        for time in range(2):
            cursor.execute("SELECT count(*) AS n FROM orders WHERE id > $1", [""])
            table = cursor.fetch_arrow_table()
        print("seen", table["n"][0])
except flight.Error as error:
    print("refused", error.status_code.name, error)
"#;

/// How many orders are seen by who shows a token so; `None` where there is no Python with its packages.
fn seen(world: &World, user: &str, token: &str) -> Option<Seen> {
    let python = flight_python()?;
    let authority = world.folder().join("ca.pem");
    let mut command = Command::new(python);
    command.args(["-c", SCRIPT, &world.server.flight.to_string(), authority.to_str().unwrap(), user, token]);
    let ran = command.output().unwrap();
    let printed = String::from_utf8_lossy(&ran.stdout).trim().to_owned();
    Some(match (printed.strip_prefix("seen "), printed.strip_prefix("refused ")) {
        (Some(count), _) => Ok(count.to_owned()),
        (_, Some(refusal)) => {
            let (class, words) = refusal.split_once(' ').unwrap();
            Err((class.to_owned(), words.to_owned()))
        }
        _ => panic!("{printed}\n{}", String::from_utf8_lossy(&ran.stderr)),
    })
}

/// What a credential comes to in the header, and in place of a password.
pub(crate) fn both_ways(world: &World, token: &str) -> Option<[Seen; 2]> {
    Some([seen(world, "", token)?, seen(world, TOKEN_USER, token)?])
}

#[test]
fn api_keys_and_tokens_open_what_they_may_to_adbc() {
    let world = World::new();
    let (id, key) = world.new_key(&["nora"]);
    let Some(by_key) = both_ways(&world, &key) else {
        println!("SKIPPED: Python clients of Flight absent");
        return;
    };
    assert_eq!(by_key, [Ok("3".to_owned()), Ok("3".to_owned())]);
    let token = world.provider.sign(&world.provider.claims("one", "solo"));
    assert_eq!(both_ways(&world, &token).unwrap(), [Ok("2".to_owned()), Ok("2".to_owned())]);
    let (_, narrowed) = world.new_key(&["nora", "--scope", "shop_customers:read"]);
    for refused in both_ways(&world, &narrowed).unwrap() {
        let (class, words) = refused.unwrap_err();
        assert!(words.contains("(SQLSTATE 42P01)"), "what the key is not for is not there: {class} {words}");
    }
    world.key(&["revoke", &id]);
    // The gate reads its keys every second.
    for _ in 0..20 {
        if both_ways(&world, &key).unwrap().iter().all(Result::is_err) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
    for wrong in [key, format!("{token}x")] {
        for refused in both_ways(&world, &wrong).unwrap() {
            let (class, words) = refused.unwrap_err();
            assert!(class == "UNAUTHENTICATED" && words.contains("is not valid"), "{class} {words}");
        }
    }
}
