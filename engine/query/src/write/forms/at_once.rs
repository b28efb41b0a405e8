//! An UPDATE of the row of a key that its source carries out in the statement that locks the row. All that is asked of a change is
//! asked afterwards, of the row as it was and as it is, and before the commit: what is refused then is undone with the transaction, as
//! what is found out of stored rows is. So only such changes are made at once of which nothing but the row's own rules is left to ask:
//! the policies of reading and changing and CHECK are in the statement itself.

use crate::write::check::is_related;
use crate::write::hooks::Hooks;
use crate::write::target::{Form, Targeted};
use crate::write::values::assignment::{fit, within};
use crate::write::values::computation::template::Template;
use crate::write::values::rows::{Row, scalar};
use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::SchemaRef;
use datafusion::common::ScalarValue;
use querygate_catalog::write::{KeyUpdate, LockedRead, NewValue, NewValueExpr, WriteTarget};
use querygate_driver_api::identifier::Identifier;
use querygate_driver_api::value::Value;
use querygate_policy::RowFilter;
use querygate_policy::rules::Stamp;
use querygate_policy::write::WriteOperation;
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;

/// Such a change as it was rendered, whatever its values are.
#[derive(Debug)]
pub(crate) struct AtOnce {
    update: KeyUpdate,
    given: Vec<Given>,
    /// Places of fields that get a given value as it is, and its number.
    plain: Vec<(usize, usize)>,
}

/// Where a value of the statement comes from.
#[derive(Debug)]
enum Given {
    Parameter(usize),
    Constant(ScalarValue),
    /// What the platform stamps the field with, by its name and place.
    Stamp(String, usize),
}

/// Such a change with its values.
#[derive(Debug)]
pub(crate) struct ReadyAtOnce {
    pub(in crate::write) read: LockedRead,
    places: Vec<usize>,
}

/// What a row was changed to with its lock.
#[derive(Debug)]
pub(in crate::write) struct ChangedRow {
    places: Vec<usize>,
    row: RecordBatch,
}

impl AtOnce {
    /// `None`: the row is locked first.
    ///
    /// # Errors
    /// Internal ones.
    pub(in crate::write) fn of(targeted: &Targeted, template: &Template) -> Result<Option<Self>> {
        let Some((new, given)) = new_values(targeted, template) else { return Ok(None) };
        let permit = targeted.permit();
        let filter = RowFilter::And(vec![permit.target().clone(), targeted.readable().clone(), permit.check().clone()]);
        match targeted.table().key_update(permit, &filter, &new) {
            Ok(update) => {
                let plain = new.iter().filter_map(|NewValue { place, value }| match value {
                    NewValueExpr::Given(number, _) => Some((*place, *number)),
                    NewValueExpr::Field(_) | NewValueExpr::Arithmetic { .. } => None,
                });
                Ok(Some(Self { update, given, plain: plain.collect() }))
            }
            Err(error) if error.code() == ErrorCode::FeatureNotSupported => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The change of the row of a key. `None`: these are no values of it.
    ///
    /// # Errors
    /// A value that its source cannot be given.
    pub(in crate::write) fn with(
        &self,
        targeted: &Targeted,
        key: &[Value],
        values: &[ScalarValue],
    ) -> Result<Option<ReadyAtOnce>> {
        let mut new = Vec::with_capacity(self.given.len());
        for (number, given) in self.given.iter().enumerate() {
            let value = match given {
                Given::Parameter(number) => values.get(*number).cloned(),
                Given::Constant(value) => Some(value.clone()),
                Given::Stamp(field, place) => stamped(targeted, field, *place)?,
            };
            let Some(value) = value else { return Ok(None) };
            let value = value.to_array().map_err(Error::internal)?;
            let of_number = self.plain.iter().filter(|(_, own)| *own == number);
            // What is wrong with it is said of a row that is there.
            if !of_number.map(|(place, _)| place).all(|place| fits(targeted, *place, &value)) {
                return Ok(None);
            }
            new.push(Value::from_array(value.as_ref(), 0)?);
        }
        let read = match targeted.table().with_values(&self.update, key, &new) {
            Ok(read) => read,
            Err(error) if error.code() == ErrorCode::FeatureNotSupported => None,
            Err(error) => return Err(error),
        };
        Ok(read.map(|read| ReadyAtOnce { read, places: self.update.places().to_vec() }))
    }
}

impl ReadyAtOnce {
    /// The source's statement, with placeholders.
    pub(crate) fn text(&self) -> &Arc<str> {
        &self.read.statement.text
    }

    /// The source's names of what gets values.
    pub(in crate::write) fn columns(&self, table: &WriteTarget) -> Vec<Identifier> {
        let fields = self.places.iter().filter_map(|place| table.fields().get(*place));
        fields.map(|field| field.column().clone()).collect()
    }

    /// What came back: the row as it was, and what it was changed to.
    ///
    /// # Errors
    /// Internal: it is of another table.
    pub(in crate::write) fn taken_apart(
        &self,
        rows: &RecordBatch,
        schema: &SchemaRef,
    ) -> Result<(RecordBatch, ChangedRow)> {
        let fields = schema.fields().len();
        if rows.columns().len() != fields.saturating_mul(2) {
            return Err(Error::internal("a changed row came back with other columns"));
        }
        let half = |columns: Option<&[ArrayRef]>| {
            let columns = columns.unwrap_or_default().to_vec();
            RecordBatch::try_new(Arc::clone(schema), columns).map_err(Error::internal)
        };
        let stored = half(rows.columns().get(..fields))?;
        let row = half(rows.columns().get(fields..))?;
        Ok((stored, ChangedRow { places: self.places.clone(), row }))
    }
}

impl ChangedRow {
    /// The row as it is stored, if these fields, and no others, got exactly these values. `None`: they are to be stored.
    ///
    /// # Errors
    /// Internal: a field was changed that was not to be.
    pub(in crate::write) fn holding(&self, places: &[usize], columns: &[ArrayRef]) -> Result<Option<&RecordBatch>> {
        if self.places.iter().any(|place| !places.contains(place)) {
            return Err(Error::internal("a field was changed that the rules of a change left out"));
        }
        let is_stored = |(place, values): (&usize, &ArrayRef)| {
            self.row.columns().get(*place).is_some_and(|stored| stored.to_data() == values.to_data())
        };
        let holds = places.len() == self.places.len() && places.iter().zip(columns).all(is_stored);
        Ok(holds.then_some(&self.row))
    }
}

/// Whether a field's column takes a value.
fn fits(targeted: &Targeted, place: usize, value: &ArrayRef) -> bool {
    let Some(field) = targeted.table().fields().get(place) else { return false };
    let fitted = fit(value, &field.value_type().to_arrow(), &field.name);
    fitted.and_then(|fitted| within(fitted, field.length_max())).is_ok()
}

/// What each field gets, and where the values in it come from. `None`: more than the row is to be looked at before it is changed.
fn new_values(targeted: &Targeted, template: &Template) -> Option<(Vec<NewValue>, Vec<Given>)> {
    let find = targeted.find()?;
    if !is_of_the_row_alone(targeted) {
        return None;
    }
    let (table, mut new, mut given) = (targeted.table(), Vec::new(), Vec::new());
    let assigned = targeted.assigned().iter().enumerate();
    for (at, field) in assigned {
        let place = table.place(field)?;
        if table.key().contains(&place) {
            continue;
        }
        let value = template.in_source(find.seen.len() + at)?;
        let own = table.fields().get(place)?.value_type();
        let found = match &value {
            NewValueExpr::Field(from) => table.fields().get(*from)?.value_type(),
            NewValueExpr::Given(_, value_type) | NewValueExpr::Arithmetic { value_type, .. } => *value_type,
        };
        if found != own && !(found.is_integer() && own.is_integer()) {
            return None;
        }
        let value = numbered(value, template, &mut given);
        new.push(NewValue { place, value });
    }
    for stamp in targeted.stamps() {
        let Some(place) = table.place(&stamp.field) else { continue };
        if table.key().contains(&place) {
            continue;
        }
        let value = NewValueExpr::Given(given.len(), table.fields().get(place)?.value_type());
        given.push(Given::Stamp(stamp.field.clone(), place));
        new.push(NewValue { place, value });
    }
    (!new.is_empty()).then_some((new, given))
}

/// Whether nothing but the row itself, and what is stored of it, has a say in the change.
fn is_of_the_row_alone(targeted: &Targeted) -> bool {
    let is_update = match targeted.operation() {
        WriteOperation::Update => true,
        WriteOperation::Insert | WriteOperation::Delete => false,
    };
    let is_plain = match targeted.form() {
        Form::Plain => true,
        Form::Conflict(_) | Form::Merge(_) => false,
    };
    let check = targeted.permit().check();
    let read = check.columns();
    let stamps = targeted.stamps();
    let mut changed = targeted.assigned().iter().chain(stamps.iter().map(|stamp| &stamp.field));
    let is_unique = |name: &String| targeted.table().unique_keys().iter().any(|set| set.contains(name));
    let is_key =
        |name: &String| targeted.table().place(name).is_some_and(|place| targeted.table().key().contains(&place));
    is_update
        && is_plain
        && targeted.intent().record().is_none()
        && targeted.is_reusable()
        && targeted.rules().summary_parents().next().is_none()
        && Hooks::before(targeted).is_none()
        && Hooks::after(targeted).is_none()
        && !is_related(check)
        && (targeted.returning().is_none() || !is_related(targeted.readable()))
        && stamps.iter().all(|stamp| !stamp.only_missing && !targeted.assigned().contains(&stamp.field))
        && changed.all(|name| !read.contains(name.as_str()) && (is_key(name) || !is_unique(name)))
}

/// The expression with its values numbered as the statement is given them.
fn numbered(value: NewValueExpr, template: &Template, given: &mut Vec<Given>) -> NewValueExpr {
    match value {
        NewValueExpr::Field(place) => NewValueExpr::Field(place),
        NewValueExpr::Given(number, value_type) => {
            let own = given.len();
            given.push(match template.constant(number) {
                Some(value) => Given::Constant(value.clone()),
                None => Given::Parameter(number),
            });
            NewValueExpr::Given(own, value_type)
        }
        NewValueExpr::Arithmetic { op, sides, value_type } => {
            let (left, right) = *sides;
            let left = numbered(left, template, given);
            let right = numbered(right, template, given);
            NewValueExpr::Arithmetic { op, sides: Box::new((left, right)), value_type }
        }
    }
}

/// The value of a stamp as it is stored.
fn stamped(targeted: &Targeted, name: &str, place: usize) -> Result<Option<ScalarValue>> {
    let is_it = |stamp: &&Stamp| stamp.field == *name;
    let (Some(stamp), Some(field)) = (targeted.stamps().iter().find(is_it), targeted.table().fields().get(place))
    else {
        return Ok(None);
    };
    let mut row = Row::new();
    stamp.apply(&mut row);
    let value = row.remove(name).unwrap_or_default();
    scalar(&value, &field.value_type().to_arrow()).map(Some)
}
