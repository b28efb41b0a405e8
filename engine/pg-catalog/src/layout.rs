//! Columns of PostgreSQL 15's catalog relations and their fixed rows, read from the data files once.
//! Knows no principal.

use super::cell::{Cell, array_of, read_copy_line};
use arrow::datatypes::{DataType, Field, IntervalUnit, Schema, SchemaRef, TimeUnit};
use arrow::record_batch::RecordBatch;
use querygate_types::{Error, PgType, Result, reg_types};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

/// Key of field metadata that names the Postgres type; doors read the same key.
pub(crate) const PG_TYPE_KEY: &str = "pg_type";

/// One relation of `pg_catalog` or `information_schema`.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) schema: &'static str,
    pub(crate) name: &'static str,
    /// `r` or `v`.
    pub(crate) kind: char,
    pub(crate) oid: u32,
    pub(crate) row_type: u32,
    pub(crate) columns: Vec<LayoutColumn>,
    pub(crate) arrow: SchemaRef,
}

/// One of its columns.
#[derive(Debug)]
pub(crate) struct LayoutColumn {
    pub(crate) name: &'static str,
    /// `typname` of its type, which may be a domain of `information_schema`.
    pub(crate) type_name: &'static str,
    pub(crate) not_null: bool,
}

static LAYOUTS: LazyLock<Vec<Layout>> =
    LazyLock::new(|| include_str!("../data/pg15/relations.tsv").lines().filter_map(read_layout).collect());

static BY_NAME: LazyLock<HashMap<(&'static str, &'static str), &'static Layout>> =
    LazyLock::new(|| LAYOUTS.iter().map(|l| ((l.schema, l.name), l)).collect());

/// All relations, in schema and name order.
pub(crate) fn layouts() -> &'static [Layout] {
    &LAYOUTS
}

/// A relation by name.
pub(crate) fn layout(schema: &str, name: &str) -> Option<&'static Layout> {
    BY_NAME.get(&(schema, name)).copied()
}

fn read_layout(line: &'static str) -> Option<Layout> {
    let mut fields = line.split('\t');
    let (schema, name) = (fields.next()?, fields.next()?);
    let kind = fields.next()?.chars().next()?;
    let oid = fields.next()?.parse().ok()?;
    let row_type = fields.next()?.parse().ok()?;
    let columns: Vec<LayoutColumn> = fields
        .next()?
        .split(' ')
        .filter_map(|column| {
            let (name, rest) = column.split_once(':')?;
            let type_name = rest.trim_end_matches('!');
            Some(LayoutColumn { name, type_name, not_null: rest.ends_with('!') })
        })
        .collect();
    let arrow = Arc::new(Schema::new(columns.iter().map(|c| arrow_field(c.name, c.type_name)).collect::<Vec<_>>()));
    Some(Layout { schema, name, kind, oid, row_type, columns, arrow })
}

/// The Arrow field of a catalog column. Nullable always: outer joins and our own gaps make it so.
pub(crate) fn arrow_field(name: &str, type_name: &str) -> Field {
    let (data_type, wire) = wire_type(type_name);
    Field::new(name, data_type, true).with_metadata(HashMap::from([(PG_TYPE_KEY.to_owned(), wire.name().to_owned())]))
}

/// Arrow and wire type of a type that occurs in the catalog. Types that we do not put on the wire are shown as their text.
fn wire_type(type_name: &str) -> (DataType, PgType) {
    let list = |item| DataType::List(Arc::new(Field::new("item", item, true)));
    match type_name {
        "bool" => (DataType::Boolean, PgType::Bool),
        "int2" => (DataType::Int16, PgType::Int2),
        "int4" | "cardinal_number" => (DataType::Int32, PgType::Int4),
        "int8" => (DataType::Int64, PgType::Int8),
        "oid" => (DataType::UInt32, PgType::Oid),
        "xid" => (DataType::UInt32, PgType::Xid),
        "float4" => (DataType::Float32, PgType::Float4),
        "float8" => (DataType::Float64, PgType::Float8),
        "numeric" => (DataType::Decimal128(38, 0), PgType::Numeric),
        "name" | "sql_identifier" => (DataType::Utf8, PgType::Name),
        "character_data" | "yes_or_no" => (DataType::Utf8, PgType::Varchar),
        "char" => (DataType::Utf8, PgType::Char),
        "timestamptz" | "time_stamp" => {
            (DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), PgType::Timestamptz)
        }
        "interval" => (DataType::Interval(IntervalUnit::MonthDayNano), PgType::Interval),
        "bytea" => (DataType::Binary, PgType::Bytea),
        "int2vector" => (list(DataType::Int16), PgType::Int2Vector),
        "oidvector" => (list(DataType::UInt32), PgType::OidVector),
        "_bool" => (list(DataType::Boolean), PgType::BoolArray),
        "_int2" => (list(DataType::Int16), PgType::Int2Array),
        "_oid" | "_regtype" => (list(DataType::UInt32), PgType::OidArray),
        "_float4" => (list(DataType::Float32), PgType::Float4Array),
        "_float8" => (list(DataType::Float64), PgType::Float8Array),
        "_char" => (list(DataType::Utf8), PgType::CharArray),
        "_name" => (list(DataType::Utf8), PgType::NameArray),
        "_aclitem" => (list(DataType::Utf8), PgType::AclItemArray),
        "_text" | "_pg_statistic" => (list(DataType::Utf8), PgType::TextArray),
        "pg_node_tree" => (DataType::Utf8, PgType::PgNodeTree),
        other => match PgType::from_name(other) {
            Some(reg @ reg_types!()) => (DataType::UInt32, reg),
            _ => (DataType::Utf8, PgType::Text),
        },
    }
}

macro_rules! fixed_rows {
    ($($name:literal),* $(,)?) => {
        /// The rows of a relation that are PostgreSQL's own, as COPY writes them.
        pub(super) fn copy_text(name: &str) -> Option<&'static str> {
            match name {
                $($name => Some(include_str!(concat!("../data/pg15/", $name, ".tsv"))),)*
                _ => None,
            }
        }
        static FIXED: LazyLock<HashMap<&'static str, LazyLock<Vec<Vec<Cell>>>>> = LazyLock::new(|| {
            HashMap::from([$(($name, LazyLock::new((|| read_rows($name)) as fn() -> Vec<Vec<Cell>>)),)*])
        });
    };
}

fixed_rows!(
    "pg_aggregate",
    "pg_am",
    "pg_amop",
    "pg_amproc",
    "pg_cast",
    "pg_collation",
    "pg_conversion",
    "pg_description",
    "pg_extension",
    "pg_init_privs",
    "pg_language",
    "pg_opclass",
    "pg_operator",
    "pg_opfamily",
    "pg_proc",
    "pg_range",
    "pg_tablespace",
    "pg_ts_config",
    "pg_ts_config_map",
    "pg_ts_dict",
    "pg_ts_parser",
    "pg_ts_template",
    "pg_type",
);

/// Rows that every PostgreSQL 15 has in a `pg_catalog` relation; none for a relation without a data file.
pub(crate) fn fixed_rows(name: &str) -> &'static [Vec<Cell>] {
    FIXED.get(name).map_or(&[], |rows| rows.as_slice())
}

fn read_rows(name: &str) -> Vec<Vec<Cell>> {
    let (Some(text), Some(layout)) = (copy_text(name), layout("pg_catalog", name)) else { return Vec::new() };
    let types: Vec<DataType> = layout.arrow.fields().iter().map(|f| f.data_type().clone()).collect();
    text.lines().filter_map(|line| read_copy_line(line, &types).ok()).collect()
}

/// Rows under construction for one relation; columns not given are NULL, or the type's zero where PostgreSQL has NOT NULL.
pub(crate) struct Rows {
    layout: &'static Layout,
    zero: Vec<Cell>,
    rows: Vec<Vec<Cell>>,
}

impl Rows {
    pub(crate) fn new(layout: &'static Layout) -> Self {
        let zero = layout
            .columns
            .iter()
            .zip(layout.arrow.fields())
            .map(|(c, f)| if c.not_null { zero_of(f.data_type()) } else { Cell::Null });
        Self { layout, zero: zero.collect(), rows: Vec::new() }
    }

    /// Adds a row. A name that is no column of the relation is an error of ours.
    pub(crate) fn push(&mut self, cells: Vec<(&str, Cell)>) -> Result<()> {
        let mut row = self.zero.clone();
        for (name, cell) in cells {
            let index = self.layout.columns.iter().position(|c| c.name == name);
            match index.and_then(|i| row.get_mut(i)) {
                Some(slot) => *slot = cell,
                None => return Err(Error::internal(format!("{} has no column {name}", self.layout.name))),
            }
        }
        self.rows.push(row);
        Ok(())
    }

    /// The batch: PostgreSQL's own rows, then those pushed.
    pub(crate) fn finish(self) -> Result<RecordBatch> {
        let fixed = if self.layout.schema == "pg_catalog" { fixed_rows(self.layout.name) } else { &[] };
        let rows: Vec<&Vec<Cell>> = fixed.iter().chain(&self.rows).collect();
        let mut arrays = Vec::with_capacity(self.layout.columns.len());
        for (index, field) in self.layout.arrow.fields().iter().enumerate() {
            let cells: Vec<&Cell> = rows.iter().map(|row| row.get(index).unwrap_or(&Cell::Null)).collect();
            arrays.push(array_of(field.data_type(), &cells)?);
        }
        let options = arrow::record_batch::RecordBatchOptions::new().with_row_count(Some(rows.len()));
        RecordBatch::try_new_with_options(Arc::clone(&self.layout.arrow), arrays, &options).map_err(Error::internal)
    }
}

fn zero_of(data_type: &DataType) -> Cell {
    match data_type {
        DataType::Boolean => Cell::Bool(false),
        DataType::Int16 | DataType::Int32 | DataType::Int64 | DataType::UInt32 => Cell::Int(0),
        DataType::Float32 | DataType::Float64 => Cell::Float(0.0),
        DataType::Utf8 => Cell::Text(String::new()),
        DataType::List(_) => Cell::List(Vec::new()),
        _ => Cell::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_data_file_parses_completely() {
        for name in FIXED.keys() {
            let lines = copy_text(name).unwrap().lines().count();
            assert_eq!(fixed_rows(name).len(), lines, "{name}");
        }
        assert_eq!(layouts().len(), 208);
    }

    #[test]
    fn batches_hold_the_fixed_rows_and_the_own_ones() {
        let mut rows = Rows::new(layout("pg_catalog", "pg_am").unwrap());
        rows.push(vec![("oid", 77_u32.into()), ("amname", "x".into())]).unwrap();
        assert!(rows.push(vec![("no", Cell::Null)]).is_err());
        assert_eq!(rows.finish().unwrap().num_rows(), 8);
    }
}
