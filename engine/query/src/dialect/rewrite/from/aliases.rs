//! Aliases of tables as the engine takes them: a name for each column or for none, joins in parentheses with an alias as queries, and no
//! alias that a query within takes for a column of its own, whose field `alias.column` would be.

use super::order_keys;
use super::rows::{self, Scope};
use crate::dialect::ast::{derived, folded, parts, quoted, select as new_select, table_alias};
use crate::dialect::rewrite::Rewriter;
use crate::dialect::rewrite::expressions::widths;
use crate::sql::walk::{ON, Reader, Step, Stop, Writer, finds, look, write};
use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, OrderBy, Query, Select, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, TableAlias, TableAliasColumnDef, TableFactor, TableWithJoins,
    WildcardAdditionalOptions, With,
};
use querygate_query_api::own_names::{ONE_ROW, ROWS, told_apart};
use querygate_types::Result;
use std::collections::HashSet;

/// Tables of a FROM clause, each with its joins; not those in queries.
fn each(from: &mut [TableWithJoins], change: &mut dyn FnMut(&mut TableFactor) -> Result<()>) -> Result<()> {
    for table in from {
        let joined = table.joins.iter_mut().map(|join| &mut join.relation);
        for factor in std::iter::once(&mut table.relation).chain(joined) {
            if let TableFactor::NestedJoin { table_with_joins, alias: None } = factor {
                each(std::slice::from_mut(table_with_joins.as_mut()), change)?;
            } else {
                change(factor)?;
            }
        }
    }
    Ok(())
}

/// `(a JOIN b) j` is `(SELECT * FROM (a JOIN b)) j`; an alias that names the first columns names the others, too.
pub(in crate::dialect) fn complete(rewriter: &Rewriter<'_>, select: &mut Select) -> Result<()> {
    each(&mut select.from, &mut |factor: &mut TableFactor| {
        as_query(factor)?;
        match factor {
            TableFactor::Table { name, alias: Some(alias), args: None, .. } if !alias.columns.is_empty() => {
                name_others(alias, parts(name).and_then(|name| rewriter.columns_of(&name)));
            }
            TableFactor::Derived { subquery, alias: Some(alias), .. } if !alias.columns.is_empty() => {
                let columns = rows::columns(rewriter, subquery);
                // What rows are compared with has a column for each of their values.
                if let (ROWS | ONE_ROW, Some(columns)) = (alias.name.value.as_str(), &columns) {
                    widths::fits(columns.len(), alias.columns.len())?;
                }
                name_others(alias, columns);
            }
            _ => {}
        }
        if let TableFactor::Derived { subquery, alias: Some(alias), .. } = factor
            && order_keys::is_mixed(subquery)
        {
            let columns = rows::renamed(rows::columns(rewriter, subquery), Some(&*alias));
            order_keys::keep_apart_under(subquery, alias, columns);
        }
        Ok(())
    })
}

/// Gives names to the other columns of queries in WITH, of which `columns` are known already.
pub(in crate::dialect) fn complete_with(with: &mut With, columns: impl Fn(&str) -> Option<Vec<String>>) {
    for cte in &mut with.cte_tables {
        let own = columns(&folded(&cte.alias.name));
        if order_keys::is_mixed(&cte.query) {
            order_keys::keep_apart_under(&mut cte.query, &mut cte.alias, own.clone());
        }
        name_others(&mut cte.alias, own);
    }
}

fn as_query(factor: &mut TableFactor) -> Result<()> {
    let TableFactor::NestedJoin { alias, .. } = factor else { return Ok(()) };
    let Some(alias) = alias.take() else { return Ok(()) };
    let all = SelectItem::Wildcard(WildcardAdditionalOptions::default());
    let rows = new_select(vec![all], Some(factor.clone()))?;
    *factor = derived(rows, false, Some(alias));
    Ok(())
}

/// Names the columns behind those that an alias names.
fn name_others(alias: &mut TableAlias, columns: Option<Vec<String>>) {
    let Some(columns) = columns.filter(|_| !alias.columns.is_empty()) else { return };
    let others = columns.into_iter().skip(alias.columns.len());
    let mut all: Vec<String> = alias.columns.iter().map(|column| folded(&column.name)).collect();
    all.extend(others.clone());
    if rows::are_unlike(&all) {
        alias.columns.extend(others.map(|name| TableAliasColumnDef { name: quoted(&name), data_type: None }));
    }
}

/// Gives other names to aliases of a SELECT that a query within would take for a column.
pub(in crate::dialect) fn keep_apart(
    rewriter: &Rewriter<'_>,
    select: &mut Select,
    mut order: Option<&mut OrderBy>,
) -> Result<()> {
    if !finds(&*select, &mut AnyQuery) {
        return Ok(());
    }
    let scope = rows::scope(rewriter, select);
    let mut misread = Misread { rewriter, aliases: &scope, within: Vec::new(), found: HashSet::new() };
    look(&*select, &mut misread);
    for alias in &misread.found {
        let other = told_apart(alias, 1);
        let mut renamed = false;
        each(&mut select.from, &mut |factor: &mut TableFactor| {
            renamed |= rename(factor, alias, &other);
            Ok(())
        })?;
        if !renamed {
            continue;
        }
        let row = !scope.values().any(|row| row.may_have(alias));
        let mut renaming = Renaming { rewriter, alias, other: &other, row, within: Vec::new() };
        write(select, &mut renaming)?;
        if let Some(order) = order.as_deref_mut() {
            write(order, &mut renaming)?;
        }
    }
    Ok(())
}

/// Renames a table of that name; whether it is one.
fn rename(factor: &mut TableFactor, alias: &str, other: &str) -> bool {
    match factor {
        TableFactor::Table { alias: Some(own), args: None, .. } | TableFactor::Derived { alias: Some(own), .. } => {
            let is_it = folded(&own.name) == alias;
            if is_it {
                own.name = quoted(other);
            }
            is_it
        }
        TableFactor::Table { name, alias: own @ None, args: None, .. } => {
            let is_it = parts(name).and_then(|mut parts| parts.pop()).is_some_and(|name| name == alias);
            if is_it {
                *own = Some(table_alias(other, &[]));
            }
            is_it
        }
        _ => false,
    }
}

struct AnyQuery;

impl Reader for AnyQuery {
    fn query(&mut self, _: &Query) -> Step {
        Step::Break(Stop::Found)
    }
}

/// What the SELECTs of a query read.
fn scope_of(rewriter: &Rewriter<'_>, body: &SetExpr) -> Scope {
    match body {
        SetExpr::Select(select) => rows::scope(rewriter, select),
        SetExpr::SetOperation { left, right, .. } => {
            let mut both = scope_of(rewriter, left);
            both.extend(scope_of(rewriter, right));
            both
        }
        _ => Scope::new(),
    }
}

/// Finds aliases whose columns are read by queries within that have a column of the alias' name.
struct Misread<'a> {
    rewriter: &'a Rewriter<'a>,
    aliases: &'a Scope,
    within: Vec<Scope>,
    found: HashSet<String>,
}

impl Reader for Misread<'_> {
    fn query(&mut self, query: &Query) -> Step {
        self.within.push(scope_of(self.rewriter, &query.body));
        ON
    }

    fn after_query(&mut self, _: &Query) -> Step {
        self.within.pop();
        ON
    }

    fn expr(&mut self, expr: &Expr) -> Step {
        let Expr::CompoundIdentifier(names) = expr else { return ON };
        let [table, _] = names.as_slice() else { return ON };
        let alias = folded(table);
        let hidden = self.within.iter().any(|scope| scope.contains_key(&alias));
        if !hidden && self.aliases.contains_key(&alias) {
            let has = |scope: &Scope| scope.values().any(|row| row.has(&alias));
            if self.within.iter().any(has) {
                self.found.insert(alias);
            }
        }
        ON
    }
}

/// Puts another name in place of an alias, where no query within has the alias itself.
struct Renaming<'a> {
    rewriter: &'a Rewriter<'a>,
    alias: &'a str,
    other: &'a str,
    /// Whether the bare name is the row.
    row: bool,
    within: Vec<bool>,
}

impl Renaming<'_> {
    fn is_it(&self, name: &Ident) -> bool {
        folded(name) == self.alias && !self.within.contains(&true)
    }

    fn wildcard(&self, name: &mut ObjectName) {
        let is_it = parts(name).is_some_and(|names| matches!(names.as_slice(), [name] if name == self.alias));
        if is_it && !self.within.contains(&true) {
            *name = ObjectName::from(vec![quoted(self.other)]);
        }
    }
}

impl Writer for Renaming<'_> {
    fn query(&mut self, query: &mut Query) -> Step {
        self.within.push(scope_of(self.rewriter, &query.body).contains_key(self.alias));
        ON
    }

    fn after_query(&mut self, _: &mut Query) -> Step {
        self.within.pop();
        ON
    }

    fn select(&mut self, select: &mut Select) -> Step {
        for item in &mut select.projection {
            if let SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) = item {
                self.wildcard(name);
            }
        }
        ON
    }

    fn expr(&mut self, expr: &mut Expr) -> Step {
        match expr {
            Expr::CompoundIdentifier(names) => {
                if let [table, _] = names.as_mut_slice()
                    && self.is_it(table)
                {
                    *table = quoted(self.other);
                }
            }
            Expr::Identifier(name) if self.row && self.within.is_empty() && self.is_it(name) => {
                *name = quoted(self.other);
            }
            Expr::QualifiedWildcard(name, _) => self.wildcard(name),
            Expr::Function(function) => {
                let FunctionArguments::List(list) = &mut function.args else { return ON };
                for argument in &mut list.args {
                    if let FunctionArg::Unnamed(FunctionArgExpr::QualifiedWildcard(name)) = argument {
                        self.wildcard(name);
                    }
                }
            }
            _ => {}
        }
        ON
    }
}

/// Array constructors that read columns in queries within others become calls: the engine looks only at the innermost query for what they
/// read.
pub(in crate::dialect) struct Arrays {
    depth: usize,
}

impl Arrays {
    pub(in crate::dialect) const fn new() -> Self {
        Self { depth: 0 }
    }
}

impl Writer for Arrays {
    fn query(&mut self, _: &mut Query) -> Step {
        self.depth += 1;
        ON
    }

    fn after_query(&mut self, _: &mut Query) -> Step {
        self.depth -= 1;
        ON
    }

    fn after_expr(&mut self, expr: &mut Expr) -> Step {
        if self.depth > 1
            && let Expr::Array(array) = expr
            && !array.elem.is_empty()
            && array.elem.iter().any(|element| finds(element, &mut AnyColumn))
        {
            let elements = std::mem::take(&mut array.elem);
            *expr = crate::dialect::ast::call("make_array", elements);
        }
        ON
    }
}

struct AnyColumn;

impl Reader for AnyColumn {
    fn expr(&mut self, expr: &Expr) -> Step {
        match expr {
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) => Step::Break(Stop::Found),
            _ => ON,
        }
    }
}
