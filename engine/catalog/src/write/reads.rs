//! Reads of a table that is changed, or of one that the change has a say in, which lock nothing. They see what the transaction itself
//! has changed. Decides nothing.

use super::{WriteTarget, inexact};
use querygate_driver_api::execution::NativeStatement;
use querygate_driver_api::fragment::Fragment;
use querygate_driver_api::function::ScalarFunction;
use querygate_driver_api::relation::{Relation, SortKey};
use querygate_driver_api::scalar::{Constant, ScalarExpr};
use querygate_driver_api::value::{Value, ValueType};
use querygate_policy::RowFilter;
use querygate_types::{Error, Result};
use std::sync::Arc;

/// A read without locks, with its values.
#[derive(Debug, Clone)]
pub struct PlainRead {
    pub statement: Arc<NativeStatement>,
    pub values: Vec<Value>,
}

impl WriteTarget {
    /// Some fields of the rows with one of these combinations of values.
    ///
    /// # Errors
    /// 0A000: the source cannot be asked exactly this.
    pub fn with(&self, by: &[usize], values: &[Vec<Value>], wanted: &[usize]) -> Result<PlainRead> {
        let (fragment, values) = self.fragment(by, values, &RowFilter::All, wanted)?;
        self.plain(&fragment, values)
    }

    /// The texts of a field that begin with a prefix. `at_most`: that many of the longest and, among those of one length, of the
    /// last.
    ///
    /// # Errors
    /// As [`with`](Self::with).
    pub fn texts(&self, place: usize, prefix: &str, at_most: Option<u64>) -> Result<PlainRead> {
        let field = self.fields.get(place).ok_or_else(|| Error::internal("a field that is not the table's"))?;
        let column = || ScalarExpr::Column(field.scan.id);
        let function = |function, args, value_type| ScalarExpr::Function { function, args, value_type };
        let (predicate, values) = if prefix.is_empty() {
            (ScalarExpr::Constant(Constant::True), Vec::new())
        } else {
            let begin = ScalarExpr::Parameter(0, ValueType::Text);
            (function(ScalarFunction::StartsWith, vec![column(), begin], ValueType::Boolean), vec![Value::text(prefix)])
        };
        let has_value = ScalarExpr::IsNull { expr: Box::new(column()), negated: true };
        let scan = Relation::Scan { table: self.table.table().clone(), columns: vec![field.scan.clone()] };
        let predicate = ScalarExpr::And(vec![has_value, predicate]);
        let mut relation = Relation::Filter { input: Box::new(scan), predicate };
        if let Some(at_most) = at_most {
            let length = function(ScalarFunction::CharLength, vec![column()], ValueType::Int32);
            let keys = [length, column()].map(|expr| SortKey { expr, ascending: false, nulls_first: false });
            let sorted = Relation::Sort { input: Box::new(relation), keys: keys.into() };
            relation = Relation::Limit { input: Box::new(sorted), skip: 0, fetch: Some(at_most) };
        }
        let parameters = values.iter().map(Value::value_type).collect();
        let fragment = Fragment { relation, output: vec![self.output(place)?], parameters };
        self.admits(&fragment)?;
        self.plain(&fragment, values)
    }

    fn plain(&self, fragment: &Fragment, values: Vec<Value>) -> Result<PlainRead> {
        let statement = self.table.driver().render(fragment).map_err(|_| inexact())?;
        self.accepts(&statement, &values)?;
        Ok(PlainRead { statement, values })
    }
}
