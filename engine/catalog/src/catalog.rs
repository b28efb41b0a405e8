//! The schemas of one principal put together: governed tables, views, the gate's own tables, `pg_catalog`.

use crate::arguments::Arguments;
use crate::federation::{Federated, GovernedOpener, Remotes, WholeFragment, federate};
use crate::image::{BoundView, TEMPORARY, TemporarySchema};
use crate::live::LiveTable;
use crate::remote::DriverTable;
use crate::rights::PrincipalRights;
use crate::schema::{CATALOG_NAME, FixedSchema, SEARCHED, with_search_path};
use crate::unavailable::UnavailableTable;
use crate::write::{WriteTarget, unchangeable};
use crate::write_rights::WriteRights;
use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList, SchemaProvider,
    TableProvider,
};
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::logical_expr::simplify::SimplifyContext;
use querygate_pg_catalog::LeafToken;
use querygate_pg_catalog::PgCatalog;
use querygate_pg_catalog::image::{CatalogImage, Setting};
use querygate_policy::write::WritePermit;
use querygate_rules::{Receipt, Receipts};
use querygate_types::{Error, Result};
use std::any::Any;
use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

/// Everything one principal may name, on one deployment. It is the principal's rights with what statements are bound on.
#[derive(Debug)]
pub struct PrincipalCatalog {
    rights: Arc<PrincipalRights>,
    pg_catalog: Arc<PgCatalog>,
    state: Arc<SessionState>,
    remotes: Remotes,
}

impl Deref for PrincipalCatalog {
    type Target = PrincipalRights;

    fn deref(&self) -> &PrincipalRights {
        &self.rights
    }
}

impl PrincipalCatalog {
    fn opener(&self) -> GovernedOpener<'_> {
        GovernedOpener { token: &self.token, objects: &self.objects, remotes: &self.remotes }
    }

    pub(crate) fn remotes(&self) -> &Remotes {
        &self.remotes
    }

    /// Carves a bound plan whose parameters are filled in.
    ///
    /// # Errors
    /// Internal: a part that was translated and cannot be made a leaf.
    pub fn federate(&self, plan: &LogicalPlan, context: &SimplifyContext) -> Result<Federated> {
        federate(plan, &self.opener(), context, None)
    }

    /// Carves a bound plan with its parameters open; other values may take the place of these later.
    ///
    /// # Errors
    /// As [`PrincipalCatalog::federate`]; values of other types than the plan's.
    pub fn federate_open(
        &self,
        plan: &LogicalPlan,
        context: &SimplifyContext,
        arguments: &Arguments,
    ) -> Result<Federated> {
        federate(plan, &self.opener(), context, Some(arguments))
    }

    /// What became of the parts of a plan that was carved here, with the reason of each condition that a leaf keeps.
    #[must_use]
    pub fn with_reasons(&self, receipts: Receipts, context: &SimplifyContext) -> Vec<Receipt> {
        receipts.with_reasons(&self.opener(), context)
    }

    /// A bound plan with its parameters open, as one fragment. `None`: one source cannot run all of it.
    #[must_use]
    pub fn whole_fragment(&self, plan: &LogicalPlan, context: &SimplifyContext) -> Option<WholeFragment> {
        WholeFragment::find(plan, &self.opener(), context)
    }

    /// Whether an object is stored where changes are taken. A single one may still be refused.
    #[must_use]
    pub fn takes_changes(&self, object: &str) -> bool {
        let has_key = |table: &DriverTable| table.key().is_some_and(|key| !key.is_empty());
        let is_changed = |table: &DriverTable| table.driver().writer().is_some() && has_key(table);
        self.only_inserts(object) || self.remotes.tables().get(object).is_some_and(is_changed)
    }

    /// Whether an object is stored where new rows are taken and nothing else.
    #[must_use]
    pub fn only_inserts(&self, object: &str) -> bool {
        self.deployment.tables.get(object).is_some_and(|table| table.appends.is_some())
    }

    /// The table that a permit's object is stored in, as its source describes it now.
    ///
    /// # Errors
    /// 0A000: it is not in a source that can be changed, it is a view, or nothing tells its rows apart. The source's own.
    pub async fn write_target(&self, permit: &WritePermit) -> Result<WriteTarget> {
        if permit.user_id() != self.principal.user_id || permit.snapshot_version() != self.deployment.snapshot.version {
            return Err(Error::internal("a permit of another user or version was used"));
        }
        let appends = || self.deployment.tables.get(permit.object())?.appends.as_ref();
        let table = self.remotes.tables().get(permit.object()).or_else(appends);
        let table = table.ok_or_else(|| self.not_stored(permit.object()))?;
        let title = self.title(permit.object()).unwrap_or_else(|| "table".to_owned());
        WriteTarget::of(permit.object(), &title, table.clone(), Arc::clone(self.remotes.tables())).await
    }

    /// What an error may call an object's table; `None`: this principal does not see it.
    fn title(&self, object: &str) -> Option<String> {
        let visible = self.objects.iter().find(|visible| visible.object.name == object)?;
        Some(format!("table \"{}\"", visible.sql_name))
    }

    /// Why a table is none that is changed: its source is away, which may be over soon, or takes no changes.
    fn not_stored(&self, object: &str) -> Error {
        let provider: Option<&dyn Any> = self.deployment.tables.get(object).map(|table| table.provider.as_ref() as _);
        match provider.and_then(<dyn Any>::downcast_ref::<UnavailableTable>) {
            Some(table) => table.error().clone(),
            None => unchangeable("its source takes no changes"),
        }
    }

    /// The table of an object that a permitted change has to look at or to change besides: in the transaction of the change, and so in
    /// its source. `None`: the object has no table.
    ///
    /// # Errors
    /// 0A000: it is of another source, or cannot be changed. The source's own.
    pub async fn related_target(&self, permit: &WritePermit, object: &str) -> Result<Option<WriteTarget>> {
        let tables = self.remotes.tables();
        if !self.deployment.tables.contains_key(object) {
            return Ok(None);
        }
        let own = tables.get(permit.object()).map(DriverTable::source);
        let table = tables.get(object).filter(|table| Some(table.source()) == own);
        let table = table.ok_or_else(|| unchangeable("an object of another source belongs to it"))?;
        let title = self.title(object).unwrap_or_else(|| "a table whose rows belong to this one".to_owned());
        WriteTarget::of(object, &title, table.clone(), Arc::clone(tables)).await.map(Some)
    }

    /// What `pg_catalog` shows.
    #[must_use]
    pub fn pg_catalog(&self) -> &Arc<PgCatalog> {
        &self.pg_catalog
    }

    /// The schemas with one more, whose name comes first: it is to be the default one, and has what those of `path` have, in
    /// their order. `None`: `public` alone, which is the default anyway.
    ///
    /// # Errors
    /// Internal: a schema that cannot be registered.
    pub fn searched(&self, path: &[String]) -> Result<Option<(&'static str, Arc<dyn CatalogProviderList>)>> {
        if let [only] = path
            && only == "public"
        {
            return Ok(None);
        }
        let list = with_search_path(self.state.catalog_list().as_ref(), path).map_err(Error::internal)?;
        Ok(Some((SEARCHED, list)))
    }

    /// Engine state whose catalog is this one.
    #[must_use]
    pub fn state(&self) -> &Arc<SessionState> {
        &self.state
    }
}

/// Puts a principal's catalog together in steps, because views are bound on what came before them.
#[derive(Debug)]
pub struct CatalogBuilder {
    rights: Arc<PrincipalRights>,
    live: Vec<(&'static str, Arc<LiveTable>)>,
    views: Vec<BoundView>,
    temporary: Option<TemporarySchema>,
    settings: Vec<Setting>,
    now_ms: i64,
}

impl CatalogBuilder {
    /// Begins with what the principal may read. `live` makes the gate's own tables for this principal, whose token it is given.
    /// `now_ms`: milliseconds since 1970.
    #[must_use]
    pub fn new(
        rights: Arc<PrincipalRights>,
        live: impl FnOnce(&LeafToken) -> Vec<(&'static str, Arc<LiveTable>)>,
        now_ms: i64,
    ) -> Self {
        Self { live: live(rights.token()), rights, views: Vec::new(), temporary: None, settings: Vec::new(), now_ms }
    }

    /// Rows of `pg_settings`.
    #[must_use]
    pub fn with_settings(mut self, settings: Vec<Setting>) -> Self {
        self.settings = settings;
        self
    }

    /// With the tables of one session, which it alone is given.
    #[must_use]
    pub fn with_temporary(mut self, temporary: Option<TemporarySchema>) -> Self {
        self.temporary = temporary;
        self
    }

    /// Adds a view, for those after it and for the catalog.
    pub fn add_view(&mut self, view: BoundView) {
        self.views.push(view);
    }

    #[must_use]
    pub fn token(&self) -> &LeafToken {
        self.rights.token()
    }

    /// The system catalog of what was added so far.
    #[must_use]
    pub fn pg_catalog(&self) -> Arc<PgCatalog> {
        let rights = WriteRights {
            deployment: &self.rights.deployment,
            remotes: Remotes::of(&self.rights.deployment),
            principal: &self.rights.principal,
            now_ms: self.now_ms,
        };
        let image =
            crate::image::image(&rights, self.rights.objects(), &self.views, &self.live, self.temporary.as_ref());
        PgCatalog::new(self.token().clone(), CatalogImage { settings: self.settings.clone(), ..image })
    }

    /// The schemas of what was added so far.
    ///
    /// # Errors
    /// Internal: a schema that cannot be registered.
    pub fn catalog_list(&self, pg_catalog: &Arc<PgCatalog>) -> Result<Arc<dyn CatalogProviderList>> {
        let catalog = MemoryCatalogProvider::new();
        let mut system: BTreeMap<String, Arc<dyn SchemaProvider>> = BTreeMap::new();
        for name in ["pg_catalog", "information_schema"] {
            if let Some(schema) = pg_catalog.schema_provider(name) {
                system.insert(name.to_owned(), schema);
            }
        }
        let beside = system.get("pg_catalog").cloned();
        let mut schemas: BTreeMap<String, BTreeMap<String, Arc<dyn TableProvider>>> = BTreeMap::new();
        let public = schemas.entry("public".to_owned()).or_default();
        for object in self.rights.objects() {
            let table: Arc<dyn TableProvider> = match &object.named {
                Some(named) => Arc::clone(named) as _,
                None => Arc::clone(&object.table) as _,
            };
            public.insert(object.sql_name.clone(), table);
        }
        for view in &self.views {
            schemas.entry(view.schema.clone()).or_default().insert(view.name.clone(), Arc::clone(&view.provider));
        }
        if let Some(temporary) = &self.temporary {
            for (schema, name, table) in &temporary.providers {
                schemas.entry(schema.clone()).or_default().insert(name.clone(), Arc::clone(table));
            }
            let own = schemas.get(&temporary.name).cloned().unwrap_or_default();
            schemas.insert(TEMPORARY.to_owned(), own);
        }
        let own = schemas.entry("querygate".to_owned()).or_default();
        for (name, table) in &self.live {
            own.insert((*name).to_owned(), Arc::clone(table) as _);
        }
        for (name, tables) in schemas {
            let beside = if name == "public" { beside.clone() } else { None };
            system.insert(name, Arc::new(FixedSchema::new(tables, beside)));
        }
        for (name, schema) in system {
            catalog.register_schema(&name, schema).map_err(Error::internal)?;
        }
        let list = MemoryCatalogProviderList::new();
        list.register_catalog(CATALOG_NAME.to_owned(), Arc::new(catalog));
        Ok(Arc::new(list))
    }

    /// Those schemas, with the one that bare names are looked up in where that is not `public` alone: temporary tables come first.
    ///
    /// # Errors
    /// As [`catalog_list`](Self::catalog_list).
    pub fn searched_list(
        &self,
        pg_catalog: &Arc<PgCatalog>,
    ) -> Result<(Option<&'static str>, Arc<dyn CatalogProviderList>)> {
        let list = self.catalog_list(pg_catalog)?;
        let Some(temporary) = &self.temporary else { return Ok((None, list)) };
        let path = [temporary.name.clone(), "public".to_owned()];
        let list = with_search_path(list.as_ref(), &path).map_err(Error::internal)?;
        Ok((Some(SEARCHED), list))
    }

    /// The finished catalog over an engine state that was made with its schemas and image.
    #[must_use]
    pub fn finish(self, pg_catalog: Arc<PgCatalog>, state: SessionState) -> PrincipalCatalog {
        PrincipalCatalog {
            remotes: Remotes::of(&self.rights.deployment),
            rights: self.rights,
            pg_catalog,
            state: Arc::new(state),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{builder, deployed, stack};
    use arrow::datatypes::Schema;
    use datafusion::datasource::empty::EmptyTable;

    fn names(list: &dyn CatalogProviderList, schema: &str) -> Vec<String> {
        let mut names = list.catalog(CATALOG_NAME).unwrap().schema(schema).unwrap().table_names();
        names.sort();
        names
    }

    /// A catalog has what its principal may name, under the schemas that it belongs to.
    #[test]
    fn a_catalog_has_what_its_principal_may_name() {
        let deployment = deployed(&stack(), 1);
        for (set, expected) in
            [("chief", vec!["notes", "pay", "people"]), ("clerk", vec!["notes", "people"]), ("nobody", vec![])]
        {
            let builder = builder(&deployment, set);
            let list = builder.catalog_list(&builder.pg_catalog()).unwrap();
            assert_eq!(names(list.as_ref(), "public"), expected, "{set}");
            assert!(names(list.as_ref(), "pg_catalog").contains(&"pg_class".to_owned()), "{set}");
            assert!(names(list.as_ref(), "querygate").is_empty(), "{set}");
            assert!(list.catalog(CATALOG_NAME).unwrap().schema("nowhere").is_none());
        }
    }

    /// A view is there for those after it and in the system catalog; one may stand in a schema of its own.
    #[test]
    fn views_are_added_in_their_schemas() {
        let mut builder = builder(&deployed(&stack(), 1), "clerk");
        let provider = Arc::new(EmptyTable::new(Arc::new(Schema::empty())));
        for (schema, name) in [("public", "seniors"), ("reports", "monthly")] {
            let view = BoundView {
                schema: schema.to_owned(),
                name: name.to_owned(),
                comment: None,
                provider: Arc::clone(&provider) as _,
            };
            builder.add_view(view);
        }
        let pg = builder.pg_catalog();
        let list = builder.catalog_list(&pg).unwrap();
        assert_eq!(names(list.as_ref(), "public"), ["notes", "people", "seniors"]);
        assert_eq!(names(list.as_ref(), "reports"), ["monthly"]);
        assert!(pg.relation_oid("reports", "monthly").is_some() && pg.relation_oid("public", "pay").is_none());
    }

    #[test]
    fn a_catalog_keeps_the_login_and_what_it_holds() {
        let deployment = deployed(&stack(), 1);
        let builder = builder(&deployment, "clerk");
        let pg = builder.pg_catalog();
        let state = datafusion::prelude::SessionContext::new().state();
        let token = builder.token().clone();
        let catalog = builder.finish(pg, state);
        assert_eq!((catalog.token(), catalog.login().login.as_str()), (&token, "clerk"));
        assert!(Arc::ptr_eq(catalog.deployment(), &deployment));
        assert_eq!(catalog.objects().len(), 2);
        assert!(
            catalog.searched(&["public".to_owned()]).unwrap().is_none(),
            "the default path needs no schema of its own"
        );
    }
}
