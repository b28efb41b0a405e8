//! A leaf's recipe in the form that is sealed, and back.

use super::condition::{Closing, Condition, opened};
use super::tables::{schema_bytes, schema_of, value_bytes, values_of};
use arrow::datatypes::Schema;
use datafusion::logical_expr::Expr;
use querygate_catalog::leaf::{FileFormat, LeafRecipe, RecipeColumn, RecipeOrigin, TableFiles, TextReading};
use querygate_policy::Mask;
use querygate_types::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

const UNWRITABLE: &str = "its columns have no form that workers are sent";

/// What a leaf is planned from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaf {
    /// SQL name of the table, which errors show.
    table: String,
    /// Name of the source: the worker knows where its files are.
    source: String,
    pattern: String,
    format: Format,
    /// Columns of the files.
    schema: Vec<u8>,
    column_map: BTreeMap<String, String>,
    /// Fields of the columns that are given.
    fields: Vec<u8>,
    columns: Vec<Column>,
    policy: Vec<Condition>,
    restricts: bool,
    filters: Vec<Condition>,
    /// Columns of the filters.
    open: BTreeSet<String>,
    /// Values of all conditions: the principal's and the reader's.
    values: Vec<u8>,
    limit: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Format {
    Parquet,
    Csv { delimiter: u8, quote: u8, header: bool, null: String, encoding: String },
    Ndjson,
    Json,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Column {
    index: u32,
    reading: Option<Reading>,
    mask: Option<Masking>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Reading {
    Numeric,
    Interval,
    TimeTz,
    Inet,
    Cidr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Masking {
    Keep { head: u64, tail: u64 },
    Email,
    Full,
    Bullets,
}

impl Leaf {
    /// The recipe's closed form; the error says why it has none.
    ///
    /// # Errors
    /// Why it stays in the gate.
    pub fn closed(recipe: &LeafRecipe) -> std::result::Result<Self, &'static str> {
        let mut closing = Closing::default();
        let conditions = |closing: &mut Closing, exprs: &[Expr]| {
            exprs.iter().map(|expr| closing.closed(expr)).collect::<std::result::Result<Vec<_>, _>>()
        };
        let policy = conditions(&mut closing, &recipe.policy)?;
        let filters = conditions(&mut closing, &recipe.filters)?;
        let fields: Vec<_> = recipe.columns.iter().map(|column| column.field.clone()).collect();
        Ok(Self {
            table: recipe.table.to_string(),
            source: recipe.source.to_string(),
            pattern: recipe.files.pattern.clone(),
            format: Format::of(&recipe.files.format),
            schema: schema_bytes(&recipe.files.schema).map_err(|_| UNWRITABLE)?,
            column_map: recipe.files.column_map.clone(),
            fields: schema_bytes(&Schema::new(fields)).map_err(|_| UNWRITABLE)?,
            columns: recipe.columns.iter().map(Column::of).collect::<Option<_>>().ok_or(UNWRITABLE)?,
            policy,
            restricts: recipe.restricts,
            filters,
            open: recipe.open.clone(),
            values: value_bytes(&closing.values).map_err(|_| UNWRITABLE)?,
            limit: recipe.limit.map(|limit| limit as u64),
        })
    }

    /// SQL name of the table.
    pub(crate) fn table(&self) -> &str {
        &self.table
    }

    /// Whether the policy hides any row.
    pub(crate) const fn restricts(&self) -> bool {
        self.restricts
    }

    /// The recipe.
    ///
    /// # Errors
    /// Internal: it is not one.
    pub(crate) fn recipe(&self) -> Result<LeafRecipe> {
        let values = values_of(&self.values)?;
        let conditions =
            |closed: &[Condition]| closed.iter().map(|one| opened(one, &values)).collect::<Result<Vec<_>>>();
        let fields = schema_of(&self.fields)?;
        if fields.fields().len() != self.columns.len() {
            return Err(Error::internal("a part names other columns than it describes"));
        }
        let columns = self.columns.iter().zip(fields.fields());
        let columns = columns.map(|(column, field)| column.recipe(field.as_ref().clone())).collect::<Result<_>>()?;
        Ok(LeafRecipe {
            table: self.table.as_str().into(),
            source: self.source.as_str().into(),
            files: TableFiles {
                pattern: self.pattern.clone(),
                format: self.format.recipe(),
                schema: schema_of(&self.schema)?,
                column_map: self.column_map.clone(),
            },
            columns,
            policy: conditions(&self.policy)?,
            restricts: self.restricts,
            filters: conditions(&self.filters)?,
            open: self.open.clone(),
            limit: self.limit.map(usize::try_from).transpose().map_err(Error::internal)?,
        })
    }
}

impl Format {
    fn of(format: &FileFormat) -> Self {
        match format {
            FileFormat::Parquet => Self::Parquet,
            FileFormat::Csv { delimiter, quote, header, null, encoding } => Self::Csv {
                delimiter: *delimiter,
                quote: *quote,
                header: *header,
                null: null.clone(),
                encoding: encoding.clone(),
            },
            FileFormat::Ndjson => Self::Ndjson,
            FileFormat::Json => Self::Json,
        }
    }

    fn recipe(&self) -> FileFormat {
        match self {
            Self::Parquet => FileFormat::Parquet,
            Self::Csv { delimiter, quote, header, null, encoding } => FileFormat::Csv {
                delimiter: *delimiter,
                quote: *quote,
                header: *header,
                null: null.clone(),
                encoding: encoding.clone(),
            },
            Self::Ndjson => FileFormat::Ndjson,
            Self::Json => FileFormat::Json,
        }
    }
}

impl Column {
    fn of(column: &RecipeColumn) -> Option<Self> {
        let (index, reading) = match column.origin {
            RecipeOrigin::Raw(index) => (index, None),
            RecipeOrigin::Text(index, reading) => (index, Some(Reading::of(reading))),
        };
        let mask = match &column.mask {
            None => None,
            Some(mask) => Some(Masking::of(mask)?),
        };
        Some(Self { index: u32::try_from(index).ok()?, reading, mask })
    }

    fn recipe(&self, field: arrow::datatypes::Field) -> Result<RecipeColumn> {
        let index = usize::try_from(self.index).map_err(Error::internal)?;
        let origin = match self.reading {
            None => RecipeOrigin::Raw(index),
            Some(reading) => RecipeOrigin::Text(index, reading.recipe()),
        };
        let mask = self.mask.map(Masking::recipe).transpose()?;
        Ok(RecipeColumn { field, origin, mask })
    }
}

impl Reading {
    const fn of(reading: TextReading) -> Self {
        match reading {
            TextReading::Numeric => Self::Numeric,
            TextReading::Interval => Self::Interval,
            TextReading::TimeTz => Self::TimeTz,
            TextReading::Inet => Self::Inet,
            TextReading::Cidr => Self::Cidr,
        }
    }

    const fn recipe(self) -> TextReading {
        match self {
            Self::Numeric => TextReading::Numeric,
            Self::Interval => TextReading::Interval,
            Self::TimeTz => TextReading::TimeTz,
            Self::Inet => TextReading::Inet,
            Self::Cidr => TextReading::Cidr,
        }
    }
}

impl Masking {
    /// `None`: a worker does not have it.
    fn of(mask: &Mask) -> Option<Self> {
        Some(match mask {
            Mask::Keep { head, tail } => {
                Self::Keep { head: u64::try_from(*head).ok()?, tail: u64::try_from(*tail).ok()? }
            }
            Mask::Email => Self::Email,
            Mask::Full => Self::Full,
            Mask::Bullets => Self::Bullets,
            Mask::Native(_) => return None,
        })
    }

    fn recipe(self) -> Result<Mask> {
        let size = |size: u64| usize::try_from(size).map_err(Error::internal);
        Ok(match self {
            Self::Keep { head, tail } => Mask::Keep { head: size(head)?, tail: size(tail)? },
            Self::Email => Mask::Email,
            Self::Full => Mask::Full,
            Self::Bullets => Mask::Bullets,
        })
    }
}
