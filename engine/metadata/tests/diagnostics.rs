//! Golden diagnostics: a definition with a mistake, and the text a person reads.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic")]

use querygate_metadata::load::{LoadOptions, load_text};
use std::fs;
use std::path::Path;

/// Each `tests/golden/*.txt` holds `=== <file name>`, the input, `---`, and the expected text, again and again.
/// `BLESS=1` rewrites the expected texts.
#[test]
fn golden_diagnostics() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut cases = 0;
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        let mut blessed = String::new();
        for case in text.split("=== ").filter(|case| !case.trim().is_empty()) {
            let (name, rest) = case.split_once('\n').unwrap();
            let (input, expected) = rest.split_once("\n---\n").unwrap_or((rest.trim_end(), ""));
            let actual = render(name.trim(), input);
            blessed.push_str(&format!("=== {name}\n{input}\n---\n{actual}\n\n"));
            if std::env::var_os("BLESS").is_none() {
                assert_eq!(actual, expected.trim_end(), "{} {name}\n{input}\n\n{actual}", path.display());
            }
            cases += 1;
        }
        if std::env::var_os("BLESS").is_some() {
            fs::write(&path, blessed).unwrap();
        }
    }
    assert!(cases >= 40, "{cases}");
}

fn render(name: &str, input: &str) -> String {
    match load_text(name, input, &LoadOptions::default()) {
        Ok(snapshot) => {
            let warnings: Vec<String> = snapshot.warnings.iter().map(ToString::to_string).collect();
            if warnings.is_empty() { "ok".to_owned() } else { warnings.join("\n\n") }
        }
        Err(error) => error.to_string(),
    }
}

/// Whatever stands in a file, loading answers; it does not panic and does not overflow the stack.
#[test]
fn damaged_files_never_panic() {
    let yaml = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/damaged.yaml")).unwrap();
    let json = r#"{"objects":[{"name":"a","fields":{"x":{"type":"select","options":[{"label":"é","value":"aa"}]}}}],"permissions":[{"name":"s1","objects":{"*":{"allowRead":true}},"rowLevelSecurity":[{"name":"p","object":"a","operation":"all","using":"x == \"aa\""}]}]}"#;
    let mut outcomes = [0_u32; 2];
    for (file, text) in [("d.yaml", yaml.as_str()), ("d.json", json)] {
        let places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        for (n, at) in places.iter().step_by(3).enumerate() {
            let (head, tail) = text.split_at(*at);
            let rest: String = tail.chars().skip(1).collect();
            let odd = ["{", "[", "\"", ":", "-", "\t", "&a", "*a", "\u{0}", "é", "9e999", "\n"][n % 12];
            for damaged in
                [head.to_owned(), format!("{head}{rest}"), format!("{head}{odd}{tail}"), format!("{head}{odd}{rest}")]
            {
                let loaded = load_text(file, &damaged, &LoadOptions::default());
                if let Err(error) = &loaded {
                    assert!(!error.to_string().is_empty());
                }
                outcomes[usize::from(loaded.is_ok())] += 1;
            }
        }
    }
    assert!(outcomes[0] > 500 && outcomes[1] > 20, "{outcomes:?}");
}
