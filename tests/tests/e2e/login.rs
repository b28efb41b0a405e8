//! Who gets in, and that each sees their own rows.

use querygate_tests::server::{DEMO_USERS, RawClient, demo, psql, psql_with, runtime};

#[test]
fn two_users_see_their_own_rows_of_one_table() {
    let demo = demo();
    let rows = |user| {
        runtime().block_on(async {
            let client = demo.server.client(user).await;
            let row = client.query_one("SELECT count(*), count(DISTINCT region_id) FROM accounts", &[]).await.unwrap();
            (row.get::<_, i64>(0), row.get::<_, i64>(1))
        })
    };
    let (ada, iris) = (rows("ada"), rows("iris"));
    assert_eq!(ada, (20_000, 4));
    assert!(iris.0 > 0 && iris.0 < ada.0 && iris.1 == 1, "{iris:?}");
}

#[test]
fn psql_prints_every_answer_of_the_guide() {
    let demo = demo();
    assert!(demo.questions.len() >= 5, "{:#?}", demo.guide);
    for question in &demo.questions {
        let users: Vec<&str> = question.answers.iter().map(|(user, _)| user.as_str()).collect();
        assert_eq!(users, DEMO_USERS, "{}", question.sql);
        for (user, answer) in &question.answers {
            let printed = psql(&demo.server, user, &["-At", "-F", " | ", "-c", &question.sql]);
            let expected = match answer[0].strip_prefix("ERROR:  ").and_then(|e| e.strip_suffix(')')?.split_once("  ("))
            {
                Some((message, sqlstate)) => format!("ERROR:  {sqlstate}: {message}\n"),
                None => answer.join("\n") + "\n",
            };
            let found = printed.both();
            assert!(found.starts_with(&expected), "{user}: {}\nexpected\n{expected}\nfound\n{found}", question.sql);
            assert_eq!(printed.success, printed.err.is_empty());
            if printed.success {
                assert_eq!(found, expected, "{user}: {}", question.sql);
            }
        }
    }
}

#[test]
fn a_wrong_password_and_an_unknown_user_get_one_answer() {
    let address = demo().server.postgres;
    let text = |user, password| {
        let printed = psql_with(address, user, password, "disable", &["-c", "SELECT 1"]);
        assert!(!printed.success && printed.out.is_empty());
        printed.err.replace(user, "USER")
    };
    let expected = "FATAL:  password authentication failed for user \"USER\"";
    let wrong = text("sam", "demo-ada");
    assert!(wrong.contains(expected), "{wrong}");
    for (user, password) in [("nobody", "demo-sam"), ("sam2", "demo-sam"), ("SAM", "demo-sam"), ("postgres", "")] {
        assert_eq!(text(user, if password.is_empty() { "x" } else { password }), wrong, "{user}");
    }
}

#[test]
fn a_wrong_database_and_an_unknown_option_are_refused() {
    let address = demo().server.postgres;
    let refusal = |parameters: &[(&str, &str)]| {
        let mut client = RawClient::connect(address);
        client.startup(parameters);
        let mut error = None;
        while let Some(frame) = client.read() {
            match frame.tag {
                b'E' => error = frame.field(b'C'),
                // Not logged in yet: a door that asks for the password first is as good.
                b'R' => return "asked".to_owned(),
                _ => {}
            }
        }
        error.unwrap_or_default()
    };
    for (parameters, expected) in [
        (&[("user", "sam"), ("database", "demo")][..], "asked"),
        (&[("database", "demo")][..], "28000"),
        (&[("user", ""), ("database", "demo")][..], "28000"),
    ] {
        assert_eq!(refusal(parameters), expected, "{parameters:?}");
    }
    for (database, expected) in [("demo", None), ("nowhere", Some("3D000"))] {
        runtime().block_on(async {
            let mut config = demo().server.config("sam");
            config.dbname(database);
            let code = config.connect(tokio_postgres::NoTls).await.err().and_then(|e| e.code().cloned());
            assert_eq!(code.as_ref().map(tokio_postgres::error::SqlState::code), expected, "{database}");
        });
    }
    runtime().block_on(async {
        let mut config = demo().server.config("sam");
        config.options("-c no_such_setting=1");
        let error = config.connect(tokio_postgres::NoTls).await.err().unwrap();
        assert_eq!(error.code().map(tokio_postgres::error::SqlState::code), Some("42704"), "{error:?}");
    });
}
