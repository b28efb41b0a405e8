//! Functions that answer from the catalog image: one generic scalar function over [`Cell`]s and the list of what it can do.
//! Knows no SQL dialect; names are PostgreSQL's.

mod arrays;
mod comments;
mod deparse;
mod describe;
mod lists;
mod names;
mod privileges;
mod routines;
mod session;
mod standard;
mod value;

use super::cell::{Cell, array_of};
use super::layout::{PG_TYPE_KEY, arrow_field};
use super::session::SessionVars;
use super::table::PgCatalog;
use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use querygate_types::{Error, ErrorCode};
use std::any::Any;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// What a function sees besides its arguments.
pub(crate) struct Call<'a> {
    pub(crate) catalog: &'a PgCatalog,
    pub(crate) vars: &'a SessionVars,
    /// Names of its arguments' types, as far as their fields say them.
    pub(crate) types: Vec<&'a str>,
}

impl<'a> Call<'a> {
    fn path(&self) -> Vec<&'a str> {
        self.catalog.objects.search_path(self.vars.search_path.as_deref())
    }

    /// Place of the first member of its first argument: the catalog's vectors begin with 0, other lists with 1.
    fn first_index(&self) -> i64 {
        i64::from(!self.types.first().is_some_and(|name| matches!(*name, "int2vector" | "oidvector")))
    }
}

type Eval = fn(&Call<'_>, &[Cell]) -> querygate_types::Result<Cell>;

/// What a function gives back.
#[derive(Debug, Clone)]
enum Returns {
    /// A type by its `typname`.
    Type(&'static str),
    /// A list of rows (for functions in FROM): field names with the `typname` of each.
    Rows(&'static [(&'static str, &'static str)]),
}

/// One function: name, how many arguments, result, whether NULL in gives NULL out.
#[derive(Debug, Clone)]
struct Definition {
    name: &'static str,
    least: usize,
    most: usize,
    returns: Returns,
    strict: bool,
    /// Whether it sees what is the session's own. Others see the search path alone, and answer the same in all sessions with an equal one.
    of_session: bool,
    eval: Eval,
}

const fn of_session(mut definition: Definition) -> Definition {
    definition.of_session = true;
    definition
}

const fn strict(name: &'static str, least: usize, most: usize, returns: &'static str, eval: Eval) -> Definition {
    Definition { name, least, most, returns: Returns::Type(returns), strict: true, of_session: false, eval }
}

const fn lenient(name: &'static str, least: usize, most: usize, returns: &'static str, eval: Eval) -> Definition {
    Definition { name, least, most, returns: Returns::Type(returns), strict: false, of_session: false, eval }
}

const fn rows_of(
    name: &'static str,
    least: usize,
    most: usize,
    returns: &'static [(&'static str, &'static str)],
    eval: Eval,
) -> Definition {
    Definition { name, least, most, returns: Returns::Rows(returns), strict: true, of_session: false, eval }
}

impl PgCatalog {
    /// All functions, each under its name and as `pg_catalog.name`.
    #[must_use]
    pub fn functions(self: &Arc<Self>) -> Vec<Arc<ScalarUDF>> {
        let lists: [&[Definition]; 10] = [
            session::FUNCTIONS,
            names::FUNCTIONS,
            routines::FUNCTIONS,
            deparse::FUNCTIONS,
            describe::FUNCTIONS,
            privileges::FUNCTIONS,
            comments::FUNCTIONS,
            arrays::FUNCTIONS,
            lists::FUNCTIONS,
            standard::FUNCTIONS,
        ];
        let all = lists.into_iter().flatten();
        all.map(|d| Arc::new(ScalarUDF::new_from_impl(CatalogFunction::new(d.clone(), Arc::clone(self))))).collect()
    }

    /// Registers [`functions`](Self::functions), replacing those of the same names.
    pub fn register(self: &Arc<Self>, registry: &mut dyn FunctionRegistry) -> Result<()> {
        for function in self.functions() {
            registry.register_udf(function)?;
        }
        Ok(())
    }

    /// Functions that stand for a table when they are in FROM: they return a list whose elements are the rows.
    /// The names of a composite row's columns, or `None` for a list of plain values; `None` outside for other functions.
    #[must_use]
    pub fn row_function(name: &str) -> Option<Option<Vec<&'static str>>> {
        let found = lists::FUNCTIONS.iter().find(|d| d.name == name)?;
        Some(match &found.returns {
            Returns::Rows(fields) => Some(fields.iter().map(|(name, _)| *name).collect()),
            Returns::Type(_) => None,
        })
    }
}

/// Whether a function answers from a catalog and the search path alone: the same in all sessions of a principal with an equal one.
#[must_use]
pub fn is_of_catalog(function: &ScalarUDF) -> bool {
    let function: &dyn Any = function.inner().as_ref();
    function.downcast_ref::<CatalogFunction>().is_some_and(|own| !own.definition.of_session)
}

#[derive(Debug)]
struct CatalogFunction {
    definition: Definition,
    aliases: [String; 1],
    signature: Signature,
    catalog: Arc<PgCatalog>,
}

impl CatalogFunction {
    fn new(definition: Definition, catalog: Arc<PgCatalog>) -> Self {
        let aliases = [format!("pg_catalog.{}", definition.name)];
        // Stable: folded within a statement, never across statements, whose settings may differ.
        Self { definition, aliases, signature: Signature::user_defined(Volatility::Stable), catalog }
    }

    fn field(&self) -> FieldRef {
        match &self.definition.returns {
            Returns::Type("anyelement") => Arc::new(Field::new(self.definition.name, DataType::Utf8, true)),
            Returns::Type(name) => Arc::new(function_field(self.definition.name, name)),
            Returns::Rows(columns) => {
                let fields = columns.iter().map(|(name, type_name)| function_field(name, type_name)).collect();
                let item = Field::new("item", DataType::Struct(fields), true);
                Arc::new(Field::new(self.definition.name, DataType::List(Arc::new(item)), true))
            }
        }
    }
}

fn function_field(name: &str, type_name: &str) -> Field {
    match type_name {
        "_int4" => Field::new(name, DataType::List(Arc::new(Field::new("item", DataType::Int32, true))), true),
        "_int8" => Field::new(name, DataType::List(Arc::new(Field::new("item", DataType::Int64, true))), true),
        "json" | "jsonb" | "void" => {
            let metadata = [(PG_TYPE_KEY.to_owned(), type_name.to_owned())].into();
            Field::new(name, DataType::Utf8, true).with_metadata(metadata)
        }
        other => arrow_field(name, other),
    }
}

impl PartialEq for CatalogFunction {
    fn eq(&self, other: &Self) -> bool {
        self.definition.name == other.definition.name && Arc::ptr_eq(&self.catalog, &other.catalog)
    }
}
impl Eq for CatalogFunction {}
impl Hash for CatalogFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.definition.name.hash(state);
        Arc::as_ptr(&self.catalog).hash(state);
    }
}

/// Wraps an error of ours for DataFusion.
pub(crate) fn external(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

impl ScalarUDFImpl for CatalogFunction {
    fn name(&self) -> &str {
        self.definition.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.field().data_type().clone())
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs) -> Result<FieldRef> {
        Ok(self.field())
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let Definition { name, least, most, .. } = &self.definition;
        if arguments.len() < *least || arguments.len() > *most {
            let message = format!("function {name} does not take {} arguments", arguments.len());
            return Err(external(Error::new(ErrorCode::UndefinedFunction, message)));
        }
        Ok(arguments.to_vec())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let own = args.config_options.extensions.get::<SessionVars>();
        // What is not marked as the session's sees its path alone, for its answers are kept for other sessions.
        let shared = SessionVars { search_path: own.and_then(|own| own.search_path.clone()), ..SessionVars::default() };
        let vars = own.filter(|_| self.definition.of_session).unwrap_or(&shared);
        let types = args.arg_fields.iter().map(type_name).collect();
        let call = Call { catalog: &self.catalog, vars, types };
        let constant = args.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
        let count = if constant { 1 } else { args.number_rows };
        let arrays: Vec<ArrayRef> = args.args.iter().map(|a| a.to_array(count)).collect::<Result<_>>()?;
        let mut cells = Vec::with_capacity(count);
        for row in 0..count {
            let values = arrays.iter().map(|a| value::cell_at(a, row)).collect::<Result<Vec<_>>>()?;
            let missing = self.definition.strict && values.contains(&Cell::Null);
            cells.push(if missing { Cell::Null } else { (self.definition.eval)(&call, &values).map_err(external)? });
        }
        let array = self.assemble(&cells)?;
        if constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?));
        }
        Ok(ColumnarValue::Array(array))
    }
}

/// The name of a field's type, as far as the field says it.
fn type_name(field: &FieldRef) -> &str {
    field.metadata().get(PG_TYPE_KEY).map_or("", String::as_str)
}

impl CatalogFunction {
    fn assemble(&self, cells: &[Cell]) -> Result<ArrayRef> {
        let references: Vec<&Cell> = cells.iter().collect();
        match &self.definition.returns {
            Returns::Type(_) => array_of(self.field().data_type(), &references).map_err(external),
            Returns::Rows(_) => value::list_of_rows(self.field().data_type(), cells),
        }
    }
}
