//! What a check prints of a folder with a configuration and its metadata.

use super::*;
use std::fs;

const CONFIG: &str = "[metadata]\npath = \"meta\"\n\n[[sources]]\nname = \"lake\"\nkind = \"files\"\npath = \"data\"\n\n[[users]]\nname = \"nora\"\n";

/// The output for a configuration, with these files of metadata and a folder of data that has `one.csv`.
fn checked(config: &str, files: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("meta")).unwrap();
    fs::create_dir(at("data")).unwrap();
    fs::write(at("data/one.csv"), "a,b\n1,2\n").unwrap();
    fs::write(at("querygate.toml"), config).unwrap();
    for (name, text) in files {
        fs::write(at("meta").join(name), text).unwrap();
    }
    let (mut output, captured) = Output::captured("");
    run(&CheckArgs { path: Some(at("querygate.toml")), quiet: false, offline: false }, &mut output).unwrap();
    captured.text()
}

fn object(name: &str, more: &str) -> String {
    format!(
        r#"{{"name": "{name}", "datasource": "lake", "external": {{"remoteName": "{name}.csv"}}, "systemFields": false{more},
  "fields": {{"a": {{"type": "number"}}}}}}"#
    )
}

#[test]
fn a_table_without_its_file_is_named_with_its_line() {
    let stack = format!("{{\"objects\": [{},\n{}]}}", object("one", ""), object("two", ""));
    let said = checked(CONFIG, &[("s.json", &stack)]);
    let found = "the files `two.csv` of 'two' cannot be read in source `lake`";
    assert!(said.contains(found) && said.contains("s.json:3:10") && said.contains("1 table were read"), "{said}");
    assert!(!said.contains("`one.csv`"), "{said}");
}

#[test]
fn one_mistake_of_a_file_is_one_error() {
    let sets =
        r#"{"permissions": [{"name": "s1", "objects": {"one": {"allowRead": true}, "two": {"allowRead": true}}}]}"#;
    let said = checked(CONFIG, &[("s.json", "{\"objects\": [{\"name\" \"one\"}]}"), ("sets.json", sets)]);
    assert!(said.contains("s.json:1:") && said.contains("2 names cannot be judged"), "{said}");
    assert!(said.contains("is not usable: 1 error,") && !said.contains("unknown object"), "{said}");
}

#[test]
fn doors_of_one_port_and_an_address_that_is_none_are_named_with_their_lines() {
    let doors = "[server]\npostgres = \"127.0.0.1:7001\"\nhttp = \"0.0.0.0:7001\"\n\n";
    let said = checked(&format!("{doors}{CONFIG}email = \"nora\"\n"), &[("s.json", "{}")]);
    let ports = "error: [server] `postgres` and [server] `http` have one port, 7001\n";
    assert!(said.contains(ports) && said.contains("querygate.toml:3:8"), "{said}");
    assert!(said.contains("warning: `nora` is no e-mail address\n") && said.contains("querygate.toml:15:9"), "{said}");
}

#[test]
fn a_permission_that_no_set_gives_is_named_where_it_is_required() {
    let required = r#", "requiredPermissions": ["lake.read"]"#;
    let capabilities = r#""capabilities": [{"name": "lake.read", "label": "Read"}]"#;
    let stack = |given: &str| {
        let sets = format!(r#"[{{"name": "s1", "objects": {{}}, "systemPermissions": [{given}]}}]"#);
        format!("{{{capabilities}, \"permissions\": {sets}, \"objects\": [\n{}]}}", object("one", required))
    };
    let found = "one requires the permission 'lake.read', which no permission set gives";
    let said = checked(CONFIG, &[("s.json", &stack(""))]);
    assert!(said.contains(found) && said.contains("s.json:2:10"), "{said}");
    assert!(!checked(CONFIG, &[("s.json", &stack("\"lake.read\""))]).contains(found));
}

/// A stack whose one object has a text, a number and a row rule, with more beside them.
fn ruled(using: &str, more: &str) -> String {
    format!(
        r#"{{"objects": [{{"name": "one", "datasource": "lake", "external": {{"remoteName": "one.csv"}}, "systemFields": false,
  "sharingModel": "public_read", "fields": {{"a": {{"type": "text"}},
    "b": {{"type": "number"}}}}}}],
"permissions": [{{"name": "s1", "objects": {{"one": {{"allowRead": true}}}},
  "rowLevelSecurity": [{{"name": "p", "object": "one", "operation": "select",
    "using": "{using}"}}]}}]{more}}}"#
    )
}

#[test]
fn a_rule_that_compares_two_types_is_told_with_both() {
    let held = format!("{CONFIG}permission_sets = [\"s1\"]\nattributes = {{ rank = 3, town = \"west\" }}\n");
    for (using, told) in [
        ("a == 5", "warning: rule 'p' compares texts: the column 'one.a' is a text, and 5 is a number\n"),
        ("a in ['x', 7]", "rule 'p' compares texts: the column 'one.a' is a text, and 7 is a number\n"),
        ("a < current_user.rank", "compares texts for nora: the column 'one.a' is a text, and current_user.rank is a"),
        (
            "b == current_user.town",
            "rule 'p' is not enforced, and opens nothing, for nora: the column 'one.b' is a number, and current_user.town is",
        ),
        ("b == 'west'", "error: rule 'p' cannot be applied to 'one': "),
        ("b == 'west'", "It opens no row to holders of 's1'; nora reads nothing of the table."),
    ] {
        let said = checked(&held, &[("s.json", &ruled(using, ""))]);
        assert!(said.contains(told) && said.contains("s.json:6:"), "{using}: {said}");
        assert!(!said.contains("west'") || using.contains("west"), "a user's own value: {said}");
    }
    for using in ["a == '5'", "b == 5", "b == '5'", "b < current_user.rank", "a == current_user.town"] {
        let said = checked(&held, &[("s.json", &ruled(using, ""))]);
        assert!(said.contains("is good: 0 errors") && !said.contains("rule 'p'"), "{using}: {said}");
    }
}

#[test]
fn a_condition_of_a_hook_is_looked_at_where_nothing_is_changed() {
    let hook = |condition: &str| {
        let body = r#"{"language": "js", "source": ""}"#;
        let hook = format!(
            r#"{{"name": "h", "object": "one", "events": ["beforeInsert"], "condition": "{condition}", "body": {body}}}"#
        );
        checked(CONFIG, &[("s.json", &ruled("a == 'x'", &format!(",\n\"hooks\": [{hook}]")))])
    };
    let said = hook("record.nowhere == 1");
    let told = "warning: hook 'h' of 'one' is not run: its condition cannot be evaluated";
    assert!(said.contains(told) && said.contains("s.json:7:") && said.contains("'nowhere'"), "{said}");
    assert!(!hook("record.b == 1").contains("hook 'h'"));
}

#[test]
fn a_precision_that_leaves_no_digit_is_told_once() {
    let fields = |precision: &str| {
        let number = format!("{{\"type\": \"number\", \"precision\": {precision}}}");
        ruled("a == 'x'", "").replace("{\"type\": \"number\"}", &format!("{number}, \"c\": {number}"))
    };
    let told = "precision 0 of one.b and 1 more field leaves no digit: no number but 0 is stored there";
    let said = checked(CONFIG, &[("s.json", &fields("0"))]);
    assert!(said.contains(told) && said.contains("s.json:3:") && said.matches("precision 0").count() == 1, "{said}");
    let earlier = CONFIG.replace("path = \"meta\"", "path = \"meta\"\nprotocol = \"17.4\"");
    for (config, precision) in [(CONFIG, "3"), (earlier.as_str(), "0")] {
        assert!(!checked(config, &[("s.json", &fields(precision))]).contains("leaves no digit"), "{precision}");
    }
}
