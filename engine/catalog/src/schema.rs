//! A principal's schemas. Unqualified catalog names (`pg_class`) resolve in `public` too, as Postgres' search path has it.

use crate::image::TEMPORARY;
use async_trait::async_trait;
use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList, SchemaProvider,
    TableProvider,
};
use datafusion::common::{Result, internal_err};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Name of the engine's catalog; statements name the database of the configuration, which is checked before.
pub const CATALOG_NAME: &str = "querygate";

/// An immutable schema.
#[derive(Debug)]
pub(crate) struct FixedSchema {
    tables: BTreeMap<String, Arc<dyn TableProvider>>,
    /// Asked for names that this schema does not have.
    beside: Option<Arc<dyn SchemaProvider>>,
}

impl FixedSchema {
    pub(crate) fn new(
        tables: BTreeMap<String, Arc<dyn TableProvider>>,
        beside: Option<Arc<dyn SchemaProvider>>,
    ) -> Self {
        Self { tables, beside }
    }
}

#[async_trait]
impl SchemaProvider for FixedSchema {
    fn table_names(&self) -> Vec<String> {
        self.tables.keys().cloned().collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        if let Some(table) = self.tables.get(name) {
            return Ok(Some(Arc::clone(table)));
        }
        match &self.beside {
            Some(beside) => beside.table(name).await,
            None => Ok(None),
        }
    }

    fn table_exist(&self, name: &str) -> bool {
        self.tables.contains_key(name) || self.beside.as_ref().is_some_and(|beside| beside.table_exist(name))
    }
}

/// Name of the schema that stands for a search path. It begins with a character that no statement can hold.
pub(crate) const SEARCHED: &str = "\0search_path";

/// The schemas of a search path as one.
#[derive(Debug)]
struct SearchPath(Vec<Arc<dyn SchemaProvider>>);

#[async_trait]
impl SchemaProvider for SearchPath {
    fn table_names(&self) -> Vec<String> {
        self.0.iter().flat_map(|schema| schema.table_names()).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        match self.0.iter().find(|schema| schema.table_exist(name)) {
            Some(schema) => schema.table(name).await,
            None => Ok(None),
        }
    }

    fn table_exist(&self, name: &str) -> bool {
        self.0.iter().any(|schema| schema.table_exist(name))
    }
}

/// These schemas with one more, [`SEARCHED`], which has what those of `path` have, in their order. As in Postgres,
/// `pg_catalog` comes first where it is not named, but for a session's own schema of temporary tables; a name that no schema has is passed over.
pub(crate) fn with_search_path(
    list: &dyn CatalogProviderList,
    path: &[String],
) -> Result<Arc<dyn CatalogProviderList>> {
    let Some(known) = list.catalog(CATALOG_NAME) else { return internal_err!("the engine's catalog is gone") };
    let catalog = MemoryCatalogProvider::new();
    for name in known.schema_names() {
        if let Some(schema) = known.schema(&name) {
            catalog.register_schema(&name, schema)?;
        }
    }
    let implicit = (!path.iter().any(|name| name == "pg_catalog")).then_some("pg_catalog");
    let (own, declared): (Vec<&str>, Vec<&str>) =
        path.iter().map(String::as_str).partition(|name| name.starts_with(TEMPORARY));
    let names = own.into_iter().chain(implicit).chain(declared);
    let searched = names.filter_map(|name| known.schema(name)).collect();
    catalog.register_schema(SEARCHED, Arc::new(SearchPath(searched)))?;
    let list = MemoryCatalogProviderList::new();
    list.register_catalog(CATALOG_NAME.to_owned(), Arc::new(catalog));
    Ok(Arc::new(list))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{DataType, Field, Schema};
    use datafusion::datasource::empty::EmptyTable;

    /// A schema whose tables have one column, named as the schema.
    fn schema(name: &str, tables: &[&str]) -> Arc<dyn SchemaProvider> {
        let columns = Arc::new(Schema::new(vec![Field::new(name, DataType::Int64, true)]));
        let table = |table: &&str| {
            let provider: Arc<dyn TableProvider> = Arc::new(EmptyTable::new(Arc::clone(&columns)));
            ((*table).to_owned(), provider)
        };
        Arc::new(FixedSchema::new(tables.iter().map(table).collect(), None))
    }

    #[tokio::test]
    async fn names_are_found_in_the_first_schema_of_the_path_that_has_them() {
        let catalog = MemoryCatalogProvider::new();
        for (name, tables) in [("pg_catalog", &["s"][..]), ("a", &["t", "u", "s"]), ("b", &["t", "v"])] {
            catalog.register_schema(name, schema(name, tables)).unwrap();
        }
        let list = MemoryCatalogProviderList::new();
        list.register_catalog(CATALOG_NAME.to_owned(), Arc::new(catalog));
        let check = async |path: &[&str], table: &str, expected: Option<&str>| {
            let path: Vec<String> = path.iter().map(|name| (*name).to_owned()).collect();
            let with = with_search_path(&list, &path).unwrap().catalog(CATALOG_NAME).unwrap();
            let searched = with.schema(SEARCHED).unwrap();
            let found = searched.table(table).await.unwrap().map(|table| table.schema().field(0).name().clone());
            assert_eq!(found.as_deref(), expected, "{path:?} {table}");
            assert_eq!(searched.table_exist(table), expected.is_some());
            assert!(with.schema("a").is_some_and(|a| !a.table_exist("v")), "a schema keeps its own tables");
        };
        check(&["a", "b"], "t", Some("a")).await;
        check(&["b", "a"], "t", Some("b")).await;
        check(&["a", "b"], "v", Some("b")).await;
        check(&["nothing", "b"], "t", Some("b")).await;
        check(&["a"], "v", None).await;
        check(&["a"], "s", Some("pg_catalog")).await;
        check(&["a", "pg_catalog"], "s", Some("a")).await;
        check(&[], "t", None).await;
    }
}
