//! Parameter types that a client declared: each `$n` gets a cast, so that inference starts from what the client said. A
//! numeric's places are its value's own, so a statement is bound anew for values of other places than it was bound for.

mod declared_types;
mod first_casts;
mod texts;
mod uses;
mod values;

pub(crate) use first_casts::declare_first_casts;
pub(in crate::dialect) use first_casts::without_modifier;
pub(crate) use texts::{as_texts, gathered_as_texts};
pub(crate) use uses::{Uses, narrowed};
pub(crate) use values::Parameter;

use crate::sql::walk::{ON, Step, Stop, Writer, write};
use datafusion::sql::sqlparser::ast::{
    ArrayElemTypeDef, BinaryOperator, CastKind, DataType, ExactNumberInfo, Expr, Ident, LimitClause, ObjectName, Query,
    Statement, TimezoneInfo, Value,
};
use querygate_types::{Error, ErrorCode, PgType, Result, TypeCategory, array_types, reg_types};
use std::ops::ControlFlow;

/// Most digits of a numeric parameter.
const NUMERIC_DIGITS_MAX: u8 = 38;

/// What is known of a parameter before its statement is bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Declared {
    pub(crate) pg_type: PgType,
    /// Of a numeric's value, or of the members of an array of numbers. `None`: no value is known yet, and what stands beside an
    /// array decides its type.
    pub(crate) digits: Option<Digits>,
}

/// Room that a numeric needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Digits {
    /// All digits.
    precision: u8,
    /// Those after the point.
    places: u8,
}

impl Digits {
    /// Room for a value and others like it: as many places as it has, and up to 19 digits before the point, so that a statement is
    /// bound once for most of its values.
    pub(crate) fn for_value(value: i128, places: u8) -> Self {
        let all = u8::try_from(value.unsigned_abs().to_string().len()).unwrap_or(NUMERIC_DIGITS_MAX);
        let usual = places.saturating_add(DIGITS_BEFORE_POINT);
        let precision = if all <= usual { usual.min(NUMERIC_DIGITS_MAX) } else { NUMERIC_DIGITS_MAX };
        Self { precision, places }
    }

    /// Room for either.
    fn or(self, other: Self) -> Self {
        let places = self.places.max(other.places);
        let whole = (self.precision - self.places).max(other.precision - other.places);
        Self { precision: whole.saturating_add(places).min(NUMERIC_DIGITS_MAX), places }
    }
}

/// Digits before the point that most numerics have at most: those of a bigint.
const DIGITS_BEFORE_POINT: u8 = 19;

impl From<PgType> for Declared {
    fn from(pg_type: PgType) -> Self {
        Self { pg_type, digits: None }
    }
}

/// The types that a client said, with no values known.
pub(crate) fn without_values(types: &[Option<PgType>]) -> Vec<Option<Declared>> {
    types.iter().map(|pg_type| pg_type.map(Declared::from)).collect()
}

/// Wraps declared parameters in casts. A type that cannot be a parameter is refused.
pub(crate) fn declare(ast: &mut Statement, declared: &[Option<Declared>]) -> Result<()> {
    if declared.iter().all(Option::is_none) {
        return Ok(());
    }
    let mut casts = Casts { declared, apart: false };
    write(ast, &mut casts)?;
    if casts.apart { declared_types::one_type_each(ast) } else { Ok(()) }
}

/// What was declared of a parameter, by its name, and the type that it is cast to, if it is.
pub(crate) fn declared_type(name: &str, declared: &[Option<Declared>]) -> Option<(PgType, Option<DataType>)> {
    let number = name.trim_start_matches('$').parse::<usize>().ok()?;
    let declared = declared.get(number.checked_sub(1)?).copied().flatten()?;
    match sql_type(declared) {
        Cast::To(data_type) => Some((declared.pg_type, Some(data_type))),
        Cast::Apart(_) | Cast::None | Cast::Refused => Some((declared.pg_type, None)),
    }
}

/// Whether a parameter was declared with a type that its place does not change: any but a text, which is read as a literal is.
pub(in crate::dialect) fn has_own_type(name: &str, declared: &[Option<Declared>]) -> bool {
    declared_type(name, declared)
        .is_some_and(|(own, _)| own != PgType::Unknown && own.category() != TypeCategory::String)
}

struct Casts<'a> {
    declared: &'a [Option<Declared>],
    /// Whether any was cast that may have another type by what stands beside it.
    apart: bool,
}

impl Casts<'_> {
    fn of(&self, expr: &Expr) -> Option<Declared> {
        let Expr::Value(value) = expr else { return None };
        let Value::Placeholder(name) = &value.value else { return None };
        let number = name.trim_start_matches('$').parse::<usize>().ok()?;
        self.declared.get(number.checked_sub(1)?).copied().flatten()
    }

    /// A declared text is read as whatever stands beside it, as a literal is. Where it is appended, it is a text.
    fn append(&mut self, side: &mut Expr) {
        if self.of(side).is_some_and(|own| matches!(own.pg_type, PgType::Text | PgType::Varchar)) {
            self.apart = true;
            *side = declared_types::apart(side.clone(), DataType::Text);
        }
    }
}

impl Writer for Casts<'_> {
    /// A numeric that counts rows is rounded to a bigint, as PostgreSQL does.
    fn after_query(&mut self, query: &mut Query) -> Step {
        let (limit, offset) = match &mut query.limit_clause {
            Some(LimitClause::LimitOffset { limit, offset, .. }) => {
                (limit.as_mut(), offset.as_mut().map(|offset| &mut offset.value))
            }
            Some(LimitClause::OffsetCommaLimit { offset, limit }) => (Some(limit), Some(offset)),
            None => (None, None),
        };
        for bound in [limit, offset].into_iter().flatten() {
            if matches!(bound, Expr::Cast { data_type: DataType::Numeric(_), expr, .. } if is_parameter(expr)) {
                *bound = cast(std::mem::replace(bound, Expr::Value(Value::Null.into())), DataType::BigInt(None));
            }
        }
        ON
    }

    fn after_expr(&mut self, expr: &mut Expr) -> Step {
        if let Expr::BinaryOp { left, op: BinaryOperator::StringConcat, right } = expr {
            self.append(left);
            self.append(right);
            return ON;
        }
        let Some(declared) = self.of(expr) else { return ON };
        match sql_type(declared) {
            Cast::To(data_type) => {
                *expr = cast(expr.clone(), data_type);
                ON
            }
            Cast::Apart(data_type) => {
                self.apart = true;
                *expr = declared_types::apart(expr.clone(), data_type);
                ON
            }
            Cast::None => ON,
            Cast::Refused => {
                let message = format!("parameters of type {} are not supported", declared.pg_type.sql_name());
                ControlFlow::Break(Stop::Refused(Error::new(ErrorCode::FeatureNotSupported, message)))
            }
        }
    }
}

/// `CAST(expr AS data_type)`.
pub(crate) fn cast(expr: Expr, data_type: DataType) -> Expr {
    Expr::Cast { kind: CastKind::Cast, expr: Box::new(expr), data_type, array: false, format: None }
}

pub(in crate::dialect) fn is_parameter(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(value) if matches!(value.value, Value::Placeholder(_)))
}

enum Cast {
    To(DataType),
    /// As To, unless it is compared or cast, which decides as for an unknown literal.
    Apart(DataType),
    /// The use decides, as for an unknown literal.
    None,
    Refused,
}

fn numeric(digits: Option<Digits>) -> DataType {
    DataType::Numeric(match digits {
        Some(Digits { precision, places }) => {
            ExactNumberInfo::PrecisionAndScale(u64::from(precision), i64::from(places))
        }
        None => ExactNumberInfo::None,
    })
}

fn named(pg_type: PgType) -> DataType {
    DataType::Custom(ObjectName::from(vec![Ident::new(pg_type.name())]), Vec::new())
}

fn array_of(item: DataType) -> DataType {
    DataType::Array(ArrayElemTypeDef::SquareBracket(Box::new(item), None))
}

fn sql_type(declared: Declared) -> Cast {
    match declared.pg_type {
        PgType::Bool => Cast::To(DataType::Boolean),
        PgType::Int2 => Cast::To(DataType::SmallInt(None)),
        PgType::Int4 => Cast::To(DataType::Integer(None)),
        PgType::Int8 => Cast::To(DataType::BigInt(None)),
        PgType::Float4 => Cast::To(DataType::Real),
        PgType::Float8 => Cast::To(DataType::DoublePrecision),
        PgType::Date => Cast::To(DataType::Date),
        PgType::Time => Cast::To(DataType::Time(None, TimezoneInfo::None)),
        PgType::Timetz => Cast::To(DataType::Time(None, TimezoneInfo::Tz)),
        PgType::Timestamp => Cast::To(DataType::Timestamp(None, TimezoneInfo::None)),
        PgType::Timestamptz => Cast::To(DataType::Timestamp(None, TimezoneInfo::Tz)),
        PgType::Bytea => Cast::To(DataType::Bytea),
        PgType::Inet | PgType::Cidr | PgType::Macaddr | PgType::Macaddr8 | PgType::Bit | PgType::Varbit => {
            Cast::To(named(declared.pg_type))
        }
        PgType::Numeric => Cast::To(numeric(declared.digits)),
        PgType::NumericArray if declared.digits.is_some() => Cast::To(array_of(numeric(declared.digits))),
        PgType::Float4Array if declared.digits.is_some() => Cast::To(array_of(DataType::Real)),
        PgType::Float8Array if declared.digits.is_some() => Cast::To(array_of(DataType::DoublePrecision)),
        PgType::Uuid => Cast::Apart(DataType::Uuid),
        PgType::Json => Cast::Apart(DataType::JSON),
        PgType::Jsonb => Cast::Apart(DataType::JSONB),
        PgType::Interval => Cast::Apart(DataType::Interval { fields: None, precision: None }),
        // Values of texts without the blanks behind them, and numbers of objects.
        PgType::Bpchar | PgType::Oid | reg_types!() => Cast::Apart(named(declared.pg_type)),
        // Text from a client fits wherever a literal would.
        PgType::Text
        | PgType::Varchar
        | PgType::Name
        | PgType::Char
        | PgType::Unknown
        | PgType::AclItem
        | PgType::Xid => Cast::None,
        PgType::Int2Vector | PgType::OidVector => Cast::None,
        array_types!() => array(declared.pg_type),
        PgType::Void | PgType::Record | PgType::RecordArray | PgType::PgNodeTree => Cast::Refused,
    }
}

fn array(pg_type: PgType) -> Cast {
    let item = match pg_type.element() {
        None => return Cast::None,
        // How many places they have is known once there are values, for which the statement is bound anew.
        Some(PgType::Numeric) => numeric(None),
        Some(PgType::Text) => DataType::Text,
        Some(PgType::Varchar) => DataType::Varchar(None),
        Some(item) => match sql_type(Declared::from(item)) {
            Cast::To(item) | Cast::Apart(item) => item,
            Cast::None | Cast::Refused => return Cast::None,
        },
    };
    Cast::Apart(array_of(item))
}
