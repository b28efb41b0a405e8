//! Passwords and keys: where they stand, and that nothing shows them.

use super::*;

#[test]
fn passwords_are_refused_and_never_shown() {
    let text = format!("{META}[[users]]\nname = \"a\"\npassword = \"hunter2\"\n");
    check(&text, "error: plain passwords are refused");
    check(&text, "querygate user add NAME");
    assert!(!read(&text).1.contains("hunter2"));
    let text = format!("{META}[[users]]\nname = \"a\"\nverifier = \"hunter2\"\n");
    check(&text, "`verifier` is not a SCRAM-SHA-256 verifier: it must start with SCRAM-SHA-256$");
    assert!(!read(&text).1.contains("hunter2"));
}

#[test]
fn secrets_must_be_references_that_resolve() {
    let source = |key: &str| {
        format!(
            "{META}[[sources]]\nname = \"l\"\nkind = \"files\"\nurl = \"s3://b\"\n[sources.options]\naccess_key_id = \"env:S3_KEY\"\nsecret_access_key = \"{key}\"\n"
        )
    };
    good(&source("env:S3_SECRET"));
    check(&source("AKIAPLAIN"), "`secret_access_key`: a secret must be given as \"env:NAME\" or \"file:PATH\"");
    assert!(!read(&source("AKIAPLAIN")).1.contains("AKIAPLAIN"));
    check(&source("env:NONE"), "environment variable `NONE` is not set");
    check(&source("env:NONE"), "= help: set the variable where the gate runs");
    check(&source("file:/no/such"), "cannot read secret file /no/such");
}

#[test]
fn a_secret_is_not_empty_wherever_it_stands() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    let (read, reference) = (Environment::fixed(folder.path(), &[("EMPTY", "")]), "file:secret");
    assert!(read.secret("env:EMPTY").is_err());
    for empty in ["", "\n", "\r\n"] {
        std::fs::write(&file, empty).unwrap();
        assert!(read.secret(reference).unwrap_err().contains("secret is empty"), "{empty:?}");
    }
    std::fs::write(&file, "hush\n").unwrap();
    assert_eq!(read.secret(reference).unwrap().expose(), "hush");
}
