//! The one pass over a statement's syntax tree before it is bound: each gap between PostgreSQL's surface and DataFusion's
//! planner is closed by a function of a neighbouring file. Knows of the catalog what its reader sees: names of columns.

pub(super) mod expressions;
pub(super) mod from;
pub(super) mod grouping;
mod samples;

use super::rewrite::expressions::{
    boolean_literals, bounds, calls, casts, constants, normal_forms, operators, quantified, row_comparisons, substrings,
};
use super::rewrite::from::relations::SystemColumns;
use super::rewrite::from::{
    aliases, beside_wildcards, names, order_by_input_columns, order_keys, order_names, recursion, relations,
    row_values, rows, set_names, using, value_lists,
};
use super::rewrite::grouping::{aggregates, frames, group_by, misplaced, orders, sets, windows, written_keys};
use crate::dialect::parameters::Declared;
use crate::sql::walk::{ON, Step, Stop, Writer, step, write};
use datafusion::sql::sqlparser::ast::{
    Cte, Expr, ObjectName, OrderBy, Query, Select, SetExpr, Statement, TableFactor, With,
};
use querygate_pg_catalog::PgCatalog;
use querygate_pg_catalog::image::{Column, Relation};
use querygate_types::{PgType, Result};
use std::collections::HashMap;

/// What the pass knows of the statement so far.
pub(super) struct Rewriter<'a> {
    catalog: &'a PgCatalog,
    /// What is known of parameters.
    declared: &'a [Option<Declared>],
    /// The WITH queries in scope with their columns, where the text says them; outermost first.
    ctes: Vec<HashMap<String, Option<Vec<String>>>>,
    /// Those of them that are sorted, with the columns by which they are; outermost first.
    orders: Vec<HashMap<String, orders::Columns>>,
    /// Aliases in scope of relations with system columns, outermost first.
    scopes: Vec<HashMap<String, SystemColumns>>,
    /// Aliases in scope with their columns, outermost first.
    rows: Vec<rows::Scope>,
    /// Columns that USING merges, of each SELECT in another one.
    merged: Vec<using::Merged>,
    /// Bare names in subqueries that only a query around has, as far as is known.
    outer_names: Vec<String>,
    /// The casts in the groups of the last SELECT of each query in another one.
    group_casts: Vec<group_by::Casts>,
}

impl Rewriter<'_> {
    pub(super) fn is_cte(&self, name: &str) -> bool {
        self.ctes.iter().any(|names| names.contains_key(name))
    }

    /// The columns by which a WITH query is sorted.
    pub(super) fn order_of_cte(&self, name: &str) -> Option<&orders::Columns> {
        let (_, orders) = self.ctes.iter().zip(&self.orders).rev().find(|(ctes, _)| ctes.contains_key(name))?;
        orders.get(name)
    }

    /// The name of the database that the session is in.
    pub(super) fn database(&self) -> &str {
        &self.catalog.image().database
    }

    pub(super) fn rows(&self) -> &[rows::Scope] {
        &self.rows
    }

    /// One that knows the columns of what a query's own WITH names, too.
    pub(super) fn within(&self, with: &With) -> Self {
        let mut inner = Self {
            catalog: self.catalog,
            declared: self.declared,
            ctes: self.ctes.clone(),
            orders: Vec::new(),
            scopes: Vec::new(),
            rows: Vec::new(),
            merged: Vec::new(),
            outer_names: Vec::new(),
            group_casts: Vec::new(),
        };
        inner.ctes.push(HashMap::new());
        for cte in &with.cte_tables {
            let columns = inner.cte_columns(cte);
            if let Some(own) = inner.ctes.last_mut() {
                own.insert(super::ast::folded(&cte.alias.name), columns);
            }
        }
        inner
    }

    /// Columns of a relation as the reader sees it, by its folded name; a WITH query comes first.
    pub(super) fn columns_of(&self, names: &[String]) -> Option<Vec<String>> {
        match names {
            [name] => match self.ctes.iter().rev().find_map(|ctes| ctes.get(name)) {
                Some(columns) => columns.clone(),
                None => {
                    let path = self.catalog.image().search_path.iter().map(String::as_str);
                    std::iter::once("pg_catalog").chain(path).find_map(|schema| self.named_columns(schema, name))
                }
            },
            [.., schema, name] => self.named_columns(schema, name),
            [] => None,
        }
    }

    /// Those of a table or a view, and those that its reader may name and not read.
    fn named_columns(&self, schema: &str, name: &str) -> Option<Vec<String>> {
        let named = || {
            let schema = self.catalog.image().schemas.iter().find(|own| own.name == schema)?;
            schema.relations.iter().find(|relation| relation.name == name)?.named.clone()
        };
        named().or_else(|| self.catalog.column_names(schema, name))
    }

    /// A table of the reader's by its folded name. `None`: a WITH query, or one of the system's.
    fn relation_of(&self, names: &[String]) -> Option<&Relation> {
        let image = self.catalog.image();
        let find = |schema: &str, name: &str| {
            let schema = image.schemas.iter().find(|own| own.name == schema)?;
            schema.relations.iter().find(|relation| relation.name == name)
        };
        match names {
            [name] if self.is_cte(name) || PgCatalog::system_oid("pg_catalog", name).is_some() => None,
            [name] => image.search_path.iter().find_map(|schema| find(schema, name)),
            [.., schema, name] => find(schema, name),
            [] => None,
        }
    }

    /// The types of a table's columns, in the order of [`Self::columns_of`]; where they are not known, none.
    pub(super) fn column_types(&self, names: &[String]) -> Vec<Option<PgType>> {
        let Some(relation) = self.relation_of(names) else { return Vec::new() };
        let known = |column: &Column| column.enum_type.is_none().then_some(column.pg_type);
        match &relation.named {
            None => relation.columns.iter().map(known).collect(),
            Some(named) => {
                let find = |name: &String| relation.columns.iter().find(|column| column.name == *name).and_then(known);
                named.iter().map(find).collect()
            }
        }
    }

    /// Whether a table of the reader's has a column of that name that may not be read.
    fn may_be_denied(&self, name: &str) -> bool {
        let has = |names: &[String]| names.iter().any(|own| own == name);
        let mut relations = self.catalog.image().schemas.iter().flat_map(|schema| &schema.relations);
        relations.any(|relation| {
            relation.named.as_deref().is_some_and(has) && !relation.columns.iter().any(|column| column.name == name)
        })
    }

    /// The columns of a WITH query.
    fn cte_columns(&self, cte: &Cte) -> Option<Vec<String>> {
        let mut columns = rows::columns(self, &cte.query)?;
        for (column, given) in columns.iter_mut().zip(&cte.alias.columns) {
            *column = super::ast::folded(&given.name);
        }
        Some(columns)
    }

    /// The columns of a table's primary key.
    pub(super) fn primary_key_of(&self, names: &[String]) -> Option<&[String]> {
        Some(self.relation_of(names)?.primary_key.as_ref()?.columns.as_slice())
    }

    /// Puts the GROUP BY of each SELECT of a query in other words, once: a place of a column becomes what stands there, which may be a
    /// number. `order`: the ORDER BY behind them.
    fn groups(&self, body: &mut SetExpr, order: Option<&OrderBy>) -> Result<()> {
        match body {
            SetExpr::Select(select) => {
                group_by::expand_sets(select)?;
                group_by::name_places(select);
                sets::unite(self, select, order)
            }
            SetExpr::SetOperation { left, right, .. } => {
                self.groups(left, None)?;
                self.groups(right, None)
            }
            _ => Ok(()),
        }
    }

    /// Notes a bare name that no table of the innermost FROM has, where one of them is of the metadata, and one around.
    fn note_outer_name(&mut self, expr: &Expr) {
        let Expr::Identifier(ident) = expr else { return };
        let [around @ .., own] = self.rows.as_slice() else { return };
        let may_hide = self.catalog.image().tells_outer_names && own.values().any(|row| row.described);
        if around.is_empty() || !may_hide {
            return;
        }
        let name = super::ast::folded(ident);
        let is_own = own.contains_key(&name) || own.values().any(|row| row.may_have(&name));
        if !is_own
            && around.iter().any(|scope| scope.values().any(|row| row.has(&name)))
            && !self.outer_names.contains(&name)
        {
            self.outer_names.push(name);
        }
    }

    pub(super) fn system_columns_under(&self, alias: &str) -> Option<SystemColumns> {
        self.scopes.iter().rev().find_map(|scope| scope.get(alias).copied())
    }

    /// Those of the only relation of the innermost FROM.
    pub(super) fn system_columns_of_only(&self) -> Option<SystemColumns> {
        let scope = self.scopes.last()?;
        scope.values().next().copied().filter(|_| scope.len() == 1)
    }
}

/// Rewrites a statement in place. Gives the bare names in its subqueries that only a query around has, where readers get notices of such.
///
/// # Errors
/// 42704 and 22P02 for names and literals that PostgreSQL refuses too; 0A000 for what has no translation.
pub(crate) fn rewrite(
    statement: &mut Statement,
    catalog: &PgCatalog,
    declared: &[Option<Declared>],
) -> Result<Vec<String>> {
    let (ctes, orders, scopes) = (Vec::new(), Vec::new(), Vec::new());
    let (rows, merged, outer_names, group_casts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut rewriter = Rewriter { catalog, declared, ctes, orders, scopes, rows, merged, outer_names, group_casts };
    write(statement, &mut rewriter)?;
    let outer_names = rewriter.outer_names;
    write(statement, &mut aliases::Arrays::new())?;
    Ok(outer_names)
}

impl Writer for Rewriter<'_> {
    fn query(&mut self, query: &mut Query) -> Step {
        self.ctes.push(HashMap::new());
        self.orders.push(HashMap::new());
        self.group_casts.push(group_by::Casts::default());
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            let name = super::ast::folded(&cte.alias.name);
            let columns = self.cte_columns(cte);
            let order = columns.as_deref().and_then(|columns| orders::of_cte(self, &cte.query, columns));
            if let (Some(own), Some(order)) = (self.orders.last_mut(), order) {
                own.insert(name.clone(), order);
            }
            if let Some(own) = self.ctes.last_mut() {
                own.insert(name, columns);
            }
        }
        step(recursion::check(query))?;
        if let Some(with) = &mut query.with {
            let own = self.ctes.last();
            aliases::complete_with(with, |name| own.and_then(|own| own.get(name).cloned().flatten()));
        }
        step(windows::in_query(query))?;
        orders::by_listed(query);
        if let SetExpr::Select(select) = query.body.as_mut() {
            step(aliases::complete(self, select))?;
            step(aliases::keep_apart(self, select, query.order_by.as_mut()))?;
        }
        step(order_names::refuse_ambiguous(self, query))?;
        if self.ctes.len() == 1 {
            order_by_input_columns::qualify(self, query);
            beside_wildcards::keep_apart(self, query);
            order_keys::keep_apart(query);
        }
        step(self.groups(query.body.as_mut(), query.order_by.as_ref()))?;
        step(using::in_order(self, query))?;
        step(constants::type_recursion(query, self.declared))?;
        value_lists::type_body(query.body.as_mut(), self.declared);
        step(
            relations::limit_of_fetch(query)
                .and_then(|()| relations::expand_table(query))
                .and_then(|()| relations::sets_of_nothing(query))
                .and_then(|()| set_names::keep_apart(query)),
        )
    }

    fn after_query(&mut self, query: &mut Query) -> Step {
        self.ctes.pop();
        self.orders.pop();
        let casts = self.group_casts.pop().unwrap_or_default();
        step(group_by::keep_order_apart(query, casts))
    }

    fn select(&mut self, select: &mut Select) -> Step {
        step(samples::expand(self, select))?;
        boolean_literals::conditions(select);
        step(quantified::conditions(select))?;
        step(aliases::complete(self, select))?;
        step(aliases::keep_apart(self, select, None))?;
        self.scopes.push(relations::with_system_columns(self, select));
        self.rows.push(rows::scope(self, select));
        match using::settle(self, select, self.ctes.len() > 1) {
            Ok(merged) => self.merged.push(merged),
            Err(error) => return Step::Break(Stop::Refused(error)),
        }
        orders::inherit(self, select);
        orders::apart(select);
        orders::distinct_once(select);
        relations::wildcards(self, select);
        names::name_columns(select, self.ctes.len() == 1);
        row_values::items(self, &mut select.projection);
        calls::records(&mut select.projection);
        ON
    }

    fn after_select(&mut self, select: &mut Select) -> Step {
        self.scopes.pop();
        self.rows.pop();
        self.merged.pop();
        let casts = match group_by::keep_apart(select) {
            Ok(casts) => casts,
            Err(error) => return Step::Break(Stop::Refused(error)),
        };
        if let Some(own) = self.group_casts.last_mut() {
            *own = casts;
        }
        written_keys::mark(self, select);
        ON
    }

    fn relation(&mut self, relation: &mut ObjectName) -> Step {
        step(relations::qualify(self, relation))
    }

    fn after_table_factor(&mut self, factor: &mut TableFactor) -> Step {
        step(samples::refuse_elsewhere(factor))?;
        step(relations::functions_in_from(factor))
    }

    fn expr(&mut self, expr: &mut Expr) -> Step {
        step(aggregates::refuse(expr))?;
        step(misplaced::refuse(expr))?;
        boolean_literals::operands(expr);
        step(bounds::rewrite(expr))?;
        self.note_outer_name(expr);
        order_keys::keep_apart_in(expr);
        step(row_values::rewrite(self, expr))?;
        normal_forms::rewrite(expr);
        orders::by_no_places(expr);
        using::qualify(self, expr);
        step(calls::before_children(expr))
    }

    fn after_expr(&mut self, expr: &mut Expr) -> Step {
        constants::plain_text(expr);
        constants::bit_string(expr);
        constants::interval(expr);
        constants::large_number(expr);
        aggregates::rewrite(expr);
        substrings::by_pattern(expr, self.declared);
        for rewrite in [operators::rewrite, row_comparisons::rewrite, casts::rewrite] {
            step(rewrite(expr))?;
        }
        step(calls::rewrite(expr, self.declared))?;
        step(frames::exclusion(expr))?;
        step(frames::refuse_parameters(expr))?;
        frames::of_call(expr);
        relations::system_columns(self, expr);
        ON
    }
}
