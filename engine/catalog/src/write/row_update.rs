//! The update of the row of a key in one statement with its lock, rendered once for any values: those of its filter stay, the key's and
//! the new ones are put in by each run.

use super::{LockedRead, WriteTarget, inexact};
use datafusion::common::ScalarValue;
use querygate_driver_api::execution::NativeStatement;
use querygate_driver_api::fragment::OutputColumn;
use querygate_driver_api::identifier::{ColumnId, Identifier};
use querygate_driver_api::relation::Relation;
use querygate_driver_api::remote::{ForeignKey, Index};
use querygate_driver_api::scalar::{ArithmeticOp, ScalarExpr};
use querygate_driver_api::value::{Value, ValueType};
use querygate_driver_api::write::{RowUpdate, TargetColumn};
use querygate_policy::RowFilter;
use querygate_policy::write::{WriteOperation, WritePermit};
use querygate_types::{Error, Result};
use std::sync::Arc;

/// What a field of a row gets, as the source computes it of the row.
#[derive(Debug, Clone, PartialEq)]
pub struct NewValue {
    /// The field's place.
    pub place: usize,
    pub value: NewValueExpr,
}

/// An expression over one row, of the types that its parts have.
#[derive(Debug, Clone, PartialEq)]
pub enum NewValueExpr {
    /// What the row has in the field of a place.
    Field(usize),
    /// One of the values that each run gives, by its number from 0.
    Given(usize, ValueType),
    /// Both sides and the result are of one type.
    Arithmetic { op: ArithmeticOp, sides: Box<(Self, Self)>, value_type: ValueType },
}

/// A rendered update of the row of a key. Of the table that made it.
#[derive(Debug)]
pub struct KeyUpdate {
    statement: Arc<NativeStatement>,
    /// Values of the filter, which stand before those of the key.
    filter: Vec<Value>,
    places: Vec<usize>,
}

impl KeyUpdate {
    /// Places of the fields that get values.
    #[must_use]
    pub fn places(&self) -> &[usize] {
        &self.places
    }
}

impl WriteTarget {
    /// The update of the row of one key, if the row passes a filter. The permit is for an update. Gives all fields of the row as it was,
    /// and behind them all fields as it is.
    ///
    /// # Errors
    /// 0A000: the source cannot do exactly this in one statement.
    pub fn key_update(&self, permit: &WritePermit, filter: &RowFilter, new: &[NewValue]) -> Result<KeyUpdate> {
        match permit.operation() {
            WriteOperation::Update => {}
            WriteOperation::Insert | WriteOperation::Delete => {
                return Err(Error::internal("a permit for another operation was used"));
            }
        }
        let all: Vec<usize> = (0..self.fields.len()).collect();
        let any = |place: &usize| {
            let value = ScalarValue::new_default(&self.field(*place)?.value_type().to_arrow());
            let array = value.and_then(|value| value.to_array()).map_err(Error::internal)?;
            Value::from_array(array.as_ref(), 0)
        };
        let key = self.key.iter().map(any).collect::<Result<Vec<_>>>()?;
        let (mut locked, mut bound) = self.fragment(&self.key, &[key], filter, &all)?;
        let first = locked.parameters.len();
        let mut exprs = Vec::with_capacity(all.len() + new.len());
        for place in &all {
            let id = self.field(*place)?.scan.id;
            exprs.push((id, ScalarExpr::Column(id)));
        }
        let mut assigned = Vec::with_capacity(new.len());
        for (at, NewValue { place, value }) in new.iter().enumerate() {
            let field = self.field(*place)?;
            if self.is_compared_in_source(field.column()) {
                return Err(inexact());
            }
            let id = ColumnId(u32::MAX - u32::try_from(at).map_err(Error::internal)?);
            let expr = self.new_value(value, first, &mut locked.parameters)?;
            let name = format!("new {}", field.name);
            locked.output.push(OutputColumn { id, name, value_type: field.value_type(), nullable: true });
            exprs.push((id, expr));
            assigned.push((self.target_column(*place)?, id));
        }
        locked.relation = Relation::Project { input: Box::new(locked.relation), exprs };
        self.admits(&locked)?;
        let key = self.key.iter().map(|place| Ok((self.target_column(*place)?, self.field(*place)?.scan.id)));
        let key = key.collect::<Result<Vec<_>>>()?;
        let returning = self.fields.iter().map(|field| field.scan.clone()).collect();
        let update = RowUpdate { locked, key, assigned, returning };
        let statement = self.writer()?.render_row_update(&update).map_err(|_| inexact())?;
        let own = bound.len().checked_sub(self.key.len()).ok_or_else(|| Error::internal("a read without its key"))?;
        bound.truncate(own);
        Ok(KeyUpdate { statement, filter: bound, places: new.iter().map(|new| new.place).collect() })
    }

    /// Such an update with the values of a key, and the new ones. `None`: they are not such as it was made for.
    ///
    /// # Errors
    /// 0A000: the source cannot be given them.
    pub fn with_values(&self, update: &KeyUpdate, key: &[Value], new: &[Value]) -> Result<Option<LockedRead>> {
        let wanted = update.statement.parameters.get(update.filter.len()..).unwrap_or_default();
        let given = || key.iter().chain(new);
        let is_made_for = wanted.len() == key.len() + new.len()
            && key.iter().all(|value| !value.is_null())
            && given().zip(wanted).all(|(value, wanted)| value.value_type() == *wanted);
        if !is_made_for {
            return Ok(None);
        }
        let values: Vec<Value> = update.filter.iter().chain(given()).cloned().collect();
        self.accepts(&update.statement, &values)?;
        Ok(Some(LockedRead { statement: Arc::clone(&update.statement), values, by_key: true }))
    }

    /// Whether the source compares the column's value with other rows before the gate sees the change: what it says then, it says of rows
    /// that a policy may hide, and before a validation has its word.
    fn is_compared_in_source(&self, column: &Identifier) -> bool {
        let refers = |key: &ForeignKey| key.columns.contains(column);
        // Of expressions, and of what tells which rows an index covers, it is not known what they read.
        let reads_any = |index: &Index| index.partial || !index.plain;
        let keeps_apart = |index: &Index| index.unique && (reads_any(index) || index.columns.contains(column));
        self.described.foreign_keys.iter().any(refers)
            || self.described.indexes.iter().any(keeps_apart)
            || self.described.unique.iter().any(|set| set.contains(column))
    }

    fn field(&self, place: usize) -> Result<&super::TargetField> {
        self.fields.get(place).ok_or_else(|| Error::internal("a field that is not the table's"))
    }

    fn target_column(&self, place: usize) -> Result<TargetColumn> {
        self.field(place)?.column.clone().ok_or_else(inexact)
    }

    /// The expression in the words of the source. Given values follow the first parameters.
    fn new_value(&self, value: &NewValueExpr, first: usize, parameters: &mut Vec<ValueType>) -> Result<ScalarExpr> {
        Ok(match value {
            NewValueExpr::Field(place) => {
                let field = self.field(*place)?;
                if !field.is_canonical() {
                    return Err(inexact());
                }
                ScalarExpr::Column(field.scan.id)
            }
            NewValueExpr::Given(number, value_type) => {
                let at = first.saturating_add(*number);
                if at == parameters.len() {
                    parameters.push(*value_type);
                }
                match parameters.get(at) {
                    Some(known) if known == value_type => ScalarExpr::Parameter(at, *value_type),
                    Some(_) | None => return Err(Error::internal("values of an update out of their order")),
                }
            }
            NewValueExpr::Arithmetic { op, sides, value_type } => {
                let left = Box::new(self.new_value(&sides.0, first, parameters)?);
                let right = Box::new(self.new_value(&sides.1, first, parameters)?);
                ScalarExpr::Arithmetic { op: *op, left, right, value_type: *value_type }
            }
        })
    }
}
