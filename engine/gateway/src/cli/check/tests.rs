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
