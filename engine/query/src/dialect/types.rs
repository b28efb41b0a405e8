//! PostgreSQL's type names that DataFusion does not plan, with the Postgres type in the field's metadata.

use super::ast::parts;
use arrow::datatypes::{Field, FieldRef};
use datafusion::common::Result;
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::sql::sqlparser::ast::{DataType as SqlType, TimezoneInfo};
use querygate_query_api::{PG_TYPE_KEY, arrow_type_of};
use querygate_types::{Error, ErrorCode, PgType};
use std::sync::Arc;

/// Plans type names; types it does not know are left to DataFusion. Every type is named in the field's metadata: a cast to a
/// field without metadata would keep that of its source, and `oid::int` would still call itself an oid.
#[derive(Debug)]
pub(crate) struct PgTypePlanner;

impl TypePlanner for PgTypePlanner {
    fn plan_type_field(&self, sql_type: &SqlType) -> Result<Option<FieldRef>> {
        Ok(match sql_type {
            SqlType::Custom(name, modifiers) => {
                let Some(names) = parts(name) else { return Ok(None) };
                let (SqlName::Known(pg_type), _) = (lookup(&names), modifiers) else {
                    let message = format!("type \"{name}\" does not exist");
                    return Err(super::external(Error::new(ErrorCode::UndefinedObject, message)));
                };
                field_of(pg_type)
            }
            SqlType::Regclass => field_of(PgType::Regclass),
            SqlType::Uuid => field_of(PgType::Uuid),
            SqlType::JSON => field_of(PgType::Json),
            SqlType::JSONB => field_of(PgType::Jsonb),
            SqlType::Boolean | SqlType::Bool => field_of(PgType::Bool),
            SqlType::SmallInt(_) | SqlType::Int2(_) => field_of(PgType::Int2),
            SqlType::Int(_) | SqlType::Integer(_) | SqlType::Int4(_) => field_of(PgType::Int4),
            SqlType::BigInt(_) | SqlType::Int8(_) => field_of(PgType::Int8),
            SqlType::Real | SqlType::Float4 => field_of(PgType::Float4),
            SqlType::DoublePrecision | SqlType::Float8 => field_of(PgType::Float8),
            SqlType::Text => field_of(PgType::Text),
            SqlType::Varchar(None) | SqlType::CharacterVarying(None) => field_of(PgType::Varchar),
            SqlType::Date => field_of(PgType::Date),
            SqlType::Bytea => field_of(PgType::Bytea),
            SqlType::Timestamp(_, TimezoneInfo::WithTimeZone | TimezoneInfo::Tz) => field_of(PgType::Timestamptz),
            SqlType::Timestamp(_, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => field_of(PgType::Timestamp),
            SqlType::Time(_, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => field_of(PgType::Time),
            _ => None,
        })
    }
}

enum SqlName {
    Known(PgType),
    Unknown,
}

fn lookup(names: &[String]) -> SqlName {
    let name = match names {
        [name] => name.as_str(),
        [schema, name] if schema == "pg_catalog" || schema == "information_schema" => name.as_str(),
        _ => return SqlName::Unknown,
    };
    let known = match name {
        "sql_identifier" => Some(PgType::Name),
        "character_data" | "yes_or_no" => Some(PgType::Varchar),
        "cardinal_number" => Some(PgType::Int4),
        "time_stamp" => Some(PgType::Timestamptz),
        "regprocedure" | "regoper" | "regoperator" | "regconfig" | "regcollation" | "cid" | "xid8" => Some(PgType::Oid),
        "cstring" | "citext" | "inet" | "cidr" | "macaddr" | "aclitem" | "tid" | "pg_lsn" | "refcursor"
        | "anyelement" => Some(PgType::Text),
        "_aclitem" => Some(PgType::TextArray),
        "boolean" => Some(PgType::Bool),
        "smallint" => Some(PgType::Int2),
        "integer" | "int" => Some(PgType::Int4),
        "bigint" => Some(PgType::Int8),
        "real" => Some(PgType::Float4),
        "decimal" => Some(PgType::Numeric),
        other => PgType::from_name(other),
    };
    known.map_or(SqlName::Unknown, SqlName::Known)
}

fn field_of(pg_type: PgType) -> Option<FieldRef> {
    let data_type = arrow_type_of(pg_type)?;
    let metadata = [(PG_TYPE_KEY.to_owned(), pg_type.name().to_owned())].into();
    Some(Arc::new(Field::new("", data_type, true).with_metadata(metadata)))
}
