//! Keys of GROUP BY that differ by their casts only. The planner leaves casts out of the names that it gives columns, so that
//! `n::text` and `n::float8` would be one, and `id::text` a table's key, which decides all of its row: there each cast is a call
//! with a number of its own. Knows no catalog.

use super::sets::is_sets;
use crate::dialect::ast::{call, cast, folded, number, plain_arguments, quoted, text};
use crate::dialect::functions::OF_SETS;
use crate::dialect::planners::types::PgTypePlanner;
use crate::dialect::rewrite::expressions::calls::unqualified;
use crate::sql::walk::{ON, Reader, Step, Stop, Writer, finds, look, write};
use datafusion::logical_expr::planner::TypePlanner as _;
use datafusion::sql::sqlparser::ast::{
    DataType as SqlType, Expr, GroupByExpr, Query, Select, SelectItem, SetExpr, Value,
};
use querygate_types::{Error, ErrorCode, Result};
use std::collections::{BTreeMap, HashMap};

pub(super) const APART: &str = "told_apart";

/// Tells the casts of a SELECT apart, and gives them for the ORDER BY behind it. After its columns got their names.
pub(in crate::dialect) fn keep_apart(select: &mut Select) -> Result<Casts> {
    let mut casts = casts_of(select);
    if !casts.numbers.is_empty() {
        write(&mut select.projection, &mut casts)?;
        write(&mut select.group_by, &mut casts)?;
        write(&mut select.distinct, &mut casts)?;
        write(&mut select.having, &mut casts)?;
    }
    Ok(casts)
}

/// The most sets of one GROUP BY.
pub(super) const SETS_MAX: usize = 4_096;

/// The most keys in sets that are written out.
pub(super) const SET_KEYS_MAX: usize = 1 << 16;

/// ROLLUP and CUBE among GROUPING SETS as the sets that they mean.
///
/// # Errors
/// 54001 for more sets than a GROUP BY has.
pub(in crate::dialect) fn expand_sets(select: &mut Select) -> Result<()> {
    let GroupByExpr::Expressions(groups, _) = &mut select.group_by else { return Ok(()) };
    for group in groups {
        let Expr::GroupingSets(sets) = group else { continue };
        let (mut all, mut keys) = (Vec::with_capacity(sets.len()), 0_usize);
        for set in std::mem::take(sets) {
            match sets_of(&set, &mut keys)? {
                Some(many) => all.extend(many),
                None => all.push(set),
            }
            if all.len() > SETS_MAX {
                return Err(too_many_sets());
            }
        }
        *sets = all;
    }
    Ok(())
}

pub(super) fn too_many_sets() -> Error {
    let message = format!("too many grouping sets present (maximum {SETS_MAX})");
    Error::new(ErrorCode::StatementTooComplex, message)
}

/// The sets that ROLLUP or CUBE means, which the grammar reads as a call.
fn sets_of(set: &[Expr], written: &mut usize) -> Result<Option<Vec<Vec<Expr>>>> {
    let [Expr::Function(call)] = set else { return Ok(None) };
    let (Some(name), Some(parts)) = (unqualified(&call.name), plain_arguments(&call.args)) else { return Ok(None) };
    let sets = match name.as_str() {
        "rollup" => Some(parts.len() + 1),
        "cube" => u32::try_from(parts.len()).ok().and_then(|keys| 1_usize.checked_shl(keys)),
        _ => return Ok(None),
    };
    let keys: Vec<&[Expr]> = parts
        .into_iter()
        .map(|part| match part {
            Expr::Tuple(keys) => keys.as_slice(),
            key => std::slice::from_ref(key),
        })
        .collect();
    let each = keys.iter().map(|keys| keys.len()).sum::<usize>();
    let sets = sets.filter(|sets| *sets <= SETS_MAX).ok_or_else(too_many_sets)?;
    *written = written.saturating_add(sets.saturating_mul(each));
    if *written > SET_KEYS_MAX {
        return Err(too_many_sets());
    }
    let cube = name == "cube";
    let set = |number: usize| -> Vec<Expr> {
        let chosen = |at: usize| if cube { number >> at & 1 == 1 } else { at < number };
        let keys = keys.iter().enumerate().filter(|(at, _)| chosen(*at));
        keys.flat_map(|(_, keys)| keys.iter().cloned()).collect()
    };
    Ok(Some((0..sets).rev().map(set).collect()))
}

/// `ROLLUP (1), 2`: places within sets and beside them are the columns there.
pub(in crate::dialect) fn name_places(select: &mut Select) {
    let GroupByExpr::Expressions(groups, _) = &mut select.group_by else { return };
    let item = |key: &Expr| at_place(&select.projection, key);
    let beside = groups.iter().any(is_sets);
    for group in groups {
        match group {
            Expr::Rollup(sets) | Expr::Cube(sets) | Expr::GroupingSets(sets) => {
                for key in sets.iter_mut().flatten() {
                    if let Some(item) = item(key) {
                        *key = item;
                    }
                }
            }
            key if beside => match item(key) {
                // A constant in all sets tells no rows apart, and would be another place.
                Some(Expr::Value(_)) => *key = Expr::Tuple(Vec::new()),
                Some(item) => *key = item,
                None => {}
            },
            _ => {}
        }
    }
}

/// The column of a SELECT that a key names by its place.
pub(super) fn at_place(items: &[SelectItem], key: &Expr) -> Option<Expr> {
    let Expr::Value(value) = key else { return None };
    let Value::Number(place, _) = &value.value else { return None };
    match items.get(place.parse::<usize>().ok()?.checked_sub(1)?)? {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr.clone()),
        _ => None,
    }
}

/// Keeps groups apart in the ORDER BY of a query as in its SELECT, whose casts are given.
pub(in crate::dialect) fn keep_order_apart(query: &mut Query, mut casts: Casts) -> Result<()> {
    let (SetExpr::Select(_), Some(order)) = (query.body.as_ref(), &mut query.order_by) else { return Ok(()) };
    if casts.numbers.is_empty() { Ok(()) } else { write(order, &mut casts) }
}

/// The casts in keys that print alike without them, by their text.
#[derive(Default)]
pub(in crate::dialect) struct Casts {
    numbers: HashMap<String, usize>,
    /// Whether the keys are those of grouping sets.
    of_sets: bool,
}

fn casts_of(select: &Select) -> Casts {
    let GroupByExpr::Expressions(groups, _) = &select.group_by else { return Casts::default() };
    let mut keys = Vec::with_capacity(groups.len());
    groups.iter().for_each(|key| flatten(key, select, &mut keys));
    let of_sets = groups.iter().any(is_sets);
    let mut casts = Found(Vec::new());
    if !of_sets {
        keys.iter().filter(|key| is_cast_column(key)).for_each(|key| look(*key, &mut casts));
    }
    // A column as it is has its table's name before it, but to HAVING.
    if select.having.is_none() {
        keys.retain(|key| !matches!(key, Expr::Identifier(_) | Expr::CompoundIdentifier(_)));
    }
    if keys.len() > 1 && keys.iter().any(|key| finds(*key, &mut AnyCast)) {
        let printed: Vec<_> = keys.into_iter().map(|key| (plain(key, false), plain(key, true), key)).collect();
        for (bare, full, key) in &printed {
            if printed.iter().any(|(other, whole, _)| other == bare && whole != full) {
                look(*key, &mut casts);
            }
        }
    }
    let mut numbers = HashMap::new();
    for cast in casts.0 {
        let next = numbers.len();
        numbers.entry(cast).or_insert(next);
    }
    Casts { numbers, of_sets }
}

/// Whether an expression is a column, cast to another type.
fn is_cast_column(expr: &Expr) -> bool {
    match expr {
        Expr::Nested(inner) => is_cast_column(inner),
        Expr::Cast { expr: inner, .. } => is_column(inner) || is_cast_column(inner),
        // A cast that has its number.
        Expr::Function(function) if unqualified(&function.name).is_some_and(|name| name == APART) => {
            plain_arguments(&function.args).is_some_and(|args| args.first().is_some_and(|arg| is_cast_column(arg)))
        }
        _ => false,
    }
}

fn is_column(expr: &Expr) -> bool {
    match expr {
        Expr::Nested(inner) => is_column(inner),
        other => matches!(other, Expr::Identifier(_) | Expr::CompoundIdentifier(_)),
    }
}

/// The keys in a part of GROUP BY; places and names of output columns as what stands there.
fn flatten<'a>(key: &'a Expr, select: &'a Select, keys: &mut Vec<&'a Expr>) {
    match key {
        Expr::Rollup(sets) | Expr::Cube(sets) | Expr::GroupingSets(sets) => {
            sets.iter().flatten().for_each(|key| flatten(key, select, keys));
        }
        Expr::Tuple(parts) => parts.iter().for_each(|key| flatten(key, select, keys)),
        Expr::Value(value) => {
            if let Value::Number(place, _) = &value.value
                && let Ok(place) = place.parse::<usize>()
                && let Some(item) = place.checked_sub(1).and_then(|at| select.projection.get(at))
                && let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item
            {
                keys.push(expr);
            }
        }
        Expr::Identifier(name) => {
            keys.push(key);
            keys.extend(select.projection.iter().filter_map(|item| match item {
                SelectItem::ExprWithAlias { expr, alias } if folded(alias) == folded(name) => Some(expr),
                _ => None,
            }));
        }
        other => keys.push(other),
    }
}

impl Writer for Casts {
    fn after_expr(&mut self, expr: &mut Expr) -> Step {
        if matches!(expr, Expr::Cast { .. })
            && let Some(at) = self.numbers.get(&plain(expr, true))
        {
            let cast = std::mem::replace(expr, number(0));
            // A text, because a number would get its type later and with it another name, by which keys of sets are not found.
            let mark = if self.of_sets { format!("{OF_SETS}{at}") } else { at.to_string() };
            *expr = call(APART, vec![cast, text(&mark)]);
        }
        ON
    }
}

struct AnyCast;

impl Reader for AnyCast {
    fn expr(&mut self, expr: &Expr) -> Step {
        if matches!(expr, Expr::Cast { .. }) { Step::Break(Stop::Found) } else { ON }
    }
}

/// Texts of casts in their order.
struct Found(Vec<String>);

impl Reader for Found {
    fn expr(&mut self, expr: &Expr) -> Step {
        if matches!(expr, Expr::Cast { .. }) {
            self.0.push(plain(expr, true));
        }
        ON
    }
}

/// An expression's text without qualifiers, parentheses and numbers of casts; without casts, too, as the planner prints it.
fn plain(expr: &Expr, casts: bool) -> String {
    let mut expr = expr.clone();
    // Nothing is refused on the way.
    let _ = write(&mut expr, &mut Plain { casts });
    expr.to_string()
}

struct Plain {
    casts: bool,
}

/// One name for all spellings of a type; `None`: it has one alone.
fn canonical_type_name(data_type: &SqlType) -> Option<String> {
    let field = PgTypePlanner.plan_type_field(data_type).ok()??;
    let metadata: BTreeMap<&String, &String> = field.metadata().iter().collect();
    Some(format!("{} {metadata:?}", field.data_type()))
}

impl Writer for Plain {
    fn after_expr(&mut self, expr: &mut Expr) -> Step {
        let simple = match expr {
            Expr::Nested(inner) => Some((**inner).clone()),
            Expr::Cast { expr: inner, .. } if !self.casts => Some((**inner).clone()),
            // However the cast and its type are spelled.
            Expr::Cast { expr: inner, data_type, .. } => canonical_type_name(data_type)
                .map(|name| cast((**inner).clone(), SqlType::Custom(quoted(&name).into(), Vec::new()))),
            Expr::CompoundIdentifier(parts) => parts.last().map(|name| Expr::Identifier(quoted(&folded(name)))),
            Expr::Identifier(name) => Some(Expr::Identifier(quoted(&folded(name)))),
            Expr::Function(function) if unqualified(&function.name).is_some_and(|name| name == APART) => {
                plain_arguments(&function.args).and_then(|args| args.first().map(|arg| (*arg).clone()))
            }
            _ => None,
        };
        if let Some(simple) = simple {
            *expr = simple;
        }
        ON
    }
}
