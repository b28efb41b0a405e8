//! Which values are the same.

use super::*;

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
