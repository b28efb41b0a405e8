//! The Arrow form of ObjectStack's value types, as the gate serves them.

use arrow::datatypes::{DataType, Field as ArrowField, IntervalUnit, Schema, SchemaRef, TimeUnit};
use querygate_metadata::model::{Field, Object, ValueType};
use querygate_query_api::column::ENUM_LABELS_KEY;
use querygate_query_api::values::network::NETWORK;
use querygate_query_api::values::timetz::TimeTz;
use querygate_query_api::values::wide_numeric::WIDE_NUMERIC;
use querygate_types::PgType;
use std::collections::HashMap;
use std::sync::Arc;

/// Key of field metadata that names the Postgres type where Arrow's type does not say it all; doors use the same.
pub(crate) const PG_TYPE_KEY: &str = "pg_type";

/// Arrow type of a value type.
#[must_use]
pub fn arrow_type(value_type: ValueType) -> DataType {
    match value_type {
        ValueType::Text | ValueType::Uuid | ValueType::Coded(_) | ValueType::JsonText | ValueType::Json => {
            DataType::Utf8
        }
        ValueType::Network { .. } => NETWORK,
        ValueType::TextList => DataType::List(Arc::new(ArrowField::new("item", DataType::Utf8, true))),
        ValueType::List(item) => DataType::List(Arc::new(ArrowField::new("item", arrow_type(item.value_type()), true))),
        ValueType::Float64 => DataType::Float64,
        ValueType::Float32 => DataType::Float32,
        ValueType::Int16 => DataType::Int16,
        ValueType::Int32 => DataType::Int32,
        ValueType::Int64 => DataType::Int64,
        ValueType::Binary => DataType::Binary,
        ValueType::Decimal { precision, scale } => DataType::Decimal128(precision, scale),
        ValueType::Numeric { .. } => WIDE_NUMERIC,
        ValueType::Interval => DataType::Interval(IntervalUnit::MonthDayNano),
        ValueType::TimeTz => TimeTz::ARROW,
        ValueType::Boolean => DataType::Boolean,
        ValueType::Date => DataType::Date32,
        ValueType::TimestampMillisUtc => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
        ValueType::Timestamp { utc } => DataType::Timestamp(TimeUnit::Microsecond, utc.then(|| "UTC".into())),
        // As literals and parameters are: what differs in its unit does not compare.
        ValueType::Time => DataType::Time64(TimeUnit::Microsecond),
        ValueType::Float32Vector(_) => DataType::List(Arc::new(ArrowField::new("item", DataType::Float32, true))),
    }
}

/// Arrow field of a metadata field, with the Postgres type named where needed.
#[must_use]
pub(crate) fn arrow_field(field: &Field) -> ArrowField {
    let value_type = field.value_type();
    let arrow = ArrowField::new(&field.name, arrow_type(value_type), !field.not_null);
    match &field.enum_type {
        Some(own) => {
            let described = [own.name.as_str()].into_iter().chain(own.labels.iter().map(String::as_str));
            let described = described.collect::<Vec<_>>().join("\0");
            arrow.with_metadata(HashMap::from([(ENUM_LABELS_KEY.to_owned(), described)]))
        }
        None => with_pg_type(arrow, field.pg_type()),
    }
}

/// Schema of all stored fields of an object, in column order: what a source of it should have. Of types that SQL alone has, it has
/// texts.
#[must_use]
pub fn object_schema(object: &Object) -> SchemaRef {
    let stored = |field: &Field| {
        let own = arrow_field(field);
        if field.value_type().is_read_from_text() { own.with_data_type(DataType::Utf8) } else { own }
    };
    let fields: Vec<ArrowField> = object.fields.values().filter(|field| field.stored()).map(stored).collect();
    Arc::new(Schema::new(fields))
}

/// Writes the Postgres type beside an Arrow field where the door could not tell it from the Arrow type.
pub(crate) fn with_pg_type(field: ArrowField, pg_type: PgType) -> ArrowField {
    match pg_type {
        PgType::Jsonb
        | PgType::Json
        | PgType::Uuid
        | PgType::Varchar
        | PgType::Bpchar
        | PgType::Cidr
        | PgType::Macaddr
        | PgType::Macaddr8
        | PgType::Bit
        | PgType::Varbit => field.with_metadata(HashMap::from([(PG_TYPE_KEY.to_owned(), pg_type.name().to_owned())])),
        _ => field,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_types_have_one_arrow_form() {
        let list = |item: DataType| DataType::List(Arc::new(ArrowField::new("item", item, true)));
        for (value_type, expected) in [
            (ValueType::Text, DataType::Utf8),
            (ValueType::Uuid, DataType::Utf8),
            (ValueType::Json, DataType::Utf8),
            (ValueType::TextList, list(DataType::Utf8)),
            (ValueType::Float32Vector(3), list(DataType::Float32)),
            (ValueType::Int16, DataType::Int16),
            (ValueType::Binary, DataType::Binary),
            (ValueType::Decimal { precision: 18, scale: 2 }, DataType::Decimal128(18, 2)),
            (ValueType::Date, DataType::Date32),
            // Values of records have milliseconds, those of databases microseconds.
            (ValueType::TimestampMillisUtc, DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))),
            (ValueType::Timestamp { utc: true }, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
            (ValueType::Timestamp { utc: false }, DataType::Timestamp(TimeUnit::Microsecond, None)),
            (ValueType::Time, DataType::Time64(TimeUnit::Microsecond)),
        ] {
            assert_eq!(arrow_type(value_type), expected, "{value_type:?}");
        }
    }

    /// The Postgres type is named only where a door could not tell it.
    #[test]
    fn a_field_names_the_type_that_arrow_does_not_say() {
        let named = |pg_type: PgType| {
            let field = with_pg_type(ArrowField::new("f", DataType::Utf8, true), pg_type);
            field.metadata().get(PG_TYPE_KEY).cloned()
        };
        for pg_type in [PgType::Jsonb, PgType::Uuid, PgType::Varchar, PgType::Bpchar, PgType::Macaddr, PgType::Varbit] {
            assert_eq!(named(pg_type).as_deref(), Some(pg_type.name()));
        }
        for pg_type in [PgType::Text, PgType::Int4, PgType::Timestamptz, PgType::Numeric] {
            assert_eq!(named(pg_type), None, "{pg_type:?}");
        }
    }

    #[test]
    fn an_objects_schema_has_what_a_source_stores() {
        let deployment = crate::testing::deployed(&crate::testing::stack(), 1);
        let schema = object_schema(deployment.snapshot.object("team_people").unwrap());
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names, ["id", "name", "grade", "phone", "zone"], "formulas are stored nowhere");
        assert!(!schema.field(0).is_nullable() && schema.field(1).is_nullable());
    }
}
