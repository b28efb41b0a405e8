//! A result column as doors describe it, and the one mapping from Arrow fields to Postgres types.

use crate::values::network::NETWORK;
use crate::values::timetz::TimeTz;
use arrow::datatypes::{DataType, Field, IntervalUnit, TimeUnit};
use querygate_types::{PgType, array_types, reg_types};

/// Key of field metadata: the length of `char(n)` and `varchar(n)`, the digits of a second's fraction, or `any` for a
/// numeric without a declared scale.
pub const TYPE_MODIFIER_KEY: &str = "pg_type_modifier";

/// Key of field metadata that names the Postgres type (`pg_type.typname`) where Arrow's type does not say it all.
pub const PG_TYPE_KEY: &str = "pg_type";

/// Key of field metadata: name and labels of an enum in their order, with NUL between; its values are texts.
pub const ENUM_LABELS_KEY: &str = "pg_enum_labels";

/// One column of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// As the client sees it; equal names may occur.
    pub name: String,
    /// The type in the description that the client gets.
    pub pg_type: PgType,
    /// `pg_type.oid` of an enum, whose values are sent as texts; `pg_type` is text then.
    pub enum_oid: Option<u32>,
    /// `atttypmod`; −1 for none. For numeric ((precision << 16) | scale) + 4.
    pub type_modifier: i32,
    /// `pg_class.oid` of the table the column comes from; 0 for an expression.
    pub table_oid: u32,
    /// `pg_attribute.attnum`; 0 for an expression.
    pub attribute: i16,
}

/// Describes an Arrow field as a Postgres column that comes from no table.
#[must_use]
pub fn column_of(field: &Field) -> Column {
    Column {
        name: field.name().clone(),
        pg_type: pg_type_of(field),
        enum_oid: None,
        type_modifier: -1,
        table_oid: 0,
        attribute: 0,
    }
}

/// The Postgres type of an Arrow field. Exhaustive: a type without an answer of its own is text by decision, not by default.
#[must_use]
pub fn pg_type_of(field: &Field) -> PgType {
    if let Some(named) = field.metadata().get(PG_TYPE_KEY).and_then(|name| PgType::from_name(name)) {
        return named;
    }
    pg_type_of_data_type(field.data_type())
}

fn pg_type_of_data_type(data_type: &DataType) -> PgType {
    match data_type {
        DataType::Boolean => PgType::Bool,
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => PgType::Int2,
        DataType::Int32 | DataType::UInt16 => PgType::Int4,
        DataType::Int64 => PgType::Int8,
        // Only the catalog has it, where it is an oid also behind a CASE or an aggregate that lost the field's metadata;
        // sources hand unsigned numbers over as wider signed ones.
        DataType::UInt32 => PgType::Oid,
        DataType::UInt64
        | DataType::Decimal32(..)
        | DataType::Decimal64(..)
        | DataType::Decimal128(..)
        | DataType::Decimal256(..) => PgType::Numeric,
        DataType::Float16 | DataType::Float32 => PgType::Float4,
        DataType::Float64 => PgType::Float8,
        DataType::Date32 | DataType::Date64 => PgType::Date,
        DataType::Time32(_) | DataType::Time64(_) => PgType::Time,
        DataType::Timestamp(
            TimeUnit::Second | TimeUnit::Millisecond | TimeUnit::Microsecond | TimeUnit::Nanosecond,
            zone,
        ) => {
            if zone.is_some() {
                PgType::Timestamptz
            } else {
                PgType::Timestamp
            }
        }
        DataType::Interval(IntervalUnit::YearMonth | IntervalUnit::DayTime | IntervalUnit::MonthDayNano)
        | DataType::Duration(_) => PgType::Interval,
        keys if *keys == TimeTz::ARROW => PgType::Timetz,
        keys if *keys == NETWORK => PgType::Inet,
        DataType::Binary | DataType::BinaryView | DataType::FixedSizeBinary(_) => PgType::Bytea,
        // Cells of numerics of any width: no source hands bytes over so.
        DataType::LargeBinary => PgType::Numeric,
        DataType::Null | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => PgType::Text,
        DataType::Dictionary(_, values) => pg_type_of_data_type(values),
        DataType::RunEndEncoded(_, values) => pg_type_of(values),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => array_of(pg_type_of(item)),
        // No source hands over structs: documents are texts of JSON.
        DataType::Struct(_) => PgType::Record,
        DataType::Map(..) | DataType::Union(..) => PgType::Jsonb,
    }
}

/// A Postgres array has one type at every number of dimensions: lists of lists stay the array of their element.
fn array_of(item: PgType) -> PgType {
    let is_array = item.name().starts_with('_');
    if is_array { item } else { item.array().unwrap_or(PgType::TextArray) }
}

/// The Arrow type in which a parameter of this Postgres type is handed to a session. `None`: such a parameter is refused.
#[must_use]
pub fn arrow_type_of(pg_type: PgType) -> Option<DataType> {
    let data_type = match pg_type {
        PgType::Bool => DataType::Boolean,
        PgType::Bytea => DataType::Binary,
        PgType::Int2 => DataType::Int16,
        PgType::Int4 => DataType::Int32,
        PgType::Int8 => DataType::Int64,
        PgType::Oid | PgType::Xid | reg_types!() => DataType::UInt32,
        PgType::Float4 => DataType::Float32,
        PgType::Float8 => DataType::Float64,
        PgType::Numeric => DataType::Decimal128(38, 10),
        PgType::Char
        | PgType::Name
        | PgType::Text
        | PgType::Bpchar
        | PgType::Varchar
        | PgType::Unknown
        | PgType::Json
        | PgType::Jsonb
        | PgType::PgNodeTree
        | PgType::AclItem
        | PgType::Uuid
        | PgType::Macaddr
        | PgType::Macaddr8
        | PgType::Bit
        | PgType::Varbit => DataType::Utf8,
        PgType::Date => DataType::Date32,
        PgType::Time => DataType::Time64(TimeUnit::Microsecond),
        PgType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        PgType::Timestamptz => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        PgType::Interval => DataType::Interval(IntervalUnit::MonthDayNano),
        PgType::Timetz => TimeTz::ARROW,
        PgType::Inet | PgType::Cidr => NETWORK,
        PgType::Void | PgType::Record | PgType::RecordArray => return None,
        PgType::Int2Vector | PgType::OidVector | array_types!() => {
            let item = arrow_type_of(pg_type.element()?)?;
            DataType::List(Field::new("item", item, true).into())
        }
    };
    Some(data_type)
}
