//! Many rows that somebody deletes who never does are told at once; the same person's ordinary changes are not.

use super::{ask, wait_for};
use querygate_tests::server::{Server, binary};
use std::io::Write;
use std::process::{Command, Stdio};
use tempfile::TempDir;

const STACK: &str = "manifest: { id: com.example.desk, namespace: desk, version: 1.0.0, type: app, name: Desk, engines: { protocol: \"^17\" } }
objects:
  - name: desk_notes
    label: Note
    datasource: desk
    sharingModel: public_read_write
    access: { default: private }
    systemFields: false
    fields:
      id: { type: text, required: true }
      n: { type: number }
permissions:
  - name: desk_all
    label: Everything
    objects:
      desk_notes: { allowRead: true, allowCreate: true, allowEdit: true, allowDelete: true, viewAllRecords: true, modifyAllRecords: true }
";

/// A gate over 2,000 rows in memory, which learns.
fn gate() -> (TempDir, Server) {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir(at("metadata")).unwrap();
    std::fs::write(at("metadata/stack.yaml"), STACK).unwrap();
    let rows: String = (0..2_000).map(|n| format!("{{\"id\":\"n{n:04}\",\"n\":{n}}}\n")).collect();
    std::fs::write(at("metadata/desk_notes.ndjson"), rows).unwrap();
    let config = "[server]\ndatabase = \"demo\"\npostgres = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\n[flight]\naddress = \"127.0.0.1:0\"\n\
        [metadata]\npath = \"metadata\"\n[writes]\nenabled = true\n[learning]\ndirectory = \"learnt\"\n\
        [[sources]]\nname = \"desk\"\nkind = \"memory\"\nwrites = true\n\
        [[users]]\nname = \"ada\"\noperator = true\n[[users]]\nname = \"sam\"\npermission_sets = [\"desk_all\"]\n";
    std::fs::write(at("querygate.toml"), config).unwrap();
    for user in ["ada", "sam"] {
        let mut command = Command::new(binary());
        command.args(["user", "add", user, "--write"]).current_dir(folder.path());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(format!("demo-{user}\n").as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
    }
    let server = Server::serve(&at("querygate.toml"));
    (folder, server)
}

#[test]
fn a_mass_delete_is_an_incident_and_ordinary_changes_are_none() {
    let (_folder, server) = gate();
    let ordinary: Vec<String> = (0..40)
        .map(|n| match n % 4 {
            0 => format!("DELETE FROM notes WHERE id = 'n{n:04}'"),
            1 => format!("INSERT INTO notes (id, n) VALUES ('x{n}', 1), ('y{n}', 2)"),
            _ => format!("UPDATE notes SET n = n + 1 WHERE id IN ('n1{n:03}', 'n0{n:03}')"),
        })
        .chain((100..125).map(|n| format!("DELETE FROM notes WHERE id = 'n0{n}'")))
        .collect();
    let _ = ask(&server, "sam", &ordinary.join("; "));
    let known = "SELECT sum(statements) FROM querygate.templates WHERE objects LIKE 'notes%'";
    wait_for(&server, "sam", known, &["65"]);
    let found = "SELECT kind, severity, subject, login, state FROM querygate.anomalies";
    assert_eq!(ask(&server, "ada", found), [""; 0]);
    assert_eq!(ask(&server, "sam", "DELETE FROM notes WHERE n > 900"), ["DELETE 1099"]);
    wait_for(&server, "ada", found, &["bulk delete|critical|deletes sam notes|sam|open"]);
    let what = ask(&server, "sam", "SELECT what FROM querygate.anomalies");
    assert!(
        matches!(&what[..], [what] if what.starts_with("sam deleted 1,1") && what.contains(" rows of notes in ")),
        "{what:?}"
    );
    let muted = ask(&server, "ada", "CALL querygate.mute('deletes sam notes', 1)");
    assert!(muted.iter().any(|told| told.contains("deletes sam notes is muted")), "{muted:?}");
}
