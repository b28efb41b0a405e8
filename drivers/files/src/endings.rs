//! What the endings of a file's name say: its format, and how it is packed. Knows no store.

use crate::config::{CsvOptions, FileFormat};

/// How a text file is packed, as its name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    Gzip,
    Zstd,
}

/// A file name without the ending of its compression.
pub(crate) fn without_compression(name: &str) -> (&str, Option<Compression>) {
    let packed = name.rsplit_once('.').and_then(|(rest, ending)| {
        let compression = match ending.to_ascii_lowercase().as_str() {
            "gz" | "gzip" => Compression::Gzip,
            "zst" | "zstd" => Compression::Zstd,
            _ => return None,
        };
        Some((rest, Some(compression)))
    });
    packed.unwrap_or((name, None))
}

impl FileFormat {
    /// A file's name without the endings that promise its format.
    #[must_use]
    pub fn stem(name: &str) -> &str {
        let name = without_compression(name).0;
        name.rsplit_once('.').map_or(name, |(stem, _)| stem)
    }

    /// The format that a file name promises; `None`: none that is read here.
    #[must_use]
    pub fn promised(name: &str) -> Option<Self> {
        promised(name)
    }
}

fn promised(name: &str) -> Option<FileFormat> {
    let (name, compression) = without_compression(name);
    let (_, ending) = name.rsplit_once('.')?;
    let format = match ending.to_ascii_lowercase().as_str() {
        "parquet" | "parq" | "pq" => FileFormat::Parquet,
        "csv" => FileFormat::Csv(CsvOptions::default()),
        "tsv" => FileFormat::Csv(CsvOptions { delimiter: b'\t', ..CsvOptions::default() }),
        "ndjson" | "jsonl" | "json" => FileFormat::Ndjson,
        _ => return None,
    };
    // Parquet packs its own pages.
    (compression.is_none() || format != FileFormat::Parquet).then_some(format)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_promise_formats_whatever_packs_them() {
        for (name, promised, stem) in [
            ("a.csv", Some("csv"), "a"),
            ("a.b.TSV.gz", Some("csv"), "a.b"),
            ("a.jsonl.zst", Some("ndjson"), "a"),
            ("a.parquet", Some("parquet"), "a"),
            ("a.parquet.gz", None, "a"),
            ("a.gz", None, "a"),
            ("a", None, "a"),
        ] {
            let found = FileFormat::promised(name).map(|format| match format {
                FileFormat::Parquet => "parquet",
                FileFormat::Csv(_) => "csv",
                FileFormat::Ndjson => "ndjson",
                FileFormat::Json => "json",
            });
            assert_eq!((found, FileFormat::stem(name)), (promised, stem), "{name}");
        }
    }
}
