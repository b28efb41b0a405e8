//! Fragment → one SELECT. Merges operators into a block while the meaning stays, closes it into a derived table otherwise.

use crate::affixes::{balanced, table_alias};
use crate::bindings::Bindings;
use crate::block::{Block, Scope, depth};
use crate::dialect::Dialect;
use crate::repeated::{Named, Repeated};
use crate::usage::{computed_columns, names_inside};
use querygate_driver_api::capability::{Refusal, RefusalReason};
use querygate_driver_api::columns::ColumnTypes;
use querygate_driver_api::execution::NativeStatement;
use querygate_driver_api::fragment::Fragment;
use querygate_driver_api::identifier::{ColumnId, TableRef};
use querygate_driver_api::relation::{JoinKind, Relation, ScanColumn, SortKey};
use querygate_driver_api::scalar::ScalarExpr;
use std::collections::{HashMap, HashSet};

/// Longest statement that we hand to a source, in bytes.
pub(crate) const TEXT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Why printing stopped.
#[derive(Debug)]
pub(crate) struct Stop(pub(crate) Refusal);

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

impl From<querygate_types::Error> for Stop {
    fn from(error: querygate_types::Error) -> Self {
        Self(Refusal::new(RefusalReason::Invalid, error.cause().unwrap_or(error.message())))
    }
}

/// Prints a fragment that the driver's capabilities have accepted; `types` comes from that check.
///
/// # Errors
/// A name or form that the dialect refuses, or a text that grows too long.
pub fn print(fragment: &Fragment, types: ColumnTypes, dialect: &dyn Dialect) -> Result<NativeStatement, Refusal> {
    let computed = computed_columns(&fragment.relation);
    let repeated = if dialect.computes_once() { Repeated::of(&fragment.relation) } else { Repeated::default() };
    let mut printer = Printer {
        dialect,
        types,
        computed,
        repeated,
        named: Vec::new(),
        bindings: Bindings::default(),
        tables: 0,
        reached: usize::MAX,
    };
    printer.statement(fragment).map_err(|Stop(refusal)| refusal)
}

pub(crate) struct Printer<'a> {
    pub(crate) dialect: &'a dyn Dialect,
    pub(crate) types: ColumnTypes,
    computed: HashSet<ColumnId>,
    repeated: Repeated,
    /// What stands before the statement's own SELECT.
    pub(crate) named: Vec<Named>,
    pub(crate) bindings: Bindings,
    tables: u32,
    /// Depth of the outermost block of which a column was named since the relation at hand began.
    pub(crate) reached: usize,
}

impl Printer<'_> {
    fn statement(&mut self, fragment: &Fragment) -> Result<NativeStatement, Stop> {
        let block = self.relation(&fragment.relation, None)?;
        let ids: Vec<ColumnId> = fragment.output.iter().map(|column| column.id).collect();
        // DISTINCT looks at the select list: it must be exactly the columns it was asked for.
        let block = if block.distinct && ids != block.order { self.close(block)? } else { block };
        let text = self.select(&block, &ids)?;
        let text = self.with_named(text)?;
        let output = fragment
            .output
            .iter()
            .map(|column| Ok((column.clone(), self.types.of(column.id)?.encoding)))
            .collect::<Result<Vec<_>, Stop>>()?;
        debug_assert!(
            self.bindings.all().all(|binding| binding.parameter < fragment.parameters.len()),
            "the check of a fragment admits no parameter beyond its own"
        );
        Ok(NativeStatement {
            text: text.into(),
            bindings: self.bindings.take(),
            parameters: fragment.parameters.clone(),
            output,
            schema: fragment.schema(),
        })
    }

    pub(crate) fn relation(&mut self, relation: &Relation, outer: Option<&Scope<'_>>) -> Result<Block, Stop> {
        let before = std::mem::replace(&mut self.reached, usize::MAX);
        let mut block = self.operator(relation, outer)?;
        block.looks_out = self.reached < depth(outer);
        self.reached = self.reached.min(before);
        Ok(block)
    }

    fn operator(&mut self, relation: &Relation, outer: Option<&Scope<'_>>) -> Result<Block, Stop> {
        match self.repeated.kind(relation) {
            Some(kind) => self.named(kind, relation),
            None => self.placed(relation, outer),
        }
    }

    /// A relation as it is written where it stands.
    pub(crate) fn placed(&mut self, relation: &Relation, outer: Option<&Scope<'_>>) -> Result<Block, Stop> {
        match relation {
            Relation::Scan { table, columns } => self.scan(table, columns),
            Relation::Filter { input, predicate } => {
                let block = self.relation(input, outer)?;
                self.filter(block, predicate, outer)
            }
            Relation::Project { input, exprs } => {
                let block = self.relation(input, outer)?;
                self.project(block, exprs, outer)
            }
            Relation::Join { kind, left, right, on } => {
                let left = self.relation(left, outer)?;
                let right = self.relation(right, outer)?;
                self.join(*kind, left, right, on, outer)
            }
            Relation::Aggregate { input, group, aggregates } => {
                let block = self.relation(input, outer)?;
                let block = if block.is_plain() || block.from.is_none() && !block.is_cut() && !block.aggregated {
                    block
                } else {
                    self.close(block)?
                };
                self.aggregated(block, group, aggregates, outer)
            }
            Relation::Distinct { input } => {
                let block = self.relation(input, outer)?;
                let mut block = if block.is_cut() || block.distinct { self.close(block)? } else { block };
                block.order_by.clear();
                block.distinct = true;
                Ok(block)
            }
            Relation::Sort { input, keys } => {
                let block = self.relation(input, outer)?;
                self.sort(block, keys, outer)
            }
            Relation::Limit { input, skip, fetch } => {
                let block = self.relation(input, outer)?;
                let mut block = if block.is_cut() { self.close_ordered(block)? } else { block };
                block.limit = Some((*skip, *fetch));
                Ok(block)
            }
            Relation::SetOperation { op, all, columns, left, right } => {
                let keyword = self.dialect.set_operation(*op, *all)?;
                let left = self.side(left, columns, outer)?;
                let right = self.side(right, columns, outer)?;
                self.derived(&format!("{left} {keyword} {right}"), columns)
            }
            Relation::Window { .. } => {
                Err(Refusal::new(RefusalReason::Operator, "window functions are not printed yet for SQL sources")
                    .into())
            }
            Relation::Fence { input } => {
                let mut block = self.relation(input, outer)?;
                block.fenced = true;
                Ok(block)
            }
            Relation::Values { columns, rows } => self.values(columns.iter().map(|(id, _)| *id).collect(), rows),
            Relation::EmptyRow => Ok(Block::default()),
        }
    }

    pub(crate) fn next_alias(&mut self) -> Result<String, Stop> {
        self.tables += 1;
        Ok(self.dialect.quote(&table_alias(self.tables))?)
    }

    fn scan(&mut self, table: &TableRef, columns: &[ScanColumn]) -> Result<Block, Stop> {
        let alias = self.next_alias()?;
        let path = table.parts().iter().map(|part| self.dialect.quote(part.as_str())).collect::<Result<Vec<_>, _>>()?;
        let mut block = Block { from: Some(format!("{} AS {alias}", path.join("."))), ..Block::default() };
        for column in columns {
            let qualified = format!("{alias}.{}", self.dialect.quote(column.name.as_str())?);
            if self.computed.contains(&column.id)
                && let Some(guard) = self.dialect.scan_guard(table, &qualified, column)
            {
                block.filters.push(guard);
            }
            block.columns.insert(column.id, self.dialect.scan_column(qualified, column)?);
            block.order.push(column.id);
        }
        Ok(block)
    }

    fn filter(&mut self, block: Block, predicate: &ScalarExpr, outer: Option<&Scope<'_>>) -> Result<Block, Stop> {
        let groups = block.aggregated && !self.dialect.filters_groups();
        let closed = block.is_cut() || block.distinct || groups || is_grouped_for([predicate], &block);
        let mut block = if closed { self.close(block)? } else { block };
        let text = self.scalar(predicate, &Scope { block: &block.columns, outer })?;
        if block.aggregated {
            block.having.push(text);
        } else {
            block.filters.push(text);
        }
        Ok(block)
    }

    fn project(
        &mut self,
        block: Block,
        exprs: &[(ColumnId, ScalarExpr)],
        outer: Option<&Scope<'_>>,
    ) -> Result<Block, Stop> {
        let bare = exprs.iter().all(|(_, expr)| matches!(expr, ScalarExpr::Column(_)));
        // What can fail is computed above a cut, so that it meets no row that the cut drops; and expressions are not
        // put into expressions, so that the text stays linear in the plan.
        let fails = block.is_cut() && exprs.iter().any(|(_, expr)| expr.can_fail());
        let closed = block.distinct
            || fails
            || (!bare && block.computed)
            || is_grouped_for(exprs.iter().map(|(_, e)| e), &block);
        let mut block = if closed { self.close_ordered(block)? } else { block };
        let scope = Scope { block: &block.columns, outer };
        let columns = exprs
            .iter()
            .map(|(id, expr)| Ok((*id, self.scalar(expr, &scope)?)))
            .collect::<Result<HashMap<_, _>, Stop>>()?;
        block.order = exprs.iter().map(|(id, _)| *id).collect();
        block.columns = columns;
        block.computed |= !bare;
        Ok(block)
    }

    fn sort(&mut self, block: Block, keys: &[SortKey], outer: Option<&Scope<'_>>) -> Result<Block, Stop> {
        let grouped = is_grouped_for(keys.iter().map(|key| &key.expr), &block);
        let mut block = if block.is_cut() || block.distinct || grouped { self.close(block)? } else { block };
        let mut order_by = Vec::with_capacity(keys.len());
        for key in keys {
            let key_argument = self.argument(&key.expr, &Scope { block: &block.columns, outer })?;
            let text = self.dialect.ordered(&key_argument);
            order_by.push(self.dialect.sort_key(&text, key.ascending, key.nulls_first));
        }
        block.order_by = order_by;
        Ok(block)
    }

    fn join(
        &mut self,
        kind: JoinKind,
        left: Block,
        right: Block,
        on: &ScalarExpr,
        outer: Option<&Scope<'_>>,
    ) -> Result<Block, Stop> {
        let left_nullable = matches!(kind, JoinKind::Right | JoinKind::Full);
        let right_nullable = matches!(kind, JoinKind::Left | JoinKind::Full);
        let keeps_where = !matches!(kind, JoinKind::Full);
        let mut left = self.joinable(left, left_nullable, keeps_where && !left_nullable)?;
        let mut right = self.joinable(right, right_nullable, !right_nullable)?;
        // A join on the right needs parentheses, which not every source reads the same way.
        if right.is_join && !matches!(kind, JoinKind::LeftSemi | JoinKind::LeftAnti) {
            right = self.close(right)?;
        }
        let (left_from, right_from) = (left.from.take().unwrap_or_default(), right.from.take().unwrap_or_default());
        let mut columns = left.columns.clone();
        columns.extend(right.columns.clone());
        let on = self.scalar(on, &Scope { block: &columns, outer })?;
        let keyword = match kind {
            JoinKind::LeftSemi | JoinKind::LeftAnti => {
                let negation = if kind == JoinKind::LeftAnti { "NOT " } else { "" };
                right.filters.push(on);
                let conditions = balanced(&right.filters, " AND ");
                left.filters.push(format!("{negation}EXISTS (SELECT 1 FROM {right_from} WHERE {conditions})"));
                left.from = Some(left_from);
                return Ok(left);
            }
            JoinKind::Inner => "JOIN",
            JoinKind::Left => "LEFT JOIN",
            JoinKind::Right => "RIGHT JOIN",
            JoinKind::Full => "FULL JOIN",
        };
        left.filters.extend(right.filters);
        left.order.extend(right.order);
        Ok(Block {
            from: Some(format!("{left_from} {keyword} {right_from} ON {on}")),
            is_join: true,
            columns,
            order_by: Vec::new(),
            computed: left.computed || right.computed,
            ..left
        })
    }

    /// A block whose FROM can stand in a join: without conditions where NULL rows are added, and with plain names there.
    fn joinable(&mut self, mut block: Block, nullable: bool, keeps_where: bool) -> Result<Block, Stop> {
        let conditions = !block.filters.is_empty() && (nullable || !keeps_where);
        if !block.is_plain() || conditions || (nullable && (block.computed || block.is_join)) {
            return self.close(block);
        }
        block.order_by.clear();
        Ok(block)
    }

    fn side(&mut self, relation: &Relation, columns: &[ColumnId], outer: Option<&Scope<'_>>) -> Result<String, Stop> {
        let block = self.relation(relation, outer)?;
        let mut block = if block.is_cut() { self.close(block)? } else { block };
        self.may_derive(&block)?;
        block.order_by.clear();
        let items = block.order.iter().zip(columns).map(|(from, to)| (*from, *to)).collect::<Vec<_>>();
        self.select_as(&block, &items)
    }

    fn values(&mut self, ids: Vec<ColumnId>, rows: &[Vec<ScalarExpr>]) -> Result<Block, Stop> {
        let none = HashMap::new();
        let scope = Scope { block: &none, outer: None };
        let mut texts = Vec::with_capacity(rows.len());
        for row in rows {
            let cells = row.iter().map(|expr| self.scalar(expr, &scope)).collect::<Result<Vec<_>, _>>()?;
            texts.push(format!("({})", cells.join(", ")));
        }
        let alias = self.next_alias()?;
        let mut block = Block { from: Some(format!("(VALUES {}) AS {alias}", texts.join(", "))), ..Block::default() };
        for (i, id) in ids.iter().enumerate() {
            let name = self.dialect.quote(&format!("column{}", i + 1))?;
            block.columns.insert(*id, format!("{alias}.{name}"));
        }
        block.order = ids;
        Ok(block)
    }

    /// Makes a block a derived table. An order without a limit means nothing any more.
    pub(crate) fn close(&mut self, mut block: Block) -> Result<Block, Stop> {
        if block.limit.is_none() {
            block.order_by.clear();
        }
        self.may_derive(&block)?;
        let ids = block.order.clone();
        let text = self.select(&block, &ids)?;
        self.derived(&text, &ids)
    }

    fn may_derive(&self, block: &Block) -> Result<(), Refusal> {
        if block.looks_out && !self.dialect.derived_see_outside() {
            let text = "a derived table of the source cannot name columns of the statement around it";
            return Err(Refusal::new(RefusalReason::Operator, text));
        }
        Ok(())
    }

    /// As `close`, for operators that hand the order on: it is repeated above by its columns' position in the plan, so
    /// it must survive inside as well as outside.
    fn close_ordered(&mut self, block: Block) -> Result<Block, Stop> {
        let keys = block.order_by.len();
        if keys == 0 {
            return self.close(block);
        }
        self.may_derive(&block)?;
        // A row number carries the order through the derived table.
        let ids = block.order.clone();
        let ordinal = self.dialect.quote("ordinal")?;
        let number = format!("row_number() OVER (ORDER BY {}) AS {ordinal}", block.order_by.join(", "));
        let text = self.select_items(&block, &ids.iter().map(|id| (*id, *id)).collect::<Vec<_>>(), Some(&number))?;
        let mut closed = self.derived(&text, &ids)?;
        let alias = table_alias(self.tables);
        closed.order_by = vec![format!("{}.{ordinal}", self.dialect.quote(&alias)?)];
        Ok(closed)
    }

    fn derived(&mut self, text: &str, ids: &[ColumnId]) -> Result<Block, Stop> {
        let alias = self.next_alias()?;
        let mut block = Block { from: Some(format!("({text}) AS {alias}")), order: ids.to_vec(), ..Block::default() };
        for id in ids {
            block.columns.insert(*id, format!("{alias}.{}", self.dialect.quote(&id.to_string())?));
        }
        Ok(block)
    }

    pub(crate) fn select(&mut self, block: &Block, ids: &[ColumnId]) -> Result<String, Stop> {
        self.select_as(block, &ids.iter().map(|id| (*id, *id)).collect::<Vec<_>>())
    }

    fn select_as(&mut self, block: &Block, items: &[(ColumnId, ColumnId)]) -> Result<String, Stop> {
        self.select_items(block, items, None)
    }

    fn select_items(
        &mut self,
        block: &Block,
        items: &[(ColumnId, ColumnId)],
        further: Option<&str>,
    ) -> Result<String, Stop> {
        let mut list = Vec::with_capacity(items.len());
        for (from, to) in items {
            let text = block.columns.get(from).ok_or_else(|| Stop(undefined(*from)))?;
            list.push(format!("{text} AS {}", self.dialect.quote(&to.to_string())?));
        }
        list.extend(further.map(str::to_owned));
        if list.is_empty() {
            list.push("1".to_owned());
        }
        let text = self.clauses(block, &list.join(", "));
        if text.len() > TEXT_BYTES_MAX {
            return Err(too_long());
        }
        Ok(text)
    }

    /// The block as a SELECT with this list.
    pub(crate) fn clauses(&self, block: &Block, list: &str) -> String {
        let mut text = String::from(if block.distinct { "SELECT DISTINCT " } else { "SELECT " });
        text.push_str(list);
        if let Some(from) = &block.from {
            text.push_str(" FROM ");
            text.push_str(from);
        }
        for (keyword, conditions) in [(" WHERE ", &block.filters), (" HAVING ", &block.having)] {
            if keyword == " HAVING " && !block.group_by.is_empty() {
                text.push_str(" GROUP BY ");
                text.push_str(&block.group_by.join(", "));
            }
            if !conditions.is_empty() {
                text.push_str(keyword);
                text.push_str(&balanced(conditions, " AND "));
            }
        }
        if !block.order_by.is_empty() {
            text.push_str(" ORDER BY ");
            text.push_str(&block.order_by.join(", "));
        }
        match block.limit {
            Some((skip, fetch)) => text.push_str(&self.dialect.limit(skip, fetch)),
            None if block.fenced => text.push_str(self.dialect.fence()),
            None => {}
        }
        text
    }
}

/// Whether subqueries of these expressions name what a grouping made. Inside of them, an aggregate and a key that is
/// computed have no name: they would be computed there.
fn is_grouped_for<'a>(exprs: impl IntoIterator<Item = &'a ScalarExpr>, block: &Block) -> bool {
    block.aggregated && exprs.into_iter().any(|expr| names_inside(expr, &|id| block.columns.contains_key(&id)))
}

pub(crate) fn too_long() -> Stop {
    Refusal::new(RefusalReason::Size, "statement is too long for one source").into()
}

pub(crate) fn undefined(id: ColumnId) -> Refusal {
    Refusal::new(RefusalReason::Invalid, format!("column {id} is not in scope"))
}
