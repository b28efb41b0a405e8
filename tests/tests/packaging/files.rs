//! Files that other programs read: each is given to its program where that is installed, and looked through where it is not.

use super::{files_in, packaging, read, root};
use querygate_tests::server::binary;
use std::path::Path;
use std::process::Command;

/// Runs a program; `None`: it is not installed, which is said.
pub(crate) fn run(program: &str, arguments: &[&str], folder: &Path) -> Option<(bool, String)> {
    match Command::new(program).args(arguments).current_dir(folder).output() {
        Ok(output) => {
            let text = [output.stdout, output.stderr].concat();
            Some((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
        }
        Err(_) => {
            eprintln!("SKIPPED: {program} is not installed, and {arguments:?} in {} was not run", folder.display());
            None
        }
    }
}

pub(crate) fn passes(program: &str, arguments: &[&str], folder: &Path) {
    if let Some((success, text)) = run(program, arguments, folder) {
        assert!(success, "{program} {arguments:?}: {text}");
    }
}

#[test]
fn rules_pass_their_tests_in_promtool() {
    let folder = packaging().join("prometheus");
    passes("promtool", &["check", "rules", "alerts.yml"], &folder);
    passes("promtool", &["test", "rules", "alerts.test.yml"], &folder);
    passes("promtool", &["check", "config", "prometheus.yml"], &folder);
}

#[test]
fn yaml_and_json_are_well_formed() {
    let here = packaging();
    let json = [here.join("debian/metadata/example.json"), here.join("compose/metadata/shop.json")];
    for file in json {
        let _: serde_json::Value = serde_json::from_str(&read(&file)).unwrap();
    }
    let files =
        ["compose.yaml", "compose/grafana/datasources/prometheus.yaml", "compose/grafana/dashboards/querygate.yaml"];
    if !matches!(run("python3", &["-c", "import yaml"], &here), Some((true, _))) {
        eprintln!("SKIPPED: PyYAML is not installed, and {files:?} were not parsed");
        return;
    }
    for file in files {
        let text = "import sys, yaml; yaml.safe_load(open(sys.argv[1]))";
        passes("python3", &["-c", text, file], &here);
    }
}

#[test]
fn a_composition_is_confined_and_mounts_what_is_there() {
    let here = packaging();
    let text = read(&here.join("compose.yaml"));
    let services = text.split("\nservices:\n").nth(1).unwrap().split("\nnetworks:\n").next().unwrap();
    let named: Vec<&str> = services
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.strip_suffix(':').filter(|name| !name.starts_with(' ')))
        .collect();
    assert_eq!(named, ["gate", "worker", "postgres", "prometheus", "grafana"]);
    for wanted in ["<<: *confined", "healthcheck:", "resources: {limits: {cpus:", "pids: "] {
        assert_eq!(services.matches(wanted).count(), named.len(), "{wanted}");
    }
    assert!(text.contains("read_only: true") && text.contains("cap_drop: [ALL]"));
    for line in services.lines().filter_map(|line| line.trim().strip_prefix("- ./")) {
        let path = line.split(':').next().unwrap();
        assert!(here.join(path).exists(), "{path} is mounted and is not there");
    }
    // What Docker Compose itself says. Its first version is another language.
    let first = |text: &str| text.trim_start_matches('v').starts_with("1.");
    let version = |program: &str, words: &[&str]| {
        let output = Command::new(program).args(words).output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned()).filter(|text| !first(text))
    };
    if version("docker", &["compose", "version", "--short"]).is_some() {
        passes("docker", &["compose", "config", "--quiet"], &here);
    } else if version("docker-compose", &["version", "--short"]).is_some() {
        passes("docker-compose", &["config", "--quiet"], &here);
    } else {
        eprintln!("SKIPPED: Docker Compose is not installed, and compose.yaml was not parsed by it");
    }
    // Secrets come as files: no password is in the environment or in the file.
    for line in services.lines().filter(|line| line.contains("PASSWORD")) {
        assert!(line.contains("_FILE: /run/secrets/"), "{line}");
    }
}

#[test]
fn the_units_are_what_systemd_takes() {
    for name in ["querygate.service", "querygate-worker.service"] {
        let unit = read(&packaging().join("systemd").join(name));
        for line in unit.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let is_section = line.starts_with('[') && line.ends_with(']');
            assert!(
                is_section || line.split_once('=').is_some_and(|(key, _)| key.chars().all(char::is_alphanumeric)),
                "{name}: {line}"
            );
        }
        for wanted in ["NoNewPrivileges=yes", "ProtectSystem=strict", "MemoryDenyWriteExecute=yes", "User=querygate"] {
            assert!(unit.lines().any(|line| line == wanted), "{name}: {wanted}");
        }
        let folder = tempfile::tempdir().unwrap();
        // A copy whose programs are there.
        let here = unit.replace("/usr/bin/querygate", binary().to_str().unwrap());
        std::fs::write(folder.path().join(name), here).unwrap();
        if let Some((success, text)) = run("systemd-analyze", &["verify", name], folder.path()) {
            let lines: Vec<&str> = text.lines().filter(|line| line.contains(&format!("{name}:"))).collect();
            assert!(success && lines.is_empty(), "{text}");
        }
    }
}

#[test]
fn shipped_configurations_and_metadata_check_without_an_error() {
    let check = |arguments: &[&str], folder: &Path| {
        let output = Command::new(binary()).args(arguments).current_dir(folder).env("NO_COLOR", "1").output().unwrap();
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        (output.status.code(), text)
    };
    // The folder of its audit file is the package's to make.
    let (code, text) = check(&["check", "--offline", "querygate.toml"], &packaging().join("debian"));
    assert!(code == Some(0) && text.contains("0 errors"), "{text}");
    // The composition's secrets are files that are not here; everything else of it is right.
    let folder = tempfile::tempdir().unwrap();
    let compose = packaging().join("compose");
    std::fs::create_dir(folder.path().join("metadata")).unwrap();
    std::fs::copy(compose.join("metadata/shop.json"), folder.path().join("metadata/shop.json")).unwrap();
    let config = read(&compose.join("querygate.toml"));
    let local = config.replace("file:/run/secrets/gate_password", "file:password");
    assert_ne!(config, local);
    std::fs::write(folder.path().join("querygate.toml"), local).unwrap();
    std::fs::write(folder.path().join("password"), "a password").unwrap();
    let (code, text) = check(&["check", "--offline", "querygate.toml"], folder.path());
    assert!(code == Some(0) && text.contains("0 errors"), "{text}");
    let (code, text) = check(&["check", "worker.toml"], &compose);
    assert!(code == Some(0) && text.contains("worker.toml is good: 0 errors"), "{text}");
}

#[test]
fn the_image_has_no_shell_no_root_and_asks_for_its_own_health() {
    let text = read(&packaging().join("Dockerfile"));
    let last = text.rsplit("\nFROM ").next().unwrap();
    assert!(last.starts_with("scratch\n"), "{last}");
    for wanted in
        ["USER 65532:65532", r#"CMD ["/usr/bin/querygate", "health"]"#, r#"ENTRYPOINT ["/usr/bin/querygate"]"#]
    {
        assert!(last.contains(wanted), "{wanted}");
    }
    assert!(!last.contains("RUN ") && !last.contains("/bin/sh"), "{last}");
    let toolchain = read(&root().join("rust-toolchain.toml"));
    let version = text.lines().find_map(|line| line.strip_prefix("ARG RUST=")).unwrap();
    assert!(toolchain.contains(&format!("\"{version}")), "the Dockerfile's Rust is another than rust-toolchain.toml's");
}

#[test]
fn scripts_parse_and_the_package_has_the_version_of_the_workspace() {
    let here = packaging();
    for (shell, file) in [
        ("bash", "rootfs"),
        ("bash", "image"),
        ("bash", "release"),
        ("bash", "overlay"),
        ("bash", "try-package"),
        ("bash", "try-release"),
        ("bash", "../../../.ci/release"),
        ("bash", "compose/secrets"),
        ("bash", "compose/postgres/10-shop.sh"),
        ("sh", "debian/postinst"),
        ("sh", "debian/postrm"),
    ] {
        let output = Command::new(shell).args(["-n", file]).current_dir(&here).output().unwrap();
        assert!(output.status.success(), "{file}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let version = env!("CARGO_PKG_VERSION");
    assert!(read(&here.join("debian/changelog")).starts_with(&format!("querygate ({version}-")), "{version}");
    let manifest = read(&root().join("engine/gateway/Cargo.toml"));
    let assets = manifest.split("assets = [").nth(1).unwrap().split("\n]").next().unwrap();
    let sources = assets.lines().filter_map(|line| line.trim().strip_prefix("[\"")?.split('"').next());
    for source in sources.filter(|source| !source.starts_with("target/")) {
        let path = root().join("engine/gateway").join(source);
        let found = if source.ends_with("/*.json") {
            !files_in(path.parent().unwrap(), ".json").is_empty()
        } else {
            path.exists()
        };
        assert!(found, "the package wants {source}");
    }
}
