//! Tables that change between two looks, under each policy.

use super::*;
use querygate_driver_api::identifier::{Identifier, TableRef};
use querygate_driver_api::value::ValueType;
use querygate_metadata::load::{LoadOptions, load_text};
use querygate_mongodb::{MongoDriver, MongoOptions};
use querygate_sqlite::{SqliteDriver, SqliteOptions};
use serde_json::json;
use std::sync::Arc;

fn object(label: &str) -> Arc<Object> {
    let stack = json!({
        "manifest": {"id": "test.a", "namespace": "a", "version": "1.0.0", "type": "app", "name": "a", "engines": {"protocol": "^17"}},
        "objects": [{"name": "a_t", "label": "t", "sharingModel": "public_read", "ownership": "none",
            "systemFields": {"audit": false}, "fields": {"n": {"type": "number", "label": label}}}],
    });
    let snapshot = load_text("stack.json", &stack.to_string(), &LoadOptions::default()).unwrap();
    Arc::clone(&snapshot.objects["a_t"])
}

/// A table whose columns have these types.
fn table(columns: &[(&str, &str)]) -> RemoteTable {
    let columns = columns.iter().map(|(name, of)| Described::new(Identifier::new(*name).unwrap(), *of, None));
    RemoteTable::new(TableRef::new(["t"]).unwrap(), columns.collect())
}

/// Columns that are served with their types, columns that are refused with the reason, and what was said since.
struct Seen {
    served: Vec<(String, ValueType)>,
    lost: Vec<String>,
    widened: Vec<String>,
    said: Vec<&'static str>,
}

struct Watcher {
    changes: Changes,
    driver: Box<dyn Driver>,
    policy: OnChange,
}

impl Watcher {
    fn new(policy: OnChange) -> Self {
        let driver = SqliteDriver::new(SqliteOptions::new("/nowhere/that/is/opened"));
        Self { changes: Changes::default(), driver: Box::new(driver), policy }
    }

    /// Over a source that describes what it saw in some rows.
    fn sampling(policy: OnChange) -> Self {
        let driver = MongoDriver::new(&MongoOptions::new("mongodb://nowhere".to_owned(), "shop"));
        Self { driver: Box::new(driver), ..Self::new(policy) }
    }

    fn differs(&self, object: &Object, columns: Option<&[(&str, &str)]>) -> bool {
        let table = columns.map(table);
        self.changes.differs(self.driver.as_ref(), object, table.as_ref())
    }

    fn look(&self, object: &Object, columns: &[(&str, &str)]) -> Seen {
        let before = self.changes.events().len();
        let fitted =
            self.changes.fitted(self.driver.as_ref(), object, &table(columns), (self.policy, BadValues::Error));
        Seen {
            served: fitted.fields.into_iter().map(|field| (field.field, field.column.value_type)).collect(),
            lost: fitted.lost.into_iter().map(|lost| lost.change).collect(),
            widened: fitted.widened.into_iter().map(|widened| widened.change).collect(),
            said: self.changes.events()[before..].iter().map(|event| event.done).collect(),
        }
    }
}

const FIRST: &[(&str, &str)] = &[("id", "TEXT"), ("n", "INTEGER")];

#[test]
fn a_column_that_no_longer_fits_is_refused_widened_or_hidden_and_comes_back() {
    let object = object("n");
    let text = [("id", "TEXT"), ("n", "TEXT")];
    for (policy, served, lost, said) in [
        (OnChange::Refuse, None, Some("was INTEGER and is TEXT"), "refused"),
        (OnChange::Widen, Some(ValueType::Text), None, "widened"),
        (OnChange::Hide, None, None, "hidden"),
    ] {
        let watcher = Watcher::new(policy);
        let first = watcher.look(&object, FIRST);
        assert_eq!(first.served.last(), Some(&("n".to_owned(), ValueType::Float64)));
        assert!(first.lost.is_empty() && first.said.is_empty());
        assert!(!watcher.differs(&object, Some(FIRST)));
        assert!(watcher.differs(&object, Some(&text)));
        for said in [vec![said], vec![]] {
            let seen = watcher.look(&object, &text);
            assert_eq!(seen.served.iter().find(|(name, _)| name == "n").map(|(_, of)| *of), served, "{policy:?}");
            assert_eq!(seen.lost.first().map(String::as_str), lost, "{policy:?}");
            let widened = served.map(|_| "was INTEGER and is TEXT");
            assert_eq!(seen.widened.first().map(String::as_str), widened, "no policy may compare it");
            assert_eq!(seen.said, said, "{policy:?}");
        }
        let back = watcher.look(&object, FIRST);
        assert_eq!((back.served.len(), back.said), (2, vec!["restored"]), "{policy:?}");
    }
}

#[test]
fn a_column_that_is_gone_is_refused_unless_it_is_to_be_hidden() {
    let object = object("n");
    for (policy, lost) in [(OnChange::Refuse, true), (OnChange::Widen, true), (OnChange::Hide, false)] {
        let watcher = Watcher::new(policy);
        let _ = watcher.look(&object, FIRST);
        let seen = watcher.look(&object, &FIRST[..1]);
        assert_eq!(seen.lost, if lost { vec!["was INTEGER and is gone".to_owned()] } else { vec![] }, "{policy:?}");
        assert_eq!((seen.served.len(), seen.said.len()), (1, 1));
    }
}

#[test]
fn what_still_fits_is_followed_and_what_was_never_there_is_not_missed() {
    let object = object("n");
    let watcher = Watcher::new(OnChange::Refuse);
    let without = watcher.look(&object, &FIRST[..1]);
    assert!(without.lost.is_empty() && without.said.is_empty());
    assert_eq!(watcher.look(&object, FIRST).said, ["served"]);
    let followed = watcher.look(&object, &[("id", "TEXT"), ("n", "REAL")]);
    assert_eq!((followed.served.len(), followed.said), (2, vec!["followed"]));
}

#[test]
fn an_edit_of_the_metadata_accepts_what_is_there_and_a_table_that_goes_is_told() {
    let watcher = Watcher::new(OnChange::Refuse);
    let _ = watcher.look(&object("n"), FIRST);
    let edited = watcher.look(&object("another"), &FIRST[..1]);
    assert!(edited.lost.is_empty() && edited.said.is_empty());
    watcher.changes.missing(&object("another"));
    watcher.changes.missing(&object("another"));
    assert!(watcher.differs(&object("another"), Some(FIRST)) && !watcher.differs(&object("another"), None));
    let said: Vec<_> = watcher.changes.events().iter().map(|event| (event.field.clone(), event.done)).collect();
    assert_eq!(said, [(None, "refused")]);
    assert_eq!(watcher.look(&object("another"), FIRST).said, ["restored"]);
}

#[test]
fn what_a_sample_shows_is_a_change_only_where_it_is_read_otherwise() {
    let object = object("n");
    let first = [("id", "string"), ("n", "int")];
    let watcher = Watcher::sampling(OnChange::Widen);
    assert!(watcher.look(&object, &first).said.is_empty());
    // Other values that read alike, and fields that nobody declared.
    let more = [("other", "date"), ("n", "double|int"), ("id", "string")];
    assert!(!watcher.differs(&object, Some(&more)));
    assert!(watcher.look(&object, &more).said.is_empty());
    assert!(watcher.differs(&object, Some(&more[..2])), "a field that is gone");
    let mixed = [("id", "string"), ("n", "int|string")];
    assert!(watcher.differs(&object, Some(&mixed)));
    let widened = watcher.look(&object, &mixed);
    assert_eq!(widened.served.last(), Some(&("n".to_owned(), ValueType::Text)));
    assert_eq!((widened.widened, widened.said), (vec!["was int and is int|string".to_owned()], vec!["widened"]));
    assert_eq!(watcher.look(&object, &first).said, ["restored"]);
}

#[test]
fn a_field_of_which_a_sample_says_nothing_stays_as_it_was() {
    let object = object("n");
    let watcher = Watcher::sampling(OnChange::Refuse);
    let _ = watcher.look(&object, &[("id", "string"), ("n", "int")]);
    let mut described = table(&[("id", "string")]);
    watcher.changes.keep(&object, &mut described);
    assert_eq!(described.columns[1].native_type, "int");
    assert!(!watcher.changes.differs(watcher.driver.as_ref(), &object, Some(&described)));
}
