//! Statements over several sources, with values for their parameters.

use super::{Answer, Client};

/// A statement, values for it by parameter, and whether its plan is kept.
pub(crate) struct Asked {
    pub(crate) sql: &'static str,
    values: &'static [&'static [&'static str]],
    pub(crate) is_kept: bool,
}

const fn kept(sql: &'static str, values: &'static [&'static [&'static str]]) -> Asked {
    Asked { sql, values, is_kept: true }
}

const fn other(sql: &'static str, values: &'static [&'static [&'static str]]) -> Asked {
    Asked { sql, values, is_kept: false }
}

const ALL_COUNTRIES: &[&str] = &["AT", "CH", "nowhere", "DE", "BE"];
const ALL_STATES: &[&str] = &["open", "new", "", "done"];
const KINDS: &[&str] = &["call", "demo", "none"];
const LEVELS: &[&str] = &["1", "4", "2", "9", "3"];
const DAYS: &[&str] = &["2024-02-11", "2024-07-01", "2024-11-30", "2023-01-01"];

pub(crate) const ASKED: &[Asked] = &[
    // Two databases.
    kept(
        "SELECT a.name, c.id, c.weight FROM accounts a JOIN cases c ON c.account = a.id WHERE a.country = $1 AND c.state = $2 \
         ORDER BY 1, 2",
        &[ALL_COUNTRIES, ALL_STATES],
    ),
    // Three sources, as many as a busy demo asks.
    kept(
        "SELECT r.name, count(*) AS n FROM regions r JOIN accounts a ON a.region = r.id JOIN cases c ON c.account = a.id \
         WHERE c.state = $1 GROUP BY r.name ORDER BY r.name",
        &[ALL_STATES],
    ),
    kept(
        "SELECT r.name, count(*) AS n, max(v.score) AS most FROM regions r JOIN accounts a ON a.region = r.id \
         JOIN visits v ON v.account = a.id WHERE v.kind = $1 AND a.country = $2 GROUP BY r.name ORDER BY r.name",
        &[KINDS, ALL_COUNTRIES],
    ),
    // Values of subqueries, read by conditions and columns: of two sources, of the same parameter, of two parameters with one value.
    kept(
        "SELECT a.region, count(*) AS n FROM accounts a JOIN cases c ON c.account = a.id WHERE c.state = $1 GROUP BY a.region \
         HAVING count(*) > (SELECT count(*) / 10 FROM accounts b JOIN visits v ON v.account = b.id WHERE v.kind = $2) ORDER BY 1",
        &[ALL_STATES, KINDS],
    ),
    kept(
        "SELECT v.kind, count(*) AS n, (SELECT max(c.weight) FROM cases c JOIN accounts a ON a.id = c.account WHERE a.country = $1) AS m \
         FROM visits v JOIN accounts a ON a.id = v.account WHERE a.country = $1 GROUP BY v.kind ORDER BY 1",
        &[ALL_COUNTRIES],
    ),
    // No row, so NULL.
    kept(
        "SELECT v.kind, count(*) AS n, (SELECT c.weight FROM cases c JOIN visits w ON w.account = c.account WHERE c.state = $2 \
         LIMIT 1) AS m FROM visits v JOIN accounts a ON a.id = v.account WHERE a.country = $1 GROUP BY v.kind ORDER BY 1",
        &[ALL_COUNTRIES, &["none"]],
    ),
    kept(
        "SELECT count(*) AS n FROM accounts a JOIN visits v ON v.account = a.id WHERE a.country = $1 AND v.score > \
         (SELECT avg(w.score) FROM visits w JOIN accounts b ON b.id = w.account WHERE b.country = $2)",
        &[ALL_COUNTRIES, &["AT"]],
    ),
    // Groups by a number, which are found by the number itself.
    kept(
        "SELECT c.weight, count(*) AS n, sum(v.score) AS s FROM visits v JOIN cases c ON c.account = v.account WHERE v.kind = $1 \
         GROUP BY c.weight ORDER BY c.weight",
        &[KINDS],
    ),
    // The same parameter twice, and ranges. Their plans are kept now and then.
    other(
        "SELECT a.id, c.id FROM accounts a JOIN cases c ON c.account = a.id WHERE a.level >= $1 AND c.weight >= $1 ORDER BY 1, 2",
        &[LEVELS],
    ),
    // Two values that are the same in each run, and ones that are in some.
    kept(
        "SELECT count(*) FROM accounts a JOIN cases c ON c.account = a.id WHERE a.level = $1 AND c.weight = $2",
        &[LEVELS, LEVELS],
    ),
    kept(
        "SELECT count(*) FROM accounts a JOIN cases c ON c.account = a.id WHERE a.level = $1 AND c.weight = $2",
        &[LEVELS, &["1", "4", "3"]],
    ),
    other(
        "SELECT c.state, count(*) AS n FROM visits v JOIN cases c ON c.account = v.account WHERE v.day >= $1 AND c.opened < $2 \
         GROUP BY c.state ORDER BY c.state",
        &[DAYS, DAYS],
    ),
    // First rows, which narrow what is read, and limits.
    kept(
        "SELECT a.name, c.weight, c.id FROM accounts a JOIN cases c ON c.account = a.id WHERE a.country = $1 \
         ORDER BY c.weight DESC, c.id LIMIT 7",
        &[ALL_COUNTRIES],
    ),
    // No parameter at all.
    kept(
        "SELECT c.state, count(*) AS n FROM accounts a JOIN cases c ON c.account = a.id GROUP BY c.state ORDER BY c.state",
        &[],
    ),
    // Other joins, sets and nested statements: kept or not, the rows are the same.
    other(
        "SELECT a.id, v.score FROM accounts a LEFT JOIN visits v ON v.account = a.id AND v.kind = $1 WHERE a.country = $2 ORDER BY 1, 2",
        &[KINDS, ALL_COUNTRIES],
    ),
    other(
        "SELECT a.id FROM accounts a WHERE a.id IN (SELECT c.account FROM cases c WHERE c.state = $1) AND a.country = $2 ORDER BY 1",
        &[ALL_STATES, ALL_COUNTRIES],
    ),
    other(
        "SELECT a.id FROM accounts a WHERE NOT EXISTS (SELECT 1 FROM visits v WHERE v.account = a.id AND v.kind = $1) ORDER BY 1",
        &[KINDS],
    ),
    // NOT IN and IN that collect the subquery's keys: with rows, with none, with one that is NULL.
    other(
        "SELECT c.id FROM cases c WHERE c.account NOT IN (SELECT a.id FROM accounts a WHERE a.country = $1) ORDER BY 1",
        &[ALL_COUNTRIES],
    ),
    other(
        "SELECT v.id FROM visits v WHERE v.account NOT IN (SELECT nullif(c.account, $1) FROM cases c WHERE c.state = $2::text) ORDER BY 1",
        &[&["none", "acc_1", ""], ALL_STATES],
    ),
    other(
        "SELECT v.id FROM visits v WHERE v.account IN (SELECT c.account FROM cases c WHERE c.state = $1) AND v.kind = $2 ORDER BY 1",
        &[ALL_STATES, KINDS],
    ),
    other(
        "SELECT id FROM accounts WHERE country = $1 UNION ALL SELECT id FROM visits WHERE kind = $2 ORDER BY 1",
        &[ALL_COUNTRIES, KINDS],
    ),
    other(
        "SELECT DISTINCT a.country FROM accounts a JOIN visits v ON v.account = a.id WHERE v.score > $1 ORDER BY 1",
        &[LEVELS],
    ),
    other(
        "SELECT min(c.weight), max(v.score), count(*) FROM cases c JOIN visits v ON v.account = c.account WHERE c.state = $1",
        &[ALL_STATES],
    ),
    // Values in expressions of the gate's own.
    other(
        "SELECT a.id, c.weight + $1 AS more FROM accounts a JOIN cases c ON c.account = a.id WHERE c.weight + a.level > $1 ORDER BY 1, 2",
        &[LEVELS],
    ),
    other(
        "SELECT a.id, c.id FROM accounts a JOIN cases c ON c.weight > a.level AND a.country = $1 ORDER BY 1, 2 LIMIT 20",
        &[ALL_COUNTRIES],
    ),
    other(
        "SELECT a.name, v.id FROM accounts a JOIN visits v ON v.account = a.id WHERE a.name LIKE $1 ORDER BY 1, 2",
        &[&["%7%", "A%", "x"]],
    ),
    other(
        "SELECT id, rank() OVER (ORDER BY weight, id) FROM cases WHERE account IN (SELECT account FROM visits WHERE kind = $1) ORDER BY 1",
        &[KINDS],
    ),
    other(
        "SELECT a.id FROM accounts a JOIN visits v ON v.account = a.id WHERE a.phone = $1 ORDER BY 1",
        &[&["712345", "7*****"]],
    ),
    other("SELECT a.id FROM accounts a JOIN visits v ON v.account = a.id ORDER BY v.id LIMIT $1", &[&["3", "0", "5"]]),
    other(
        "SELECT a.id, (SELECT max(c.weight) FROM cases c WHERE c.account = a.id AND c.state = $1) FROM accounts a ORDER BY 1",
        &[ALL_STATES],
    ),
    // Groups that are named twice: of files, of a database, of both and none.
    other(
        "WITH s AS (SELECT account, sum(score) AS total FROM visits WHERE kind = $1 GROUP BY account) \
         SELECT account, total FROM s WHERE total = (SELECT max(total) FROM s) ORDER BY 1",
        &[KINDS],
    ),
    kept(
        "WITH s AS (SELECT account, count(*) AS n FROM cases WHERE state = $1 GROUP BY account) \
         SELECT v.id, s.n FROM visits v JOIN s ON s.account = v.account UNION ALL SELECT account, n FROM s ORDER BY 1, 2",
        &[ALL_STATES],
    ),
    // A text in two forms: a column of files is a view, what is appended to is not.
    other(
        "SELECT v.id, a.name FROM visits v JOIN accounts a ON a.id = v.account WHERE v.kind = $1 OR v.kind LIKE $1 || '%' ORDER BY 1",
        &[&["call", "de", "none"]],
    ),
    // Subqueries of one database, apart by their values alone.
    other(
        "SELECT name, (SELECT count(*) FROM accounts WHERE country = $1), (SELECT count(*) FROM accounts WHERE country = $2) \
         FROM regions ORDER BY 1",
        &[ALL_COUNTRIES, ALL_COUNTRIES],
    ),
];

impl Asked {
    /// Values for one run: each parameter goes through its own at a pace of its own.
    pub(crate) fn values(&self, run: usize) -> Vec<String> {
        let value = |(at, values): (usize, &&[&str])| values[(run * (at + 1) + run / 3) % values.len()].to_owned();
        self.values.iter().enumerate().map(value).collect()
    }

    pub(crate) fn run(&self, client: &Client, run: usize) -> Answer {
        client.run_with(self.sql, &self.values(run))
    }
}
