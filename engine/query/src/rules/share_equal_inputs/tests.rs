//! What is found to be the same, and what comes of it.

use super::rows::SharedRows;
use super::{ComputeApart, SharedExec};
use crate::bind::workspace::with_config;
use crate::testing::{Reader, Shop, leaf, printed};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use std::sync::Arc;

/// How many places read rows that others read, and the rows.
fn shared(reader: &Reader, sql: &str) -> (usize, Vec<String>) {
    let plan = Arc::clone(reader.plan(sql).unwrap_or_else(|error| panic!("{sql}: {error}")).physical());
    let places = printed(&plan).matches("SharedExec").count();
    (places, reader.run(plan).unwrap_or_else(|error| panic!("{sql}: {error}")))
}

fn apart(reader: &Reader) -> Reader {
    let state = with_config(&reader.state, |config| config.set_extension(Arc::new(ComputeApart)));
    Reader { state: Arc::new(state), ..reader.clone() }
}

#[test]
fn groups_that_are_named_twice_are_computed_once() {
    let owner = Shop::open().owner();
    let scores = "WITH s AS (SELECT region_id, sum(score) AS total FROM visits GROUP BY region_id)";
    for (sql, places) in [
        // As TPC-H asks for the best supplier.
        (format!("{scores} SELECT region_id, total FROM s WHERE total = (SELECT max(total) FROM s)"), 2),
        (format!("{scores} SELECT a.total, b.total FROM s a JOIN s b ON a.region_id = b.region_id ORDER BY 1"), 2),
        (format!("{scores} SELECT total FROM s UNION ALL SELECT total FROM s UNION ALL SELECT -total FROM s ORDER BY 1"), 3),
        (format!("{scores} SELECT count(*) FROM (SELECT * FROM s LIMIT 1) x, (SELECT * FROM s LIMIT 2) y"), 2),
        // Places that sort and divide what they read, each in its own way.
        (format!("{scores} SELECT region_id, rank() OVER (ORDER BY total), (SELECT max(total) FROM s) FROM s ORDER BY 1"), 2),
        (format!("{scores} SELECT -total FROM s UNION ALL SELECT total FROM s ORDER BY 1"), 2),
        (
            "WITH s AS (SELECT region_id AS a, account_id AS b, sum(score) AS total FROM visits GROUP BY 1, 2) \
             SELECT x.a, x.b, x.total + y.total FROM s x JOIN s y ON x.a = y.a AND x.b = y.b ORDER BY 1, 2, 3"
                .into(),
            2,
        ),
        // Two in one stream, of which one wants a row alone.
        (format!("{scores} SELECT (SELECT max(total) FROM s WHERE total < 1000), (SELECT total > -1 FROM s LIMIT 1)"), 2),
        // A join with few keys, which the groups may be asked for.
        (
            format!(
                "{scores} SELECT total, (SELECT max(total) FROM s) FROM s JOIN regions r ON r.id = s.region_id WHERE r.rank = 1 ORDER BY 1"
            ),
            0,
        ),
        // Equal subqueries are one, of which nothing is shared.
        ("SELECT id, score > (SELECT avg(score) FROM visits), score < (SELECT avg(score) FROM visits) FROM visits ORDER BY 1".into(), 0),
        // Once, and twice with other conditions, other tables, other keys.
        (format!("{scores} SELECT * FROM s ORDER BY 1"), 0),
        ("SELECT (SELECT sum(score) FROM visits WHERE score > 2), (SELECT sum(score) FROM visits WHERE score > 3)".into(), 0),
        ("SELECT (SELECT max(rank) FROM regions), (SELECT max(score) FROM visits)".into(), 0),
        ("SELECT count(*) FROM (SELECT region_id FROM visits GROUP BY 1) a, (SELECT account_id FROM visits GROUP BY 1) b".into(), 0),
        // Two asks are two answers.
        (
            "WITH s AS (SELECT region_id, sum(score * random()) AS t FROM visits GROUP BY 1) SELECT count(a.t + b.t) FROM s a, s b"
                .into(),
            0,
        ),
        // Its own rows differ from round to round.
        (
            "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r, (SELECT count(*) AS c FROM visits) v \
             WHERE n < 3 AND c > 0) SELECT max(n) FROM r, (SELECT count(*) FROM visits) w"
                .into(),
            0,
        ),
    ] {
        let (found, rows) = shared(&owner, &sql);
        assert_eq!(found, places, "{sql}");
        assert_eq!((0, rows.clone()), shared(&apart(&owner), &sql), "{sql}");
        assert!(!rows.is_empty(), "{sql}");
    }
}

/// The rules put both inputs into one stream; a plan in which they did not is refused rather than read in part.
#[test]
fn rows_are_shared_in_one_partition() {
    let input = leaf(&["a"], &[&[&[1]], &[&[2]]]);
    assert_eq!(input.output_partitioning().partition_count(), 2);
    let shared = SharedExec::new(input, SharedRows::for_readers(2), 0);
    for partition in [0, 1] {
        assert!(shared.execute(partition, Arc::default()).is_err(), "{partition}");
    }
}

/// A source is asked once for groups that it computes, and each reader for its own rows.
#[test]
fn a_source_is_asked_once() {
    let s = "WITH s AS (SELECT region_id, count(*) AS n FROM accounts GROUP BY region_id) \
             SELECT r.name, a.n FROM s a JOIN regions r ON r.id = a.region_id UNION ALL SELECT";
    let (owner, clerk) = (Shop::open().owner(), Shop::open().clerk());
    for (other, of_clerk) in [
        // A policy leaves out visits of the clerk, whose join may need few of the groups.
        ("v.id, b.n FROM s b JOIN visits v ON v.region_id = b.region_id ORDER BY 1, 2", 0),
        // The groups alone, under the names that the union gives them.
        ("region_id, n FROM s ORDER BY 1, 2", 2),
    ] {
        let sql = format!("{s} {other}");
        for (reader, expected) in [(&owner, 2), (&clerk, of_clerk)] {
            let (places, rows) = shared(reader, &sql);
            assert_eq!(places, expected, "{sql}");
            assert_eq!((0, rows), shared(&apart(reader), &sql));
        }
        assert_ne!(shared(&owner, &sql).1, shared(&clerk, &sql).1);
    }
}
