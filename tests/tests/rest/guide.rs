//! What `querygate demo` prints of this door: its lines work as they stand, and print what it says that they print.

use querygate_tests::server::{DEMO_USERS, Request, demo};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The lines of a part of the guide, and those that they print.
fn part(title: &str) -> (String, Vec<String>) {
    let guide = &demo().guide;
    let from = guide.iter().position(|line| line.starts_with(title)).unwrap_or_else(|| panic!("{guide:#?}"));
    let mut lines = guide[from + 1..].iter();
    let program: Vec<&str> = lines.by_ref().map_while(|line| line.strip_prefix("  ")).collect();
    let printed = lines.map_while(|line| line.strip_prefix("  ")).map(str::to_owned).collect();
    (program.join("\n"), printed)
}

/// What a program prints, line by line.
fn printed_by(command: &mut Command) -> Vec<String> {
    let ran = command.stdin(Stdio::null()).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// Each user is answered, and no two alike.
fn are_three_answers(lines: &[String]) {
    for user in DEMO_USERS {
        assert!(lines.iter().any(|line| line.starts_with(&format!("{user} "))), "{lines:?}");
    }
    let answers: std::collections::BTreeSet<&str> =
        lines.iter().filter_map(|line| line.split_once(' ')).map(|(_, answer)| answer).collect();
    assert_eq!(answers.len(), lines.len(), "{lines:?}");
}

#[test]
fn the_printed_lines_of_a_shell_print_what_the_guide_says() {
    let (program, printed) = part("From a shell:");
    are_three_answers(&printed);
    assert_eq!(printed_by(Command::new("/bin/sh").args(["-c", &program])), printed);
}

/// Where ObjectStack's client is; `None` where npm cannot install it.
fn installed() -> Option<PathBuf> {
    let cache = std::env::var_os("QUERYGATE_CACHE").map(PathBuf::from);
    let cache = cache.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".cache/querygate")))?;
    let folder = cache.join("objectstack-client");
    if !folder.join("node_modules/@objectstack/client").exists() {
        std::fs::create_dir_all(&folder).ok()?;
        let arguments = ["install", "--no-audit", "--no-fund", "--ignore-scripts", "@objectstack/client@17.4.0"];
        let ran = Command::new("npm").args(arguments).current_dir(&folder).stdin(Stdio::null()).output().ok()?;
        ran.status.success().then_some(())?;
    }
    Some(folder)
}

#[test]
fn the_printed_lines_of_the_vendors_client_print_what_the_guide_says() {
    let (program, printed) = part("With ObjectStack's own client");
    are_three_answers(&printed);
    let Some(folder) = installed() else {
        println!("SKIPPED: @objectstack/client cannot be installed");
        return;
    };
    let file = folder.join(format!("guide-{}.mjs", std::process::id()));
    std::fs::write(&file, program).unwrap();
    let found = printed_by(Command::new("node").arg(&file).current_dir(&folder));
    std::fs::remove_file(file).unwrap();
    assert_eq!(found, printed);
}

/// The demo names no file for keys.
#[test]
fn a_gate_that_keeps_no_keys_offers_none() {
    let address = demo().server.rest.unwrap();
    let login = json!({"email": "ada@crm.example", "password": "demo-ada"});
    let token = Request::new("POST", "/api/v1/auth/sign-in/email").json(&login).send(address).json()["token"].clone();
    let bearer = format!("Bearer {}", token.as_str().unwrap());
    let send = |method, path| Request::new(method, path).header("authorization", &bearer).send(address);
    let described = send("GET", "/api/v1/openapi.json").json();
    assert!(described["paths"]["/api/v1/search"].is_object() && described["paths"].get("/api/v1/keys").is_none());
    assert_eq!(send("POST", "/api/v1/keys").status, 501);
}
