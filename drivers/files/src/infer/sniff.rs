//! Looks at the beginning of a text for how it is written: encoding, delimiter, quote, header; or how its objects stand. Knows no store.

use super::value_kind::ValueKind;
use crate::config::{CsvOptions, FileFormat};
use crate::text::json::MARK;
use csv_core::{ReadRecordResult, ReaderBuilder};
use encoding_rs::{Encoding, UTF_8};
use serde::de::IgnoredAny;

/// Bytes at a file's beginning that are looked at.
pub(super) const SNIFF_BYTES: usize = 256 * 1024;
/// Records that a dialect is judged by.
const RECORDS_MAX: usize = 1_000;
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];
const QUOTES: [u8; 2] = [b'"', b'\''];

/// The format as the file has it. `promised`: by its name; `whole`: there is no more of it.
pub(super) fn format(promised: &FileFormat, head: &[u8], whole: bool) -> FileFormat {
    match promised {
        FileFormat::Parquet => FileFormat::Parquet,
        FileFormat::Csv(options) => FileFormat::Csv(dialect(options, head, whole)),
        FileFormat::Ndjson | FileFormat::Json => json(head),
    }
}

/// Whether each line is an object, judged by the first one.
fn json(head: &[u8]) -> FileFormat {
    let text = head.strip_prefix(MARK).unwrap_or(head);
    let mut lines = text.split(|b| *b == b'\n').filter(|line| !line.iter().all(u8::is_ascii_whitespace));
    let Some(first) = lines.next() else { return FileFormat::Ndjson };
    let is_list = first.trim_ascii_start().starts_with(b"[");
    let is_value = serde_json::from_slice::<IgnoredAny>(first).is_ok();
    // One line that goes on beyond what was looked at is one line.
    let is_long = lines.next().is_none() && head.len() >= SNIFF_BYTES;
    if is_list || !(is_value || is_long) { FileFormat::Json } else { FileFormat::Ndjson }
}

fn dialect(promised: &CsvOptions, head: &[u8], whole: bool) -> CsvOptions {
    let (encoding, text) = decoded(head, whole);
    let promised = CsvOptions { encoding, ..promised.clone() };
    // What splits no record is no delimiter: then it is as the name promises, or broken.
    let mut most = 1;
    let mut best = (promised.clone(), records(&promised, text.as_bytes(), whole));
    let own = std::iter::once(promised.delimiter);
    for delimiter in own.chain(DELIMITERS.into_iter().filter(|other| *other != promised.delimiter)) {
        for quote in QUOTES {
            let options = CsvOptions { delimiter, quote, ..best.0.clone() };
            let records = records(&options, text.as_bytes(), whole);
            let width = records.first().map_or(0, Vec::len);
            let is_even = records.iter().all(|record| record.len() == width);
            let is_quoted = quote == b'"' || records.len() > 1 && text.contains('\'') && is_quoted(&options, &text);
            if is_even && is_quoted && width > most {
                most = width;
                best = (options, records);
            }
        }
    }
    let (options, records) = all_quoted(best, text.as_bytes(), whole);
    CsvOptions { header: has_header(&records), ..options }
}

/// With the other quote, where it is around nearly every field and none of them needs it.
fn all_quoted(
    (options, records): (CsvOptions, Vec<Vec<String>>),
    text: &[u8],
    whole: bool,
) -> (CsvOptions, Vec<Vec<String>>) {
    let is_around = |cell: &String| cell.len() > 1 && cell.starts_with('\'') && cell.ends_with('\'');
    let cells: Vec<&String> = records.iter().flatten().filter(|cell| !cell.is_empty()).collect();
    let around = cells.iter().filter(|cell| is_around(cell)).count();
    if options.quote != b'"' || around == 0 || around * 5 < cells.len() * 4 {
        return (options, records);
    }
    let other = CsvOptions { quote: b'\'', ..options.clone() };
    let unquoted = self::records(&other, text, whole);
    if unquoted.len() == records.len() { (other, unquoted) } else { (options, records) }
}

/// The encoding that the bytes can be in, and what they say in it.
fn decoded(head: &[u8], whole: bool) -> (&'static Encoding, String) {
    let (encoding, marked) = match Encoding::for_bom(head) {
        Some((encoding, _)) => (encoding, true),
        None => (UTF_8, false),
    };
    let is_utf8 = match std::str::from_utf8(head) {
        Ok(_) => true,
        // A character that goes on behind what was looked at.
        Err(error) => error.error_len().is_none() && !whole,
    };
    let encoding = if marked || is_utf8 { encoding } else { CsvOptions::GUESSED };
    let (text, _, _) = encoding.decode(head);
    (encoding, text.into_owned())
}

/// The first records in a dialect. The last one of a text that goes on is left out.
fn records(options: &CsvOptions, mut text: &[u8], whole: bool) -> Vec<Vec<String>> {
    let mut reader = ReaderBuilder::new().delimiter(options.delimiter).quote(options.quote).build();
    let (mut output, mut ends) = (vec![0; text.len().max(1)], vec![0; 4_096]);
    let (mut records, mut written, mut fields) = (Vec::new(), 0, 0);
    while records.len() < RECORDS_MAX {
        let (result, read, out, ended) = reader.read_record(text, &mut output[written..], &mut ends[fields..]);
        text = text.get(read..).unwrap_or_default();
        (written, fields) = (written + out, fields + ended);
        match result {
            ReadRecordResult::InputEmpty if !whole => break,
            ReadRecordResult::InputEmpty => {}
            ReadRecordResult::Record => {
                let starts = std::iter::once(0).chain(ends.iter().copied());
                let field = |(start, end): (usize, usize)| String::from_utf8_lossy(&output[start..end]).into_owned();
                records.push(starts.zip(ends[..fields].iter().copied()).map(field).collect());
                (written, fields) = (0, 0);
            }
            ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull | ReadRecordResult::End => break,
        }
    }
    records
}

/// Whether fields begin with the quote: an apostrophe within a text is none.
fn is_quoted(options: &CsvOptions, text: &str) -> bool {
    let (delimiter, quote) = (char::from(options.delimiter), char::from(options.quote));
    let opens = format!("{delimiter}{quote}");
    let closes = format!("{quote}{delimiter}");
    let lines: Vec<&str> = text.lines().collect();
    let edges = lines.iter().filter(|line| line.starts_with(quote) || line.ends_with(quote)).count();
    edges > 0 && text.matches(&opens).count() + text.matches(&closes).count() + edges > lines.len() / 2
}

/// A code is kept as a text, and names no column: a row with a leading zero is a row.
fn kind_in_header(cell: &str) -> ValueKind {
    let begins = cell.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.'));
    if begins && cell.parse::<f64>().is_ok() { ValueKind::Float } else { ValueKind::text(cell) }
}

/// Whether the first record names the columns: it holds texts alone, or texts where what follows is something else.
fn has_header(records: &[Vec<String>]) -> bool {
    let Some((first, rest)) = records.split_first() else { return true };
    let kinds: Vec<ValueKind> = first.iter().map(|cell| kind_in_header(cell.trim())).collect();
    if kinds.iter().all(|kind| matches!(kind, ValueKind::Text | ValueKind::Nothing)) {
        return kinds.contains(&ValueKind::Text);
    }
    let below = |at: usize| {
        let cells = rest.iter().filter_map(|record| record.get(at));
        cells.fold(ValueKind::Nothing, |all, cell| all.and(ValueKind::text(cell)))
    };
    let names_another = |(at, kind): (usize, &ValueKind)| {
        *kind == ValueKind::Text && !matches!(below(at), ValueKind::Text | ValueKind::Nothing)
    };
    kinds.iter().enumerate().any(names_another)
}

#[cfg(test)]
mod tests {
    use super::*;
    use encoding_rs::WINDOWS_1252;

    fn csv(text: &[u8]) -> CsvOptions {
        match format(&FileFormat::Csv(CsvOptions::default()), text, true) {
            FileFormat::Csv(options) => options,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn dialects_are_told_by_what_makes_records_even() {
        for (text, delimiter, quote, header) in [
            ("id,name\n1,a\n", b',', b'"', true),
            ("id;name;amount\n1;a;2,5\n2;b;3,5\n", b';', b'"', true),
            ("id\tname\n1\tx, y\n", b'\t', b'"', true),
            ("id|name\n1|x\n", b'|', b'"', true),
            ("id,name\n1,'a, b'\n2,'c'\n", b',', b'\'', true),
            ("id,name\n1,\"a\nb, c\"\n2,d\n", b',', b'"', true),
            ("'id','note','n'\n'1','x','2024-01-01'\n'2','','2024-01-02'\n", b',', b'\'', true),
            ("'1','x','2024-01-01'\n'2','y','2024-01-02'\n", b',', b'\'', false),
            ("id,note\n1,'it''s'\n", b',', b'"', true),
            ("id,name\n1,it's\n2,o'clock, of course\n", b',', b'"', true),
            ("1,a\n2,b\n", b',', b'"', false),
            ("2024-01-01,5\n2024-01-02,6\n", b',', b'"', false),
            ("1,00501\n2,10001\n", b',', b'"', false),
            ("00501,north\n10001,south\n", b',', b'"', false),
            ("zip,1st\n00501,1\n", b',', b'"', true),
            ("id,2019,2020\n1,2,3\n", b',', b'"', true),
            ("name\nAda\n", b',', b'"', true),
            ("a,b\n", b',', b'"', true),
            ("", b',', b'"', true),
        ] {
            let options = csv(text.as_bytes());
            assert_eq!((options.delimiter, options.quote, options.header), (delimiter, quote, header), "{text}");
            assert_eq!(options.encoding, UTF_8);
        }
    }

    #[test]
    fn encodings_are_told_by_their_bytes() {
        assert_eq!(csv(b"name\nCaf\xe9\n").encoding, WINDOWS_1252);
        assert_eq!(csv("name\nCaf\u{e9}\n".as_bytes()).encoding, UTF_8);
        let utf16: Vec<u8> = "\u{feff}id;n\n1;\u{e9}\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let options = csv(&utf16);
        assert_eq!((options.encoding, options.delimiter), (encoding_rs::UTF_16LE, b';'));
        let cut = &"x\n\u{e9}".as_bytes()[..3];
        assert_eq!(decoded(cut, false).0, UTF_8, "it goes on");
        assert_eq!(decoded(cut, true).0, WINDOWS_1252);
    }

    #[test]
    fn json_is_lines_lists_or_documents() {
        for (text, expected) in [
            ("{\"a\": 1}\n{\"a\": 2}\n", FileFormat::Ndjson),
            ("\u{feff}\n{\"a\": 1}", FileFormat::Ndjson),
            ("[{\"a\": 1}]", FileFormat::Json),
            (" [\n{\"a\": 1}\n]", FileFormat::Json),
            ("{\n\"a\": 1\n}\n", FileFormat::Json),
            ("", FileFormat::Ndjson),
        ] {
            assert_eq!(format(&FileFormat::Ndjson, text.as_bytes(), true), expected, "{text}");
        }
    }
}
