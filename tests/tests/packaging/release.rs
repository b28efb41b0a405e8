//! What a release holds beside the program: the parts of others with their licences, manual pages, completions, the wheel.

use super::files::{passes, run};
use super::{packaging, read, root};
use querygate_tests::server::binary;
use std::process::Command;

#[test]
fn the_list_of_parts_names_crates_with_licences_and_checksums() {
    let Some((success, text)) = run("python3", &["sbom"], &packaging()) else { return };
    assert!(success, "{text}");
    let parts: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((parts["bomFormat"].as_str(), parts["specVersion"].as_str()), (Some("CycloneDX"), Some("1.5")));
    let components = parts["components"].as_array().unwrap();
    let named = |name: &str| components.iter().find(|one| one["name"] == name).unwrap();
    assert!(components.len() > 100);
    assert!(components.iter().all(|one| one["licenses"].is_array()), "a part without a licence");
    assert_eq!(named("tokio")["hashes"][0]["alg"], "SHA-256");
    assert!(
        named("querygate-policy")["hashes"].is_null() && !components.iter().any(|one| one["name"] == "querygate-tests")
    );
    let known: std::collections::BTreeSet<&str> = components
        .iter()
        .chain([&parts["metadata"]["component"]])
        .map(|one| one["bom-ref"].as_str().unwrap())
        .collect();
    let uses = parts["dependencies"].as_array().unwrap();
    assert_eq!(uses.len(), known.len());
    let used = uses.iter().flat_map(|one| one["dependsOn"].as_array().unwrap());
    assert!(used.map(|one| one.as_str().unwrap()).all(|one| known.contains(one)));
}

#[test]
fn each_part_of_others_has_a_licence_with_its_text() {
    let Some((success, text)) = run("python3", &["licences"], &packaging()) else { return };
    assert!(success, "{text}");
    let (list, texts) = text.split_once("\n==================== text 1 ").unwrap();
    let parts: Vec<&str> = list.lines().skip(2).filter(|line| !line.is_empty()).collect();
    assert!(parts.len() > 100 && parts[0].starts_with("the standard library of Rust "), "{list}");
    let count = 1 + texts.matches("\n==================== text ").count();
    for part in parts {
        let (name, numbers) = part.rsplit_once("; text ").unwrap_or_else(|| panic!("no text: {part}"));
        assert!(
            numbers.split(", ").all(|one| one.parse::<usize>().is_ok_and(|one| (1..=count).contains(&one))),
            "{part}"
        );
        assert!(!name.starts_with("querygate"), "{name}");
    }
    // What parts hold of others comes with its own licence.
    assert!(text.contains("Fabrice Bellard") && text.contains("Jason Evans"), "QuickJS and jemalloc");
}

#[test]
fn each_command_has_a_manual_page_and_shells_complete_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut manuals = Command::new("python3");
    manuals.arg("manuals").arg(binary()).arg(folder.path()).current_dir(packaging()).env("SOURCE_DATE_EPOCH", "86400");
    let output = manuals.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let first = read(&folder.path().join("man/man1/querygate.1"));
    assert!(
        first.starts_with(".TH \"QUERYGATE\" 1 \"1970-01-02\" \"querygate ") && first.contains(".SH START HERE"),
        "{first}"
    );
    let help = Command::new(binary()).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let list = help.split("\nCommands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let indented = list.lines().filter_map(|line| line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')));
    let commands: Vec<&str> =
        indented.map(|line| line.split(' ').next().unwrap()).filter(|name| *name != "help").collect();
    assert!(commands.len() > 15, "{commands:?}");
    for command in commands {
        let page = read(&folder.path().join(format!("man/man1/querygate-{command}.1")));
        assert!(page.contains(&format!("\n.SH SYNOPSIS\n.nf\nquerygate {command} ")), "{page}");
        assert!(first.contains(&format!(".BR querygate\\-{command} (1)")), "{command}");
        for shell in [
            "bash-completion/completions/querygate",
            "zsh/site-functions/_querygate",
            "fish/vendor_completions.d/querygate.fish",
        ] {
            assert!(read(&folder.path().join(shell)).contains(command), "{shell} lacks {command}");
        }
    }
}

#[test]
fn a_wheel_names_the_library_that_its_program_needs_and_the_sums_of_its_files() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("share")).unwrap();
    std::fs::write(folder.path().join("share/page.1"), "a page").unwrap();
    let mut wheel = Command::new("python3");
    wheel.args(["wheel", "/bin/true"]).arg(folder.path().join("share")).arg(folder.path()).arg(root().join("LICENSE"));
    let output = wheel.current_dir(packaging()).env("SOURCE_DATE_EPOCH", "500000000").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let name = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    let version = env!("CARGO_PKG_VERSION");
    assert!(name.starts_with(&format!("querygate-{version}-py3-none-manylinux_2_")), "{name}");
    // As pip judges: each file with its sum, the program with its mode.
    let judge = r#"
import base64, hashlib, sys, zipfile
wheel = zipfile.ZipFile(sys.argv[1])
record = next(name for name in wheel.namelist() if name.endswith(".dist-info/RECORD"))
rows = [line.split(",") for line in wheel.read(record).decode().splitlines()]
assert [row[0] for row in rows] == wheel.namelist(), rows
for name, digest, size in rows[:-1]:
    made = base64.urlsafe_b64encode(hashlib.sha256(wheel.read(name)).digest()).rstrip(b"=").decode()
    assert (digest, size) == ("sha256=" + made, str(len(wheel.read(name)))), name
program = wheel.infolist()[0]
assert program.filename.endswith(".data/scripts/querygate") and program.external_attr >> 16 == 0o100755, program
assert wheel.read(program) == open("/bin/true", "rb").read()
assert wheel.namelist()[1].endswith(".data/data/share/page.1"), wheel.namelist()
"#;
    passes("python3", &["-c", judge, &name], folder.path());
}
