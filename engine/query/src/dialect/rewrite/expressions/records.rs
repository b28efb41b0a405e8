//! Objects of JSON as rows whose columns the statement names: `json_to_record(j) AS x(a int, b text)`, `json_to_recordset`, and
//! `json_populate_record` of a NULL record.

use crate::dialect::ast::{
    aliased, call, cast, derived, element_type, folded, object_name, parts, quoted, select, table_alias, text,
};
use datafusion::sql::sqlparser::ast::{ArrayElemTypeDef, DataType, Expr, TableAlias, TableFactor, Value};
use querygate_types::{Error, ErrorCode, Result};

/// The rows, where the function is one of them.
///
/// # Errors
/// 42601 without columns and their types, 0A000 for a record that is not NULL.
pub(in crate::dialect) fn of_json(
    name: &str,
    arguments: &[Expr],
    alias: Option<&TableAlias>,
) -> Result<Option<TableFactor>> {
    let (argument, many) = match (name, arguments) {
        ("json_to_record" | "jsonb_to_record", [json]) => (json, false),
        ("json_to_recordset" | "jsonb_to_recordset", [json]) => (json, true),
        ("json_populate_record" | "jsonb_populate_record", [record, json]) => {
            refuse_record(record)?;
            (json, false)
        }
        ("json_populate_recordset" | "jsonb_populate_recordset", [record, json]) => {
            refuse_record(record)?;
            (json, true)
        }
        _ => return Ok(None),
    };
    let columns = alias.map(|alias| alias.columns.as_slice()).unwrap_or_default();
    if columns.is_empty() || columns.iter().any(|column| column.data_type.is_none()) {
        let message = "a column definition list is required for functions returning \"record\"";
        return Err(Error::new(ErrorCode::SyntaxError, message));
    }
    let own = if name.starts_with("jsonb") { DataType::JSONB } else { DataType::JSON };
    let json = cast(argument.clone(), own.clone());
    let item = if many { call("unnest", vec![call("json_elements", vec![json])]) } else { json };
    let rows = derived(select(vec![aliased(item, "item")], None)?, true, Some(table_alias("set", &[])));
    let item = Expr::CompoundIdentifier(vec![quoted("set"), quoted("item")]);
    let mut items = Vec::with_capacity(columns.len());
    for column in columns {
        let (name, Some(data_type)) = (folded(&column.name), &column.data_type) else { continue };
        items.push(aliased(field(cast(item.clone(), own.clone()), &name, data_type), &name));
    }
    let table = alias.cloned().unwrap_or_else(|| table_alias(name, &[]));
    Ok(Some(derived(select(items, Some(rows))?, true, Some(TableAlias { columns: Vec::new(), ..table }))))
}

/// One member in a column's type.
fn field(object: Expr, name: &str, data_type: &DataType) -> Expr {
    let arguments = vec![object, text(name)];
    let data_type = &of_one_dimension(data_type);
    match data_type {
        DataType::JSON | DataType::JSONB => cast(call("json_get", arguments), data_type.clone()),
        DataType::Array(_) => {
            let literal = call("json_as_array_text", vec![call("json_get", arguments)]);
            cast(literal, data_type.clone())
        }
        _ => cast(call("json_get_text", arguments), data_type.clone()),
    }
}

/// However many dimensions an array is declared with, its type says none; `_int4` is `int4[]`.
fn of_one_dimension(data_type: &DataType) -> DataType {
    let array = |element: DataType| DataType::Array(ArrayElemTypeDef::SquareBracket(Box::new(element), None));
    match data_type {
        DataType::Array(_) => match element_type(data_type) {
            Some(inner @ DataType::Array(_)) => of_one_dimension(inner),
            _ => data_type.clone(),
        },
        DataType::Custom(name, modifiers) if modifiers.is_empty() => {
            let name = parts(name).and_then(|mut parts| parts.pop());
            let element = name.as_deref().and_then(|name| name.strip_prefix('_'));
            match element {
                Some(element) => array(DataType::Custom(object_name(&[element]), Vec::new())),
                None => data_type.clone(),
            }
        }
        other => other.clone(),
    }
}

fn refuse_record(record: &Expr) -> Result<()> {
    let null = match record {
        Expr::Cast { expr, .. } => matches!(expr.as_ref(), Expr::Value(value) if value.value == Value::Null),
        Expr::Value(value) => value.value == Value::Null,
        _ => false,
    };
    if null {
        Ok(())
    } else {
        Err(Error::new(ErrorCode::FeatureNotSupported, "a record to begin with is not supported"))
    }
}
