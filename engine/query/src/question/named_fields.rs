//! Fields that a question names: those of its object, and by paths those of records that its records refer to. Each object on a path is
//! joined once, as the reader sees it: a record that is hidden from the reader is as one that is not there.

use super::compose::{internal, named, scan};
use super::object::{Standing, describe_field, opened, standing};
use super::refusal::query;
use super::shape::renamed;
use arrow::datatypes::DataType;
use datafusion::common::{JoinType, TableReference};
use datafusion::datasource::TableProvider as _;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, cast};
use querygate_catalog::VisibleObject;
use querygate_catalog::rights::PrincipalRights;
use querygate_metadata::model::Field;
use querygate_policy::filter::RowFilter;
use querygate_query_api::requests::question::{FieldDescription, PATH_STEPS_MAX, RELATED_OBJECTS_MAX};
use querygate_types::Result;
use querygate_types::vendor::VendorCode;
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A reference, and the object that it leads to.
#[derive(Clone, Copy)]
struct Step<'a> {
    reference: &'a Field,
    related: &'a VisibleObject,
    key: &'a Field,
    /// The reference and the key are whole numbers of two widths.
    has_two_widths: bool,
}

/// An object that is joined.
struct JoinedObject<'a> {
    /// The references that lead to it, with dots between them.
    path: String,
    related: &'a VisibleObject,
    key: &'a Field,
    has_two_widths: bool,
    /// What is read of it.
    fields: BTreeSet<&'a str>,
}

/// What a question's names are to its reader. Related fields that were named so far are read with the rows.
pub(super) struct NamedFields<'a> {
    rights: &'a PrincipalRights,
    visible: &'a VisibleObject,
    /// Names may be paths.
    follows: bool,
    joined: RefCell<Vec<JoinedObject<'a>>>,
}

impl<'a> NamedFields<'a> {
    pub(super) fn new(rights: &'a PrincipalRights, visible: &'a VisibleObject, follows: bool) -> Self {
        Self { rights, visible, follows, joined: RefCell::default() }
    }

    pub(super) fn visible(&self) -> &'a VisibleObject {
        self.visible
    }

    /// What a name is to the reader.
    pub(super) fn standing(&self, name: &str) -> Standing<'a> {
        match (standing(self.visible, name), name.rsplit_once('.')) {
            (Standing::Absent, Some((path, field))) if self.follows => self.related(path, field),
            (own, _) => own,
        }
    }

    /// The field that groups or is aggregated.
    ///
    /// # Errors
    /// As of [`open`](super::object::open).
    pub(super) fn open(&self, name: &str, code: VendorCode) -> Result<&'a Field> {
        opened(self.standing(name), self.visible, name, code)
    }

    fn related(&self, path: &str, name: &str) -> Standing<'a> {
        if path.split('.').count() > PATH_STEPS_MAX {
            return Standing::Absent;
        }
        let (mut steps, mut visible) = (Vec::new(), self.visible);
        for reference in path.split('.') {
            let reference = match standing(visible, reference) {
                Standing::Open(reference) => reference,
                hidden @ Standing::Guarded(_) => return hidden,
                Standing::Computed(_) | Standing::Absent => return Standing::Absent,
            };
            let Some(step) = self.step(visible, reference) else { return Standing::Absent };
            visible = step.related;
            steps.push(step);
        }
        let found = standing(visible, name);
        if let Standing::Open(field) = found {
            self.join(&steps, &field.name);
        }
        found
    }

    /// Where a reference to one record leads, if the reader sees that object and its key.
    fn step(&self, visible: &VisibleObject, reference: &'a Field) -> Option<Step<'a>> {
        let target = reference.reference.as_ref().filter(|_| reference.field_type.is_reference())?;
        let related = self.rights.objects().iter().find(|other| other.object.name == *target)?;
        let Standing::Open(key) = standing(related, &related.object.referenced_field()?.name) else { return None };
        let (own, others) = (type_of(visible, reference)?, type_of(related, key)?);
        let has_two_widths = own != others;
        let is_joined = !has_two_widths || own.is_signed_integer() && others.is_signed_integer();
        is_joined.then_some(Step { reference, related, key, has_two_widths })
    }

    fn join(&self, steps: &[Step<'a>], field: &'a str) {
        let mut joined = self.joined.borrow_mut();
        let mut path = String::new();
        for (at, step) in steps.iter().enumerate() {
            let Step { reference, related, key, has_two_widths } = *step;
            if at > 0 {
                path.push('.');
            }
            path.push_str(&reference.name);
            let known = joined.iter().position(|own| own.path == path).unwrap_or_else(|| {
                let (path, fields) = (path.clone(), BTreeSet::from([key.name.as_str()]));
                joined.push(JoinedObject { path, related, key, has_two_widths, fields });
                joined.len() - 1
            });
            let read = steps.get(at + 1).map_or(field, |next| next.reference.name.as_str());
            if let Some(known) = joined.get_mut(known) {
                known.fields.insert(read);
            }
        }
    }

    /// The column of a name in the rows. That of a path has no dot: what stands before one is taken for a table's name.
    pub(super) fn column(&self, name: &str) -> String {
        match self.visible.object.field(name) {
            Some(_) => name.to_owned(),
            None => name.replace('.', "/"),
        }
    }

    /// A filter of names over their columns.
    pub(super) fn over_columns<'f>(&self, filter: &'f RowFilter) -> Cow<'f, RowFilter> {
        match self.joined.borrow().is_empty() {
            true => Cow::Borrowed(filter),
            false => Cow::Owned(renamed(filter.clone(), &|name| self.column(name))),
        }
    }

    /// A field as doors describe it: one of the object, or one that a path leads to.
    pub(super) fn described(&self, name: &str) -> Option<Arc<FieldDescription>> {
        let of = |visible: &VisibleObject, name: &str| {
            let field = visible.object.field(name)?;
            Some(Arc::new(describe_field(visible, field)))
        };
        let of_path = || {
            let (path, field) = name.rsplit_once('.')?;
            let joined = self.joined.borrow();
            let related = joined.iter().find(|own| own.path == path)?.related;
            of(related, field)
        };
        of(self.visible, name).or_else(of_path)
    }

    /// The object's rows with the related fields beside them. Each row stands there once, with or without related records.
    ///
    /// # Errors
    /// `INVALID_QUERY` of too many related objects.
    pub(super) fn rows(&self) -> Result<LogicalPlanBuilder> {
        let joined = self.joined.borrow();
        if joined.len() > RELATED_OBJECTS_MAX {
            return Err(query(format!("at most {RELATED_OBJECTS_MAX} related objects are taken")));
        }
        joined.iter().try_fold(scan(self.visible)?, |rows, own| {
            let column = |name: &str| self.column(&format!("{}.{name}", own.path));
            let shown: Vec<Expr> = own.fields.iter().map(|name| named(name).alias(column(name))).collect();
            let table = scan(own.related)?.alias(TableReference::bare(column(""))).map_err(internal)?;
            let table = table.project(shown).and_then(LogicalPlanBuilder::build).map_err(internal)?;
            let side = |column: &str| match own.has_two_widths {
                true => cast(named(column), DataType::Int64),
                false => named(column),
            };
            let equal = side(&self.column(&own.path)).eq(side(&column(&own.key.name)));
            rows.join_on(table, JoinType::Left, [equal]).map_err(internal)
        })
    }
}

fn type_of(visible: &VisibleObject, field: &Field) -> Option<DataType> {
    let schema = visible.table.schema();
    schema.field_with_name(&field.name).ok().map(|column| column.data_type().clone())
}
