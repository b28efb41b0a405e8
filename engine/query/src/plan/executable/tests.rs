//! Tests of plans: what goes where, what is kept with its binding, and what receipts hold.

use super::*;
use crate::bind::workspace::{plan_briefly, with_config};
use crate::plan::planning::{PlanOptions, Planning};
use crate::testing::{Shop, on_runtime};

fn planned(sql: &str, require_pushdown: bool) -> Result<Executable> {
    let reader = Shop::open().clerk();
    let (bound, state) = (reader.bind(sql)?, Arc::clone(&reader.state));
    let options = PlanOptions { require_pushdown, ..PlanOptions::default() };
    on_runtime(async move { Planning::of(&bound, &state, &[], options)?.plan(&bound, &state).await })
}

async fn planned_anew(bound: &Bound, state: &Arc<SessionState>) -> Executable {
    let planning = Planning::of(bound, state, &[], PlanOptions::default()).unwrap();
    planning.plan(bound, state).await.unwrap()
}

/// A statement of one source is sent there whole; of parts of it only those that the source runs.
#[test]
fn what_goes_where() {
    for (sql, whole, sources) in [
        ("SELECT count(*) FROM accounts", true, "crm"),
        ("SELECT a.id FROM accounts a JOIN orders o ON o.account_id = a.id", true, "crm"),
        ("SELECT v.id FROM visits v JOIN accounts a ON a.id = v.account_id", false, "crm"),
        ("SELECT email FROM accounts", false, "crm"),
        ("SELECT id FROM visits", false, ""),
        ("SELECT 1", false, ""),
    ] {
        let executable = planned(sql, false).unwrap();
        assert_eq!((executable.logical().is_none(), executable.pushed_to().as_str()), (whole, sources), "{sql}");
        assert!(executable.is_default() && executable.chosen().is_none(), "{sql}");
    }
}

/// Found once, kept: the second run needs no planning, and asks the source the same.
#[test]
fn a_whole_statement_is_kept_with_its_binding() {
    let reader = Shop::open().clerk();
    let bound = Arc::new(reader.bind("SELECT count(*) FROM accounts").unwrap());
    assert!(ready(&bound, &[], None).unwrap().is_none(), "nobody found it yet");
    assert!(call(&bound, &[]).unwrap().is_none(), "no leaf of it was walked");
    let again = || {
        let (bound, state) = (Arc::clone(&bound), Arc::clone(&reader.state));
        on_runtime(async move { planned_anew(&bound, &state).await })
    };
    assert!(!again().cached());
    assert!(again().cached());
    let kept = ready(&bound, &[], None).unwrap().unwrap();
    assert_eq!(reader.run(Arc::clone(kept.physical())).unwrap(), ["4"]);
    let (call, records) = call(&bound, &[]).unwrap().unwrap();
    assert_eq!((call.source(), records.len()), ("crm", 1));
}

/// The engine computes subqueries once that it takes for the same, and it knows tables by their names alone.
#[test]
fn subqueries_that_differ_by_a_value_are_two() {
    let reader = Shop::open().owner();
    let count = |rating: &str| format!("(SELECT count(*) FROM accounts WHERE rating {rating})");
    let alone: Vec<String> = ["> 1", "= 5", "> 9"]
        .iter()
        .flat_map(|rating| reader.rows(&format!("SELECT {}", count(rating))).unwrap())
        .collect();
    assert!(alone[0] != alone[1] && alone[1] != alone[2], "{alone:?}");
    let sql = format!("SELECT {}, {}, {}, max(score) FROM visits", count("> 1"), count("= 5"), count("> 9"));
    let together = reader.rows(&sql).unwrap();
    assert!(together[0].starts_with(&alone.join("|")), "{together:?} {alone:?}");
    let sql = format!("SELECT id FROM visits WHERE score > {} - 100 AND score < {}", count("> 1"), count("= 5"));
    let apart =
        reader.rows(&format!("SELECT id FROM visits WHERE score > {} - 100 AND score < {}", alone[0], alone[1]));
    assert_eq!(reader.rows(&sql).unwrap(), apart.unwrap());
}

/// A statement that asks for the moment is planned anew each time.
#[test]
fn a_statement_of_its_moment_is_not_kept() {
    let reader = Shop::open().owner();
    let bound = Arc::new(reader.bind("SELECT id FROM orders WHERE placed < current_date").unwrap());
    let (again, state) = (Arc::clone(&bound), Arc::clone(&reader.state));
    let executable = on_runtime(async move { planned_anew(&again, &state).await });
    assert!(!executable.cached() && bound.whole_found().is_none());
    assert!(ready(&bound, &[], None).unwrap().is_none());
}

#[test]
fn what_could_have_been_pushed_and_was_not_is_an_error_on_request() {
    for (sql, admitted) in [
        ("SELECT count(*) FROM accounts", true),
        ("SELECT id FROM orders WHERE stage = 'won'", true),
        ("SELECT id, row_number() OVER (ORDER BY id) FROM accounts", false),
    ] {
        match planned(sql, true) {
            Ok(_) => assert!(admitted, "{sql}"),
            Err(error) => assert_eq!((admitted, error.code()), (false, ErrorCode::PushdownRequired), "{sql}"),
        }
        assert!(planned(sql, false).is_ok(), "{sql}");
    }
}

/// Receipts name what went where, and no value; native texts are for those who may read policies.
#[test]
fn receipts_hold_no_value() {
    let sql = "SELECT v.id FROM visits v JOIN accounts a ON a.id = v.account_id WHERE a.name <> 'secret-name' AND v.score > 77123";
    let executable = planned(sql, false).unwrap();
    let (open, full) =
        (crate::plan::receipts::lines(&executable, false), crate::plan::receipts::lines(&executable, true));
    for line in open.iter().chain(&full) {
        assert!(!line.contains("secret-name") && !line.contains("77123"), "{line}");
    }
    let native = |lines: &[String]| lines.iter().any(|line| line.contains("SELECT"));
    assert!(native(&full) && !native(&open), "{full:#?}");
    assert!(!open.iter().any(|line| line.contains("secret")), "the policy's column: {open:#?}");
    assert_eq!(executable.records().iter().map(|record| record.source.as_str()).collect::<Vec<_>>().len(), 2);
}

/// Values of each type that fragments take, and none of a type that they do not have.
#[test]
fn placeholders_are_values_of_fragments() {
    let values = [
        (ScalarValue::Int32(Some(1)), Some(Value::Int32(1))),
        (ScalarValue::Boolean(Some(true)), Some(Value::Boolean(true))),
        (ScalarValue::Utf8(Some("a".to_owned())), Some(Value::text("a"))),
        (ScalarValue::Decimal128(Some(15), 5, 1), Some(Value::Decimal128 { value: 15, precision: 5, scale: 1 })),
        (ScalarValue::Date32(Some(3)), Some(Value::Date(3))),
        (ScalarValue::DurationSecond(Some(1)), None),
    ];
    for (value, expected) in values {
        let found = placeholders(std::slice::from_ref(&value)).unwrap();
        assert_eq!(found, expected.map(|value| vec![value]), "{value:?}");
    }
}

/// Statements of the catalog are planned in one round of rules, which may leave what two rounds would not.
#[test]
fn a_brief_plan_joins_by_keys() {
    let mut reader = Shop::open().owner();
    reader.state = Arc::new(with_config(&reader.state, plan_briefly));
    for sql in [
        "SELECT * FROM (SELECT c.oid, a.attrelid, a.attname FROM pg_class c, pg_attribute a) s WHERE s.oid = s.attrelid",
        "SELECT * FROM pg_class c CROSS JOIN pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid \
         WHERE c.oid = a.attrelid",
    ] {
        let plan = Arc::clone(reader.plan(sql).unwrap().physical());
        let text = datafusion::physical_plan::displayable(plan.as_ref()).indent(false).to_string();
        assert!(text.contains("HashJoinExec") && !text.contains("NestedLoopJoinExec"), "{sql}\n{text}");
        assert!(!reader.run(plan).unwrap().is_empty(), "{sql}");
    }
    let unequal = "SELECT * FROM pg_class c, pg_namespace n WHERE c.relname < n.nspname";
    assert!(!reader.rows(unequal).unwrap().is_empty());
}
