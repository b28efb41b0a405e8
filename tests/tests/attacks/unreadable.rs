//! Rows that cannot be read: a source may hold what its column's type does not (an infinite date, a text among numbers), and
//! reading such a row fails. Which hidden rows are read is not for a reader to choose.

use querygate_tests::harness::{Client, Company, Fixture, Layout, TestGate};

/// The fixture, and the analyst over reviews in a database and employees, who decide which of them are seen, elsewhere or not.
fn analyst(employees: Layout) -> (Fixture, TestGate, Client) {
    let fixture = Company::fixture();
    let gate = TestGate::placed(&fixture, &|object| match object {
        "hr_employees" => employees,
        _ => Layout::Sqlite,
    });
    let iris = gate.client(&Company::analyst());
    fixture.watch.take();
    (fixture, gate, iris)
}

/// Nothing that a source does: the whole statement stays in the gate.
const ASKED: [&str; 3] = [
    "SELECT id FROM reviews WHERE words = 'hX9-words' AND random() < 2",
    "SELECT id FROM reviews WHERE stars <= 0 AND words || '' <> ''",
    "SELECT r.id FROM (VALUES ('hX9-words')) v(w) JOIN reviews r ON r.words = v.w",
];

#[test]
fn a_reader_does_not_choose_which_hidden_rows_are_read() {
    let (fixture, _gate, iris) = analyst(Layout::Memory);
    for sql in ASKED {
        let answer = iris.run(sql);
        assert!(answer.code().is_none() && answer.table().is_empty(), "{sql}: {answer}");
        let runs = fixture.watch.take();
        let [run] = runs.as_slice() else { panic!("{sql}: {runs:?}") };
        let (_, condition) = run.text.split_once(" WHERE ").unwrap_or_default();
        assert!(!condition.contains("words") && !condition.contains("stars"), "{sql}: {}", run.text);
    }
}

#[test]
fn a_policy_over_tables_of_one_source_is_decided_there() {
    let (fixture, _gate, iris) = analyst(Layout::Sqlite);
    for sql in ASKED {
        let answer = iris.run(sql);
        assert!(answer.code().is_none() && answer.table().is_empty(), "{sql}: {answer}");
        for run in fixture.watch.take() {
            assert!(run.text.contains("hr_employees"), "{sql}: {}", run.text);
            assert_eq!(run.rows(), 0, "{sql}: {}", run.text);
        }
    }
    assert_eq!(iris.run("SELECT id, random() FROM reviews").table().len(), 2);
    let runs = fixture.watch.take();
    assert_eq!(runs.iter().map(querygate_driver_api::testkit::watch::Run::rows).sum::<usize>(), 2, "{runs:?}");
}
