//! Golden files: expected text beside the tests, rewritten with `BLESS=1`.

use std::path::{Path, PathBuf};

/// Whether golden files are to be written instead of compared.
#[must_use]
pub fn blessing() -> bool {
    std::env::var_os("BLESS").is_some_and(|value| value == "1")
}

/// Compares a text with `tests/NAME`, or writes it there.
///
/// # Panics
/// With the first differing line.
pub fn golden(name: &str, text: &str) {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    if blessing() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    if expected == text {
        return;
    }
    let (old, new): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), text.lines().collect());
    let at = (0..).find(|&i| old.get(i) != new.get(i)).unwrap();
    let window = |lines: &[&str]| lines.iter().skip(at).take(12).map(|l| format!("    {l}\n")).collect::<String>();
    panic!(
        "tests/{name} differs from line {}; BLESS=1 accepts what is new\n  expected:\n{}  found:\n{}",
        at + 1,
        window(&old),
        window(&new)
    );
}
