//! Which rows a statement gives: found under a key where a condition names one, otherwise among all.

use super::cells::{Cells, batch, key};
use super::evaluation::{Scope, Set};
use super::language::{Expr, Op, Query, parse};
use super::store::{State, Table, View};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use querygate_driver_api::execution::NativeStatement;
use querygate_driver_api::fragment::Fragment;
use querygate_driver_api::value::{Value, ValueType};
use querygate_types::{Error, ErrorCode, Result};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A statement over the rows of one moment, which are not looked at yet.
#[derive(Debug)]
pub(super) struct Reading {
    query: Query,
    pub(super) table: Arc<str>,
    /// Every table that it reads.
    pub(super) tables: BTreeSet<Arc<str>>,
    places: Vec<usize>,
    parameters: Vec<Value>,
    sets: Vec<Set>,
    pub(super) rows: Vec<(u64, Cells)>,
    give: Vec<usize>,
    types: Vec<ValueType>,
    schema: SchemaRef,
}

fn missing() -> Error {
    Error::new(ErrorCode::SourceSchemaChanged, "a table or a column is not in the source any more")
}

fn table<'a>(state: &'a State, name: &str) -> Result<(&'a Arc<str>, &'a Table)> {
    state.tables.get_key_value(name).ok_or_else(missing)
}

fn places(query: &Query, table: &Table) -> Result<Vec<usize>> {
    query.columns.iter().map(|name| table.place(name).ok_or_else(missing)).collect()
}

fn given(query: &Query, places: &[usize]) -> Result<Vec<usize>> {
    let place = |column: &usize| places.get(*column).copied();
    query
        .give
        .iter()
        .map(place)
        .collect::<Option<_>>()
        .ok_or_else(|| Error::internal("a statement gives no such column"))
}

impl Reading {
    /// Takes the rows that may be among those of a statement.
    pub(super) fn of(state: &State, view: View, statement: &NativeStatement, values: &[Value]) -> Result<Self> {
        Fragment::check_values(&statement.parameters, values)?;
        let query = parse(&statement.text)?;
        let mut tables = BTreeSet::new();
        let sets = sets(state, view, &query, values, &mut tables)?;
        let (name, found) = table(state, &query.from)?;
        tables.insert(Arc::clone(name));
        let places = places(&query, found)?;
        let rows = candidates(found, view, &query, &places, values);
        Ok(Self {
            table: Arc::clone(name),
            tables,
            parameters: values.to_vec(),
            sets,
            rows,
            give: given(&query, &places)?,
            types: statement.output.iter().map(|(output, _)| output.value_type).collect(),
            schema: Arc::clone(&statement.schema),
            query,
            places,
        })
    }

    /// What is done about rows that others hold; `None`: rows are only read.
    pub(super) const fn hold(&self) -> Option<super::language::LockWord> {
        self.query.hold
    }

    pub(super) fn passes(&self, cells: &Cells) -> bool {
        let scope = Scope { places: &self.places, parameters: &self.parameters, sets: &self.sets };
        scope.holds(&self.query.conditions, cells)
    }

    /// Those of some rows that pass; `None`: none does.
    pub(super) fn batch(&self, rows: &[(u64, Cells)]) -> Result<Option<RecordBatch>> {
        let passing = rows.iter().map(|(_, cells)| cells).filter(|cells| self.passes(cells));
        let passing: Vec<Cells> = passing.cloned().collect();
        if passing.is_empty() {
            return Ok(None);
        }
        batch(&passing, &self.give, &self.types, &self.schema).map(Some)
    }
}

fn sets(
    state: &State,
    view: View,
    query: &Query,
    values: &[Value],
    tables: &mut BTreeSet<Arc<str>>,
) -> Result<Vec<Set>> {
    let mut sets = Vec::with_capacity(query.sets.len());
    for asked in &query.sets {
        let inner = self::sets(state, view, asked, values, tables)?;
        let (name, found) = table(state, &asked.from)?;
        tables.insert(Arc::clone(name));
        let places = places(asked, found)?;
        let scope = Scope { places: &places, parameters: values, sets: &inner };
        let mut set = Set::default();
        for (_, cells) in candidates(found, view, asked, &places, values) {
            if !scope.holds(&asked.conditions, &cells) {
                continue;
            }
            for place in given(asked, &places)? {
                match key(cells.get(place)) {
                    Some(key) => drop(set.keys.insert(key)),
                    None => set.has_null = true,
                }
            }
        }
        sets.push(set);
    }
    Ok(sets)
}

/// All rows that may pass.
fn candidates(table: &Table, view: View, query: &Query, places: &[usize], values: &[Value]) -> Vec<(u64, Cells)> {
    let seen = |(id, row): (&u64, &super::store::Row)| Some((*id, Arc::clone(row.seen(view)?)));
    for condition in &query.conditions {
        let conditions = if let Expr::All(all) = condition { all.as_slice() } else { std::slice::from_ref(condition) };
        if let Some(ids) = conditions.iter().find_map(|condition| keyed(table, condition, places, values)) {
            return ids.iter().filter_map(|id| seen((id, table.rows.get(id)?))).collect();
        }
    }
    table.rows.iter().filter_map(seen).collect()
}

/// The rows that a condition on a key of one column leaves.
fn keyed(table: &Table, condition: &Expr, places: &[usize], values: &[Value]) -> Option<BTreeSet<u64>> {
    let (column, wanted) = match condition {
        Expr::Compare(Op::Eq, left, right) => (left.as_ref(), std::slice::from_ref(right.as_ref())),
        Expr::In(left, list) => (left.as_ref(), list.as_slice()),
        _ => return None,
    };
    let Expr::Column(column) = column else { return None };
    let place = *places.get(*column)?;
    let number = table.keys.iter().position(|own| *own == [place])?;
    let mut ids = BTreeSet::new();
    for value in wanted {
        let Expr::Parameter(index) = value else { return None };
        if let Some(key) = key(values.get(*index)) {
            ids.extend(table.having(number, &key));
        }
    }
    Some(ids)
}
