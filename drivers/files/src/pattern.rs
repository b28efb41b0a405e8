//! What a table's pattern matches: one file, a folder or a glob, and the hive keys in a path. Knows no store.

use crate::config::FileFormat;
use glob::{MatchOptions, Pattern};
use object_store::path::Path;

/// Folder at the top of a source for files that are being written or were replaced. No table has any of it.
pub(crate) const KEPT: &str = ".querygate";

/// What stands for other characters in a pattern.
const WILD: [char; 3] = ['*', '?', '['];

/// The pattern that matches this path alone: `a[*].csv` for `a*.csv`.
pub(crate) fn escaped(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    for c in path.chars() {
        match c {
            c if WILD.contains(&c) => text.extend(['[', c, ']']),
            c => text.push(c),
        }
    }
    text
}

/// The path of such a pattern; `None`: it may match others.
fn unescaped(text: &str) -> Option<String> {
    let (mut path, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find(WILD) {
        let (before, from) = rest.split_at(at);
        let mut chars = from.chars();
        let (Some('['), Some(c), Some(']')) = (chars.next(), chars.next(), chars.next()) else { return None };
        if !WILD.contains(&c) {
            return None;
        }
        path.push_str(before);
        path.push(c);
        rest = chars.as_str();
    }
    path.push_str(rest);
    Some(path)
}

/// A checked pattern. It is relative to the source and cannot leave it.
#[derive(Debug, Clone)]
pub(crate) struct FilePattern {
    /// Longest folder without wildcards.
    base: Path,
    glob: Option<Pattern>,
}

impl FilePattern {
    /// Checks the pattern; the error says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let text = text.strip_prefix("./").unwrap_or(text);
        if text.starts_with('/') || text.split('/').any(|s| s == "..") {
            return Err("a path must stay inside its source".to_owned());
        }
        let one = unescaped(text);
        let text = one.as_deref().unwrap_or(text);
        let wild = |s: &str| one.is_none() && s.contains(WILD);
        let literal: Vec<&str> =
            text.split('/').take_while(|s| !wild(s)).filter(|s| !s.is_empty() && *s != ".").collect();
        let base = Path::parse(literal.join("/")).map_err(|e| e.to_string())?;
        let glob = if wild(text) { Some(Pattern::new(text).map_err(|e| e.to_string())?) } else { None };
        Ok(Self { base, glob })
    }

    pub(crate) fn base(&self) -> &Path {
        &self.base
    }

    /// Whether it may name one file.
    pub(crate) fn is_literal(&self) -> bool {
        self.glob.is_none()
    }

    /// Whether a file found below the base belongs to the table.
    pub(crate) fn matches(&self, path: &Path, format: &FileFormat) -> bool {
        if path.parts().any(|part| part.as_ref() == KEPT) {
            return false;
        }
        let options = MatchOptions { require_literal_separator: true, ..MatchOptions::default() };
        match &self.glob {
            Some(glob) => glob.matches_with(path.as_ref(), options),
            None => !hidden(&self.base, path) && has_extension(path, format),
        }
    }

    /// `key=value` folders between the base and the file, decoded; `None` is hive's NULL.
    pub(crate) fn partitions(&self, path: &Path) -> Vec<(String, Option<String>)> {
        let Some(below) = path.prefix_match(&self.base) else { return Vec::new() };
        let parts: Vec<_> = below.collect();
        let folders = parts.len().saturating_sub(1);
        parts
            .iter()
            .take(folders)
            .filter_map(|part| part.as_ref().split_once('='))
            .map(|(key, value)| (decode(key), (value != "__HIVE_DEFAULT_PARTITION__").then(|| decode(value))))
            .collect()
    }
}

/// Writers leave files such as `_SUCCESS` and `.crc` beside the data.
fn hidden(base: &Path, path: &Path) -> bool {
    path.prefix_match(base).is_some_and(|mut parts| {
        parts.any(|part| {
            part.as_ref().starts_with('.') || (part.as_ref().starts_with('_') && !part.as_ref().contains('='))
        })
    })
}

fn has_extension(path: &Path, format: &FileFormat) -> bool {
    let promised = path.filename().and_then(FileFormat::promised);
    match format {
        FileFormat::Parquet => promised == Some(FileFormat::Parquet),
        FileFormat::Csv(_) => {
            matches!(promised, Some(FileFormat::Csv(_)))
                || path.extension().is_some_and(|e| e.eq_ignore_ascii_case("txt"))
        }
        FileFormat::Ndjson | FileFormat::Json => promised == Some(FileFormat::Ndjson),
    }
}

/// Decodes `%XX`; what is no valid escape stays as it is.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let hex = (byte == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match hex.and_then(|h| u8::from_str_radix(h, 16).ok()) {
            Some(value) => {
                out.push(value);
                at += 3;
            }
            None => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_files_folders_and_globs() {
        let cases = [
            ("data", "data/a.parquet", true),
            ("data", "data/deep/b.PARQUET", true),
            ("data", "data/a.csv", false),
            ("data", "data/_temporary/a.parquet", false),
            ("data", "data/.hidden.parquet", false),
            ("data/*.parquet", "data/a.parquet", true),
            ("data/*.parquet", "data/deep/a.parquet", false),
            ("data/**/*.parquet", "data/deep/er/a.parquet", true),
            ("data/part-?.bin", "data/part-1.bin", true),
            ("**/*.parquet", ".querygate/rewrites/1-2/data/a.parquet", false),
            ("st[*]r", "st*r/a.parquet", true),
            ("[[]x].parquet", "[x].parquet", true),
        ];
        for (pattern, path, want) in cases {
            let got = FilePattern::parse(pattern).unwrap().matches(&Path::from(path), &FileFormat::Parquet);
            assert_eq!(got, want, "{pattern} {path}");
        }
        for bad in ["/etc/passwd", "../x", "a/../../x", "a/[", "a/.."] {
            assert!(FilePattern::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_path_is_matched_whatever_is_in_it() {
        for path in ["a.csv", "st*r.csv", "[x].csv", "qu?stion/a[1].csv", "a]b.csv"] {
            assert_eq!(unescaped(&escaped(path)).as_deref(), Some(path));
        }
        assert_eq!(FilePattern::parse("st[*]r").unwrap().base().as_ref(), "st*r");
        for pattern in ["a*.csv", "a[bc].csv", "a[", "?"] {
            assert_eq!(unescaped(pattern), None, "{pattern}");
        }
    }

    #[test]
    fn hive_keys_are_decoded() {
        let pattern = FilePattern::parse("t").unwrap();
        let path = Path::parse("t/region=a%2Fb/day=__HIVE_DEFAULT_PARTITION__/x=1.parquet");
        let path = path.unwrap_or_else(|_| Path::from("t/region=a"));
        let got = pattern.partitions(&path);
        assert_eq!(got, vec![("region".to_owned(), Some("a/b".to_owned())), ("day".to_owned(), None)]);
    }
}
