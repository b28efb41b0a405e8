//! GetXdbcTypeInfo: the types that results have, in ODBC's words. Knows no column.

use super::catalog::built;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use arrow_flight::sql::metadata::{XdbcTypeInfo, XdbcTypeInfoData, XdbcTypeInfoDataBuilder};
use arrow_flight::sql::{Nullable, Searchable, XdbcDataType, XdbcDatetimeSubcode};
use querygate_types::Result;

pub(super) fn schema() -> Result<SchemaRef> {
    Ok(data()?.schema())
}

pub(super) fn rows(wanted: Option<i32>) -> Result<RecordBatch> {
    built(data()?.record_batch(wanted))
}

/// Longest text or byte string, as PostgreSQL has it.
const GIGABYTE: i32 = 1 << 30;

fn data() -> Result<XdbcTypeInfoData> {
    let mut types: Vec<XdbcTypeInfo> = [
        exact("int2", XdbcDataType::XdbcSmallint, 5),
        exact("int4", XdbcDataType::XdbcInteger, 10),
        exact("int8", XdbcDataType::XdbcBigint, 19),
        approximate("float4", XdbcDataType::XdbcReal, 24),
        approximate("float8", XdbcDataType::XdbcDouble, 53),
        numeric(),
        plain("bool", XdbcDataType::XdbcBit, Some(1)),
        quoted("text", XdbcDataType::XdbcLongvarchar, GIGABYTE),
        quoted("varchar", XdbcDataType::XdbcVarchar, GIGABYTE),
        quoted("bpchar", XdbcDataType::XdbcChar, GIGABYTE),
        quoted("name", XdbcDataType::XdbcVarchar, 63),
        quoted("uuid", XdbcDataType::XdbcChar, 36),
        quoted("inet", XdbcDataType::XdbcVarchar, 43),
        quoted("cidr", XdbcDataType::XdbcVarchar, 43),
        quoted("macaddr", XdbcDataType::XdbcChar, 17),
        quoted("macaddr8", XdbcDataType::XdbcChar, 23),
        quoted("bit", XdbcDataType::XdbcVarchar, GIGABYTE),
        quoted("varbit", XdbcDataType::XdbcVarchar, GIGABYTE),
        quoted("json", XdbcDataType::XdbcLongvarchar, GIGABYTE),
        quoted("jsonb", XdbcDataType::XdbcLongvarchar, GIGABYTE),
        quoted("bytea", XdbcDataType::XdbcVarbinary, GIGABYTE),
        moment("date", XdbcDataType::XdbcDate, 10, None),
        moment("time", XdbcDataType::XdbcTime, 15, Some(XdbcDatetimeSubcode::XdbcSubcodeTime)),
        moment("timestamp", XdbcDataType::XdbcTimestamp, 26, Some(XdbcDatetimeSubcode::XdbcSubcodeTimestamp)),
        moment(
            "timestamptz",
            XdbcDataType::XdbcTimestamp,
            32,
            Some(XdbcDatetimeSubcode::XdbcSubcodeTimestampWithTimezone),
        ),
        quoted("interval", XdbcDataType::XdbcInterval, 49),
    ]
    .into();
    // Flight SQL asks for this order: by data type, then by how close the type is to it.
    types.sort_by_key(|info| info.data_type as i32);
    let mut builder = XdbcTypeInfoDataBuilder::new();
    types.into_iter().for_each(|info| builder.append(info));
    built(builder.build())
}

fn plain(name: &str, data_type: XdbcDataType, column_size: Option<i32>) -> XdbcTypeInfo {
    XdbcTypeInfo {
        type_name: name.to_owned(),
        data_type,
        column_size,
        nullable: Nullable::NullabilityNullable,
        searchable: Searchable::Full,
        local_type_name: Some(name.to_owned()),
        sql_data_type: data_type,
        ..XdbcTypeInfo::default()
    }
}

fn exact(name: &str, data_type: XdbcDataType, digits: i32) -> XdbcTypeInfo {
    XdbcTypeInfo {
        unsigned_attribute: Some(false),
        auto_increment: Some(false),
        minimum_scale: Some(0),
        maximum_scale: Some(0),
        num_prec_radix: Some(10),
        ..plain(name, data_type, Some(digits))
    }
}

fn approximate(name: &str, data_type: XdbcDataType, bits: i32) -> XdbcTypeInfo {
    XdbcTypeInfo {
        unsigned_attribute: Some(false),
        auto_increment: Some(false),
        num_prec_radix: Some(2),
        ..plain(name, data_type, Some(bits))
    }
}

fn numeric() -> XdbcTypeInfo {
    XdbcTypeInfo {
        create_params: Some(vec!["precision".to_owned(), "scale".to_owned()]),
        unsigned_attribute: Some(false),
        auto_increment: Some(false),
        minimum_scale: Some(0),
        maximum_scale: Some(38),
        num_prec_radix: Some(10),
        ..plain("numeric", XdbcDataType::XdbcNumeric, Some(38))
    }
}

fn quoted(name: &str, data_type: XdbcDataType, column_size: i32) -> XdbcTypeInfo {
    XdbcTypeInfo {
        literal_prefix: Some("'".to_owned()),
        literal_suffix: Some("'".to_owned()),
        case_sensitive: true,
        ..plain(name, data_type, Some(column_size))
    }
}

fn moment(name: &str, data_type: XdbcDataType, width: i32, subcode: Option<XdbcDatetimeSubcode>) -> XdbcTypeInfo {
    XdbcTypeInfo { case_sensitive: false, datetime_subcode: subcode, ..quoted(name, data_type, width) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_filtered_and_keep_their_schema() {
        let all = rows(None).unwrap();
        assert_eq!((all.num_rows(), all.schema()), (26, schema().unwrap()));
        assert_eq!(rows(Some(XdbcDataType::XdbcBigint as i32)).unwrap().num_rows(), 1);
        assert_eq!(rows(Some(12_345)).unwrap().num_rows(), 0);
    }
}
