//! Which values are the same, and plans that are kept for any.

use super::catalog_plans::kept_of_catalog;
use super::*;
use crate::testing::{Reader, Shop, on_runtime};
use arrow::array::{ArrayRef, StringArray};

fn arguments(values: &[(ScalarValue, Value)]) -> Arguments {
    let (scalars, values) = values.iter().cloned().unzip();
    Arguments::new(scalars, values).unwrap()
}

fn text(value: &str) -> (ScalarValue, Value) {
    (ScalarValue::from(value), Value::text(value))
}

fn number(value: i32) -> (ScalarValue, Value) {
    (ScalarValue::Int32(Some(value)), Value::Int32(value))
}

fn first(ties: &Ties, id: &str) -> String {
    ties.first(Placeholder { id: id.to_owned(), field: None }).id
}

#[test]
fn the_first_of_equal_values_stands_for_all() {
    let none = Ties::of(&arguments(&[text("a"), number(1), text("b")]));
    assert_eq!(none, Ties::default());
    assert_eq!(first(&none, "$3"), "$3");
    let values = arguments(&[text("a"), number(1), text("a"), number(1), text("a"), text("1")]);
    let tied = Ties::of(&values);
    let firsts: Vec<String> = (1..=6).map(|number| first(&tied, &format!("${number}"))).collect();
    assert_eq!(firsts, ["$1", "$2", "$1", "$2", "$1", "$6"]);
    assert!(!tied.miss(values.values()));
    // No parameter of the statement, and one that has a name.
    assert_eq!((first(&tied, "$7"), first(&tied, "$a"), first(&tied, "$0")), ("$7".into(), "$a".into(), "$0".into()));
    // Of other values the same ones are tied, or others.
    assert_eq!(tied, Ties::of(&arguments(&[text("x"), number(7), text("x"), number(7), text("x"), text("7")])));
    assert_ne!(tied, Ties::of(&arguments(&[text("x"), number(7), text("x"), number(8), text("x"), text("7")])));
}

#[test]
fn values_that_are_the_same_to_a_fragment_alone_are_missed() {
    let view = (ScalarValue::Utf8View(Some("a".into())), Value::text("a"));
    let values = arguments(&[text("a"), view]);
    let ties = Ties::of(&values);
    assert_eq!(ties, Ties::default());
    assert!(ties.miss(values.values()));
}

#[test]
fn many_values_are_not_tied() {
    let differing: Vec<_> = (0..=i32::try_from(TIES_MAX).unwrap()).map(number).collect();
    let mut equal = differing.clone();
    equal[9] = number(0);
    let (differing, equal) = (arguments(&differing), arguments(&equal));
    assert_eq!((Ties::of(&differing), Ties::of(&equal)), (Ties::default(), Ties::default()));
    assert!(!Ties::default().miss(differing.values()) && Ties::default().miss(equal.values()));
}

#[test]
fn a_kept_plan_with_ranges_is_looked_at_less_and_less() {
    let looked_at: Vec<u32> = (1..=1_024).filter(|run| is_looked_at(*run)).collect();
    assert_eq!(looked_at, [32, 64, 128, 256, 512, 768, 1_024]);
    // Where the count of runs has come round, too.
    assert!(is_looked_at(0) && !is_looked_at(u32::MAX));
}

/// The rows of a statement with texts for its parameters, by its plan that is kept for any. `None`: none is kept.
fn rows_by_kept_plan(reader: &Reader, sql: &str, runs: &[&str]) -> Option<Vec<Vec<String>>> {
    let bound = reader.bind(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    let state = Arc::new(with_config(&reader.state, crate::bind::workspace::plan_briefly));
    let values = |text: &&str| {
        let given: Vec<ArrayRef> =
            bound.planned_types().map(|_| Arc::new(StringArray::from(vec![*text])) as ArrayRef).collect();
        Arguments::of_gate(bound.values(&given).unwrap()).unwrap()
    };
    let values: Vec<Arguments> = runs.iter().map(values).collect();
    let plans = on_runtime(async move {
        let (renewable, _) = kept_of_catalog(&bound, &state, values.first()?).await?;
        let filters = renewable.fresh_filters();
        let of = |run: &Arguments| renewable.over(Vec::new(), &filters, run).unwrap();
        Some(values.iter().map(of).collect::<Vec<_>>())
    });
    Some(plans?.into_iter().map(|plan| reader.run(plan).unwrap()).collect())
}

#[test]
fn plans_of_the_catalog_are_kept_for_any_values() {
    let reader = Shop::open().owner();
    let oid =
        |name: &str| reader.rows(&format!("SELECT oid FROM pg_class WHERE relname = '{name}'")).unwrap().remove(0);
    let (accounts, visits) = (oid("accounts"), oid("visits"));
    let objects = [accounts.trim(), visits.trim(), "1"];
    for (sql, runs) in [
        ("SELECT relname, pg_get_expr(relpartbound, oid) FROM pg_class WHERE oid = $1", objects),
        (
            "SELECT c.relname, n.nspname FROM pg_class c LEFT JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relname ~ $1 ORDER BY 2, 1",
            ["^(accounts)$", "s$", "^x"],
        ),
        (
            "SELECT a.attname, (SELECT c.collname FROM pg_collation c WHERE c.oid = a.attcollation), $2 || 'x' FROM pg_attribute a \
             WHERE a.attrelid = $1 AND a.attnum > 0 ORDER BY a.attnum",
            objects,
        ),
        ("SELECT conname, $2::regclass FROM pg_constraint WHERE conrelid = $1 AND contype = 'f' ORDER BY 1", objects),
        ("SELECT 1 FROM pg_class WHERE relname = 'accounts' AND pg_relation_is_publishable($1)", objects),
        (
            "SELECT c2.relname, i.indisprimary FROM pg_class c, pg_class c2, pg_index i WHERE c.oid = $1 AND c.oid = i.indrelid AND i.indexrelid = c2.oid",
            objects,
        ),
        (
            "SELECT conname, conrelid::pg_catalog.regclass AS ontable, pg_catalog.pg_get_constraintdef(oid, true) AS condef              FROM pg_catalog.pg_constraint c WHERE confrelid IN (SELECT pg_catalog.pg_partition_ancestors($1)              UNION ALL VALUES ($2::pg_catalog.regclass)) AND contype = 'f' AND conparentid = 0 ORDER BY conname",
            objects,
        ),
        (
            "SELECT relname, (SELECT string_agg(attname, ', ' ORDER BY attname) FROM generate_series(0, c.relnatts) s, pg_attribute \
             WHERE attrelid = c.oid AND attnum = s) FROM pg_class c WHERE c.oid = $1",
            objects,
        ),
        ("SELECT count(*) FROM pg_attribute WHERE attrelid = $1 HAVING count(*) > 1", objects),
    ] {
        let kept = rows_by_kept_plan(&reader, sql, &runs).unwrap_or_else(|| panic!("{sql} is not kept"));
        for (run, kept) in runs.iter().zip(kept) {
            let written = sql.replace("$1", &format!("'{run}'")).replace("$2", &format!("'{run}'"));
            assert_eq!(kept, reader.rows(&written).unwrap(), "{written}");
        }
    }
    // Read where subqueries run for each row, in rows of values, and in what is computed of whole groups.
    for sql in [
        "SELECT (SELECT b.relname FROM pg_class b WHERE b.oid > c.oid AND b.relname ~ $1 ORDER BY 1 LIMIT 1) FROM pg_class c",
        "SELECT relname FROM pg_class WHERE oid IN (VALUES ($1::regclass), ($2::regclass))",
        "SELECT string_agg(relname, $1) FROM pg_class",
        // What it is decides a type.
        "SELECT round(1.2345::numeric, $1::int) FROM pg_class",
        "SELECT ($1::\"char\")::text FROM pg_class WHERE $1 IS NOT NULL",
    ] {
        assert_eq!(rows_by_kept_plan(&reader, sql, &["1"]), None, "{sql}");
    }
}
