//! The pairing of Arrow arrays with Postgres types: one table, decided once per batch. What cannot be written as its
//! announced type is an internal error, never other bytes.

use super::physical::{
    Blobs, Counts, Dates, Decimals, Floats, Intervals, Ints, NO_VALUE, Physical, Spans, Texts, physical,
};
use arrow::array::{Array, BooleanArray, FixedSizeBinaryArray, LargeBinaryArray, UnionArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, TimeUnit};
use querygate_query_api::column::pg_type_of;
use querygate_query_api::values::network::NETWORK;
use querygate_query_api::values::timetz::TimeTz;
use querygate_types::{Error, PgType, Result, array_types, reg_types};

/// One column of a batch, ready to be written row by row.
pub(super) struct Column<'a> {
    nulls: Option<NullBuffer>,
    pub(super) pg_type: PgType,
    pub(super) values: Values<'a>,
}

/// Values as one Postgres type.
pub(super) enum Values<'a> {
    Null,
    Bool(&'a BooleanArray),
    Int(Ints<'a>, Width),
    Float4(Floats<'a>),
    Float8(Floats<'a>),
    Decimal(Decimals<'a>, i8),
    WideNumeric(&'a LargeBinaryArray),
    /// Integers as numeric.
    WholeNumeric(Ints<'a>),
    Text(Texts<'a>),
    /// JSON as text; the binary form of jsonb has a version byte.
    Json(Texts<'a>, JsonKind),
    /// JSON made of nested values.
    JsonTree(Tree<'a>, JsonKind),
    /// `"char"`.
    CharText(Texts<'a>),
    CharByte(Ints<'a>),
    Bytea(Blobs<'a>),
    UuidText(Texts<'a>),
    MacaddrText(Texts<'a>),
    BitText(Texts<'a>),
    Network(&'a FixedSizeBinaryArray, PgType),
    UuidBytes(&'a FixedSizeBinaryArray),
    Date(Dates<'a>),
    Time(Counts<'a>, TimeUnit),
    Timestamp(&'a [i64], TimeUnit),
    Timestamptz(&'a [i64], TimeUnit),
    Interval(Intervals<'a>),
    Timetz(&'a FixedSizeBinaryArray),
    Array(Spans<'a>, Box<Column<'a>>),
    /// `int2vector`, `oidvector`.
    Vector(Spans<'a>, Box<Column<'a>>),
    Record(Vec<Column<'a>>),
    /// A `reg…` type printed by name.
    RegName(Texts<'a>),
    Void(Texts<'a>),
    Indirect(Vec<u32>, Box<Column<'a>>),
}

/// Width of an integer on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    Two,
    Four,
    Eight,
    /// Four bytes without sign: oid and its kin.
    Oid,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JsonKind {
    Json,
    Jsonb,
}

/// Nested values that become JSON.
pub(super) enum Tree<'a> {
    Object(Vec<(String, Column<'a>)>),
    Map(Spans<'a>, Box<Column<'a>>, Box<Column<'a>>),
    List(Spans<'a>, Box<Column<'a>>),
    Variant(&'a UnionArray, Vec<(i8, Column<'a>)>),
}

/// Nesting of types followed; deeper ones are refused.
const DEPTH_MAX: usize = 64;

impl<'a> Column<'a> {
    pub(super) fn new(array: &'a dyn Array, pg_type: PgType) -> Result<Self> {
        Self::nested(array, pg_type, 0)
    }

    fn nested(array: &'a dyn Array, pg_type: PgType, depth: usize) -> Result<Self> {
        if depth > DEPTH_MAX {
            return Err(Error::internal("a result type is nested too deeply"));
        }
        let nulls = array.logical_nulls().filter(|nulls| nulls.null_count() > 0);
        let values = match (physical(array)?, pg_type) {
            (Physical::Null, _) => Values::Null,
            (Physical::Indirect(index, values), _) => {
                Values::Indirect(index, Box::new(Self::nested(values, pg_type, depth + 1)?))
            }
            (physical, PgType::Json) => {
                json(physical, JsonKind::Json, depth).ok_or_else(|| mismatch(array, pg_type))??
            }
            (physical, PgType::Jsonb) => {
                json(physical, JsonKind::Jsonb, depth).ok_or_else(|| mismatch(array, pg_type))??
            }
            (Physical::List(spans, items, item), _) => {
                let items =
                    Self::nested(items, item_type(pg_type, item).ok_or_else(|| mismatch(array, pg_type))?, depth + 1)?;
                match pg_type {
                    PgType::Int2Vector | PgType::OidVector => Values::Vector(spans, Box::new(items)),
                    _ => Values::Array(spans, Box::new(items)),
                }
            }
            (Physical::Struct(array), PgType::Record) => Values::Record(natural_columns(array, depth)?),
            (physical, _) => scalar(physical, pg_type).ok_or_else(|| mismatch(array, pg_type))?,
        };
        Ok(Self { nulls, pg_type, values })
    }

    #[inline]
    pub(super) fn is_null(&self, row: usize) -> bool {
        match &self.values {
            Values::Null => true,
            // Nulls of the values behind an index count too.
            Values::Indirect(index, values) => {
                index.get(row).is_none_or(|at| *at == NO_VALUE || values.is_null(*at as usize))
            }
            _ => self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)),
        }
    }
}

fn mismatch(array: &dyn Array, pg_type: PgType) -> Error {
    Error::internal(format!("an Arrow array of type {} cannot be written as {}", array.data_type(), pg_type.name()))
}

/// Postgres arrays have one element type at every depth; Arrow's nested lists are its dimensions.
fn item_type(list: PgType, item: &Field) -> Option<PgType> {
    let element = list.element()?;
    match item.data_type() {
        DataType::List(_)
        | DataType::LargeList(_)
        | DataType::ListView(_)
        | DataType::LargeListView(_)
        | DataType::FixedSizeList(..)
            if !matches!(element, PgType::Json | PgType::Jsonb | PgType::Int2Vector | PgType::OidVector) =>
        {
            Some(list)
        }
        _ => Some(element),
    }
}

fn natural(array: &dyn Array, field: &Field, depth: usize) -> Result<PgType> {
    if depth > DEPTH_MAX {
        return Err(Error::internal(format!("type {} is nested too deeply", array.data_type())));
    }
    Ok(pg_type_of(field))
}

fn natural_columns(array: &arrow::array::StructArray, depth: usize) -> Result<Vec<Column<'_>>> {
    let fields = array.fields().iter().zip(array.columns());
    fields.map(|(field, column)| Column::nested(column, natural(column, field, depth)?, depth + 1)).collect()
}

/// JSON out of text or of nested values. `None`: not of this kind.
fn json(physical: Physical<'_>, kind: JsonKind, depth: usize) -> Option<Result<Values<'_>>> {
    let tree = match physical {
        Physical::Text(texts) => return Some(Ok(Values::Json(texts, kind))),
        Physical::Struct(array) => natural_columns(array, depth).map(|columns| {
            let mut members: Vec<(String, Column<'_>)> =
                array.fields().iter().map(|field| field.name().clone()).zip(columns).collect();
            if kind == JsonKind::Jsonb {
                // jsonb keeps keys by length, then by bytes.
                members.sort_by(|(a, _), (b, _)| (a.len(), a).cmp(&(b.len(), b)));
            }
            Tree::Object(members)
        }),
        Physical::Map(map) => map_tree(map, depth),
        Physical::List(spans, items, item) => natural(items, item, depth)
            .and_then(|pg_type| Column::nested(items, pg_type, depth + 1))
            .map(|items| Tree::List(spans, Box::new(items))),
        Physical::Union(union) => union_tree(union, depth),
        _ => return None,
    };
    Some(tree.map(|tree| Values::JsonTree(tree, kind)))
}

fn map_tree(map: &arrow::array::MapArray, depth: usize) -> Result<Tree<'_>> {
    let DataType::Struct(fields) = map.entries().data_type() else {
        return Err(Error::internal("a map without entries"));
    };
    let [key, value] = fields.as_ref() else { return Err(Error::internal("a map entry has not two fields")) };
    let keys = Column::nested(map.keys(), natural(map.keys(), key, depth)?, depth + 1)?;
    let values = Column::nested(map.values(), natural(map.values(), value, depth)?, depth + 1)?;
    Ok(Tree::Map(Spans::Offsets32(&map.offsets()[..]), Box::new(keys), Box::new(values)))
}

fn union_tree(union: &UnionArray, depth: usize) -> Result<Tree<'_>> {
    let DataType::Union(fields, _) = union.data_type() else { return Err(Error::internal("a union without fields")) };
    let children = fields.iter().map(|(id, field)| {
        let child = union.child(id);
        Ok((id, Column::nested(child, natural(child, field, depth)?, depth + 1)?))
    });
    Ok(Tree::Variant(union, children.collect::<Result<_>>()?))
}

/// The table of scalar pairs. `None`: cannot be written as this type.
fn scalar(physical: Physical<'_>, pg_type: PgType) -> Option<Values<'_>> {
    use Physical as P;
    match pg_type {
        PgType::Bool => match physical {
            P::Bool(array) => Some(Values::Bool(array)),
            _ => None,
        },
        PgType::Int2 => int(&physical, Width::Two),
        PgType::Int4 => int(&physical, Width::Four),
        PgType::Int8 => int(&physical, Width::Eight),
        PgType::Oid | PgType::Xid => int(&physical, Width::Oid),
        reg_types!() => match physical {
            P::Text(texts) => Some(Values::RegName(texts)),
            other => int(&other, Width::Oid),
        },
        PgType::Float4 => match physical {
            P::Float(floats @ (Floats::F16(_) | Floats::F32(_))) => Some(Values::Float4(floats)),
            _ => None,
        },
        PgType::Float8 => match physical {
            P::Float(floats) => Some(Values::Float8(floats)),
            _ => None,
        },
        PgType::Numeric => match physical {
            P::Decimal(decimals, scale) => Some(Values::Decimal(decimals, scale)),
            P::Int(ints) => Some(Values::WholeNumeric(ints)),
            P::Numeric(cells) => Some(Values::WideNumeric(cells)),
            _ => None,
        },
        PgType::Char => match physical {
            P::Text(texts) => Some(Values::CharText(texts)),
            P::Int(ints @ (Ints::I8(_) | Ints::U8(_))) => Some(Values::CharByte(ints)),
            _ => None,
        },
        PgType::Name
        | PgType::Text
        | PgType::Bpchar
        | PgType::Varchar
        | PgType::Unknown
        | PgType::AclItem
        | PgType::PgNodeTree => match physical {
            P::Text(texts) => Some(Values::Text(texts)),
            _ => None,
        },
        PgType::Bytea => match physical {
            P::Blob(blobs) => Some(Values::Bytea(blobs)),
            _ => None,
        },
        PgType::Uuid => match physical {
            P::Text(texts) => Some(Values::UuidText(texts)),
            P::Blob(Blobs::Fixed(array)) if array.value_length() == 16 => Some(Values::UuidBytes(array)),
            _ => None,
        },
        PgType::Macaddr | PgType::Macaddr8 => match physical {
            P::Text(texts) => Some(Values::MacaddrText(texts)),
            _ => None,
        },
        PgType::Bit | PgType::Varbit => match physical {
            P::Text(texts) => Some(Values::BitText(texts)),
            _ => None,
        },
        PgType::Inet | PgType::Cidr => match physical {
            P::Blob(Blobs::Fixed(keys)) if *keys.data_type() == NETWORK => Some(Values::Network(keys, pg_type)),
            _ => None,
        },
        PgType::Date | PgType::Time | PgType::Timetz | PgType::Timestamp | PgType::Timestamptz | PgType::Interval => {
            moment(physical, pg_type)
        }
        PgType::Void => match physical {
            P::Text(texts) => Some(Values::Void(texts)),
            _ => None,
        },
        // Nested types are paired before this table is asked.
        PgType::Json | PgType::Jsonb | PgType::Record => None,
        PgType::Int2Vector | PgType::OidVector | array_types!() | PgType::RecordArray => None,
    }
}

/// The same of dates, times and their distances.
fn moment(physical: Physical<'_>, pg_type: PgType) -> Option<Values<'_>> {
    match (pg_type, physical) {
        (PgType::Date, Physical::Date(dates)) => Some(Values::Date(dates)),
        (PgType::Time, Physical::Time(counts, unit)) => Some(Values::Time(counts, unit)),
        (PgType::Timestamp, Physical::Timestamp(counts, unit)) => Some(Values::Timestamp(counts, unit)),
        (PgType::Timestamptz, Physical::Timestamp(counts, unit)) => Some(Values::Timestamptz(counts, unit)),
        (PgType::Interval, Physical::Interval(intervals)) => Some(Values::Interval(intervals)),
        (PgType::Timetz, Physical::Blob(Blobs::Fixed(keys))) if *keys.data_type() == TimeTz::ARROW => {
            Some(Values::Timetz(keys))
        }
        _ => None,
    }
}

fn int<'a>(physical: &Physical<'a>, width: Width) -> Option<Values<'a>> {
    match physical {
        Physical::Int(ints) => Some(Values::Int(*ints, width)),
        _ => None,
    }
}
