//! The CEL table of the reference 6.4, with what drops out.

use super::compile;
use crate::filter::{RowFilter, RowLookup};
use crate::value::ColumnKind;
use querygate_types::Result;
use querygate_types::principal::{AttributeValue, Principal};
use serde_json::{Map, Value, json};

struct NoRelated;

impl RowLookup for NoRelated {
    fn rows_where(&self, _: &str, _: &str, _: &str) -> Result<Vec<Map<String, Value>>> {
        Ok(Vec::new())
    }
}

fn columns(name: &str) -> Option<ColumnKind> {
    match name {
        "a" | "b" | "owner" => Some(ColumnKind::Text),
        "n" | "m" => Some(ColumnKind::Number),
        "flag" => Some(ColumnKind::Boolean),
        "day" => Some(ColumnKind::Date),
        "at" => Some(ColumnKind::Timestamp),
        "tags" => Some(ColumnKind::List),
        "total" => Some(ColumnKind::Computed),
        "span" => Some(ColumnKind::ReadFromText),
        _ => None,
    }
}

fn principal() -> Principal {
    let list = |members: &[&str]| AttributeValue::List(members.iter().map(|m| (*m).to_owned()).collect());
    Principal::builder("ada")
        .user_id("u1")
        .email("ada@example.com")
        .position("manager")
        .attribute("region", AttributeValue::Text("west".to_owned()))
        .attribute("level", AttributeValue::Integer(3))
        .attribute("teams", list(&["t1", "t2"]))
        .attribute("none", list(&[]))
        .build()
}

fn bound(source: &str) -> Option<RowFilter> {
    compile(source, &columns).ok()?.bind(&principal()).ok()
}

#[test]
fn what_is_read_from_texts_is_asked_for_null_only() {
    for source in [
        "span == '1 day'",
        "span != '1 day'",
        "span < '1 day'",
        "span == a",
        "span in ['1 day']",
        "span in current_user.teams",
        "span.contains('day')",
        "span.startsWith('1')",
        "!(span.startsWith('1'))",
        "!(span == '1 day')",
    ] {
        assert!(compile(source, &columns).is_err(), "{source}");
    }
    for (source, expected) in [("span == null", true), ("span != null", false)] {
        assert_eq!(bound(source).unwrap().evaluate(&Map::new(), &NoRelated).unwrap(), expected, "{source}");
    }
}

#[test]
fn the_table_compiles() {
    for (source, row, expected) in [
        ("a == 'x'", json!({"a": "x"}), true),
        ("record.a == 'x'", json!({"a": "y"}), false),
        ("a != 'x'", json!({"a": null}), true),
        ("a != 'x'", json!({"a": "x"}), false),
        ("a == null", json!({}), true),
        ("a != null", json!({}), false),
        ("null == a", json!({"a": "x"}), false),
        ("n < 5", json!({"n": 4}), true),
        ("n < 5", json!({"n": null}), false),
        ("!(n < 5)", json!({"n": null}), true),
        ("5 > n", json!({"n": 4}), true),
        ("5 >= n", json!({"n": 6}), false),
        ("n == -1", json!({"n": -1}), true),
        ("n == 1.5", json!({"n": 1.5}), true),
        ("n == 1.0", json!({"n": 1}), true),
        ("n == m", json!({"n": 1, "m": 1}), true),
        ("n != m", json!({"n": 1, "m": null}), true),
        ("n == m", json!({"n": null, "m": null}), false),
        ("a in ['x', 'y']", json!({"a": "y"}), true),
        ("a in ['x', 'y']", json!({"a": null}), false),
        ("!(a in ['x', 'y'])", json!({"a": null}), true),
        ("owner == current_user.id", json!({"owner": "u1"}), true),
        ("owner == current_user.id", json!({"owner": "u2"}), false),
        ("current_user.email == a", json!({"a": "ada@example.com"}), true),
        ("a in current_user.positions", json!({"a": "manager"}), true),
        ("a in current_user.teams", json!({"a": "t3"}), false),
        ("a == current_user.region", json!({"a": "west"}), true),
        ("n <= current_user.level", json!({"n": 3}), true),
        ("a.startsWith('we')", json!({"a": "west"}), true),
        ("a.endsWith('st')", json!({"a": "WEST"}), false),
        ("a.contains(current_user.region)", json!({"a": "northwest"}), true),
        ("!a.contains('x')", json!({"a": null}), true),
        ("tags.contains('t')", json!({"tags": ["s", "t"]}), true),
        ("tags == null", json!({"tags": null}), true),
        ("a == 'x' && n > 1 || flag == true", json!({"a": "x", "n": 2, "flag": false}), true),
        ("a == 'x' && (n > 1 || flag == true)", json!({"a": "y", "n": 2, "flag": true}), false),
        ("true", json!({}), true),
        ("1 == 1", json!({}), true),
        ("!(1 == 2)", json!({}), true),
        ("1 == 1.0 && 'a' < 'b'", json!({}), true),
        ("a == 'x' && true", json!({"a": "x"}), true),
        ("a = 'x'", json!({"a": "x"}), true),
        ("a IN ('x', 'y')", json!({"a": "x"}), true),
        ("a IN (current_user.teams)", json!({"a": "t1"}), true),
        ("day <= '2026-01-02'", json!({"day": "2026-01-02"}), true),
        ("at <= '2026-01-02'", json!({"at": "2026-01-02T23:00:00.000Z"}), true),
        ("at < '2026-01-02'", json!({"at": "2026-01-02T00:00:00.000Z"}), false),
        ("n == '1'", json!({"n": 1}), true),
        ("flag != 1", json!({"flag": false}), true),
        ("flag == 'true'", json!({"flag": true}), true),
        ("!(flag in ['0', false])", json!({"flag": true}), true),
    ] {
        let filter = bound(source).unwrap_or_else(|| panic!("{source} dropped out"));
        assert_eq!(filter.evaluate(row.as_object().unwrap(), &NoRelated).unwrap(), expected, "{source} on {row}");
        let simplified = filter.simplify();
        assert_eq!(simplified.evaluate(row.as_object().unwrap(), &NoRelated).unwrap(), expected, "{source} on {row}");
    }
}

#[test]
fn what_the_table_does_not_name_drops_out() {
    for source in [
        "",
        "a ==",
        "false",
        "1 == 2",
        "!true",
        "a",
        "flag",
        "'x'",
        "null",
        "a == 'x' AND b == 'y'",
        "a LIKE 'x%'",
        "a IS NULL",
        "a <> 'x'",
        "a.matches('x')",
        "size(a) == 1",
        "a + 'x' == 'y'",
        "n + 1 == 2",
        "flag ? true : false",
        "a.b == 'x'",
        "record.a.b == 'x'",
        "has(record.a)",
        "record['a'] == 'x'",
        "missing == 'x'",
        "missing == null",
        "a == missing",
        "'manager' in current_user.positions",
        "current_user.id == 'u1'",
        "'x' in tags",
        "tags == 'x'",
        "tags in ['x']",
        "total == 'x'",
        "total == null",
        "a in []",
        "a in ['x', null]",
        "a in [b]",
        "a in 'x'",
        "a < null",
        "n == a",
        "a == current_user.phone",
        "a == current_user",
        "a != current_user",
        "a == current_user.organization_id",
        "a in current_user.none",
        "a in current_user.phone",
        "a in current_user.id",
        "a == current_user.teams",
        "a.startsWith(b)",
        "a.startsWith(1)",
        "day.contains('2026')",
        "a == 'x' || missing == 1",
        "a == 'x' || b == current_user.phone",
        "os.user.id == a",
        "[1].exists(x, x == 1)",
        "a == b'x'",
        "a == current_user.org.id",
    ] {
        assert_eq!(bound(source), None, "{source}");
    }
}

/// Negated, a comparison that can hold for no row would hold for all.
#[test]
fn what_is_not_of_the_columns_type_drops_out_however_it_is_negated() {
    let unfit = [
        ("n", &["'abc'", "''", "'0x1'", "true", "current_user.region"][..]),
        ("flag", &["'yes'", "''", "2", "current_user.region", "current_user.level"]),
        ("day", &["'garbage'", "'2026-02-30'", "20260101", "true", "current_user.region"]),
        ("at", &["'x'", "5", "current_user.region"]),
        ("a", &["true"]),
    ];
    for (column, value) in unfit.iter().flat_map(|(column, values)| values.iter().map(move |value| (column, value))) {
        for op in ["==", "!=", "<", "<=", ">", ">="] {
            for source in [
                format!("{column} {op} {value}"),
                format!("!({column} {op} {value})"),
                format!("{value} {op} {column}"),
                format!("a == 'x' || {column} {op} {value}"),
            ] {
                assert_eq!(bound(&source), None, "{source}");
            }
        }
        if !value.starts_with("current_user") {
            assert_eq!(bound(&format!("{column} in [{value}]")), None, "{column} in [{value}]");
        }
    }
    for source in [
        "!(n in ['abc'])",
        "!(n in [1, 'abc'])",
        "!(n in current_user.positions)",
        "!(flag in current_user.teams)",
        "!(day in current_user.teams)",
        "!n.startsWith('9')",
        "!n.contains('9')",
        "!flag.contains('t')",
        "!at.endsWith('Z')",
        "!tags.startsWith('x')",
    ] {
        assert_eq!(bound(source), None, "{source}");
    }
}

#[test]
fn principals_with_equal_policies_share_a_shape() {
    let template = compile("owner == current_user.id && a in current_user.teams", &columns).unwrap();
    let other = Principal::builder("bo")
        .attribute("teams", AttributeValue::List(vec!["t8".to_owned(), "t9".to_owned()]))
        .build();
    let (mine, theirs) = (template.bind(&principal()).unwrap(), template.bind(&other).unwrap());
    assert_ne!(mine, theirs);
    assert_eq!(mine.shape_fingerprint(), theirs.shape_fingerprint());
    assert_eq!(mine.parameters().len(), 3);
}

#[test]
fn hostile_sizes_drop_out_or_compile_but_never_overflow() {
    let chain_of = |n: usize, link: &str| format!("a{}", link.repeat(n));
    let deep = |n: usize| format!("{}a == 'x'{}", "(".repeat(n), ")".repeat(n));
    assert!(bound(&deep(24)).is_some());
    assert!(bound(&format!("{}(a == 'x')", "!".repeat(40))).is_some());
    assert_eq!(bound(&chain_of(40, " == 1")), None);
    let chain = |link: &str| chain_of(3_000, link);
    for source in [
        deep(3_000),
        format!("{}(a == 'x')", "!".repeat(3_000)),
        format!("a == '{}'", "x".repeat(20_000)),
        "[".repeat(3_000),
        "{".repeat(3_000),
        "f(".repeat(3_000),
        "a.x(".repeat(3_000),
        "a == 1 && (".repeat(1_000),
        "a == (1) && ".repeat(1_000),
        "!a && ".repeat(2_000),
        "- - ".repeat(3_000),
        "'".repeat(3_000),
        chain(".a"),
        chain(".a()"),
        chain("[0]"),
        chain(" + 1"),
        chain(" == 1"),
        chain(" ? 1 : a"),
        chain(" in a"),
    ] {
        assert_eq!(bound(&source), None);
    }
    let wide = vec!["a == 'x'"; 800].join(" || ");
    assert_eq!(bound(&wide).map(RowFilter::simplify), bound("a == 'x'"));
}

#[test]
fn what_stands_in_place_of_a_column_is_named() {
    for (source, reason) in [
        ("string(n) == '1'", "'string' is neither a column, a literal nor a variable"),
        ("n + 1 == 8", "'+' is neither a column, a literal nor a variable"),
        ("n % 2 == 1", "'%' is neither a column, a literal nor a variable"),
        ("size(current_user.teams) > 1", "'size' is neither a column, a literal nor a variable"),
        ("owner.name == 'a'", "a path to 'name' is neither a column, a literal nor a variable"),
        ("has(record.a)", "a value that is no comparison cannot be compiled"),
        ("a.matches('x')", "'matches' cannot be compiled"),
        ("not(a == 'x')", "'not' cannot be compiled: write ! for it"),
        ("a == 'x' AND b == 'y'", "expression is not valid CEL: write && for 'AND'"),
        ("a <> 'x'", "expression is not valid CEL: write != for '<>'"),
    ] {
        assert_eq!(compile(source, &columns).unwrap_err().text, reason, "{source}");
    }
}
