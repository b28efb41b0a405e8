//! Statements about a session's temporary tables: what they are prepared as, and their runs. What they read is governed as by any
//! statement; what they change no other session sees.

mod ingest;
mod run;

use super::gate_session::GateSession;
use super::statements::prepared::{Kind, PreparedStatement};
use crate::bind::statement::Bound;
use crate::bind::workspace::{OwnRelations, Workspace, check_view};
use crate::dialect::parameters::Declared;
use crate::errors::{Stage, translate};
use crate::sql::parse::Parsed;
use crate::sql::walk::{ON, Reader, Step, Writer, look, step, write};
use crate::temporary::change::{TemporaryAction, TemporaryChange, changed_name, relation_named};
use crate::temporary::definition::{Definition, WrittenTable, repeated};
use crate::temporary::tables::{TemporaryKind, TemporaryRelation, TemporaryRelations};
use crate::temporary_rows::TemporaryTable;
use crate::write::find::{no_skeleton, skeleton};
use crate::write::intent::{folded, is_view, quoted, unsupported, words};
use arrow::datatypes::{Field, Schema};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::source_as_provider;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::{
    CreateTable, CreateView, Ident, ObjectName, ObjectNamePart, ObjectType, Query, SetExpr, Statement as Ast,
    TableAlias, TableAliasColumnDef, TableFactor,
};
use querygate_catalog::image::TEMPORARY;
use querygate_query_api::column::Column;
use querygate_types::{Error, ErrorCode, Result};
use std::any::Any;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

/// What one relation takes in a workspace, about.
const WORKSPACE_BYTES: usize = 4 << 10;
/// Each column of a table beside that, in its three readings and in the system catalog; each letter of a view's query.
const COLUMN_BYTES: usize = 3 << 10;
const QUERY_BYTES: usize = 4;

/// What a statement about temporary tables was prepared as.
#[derive(Debug)]
pub(in crate::session) struct TemporaryWork {
    task: TemporaryTask,
    /// What is run first.
    bound: Option<Arc<Bound>>,
    returned: Option<Arc<Bound>>,
    /// The relations that it was prepared over.
    generation: u64,
    /// Of the plans, as long as it is prepared.
    charges: Vec<Arc<MemoryReservation>>,
}

#[derive(Debug)]
enum TemporaryTask {
    /// `fills`: with the rows of the query.
    MakeTable {
        name: String,
        if_not_exists: bool,
        definition: Arc<Definition>,
        fills: bool,
    },
    MakeView {
        name: String,
        replaces: bool,
        view: TemporaryKind,
    },
    Drop {
        object: ObjectType,
        names: Vec<ObjectName>,
        if_exists: bool,
        cascades: bool,
    },
    Change(Box<TemporaryChange>),
}

impl TemporaryWork {
    /// The columns that it gives back.
    pub(in crate::session) fn returned(&self) -> Option<&Arc<Bound>> {
        self.returned.as_ref()
    }
}

impl GateSession {
    /// The session's own name of the schema of its temporary tables.
    pub(in crate::session) fn temporary_schema(&self) -> String {
        format!("{TEMPORARY}_{}", self.id)
    }

    /// The temporary relation that a name means; `None`: it means something else.
    pub(in crate::session) fn temporary_named(&self, name: &ObjectName) -> Result<Option<TemporaryRelation>> {
        let relations = self.temporary.now();
        if relations.generation() == 0 && words(name)?.len() < 2 {
            return Ok(None);
        }
        relation_named(name, &relations, &self.temporary_schema()).map(Option::<&_>::cloned)
    }

    /// A change of a temporary table, prepared; `None`: it is one of another table.
    pub(in crate::session) async fn prepare_temporary_change(
        &self,
        parsed: &Arc<Parsed>,
        ast: &Ast,
        declared: &[Option<Declared>],
    ) -> Result<Option<PreparedStatement>> {
        if self.temporary.now().generation() == 0 {
            return Ok(None);
        }
        let Some(work) = self.work_of_change(ast, declared).await? else { return Ok(None) };
        self.prepared_work(parsed, declared, work).map(Some)
    }

    /// Refuses a change that was prepared before a temporary table took the name of its table.
    ///
    /// # Errors
    /// 0A000.
    pub(in crate::session) fn refuse_other_table(&self, ast: &Ast) -> Result<()> {
        if self.has_temporary()
            && let Ok((name, _)) = changed_name(ast)
            && self.temporary_named(name)?.is_some()
        {
            let text = "a temporary table has taken the name of the table that the statement was prepared for";
            return Err(Error::new(ErrorCode::FeatureNotSupported, text).with_hint("Prepare the statement again."));
        }
        Ok(())
    }

    async fn work_of_change(&self, ast: &Ast, declared: &[Option<Declared>]) -> Result<Option<TemporaryWork>> {
        let (name, called) = match changed_name(ast) {
            Ok(names) => names,
            // Of what form the statement is, others say.
            Err(_) => return Ok(None),
        };
        let Some(relation) = self.temporary_named(name)? else { return Ok(None) };
        let generation = self.temporary.now().generation();
        let change = TemporaryChange::of(ast, &relation, called)?;
        let found = match (&change.action, &change.source) {
            (TemporaryAction::Delete, _) | (_, None) => None,
            (_, Some(source)) => Some(self.bind_query(source, declared, None).await?),
        };
        let columns = found.as_ref().map(|bound| bound.columns().as_ref()).unwrap_or_default();
        let bound = match change.query(columns)? {
            None => None,
            Some(query) => Some(self.bind_query(&query, declared, None).await?),
        };
        let returned = match &change.returning {
            None => None,
            Some(query) => {
                let bound = self.bind_query(query, declared, None).await?;
                check_returned(bound.plan(), relation.id)?;
                Some(bound)
            }
        };
        Ok(Some(TemporaryWork {
            task: TemporaryTask::Change(Box::new(change)),
            bound,
            returned,
            generation,
            charges: Vec::new(),
        }))
    }

    /// CREATE TEMPORARY TABLE and VIEW, and DROP of what a session has made.
    pub(in crate::session) async fn prepare_temporary(
        &self,
        parsed: &Arc<Parsed>,
        ast: &Ast,
        declared: &[Option<Declared>],
    ) -> Result<PreparedStatement> {
        let work = self.work_of(ast, declared).await?;
        self.prepared_work(parsed, declared, work)
    }

    async fn work_of(&self, ast: &Ast, declared: &[Option<Declared>]) -> Result<TemporaryWork> {
        match ast {
            Ast::CreateTable(create) => self.work_of_table(create, declared).await,
            Ast::CreateView(create) => self.work_of_view(create).await,
            Ast::Drop { object_type, if_exists, names, purge: false, table: None, cascade, .. } => {
                let own = names.iter().map(|name| self.temporary_named(name)).collect::<Result<Vec<_>>>()?;
                // What the session has not made is made and dropped elsewhere, whether it is there or not.
                if own.iter().any(Option::is_none) && !self.are_absent(names).await? {
                    return Err(crate::sql::classify::refused_elsewhere(ast));
                }
                Ok(self.work(
                    TemporaryTask::Drop {
                        object: *object_type,
                        names: names.clone(),
                        if_exists: *if_exists,
                        cascades: *cascade,
                    },
                    None,
                ))
            }
            _ => Err(crate::sql::classify::refused_elsewhere(ast)),
        }
    }

    /// Whether none of those that are no temporary relations is anything that the principal sees.
    async fn are_absent(&self, names: &[ObjectName]) -> Result<bool> {
        let workspace = self.workspace().await?;
        let is_known = |name: &ObjectName| -> Result<bool> {
            let words = words(name)?;
            let (catalog, last) = (&workspace.catalog, words.last());
            let views = || catalog.deployment().views.iter().filter(|view| last == Some(&view.name));
            let is_object = catalog.objects().iter().any(|object| last == Some(&object.sql_name));
            Ok(is_object || views().any(|view| is_view(&view.schema, &view.name, catalog)))
        };
        names.iter().map(is_known).try_fold(true, |absent, known| Ok(absent && !known?))
    }

    fn work(&self, task: TemporaryTask, bound: Option<Arc<Bound>>) -> TemporaryWork {
        TemporaryWork {
            task,
            bound,
            returned: None,
            generation: self.temporary.now().generation(),
            charges: Vec::new(),
        }
    }

    /// The statement as it is prepared, with the charge of its plans.
    ///
    /// # Errors
    /// 53200: the session may hold no more.
    fn prepared_work(
        &self,
        parsed: &Arc<Parsed>,
        declared: &[Option<Declared>],
        mut work: TemporaryWork,
    ) -> Result<PreparedStatement> {
        let plans = work.bound.iter().chain(&work.returned);
        work.charges = plans.map(|bound| bound.charge(&self.prepared_memory)).collect::<Result<_>>()?;
        let types =
            |bound: &Option<Arc<Bound>>| bound.as_ref().map(|bound| bound.parameter_types()).unwrap_or_default();
        let (mut own, theirs) = (types(&work.bound), types(&work.returned));
        own.extend(theirs.into_iter().skip(own.len()));
        Ok(PreparedStatement {
            parsed: Arc::clone(parsed),
            declared: declared.to_vec(),
            columns: work.returned.as_ref().map(|bound| Arc::clone(bound.columns())),
            kind: Kind::Temporary(Arc::new(work)),
            constants: None,
            parameter_types: own,
            look_up: Mutex::default(),
            write: Mutex::default(),
            _plan: None,
        })
    }

    fn own_name(&self, name: &ObjectName) -> Result<String> {
        match words(name)?.as_slice() {
            [table] => Ok(table.clone()),
            [schema, table] if schema == TEMPORARY || *schema == self.temporary_schema() => Ok(table.clone()),
            _ => {
                let text = "cannot create temporary relation in non-temporary schema";
                Err(Error::new(ErrorCode::InvalidTableDefinition, text))
            }
        }
    }

    async fn work_of_table(&self, create: &CreateTable, declared: &[Option<Declared>]) -> Result<TemporaryWork> {
        let name = self.own_name(&create.name)?;
        let written = WrittenTable::of(create)?;
        let query = match &create.query {
            Some(query) => Some(query.as_ref().clone()),
            None => repeated(create)?,
        };
        let (bound, columns, kept) = match &query {
            Some(_) if !create.columns.is_empty() || !create.constraints.is_empty() => {
                return Err(unsupported("a definition of columns beside a query or LIKE"));
            }
            Some(query) => {
                let bound = self.bind_query(query, declared, None).await?;
                let columns = bound.columns().to_vec();
                (bound, columns, None)
            }
            None => {
                let mut example = skeleton("SELECT 1")?;
                let SetExpr::Select(select) = example.body.as_mut() else {
                    return Err(no_skeleton());
                };
                select.projection = written.example();
                if select.projection.is_empty() {
                    return Err(unsupported("a table without columns"));
                }
                let bound = self.bind_query(&example, declared, None).await?;
                let columns = bound.columns().iter().take(written.columns.len()).cloned().collect();
                (bound, columns, Some(&written))
            }
        };
        let fields = bound.schema().fields().iter().zip(&columns);
        let field = |(field, column): (&Arc<Field>, &Column)| {
            field.as_ref().clone().with_name(&column.name).with_nullable(true)
        };
        let schema = Arc::new(Schema::new(fields.map(field).collect::<Vec<_>>()));
        let definition = Arc::new(Definition::new(kept, written.on_commit, &columns, schema)?);
        let fills = create.query.is_some();
        let task = TemporaryTask::MakeTable { name, if_not_exists: create.if_not_exists, definition, fills };
        Ok(self.work(task, fills.then_some(bound)))
    }

    async fn work_of_view(&self, create: &CreateView) -> Result<TemporaryWork> {
        let name = self.own_name(&create.name)?;
        let is_plain = !create.materialized
            && !create.or_alter
            && !create.secure
            && !create.with_no_schema_binding
            && create.cluster_by.is_empty()
            && create.to.is_none()
            && create.params.is_none()
            && create.columns.iter().all(|column| column.data_type.is_none() && column.options.is_none());
        if !is_plain {
            return Err(unsupported("this form of CREATE TEMPORARY VIEW"));
        }
        let mut query = named_columns(create)?;
        let reads = self.name_in_full(&mut query).await?;
        let sql = query.to_string();
        check_view(&sql)?;
        let bound = self.bind_query(&create.query, &[], None).await?;
        if !create.columns.is_empty() && create.columns.len() > bound.columns().len() {
            let text = "CREATE VIEW specifies more column names than columns";
            return Err(Error::new(ErrorCode::SyntaxError, text));
        }
        let view = TemporaryKind::View { sql, reads };
        Ok(self.work(TemporaryTask::MakeView { name, replaces: create.or_replace, view }, None))
    }

    /// Names the relations of a view's query with their schemas, so that the view reads them whatever takes their names later; the
    /// temporary ones among them.
    async fn name_in_full(&self, query: &mut Query) -> Result<Vec<u64>> {
        let workspace = self.workspace().await?;
        let objects = workspace.catalog.objects().iter().map(|object| object.sql_name.clone());
        let views = &workspace.catalog.deployment().views;
        let mut names = FullNames {
            temporary: self.temporary.now(),
            schema: self.temporary_schema(),
            public: objects.filter(|name| !views.iter().any(|view| view.name == *name)).collect(),
            queries: BTreeSet::new(),
            reads: Vec::new(),
        };
        look(query, &mut names);
        write(query, &mut names)?;
        Ok(names.reads)
    }

    /// The workspace with the session's temporary relations in it.
    pub(in crate::session) async fn with_temporary(&self, workspace: Arc<Workspace>) -> Result<Arc<Workspace>> {
        let relations = self.temporary.now();
        if relations.iter().next().is_none() {
            return Ok(workspace);
        }
        let found = self.inner().temporary.clone();
        if let Some(own) = found.filter(|own| own.is_of(&workspace, relations.generation())) {
            return Ok(own.made);
        }
        let charge = MemoryConsumer::new("temporary tables").register(&self.kept_rows);
        let relations_bytes =
            WORKSPACE_BYTES.saturating_mul(workspace.catalog.objects().len() + relations.iter().count());
        let bytes = relations.iter().map(bytes_of).fold(relations_bytes, usize::saturating_add);
        charge.try_grow(bytes).map_err(|error| translate(&error, Stage::Plan))?;
        let own = self.temporary.own_relations(&relations, self.temporary_schema(), workspace.catalog.token())?;
        let own = OwnRelations { charge: Some(charge), ..own };
        let made = self.gate.temporary_workspace(&workspace, own).await?;
        let own = OwnWorkspace { base: workspace, generation: relations.generation(), made: Arc::clone(&made) };
        self.inner().temporary = Some(own);
        Ok(made)
    }

    /// Whether names may mean what this session alone has.
    pub(in crate::session) fn has_temporary(&self) -> bool {
        self.temporary.now().iter().next().is_some()
    }
}

/// A workspace with temporary relations, and what it was made of.
#[derive(Debug, Clone)]
pub(in crate::session) struct OwnWorkspace {
    base: Arc<Workspace>,
    generation: u64,
    made: Arc<Workspace>,
}

impl OwnWorkspace {
    fn is_of(&self, base: &Arc<Workspace>, generation: u64) -> bool {
        self.generation == generation && Arc::ptr_eq(&self.base, base)
    }
}

/// Refuses what is not computed of a changed row alone. A subquery would read the table as the change has left it.
///
/// # Errors
/// 42803, 42P20, 0A000.
fn check_returned(plan: &LogicalPlan, changed: u64) -> Result<()> {
    let mut refused = None;
    let looked = plan.apply(|node| {
        refused = match node {
            LogicalPlan::Aggregate(_) => Some((ErrorCode::GroupingError, "aggregate functions")),
            LogicalPlan::Window(_) => Some((ErrorCode::WindowingError, "window functions")),
            LogicalPlan::Unnest(_) => Some((ErrorCode::FeatureNotSupported, "set-returning functions")),
            _ => return Ok(TreeNodeRecursion::Continue),
        };
        Ok(TreeNodeRecursion::Stop)
    });
    looked.map_err(Error::internal)?;
    if let Some((code, what)) = refused {
        return Err(Error::new(code, format!("{what} are not allowed in RETURNING")));
    }
    let mut reads_whole = false;
    let looked = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            let provider = source_as_provider(&scan.source)?;
            let any: &dyn Any = provider.as_ref();
            reads_whole |= any.downcast_ref::<TemporaryTable>().is_some_and(|table| table.is_whole(changed));
        }
        Ok(TreeNodeRecursion::Continue)
    });
    looked.map_err(Error::internal)?;
    if reads_whole { Err(unsupported("RETURNING of a subquery that reads the changed table")) } else { Ok(()) }
}

/// What a relation's columns, or its query, take beside that, about.
fn bytes_of(relation: &TemporaryRelation) -> usize {
    match &relation.kind {
        TemporaryKind::Table { definition, .. } => COLUMN_BYTES.saturating_mul(definition.columns().len()),
        TemporaryKind::View { sql, .. } => QUERY_BYTES.saturating_mul(sql.len()),
    }
}

/// What relations of a query are, by names without a schema.
struct FullNames {
    temporary: TemporaryRelations,
    /// The session's own name of the schema of temporary relations.
    schema: String,
    /// Tables of the schema `public`.
    public: BTreeSet<String>,
    /// WITH queries, wherever they stand.
    queries: BTreeSet<String>,
    reads: Vec<u64>,
}

impl Reader for FullNames {
    fn query(&mut self, query: &Query) -> Step {
        let tables = query.with.iter().flat_map(|with| &with.cte_tables);
        self.queries.extend(tables.map(|table| folded(&table.alias.name)));
        ON
    }
}

impl Writer for FullNames {
    fn after_table_factor(&mut self, factor: &mut TableFactor) -> Step {
        let TableFactor::Table { name, alias, args: None, .. } = factor else { return ON };
        let found = match relation_named(name, &self.temporary, &self.schema) {
            Ok(found) => found,
            Err(error) => return step(Err(error)),
        };
        let last = name.0.last().and_then(|part| part.as_ident()).cloned();
        let (Some(last), is_bare) = (last, name.0.len() == 1) else { return ON };
        if is_bare && self.queries.contains(&folded(&last)) {
            return ON;
        }
        let schema = match found {
            Some(relation) => {
                self.reads.push(relation.id);
                TEMPORARY
            }
            None if self.public.contains(&folded(&last)) => "public",
            None => return ON,
        };
        if is_bare {
            name.0.insert(0, ObjectNamePart::Identifier(Ident::new(schema)));
            alias.get_or_insert_with(|| TableAlias { explicit: true, name: last, columns: Vec::new(), at: None });
        }
        ON
    }
}

/// The query of a view under the names that its statement gives its columns.
fn named_columns(create: &CreateView) -> Result<Query> {
    if create.columns.is_empty() {
        return Ok(create.query.as_ref().clone());
    }
    let columns = create.columns.iter();
    let columns = columns.map(|column| TableAliasColumnDef { name: column.name.clone(), data_type: None }).collect();
    let alias = TableAlias { explicit: true, name: quoted("own"), columns, at: None };
    let mut query = skeleton("SELECT * FROM t")?;
    let SetExpr::Select(select) = query.body.as_mut() else { return Err(no_skeleton()) };
    let Some(from) = select.from.first_mut() else { return Err(no_skeleton()) };
    let subquery = create.query.clone();
    from.relation = TableFactor::Derived { lateral: false, subquery, alias: Some(alias), sample: None };
    Ok(query)
}
