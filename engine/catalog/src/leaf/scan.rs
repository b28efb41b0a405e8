//! How a governed leaf is planned: raw scan, policy and leak-proof conjuncts, masks, limit, one opaque node around all.

use super::estimate::{ExpectedRows, governed};
use super::exec::GovernedExec;
use super::parts::PARTS_PER_STREAM;
use super::receipt::fragment_line;
use super::renewal::{Origin, PlannedTable, takes_other_values};
use super::table::{ColumnOrigin, GovernedColumn, GovernedTable};
use crate::arguments::{Arguments, is_open, parameters_in};
use crate::expressions::{Numbered, columns_of};
use crate::metrics::FileLeaf;
use crate::remote::{DriverTable, FragmentExec, PlainScans};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Constraint, Result, internal_err};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::limit::LocalLimitExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use querygate_rules::estimate::{TableEstimate, cheapest_first, filtered};
use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl GovernedTable {
    /// Plans the leaf. `filters` must be leak-proof; anything else is an internal error, never dropped.
    pub(crate) async fn plan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(arguments) = state.config().get_extension::<Arguments>() else {
            let (leaf, _) = self.planned(state, projection, (filters, None), limit, None).await?;
            return Ok(Arc::new(leaf.expecting(self.expected_rows(filters, limit))));
        };
        // Where a scan may be made anew, it is to be seen which of its constants are the statement's values.
        let may_rescan = self.rescan.is_some() && self.policy.related.is_empty();
        let with_values = |filter| if may_rescan { arguments.noted(filter) } else { arguments.filled(filter) };
        let closed: Vec<Expr> = filters.iter().map(with_values).collect::<Result<_>>()?;
        let (leaf, split) = self.planned(state, projection, (closed.as_slice(), Some(filters)), limit, None).await?;
        let planned = PlannedTable {
            table: self.without_keys(),
            projection: projection.cloned(),
            filters: filters.to_vec(),
            limit,
            given: split.open.unwrap_or_default(),
            inside: !split.has_open_residual,
            in_place: may_rescan && takes_other_values(leaf.inner(), filters.iter().map(parameters_in).sum()),
        };
        let expected = self.expected_rows(&closed, limit);
        Ok(Arc::new(leaf.originating(Some(Origin::table(planned))).expecting(expected)))
    }

    /// Plans the leaf for another run, with other values in its filters than `kept` has.
    pub(super) async fn plan_again(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
        kept: &GovernedExec,
    ) -> Result<GovernedExec> {
        let (leaf, _) = self.planned(state, projection, (filters, None), limit, Some(kept)).await?;
        Ok(leaf.expecting(self.expected_rows(filters, limit)))
    }

    pub(super) fn expected_rows(&self, filters: &[Expr], limit: Option<usize>) -> Option<ExpectedRows> {
        let told = governed(self);
        let base = told.rows?;
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let most = limit.map_or(f64::INFINITY, |rows| rows as f64);
        let rows = filtered(told, &self.schema, filters).rows?.min(most);
        Some(ExpectedRows { rows, base })
    }

    /// Plans the leaf with its filters, and with the same ones as their parameters are open. `kept`: a leaf that differs by the
    /// filters' values alone, which no text of it names.
    async fn planned(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        (filters, open): (&[Expr], Option<&[Expr]>),
        limit: Option<usize>,
        kept: Option<&GovernedExec>,
    ) -> Result<(GovernedExec, SplitFilters)> {
        if let Some(unsafe_one) = filters.iter().find(|f| !self.admits(f)) {
            return internal_err!(
                "a conjunct that is not leak-proof reached a governed leaf: {}",
                unsafe_one.variant_name()
            );
        }
        let output = self.output_columns(projection)?;
        let plain = self.is_plain(state);
        let split = self.split_filters((filters, open), &output, plain)?;
        let plan = self.raw_scan(state, &output, &split, limit.filter(|_| !plain)).await?;
        // A source's own text may be another for other values.
        let kept = kept.filter(|_| !self.is_in_source());
        let (note, native) = match kept {
            Some(kept) => kept.texts(),
            None => (self.note(filters).into(), self.native(&plan, &split).into()),
        };
        let in_order = self.in_order(state, &plan, &split);
        let reads = FileLeaf::of(&plan, &self.source, &self.name, &split.raw, &self.policy.conjuncts);
        let plan = self.above_scan(state, plan, &split, &output).await?;
        let plan: Arc<dyn ExecutionPlan> = match limit {
            Some(fetch) => Arc::new(LocalLimitExec::new(plan, fetch)),
            None => plan,
        };
        let recorded = self.record(state, &output, filters, limit);
        let leaf = GovernedExec::new(
            self.token.clone(),
            Arc::clone(&self.name),
            Arc::clone(&self.source),
            note,
            native,
            plan,
            Arc::clone(&self.open_columns),
            limit,
        );
        let leaf = leaf.hiding(self.policy.restricts()).in_order(in_order).closed(split.closed).keyed(self.key());
        Ok((leaf.reading(reads).recorded_as(recorded), split))
    }

    /// The columns of the table's primary key.
    fn key(&self) -> Option<Arc<[String]>> {
        let places = self.constraints()?.iter().find_map(|key| match key {
            Constraint::PrimaryKey(places) => Some(places),
            Constraint::Unique(_) => None,
        })?;
        places.iter().map(|place| Some(self.schema.fields().get(*place)?.name().clone())).collect()
    }

    fn output_columns(&self, projection: Option<&Vec<usize>>) -> Result<Vec<&GovernedColumn>> {
        let Some(indices) = projection else { return Ok(self.columns.iter().collect()) };
        let mut output = Vec::with_capacity(indices.len());
        for index in indices {
            let Some(column) = self.columns.get(*index) else {
                return internal_err!("projection index out of range");
            };
            output.push(column);
        }
        Ok(output)
    }

    /// Whether this run wants rows of the source, and nothing done there.
    fn is_plain(&self, state: &dyn Session) -> bool {
        self.is_in_source() && state.config().get_extension::<PlainScans>().is_some()
    }

    /// Whether its rows come from a driver, which may apply conditions.
    fn is_in_source(&self) -> bool {
        (self.raw.as_ref() as &dyn Any).is::<DriverTable>()
    }

    /// Sorts policy conjuncts and pushed conjuncts by what the raw provider does with them.
    ///
    /// Where part of the policy stays above the raw scan and a value that is fetched may not be readable, the reader's own
    /// conjuncts stay above it too: which of the hidden rows are read, and fail, is not for the reader to choose.
    fn split_filters(
        &self,
        (filters, open): (&[Expr], Option<&[Expr]>),
        output: &[&GovernedColumn],
        rows_only: bool,
    ) -> Result<SplitFilters> {
        let marks: BTreeSet<&str> = self.policy.related.iter().filter_map(|r| r.mark.as_deref()).collect();
        let (marked, plain): (Vec<&Expr>, Vec<&Expr>) = self
            .policy
            .conjuncts
            .iter()
            .partition(|conjunct| columns_of(conjunct).iter().any(|name| marks.contains(name.as_str())));
        let own = plain.len();
        let as_open: Vec<&Expr> = plain.iter().copied().chain(open.unwrap_or(filters)).collect();
        let below: Vec<&Expr> = plain.into_iter().chain(filters).collect();
        let mut verdicts = if rows_only {
            vec![TableProviderFilterPushDown::Unsupported; below.len()]
        } else {
            self.raw.supports_filters_pushdown(&below)?
        };
        if verdicts.len() != below.len() {
            return internal_err!("the raw provider answered for {} of {} filters", verdicts.len(), below.len());
        }
        let (policy, asked) = verdicts.split_at_mut(own);
        let held = !self.policy.related.is_empty()
            || !marked.is_empty()
            || policy.iter().any(|verdict| *verdict != TableProviderFilterPushDown::Exact);
        let kept = policy.iter().filter(|verdict| **verdict != TableProviderFilterPushDown::Exact).count();
        let closed = held && !self.reads_surely(&below, output)?;
        if closed {
            asked.fill(TableProviderFilterPushDown::Unsupported);
        }
        let marked = marked.into_iter().cloned().collect();
        let mut split = SplitFilters { marked, closed, ..SplitFilters::default() };
        split.open_with(open.is_some(), &as_open, &verdicts);
        for (conjunct, verdict) in below.into_iter().zip(verdicts) {
            match verdict {
                TableProviderFilterPushDown::Exact => split.raw.push(conjunct.clone()),
                TableProviderFilterPushDown::Inexact => {
                    split.raw.push(conjunct.clone());
                    split.residual.push(conjunct.clone());
                }
                TableProviderFilterPushDown::Unsupported => split.residual.push(conjunct.clone()),
            }
        }
        // Behind the policy's plain conditions: else the time that these take would tell for how many hidden rows a reader's own holds.
        cheapest_first(split.residual.get_mut(kept..).unwrap_or_default(), &self.raw.schema());
        Ok(split)
    }

    /// Whether no row can fail to be read: files and tables of the gate's own are read as a whole, whatever is asked for.
    fn reads_surely(&self, conjuncts: &[&Expr], output: &[&GovernedColumn]) -> Result<bool> {
        let raw: &dyn Any = self.raw.as_ref();
        let Some(table) = raw.downcast_ref::<DriverTable>() else { return Ok(true) };
        let needed = self.needed(output, conjuncts.iter().copied().chain(&self.policy.conjuncts))?;
        Ok(table.reads_surely(needed.into_iter()))
    }

    /// Raw columns that an output, these conjuncts and the policy's key sets read.
    fn needed<'a>(
        &self,
        output: &[&GovernedColumn],
        conjuncts: impl Iterator<Item = &'a Expr>,
    ) -> Result<BTreeSet<usize>> {
        let schema = self.raw.schema();
        let mut needed: BTreeSet<usize> = output.iter().flat_map(|column| column.reads()).collect();
        for conjunct in conjuncts {
            // Verdicts of mark joins are no columns of the raw table.
            needed.extend(columns_of(conjunct).iter().filter_map(|name| schema.index_of(name).ok()));
        }
        for related in &self.policy.related {
            needed.insert(schema.index_of(&related.column)?);
        }
        Ok(needed)
    }

    async fn raw_scan(
        &self,
        state: &dyn Session,
        output: &[&GovernedColumn],
        split: &SplitFilters,
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let needed = self.needed(output, split.residual.iter().chain(&split.marked))?;
        let raw_projection: Vec<usize> = needed.into_iter().collect();
        self.refuse_lost(&raw_projection)?;
        let whole = split.is_whole() && self.policy.related.is_empty();
        let raw_limit = if whole { limit } else { None };
        let given = split.open.as_ref().filter(|_| self.is_in_source()).unwrap_or(&split.raw);
        let plan = self.raw.scan(state, Some(&raw_projection), given, raw_limit).await?;
        let plan = self.expecting(state, plan, &split.raw);
        let target = state.config().target_partitions();
        if !self.policy.restricts() {
            return Ok(plan.repartitioned(target, state.config_options())?.unwrap_or(plan));
        }
        // Files that hide rows are read part after part; others that do stay as they are.
        let Some(files) = plan.with_preserve_order(true) else { return Ok(plan) };
        // Where a policy's keys are joined, parts wait for each other: all are read at once.
        let finer = if target > 1 && self.policy.related.is_empty() { PARTS_PER_STREAM } else { 1 };
        Ok(files.repartitioned(target.saturating_mul(finer), state.config_options())?.unwrap_or(files))
    }

    /// A fragment with what the reader may expect of it, which decides whether it is given keys.
    fn expecting(&self, state: &dyn Session, plan: Arc<dyn ExecutionPlan>, filters: &[Expr]) -> Arc<dyn ExecutionPlan> {
        match plan.downcast_ref::<FragmentExec>() {
            Some(fragment) => Arc::new(self.expected(state, fragment, filters)),
            None => plan,
        }
    }

    /// A fragment of this table with what the reader may expect of it.
    pub(super) fn expected(&self, state: &dyn Session, fragment: &FragmentExec, filters: &[Expr]) -> FragmentExec {
        let told = filtered(governed(self), &self.schema, filters);
        let schema = fragment.schema();
        let columns = schema.fields().iter().map(|field| {
            let place = self.columns.iter().position(|column| column.field.name() == field.name());
            place.and_then(|place| told.columns.get(place)).copied().unwrap_or_default()
        });
        let size = TableEstimate { columns: columns.collect(), ..told.clone() };
        fragment.expecting(&size, state)
    }

    /// How many parts of the leaf are read at once, where part after part is given. `None`: rows are given as they come, for it hides
    /// nothing, or its source leaves out what is hidden.
    fn in_order(&self, state: &dyn Session, raw: &Arc<dyn ExecutionPlan>, split: &SplitFilters) -> Option<usize> {
        let left_out = self.is_in_source() && split.is_whole() && self.policy.related.is_empty();
        let all = raw.output_partitioning().partition_count();
        // One is given, and one more read for each other stream.
        let some = state.config().target_partitions().saturating_add(1);
        let at_once = if self.policy.related.is_empty() { some } else { all };
        (self.policy.restricts() && !left_out).then_some(at_once)
    }

    /// A column that its source no longer has as it was is refused, and so is one that a policy would compare as text; by name
    /// only where the reader sees it.
    fn refuse_lost(&self, needed: &[usize]) -> Result<()> {
        let raw: &dyn Any = self.raw.as_ref();
        let Some(table) = raw.downcast_ref::<DriverTable>() else { return Ok(()) };
        let schema = self.raw.schema();
        let decides = self.policy.conjuncts.iter().flat_map(columns_of);
        let decides = decides.chain(self.policy.related.iter().map(|related| related.column.clone()));
        let widened = decides.filter_map(|name| Some((schema.index_of(&name).ok()?, table.widened(&name)?)));
        let lost = needed.iter().filter_map(|index| Some((*index, table.lost(*index)?)));
        let lost: BTreeMap<_, _> = lost.chain(widened).collect();
        if lost.is_empty() {
            return Ok(());
        }
        let has_changed = lost.values().any(|lost| lost.has_changed);
        let seen = |index: usize| {
            self.columns.iter().any(|column| match column.origin {
                ColumnOrigin::Raw(raw) | ColumnOrigin::Text(raw, _) => raw == index,
                ColumnOrigin::Formula(_) => false,
            })
        };
        let named = lost.into_iter().filter(|(index, _)| self.is_told && seen(*index));
        // What a source is found to hold is what its rows hold, hidden ones included.
        let of_rows = self.policy.restricts() && table.driver().samples();
        let changes = named.map(|(_, lost)| {
            let change = match (of_rows, lost.has_changed) {
                (false, _) => lost.change.as_str(),
                (true, true) => "is not what it was",
                (true, false) => "is not what the metadata declares",
            };
            format!("column \"{}\" of \"{}\" {change}", lost.field, self.name)
        });
        let changes: Vec<String> = changes.collect();
        Err(DataFusionError::External(Box::new(table.refusal(has_changed, &changes))))
    }

    /// What goes to the source and what stays above it, policy included; for operators.
    fn native(&self, raw: &Arc<dyn ExecutionPlan>, split: &SplitFilters) -> Vec<String> {
        let mut numbered = Numbered::default();
        let mut lines = Vec::new();
        let residual = split.residual.iter().chain(&split.marked).cloned().collect::<Vec<_>>();
        match fragment_line(raw) {
            Some(fragment) => lines.push(fragment),
            None => {
                let columns: Vec<String> = raw.schema().fields().iter().map(|f| f.name().clone()).collect();
                let given = numbered.conjuncts(&split.raw);
                let filter = if given.is_empty() { String::new() } else { format!(" where {given}") };
                lines.push(format!("scan of {} in {}: {}{filter}", self.name, self.source, columns.join(", ")));
            }
        }
        if !residual.is_empty() {
            lines.push(format!("filter in the leaf: {}", Numbered::default().conjuncts(&residual)));
        }
        for related in &self.policy.related {
            lines
                .push(format!("rows whose {} is a visible {} of {}", related.column, related.key, related.master.name));
        }
        lines
    }

    /// EXPLAIN's words about the leaf. Only the user's own conjuncts and the fact of a policy, never its text.
    fn note(&self, filters: &[Expr]) -> String {
        let mut note = format!("source={}", self.source);
        if self.policy.restricts() {
            note.push_str(", row policy inside");
        }
        if self.columns.iter().any(|c| c.mask.is_some()) {
            note.push_str(", masks inside");
        }
        if !filters.is_empty() {
            note.push_str(&format!(", filter={}", Numbered::default().conjuncts(filters)));
        }
        note
    }
}

/// Conjuncts by place.
#[derive(Debug, Default)]
pub(super) struct SplitFilters {
    /// Handed to the raw provider.
    raw: Vec<Expr>,
    /// Applied above the raw scan (again, where the provider only narrows).
    pub(super) residual: Vec<Expr>,
    /// Policy conjuncts that read the verdict of a mark join.
    pub(super) marked: Vec<Expr>,
    /// Whether the reader's own conditions and keys stay above the raw scan.
    closed: bool,
    /// What is handed to the raw provider, with its parameters open; `None`: there are none.
    open: Option<Vec<Expr>>,
    /// Whether a parameter stands above the raw scan.
    has_open_residual: bool,
}

impl SplitFilters {
    /// Keeps the conjuncts with their parameters open, by what the raw provider does with their values.
    fn open_with(&mut self, is_kept: bool, conjuncts: &[&Expr], verdicts: &[TableProviderFilterPushDown]) {
        if !is_kept {
            return;
        }
        let given = conjuncts.iter().zip(verdicts).filter(|(_, verdict)| match verdict {
            TableProviderFilterPushDown::Exact | TableProviderFilterPushDown::Inexact => true,
            TableProviderFilterPushDown::Unsupported => false,
        });
        self.open = Some(given.map(|(conjunct, _)| Expr::clone(conjunct)).collect());
        self.has_open_residual = conjuncts.iter().zip(verdicts).any(|(conjunct, verdict)| match verdict {
            TableProviderFilterPushDown::Exact => false,
            TableProviderFilterPushDown::Inexact | TableProviderFilterPushDown::Unsupported => is_open(conjunct),
        });
    }

    /// Whether the raw provider applies all of them.
    fn is_whole(&self) -> bool {
        self.residual.is_empty() && self.marked.is_empty()
    }
}
