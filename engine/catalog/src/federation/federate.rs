//! The federation rule: whole statements, or their largest one-source parts, become fragments with the policies inside.
//! The only code that opens a governed leaf.

use super::fragment::{FragmentTable, governed_fragment};
use super::policy::{FragmentPolicy, Tables};
use super::sizes::TableSizes;
use crate::arguments::Arguments;
use crate::deployment::Deployment;
use crate::leaf::GovernedTable;
use crate::metrics::FragmentFacts;
use crate::principal::VisibleObject;
use crate::remote::{
    CompiledFragment, DriverTable, Expected, FragmentCall, NamedTable, OpenParameters, looks_up, named_in,
};
use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder, TableScan};
use datafusion::physical_plan::ExecutionPlan;
use querygate_driver_api::capability::{Capabilities, RefusalReason};
use querygate_driver_api::driver::Driver;
use querygate_driver_api::execution::{DeclineReason, LookUp, NativeStatement};
use querygate_driver_api::identifier::Identifier;
use querygate_driver_api::planning::settings_for;
use querygate_driver_api::value::Value;
use querygate_pg_catalog::LeafToken;
use querygate_rules::estimate::Estimator;
use querygate_rules::opener::{LeafColumn, LeafOpener, LeafPolicy, LocalReason, OpenedLeaf};
use querygate_rules::{
    Carved, LeafBuilder, NotPushed, ParameterSource, Receipt, Receipts, Translation, carve, translate,
};
use querygate_types::{Error, PlannerSetting, Result};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The driver tables of a deployment, and their drivers by source. Made once per catalog, not per statement.
#[derive(Debug)]
pub(crate) struct Remotes {
    tables: Tables,
    drivers: BTreeMap<String, Arc<dyn Driver>>,
}

impl Remotes {
    pub(crate) fn of(deployment: &Deployment) -> Self {
        let mut tables = BTreeMap::new();
        let mut drivers = BTreeMap::new();
        for (object, source) in &deployment.tables {
            let any: &dyn Any = source.provider.as_ref();
            if let Some(table) = any.downcast_ref::<DriverTable>() {
                drivers.insert(table.source().to_string(), Arc::clone(table.driver()));
                tables.insert(object.clone(), table.clone());
            }
        }
        Self { tables: Arc::new(tables), drivers }
    }

    pub(crate) fn tables(&self) -> &Tables {
        &self.tables
    }
}

/// Opens the governed tables of one catalog.
pub(crate) struct GovernedOpener<'a> {
    pub(crate) token: &'a LeafToken,
    pub(crate) objects: &'a [VisibleObject],
    pub(crate) remotes: &'a Remotes,
}

impl<'a> GovernedOpener<'a> {
    /// Whether any table is a driver's; without one there is nothing to carve.
    #[must_use]
    fn is_empty(&self) -> bool {
        self.remotes.drivers.is_empty()
    }

    fn driver(&self, source: &str) -> Option<&'a Arc<dyn Driver>> {
        self.remotes.drivers.get(source)
    }
}

fn elsewhere(text: &str) -> NotPushed {
    NotPushed { reason: RefusalReason::Operator, text: text.to_owned(), place: "scan", of_policy: false }
}

impl LeafOpener for GovernedOpener<'_> {
    fn open(&self, scan: &TableScan) -> std::result::Result<OpenedLeaf, NotPushed> {
        let provider = source_as_provider(&scan.source).map_err(|_| elsewhere("a scan without provider"))?;
        let any: &dyn Any = provider.as_ref();
        let Some(governed) = any.downcast_ref::<GovernedTable>() else {
            return Err(elsewhere("the table is the gate's own"));
        };
        if governed.token() != self.token {
            return Err(elsewhere("the table belongs to another session"));
        }
        let raw: &dyn Any = governed.raw().as_ref();
        let Some(table) = raw.downcast_ref::<DriverTable>() else {
            return Err(elsewhere("the source takes no fragments"));
        };
        let visible = self.objects.iter().find(|o| o.sql_name == governed.name());
        let Some(visible) = visible else { return Err(elsewhere("the table is not in the catalog")) };
        let columns = governed
            .columns()
            .iter()
            .map(|column| match (&column.mask, table.column(column.field.name())) {
                (Some(_), _) => LeafColumn::Local(LocalReason::Masked),
                // The source has its text.
                (None, Some(_)) if !column.is_open() => LeafColumn::Local(LocalReason::Computed),
                (None, Some(remote)) => LeafColumn::Remote(remote.clone()),
                (None, None) if table.is_lost(column.field.name()) => LeafColumn::Local(LocalReason::Changed),
                (None, None) => LeafColumn::Local(LocalReason::Computed),
            })
            .collect();
        let restricted = governed.policy().restricts();
        let filter = visible.decision.row_filter();
        let policy = if restricted {
            let policy = FragmentPolicy::new(filter, table, &self.remotes.tables).ok_or_else(|| NotPushed {
                of_policy: true,
                ..elsewhere("the row policy names a column that its source lacks")
            })?;
            Some(Arc::new(policy) as Arc<dyn LeafPolicy>)
        } else {
            None
        };
        Ok(OpenedLeaf {
            source: Arc::clone(table.source()),
            table: table.table().clone(),
            columns,
            key: key_of(governed, table),
            policy,
            restricted,
        })
    }

    fn capabilities(&self, source: &str) -> Option<&dyn Capabilities> {
        self.driver(source).map(|driver| driver.capabilities())
    }

    fn estimator(&self) -> &dyn Estimator {
        &TableSizes
    }
}

/// The table's key as indexes of the governed columns, when all of it is visible and unmasked.
fn key_of(governed: &GovernedTable, table: &DriverTable) -> Option<Vec<usize>> {
    table.key()?.iter().map(|raw| governed.columns().iter().position(|c| c.is_raw(*raw))).collect()
}

/// The columns of such a key in their source, with their names here.
fn named_key(governed: &GovernedTable, table: &DriverTable) -> Option<Vec<(Identifier, String)>> {
    let named = |(raw, place): (&usize, usize)| {
        Some((table.fields().get(*raw)?.column.name.clone(), governed.columns().get(place)?.field.name().clone()))
    };
    table.key()?.iter().zip(key_of(governed, table)?).map(named).collect()
}

/// A plan with fragments in it, and what became of its parts.
#[derive(Debug, Clone)]
pub struct Federated {
    pub plan: LogicalPlan,
    pub fragments: usize,
    pub receipts: Receipts,
}

/// Carves a bound plan whose parameters are filled in, or open, with values that they have now.
///
/// # Errors
/// Internal: a part that was translated and cannot be made a leaf.
pub(crate) fn federate(
    plan: &LogicalPlan,
    opener: &GovernedOpener<'_>,
    context: &SimplifyContext,
    arguments: Option<&Arguments>,
) -> Result<Federated> {
    if opener.is_empty() {
        return Ok(Federated { plan: plan.clone(), fragments: 0, receipts: Receipts::default() });
    }
    let named = named_tables(plan);
    let builder = Builder { opener, arguments, named, refused: Cell::new(false), made: RefCell::default() };
    match carve(plan, opener, &builder, context) {
        Ok(Carved { plan, fragments, receipts }) => Ok(Federated { plan, fragments, receipts }),
        // Some value has no equal in the source, or its text is too long: the governed leaves take what they can.
        Err(_) if builder.refused.get() => {
            Ok(Federated { plan: plan.clone(), fragments: 0, receipts: Receipts::default() })
        }
        Err(error) => Err(error),
    }
}

/// A whole statement as one fragment. It needs no planning per run: values in, rows out.
#[derive(Debug)]
pub struct WholeFragment {
    token: LeafToken,
    translation: Translation,
    /// A run, but for its values.
    pub(super) compiled: CompiledFragment,
    /// Whether it finds rows by a key, at a source that looks them up.
    pub(super) looks_up: LookUp<()>,
    /// Settings that the source's planner takes for it.
    settings: Vec<PlannerSetting>,
}

impl WholeFragment {
    /// Translates a bound plan with its parameters open. `None`: one source cannot run all of it.
    pub(crate) fn find(plan: &LogicalPlan, opener: &GovernedOpener<'_>, context: &SimplifyContext) -> Option<Self> {
        if opener.is_empty() {
            return None;
        }
        let translation = translate(plan, opener, context).ok()?;
        let driver = opener.driver(&translation.source)?;
        let statement = driver.render(&translation.fragment).ok()?;
        let named = named_tables(plan);
        let mut compiled = compiled(driver, &translation, statement, Vec::new(), &named);
        let tables = opener.remotes.tables.values().filter(|table| *table.source() == translation.source);
        compiled.by_key = looks_up(&translation.fragment, tables);
        let looks_up = match (compiled.driver.looks_up(), compiled.by_key) {
            (false, _) => Err(DeclineReason::Unsupported),
            (true, true) => Ok(()),
            (true, false) => Err(DeclineReason::NoKey),
        };
        let settings = settings_for(driver.as_ref(), &translation.fragment);
        Some(Self { token: opener.token.clone(), translation, compiled, looks_up, settings })
    }

    /// Which snapshot and principal it was made for.
    #[must_use]
    pub fn token(&self) -> &LeafToken {
        &self.token
    }

    /// Settings that the source's planner takes for it; empty: it has nothing to decide, or takes none.
    #[must_use]
    pub fn settings(&self) -> &[PlannerSetting] {
        &self.settings
    }

    /// Whether [`FragmentCall::look_up`] is worth asking.
    ///
    /// # Errors
    /// Why it declines each run.
    pub const fn looks_up(&self) -> LookUp<()> {
        self.looks_up
    }

    /// Rows that it is expected to give.
    #[must_use]
    pub fn expected_rows(&self) -> Option<f64> {
        self.translation.size.rows
    }

    /// A leaf with these values. `None`: the source cannot be given them with equal results. `setting`: of its planner.
    #[must_use]
    pub fn leaf(&self, placeholders: &[Value], setting: Option<PlannerSetting>) -> Option<Arc<dyn ExecutionPlan>> {
        let mut compiled = self.with(placeholders)?;
        if compiled.driver.accepts(&compiled.statement, &compiled.values).is_err() {
            return None;
        }
        compiled.setting = setting.filter(|setting| self.settings.contains(setting));
        let restricted = !self.translation.policy_values.is_empty();
        Some(Arc::new(governed_fragment(self.token.clone(), compiled, None, restricted)))
    }

    /// A run with these values, without a plan. `None`: they are not of the types that the fragment has.
    #[must_use]
    pub fn call(&self, placeholders: &[Value]) -> Option<FragmentCall> {
        Some(FragmentCall::new(self.with(placeholders)?, self.looks_up))
    }

    fn with(&self, placeholders: &[Value]) -> Option<CompiledFragment> {
        Some(CompiledFragment { values: self.values(placeholders)?.into(), ..self.compiled.clone() })
    }

    /// The policies' values and these. `None`: they are not of the types that the fragment has.
    pub(super) fn values(&self, placeholders: &[Value]) -> Option<Vec<Value>> {
        let values = self.translation.values(placeholders).ok()?;
        let typed = values.iter().zip(&self.translation.fragment.parameters).all(|(v, t)| v.value_type() == *t);
        typed.then_some(values)
    }

    /// What was pushed.
    #[must_use]
    pub fn receipt(&self) -> &Receipt {
        &self.translation.receipt
    }
}

struct Builder<'a> {
    opener: &'a GovernedOpener<'a>,
    /// The values of open parameters.
    arguments: Option<&'a Arguments>,
    /// The tables that the statement names.
    named: Vec<NamedTable>,
    /// A source refused the values of a fragment, or its length.
    refused: Cell<bool>,
    made: RefCell<Vec<Arc<FragmentTable>>>,
}

impl Builder<'_> {
    /// The values of a fragment, and where they come from if other values are to take their place.
    fn values(&self, translation: &Translation) -> Result<(Vec<Value>, Option<Arc<OpenParameters>>)> {
        let Some(arguments) = self.arguments else { return Ok((translation.values(&[])?, None)) };
        let open = OpenParameters::of(translation);
        let values = open.values(&translation.fragment.parameters, arguments);
        let values = values.ok_or_else(|| Error::internal("a fragment is planned with values of other types"))?;
        Ok((values, Some(Arc::new(open))))
    }
}

impl Builder<'_> {
    /// A fragment with its name in this plan. The engine takes two scans of one name for the same, so fragments have one name where
    /// they give the same rows, and nowhere else.
    fn named(&self, table: FragmentTable) -> (String, Arc<FragmentTable>) {
        let mut made = self.made.borrow_mut();
        let known = made.iter().enumerate().find(|(_, known)| known.gives_the_same(&table));
        if let Some((number, known)) = known {
            return (format!("fragment_{number}"), Arc::clone(known));
        }
        let (number, table) = (made.len(), Arc::new(table));
        made.push(Arc::clone(&table));
        (format!("fragment_{number}"), table)
    }
}

impl LeafBuilder for Builder<'_> {
    fn leaf(&self, translation: Translation) -> Result<LogicalPlan> {
        let missing = || Error::internal("a fragment for a source without driver");
        let driver = self.opener.driver(&translation.source).ok_or_else(missing)?;
        let statement = driver.render(&translation.fragment).map_err(|refusal| {
            // How long a text becomes is not known before it is written.
            if refusal.reason == RefusalReason::Size {
                self.refused.set(true);
            }
            Error::internal(format!("a translated fragment is refused: {}", refusal.text))
        })?;
        let (values, open) = self.values(&translation)?;
        if let Err(refusal) = driver.accepts(&statement, &values) {
            self.refused.set(true);
            return Err(Error::internal(format!("the values of a fragment are refused: {}", refusal.text)));
        }
        let compiled = CompiledFragment { open, ..compiled(driver, &translation, statement, values, &self.named) };
        let restricted = !translation.policy_values.is_empty();
        let size = translation.size.clone();
        let table = FragmentTable::new(self.opener.token.clone(), restricted, size, compiled);
        let (name, table) = self.named(table);
        LogicalPlanBuilder::scan(name, provider_as_source(table), None)
            .and_then(LogicalPlanBuilder::build)
            .map_err(Error::internal)
    }
}

fn compiled(
    driver: &Arc<dyn Driver>,
    translation: &Translation,
    statement: Arc<NativeStatement>,
    values: Vec<Value>,
    named: &[NamedTable],
) -> CompiledFragment {
    let columns = translation.casts.iter().enumerate().map(|(i, cast)| (i, cast.clone())).collect();
    CompiledFragment {
        driver: Arc::clone(driver),
        source: Arc::clone(&translation.source),
        fragment: Arc::new(translation.fragment.clone()),
        statement,
        values: values.into(),
        columns,
        schema: nullable(&translation.schema),
        known: known(translation),
        part: false,
        share: None,
        setting: None,
        by_key: false,
        names_columns: true,
        reads: named_in(&translation.source, &translation.fragment, named),
        expected: Arc::new(Expected::of(&translation.size)),
        open: None,
    }
}

/// The drivers' tables that a plan names.
fn named_tables(plan: &LogicalPlan) -> Vec<NamedTable> {
    let mut found = Vec::new();
    // The closure never fails, so neither does the walk.
    let _ = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Ok(provider) = source_as_provider(&scan.source)
            && let Some(governed) = (provider.as_ref() as &dyn Any).downcast_ref::<GovernedTable>()
            && let Some(table) = (governed.raw().as_ref() as &dyn Any).downcast_ref::<DriverTable>()
        {
            let (source, name) = (Arc::clone(table.source()), governed.name().to_owned());
            let key = named_key(governed, table).unwrap_or_default();
            found.push(NamedTable { source, table: table.table().clone(), name, key });
        }
        Ok(TreeNodeRecursion::Continue)
    });
    found
}

/// What the metrics know of a fragment before it runs.
fn known(translation: &Translation) -> Arc<FragmentFacts> {
    let origins = translation.parameters.iter().enumerate();
    let policy = origins.filter(|(_, origin)| matches!(origin, ParameterSource::Policy(_)));
    Arc::new(FragmentFacts::new(translation.size.rows, policy.map(|(index, _)| index).collect()))
}

/// Sources may deliver NULL where a plan's schema says otherwise; names need only be distinct.
fn nullable(schema: &SchemaRef) -> SchemaRef {
    let fields = schema.fields().iter().enumerate().map(|(i, field)| {
        arrow::datatypes::Field::new(format!("c{i}"), field.data_type().clone(), true)
            .with_metadata(field.metadata().clone())
    });
    Arc::new(arrow::datatypes::Schema::new(fields.collect::<Vec<_>>()))
}
