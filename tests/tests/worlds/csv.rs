//! Texts in columns: delimiters, quotes, encodings, headers, and fields that are easily lost.

use super::cell::Cell;
use super::names;
use super::world::Column;
use querygate_tests::harness::Rng;

/// How a file is written.
#[derive(Debug, Clone)]
pub(crate) struct Dialect {
    pub(crate) delimiter: char,
    quote: char,
    quotes_all: bool,
    line_end: &'static str,
    encoding: Encoding,
    pub(crate) header: bool,
    ends_with_line: bool,
    /// Between lines stand empty ones, which are no rows.
    empty_lines: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Utf8,
    Utf8Marked,
    Utf16Little,
    Utf16Big,
    Latin,
}

impl Dialect {
    pub(crate) fn random(rng: &mut Rng, delimiters: &[char], columns: usize) -> Self {
        let quote = if rng.percent(15) && columns > 1 { '\'' } else { '"' };
        Self {
            delimiter: *rng.pick(delimiters),
            quote,
            // Of an apostrophe nothing is told where it stands around few fields.
            quotes_all: quote == '\'' || rng.percent(25),
            line_end: *rng.pick(&["\n", "\n", "\r\n", "\r"]),
            encoding: *rng.pick(&[
                Encoding::Utf8,
                Encoding::Utf8,
                Encoding::Utf8Marked,
                Encoding::Utf16Little,
                Encoding::Utf16Big,
                Encoding::Latin,
            ]),
            header: rng.percent(80),
            ends_with_line: rng.percent(80),
            empty_lines: rng.percent(10) && columns > 1,
        }
    }

    pub(crate) fn has_apostrophes(&self) -> bool {
        self.quote == '\''
    }

    pub(crate) fn is_latin(&self) -> bool {
        self.encoding == Encoding::Latin
    }

    /// What of a text the encoding has.
    fn kept(&self, text: &str) -> String {
        match self.encoding {
            Encoding::Latin => text.chars().filter(|c| *c < '\u{80}' || ('\u{a0}'..='\u{ff}').contains(c)).collect(),
            _ => text.to_owned(),
        }
    }

    pub(crate) fn bytes(&self, header: Option<&[String]>, rows: &[Vec<String>]) -> Vec<u8> {
        let lines = header.into_iter().chain(rows.iter().map(Vec::as_slice)).map(|row| {
            let fields: Vec<String> = row.iter().map(|field| self.field(field, row.len())).collect();
            fields.join(&self.delimiter.to_string())
        });
        let mut text = lines.collect::<Vec<_>>().join(&self.line_end.repeat(if self.empty_lines { 2 } else { 1 }));
        if self.ends_with_line {
            text.push_str(self.line_end);
        }
        self.encoded(&text)
    }

    fn field(&self, field: &str, width: usize) -> String {
        let signs = ['"', '\'', '\n', '\r', self.delimiter];
        if self.quotes_all || field.contains(signs) || field.is_empty() && width == 1 {
            let quote = self.quote.to_string();
            format!("{quote}{}{quote}", field.replace(self.quote, &quote.repeat(2)))
        } else {
            field.to_owned()
        }
    }

    fn encoded(&self, text: &str) -> Vec<u8> {
        let marked = || format!("\u{feff}{text}");
        match self.encoding {
            Encoding::Utf8 => text.as_bytes().to_vec(),
            Encoding::Utf8Marked => marked().into_bytes(),
            Encoding::Utf16Little => marked().encode_utf16().flat_map(u16::to_le_bytes).collect(),
            Encoding::Utf16Big => marked().encode_utf16().flat_map(u16::to_be_bytes).collect(),
            Encoding::Latin => text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect(),
        }
    }
}

/// Values of a column, of one kind or of several.
pub(crate) type Values = fn(&mut Rng) -> String;

const KINDS: [Values; 16] = [
    |rng| names::whole(rng).to_string(),
    |rng| (*rng.pick(&["00501", "007", "0", "12", "1E5", "+5", "-0", "0x10"])).to_owned(),
    |rng| (*rng.pick(&["1.5", "-0.25", "12345678901234567.89", "0.1", "1.50", "100", "1.5e3", "2.0E-7"])).to_owned(),
    |rng| (*rng.pick(&["2,5", "3,50", "1.000,25", "-1,0"])).to_owned(),
    |rng| (*rng.pick(&["true", "false", "TRUE", "False"])).to_owned(),
    |rng| (*rng.pick(&["true", "f", "yes", "1", "N"])).to_owned(),
    names::day,
    |rng| format!("{}{}{}", names::day(rng), rng.pick(&["T", " "]), names::clock(rng)),
    |rng| format!("{}T{}{}", names::day(rng), names::clock(rng), rng.pick(&["Z", "+02:00", "-05:30", "+00:00"])),
    |rng| format!("{}T10:00:00.{:09}", names::day(rng), rng.below(1_000_000_000)),
    names::clock,
    |rng| {
        (*rng.pick(&["18446744073709551615", "-9223372036854775809", "7", "99999999999999999999999999999999999999"]))
            .to_owned()
    },
    |rng| (*rng.pick(&["1e400", "Infinity", "NaN", "-inf", "1.5", ".5", "5.", "1_000", "1 000"])).to_owned(),
    |rng| {
        (*rng.pick(&["31/12/2024", "12/31/2024", "2024-02-30", "0000-00-00", "24:00:00", "20240101", "2024-1-1"]))
            .to_owned()
    },
    names::text,
    names::word,
];

/// A table of texts.
pub(crate) struct Table {
    /// As they stand in the header, and as they are called.
    pub(crate) header: Vec<String>,
    pub(crate) columns: Vec<Column>,
    pub(crate) kinds: Vec<Values>,
}

impl Table {
    /// The first column is a number, so that a header is told from a row.
    pub(crate) fn random(rng: &mut Rng, plain: bool) -> Self {
        let mut taken = Vec::new();
        let mut header = vec!["nr".to_owned()];
        let mut kinds: Vec<Values> = vec![|rng| rng.below(100_000).to_string()];
        let most = if rng.percent(5) { 60 } else { 6 };
        for _ in 0..rng.between(if plain { 2 } else { 0 }, most) {
            let name = names::name(rng, "col", &mut taken, &['\u{0}']);
            header.push(match rng.below(12) {
                0 if !plain => String::new(),
                1 if !plain => format!(" {name}  "),
                2 if !plain => header[rng.below(header.len())].clone(),
                _ => name,
            });
            kinds.push(*rng.pick(&KINDS));
        }
        let columns = called(&header).into_iter().map(Column::of).collect();
        Self { header, columns, kinds }
    }

    pub(crate) fn row(&self, rng: &mut Rng, dialect: &Dialect) -> Vec<String> {
        let row = self.kinds.iter().enumerate().map(|(at, kind)| {
            let is_empty = at > 0 && rng.percent(15);
            if is_empty { String::new() } else { dialect.kept(&kind(rng)) }
        });
        row.collect()
    }

    /// In an encoding that has not all of their letters.
    pub(crate) fn kept(&mut self, dialect: &Dialect) {
        self.header.iter_mut().for_each(|name| *name = dialect.kept(name));
        self.columns = if dialect.header {
            called(&self.header).into_iter().map(Column::of).collect()
        } else {
            (1..=self.header.len()).map(|number| Column::of(format!("column_{number}"))).collect()
        };
    }
}

/// Without blanks around them; the number of the place where there is none; with a number behind them where one stands there a second time.
fn called(header: &[String]) -> Vec<String> {
    let mut called: Vec<String> = Vec::new();
    for (at, cell) in header.iter().enumerate() {
        let plain = if cell.trim().is_empty() { format!("column_{}", at + 1) } else { cell.trim().to_owned() };
        let numbered = (2..).map(|number| format!("{plain}_{number}"));
        let name = std::iter::once(plain.clone()).chain(numbered).find(|name| !called.contains(name)).unwrap();
        called.push(name);
    }
    called
}

pub(crate) fn cells(row: &[String]) -> Vec<Cell> {
    row.iter().map(|field| Cell::Field(field.clone())).collect()
}
