//! Groups that a statement names twice, with parameters: they are computed once, and give what they give where each place computes
//! them by itself. Subqueries that differ by a value alone are two.

use super::{all, anew, gate, own, spared};
use querygate_tests::harness::Client;

/// How often each statement is run: often enough for its plan to be kept.
const RUNS: usize = 4;

/// Two texts of one statement: the second names its groups in two ways that mean the same, so that nothing is shared.
struct Named {
    once: &'static str,
    twice: &'static str,
    values: &'static [&'static [&'static str]],
    /// A join asks for few of the groups where a reader's policy narrows its other side, so that each place computes its own.
    narrowed_by_policy: bool,
    /// Plans with parameters that the gate computes with are made for each run.
    is_kept: bool,
}

/// Statements by what computes the groups.
const STATEMENTS: &[Named] = &[
    // The gate, over files.
    Named {
        once: "WITH s AS (SELECT account, sum(score) AS total FROM visits WHERE kind = $1 GROUP BY account) \
               SELECT account, total FROM s WHERE total = (SELECT max(total) FROM s) ORDER BY 1",
        twice: "WITH s AS (SELECT account, sum(score) AS total FROM visits WHERE kind = $1 GROUP BY account), \
                u AS (SELECT account, sum(score) AS total FROM visits WHERE kind = $1 OR kind = $1 || 'x' GROUP BY account) \
                SELECT account, total FROM s WHERE total = (SELECT max(total) FROM u) ORDER BY 1",
        values: &[&["call"], &["demo"], &["none"]],
        narrowed_by_policy: false,
        is_kept: true,
    },
    // A database, beside another source, and a parameter without a type of its own.
    Named {
        once: "WITH s AS (SELECT account, count(*) AS n, max(weight) + $2 AS most FROM cases WHERE state = $1 GROUP BY account) \
               SELECT v.id, s.n, s.most FROM visits v JOIN s ON s.account = v.account \
               UNION ALL SELECT account, n, most FROM s ORDER BY 1, 2, 3",
        twice: "WITH s AS (SELECT account, count(*) AS n, max(weight) + $2 AS most FROM cases WHERE state = $1 GROUP BY account), \
                u AS (SELECT account, count(*) AS n, max(weight) + $2 AS most FROM cases WHERE state = $1 AND weight > -1 GROUP BY account) \
                SELECT v.id, s.n, s.most FROM visits v JOIN s ON s.account = v.account \
                UNION ALL SELECT account, n, most FROM u ORDER BY 1, 2, 3",
        values: &[&["open", "1"], &["new", "-3"], &["", "0"], &["done", "7"]],
        narrowed_by_policy: true,
        is_kept: false,
    },
    // A database, beside another database.
    Named {
        once: "WITH s AS (SELECT account, count(*) AS n FROM cases WHERE weight >= $1 GROUP BY account) \
               SELECT a.name, s.n FROM accounts a JOIN s ON s.account = a.id UNION ALL SELECT account, n FROM s ORDER BY 1, 2",
        twice: "WITH s AS (SELECT account, count(*) AS n FROM cases WHERE weight >= $1 GROUP BY account), \
                u AS (SELECT account, count(*) AS n FROM cases WHERE weight >= $1 AND state >= '' GROUP BY account) \
                SELECT a.name, s.n FROM accounts a JOIN s ON s.account = a.id UNION ALL SELECT account, n FROM u ORDER BY 1, 2",
        values: &[&["2"], &["9"], &["5"]],
        narrowed_by_policy: true,
        is_kept: true,
    },
    // Groups of a join of two sources.
    Named {
        once: "WITH s AS (SELECT a.region, count(*) AS n FROM accounts a JOIN cases c ON c.account = a.id WHERE a.country = $1 \
               GROUP BY a.region) SELECT x.region, x.n, y.n FROM s x JOIN s y ON x.n <= y.n ORDER BY 1, 2, 3",
        twice: "WITH s AS (SELECT a.region, count(*) AS n FROM accounts a JOIN cases c ON c.account = a.id WHERE a.country = $1 \
                GROUP BY a.region), u AS (SELECT a.region, count(*) AS n FROM accounts a JOIN cases c ON c.account = a.id \
                WHERE a.country = $1 AND c.weight > -1 GROUP BY a.region) \
                SELECT x.region, x.n, y.n FROM s x JOIN u y ON x.n <= y.n ORDER BY 1, 2, 3",
        values: &[&["AT"], &["nowhere"], &["DE"]],
        narrowed_by_policy: false,
        is_kept: true,
    },
];

/// The plan of a statement with open parameters.
fn explained(client: &Client, sql: &str, values: &[String]) -> String {
    client.run_with(&format!("EXPLAIN {sql}"), values).text()
}

fn texts(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

#[test]
fn groups_named_twice_are_computed_once_with_any_values() {
    let gate = gate(21);
    for who in [all(), own("ann"), own("bob")] {
        let (with, without) = (gate.client(&who), anew(&gate, &who));
        for named in STATEMENTS {
            let before = spared(&gate, &who.login);
            for run in 0..RUNS {
                for values in named.values {
                    let values = texts(values);
                    let expected = without.run_with(named.twice, &values);
                    assert!(expected.code().is_none(), "{}: {expected}", named.twice);
                    for client in [&with, &without] {
                        assert_eq!(
                            client.run_with(named.once, &values),
                            expected,
                            "run {run} with {values:?}: {}",
                            named.once
                        );
                    }
                }
            }
            let runs = RUNS * named.values.len();
            let spared = spared(&gate, &who.login) - before;
            assert!(
                !named.is_kept || spared >= runs - 4,
                "{spared} of {runs} runs were spared planning: {}",
                named.once
            );
            let values = texts(named.values[0]);
            let places = if named.narrowed_by_policy && who.login != "ola" { 0 } else { 2 };
            assert_eq!(explained(&with, named.once, &values).matches("SharedExec").count(), places, "{}", named.once);
            assert_eq!(explained(&with, named.twice, &values).matches("SharedExec").count(), 0, "{}", named.twice);
        }
    }
}

/// The engine runs subqueries once that are equal to it, and these look it: each has the answer to its own value.
#[test]
fn subqueries_that_differ_by_a_value_are_two() {
    let gate = gate(22);
    let one = "SELECT count(*) FROM accounts WHERE country = $1";
    let both = "SELECT (SELECT count(*) FROM accounts WHERE country = $1), (SELECT count(*) FROM accounts WHERE country = $2), name \
                FROM regions ORDER BY name";
    for who in [all(), own("ann")] {
        let client = gate.client(&who);
        // Equal ones first: what is kept of them is for others, too.
        for (left, right) in
            [("AT", "AT"), ("AT", "BE"), ("BE", "AT"), ("AT", "nowhere"), ("CH", "DE"), ("DE", "DE"), ("nowhere", "AT")]
        {
            let alone = |country: &str| client.run_with(one, &texts(&[country])).table()[0][0].clone();
            let (left_alone, right_alone) = (alone(left), alone(right));
            let answer = client.run_with(both, &texts(&[left, right]));
            let written = client.run(&both.replace("$1", &format!("'{left}'")).replace("$2", &format!("'{right}'")));
            for answer in [answer, written] {
                let rows = answer.table();
                assert_eq!(rows.len(), 5, "{answer}");
                for row in rows {
                    assert_eq!((&row[0], &row[1]), (&left_alone, &right_alone), "{left}, {right}: {answer}");
                }
            }
        }
    }
}

/// Of files a text column is a view, while what a function or an operator gives is not: both are text, and so is their parameter.
#[test]
fn a_parameter_beside_texts_of_two_forms_is_one() {
    let gate = gate(23);
    let client = gate.client(&all());
    for sql in [
        "SELECT id, kind || $1 FROM visits WHERE kind = $1 OR kind LIKE $1 || '%' ORDER BY 1",
        "SELECT upper($1) || 'x' AS u, count(*) FROM visits WHERE 'c' || $1 > 'c' AND kind <> $1 GROUP BY 1",
        "SELECT a.id FROM accounts a WHERE a.id IN (SELECT account FROM visits WHERE kind = $1) AND 'x' || $1 <> a.name ORDER BY 1",
        "SELECT id FROM visits WHERE kind = $1 AND account = $2 || '' OR kind || '' = $2 AND account = $1 ORDER BY 1",
    ] {
        for (one, other) in [("call", "a1"), ("demo", "call"), ("", "a'7"), ("none", "none")] {
            let values: &[&str] = if sql.contains("$2") { &[one, other] } else { &[one] };
            let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
            let written = client.run(&sql.replace("$1", &quoted(one)).replace("$2", &quoted(other)));
            assert!(written.code().is_none(), "{sql}: {written}");
            for _ in 0..3 {
                assert_eq!(client.run_with(sql, &texts(values)), written, "{sql} with {values:?}");
            }
        }
    }
}
