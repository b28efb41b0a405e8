//! Commands, run in this process, with their output captured.

use super::*;
use std::fs;
use tempfile::TempDir;

struct Ran {
    code: bool,
    text: String,
}

fn querygate(arguments: &[&str], input: &str) -> Ran {
    let (mut output, captured) = Output::captured(input);
    let arguments = ["querygate"].iter().chain(arguments).map(OsString::from);
    let code = run(arguments, &mut output);
    Ran { code: code == ExitCode::SUCCESS, text: captured.text() }
}

const STACK: &str = r#"{
  "manifest": {"id": "com.t", "namespace": "t", "version": "1.0.0", "type": "app", "name": "T"},
  "objects": [{"name": "t_notes", "label": "Note", "datasource": "db", "sharingModel": "private",
    "fields": {"title": {"type": "text"}, "pay": {"type": "currency"}}}],
  "permissions": [{"name": "t_reader", "label": "R", "objects": {"t_notes": {"allowRead": true}},
    "fields": {"t_notes.pay": {"readable": false}}}]
}"#;

fn setup(config: &str) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("stack.json"), STACK).unwrap();
    let file = folder.path().join("querygate.toml");
    fs::write(&file, config).unwrap();
    (folder, file.to_str().unwrap().to_owned())
}

const GOOD: &str = "[metadata]\npath = \"stack.json\"\n\n[[sources]]\nname = \"db\"\nkind = \"memory\"\n\n[[users]]\nname = \"nora\"\npermission_sets = [\"t_reader\"]\n";

#[test]
fn help_teaches_and_a_wrong_command_is_named() {
    let ran = querygate(&["--help"], "");
    assert!(ran.code && ran.text.contains("querygate demo") && ran.text.contains("introspect"), "{}", ran.text);
    let ran = querygate(&["serv"], "");
    assert!(!ran.code && ran.text.contains("serve"), "{}", ran.text);
    let ran = querygate(&["completions", "bash"], "");
    assert!(ran.code && ran.text.contains("_querygate"), "{}", ran.text);
}

#[test]
fn check_counts_what_is_good_and_points_at_what_is_not() {
    let (_folder, file) = setup(GOOD);
    let ran = querygate(&["check", &file], "");
    assert!(ran.code, "{}", ran.text);
    assert!(ran.text.contains("1 source, 1 user, 0 views") && ran.text.contains("1 object"), "{}", ran.text);
    let (_folder, file) = setup(&GOOD.replace("t_reader", "t_raeder").replace("name = \"db\"", "name = \"dd\""));
    let ran = querygate(&["check", &file], "");
    assert!(ran.code, "{}", ran.text);
    for expected in
        ["(did you mean `t_reader`?)", "no [[sources]] is named `db` (did you mean `dd`?)", "source `dd` is not"]
    {
        assert!(ran.text.contains(expected), "{expected}: {}", ran.text);
    }
    let (folder, file) = setup(&GOOD.replace("kind =", "knid ="));
    let ran = querygate(&["check", &file], "");
    assert!(
        !ran.code && ran.text.contains("did you mean `kind`?") && ran.text.contains("querygate.toml:6:1"),
        "{}",
        ran.text
    );
    fs::write(folder.path().join("stack.json"), STACK.replace("\"text\"", "\"txet\"")).unwrap();
    let ran = querygate(&["check", folder.path().join("stack.json").to_str().unwrap()], "");
    assert!(!ran.code && ran.text.contains("stack.json:4:"), "{}", ran.text);
}

#[test]
fn access_names_the_layers_and_hides_what_is_hidden() {
    let (_folder, file) = setup(GOOD);
    let ran = querygate(&["access", "-c", &file, "nora", "notes"], "");
    assert!(ran.code, "{}", ran.text);
    for expected in [
        "nora (nora) on t_notes, table notes",
        "read    allowed",
        "owner_id = 'nora'",
        "hidden  pay",
        "create  denied",
        "owd_baseline",
    ] {
        assert!(ran.text.contains(expected), "{expected}: {}", ran.text);
    }
    let ran = querygate(&["access", "-c", &file, "nora", "note"], "");
    assert!(!ran.code && ran.text.contains("Did you mean notes?"), "{}", ran.text);
    let ran = querygate(&["access", "-c", &file, "nara", "notes"], "");
    assert!(!ran.code && ran.text.contains("Did you mean nora?"), "{}", ran.text);
}

#[test]
fn access_judges_each_record_of_a_file() {
    let (folder, file) = setup(&GOOD.replace("[\"t_reader\"]", "[\"admin_full_access\"]"));
    let rows = folder.path().join("rows.json");
    fs::write(&rows, r#"{"t_notes": [{"id": "n1", "owner_id": "nora"}, {"id": "n2", "owner_id": "x"}]}"#).unwrap();
    let ran = querygate(&["access", "-c", &file, "nora", "t_notes", "--rows", rows.to_str().unwrap()], "");
    assert!(ran.text.contains("edit    allowed on 2 of 2 records: n1, n2"), "{}", ran.text);
}

#[test]
fn a_user_is_added_listed_and_changed() {
    let (_folder, file) = setup(GOOD);
    let ran = querygate(&["user", "add", "-c", &file, "sam", "--write"], "a password\n");
    assert!(ran.code && ran.text.contains("added in"), "{}", ran.text);
    let ran = querygate(&["user", "list", "-c", &file], "");
    assert!(ran.code && ran.text.contains("sam"), "{}", ran.text);
    let before = fs::read_to_string(&file).unwrap();
    assert!(before.contains("SCRAM-SHA-256$4096:") && !before.contains("a password"));
    let ran = querygate(&["user", "add", "-c", &file, "sam", "--write"], "another\n");
    assert!(ran.code && ran.text.contains("changed the verifier"), "{}", ran.text);
    assert_eq!(fs::read_to_string(&file).unwrap().matches("name = \"sam\"").count(), 1);
    let ran = querygate(&["user", "add", "x", "--generate"], "");
    assert!(ran.code && ran.text.contains("password: ") && ran.text.contains("[[users]]"), "{}", ran.text);
    assert!(!querygate(&["user", "add", "x"], "").code);
}

#[test]
fn introspect_writes_metadata_that_check_accepts() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("people.csv"), "id,name\n1,Ada\n").unwrap();
    let metadata = folder.path().join("metadata");
    let arguments = ["introspect", data.to_str().unwrap(), "--namespace", "lake", "-o", metadata.to_str().unwrap()];
    let ran = querygate(&arguments, "");
    assert!(ran.code && ran.text.contains("permission_sets = [\"lake_reader\"]"), "{}", ran.text);
    let ran = querygate(&["check", metadata.to_str().unwrap()], "");
    assert!(ran.code && ran.text.contains("1 object"), "{}", ran.text);
    assert!(!querygate(&arguments, "").code, "an existing file is kept");
    let arguments = ["introspect", data.to_str().unwrap(), "--namespace", "two", "-o", metadata.to_str().unwrap()];
    assert!(querygate(&arguments, "").code);
    let ran = querygate(&["check", metadata.to_str().unwrap()], "");
    assert!(ran.code && ran.text.contains("2 packages, 2 objects"), "{}", ran.text);
    let ran = querygate(&["introspect", folder.path().join("none").to_str().unwrap()], "");
    assert!(!ran.code && ran.text.contains("cannot read"), "{}", ran.text);
}

#[test]
fn sql_says_which_user_is_missing() {
    let (_folder, file) = setup(&format!("{GOOD}\n[[users]]\nname = \"sam\"\n"));
    let ran = querygate(&["sql", "-c", &file, "SELECT 1"], "");
    assert!(!ran.code && ran.text.contains("which user asks?") && ran.text.contains("nora, sam"), "{}", ran.text);
}
