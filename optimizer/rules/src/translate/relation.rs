//! DataFusion's plan nodes as the vocabulary's operators. Exhaustive: an unknown node is a refusal. Knows no fence.

use super::scope::{Scope, Slot};
use super::{Leaf, Translator, fault};
use crate::not_pushed::NotPushed;
use crate::opener::{LeafColumn, OpenedLeaf, PolicyScope};
use crate::operators::name;
use datafusion::common::tree_node::TreeNode as _;
use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::expr::Sort as SortExpr;
use datafusion::logical_expr::logical_plan::{
    Distinct, FetchType, Filter, Limit, Projection, SkipType, Sort, TableScan, Values,
};
use datafusion::logical_expr::{Expr, LogicalPlan};
use querygate_driver_api::capability::RefusalReason;
use querygate_driver_api::identifier::ColumnId;
use querygate_driver_api::relation::{Collation, Relation, SetOp, SortKey};
use querygate_driver_api::scalar::ScalarExpr;
use std::collections::HashSet;
use std::sync::Arc;

/// A translated node: its relation, and a slot for each field of its schema.
pub(super) struct Built {
    pub(super) relation: Relation,
    pub(super) slots: Vec<Slot>,
    /// Columns that are unique and not NULL together; empty: at most one row.
    pub(super) key: Option<Vec<ColumnId>>,
    /// The key below the topmost sort.
    pub(super) sort_key: Option<Vec<ColumnId>>,
}

impl Built {
    pub(super) fn new(relation: Relation, slots: Vec<Slot>) -> Self {
        Self { relation, slots, key: None, sort_key: None }
    }

    /// The ids of all columns.
    pub(super) fn required(&self) -> Result<Vec<ColumnId>, NotPushed> {
        self.slots.iter().map(Slot::id).collect()
    }
}

impl Translator<'_> {
    pub(super) fn relation(&mut self, plan: &LogicalPlan) -> Result<Built, NotPushed> {
        self.nested(|this| this.operator(plan)).map_err(|refusal| refusal.at(name(plan)))
    }

    fn operator(&mut self, plan: &LogicalPlan) -> Result<Built, NotPushed> {
        let refused = |what: &str| Err(NotPushed::operator(what));
        match plan {
            LogicalPlan::Projection(projection) => self.projection(projection),
            LogicalPlan::Filter(filter) => self.filter(filter),
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate),
            LogicalPlan::Sort(sort) => self.sort(sort),
            LogicalPlan::Join(join) => self.join(join),
            LogicalPlan::Union(union) => self.union(union),
            LogicalPlan::TableScan(scan) => self.scan(scan),
            LogicalPlan::SubqueryAlias(alias) => self.relation(&alias.input),
            LogicalPlan::Limit(limit) => self.limit(limit),
            LogicalPlan::Values(values) => self.values(values),
            LogicalPlan::Distinct(Distinct::All(input)) => self.distinct(input),
            LogicalPlan::Distinct(Distinct::On(_)) => refused("DISTINCT ON"),
            LogicalPlan::EmptyRelation(empty) if empty.produce_one_row && empty.schema.fields().is_empty() => {
                Ok(Built { key: Some(Vec::new()), ..Built::new(Relation::EmptyRow, Vec::new()) })
            }
            LogicalPlan::EmptyRelation(_) => refused("a relation without rows"),
            LogicalPlan::Window(_) => refused("window function"),
            LogicalPlan::Repartition(_) => refused("repartitioning"),
            LogicalPlan::Subquery(_) => refused("lateral subquery"),
            LogicalPlan::Unnest(_) => refused("unnest"),
            LogicalPlan::RecursiveQuery(_) => refused("recursive query"),
            LogicalPlan::Extension(_) => refused("extension"),
            LogicalPlan::Statement(_)
            | LogicalPlan::Explain(_)
            | LogicalPlan::Analyze(_)
            | LogicalPlan::Dml(_)
            | LogicalPlan::Ddl(_)
            | LogicalPlan::Copy(_)
            | LogicalPlan::DescribeTable(_) => refused("not a query"),
        }
    }

    /// Adds what an operator defines to the known columns.
    pub(super) fn define(&mut self, relation: &Relation) -> Result<(), NotPushed> {
        self.types.define_operator(relation).map_err(fault)
    }

    /// The relation with exactly the slots as its output, each once.
    pub(super) fn shaped(&mut self, built: Built) -> Result<(Relation, Vec<ColumnId>), NotPushed> {
        let ids = built.required()?;
        let unique = ids.iter().collect::<HashSet<_>>().len() == ids.len();
        if unique && built.relation.output() == ids {
            return Ok((built.relation, ids));
        }
        let mut seen = HashSet::new();
        let mut exprs = Vec::with_capacity(ids.len());
        for id in ids {
            let own = if seen.insert(id) { id } else { self.column() };
            exprs.push((own, ScalarExpr::Column(id)));
        }
        let shaped = exprs.iter().map(|(id, _)| *id).collect();
        let relation = Relation::Project { input: Box::new(built.relation), exprs };
        self.define(&relation)?;
        Ok((relation, shaped))
    }

    fn scan(&mut self, scan: &TableScan) -> Result<Built, NotPushed> {
        if scan.fetch.is_some() {
            return Err(NotPushed::operator("limit inside a scan"));
        }
        let leaf = self.opener.open(scan)?;
        let schema = scan.source.schema();
        if leaf.columns.len() != schema.fields().len() {
            return Err(NotPushed::invalid("opened table has another number of columns"));
        }
        match &self.source {
            Some(source) if *source != leaf.source => {
                return Err(NotPushed::operator("tables belong to different sources"));
            }
            Some(_) => {}
            None => self.source = Some(Arc::clone(&leaf.source)),
        }
        let (relation, slots) = self.open(&leaf)?;
        let column = |index: &usize| match slots.get(*index) {
            Some(Slot::Column(id)) => Some(*id),
            Some(Slot::Refused(_)) | None => None,
        };
        let key = leaf.key.as_ref().and_then(|key| key.iter().map(column).collect::<Option<Vec<_>>>());
        let built = self.scan_filters(scan, Built { key, ..Built::new(relation, slots) })?;
        let Some(projection) = &scan.projection else { return Ok(built) };
        let slots = projection
            .iter()
            .map(|index| built.slots.get(*index).cloned().ok_or_else(|| NotPushed::invalid("projected column")))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Built { slots, ..built })
    }

    /// The scan of an opened table under its policy.
    fn open(&mut self, leaf: &OpenedLeaf) -> Result<(Relation, Vec<Slot>), NotPushed> {
        let mut columns = Vec::new();
        let mut slots = Vec::with_capacity(leaf.columns.len());
        for column in &leaf.columns {
            slots.push(match column {
                LeafColumn::Remote(remote) => {
                    let id = self.column();
                    columns.push(remote.scan(id));
                    Slot::Column(id)
                }
                LeafColumn::Local(reason) => Slot::refused(NotPushed::operator(reason.text())),
            });
        }
        let mut read = Vec::new();
        for remote in leaf.policy.iter().flat_map(|policy| policy.columns()) {
            let known = columns.iter().find(|column| column.name == remote.name).map(|column| column.id);
            let id = known.unwrap_or_else(|| {
                let id = self.column();
                columns.push(remote.scan(id));
                id
            });
            read.push(id);
        }
        if columns.is_empty() {
            return Err(NotPushed::operator("table has no column of its source"));
        }
        for column in &columns {
            self.leaf_of.insert(column.id, self.leaves.len());
        }
        let scan = Relation::Scan { table: leaf.table.clone(), columns };
        self.define(&scan)?;
        let policy = match &leaf.policy {
            Some(policy) => {
                let mut scope = PolicyScope {
                    next_column: &mut self.next_column,
                    parameters: &mut self.parameters,
                    parameter_types: &mut self.parameter_types,
                    values: &mut self.policy_values,
                };
                Some(policy.predicate(&read, &mut scope).map_err(NotPushed::of_policy)?)
            }
            None if leaf.restricted => return Err(NotPushed::invalid("restricted table without a policy")),
            None => None,
        };
        self.leaves.push(Leaf { policy: policy.clone(), restricted: leaf.restricted });
        let relation = match policy {
            Some(predicate) => Relation::Filter { input: Box::new(scan), predicate },
            None => scan,
        };
        Ok((relation, slots))
    }

    /// Conditions that an optimizer has put into the scan.
    fn scan_filters(&mut self, scan: &TableScan, built: Built) -> Result<Built, NotPushed> {
        if scan.filters.is_empty() {
            return Ok(built);
        }
        let schema = DFSchema::try_from_qualified_schema(scan.table_name.clone(), &scan.source.schema())
            .map_err(|_| NotPushed::invalid("schema of a scan"))?;
        let scope = Scope::new(&Arc::new(schema), &built.slots);
        let all = scan.filters.iter().map(|filter| self.condition(filter, &scope)).collect::<Result<_, _>>()?;
        Ok(Built { relation: super::conjunct::filter(built.relation, all), ..built })
    }

    fn filter(&mut self, filter: &Filter) -> Result<Built, NotPushed> {
        let built = self.relation(&filter.input)?;
        let scope = Scope::new(filter.input.schema(), &built.slots);
        let mut all = Vec::new();
        super::conjunct::split(self.condition(&filter.predicate, &scope)?, &mut all);
        Ok(Built { relation: super::conjunct::filter(built.relation, all), ..built })
    }

    /// Plain columns only change the slots; an operator appears when something is computed.
    fn projection(&mut self, projection: &Projection) -> Result<Built, NotPushed> {
        let built = self.relation(&projection.input)?;
        let scope = Scope::new(projection.input.schema(), &built.slots);
        let mut computed = Vec::new();
        let mut slots = Vec::with_capacity(projection.expr.len());
        for expr in &projection.expr {
            slots.push(match plain_column(expr) {
                Some(column) => scope.slot(column)?.clone(),
                None => match self.value(expr, &scope) {
                    // A cast to another layout of the same type.
                    Ok(ScalarExpr::Column(id)) => Slot::Column(id),
                    Ok(value) => {
                        let id = self.column();
                        computed.push((id, value));
                        Slot::Column(id)
                    }
                    Err(refusal) => Slot::refused(refusal.at("projection")),
                },
            });
        }
        if computed.is_empty() {
            return Ok(Built { slots, ..built });
        }
        let new: HashSet<ColumnId> = computed.iter().map(|(id, _)| *id).collect();
        let handed_on = slots.iter().filter_map(|slot| slot.id().ok()).chain(built.key.iter().flatten().copied());
        let mut seen = HashSet::new();
        let mut exprs: Vec<_> = handed_on
            .filter(|id| !new.contains(id) && seen.insert(*id))
            .map(|id| (id, ScalarExpr::Column(id)))
            .collect();
        exprs.extend(computed);
        let relation = Relation::Project { input: Box::new(built.relation), exprs };
        self.define(&relation)?;
        Ok(Built { relation, slots, key: built.key, sort_key: built.sort_key })
    }

    fn sort(&mut self, sort: &Sort) -> Result<Built, NotPushed> {
        let built = self.relation(&sort.input)?;
        let scope = Scope::new(sort.input.schema(), &built.slots);
        let keys = sort.expr.iter().map(|key| self.sort_key(key, &scope)).collect::<Result<Vec<_>, _>>()?;
        let relation = Relation::Sort { input: Box::new(built.relation), keys };
        let sorted = Built { relation, slots: built.slots, sort_key: built.key.clone(), key: built.key };
        match sort.fetch {
            Some(fetch) => Ok(self.cut(sorted, 0, Some(fetch as u64))),
            None => Ok(sorted),
        }
    }

    fn sort_key(&mut self, key: &SortExpr, scope: &Scope) -> Result<SortKey, NotPushed> {
        let expr = self.value(&key.expr, scope)?;
        Ok(SortKey { expr, ascending: key.asc, nulls_first: key.nulls_first })
    }

    fn limit(&mut self, limit: &Limit) -> Result<Built, NotPushed> {
        let not_constant = || NotPushed::operator("limit that is not a constant");
        let skip = match limit.get_skip_type() {
            Ok(SkipType::Literal(skip)) => skip as u64,
            Ok(SkipType::UnsupportedExpr) | Err(_) => return Err(not_constant()),
        };
        let fetch = match limit.get_fetch_type() {
            Ok(FetchType::Literal(fetch)) => fetch.map(|fetch| fetch as u64),
            Ok(FetchType::UnsupportedExpr) | Err(_) => return Err(not_constant()),
        };
        let built = self.relation(&limit.input)?;
        Ok(self.cut(built, skip, fetch))
    }

    /// A limit; over a sort, ties are broken by a key, so that each run gives the same rows.
    fn cut(&self, mut built: Built, skip: u64, fetch: Option<u64>) -> Built {
        const KEY_COLUMNS_MAX: usize = 4;
        if let Some(key) = built.sort_key.take()
            && key.len() <= KEY_COLUMNS_MAX
            && key.iter().all(|id| self.orders_plainly(*id))
        {
            break_ties(&mut built.relation, &key);
        }
        Built { relation: Relation::Limit { input: Box::new(built.relation), skip, fetch }, ..built }
    }

    fn orders_plainly(&self, id: ColumnId) -> bool {
        self.types.of(id).is_ok_and(|info| info.collation == Collation::Binary && info.encoding.is_exact())
    }

    fn distinct(&mut self, input: &LogicalPlan) -> Result<Built, NotPushed> {
        let built = self.relation(input)?;
        let (relation, ids) = self.shaped(built)?;
        let relation = match relation {
            Relation::SetOperation { op: SetOp::Union, all: true, columns, left, right } => {
                Relation::SetOperation { op: SetOp::Union, all: false, columns, left, right }
            }
            other => Relation::Distinct { input: Box::new(other) },
        };
        let slots = ids.iter().map(|id| Slot::Column(*id)).collect();
        Ok(Built::new(relation, slots))
    }

    fn values(&mut self, values: &Values) -> Result<Built, NotPushed> {
        const ROWS_MAX: usize = 1_000;
        if values.values.len() > ROWS_MAX {
            return Err(NotPushed::new(RefusalReason::Size, "too many rows of VALUES"));
        }
        let scope = Scope::new(&Arc::new(DFSchema::empty()), &[]);
        let mut columns = Vec::new();
        for field in values.schema.fields() {
            columns.push((self.column(), super::types::value_type(field.data_type())?));
        }
        let mut rows = Vec::with_capacity(values.values.len());
        for row in &values.values {
            let mut cells = Vec::with_capacity(row.len());
            for (cell, (_, value_type)) in row.iter().zip(&columns) {
                if matches!(cell.exists(|part| Ok(matches!(part, Expr::OuterReferenceColumn(..)))), Ok(true)) {
                    return Err(NotPushed::operator("VALUES of a row of the query around it"));
                }
                let cell = self.value(cell, &scope)?;
                self.expect(&cell, *value_type)?;
                cells.push(cell);
            }
            rows.push(cells);
        }
        let slots = columns.iter().map(|(id, _)| Slot::Column(*id)).collect();
        let relation = Relation::Values { columns, rows };
        self.define(&relation)?;
        Ok(Built::new(relation, slots))
    }
}

/// The column that an expression hands on, if it does nothing else.
pub(super) fn plain_column(expr: &Expr) -> Option<&Column> {
    match expr {
        Expr::Alias(alias) => plain_column(&alias.expr),
        Expr::Column(column) => Some(column),
        _ => None,
    }
}

/// Adds the key to the topmost sort.
fn break_ties(relation: &mut Relation, key: &[ColumnId]) {
    match relation {
        Relation::Project { input, .. } => break_ties(input, key),
        Relation::Sort { keys, .. } => {
            for id in key {
                if !keys.iter().any(|known| known.expr == ScalarExpr::Column(*id)) {
                    keys.push(SortKey { expr: ScalarExpr::Column(*id), ascending: true, nulls_first: false });
                }
            }
        }
        _ => {}
    }
}
