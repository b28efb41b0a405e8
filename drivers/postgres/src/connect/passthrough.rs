//! Rows that go to a client as the server sends them: which columns may, and which cells must be read after all. What is copied is
//! what the door would print of the value that we read, to the byte; whatever is not listed here is read.

use crate::wire::cells;
use crate::wire::frames;
use querygate_driver_api::execution::{NativeStatement, Wanted};
use querygate_driver_api::relation::Encoding;
use querygate_driver_api::value::ValueType;
use querygate_types::PgType;
use querygate_types::wire_rows::{WireForm, WireRows};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use tokio_postgres::types::Type;

/// What a cell must be to be copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cell {
    /// Each value that the server has.
    Any,
    /// Not `SQL_ASCII`.
    Utf8,
    /// A printed number of so many digits, so many of them after the point: no NaN, no other scale.
    Digits {
        precision: u8,
        scale: u8,
    },
    /// A printed day with or without its time, in a year of four digits, after Christ: not infinity.
    Day,
    /// A printed time of day: not 24:00:00.
    Clock,
    /// The same in binary form, where our calendar has it.
    Days,
    Micros(ValueType),
}

/// A column that may be copied, and what it takes in Arrow.
#[derive(Debug, Clone, Copy)]
struct Copied {
    cell: Cell,
    value_type: ValueType,
}

/// Columns of a prepared statement, and whether its rows are read since some value could not be copied.
pub(crate) type Columns = Arc<PreparedColumns>;

#[derive(Debug)]
pub(crate) struct PreparedColumns {
    /// The statement's.
    text: Arc<str>,
    types: OnceLock<Arc<[Type]>>,
    is_read: AtomicBool,
}

impl PreparedColumns {
    pub(crate) fn of(text: Arc<str>) -> Self {
        Self { text, types: OnceLock::new(), is_read: AtomicBool::new(false) }
    }

    pub(crate) fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// Empty until the server has sent them.
    pub(crate) fn types(&self) -> &[Type] {
        self.types.get().map_or(&[], |types| types)
    }

    pub(crate) fn are_known(&self) -> bool {
        self.types.get().is_some()
    }

    /// `Err`: they are known already.
    pub(crate) fn set_types(&self, types: Arc<[Type]>) -> Result<(), Arc<[Type]>> {
        self.types.set(types)
    }

    /// From now on rows are read.
    pub(crate) fn read_on(&self) {
        self.is_read.store(true, Ordering::Relaxed);
    }

    /// Whether rows are copied, as far as is known.
    pub(crate) fn copies(&self, copying: Copying<'_>) -> bool {
        !self.is_read.load(Ordering::Relaxed) && may_be(self.types(), copying)
    }
}

/// Rows of which statement go to which client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Copying<'a> {
    pub(crate) statement: &'a NativeStatement,
    pub(crate) wanted: Wanted<'a>,
}

/// Whether rows with columns of these types may be copied.
fn may_be(delivered: &[Type], copying: Copying<'_>) -> bool {
    let alike = delivered.len() == copying.statement.output.len() && delivered.len() == copying.wanted.types.len();
    alike && !delivered.is_empty() && columns(delivered, copying).all(|column| column.is_some())
}

fn columns<'a>(delivered: &'a [Type], copying: Copying<'a>) -> impl Iterator<Item = Option<Copied>> {
    let Copying { statement, wanted } = copying;
    let types = delivered.iter().zip(&statement.output).zip(wanted.types);
    types.map(move |((delivered, (output, encoding)), told)| {
        let value_type = output.value_type;
        let is_own = matches!(encoding, Encoding::Canonical);
        let cell = cell(value_type, delivered, *told, wanted.form).filter(|_| is_own);
        cell.map(|cell| Copied { cell, value_type })
    })
}

/// What cells must be where a value of this type is delivered as that one and the client was told of another. `None`: they are read.
fn cell(value_type: ValueType, delivered: &Type, told: PgType, form: WireForm) -> Option<Cell> {
    let same = |native: Type, own: PgType| *delivered == native && told == own;
    let any = |native: Type, own: PgType| same(native, own).then_some(Cell::Any);
    match value_type {
        ValueType::Boolean => any(Type::BOOL, PgType::Bool),
        ValueType::Int16 => any(Type::INT2, PgType::Int2),
        ValueType::Int32 => any(Type::INT4, PgType::Int4),
        ValueType::Int64 => any(Type::INT8, PgType::Int8),
        ValueType::Float32 => any(Type::FLOAT4, PgType::Float4),
        ValueType::Float64 => any(Type::FLOAT8, PgType::Float8),
        ValueType::Binary => any(Type::BYTEA, PgType::Bytea),
        ValueType::Decimal128 { precision, scale } => match form {
            // Whole numbers print as they do where they are integers.
            WireForm::Text if is_number(delivered) && told == PgType::Numeric => {
                Some(Cell::Digits { precision, scale: u8::try_from(scale).ok()? })
            }
            WireForm::Text | WireForm::Binary => None,
        },
        ValueType::Text => {
            let text = matches!(*delivered, Type::TEXT | Type::VARCHAR);
            (text && matches!(told, PgType::Text | PgType::Varchar | PgType::Bpchar)).then_some(Cell::Utf8)
        }
        ValueType::Date => same(Type::DATE, PgType::Date).then_some(match form {
            WireForm::Text => Cell::Day,
            WireForm::Binary => Cell::Days,
        }),
        ValueType::Time => same(Type::TIME, PgType::Time).then_some(match form {
            WireForm::Text => Cell::Clock,
            WireForm::Binary => Cell::Micros(value_type),
        }),
        ValueType::Timestamp { utc } => {
            let same = if utc {
                same(Type::TIMESTAMPTZ, PgType::Timestamptz)
            } else {
                same(Type::TIMESTAMP, PgType::Timestamp)
            };
            same.then_some(match form {
                WireForm::Text => Cell::Day,
                WireForm::Binary => Cell::Micros(value_type),
            })
        }
        ValueType::TextList | ValueType::List(_) => None,
    }
}

fn is_number(delivered: &Type) -> bool {
    matches!(*delivered, Type::INT2 | Type::INT4 | Type::INT8 | Type::NUMERIC)
}

/// Looks through rows that were asked for in the wanted form. `None`: some cell must be read.
pub(crate) fn looked_through(messages: Vec<u8>, delivered: &[Type], copying: Copying<'_>) -> Option<WireRows> {
    let mut written = WireRows::default();
    for body in frames::rows(&messages) {
        let (count, mut cells) = body.ok()?.split_first_chunk::<2>()?;
        if usize::from(u16::from_be_bytes(*count)) != delivered.len() {
            return None;
        }
        // Rows found by a key are few: what their columns are is not written down.
        for (place, column) in columns(delivered, copying).enumerate() {
            let column = column?;
            let (length, others) = cells.split_first_chunk::<4>()?;
            cells = others;
            match i32::from_be_bytes(*length) {
                -1 => {
                    written.nulls.resize(delivered.len(), 0);
                    *written.nulls.get_mut(place)? += 1;
                }
                length => {
                    let (cell, others) = cells.split_at_checked(usize::try_from(length).ok()?)?;
                    cells = others;
                    if !column.cell.admits(cell) {
                        return None;
                    }
                    written.bytes += column.value_bytes(cell);
                }
            }
        }
        if !cells.is_empty() {
            return None;
        }
        written.rows += 1;
    }
    for (place, column) in columns(delivered, copying).enumerate() {
        written.bytes += column?.fixed_bytes(written.rows, written.nulls.get(place).copied().unwrap_or(0));
    }
    written.messages = messages;
    Some(written)
}

impl Cell {
    fn admits(self, cell: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Utf8 => std::str::from_utf8(cell).is_ok(),
            Self::Digits { precision, scale } => is_decimal(cell, usize::from(precision), usize::from(scale)),
            Self::Day => {
                let year = cell.get(..4).is_some_and(|year| year.iter().all(u8::is_ascii_digit));
                year && cell.get(4) == Some(&b'-') && !cell.ends_with(b"BC")
            }
            Self::Clock => cell.first_chunk::<2>().is_some_and(|hour| hour < b"24"),
            Self::Days => cells::date(cell).is_ok(),
            Self::Micros(ValueType::Time) => cells::time(cell).is_ok(),
            Self::Micros(value_type) => cells::timestamp(cell, value_type).is_ok(),
        }
    }
}

fn is_decimal(cell: &[u8], precision: usize, scale: usize) -> bool {
    let digits = cell.strip_prefix(b"-").unwrap_or(cell);
    let point = digits.iter().position(|byte| *byte == b'.');
    let (whole, fraction) = match point {
        Some(point) => (digits.get(..point).unwrap_or_default(), digits.get(point + 1..).unwrap_or_default()),
        None => (digits, &[][..]),
    };
    let whole_digits = if whole == b"0" { 0 } else { whole.len() };
    let all = |part: &[u8]| part.iter().all(u8::is_ascii_digit);
    !whole.is_empty()
        && point.is_some() == (scale > 0)
        && fraction.len() == scale
        && whole_digits + scale <= precision
        && all(whole)
        && all(fraction)
}

impl Copied {
    /// Of a value, beside its place in the column.
    fn value_bytes(self, cell: &[u8]) -> u64 {
        match self.value_type {
            ValueType::Text | ValueType::Binary => u64::try_from(cell.len()).unwrap_or(u64::MAX),
            ValueType::Boolean
            | ValueType::Int16
            | ValueType::Int32
            | ValueType::Int64
            | ValueType::Float32
            | ValueType::Float64
            | ValueType::Decimal128 { .. }
            | ValueType::Date
            | ValueType::Time
            | ValueType::Timestamp { .. }
            | ValueType::TextList
            | ValueType::List(_) => 0,
        }
    }

    fn fixed_bytes(self, rows: u64, nulls: u64) -> u64 {
        let bits = rows.div_ceil(8);
        let places = match self.value_type {
            ValueType::Boolean => bits,
            ValueType::Int16 => 2 * rows,
            ValueType::Int32
            | ValueType::Float32
            | ValueType::Date
            | ValueType::Text
            | ValueType::Binary
            | ValueType::TextList
            | ValueType::List(_) => 4 * rows,
            ValueType::Int64 | ValueType::Float64 | ValueType::Time | ValueType::Timestamp { .. } => 8 * rows,
            ValueType::Decimal128 { .. } => 16 * rows,
        };
        places + if nulls > 0 { bits } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frames::tests::said;
    use querygate_driver_api::fragment::OutputColumn;
    use querygate_driver_api::identifier::ColumnId;

    fn statement(types: &[ValueType]) -> NativeStatement {
        let column = |value_type: &ValueType| {
            let column =
                OutputColumn { id: ColumnId(0), name: "c".to_owned(), value_type: *value_type, nullable: true };
            (column, Encoding::Canonical)
        };
        NativeStatement {
            text: "q".into(),
            bindings: Vec::new(),
            parameters: Vec::new(),
            output: types.iter().map(column).collect(),
            schema: Arc::new(arrow::datatypes::Schema::empty()),
        }
    }

    fn row(cells: &[Option<&[u8]>]) -> Vec<u8> {
        let mut body = u16::try_from(cells.len()).unwrap().to_be_bytes().to_vec();
        for cell in cells {
            let length = cell.map_or(-1, |cell| i32::try_from(cell.len()).unwrap());
            body.extend(length.to_be_bytes());
            body.extend(cell.unwrap_or_default());
        }
        said(b'D', &body)
    }

    fn copies(value_type: ValueType, delivered: &Type, told: PgType, form: WireForm, value: &[u8]) -> bool {
        let (statement, delivered) = (statement(&[value_type]), [delivered.clone()]);
        let copying = Copying { statement: &statement, wanted: Wanted { types: &[told], form } };
        may_be(&delivered, copying) && looked_through(row(&[Some(value)]), &delivered, copying).is_some()
    }

    const NUMBER: ValueType = ValueType::Decimal128 { precision: 5, scale: 2 };
    const WHOLE: ValueType = ValueType::Decimal128 { precision: 5, scale: 0 };
    const INSTANT: ValueType = ValueType::Timestamp { utc: true };

    #[test]
    fn printed_cells_are_copied_where_they_are_what_we_would_print() {
        let text = |value_type, delivered: &Type, told, value: &str| {
            copies(value_type, delivered, told, WireForm::Text, value.as_bytes())
        };
        for (value, expected) in [
            ("0.00", true),
            ("-123.45", true),
            ("999.99", true),
            ("1000.00", false),
            ("1.5", false),
            ("1.500", false),
            ("12", false),
            ("NaN", false),
            ("Infinity", false),
            ("", false),
            (".50", false),
        ] {
            assert_eq!(text(NUMBER, &Type::NUMERIC, PgType::Numeric, value), expected, "{value}");
        }
        for (value, expected) in [("0", true), ("-99999", true), ("123456", false), ("1.0", false), ("-", false)] {
            assert_eq!(text(WHOLE, &Type::INT4, PgType::Numeric, value), expected, "{value}");
        }
        for (value, expected) in [
            ("2024-02-29 12:00:00.5+00", true),
            ("0001-01-01 00:00:00+00", true),
            ("9999-12-31 23:59:59.999999+00", true),
            ("0044-03-15 00:00:00+00 BC", false),
            ("10000-01-01 00:00:00+00", false),
            ("infinity", false),
            ("-infinity", false),
        ] {
            assert_eq!(text(INSTANT, &Type::TIMESTAMPTZ, PgType::Timestamptz, value), expected, "{value}");
        }
        for (value, expected) in [("23:59:59.999999", true), ("00:00:00", true), ("24:00:00", false)] {
            assert_eq!(text(ValueType::Time, &Type::TIME, PgType::Time, value), expected, "{value}");
        }
        assert!(text(ValueType::Text, &Type::VARCHAR, PgType::Text, "Ä"));
        assert!(text(ValueType::Text, &Type::TEXT, PgType::Bpchar, "Ä"));
        assert!(!copies(ValueType::Text, &Type::TEXT, PgType::Text, WireForm::Text, b"\xc4"));
    }

    #[test]
    fn other_types_than_those_told_are_read() {
        for (value_type, delivered, told) in [
            (ValueType::Int64, Type::INT4, PgType::Int8),
            (ValueType::Int64, Type::OID, PgType::Int8),
            (ValueType::Float64, Type::FLOAT4, PgType::Float8),
            (ValueType::Text, Type::TEXT, PgType::Uuid),
            (ValueType::Text, Type::BPCHAR, PgType::Text),
            (NUMBER, Type::FLOAT8, PgType::Numeric),
            (INSTANT, Type::TIMESTAMP, PgType::Timestamptz),
            (ValueType::TextList, Type::TEXT_ARRAY, PgType::TextArray),
        ] {
            for form in [WireForm::Text, WireForm::Binary] {
                let wanted = Wanted { types: &[told], form };
                let copying = Copying { statement: &statement(&[value_type]), wanted };
                assert!(!may_be(std::slice::from_ref(&delivered), copying), "{delivered} {told:?}");
            }
        }
        assert!(!copies(NUMBER, &Type::NUMERIC, PgType::Numeric, WireForm::Binary, &[0; 8]));
    }

    #[test]
    fn values_beyond_our_calendar_are_read_in_binary_form() {
        for (value, expected) in [(0, true), (i64::MAX, false), (i64::MIN, false), (i64::MAX - 1, false)] {
            let cell = i64::to_be_bytes(value);
            assert_eq!(copies(INSTANT, &Type::TIMESTAMPTZ, PgType::Timestamptz, WireForm::Binary, &cell), expected);
        }
        for (value, expected) in [(0, true), (i32::MAX, false), (i32::MIN, false)] {
            let cell = i32::to_be_bytes(value);
            assert_eq!(copies(ValueType::Date, &Type::DATE, PgType::Date, WireForm::Binary, &cell), expected);
        }
    }

    #[test]
    fn rows_nulls_and_bytes_are_counted_as_those_of_columns() {
        let statement = statement(&[ValueType::Int32, ValueType::Text]);
        let delivered = [Type::INT4, Type::TEXT];
        let wanted = Wanted { types: &[PgType::Int4, PgType::Text], form: WireForm::Text };
        let copying = Copying { statement: &statement, wanted };
        let messages = [row(&[Some(b"1"), Some(b"abc")]), row(&[None, Some(b"")])].concat();
        let written = looked_through(messages.clone(), &delivered, copying).unwrap();
        assert_eq!((written.rows, written.nulls.as_slice(), written.bytes), (2, [1, 0].as_slice(), 8 + 1 + 8 + 3));
        assert_eq!(written.messages, messages);
        let mut cut = messages.clone();
        cut.pop();
        for broken in [cut, row(&[Some(b"1")]), [messages, said(b'C', b"SELECT 1\0")].concat()] {
            assert!(looked_through(broken, &delivered, copying).is_none());
        }
    }
}
