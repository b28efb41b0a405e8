//! Metadata that changes under a running server, and sources that go away.

use querygate_tests::server::{RawClient, Server, Variant, psql};

const COUNT: &str = "SELECT count(*) FROM employees";

/// The metadata with `crm_employees` readable for iris' permission set.
fn granted(text: &str) -> String {
    let mut stack: serde_json::Value = serde_json::from_str(text).unwrap();
    for set in stack["permissions"].as_array_mut().unwrap() {
        if set["name"] == "crm_support" {
            set["objects"]["crm_employees"] = serde_json::json!({"allowRead": true});
        }
    }
    stack.to_string()
}

fn iris_counts(server: &Server) -> Result<String, String> {
    let printed = psql(server, "iris", &["-At", "-c", COUNT]);
    if printed.success { Ok(printed.out.trim().to_owned()) } else { Err(printed.err) }
}

#[test]
fn a_signal_loads_the_edit_and_a_bad_edit_keeps_what_was() {
    let variant = Variant::new(|c| c.replace("[metadata]\n", "[metadata]\nwatch_interval = \"0s\"\n"));
    let server = variant.serve();
    let file = variant.file("metadata/permissions.json");
    let before = std::fs::read_to_string(&file).unwrap();
    let mut session = RawClient::login(server.postgres, "iris");
    let mut counts = || {
        session.query(COUNT);
        session.read_until(b'Z').iter().any(|frame| frame.tag == b'D')
    };
    assert!(iris_counts(&server).unwrap_err().contains("42P01") && !counts());
    let from = server.lines().len();
    std::fs::write(&file, granted(&before)).unwrap();
    server.signal("HUP");
    let _ = server.wait_for("metadata reloaded", from);
    let seen = iris_counts(&server).unwrap();
    assert!(counts(), "an open session sees the new metadata");

    let from = server.lines().len();
    let bad = granted(&before).replace("\"allowRead\"", "\"allowRaed\"");
    std::fs::write(&file, bad).unwrap();
    server.signal("HUP");
    // The event has several lines: the reason, then the file and line it stands in.
    let _ = server.wait_for("metadata not reloaded", from);
    let place = server.wait_for("permissions.json", from);
    assert!(server.lines()[from..].join("\n").contains("allowRaed"), "{place}");
    assert_eq!(iris_counts(&server), Ok(seen));
    assert!(counts());
    let told = |refused: bool, number: u8| {
        let ready = server.get("/readyz");
        assert!(ready.starts_with("HTTP/1.1 200"), "{ready}");
        assert!(ready.contains(&format!("\"reload_refused\":{refused}")) && !ready.contains("allowRaed"), "{ready}");
        let metrics = server.get("/metrics");
        assert!(metrics.contains(&format!("querygate_deployment_refused {number}\n")), "{metrics}");
        assert!(metrics.contains("querygate_deployments_refused_total 1\n"), "{metrics}");
    };
    told(true, 1);

    let from = server.lines().len();
    std::fs::write(&file, &before).unwrap();
    server.signal("HUP");
    let _ = server.wait_for("metadata reloaded", from);
    assert!(iris_counts(&server).is_err() && !counts(), "what was taken away is gone at once");
    told(false, 0);
}

#[test]
fn a_reload_tells_the_log_of_rules_what_a_check_says() {
    let variant = Variant::new(|c| c.replace("[metadata]\n", "[metadata]\nwatch_interval = \"0s\"\n"));
    let server = variant.serve();
    let file = variant.file("metadata/permissions.json");
    let before = std::fs::read_to_string(&file).unwrap();
    for (rule, told, counted) in [
        ("region_id == 7", ".region_id' is a text, and 7 is a number", "1 warning of which the log says more"),
        ("regio_id == 'x'", "there is no column 'regio_id'", "1 error of which the log says more"),
        ("region_id == current_user.region_id", "", ""),
    ] {
        let from = server.lines().len();
        std::fs::write(&file, before.replacen("region_id == current_user.region_id", rule, 1)).unwrap();
        server.signal("HUP");
        let done = server.wait_for("metadata reloaded", from);
        let said = server.lines()[from..].join("\n");
        assert!(said.contains(told) && done.contains(counted), "{rule}: {said}");
        assert_eq!(said.contains("permissions.json:"), !told.is_empty(), "with its place: {said}");
        assert_eq!(done.contains("the log says more"), !counted.is_empty(), "{done}");
    }
}

#[test]
fn a_changed_file_is_noticed() {
    let variant = Variant::new(|c| c.replace("[metadata]\n", "[metadata]\nwatch_interval = \"100ms\"\n"));
    let server = variant.serve();
    let file = variant.file("metadata/permissions.json");
    assert!(iris_counts(&server).is_err());
    let from = server.lines().len();
    std::fs::write(&file, granted(&std::fs::read_to_string(&file).unwrap())).unwrap();
    let _ = server.wait_for("metadata reloaded", from);
    assert!(iris_counts(&server).is_ok());
}

/// Metadata declares a number, the source has text and is widened to it: readers get texts, but no policy compares them.
#[test]
fn a_policy_does_not_compare_what_was_widened_to_text() {
    let widen = "fixed_text = true\nschema_change = \"widen\"\n";
    let variant = Variant::new(|config| config.replace("fixed_text = true\n", widen));
    let edit = |name: &str, was: &str, is: &str| {
        let text = std::fs::read_to_string(variant.file(name)).unwrap();
        assert!(text.contains(was), "{name}");
        std::fs::write(variant.file(name), text.replacen(was, is, 1)).unwrap();
    };
    edit("metadata/objects/accounts.json", "\"website\": {\"type\": \"url\"", "\"website\": {\"type\": \"number\"");
    edit("metadata/permissions.json", "region_id == current_user.region_id", "website >= 6");
    let server = variant.serve();
    let asked = |user: &str, sql: &str| psql(&server, user, &["-At", "-c", sql]);
    assert_eq!(asked("ada", "SELECT count(website) FROM accounts").out.trim(), "20000");
    for sql in ["SELECT count(*) FROM accounts", "SELECT id, random() FROM accounts", "SELECT count(*) FROM contacts"] {
        let refused = asked("iris", sql);
        assert!(!refused.success && refused.err.contains("0A000"), "{sql}: {} {}", refused.out, refused.err);
    }
}

#[test]
fn a_source_that_goes_away_takes_only_its_tables_along() {
    let variant = Variant::new(|config| config);
    let server = variant.serve();
    let code = |sql: &str| {
        let printed = psql(&server, "ada", &["-At", "-c", sql]);
        printed.err.strip_prefix("ERROR:  ").map(|error| error[..5].to_owned())
    };
    let (events, accounts) = ("SELECT count(*), max(id) FROM events", "SELECT count(*) FROM accounts");
    assert_eq!((code(events), code(accounts)), (None, None));
    std::fs::remove_file(variant.file("data/lake/events.parquet")).unwrap();
    let gone = code(events);
    assert!(matches!(gone.as_deref(), Some("58000")), "{gone:?}");
    assert_eq!(code(accounts), None);
    assert_eq!(code("SELECT count(*) FROM invoices"), None);
}

#[test]
fn a_server_starts_without_a_source_and_serves_the_others() {
    let variant = Variant::new(|config| config);
    std::fs::remove_file(variant.file("data/crm.sqlite")).unwrap();
    std::fs::remove_file(variant.file("data/lake/events.parquet")).unwrap();
    let server = variant.serve();
    for (sql, expected) in [
        ("SELECT count(*) FROM accounts", Some("ERROR:  08001: ")),
        ("SELECT count(*) FROM events", Some("ERROR:  58000: ")),
        ("SELECT count(*) FROM invoices", None),
        ("SELECT count(*) FROM regions", None),
        ("SELECT count(*) FROM email_log", None),
        ("SELECT name FROM querygate.sources ORDER BY name", None),
    ] {
        let printed = psql(&server, "ada", &["-At", "-c", sql]);
        match expected {
            Some(error) => assert!(printed.err.starts_with(error), "{sql}: {}", printed.both()),
            None => assert!(printed.success, "{sql}: {}", printed.both()),
        }
    }
    let leaked = variant.folder.path().to_str().unwrap();
    let printed = psql(&server, "sam", &["-At", "-c", "SELECT count(*) FROM accounts"]);
    assert!(!printed.both().contains(leaked), "{}", printed.both());
}
