//! A change of the row that a statement names by the table's whole key. It is locked at once, and what the statement computes of it is
//! computed in the gate: no query finds it first, and none has to be looked at again. The source is asked for the key under the policies
//! alone, so that no expression of the statement meets a hidden row.

use super::at_once::{AtOnce, ReadyAtOnce};
use crate::bind::statement::Bound;
use crate::write::target::{Form, Targeted};
use crate::write::values::computation::Computation;
use crate::write::values::computation::template::Template;
use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::execution::SessionState;
use querygate_catalog::write::LockedRead;
use querygate_driver_api::value::Value;
use querygate_metadata::model::Field;
use querygate_policy::RowFilter;
use querygate_policy::write::WriteOperation;
use querygate_types::{Error, ErrorCode, Result};

/// How one row is locked, and what is computed of it.
#[derive(Debug)]
pub(crate) struct ByKey {
    read: LockedRead,
    computation: Computation,
    /// The change in the statement that locks the row.
    at_once: Option<ReadyAtOnce>,
    /// Bytes of the statement's values, by which the row is found and which are stored.
    bytes: usize,
}

impl ByKey {
    /// `None`: the rows of the change are to be found by its query.
    ///
    /// # Errors
    /// A value that does not fit.
    pub(crate) fn of(
        targeted: &Targeted,
        bound: &Bound,
        given: &[ArrayRef],
        state: &SessionState,
    ) -> Result<Option<Self>> {
        let (table, columns) = (targeted.table(), targeted.intent().object().table.columns());
        let values = bound.values(given)?;
        let bytes = values.iter().map(ScalarValue::size).fold(0, usize::saturating_add);
        let template = targeted.native().template(|| Template::of(bound, state, columns));
        let ready = match template {
            Some(template) => template.with(&values)?.map(|computed| (template, computed)),
            None => None,
        };
        let (at_once, computed) = match ready {
            Some((template, computed)) => {
                (targeted.native().at_once(|| AtOnce::of(targeted, template))?, Some(computed))
            }
            None => (None, Computation::where_equal(bound, values.clone(), state, columns)?),
        };
        let Some((computation, equal)) = computed else { return Ok(None) };
        if equal.len() != table.key().len() {
            return Ok(None);
        }
        let mut key = Vec::with_capacity(equal.len());
        for place in table.key() {
            let is_it =
                |(column, _): &&(usize, ScalarValue)| columns.get(*column).is_some_and(|column| column.is_raw(*place));
            let Some((_, value)) = equal.iter().find(is_it) else { return Ok(None) };
            key.push(Value::from_array(value.to_array().map_err(Error::internal)?.as_ref(), 0)?);
        }
        let at_once = match at_once {
            Some(at_once) => at_once.with(targeted, &key, &values)?,
            None => None,
        };
        let shown = || RowFilter::And(vec![targeted.permit().target().clone(), targeted.readable().clone()]);
        if let Some(read) = targeted.native().target(table, &key, shown)? {
            return Ok(Some(Self { read, computation, at_once, bytes }));
        }
        match table.having(table.key(), &[key], &shown()) {
            Ok(read) => Ok(Some(Self { read, computation, at_once, bytes })),
            Err(error) if error.code() == ErrorCode::FeatureNotSupported => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Bytes of the statement's values.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(in crate::write) fn read(&self) -> &LockedRead {
        &self.read
    }

    /// How the row is changed in the statement that locks it. `None`: it is locked first.
    pub(crate) fn at_once(&self) -> Option<&ReadyAtOnce> {
        self.at_once.as_ref()
    }

    /// Of locked rows, what the change's query would have found.
    ///
    /// # Errors
    /// What an expression says of a row.
    pub(in crate::write) fn found(&self, targeted: &Targeted, stored: &RecordBatch) -> Result<RecordBatch> {
        self.computation.rows(targeted.intent().object().table.columns(), stored)
    }
}

/// Whether nothing has to be known of a row before it is locked, so that [`ByKey::of`] may be asked. A reference is looked up as the principal, who has no lock.
pub(crate) fn locks_at_once(targeted: &Targeted) -> bool {
    let changes_rows = match targeted.operation() {
        WriteOperation::Insert => false,
        WriteOperation::Update | WriteOperation::Delete => true,
    };
    let is_plain = match targeted.form() {
        Form::Plain => true,
        Form::Conflict(_) | Form::Merge(_) => false,
    };
    let object = &targeted.intent().object().object;
    let refers = |name: &String| object.field(name).is_some_and(|field: &Field| field.field_type.is_reference());
    // What a list takes is charged when it was found, before records are made of it.
    let table = targeted.table();
    let own = |name: &String| table.place(name).and_then(|place| table.fields().get(place));
    let is_list = |name: &String| own(name).is_some_and(|own| matches!(own.value_type().to_arrow(), DataType::List(_)));
    changes_rows && is_plain && !targeted.assigned().iter().any(|name| refers(name) || is_list(name))
}
