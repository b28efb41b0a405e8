//! What the answer to a question depends on: its own object's rows, and whatever decides which of them its reader sees. Reads no row.

use arrow::datatypes::DataType;
use querygate_catalog::rights::PrincipalRights;
use querygate_events::Objects;
use querygate_metadata::model::HookEvent;
use querygate_policy::RowFilter;
use querygate_policy::filter::Test;
use querygate_query_api::requests::tracking::Tracking;
use querygate_types::{Error, ErrorCode, Result};
use std::collections::BTreeSet;

/// What the answer to a question depends on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Dependencies {
    /// The field by which single records of the object can be asked for again; `None`: all of them are asked for.
    pub(super) key: Option<String>,
    /// Objects of which any change may change any of the answer.
    pub(super) whole: BTreeSet<String>,
}

impl Dependencies {
    pub(super) fn of(rights: &PrincipalRights, tracking: &Tracking) -> Self {
        let mut whole: BTreeSet<String> = tracking.related.iter().cloned().collect();
        let policies = &rights.deployment().policies;
        let mut key = None;
        for visible in rights.objects() {
            let name = &visible.object.name;
            let is_own = *name == tracking.object;
            if !is_own && !tracking.related.contains(name) {
                continue;
            }
            // Masters and shares decide by rows of other objects.
            related_of(visible.decision.row_filter(), &mut whole);
            // Hooks of reads look at an answer as a whole.
            let has_hooks = [HookEvent::BeforeFind, HookEvent::AfterFind];
            let has_hooks = has_hooks.into_iter().any(|event| !policies.hooks(name, event).is_empty());
            let is_open = |key: &String| {
                !visible.decision.hidden_fields().contains(key) && !visible.decision.masks().contains_key(key)
            };
            if is_own && !has_hooks {
                key = visible.object.referenced_field().map(|field| field.name.clone()).filter(is_open);
            }
        }
        let key = key.filter(|_| !whole.contains(&tracking.object));
        Self { key, whole }
    }

    /// # Errors
    /// 0A000: no events are kept of something of it.
    pub(super) fn are_kept(&self, tracking: &Tracking, objects: &Objects) -> Result<()> {
        let refused = |text: String| {
            let hint = "An operator names the objects of which events are kept in [events]; what is asked again every few \
                        seconds needs none.";
            Err(Error::new(ErrorCode::FeatureNotSupported, text).with_hint(hint))
        };
        if tracking.is_partial {
            return Ok(());
        }
        if !objects.has(&tracking.object) {
            return refused(format!("no events are kept of object '{}'", tracking.object));
        }
        // What else there is the reader need not know.
        match self.whole.iter().all(|name| objects.has(name)) {
            true => Ok(()),
            false => refused("no events are kept of something that the answer depends on".to_owned()),
        }
    }
}

/// The objects whose rows a filter asks for.
fn related_of(filter: &RowFilter, found: &mut BTreeSet<String>) {
    match filter {
        RowFilter::All | RowFilter::Nothing => {}
        RowFilter::And(members) | RowFilter::Or(members) => members.iter().for_each(|member| related_of(member, found)),
        RowFilter::Not(inner) => related_of(inner, found),
        RowFilter::Test(Test::InRelated { object, filter, .. }) => {
            found.insert(object.clone());
            related_of(filter, found);
        }
        RowFilter::Test(
            Test::Compare { .. }
            | Test::CompareColumns { .. }
            | Test::In { .. }
            | Test::IsNull { .. }
            | Test::Text { .. }
            | Test::ListContains { .. }
            | Test::HasElements { .. },
        ) => {}
    }
}

/// Whether a key's values have one spelling, here and in answers.
pub(super) fn has_one_spelling(of: &DataType) -> bool {
    matches!(
        of,
        DataType::Utf8
            | DataType::LargeUtf8
            | DataType::Utf8View
            | DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::UInt8
            | DataType::UInt16
            | DataType::UInt32
            | DataType::UInt64
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_found_at_any_depth() {
        let related = |object: &str, filter: RowFilter| {
            let (column, select) = ("deal".to_owned(), "id".to_owned());
            RowFilter::Test(Test::InRelated { column, object: object.to_owned(), filter: Box::new(filter), select })
        };
        let inner = RowFilter::Not(Box::new(related("c", RowFilter::All)));
        let filter = RowFilter::Or(vec![related("a", RowFilter::All), RowFilter::And(vec![related("b", inner)])]);
        let mut found = BTreeSet::new();
        related_of(&filter, &mut found);
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["a", "b", "c"]);
    }
}
