//! Parameter types that a client declared: each `$n` gets a cast, so that inference starts from what the client said.

use crate::walk::{ON, Step, Stop, Writer, write};
use datafusion::sql::sqlparser::ast::{CastKind, DataType, Expr, Statement, TimezoneInfo, Value};
use querygate_types::{Error, ErrorCode, PgType, Result};
use std::ops::ControlFlow;

/// Wraps declared parameters in casts. A type that cannot be a parameter is refused.
pub(crate) fn declare(ast: &mut Statement, declared: &[Option<PgType>]) -> Result<()> {
    if declared.iter().all(Option::is_none) {
        return Ok(());
    }
    write(ast, &mut Casts { declared })
}

struct Casts<'a> {
    declared: &'a [Option<PgType>],
}

impl Writer for Casts<'_> {
    fn after_expr(&mut self, expr: &mut Expr) -> Step {
        let Expr::Value(value) = expr else { return ON };
        let Value::Placeholder(name) = &value.value else { return ON };
        let number = name.trim_start_matches('$').parse::<usize>().unwrap_or(0);
        let Some(pg_type) = number.checked_sub(1).and_then(|i| self.declared.get(i).copied().flatten()) else {
            return ON;
        };
        match sql_type(pg_type) {
            Cast::To(data_type) => {
                *expr = Expr::Cast {
                    kind: CastKind::Cast,
                    expr: Box::new(expr.clone()),
                    data_type,
                    array: false,
                    format: None,
                };
                ON
            }
            Cast::None => ON,
            Cast::Refused => {
                let message = format!("parameters of type {} are not supported", pg_type.sql_name());
                ControlFlow::Break(Stop::Refused(Error::new(ErrorCode::FeatureNotSupported, message)))
            }
        }
    }
}

enum Cast {
    To(DataType),
    /// The use decides, as for an unknown literal.
    None,
    Refused,
}

fn sql_type(pg_type: PgType) -> Cast {
    match pg_type {
        PgType::Bool => Cast::To(DataType::Boolean),
        PgType::Int2 => Cast::To(DataType::SmallInt(None)),
        PgType::Int4 => Cast::To(DataType::Integer(None)),
        PgType::Int8 => Cast::To(DataType::BigInt(None)),
        PgType::Float4 => Cast::To(DataType::Real),
        PgType::Float8 => Cast::To(DataType::DoublePrecision),
        PgType::Date => Cast::To(DataType::Date),
        PgType::Time => Cast::To(DataType::Time(None, TimezoneInfo::None)),
        PgType::Timestamp => Cast::To(DataType::Timestamp(None, TimezoneInfo::None)),
        PgType::Timestamptz => Cast::To(DataType::Timestamp(None, TimezoneInfo::Tz)),
        PgType::Bytea => Cast::To(DataType::Bytea),
        // Text from a client fits wherever a literal would; numeric keeps the value's own scale.
        PgType::Text
        | PgType::Varchar
        | PgType::Bpchar
        | PgType::Name
        | PgType::Char
        | PgType::Unknown
        | PgType::Numeric
        | PgType::Uuid
        | PgType::Json
        | PgType::Jsonb
        | PgType::Interval
        | PgType::Oid
        | PgType::Regclass
        | PgType::Regtype
        | PgType::Regproc
        | PgType::Regnamespace
        | PgType::Regrole
        | PgType::AclItem
        | PgType::Xid => Cast::None,
        PgType::Int2Vector
        | PgType::OidVector
        | PgType::BoolArray
        | PgType::ByteaArray
        | PgType::CharArray
        | PgType::NameArray
        | PgType::Int2Array
        | PgType::Int4Array
        | PgType::TextArray
        | PgType::BpcharArray
        | PgType::VarcharArray
        | PgType::Int8Array
        | PgType::Float4Array
        | PgType::Float8Array
        | PgType::OidArray
        | PgType::TimestampArray
        | PgType::DateArray
        | PgType::TimeArray
        | PgType::TimestamptzArray
        | PgType::IntervalArray
        | PgType::AclItemArray
        | PgType::NumericArray
        | PgType::JsonArray
        | PgType::UuidArray
        | PgType::JsonbArray => Cast::None,
        PgType::Void | PgType::Record | PgType::RecordArray | PgType::PgNodeTree => Cast::Refused,
    }
}
