//! The frames a row can become, and the escaping of COPY's text and csv. Knows no value type.

use querygate_query_api::outcome::ForceQuote;

/// What one row becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shape {
    DataRow,
    CopyText(CopyText),
    CopyBinary,
}

/// Text and csv of COPY.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CopyText {
    pub(crate) csv: bool,
    pub(crate) delimiter: u8,
    pub(crate) quote: u8,
    pub(crate) escape: u8,
    pub(crate) null: Box<[u8]>,
    pub(crate) force_quote: ForceQuote,
}

impl CopyText {
    /// Appends a header line of column names.
    pub(crate) fn header<'a>(&self, names: impl ExactSizeIterator<Item = &'a str>, out: &mut Vec<u8>) {
        let alone = names.len() == 1;
        for (position, name) in names.enumerate() {
            if position > 0 {
                out.push(self.delimiter);
            }
            let start = out.len();
            out.extend_from_slice(name.as_bytes());
            self.protect(out, start, alone, false);
        }
        out.push(b'\n');
    }

    /// Whether the values of the column at a place are quoted whatever they are.
    pub(super) fn forces(&self, place: usize) -> bool {
        match &self.force_quote {
            ForceQuote::All => true,
            ForceQuote::These(places) => places.contains(&place),
        }
    }

    /// Escapes or quotes what was written since `start`.
    pub(super) fn protect(&self, out: &mut Vec<u8>, start: usize, alone: bool, forced: bool) {
        debug_assert!(start <= out.len(), "what is protected was written");
        if self.csv { self.quote_csv(out, start, alone, forced) } else { self.escape_text(out, start) }
    }

    /// `CopyAttributeOutText`.
    fn escape_text(&self, out: &mut Vec<u8>, start: usize) {
        let special = |byte: u8| byte == self.delimiter || byte == b'\\' || matches!(byte, 0x08..=0x0d);
        if !out[start..].iter().any(|byte| special(*byte)) {
            return;
        }
        let bare = out.split_off(start);
        for byte in bare {
            let letter = match byte {
                0x08 => b'b',
                b'\t' => b't',
                b'\n' => b'n',
                0x0b => b'v',
                0x0c => b'f',
                b'\r' => b'r',
                other => other,
            };
            // A delimiter that is one of these characters is still written as its letter.
            if special(byte) {
                out.push(b'\\');
                out.push(letter);
            } else {
                out.push(byte);
            }
        }
    }

    /// `CopyAttributeOutCSV`.
    fn quote_csv(&self, out: &mut Vec<u8>, start: usize, alone: bool, forced: bool) {
        let field = &out[start..];
        let needed = forced
            || *field == *self.null
            || (alone && field == b"\\.")
            || field.iter().any(|byte| matches!(byte, b'\n' | b'\r') || *byte == self.delimiter || *byte == self.quote);
        if !needed {
            return;
        }
        let bare = out.split_off(start);
        out.push(self.quote);
        for byte in bare {
            if byte == self.quote || byte == self.escape {
                out.push(self.escape);
            }
            out.push(byte);
        }
        out.push(self.quote);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_and_csv_quoted_as_postgres_does() {
        let check = |csv: bool, field: &str, expected: &str| {
            let delimiter = if csv { b',' } else { b'\t' };
            let null: &[u8] = if csv { b"" } else { b"\\N" };
            let force_quote = ForceQuote::These(vec![1]);
            let copy = CopyText { csv, delimiter, quote: b'"', escape: b'"', null: null.into(), force_quote };
            assert!(copy.forces(1) && !copy.forces(0));
            let mut out = field.as_bytes().to_vec();
            copy.protect(&mut out, 0, true, field == "forced");
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{field:?}");
        };
        check(false, "plain", "plain");
        check(false, "a\tb\\c\nd", "a\\tb\\\\c\\nd");
        check(false, "\\N", "\\\\N");
        check(true, "plain", "plain");
        check(true, "forced", "\"forced\"");
        check(false, "forced", "forced");
        check(true, "", "\"\"");
        check(true, "a,b", "\"a,b\"");
        check(true, "say \"x\"", "\"say \"\"x\"\"\"");
        check(true, "\\.", "\"\\.\"");
        check(true, "two\nlines", "\"two\nlines\"");
    }
}
