//! Statements that compute on after their time: they would keep others from running.

use querygate_tests::harness::Company;
use querygate_tests::harness::Layout;
use std::time::{Duration, Instant};

/// Each takes many seconds where it hears nothing.
const LASTING: &[&str] = &[
    "SELECT cardinality(array_distinct(string_to_array(repeat('a,b,' || g || ',', 2500000), ','))) FROM generate_series(1, 2) g",
    "SELECT sum(m) FROM (SELECT max(g) OVER (ORDER BY g ROWS BETWEEN 2000000 PRECEDING AND CURRENT ROW) m FROM generate_series(1, 4000000) g) q",
    "SELECT sum(m) FROM (SELECT min(g) OVER (ORDER BY g ROWS BETWEEN 5 PRECEDING AND UNBOUNDED FOLLOWING) m FROM generate_series(1, 4000000) g) q",
];

#[test]
fn what_computes_long_hears_its_timeout() {
    let company = Company::new(Layout::Memory);
    let iris = company.iris();
    assert_eq!(iris.run("SET statement_timeout = '400ms'").code(), None);
    for sql in LASTING {
        let began = Instant::now();
        let answer = iris.run(sql);
        let took = began.elapsed();
        println!("{took:?} {sql}");
        // Texts: a fast machine reaches the end of its memory before that of its time.
        let expected: &[&str] = if sql.contains("repeat(") { &["57014", "53200"] } else { &["57014"] };
        assert!(answer.code().is_some_and(|code| expected.contains(&code)), "{sql}: {answer}");
        // Nothing of it may run on: a statement of another session is answered in time.
        let other = company.ada();
        let began = Instant::now();
        for _ in 0..3 {
            assert_eq!(other.run("SELECT count(*) FROM generate_series(1, 100000)").code(), None);
        }
        let waited = began.elapsed();
        println!("   waited {waited:?}");
        assert!(took + waited < Duration::from_secs(6), "{sql}: {took:?} {waited:?}");
    }
}

#[test]
fn pictures_have_a_length() {
    let company = Company::new(Layout::Memory);
    let iris = company.iris();
    for call in [
        "to_char(g, repeat('9', 3000000))",
        "to_char(g * 1.5, repeat('\"x\"', 1000000))",
        "to_char(g::double precision, repeat('0', 3000000))",
        "to_number(g::text, repeat('9', 3000000))",
        "to_char(TIMESTAMP '2024-01-01' + g * INTERVAL '1 day', repeat('YYYY', 1000000))",
        "to_date(g::text, repeat('Y', 3000000))",
    ] {
        let answer = iris.run(&format!("SELECT length(({call})::text) FROM generate_series(1, 4) g"));
        assert_eq!(answer.code(), Some("54000"), "{call}: {answer}");
        assert!(answer.text().contains("format picture is too long"), "{answer}");
    }
    let longest = iris.run("SELECT to_char(7, repeat('0', 1000)) FROM generate_series(1, 1)");
    assert_eq!(longest.code(), None, "{longest}");
}
