//! Commands, run in this process, with their output captured.

mod known_ids;
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
    for command in ["user", "key", "hook"] {
        let ran = querygate(&[command, "--help"], "");
        assert!(ran.code && ran.text.contains(&format!("\n  querygate {command} ")), "{}", ran.text);
    }
}

#[test]
fn help_leaves_the_breaks_of_lines_to_the_terminal() {
    fn texts(command: &clap::Command, found: &mut Vec<String>) {
        found.extend(command.get_after_help().map(|text| text.to_string()));
        command.get_subcommands().for_each(|sub| texts(sub, found));
    }
    let mut found = Vec::new();
    texts(&<args::Cli as clap::CommandFactory>::command(), &mut found);
    assert!(found.len() > 15);
    for text in found {
        let lines: Vec<&str> = text.lines().collect();
        for pair in lines.windows(2) {
            let goes_on = pair[1].starts_with(|c: char| c.is_lowercase()) && !pair[0].ends_with(['.', ':', ';']);
            assert!(!goes_on || pair[0].starts_with("  ") || pair[0].len() < 60, "{} / {}", pair[0], pair[1]);
        }
    }
}

#[test]
fn a_reader_that_has_left_ends_a_command_quietly() {
    let (_folder, file) = setup(GOOD);
    let file = file.as_str();
    for arguments in [
        &["--help"][..],
        &["completions", "bash"][..],
        &["check", file][..],
        &["user", "list", "-c", file][..],
        &["access", "-c", file, "nora", "notes"][..],
        &["sql", "-c", file, "-u", "nora", "SELECT 1"][..],
    ] {
        let (mut output, captured) = Output::unread();
        let code = run(["querygate"].iter().chain(arguments).map(OsString::from), &mut output);
        let said = captured.text().to_lowercase();
        assert!(code == ExitCode::from(141) && !said.contains("error"), "{arguments:?}: {code:?} {said}");
    }
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
    for expected in [
        "did you mean `t_reader`?",
        "querygate.toml:10:",
        "no [[sources]] is named `db` (did you mean `dd`?)",
        "source `dd` is not",
        "querygate.toml:4:",
    ] {
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
    let ran = querygate(&["access", "-c", &file, "nora", "something_else"], "");
    assert!(!ran.code && ran.text.contains("There are: ") && ran.text.contains("notes"), "{}", ran.text);
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
fn the_shell_says_that_there_is_no_such_table() {
    let (_folder, file) = setup(GOOD);
    let ran = querygate(&["sql", "-c", &file, "-u", "nora"], "\\d nosuch\n\\d notes\n");
    assert!(ran.code && ran.text.contains("Did not find any relation named \"nosuch\".\n"), "{}", ran.text);
    assert!(ran.text.contains("title") && !ran.text.contains("(0 rows)"), "{}", ran.text);
}

#[test]
fn introspect_says_where_it_found_no_server() {
    for kind in ["postgres", "mysql"] {
        let ran = querygate(&["introspect", &format!("{kind}://reader@127.0.0.1:1/shop")], "");
        assert!(!ran.code && ran.text.contains("no server can be reached at 127.0.0.1:1\n"), "{}", ran.text);
        assert!(ran.text.contains("hint: Check host and port"), "{}", ran.text);
    }
}

#[test]
fn sql_says_which_user_is_missing() {
    let (_folder, file) = setup(&format!("{GOOD}\n[[users]]\nname = \"sam\"\n"));
    let ran = querygate(&["sql", "-c", &file, "SELECT 1"], "");
    assert!(!ran.code && ran.text.contains("which user asks?") && ran.text.contains("nora, sam"), "{}", ran.text);
}

/// A folder of metadata: the stack beside files of rows.
fn folder_with(stack: &str, files: &[(&str, &str)], config: &str) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let metadata = folder.path().join("metadata");
    fs::create_dir(&metadata).unwrap();
    fs::write(metadata.join("stack.json"), stack).unwrap();
    for (name, text) in files {
        fs::write(metadata.join(name), text).unwrap();
    }
    let file = folder.path().join("querygate.toml");
    fs::write(&file, config.replace("stack.json", "metadata")).unwrap();
    (folder, file.to_str().unwrap().to_owned())
}

const NOTES: &str = "{\"id\": \"n1\", \"owner_id\": \"nora\", \"title\": \"a\"}\n{\"id\": \"n2\", \"owner_id\": \"x\", \"title\": \"b\"}\n";

#[test]
fn check_refuses_rows_that_serving_could_not_use() {
    let (_folder, file) = folder_with(STACK, &[("t_notes.ndjson", NOTES)], GOOD);
    let ran = querygate(&["check", &file], "");
    assert!(ran.code && ran.text.contains("2 seed rows"), "{}", ran.text);

    let (_folder, file) = folder_with(STACK, &[("t_notes.ndjson", "{\"id\": \"n1\"}\n{\"titel\": \"x\"}\n")], GOOD);
    let ran = querygate(&["check", &file], "");
    let expected = "a row of 't_notes' cannot be served, and so its table: unknown key \"titel\", nearest is \"title\"";
    assert!(!ran.code && ran.text.contains(expected) && ran.text.contains("t_notes.ndjson:2:1"), "{}", ran.text);
    let ran = querygate(&["sql", "-c", &file, "-u", "nora", "SELECT * FROM notes"], "");
    assert!(!ran.code && ran.text.contains("58000") && ran.text.contains("Trying again does not help"), "{}", ran.text);

    let membership = ("sys_user_position.ndjson", "\n{\"user\": \"nora\", \"position\": \"boss\"}\n");
    let (_folder, file) = folder_with(STACK, &[membership], GOOD);
    let ran = querygate(&["check", &file], "");
    let (message, place) = ("sys_user_position: user_id is missing", "sys_user_position.ndjson:2:1");
    assert!(!ran.code && ran.text.contains(message) && ran.text.contains(place), "{}", ran.text);
    let ran = querygate(&["sql", "-c", &file, "-u", "nora", "SELECT 1"], "");
    assert!(!ran.code && ran.text.contains(message) && ran.text.contains(place), "{}", ran.text);

    let (_folder, file) = folder_with(STACK, &[("t_note.ndjson", NOTES), ("t_notes.ndjson", "[1]\n")], GOOD);
    let ran = querygate(&["check", &file], "");
    for expected in ["Did you mean 't_notes.ndjson'?", "a row is a JSON object", "t_notes.ndjson:1:1"] {
        assert!(!ran.code && ran.text.contains(expected), "{expected}: {}", ran.text);
    }
}

/// The stack with row policies on its one object.
fn with_policies(policies: &str) -> String {
    let with = format!("{{\"name\": \"t_reader\", \"rowLevelSecurity\": {policies},");
    let public = STACK.replace("\"private\"", "\"public_read\"");
    public.replace("{\"name\": \"t_reader\",", &with)
}

#[test]
fn a_rule_that_cannot_be_applied_is_an_error_and_refuses_reads() {
    let policy = |using: &str| {
        with_policies(&format!(r#"[{{"name": "p", "object": "t_notes", "operation": "select", "using": "{using}"}}]"#))
    };
    let (_folder, file) = folder_with(&policy("titel == 'a'"), &[("t_notes.ndjson", NOTES)], GOOD);
    let ran = querygate(&["check", &file], "");
    let rule = "rule 'p' cannot be applied to 't_notes': there is no column 'titel'";
    for expected in [rule, "stack.json:5:", "Did you mean 'title'?", "not usable: 1 error"] {
        assert!(!ran.code && ran.text.contains(expected), "{expected}: {}", ran.text);
    }
    for sql in ["SELECT * FROM notes", "SELECT count(*) FROM notes"] {
        let ran = querygate(&["sql", "-c", &file, "-u", "nora", sql], "");
        for expected in ["42501", "permission denied for table notes", "A rule that decides about its rows"] {
            assert!(!ran.code && ran.text.contains(expected) && !ran.text.contains("titel"), "{sql}: {}", ran.text);
        }
    }
    let ran = querygate(&["access", "-c", &file, "nora", "notes"], "");
    assert!(ran.text.contains("read    denied   rule 'p' cannot be applied"), "{}", ran.text);

    // A value that this user lacks hides the rows, as ever; that nobody has it is a warning.
    let (_folder, file) = folder_with(&policy("title == current_user.town"), &[("t_notes.ndjson", NOTES)], GOOD);
    let ran = querygate(&["check", &file], "");
    let town = "no user has current_user.town: the rule drops out, and opens no row";
    assert!(ran.code && ran.text.contains(town) && ran.text.contains("stack.json:5:"), "{}", ran.text);
    let ran = querygate(&["sql", "-c", &file, "-u", "nora", "--csv", "SELECT count(*) AS n FROM notes"], "");
    assert!(ran.code && ran.text.contains("n\n0\n"), "{}", ran.text);
    let (_folder, file) = folder_with(
        &policy("title == current_user.town"),
        &[("t_notes.ndjson", NOTES)],
        &format!("{GOOD}attributes = {{ town = \"a\" }}\n"),
    );
    let ran = querygate(&["check", &file], "");
    assert!(ran.code && !ran.text.contains("current_user"), "{}", ran.text);
    let ran = querygate(&["sql", "-c", &file, "-u", "nora", "--csv", "SELECT id FROM notes"], "");
    assert!(ran.code && ran.text.contains("id\nn1\n") && !ran.text.contains("n2"), "{}", ran.text);
}

#[test]
fn a_rule_for_a_team_is_a_warning() {
    let rule = |recipient: &str| {
        format!(
            r#""sharingRules": [{{"name": "shared", "type": "criteria", "object": "t_notes", "condition": "record.title == 'a'",
            "accessLevel": "read", "sharedWith": {{"type": "{recipient}", "value": "t1"}}}}],
            "permissions": ["#
        )
    };
    for (recipient, warned) in [("team", true), ("user", false)] {
        let stack = STACK.replace("\"permissions\": [", &rule(recipient));
        let (_folder, file) = folder_with(&stack, &[("t_notes.ndjson", NOTES)], GOOD);
        let ran = querygate(&["check", &file], "");
        let told = "rule 'shared' shares with a team, whose members are not known here: it shares with nobody";
        assert!(ran.code && ran.text.contains(told) == warned, "{recipient}: {}", ran.text);
        assert_eq!(ran.text.contains("stack.json:5:"), warned, "{recipient}: {}", ran.text);
    }
}

#[test]
fn details_without_a_master_are_an_error_and_refused() {
    let stack = STACK.replace("\"private\"", "\"controlled_by_parent\"");
    let (_folder, file) = folder_with(&stack, &[("t_notes.ndjson", NOTES)], GOOD);
    let ran = querygate(&["check", &file], "");
    let expected =
        "rule 'controlled_by_parent' cannot be applied to 't_notes': 't_notes' has not exactly one master_detail";
    assert!(!ran.code && ran.text.contains(expected) && ran.text.contains("stack.json:3:"), "{}", ran.text);
    let ran = querygate(&["sql", "-c", &file, "-u", "nora", "SELECT * FROM notes"], "");
    assert!(!ran.code && ran.text.contains("42501"), "{}", ran.text);
}

#[test]
fn access_shows_the_rights_that_serving_gives() {
    let config = GOOD.replace("permission_sets = [\"t_reader\"]\n", "user_id = \"u1\"\n");
    let rows = [
        ("t_notes.ndjson", NOTES),
        ("sys_permission_set.ndjson", "{\"id\": \"s1\", \"name\": \"t_reader\"}\n"),
        ("sys_user_permission_set.ndjson", "{\"user_id\": \"u1\", \"permission_set_id\": \"s1\"}\n"),
    ];
    let (folder, file) = folder_with(&STACK.replace("\"private\"", "\"public_read\""), &rows, &config);
    let ran = querygate(&["access", "-c", &file, "nora", "notes"], "");
    for expected in ["t_reader", "read    allowed", "hidden  pay", "read    shows 2 of 2 records: n1, n2"] {
        assert!(ran.code && ran.text.contains(expected), "{expected}: {}", ran.text);
    }
    let ran = querygate(&["sql", "-c", &file, "--csv", "SELECT id FROM notes ORDER BY id"], "");
    assert!(ran.code && ran.text.contains("id\nn1\nn2\n"), "{}", ran.text);
    // Rows of a business object leave the memberships as they are.
    let given = folder.path().join("rows.json");
    let ids: Vec<String> = (0..25).map(|n| format!("{{\"id\": \"r{n:02}\", \"owner_id\": \"u1\"}}")).collect();
    fs::write(&given, format!("{{\"t_notes\": [{}]}}", ids.join(","))).unwrap();
    let given = given.to_str().unwrap();
    let ran = querygate(&["access", "-c", &file, "nora", "notes", "--rows", given], "");
    assert!(ran.text.contains("read    allowed") && ran.text.contains("shows 25 of 25 records: r00"), "{}", ran.text);
    assert!(ran.text.contains("r19 and 5 more, which --json lists"), "{}", ran.text);
    let ran = querygate(&["access", "-c", &file, "nora", "notes", "--rows", given, "--json"], "");
    // Findings of the configuration go to standard error, before it.
    let told: serde_json::Value = serde_json::from_str(ran.text.lines().last().unwrap()).unwrap();
    assert_eq!(told["records"].as_array().unwrap().len(), 25);
    assert_eq!(told["records"][24]["id"], "r24");
    assert_eq!(told["records"][24]["edit"]["code"], "PERMISSION_DENIED");
    assert_eq!(told["read"]["allowed"], true);
    assert_eq!(told["read"]["hidden"], serde_json::json!(["pay"]));
}

#[test]
fn access_judges_the_record_to_create() {
    let create = STACK.replace("\"allowRead\": true", "\"allowRead\": true, \"allowCreate\": true");
    let (_folder, file) = folder_with(&create, &[], GOOD);
    let ran = |record: &str| querygate(&["access", "-c", &file, "nora", "notes", "--record", record], "");
    assert!(ran("{\"title\": \"x\"}").text.contains("create  allowed\n"), "{}", ran("{}").text);
    let theirs = ran("{\"owner_id\": \"x\"}");
    assert!(theirs.text.contains("create  denied   PERMISSION_DENIED: 'owner_id'"), "{}", theirs.text);
    let locked = ran("{\"pay\": 1}");
    assert!(locked.text.contains("not permitted to edit [pay]"), "{}", locked.text);
    assert!(!ran("[1]").code && ran("[1]").text.contains("--record is not a JSON object"));
}

#[test]
fn check_reads_views_and_the_files_that_serving_opens() {
    let view = |name: &str, sql: &str| format!("[[views]]\nname = \"{name}\"\nsql = \"{sql}\"\n");
    let views = [
        view("one", "SELEC 1"),
        view("two", "SET a = 1"),
        view("notes", "SELECT 1"),
        view("good", "SELECT 1"),
        view("par", "SELECT $1::int"),
    ];
    let (_folder, file) = setup(&format!("{GOOD}{}", views.concat()));
    let ran = querygate(&["check", &file], "");
    let expected = [
        "view `one` will not be there",
        "toml:13:",
        "view `two` will not be there",
        "view `notes` has the name",
        "toml:18:",
        "view `par` will not be there: there is no parameter $1",
        "not usable: 4 errors",
    ];
    for expected in expected {
        assert!(!ran.code && ran.text.contains(expected), "{expected}: {}", ran.text);
    }
    assert!(!ran.text.contains("`good`"), "{}", ran.text);

    let tables = "[log]\naudit = \"none/audit.ndjson\"\n[server]\ntls_certificate = \"no.pem\"\ntls_key = \"no.key\"\n";
    let (_folder, file) = setup(&format!("{GOOD}{tables}"));
    let ran = querygate(&["check", &file], "");
    for expected in ["none/audit.ndjson cannot be opened: there is no folder", "no.pem for TLS", "not usable: 2 errors"]
    {
        assert!(!ran.code && ran.text.contains(expected), "{expected}: {}", ran.text);
    }
    let ran = querygate(&["check", "--offline", &file], "");
    assert!(ran.code, "{}", ran.text);

    let (_folder, file) = setup(&GOOD.replace("stack.json", "none"));
    let ran = querygate(&["check", &file], "");
    let place = format!("none: no such file or folder\n --> {file}:2:8\n");
    assert!(!ran.code && ran.text.contains(&place) && ran.text.contains("not usable: 1 error"), "{}", ran.text);
}

#[test]
fn check_says_that_nothing_of_a_source_is_opened_by_the_metadata() {
    let external = |datasource: &str, object: &str| {
        let datasources = format!(
            r#""datasources": [{{"name": "db", "driver": "sqlite", "config": {{}}, "schemaMode": "external", "external": {datasource}}}],
            "objects": ["#
        );
        let object = format!(r#""datasource": "db", "external": {object},"#);
        STACK
            .replace("\"private\"", "\"public_read\"")
            .replace("\"objects\": [{\"name\"", &format!("{datasources}{{\"name\""))
            .replace("\"datasource\": \"db\", \"sharing", &format!("{object} \"sharing"))
    };
    let config = GOOD.replace("\"memory\"", "\"sqlite\"\npath = \"none.sqlite\"\nwrites = true");
    let config = format!("{config}[writes]\nenabled = true\n");
    let told = |stack: &str| {
        let (folder, file) = setup(&config);
        fs::write(folder.path().join("stack.json"), stack).unwrap();
        querygate(&["check", &file], "").text
    };
    let both = told(&external("{}", r#"{"remoteName": "notes"}"#));
    let expected = "nothing of `db` is changed: its datasource does not say external.allowWrites, and none of its objects says external.writable";
    assert!(both.contains(expected), "{both}");
    let one = told(&external(r#"{"allowWrites": true}"#, r#"{"remoteName": "notes"}"#));
    assert!(one.contains("nothing of `db` is changed: none of its objects says external.writable"), "{one}");
    let open = told(&external(r#"{"allowWrites": true}"#, r#"{"remoteName": "notes", "writable": true}"#));
    assert!(!open.contains("nothing of `db`"), "{open}");
}

#[test]
fn formulas_and_scripts_that_cannot_be_read_are_told_with_their_places() {
    let stack = STACK.replace(
        "\"pay\": {\"type\": \"currency\"}",
        "\"pay\": {\"type\": \"currency\"},\n\"shown\": {\"type\": \"formula\", \"returnType\": \"text\", \"expression\": \"record.titel\"}",
    );
    let hook = |name: &str, source: &str| {
        format!(
            r#"{{"name": "{name}", "object": "t_notes", "events": ["beforeInsert"], "body": {{"language": "js", "source": "{source}"}}}}"#
        )
    };
    let hooks = [hook("broken", "ctx.input.x = ;"), hook("whole", "if (true) { ctx.input.title = 'x'; }")].join(", ");
    let stack = stack.replace("\"permissions\": [", &format!("\"hooks\": [\n{hooks}],\n\"permissions\": ["));
    let (folder, file) = setup(GOOD);
    fs::write(folder.path().join("stack.json"), stack).unwrap();
    let ran = querygate(&["check", &file], "");
    for expected in [
        "formula t_notes.shown is not served",
        "stack.json:5:",
        "Did you mean 'title'?",
        "hook 'broken' is no JavaScript",
    ] {
        assert!(ran.code && ran.text.contains(expected), "{expected}: {}", ran.text);
    }
    assert!(!ran.text.contains("'whole'"), "{}", ran.text);
}

#[test]
fn values_that_fields_would_refuse_are_told_with_their_places() {
    let fields = r#""pay": {"type": "currency"},
      "state": {"type": "select", "options": [{"value": "new", "label": "New"}], "defaultValue": "nwe"},
      "number": {"type": "autonumber", "autonumberFormat": "O-{00"}"#;
    let stack = STACK.replace("\"pay\": {\"type\": \"currency\"}", fields);
    let data = r#""data": [{"object": "t_notes", "externalId": "id", "mode": "insert", "records": [
      {"id": "n1", "title": "a"}, {"id": "n2", "title": "b"},
      {"id": "n1", "title": "c"}]}],"#;
    let stack = stack.replace("\"permissions\": [", &format!("{data}\n\"permissions\": ["));
    let (folder, file) = setup(GOOD);
    fs::write(folder.path().join("stack.json"), stack).unwrap();
    let ran = querygate(&["check", &file], "");
    for expected in [
        "the default 'nwe' of t_notes.state is none of its options",
        "Did you mean 'new'?",
        "stack.json:5:",
        "brackets of autonumberFormat of t_notes.number are not closed: O-{00",
        "two seed rows of t_notes have the key \"n1\"",
        "stack.json:9:",
    ] {
        assert!(ran.text.contains(expected), "{expected}: {}", ran.text);
    }
}
