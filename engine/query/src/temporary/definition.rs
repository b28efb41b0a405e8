//! What a temporary table is made of: columns with their types, defaults and lengths, keys, and what becomes of it at a COMMIT.

use crate::write::intent::{folded, unsupported};
use crate::write::values::assignment::cast_to;
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, FieldRef, Schema, SchemaRef};
use datafusion::sql::sqlparser::ast::helpers::stmt_create_table::CreateTableBuilder;
use datafusion::sql::sqlparser::ast::{
    CharacterLength, ColumnDef, ColumnOption, CreateTable, CreateTableLikeKind, DataType as SqlType, Expr, Ident,
    IndexColumn, OnCommit as Ast, Query, SelectItem, TableConstraint, Value,
};
use querygate_pg_catalog::image::{self, Key, Relation, RelationKind, TablePrivileges};
use querygate_query_api::column::{Column, TYPE_MODIFIER_KEY};
use querygate_query_api::values::wide_numeric::WIDE_NUMERIC;
use querygate_types::{Error, ErrorCode, PgType, Result};
use std::sync::Arc;

/// Columns of one table.
const COLUMNS_MAX: usize = 1_600;

/// Places of numerics in arrays without bounds, as the planner has them.
const ARRAY_PLACES: i8 = 10;

/// What becomes of a table at the end of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnCommit {
    Keep,
    Empty,
    Drop,
}

/// A table's columns as CREATE TABLE writes them.
#[derive(Debug, Clone)]
pub(crate) struct WrittenTable {
    pub(crate) columns: Vec<WrittenColumn>,
    pub(crate) keys: Vec<UniqueColumns>,
    pub(crate) on_commit: OnCommit,
}

#[derive(Debug, Clone)]
pub(crate) struct WrittenColumn {
    pub(crate) name: String,
    pub(crate) sql_type: SqlType,
    pub(crate) not_null: bool,
    pub(crate) default: Option<Expr>,
}

/// Columns whose values no two rows share.
#[derive(Debug, Clone)]
pub(crate) struct UniqueColumns {
    pub(crate) columns: Vec<String>,
    pub(crate) is_primary: bool,
    pub(crate) name: Option<String>,
}

/// A column of a table that is there.
#[derive(Debug)]
pub(crate) struct DefinedColumn {
    pub(crate) name: String,
    pub(crate) pg_type: PgType,
    /// `atttypmod`.
    pub(crate) modifier: i32,
    /// What values are cast to; of a type with a length, the type without it.
    pub(crate) sql_type: SqlType,
    pub(crate) not_null: bool,
    pub(crate) default: Option<Expr>,
}

impl DefinedColumn {
    /// The greatest number of characters; `None`: any.
    pub(crate) fn length(&self) -> Option<usize> {
        let has_length = matches!(self.pg_type, PgType::Varchar | PgType::Bpchar) && self.modifier > 4;
        has_length.then(|| usize::try_from(self.modifier - 4).unwrap_or(usize::MAX))
    }
}

#[derive(Debug)]
pub(crate) struct Definition {
    columns: Vec<DefinedColumn>,
    keys: Vec<UniqueColumns>,
    on_commit: OnCommit,
    schema: SchemaRef,
}

impl WrittenTable {
    /// # Errors
    /// 0A000: a clause or a constraint that temporary tables do not have. 42701, 42703, 42P16: columns and keys that contradict each other.
    pub(crate) fn of(create: &CreateTable) -> Result<Self> {
        refuse_clauses(create)?;
        let on_commit = match create.on_commit {
            None | Some(Ast::PreserveRows) => OnCommit::Keep,
            Some(Ast::DeleteRows) => OnCommit::Empty,
            Some(Ast::Drop) => OnCommit::Drop,
        };
        let mut keys = Vec::new();
        let columns = create.columns.iter().map(|column| written(column, &mut keys)).collect::<Result<Vec<_>>>()?;
        for constraint in &create.constraints {
            keys.push(key(constraint)?);
        }
        let mut table = Self { columns, keys, on_commit };
        table.check()?;
        Ok(table)
    }

    fn check(&mut self) -> Result<()> {
        if self.columns.len() > COLUMNS_MAX {
            let text = format!("tables can have at most {COLUMNS_MAX} columns");
            return Err(Error::new(ErrorCode::TooManyColumns, text));
        }
        for (at, column) in self.columns.iter().enumerate() {
            if self.columns.iter().take(at).any(|before| before.name == column.name) {
                let text = format!("column \"{}\" specified more than once", column.name);
                return Err(Error::new(ErrorCode::DuplicateColumn, text));
            }
        }
        if self.keys.iter().filter(|key| key.is_primary).count() > 1 {
            let text = "multiple primary keys for a table are not allowed";
            return Err(Error::new(ErrorCode::InvalidTableDefinition, text));
        }
        for key in &self.keys {
            for name in &key.columns {
                let column = self.columns.iter_mut().find(|column| column.name == *name).ok_or_else(|| {
                    Error::new(ErrorCode::UndefinedColumn, format!("column \"{name}\" named in key does not exist"))
                })?;
                column.not_null |= key.is_primary;
            }
        }
        Ok(())
    }

    /// `SELECT` of one value of each column, then of each default: what it is described by.
    pub(crate) fn example(&self) -> Vec<SelectItem> {
        let null = || Expr::Value(Value::Null.into());
        let typed = self.columns.iter().map(|column| SelectItem::ExprWithAlias {
            expr: cast_to(null(), column.sql_type.clone()),
            alias: Ident::with_quote('"', &column.name),
        });
        let defaults = self.columns.iter().filter_map(|column| {
            let value = column.default.clone()?;
            Some(SelectItem::UnnamedExpr(cast_to(value, column.sql_type.clone())))
        });
        typed.chain(defaults).collect()
    }
}

impl Definition {
    /// `columns` and `schema` describe the columns in their order. Without `written` there are no constraints.
    ///
    /// # Errors
    /// 42701: a name twice. 0A000: a column whose type has no name.
    pub(crate) fn new(
        written: Option<&WrittenTable>,
        on_commit: OnCommit,
        columns: &[Column],
        schema: SchemaRef,
    ) -> Result<Self> {
        let mut defined = Vec::with_capacity(columns.len());
        for (at, column) in columns.iter().enumerate() {
            if columns.iter().take(at).any(|before| before.name == column.name) {
                let text = format!("column \"{}\" specified more than once", column.name);
                return Err(Error::new(ErrorCode::DuplicateColumn, text));
            }
            let own = written.and_then(|written| written.columns.get(at));
            let pg_type = if column.pg_type == PgType::Unknown { PgType::Text } else { column.pg_type };
            defined.push(DefinedColumn {
                name: column.name.clone(),
                pg_type,
                modifier: own.and_then(|own| written_length(&own.sql_type)).unwrap_or(column.type_modifier),
                sql_type: without_length(pg_type, column.type_modifier)?,
                not_null: own.is_some_and(|own| own.not_null),
                default: own.and_then(|own| own.default.clone()),
            });
        }
        let keys = written.map(|written| written.keys.clone()).unwrap_or_default();
        let fields = schema.fields().iter().zip(&defined).map(|(field, column)| as_kept(field, column));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        Ok(Self { columns: defined, keys, on_commit, schema })
    }

    pub(crate) fn columns(&self) -> &[DefinedColumn] {
        &self.columns
    }

    pub(crate) fn keys(&self) -> &[UniqueColumns] {
        &self.keys
    }

    pub(crate) fn on_commit(&self) -> OnCommit {
        self.on_commit
    }

    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    pub(crate) fn place(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// As the system catalog tells it.
    pub(crate) fn relation(&self, name: &str) -> Relation {
        let column = |column: &DefinedColumn| image::Column {
            typmod: column.modifier,
            not_null: column.not_null,
            default: column.default.as_ref().map(ToString::to_string),
            insertable: true,
            updatable: true,
            ..image::Column::new(&column.name, column.pg_type)
        };
        let key = |key: &UniqueColumns| Key { name: key.name.clone(), columns: key.columns.clone() };
        let (primary, unique): (Vec<_>, Vec<_>) = self.keys.iter().partition(|key| key.is_primary);
        Relation {
            name: name.to_owned(),
            kind: RelationKind::Table,
            temporary: true,
            columns: self.columns.iter().map(column).collect(),
            primary_key: primary.first().map(|own| key(own)),
            unique: unique.into_iter().map(key).collect(),
            privileges: TablePrivileges { insert: true, update: true, delete: true },
            ..Relation::default()
        }
    }
}

/// A numeric without bounds holds any: what a query gave of it had the places of its own values. Arrays of such have places for all.
fn as_kept(field: &FieldRef, column: &DefinedColumn) -> FieldRef {
    let data_type = match (column.pg_type, field.data_type()) {
        (PgType::Numeric, _) if column.modifier == -1 => WIDE_NUMERIC,
        (PgType::NumericArray, DataType::List(item)) if column.modifier == -1 => match item.data_type() {
            DataType::Decimal128(_, places) => {
                let items = DataType::Decimal128(DECIMAL128_MAX_PRECISION, ARRAY_PLACES.max(*places));
                DataType::List(Arc::new(item.as_ref().clone().with_data_type(items)))
            }
            _ => return Arc::clone(field),
        },
        _ => return Arc::clone(field),
    };
    let mut metadata = field.metadata().clone();
    metadata.remove(TYPE_MODIFIER_KEY);
    Arc::new(field.as_ref().clone().with_data_type(data_type).with_metadata(metadata))
}

/// `atttypmod` of a type that is written with a length, or has one that is not written.
fn written_length(sql_type: &SqlType) -> Option<i32> {
    let length = match sql_type {
        SqlType::Varchar(length) | SqlType::CharacterVarying(length) | SqlType::CharVarying(length) => (*length)?,
        SqlType::Char(length) | SqlType::Character(length) => {
            length.unwrap_or(CharacterLength::IntegerLength { length: 1, unit: None })
        }
        _ => return None,
    };
    match length {
        CharacterLength::IntegerLength { length, .. } => {
            i32::try_from(length).ok().map(|length| length.saturating_add(4))
        }
        CharacterLength::Max => None,
    }
}

/// The type that values are cast to: PostgreSQL refuses in an assignment what a cast to a type with a length cuts off.
fn without_length(pg_type: PgType, modifier: i32) -> Result<SqlType> {
    let name = match pg_type {
        PgType::Varchar | PgType::Bpchar => "text".to_owned(),
        PgType::Numeric if modifier > 4 => {
            let bounds = modifier - 4;
            // Eleven bits, of which one is the sign.
            let scale = ((bounds & 0x7ff) ^ 1024) - 1024;
            format!("numeric({},{scale})", bounds >> 16)
        }
        other => other.sql_name(),
    };
    let query = crate::write::find::skeleton(&format!("SELECT CAST(NULL AS {name})"))?;
    let unnamed = || unsupported(&format!("a temporary column of type {}", pg_type.sql_name()));
    let select = query.body.as_select().ok_or_else(unnamed)?;
    match select.projection.as_slice() {
        [SelectItem::UnnamedExpr(Expr::Cast { data_type, .. })] => Ok(data_type.clone()),
        _ => Err(unnamed()),
    }
}

/// Whatever else is written is not ignored.
fn refuse_clauses(create: &CreateTable) -> Result<()> {
    let plain = CreateTableBuilder::new(create.name.clone())
        .temporary(true)
        .global(create.global)
        .if_not_exists(create.if_not_exists)
        .columns(create.columns.clone())
        .constraints(create.constraints.clone())
        .query(create.query.clone())
        .like(create.like.clone())
        .on_commit(create.on_commit)
        .hive_formats(create.hive_formats.clone())
        .build();
    let same = plain.to_string() == create.to_string();
    if same { Ok(()) } else { Err(unsupported("this form of CREATE TEMPORARY TABLE")) }
}

/// The table whose columns LIKE repeats.
pub(crate) fn repeated(create: &CreateTable) -> Result<Option<Query>> {
    let like = match &create.like {
        None => return Ok(None),
        Some(CreateTableLikeKind::Parenthesized(like) | CreateTableLikeKind::Plain(like)) => like,
    };
    if like.defaults.is_some() {
        return Err(unsupported("LIKE with INCLUDING or EXCLUDING"));
    }
    crate::sql::copy_from::table_query(like.name.clone(), Vec::new()).map(|query| Some(*query))
}

fn written(column: &ColumnDef, keys: &mut Vec<UniqueColumns>) -> Result<WrittenColumn> {
    let mut own = WrittenColumn {
        name: folded(&column.name),
        sql_type: column.data_type.clone(),
        not_null: false,
        default: None,
    };
    for option in &column.options {
        match &option.option {
            ColumnOption::Null => {}
            ColumnOption::NotNull => own.not_null = true,
            ColumnOption::Default(value) => own.default = Some(value.clone()),
            ColumnOption::PrimaryKey(_) | ColumnOption::Unique(_) => keys.push(UniqueColumns {
                columns: vec![own.name.clone()],
                is_primary: matches!(option.option, ColumnOption::PrimaryKey(_)),
                name: option.name.as_ref().map(folded),
            }),
            other => return Err(unsupported(&format!("{other} of a column of a temporary table"))),
        }
    }
    Ok(own)
}

fn key(constraint: &TableConstraint) -> Result<UniqueColumns> {
    let columns = |columns: &[IndexColumn]| -> Result<Vec<String>> {
        let name = |column: &IndexColumn| match &column.column.expr {
            Expr::Identifier(ident) => Ok(folded(ident)),
            _ => Err(unsupported("a key of expressions")),
        };
        columns.iter().map(name).collect()
    };
    match constraint {
        TableConstraint::PrimaryKey(own) => {
            Ok(UniqueColumns { columns: columns(&own.columns)?, is_primary: true, name: own.name.as_ref().map(folded) })
        }
        TableConstraint::Unique(own) => Ok(UniqueColumns {
            columns: columns(&own.columns)?,
            is_primary: false,
            name: own.name.as_ref().map(folded),
        }),
        other => Err(unsupported(&format!("the constraint {other} of a temporary table"))),
    }
}
