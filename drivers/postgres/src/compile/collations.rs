//! Which collations the texts of a fragment have, so that they can meet in one statement. Prints nothing.

use crate::wire::declared;
use querygate_driver_api::relation::{Collation, Relation};
use querygate_driver_api::scalar::ScalarExpr;
use querygate_driver_api::value::ValueType;
use std::collections::BTreeSet;

/// Collations of a fragment's texts.
#[derive(Debug, Default)]
pub(crate) struct Found<'a> {
    /// Some text is not ordered by code point by itself.
    pub(crate) named: bool,
    /// Some text is.
    pub(crate) plain: bool,
    /// Collations that do not yield to each other.
    pub(crate) conflict: BTreeSet<&'a str>,
}

impl<'a> Found<'a> {
    pub(crate) fn of(relation: &'a Relation) -> Self {
        let mut found = Self::default();
        found.relation(relation);
        found
    }

    fn relation(&mut self, relation: &'a Relation) {
        relation.inputs().into_iter().for_each(|input| self.relation(input));
        relation.scalars().into_iter().for_each(|expr| self.scalar(expr));
        let Relation::Scan { columns, .. } = relation else { return };
        for column in columns.iter().filter(|column| column.value_type == ValueType::Text) {
            match &column.collation {
                Collation::Binary => self.plain = true,
                Collation::Named(name) => {
                    self.named = true;
                    if !name.starts_with(declared::CAST) && name.as_ref() != declared::DEFAULT {
                        self.conflict.insert(name);
                    }
                }
            }
        }
    }

    fn scalar(&mut self, expr: &'a ScalarExpr) {
        expr.children().into_iter().for_each(|child| self.scalar(child));
        if let Some(relation) = expr.subquery() {
            self.relation(relation);
        }
    }
}
