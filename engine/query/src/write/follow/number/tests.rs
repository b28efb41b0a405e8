//! Tests of autonumbers: one more than the highest, none left out and none twice.

use crate::testing::Yard;
use std::collections::BTreeSet;

#[test]
fn new_rows_have_the_next_numbers() {
    let yard = Yard::new();
    yard.owner().says(&[
        ("INSERT INTO tokens (id) VALUES ('a') RETURNING number", "T-008"),
        ("INSERT INTO tokens (id) VALUES ('b'), ('c') RETURNING number", "T-009; T-010"),
        ("INSERT INTO tokens (id) SELECT id FROM notes ORDER BY id RETURNING number", "T-011; T-012; T-013"),
    ]);
}

/// A number that was not stored is given again: numbers are those of rows.
#[test]
fn a_refused_row_takes_no_number() {
    let yard = Yard::new();
    let owner = yard.owner();
    yard.refuses(&owner, &[("INSERT INTO tokens (id) VALUES ('a'), ('t1')", "23505")]);
    owner.says(&[
        ("BEGIN", "BEGIN"),
        ("INSERT INTO tokens (id) VALUES ('a') RETURNING number", "T-008"),
        ("ROLLBACK", "ROLLBACK"),
        ("INSERT INTO tokens (id) VALUES ('b') RETURNING number", "T-008"),
        ("DELETE FROM tokens WHERE id = 't7'", "DELETE 1"),
        ("INSERT INTO tokens (id) VALUES ('c') RETURNING number", "T-009"),
    ]);
}

/// A number of a row that is gone is not given again, however many rows are left.
#[test]
fn a_number_is_not_given_again() {
    let yard = Yard::new();
    yard.owner().says(&[
        ("INSERT INTO tokens (id) VALUES ('a') RETURNING number", "T-008"),
        ("DELETE FROM tokens WHERE id = 'a'", "DELETE 1"),
        ("INSERT INTO tokens (id) VALUES ('b') RETURNING number", "T-009"),
        ("BEGIN", "BEGIN"),
        ("DELETE FROM tokens WHERE id = 'b'", "DELETE 1"),
        ("ROLLBACK", "ROLLBACK"),
        ("INSERT INTO tokens (id) VALUES ('c') RETURNING number", "T-010"),
        ("DELETE FROM tokens", "DELETE 4"),
        ("INSERT INTO tokens (id) VALUES ('d'), ('e') RETURNING number", "T-011; T-012"),
        ("INSERT INTO tokens (id) VALUES ('f') RETURNING number", "T-013"),
    ]);
}

/// The first number of an empty table is one.
#[test]
fn an_empty_table_begins_with_one() {
    let yard = Yard::new();
    yard.store("DELETE FROM yard_tokens");
    yard.owner().says(&[("INSERT INTO tokens (id) VALUES ('a') RETURNING number", "T-001")]);
}

/// Writers at the same time never take one number.
#[test]
fn writers_at_the_same_time_take_different_numbers() {
    let yard = Yard::new();
    let seats: Vec<_> = (0..3).map(|_| yard.owner()).collect();
    std::thread::scope(|scope| {
        for (writer, seat) in seats.iter().enumerate() {
            scope.spawn(move || {
                for row in 0..5 {
                    let sql = format!("INSERT INTO tokens (id) VALUES ('w{writer}-{row}')");
                    while seat.run(&sql) != "INSERT 0 1" {}
                }
            });
        }
    });
    let numbers = yard.stored("number", "FROM yard_tokens");
    let distinct: BTreeSet<&String> = numbers.iter().collect();
    assert_eq!((numbers.len(), distinct.len()), (17, 17));
    assert_eq!(numbers.iter().max().unwrap(), "T-022");
}

/// A counter's end that is remembered is found again after rows that were stored or deleted past it.
#[test]
fn numbers_follow_what_others_store_and_delete() {
    let yard = Yard::new();
    let owner = yard.owner();
    let insert = |id: u64| owner.run(&format!("INSERT INTO tokens (id) VALUES ('n{id}') RETURNING number"));
    let mut last = 8;
    assert_eq!(insert(last), "T-008");
    for step in [1, 31, 32, 64, 4096] {
        last += step;
        yard.store(&format!("INSERT INTO yard_tokens VALUES ('x{last}', 'T-{last:03}', 'of another')"));
        last += 1;
        assert_eq!(insert(last), format!("T-{last:03}"));
    }
    yard.store(&format!("DELETE FROM yard_tokens WHERE number IN ('T-{last}', 'T-{}')", last - 1));
    assert_eq!(insert(0), "T-141", "the highest that is left");
    yard.store("DELETE FROM yard_tokens");
    assert_eq!(insert(1), "T-001");
}
