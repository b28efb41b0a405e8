//! An attacker who rebuilds masked values letter by letter: every test of a prefix through every channel that can tell
//! true from false. Against an unmasked reader the same attacker recovers every secret, so it is a fair one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic")]

use querygate_tests::harness::{Answer, Client, Fixture, Layout, Rng, TestGate};
use querygate_types::principal::Principal;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const SECRETS: usize = 4;
const LENGTH: usize = 5;
const ALPHABET: &str = "abcd";

/// People with a masked code (no letter kept), a masked account (two kept at the end), a masked number, masked tags.
fn fixture(seed: u64) -> (Fixture, Vec<String>) {
    let mut rng = Rng::new(seed);
    let letters: Vec<char> = ALPHABET.chars().collect();
    let mut word = |length| (0..length).map(|_| *rng.pick(&letters)).collect::<String>();
    let secrets: Vec<String> = (0..SECRETS).map(|_| word(LENGTH)).collect();
    let rows: Vec<Value> = secrets
        .iter()
        .enumerate()
        .map(|(n, secret)| {
            let digits: u32 = secret.bytes().fold(0, |all, b| all * 5 + u32::from(b - b'a')) + 100_000;
            json!({"id": format!("p{n}"), "code": secret, "account": format!("{secret}zz"), "email": format!("x{secret}@e.org"),
                "pin": digits, "tags": [secret]})
        })
        .collect();
    let masked = |rule: Value, field_type: &str| json!({"type": field_type, "label": "m", "maskingRule": rule, "requiredPermissions": ["m.see"]});
    let stack = json!({
        "manifest": {"id": "test.m", "namespace": "m", "version": "1.0.0", "type": "app", "name": "m", "engines": {"protocol": "^17"}},
        "capabilities": [{"name": "m.see", "label": "see", "scope": "org"}],
        "objects": [{"name": "m_people", "label": "People", "sharingModel": "public_read_write", "ownership": "none",
            "tenancy": {"enabled": false}, "systemFields": {"audit": false}, "fields": {
                "code": masked(json!({"keepHead": 0, "keepTail": 0}), "text"),
                "account": masked(json!({"keepHead": 0, "keepTail": 2}), "text"),
                "email": masked(json!("email"), "email"),
                "pin": masked(json!({"keepHead": 0, "keepTail": 0}), "rating"),
                "tags": masked(json!({"keepHead": 0, "keepTail": 0}), "tags"),
            }}],
        "permissions": [
            {"name": "m_reader", "label": "r", "objects": {"m_people": {"allowRead": true}}},
            {"name": "m_seer", "label": "s", "objects": {"m_people": {"allowRead": true}}, "systemPermissions": ["m.see"]},
        ],
    });
    let mut fixture = Fixture::new(stack, Vec::new());
    let table = Fixture::declared(&fixture.snapshot(), "m_people", &Value::from(rows));
    fixture.tables.push(table);
    (fixture, secrets)
}

fn reader() -> Principal {
    Principal::builder("rea").permission_set("m_reader").build()
}

fn seer() -> Principal {
    Principal::builder("sia").permission_set("m_seer").build()
}

/// Conditions that hold for the values with a prefix; `{p}` is the prefix, `{n}` its length, `{s}` what follows it.
const TESTS: &[&str] = &[
    "code LIKE '{p}%'",
    "code ILIKE '{p}%'",
    "substr(code, 1, {n}) = '{p}'",
    "left(code, {n}) = '{p}'",
    "starts_with(code, '{p}')",
    "strpos(code, '{p}') = 1",
    "code >= '{p}' AND code < '{s}'",
    "code BETWEEN '{p}' AND '{p}zzzzzz'",
    "code ~ '^{p}'",
    "code SIMILAR TO '{p}%'",
    "NOT (code NOT LIKE '{p}%')",
    "split_part(code, substr(code, {n} + 1), 1) = '{p}'",
    "replace(code, '{p}', '!') LIKE '!%'",
    "account LIKE '{p}%'",
    "email LIKE 'x{p}%'",
    "substr(email, 2, {n}) = '{p}'",
    "coalesce(code, '') || '' LIKE '{p}%'",
    "upper(code) LIKE upper('{p}%')",
    "reverse(code) LIKE '%' || reverse('{p}')",
    "CASE WHEN code LIKE '{p}%' THEN true ELSE false END",
    "array_to_string(tags, ',') LIKE '{p}%'",
    "code IN (SELECT code FROM people WHERE code LIKE '{p}%')",
    "row(code) >= row('{p}') AND row(code) < row('{s}')",
    "greatest(code, '{p}') = code AND least(code, '{s}') = code",
];

/// Statements whose answers name the ids for which the condition `{t}` holds.
const CHANNELS: &[&str] = &[
    "SELECT id FROM people WHERE {t}",
    "SELECT id FROM people GROUP BY id, code, account, email, tags HAVING {t}",
    "SELECT id FROM (SELECT id, ({t}) AS hit FROM people) x WHERE hit",
    "SELECT id FROM (SELECT id, CASE WHEN {t} THEN 1 ELSE 0 END AS hit FROM people) x WHERE hit = 1",
    "SELECT id FROM (SELECT id AS i FROM people) a JOIN people ON i = id AND ({t})",
    "SELECT i FROM (SELECT id AS i FROM people) a LEFT JOIN people ON i = id AND ({t}) WHERE id IS NOT NULL",
    "SELECT id FROM people WHERE id IN (SELECT id FROM people WHERE {t})",
    "SELECT o.id FROM people o WHERE EXISTS (SELECT 1 FROM people WHERE people.id = o.id AND ({t}))",
    "WITH w AS (SELECT * FROM people WHERE {t}) SELECT id FROM w",
    "SELECT id FROM people WHERE {t} UNION SELECT id FROM people WHERE {t}",
    "SELECT id FROM people EXCEPT SELECT id FROM people WHERE NOT ({t})",
    "SELECT id FROM people INTERSECT SELECT id FROM people WHERE {t}",
    "SELECT id FROM (SELECT id, count(*) FILTER (WHERE {t}) AS hits FROM people GROUP BY id) x WHERE hits = 1",
    "SELECT id FROM (SELECT id, sum(CASE WHEN {t} THEN 1 ELSE 0 END) OVER (PARTITION BY id) AS hits FROM people) x WHERE hits = 1",
    "SELECT id FROM (SELECT id, bool_or({t}) AS hit FROM people GROUP BY id) x WHERE hit",
    "SELECT id FROM people WHERE ({t}) ORDER BY code LIMIT 100",
    "SELECT DISTINCT id FROM people WHERE {t}",
];

/// Statements that fail, or count, when the condition holds for the row `{id}`.
const SIGNALS: &[&str] = &[
    "SELECT 1 / (CASE WHEN {t} THEN 0 ELSE 1 END) FROM people WHERE id = '{id}'",
    "SELECT CAST(CASE WHEN {t} THEN 'x' ELSE '1' END AS integer) FROM people WHERE id = '{id}'",
    "SELECT count(*) FROM people WHERE id = '{id}' AND ({t})",
    "SELECT (SELECT id FROM people WHERE id = '{id}' AND ({t}))",
    "SELECT sum(CASE WHEN id = '{id}' AND ({t}) THEN 1 ELSE 0 END) FROM people",
    "SELECT max(CASE WHEN {t} THEN 1 ELSE 0 END) FROM people WHERE id = '{id}'",
    "SELECT id FROM people ORDER BY CASE WHEN id = '{id}' AND ({t}) THEN 0 ELSE 1 END, id DESC LIMIT 1",
];

struct Attacker<'a> {
    client: &'a Client,
    questions: usize,
}

type Guesses = BTreeMap<String, BTreeSet<String>>;

impl Attacker<'_> {
    fn ask(&mut self, sql: &str) -> Answer {
        self.questions += 1;
        self.client.run(sql)
    }

    /// Ids for which the prefix test holds, or `None` when the gate refuses such statements.
    fn hits(&mut self, test: &str, channel: &str, prefix: &str) -> Option<BTreeSet<String>> {
        let answer = self.ask(&channel.replace("{t}", &filled(test, prefix)));
        match answer {
            Answer::Rows { rows, .. } => Some(rows.into_iter().map(|row| row[0].clone().unwrap()).collect()),
            Answer::Failed { .. } | Answer::Command(_) | Answer::Notice(_) => None,
        }
    }

    /// Grows prefixes that hold for somebody, letter by letter.
    fn rebuild(&mut self, test: &str, channel: &str) -> Guesses {
        let mut guesses = Guesses::new();
        let mut open = vec![String::new()];
        while let Some(prefix) = open.pop() {
            for letter in ALPHABET.chars() {
                let longer = format!("{prefix}{letter}");
                let Some(hits) = self.hits(test, channel, &longer) else { return guesses };
                if hits.is_empty() {
                    continue;
                }
                for id in hits {
                    guesses.entry(id).or_default().insert(longer.clone());
                }
                if longer.len() < LENGTH {
                    open.push(longer);
                }
            }
            // A channel that says yes to everything would make this endless.
            if open.len() > 3 * SECRETS * ALPHABET.len() {
                return Guesses::new();
            }
        }
        guesses
    }

    /// The letters of one row, by whether a statement answers as it does for a condition that never holds.
    fn signalled(&mut self, test: &str, signal: &str, id: &str) -> String {
        let ask = |attacker: &mut Self, condition: &str| {
            attacker.ask(&signal.replace("{t}", condition).replace("{id}", id)).text()
        };
        let never = ask(self, "id = 'nobody'");
        let mut known = String::new();
        while known.len() < LENGTH {
            let next = ALPHABET.chars().map(|c| format!("{known}{c}")).find(|p| ask(self, &filled(test, p)) != never);
            match next {
                Some(longer) => known = longer,
                None => break,
            }
        }
        known
    }
}

fn filled(test: &str, prefix: &str) -> String {
    let mut after = prefix.to_owned();
    let last = after.pop().map_or('a', |c| char::from_u32(u32::from(c) + 1).unwrap());
    after.push(last);
    let length = prefix.len().to_string();
    test.replace("{p}", prefix).replace("{n}", &length).replace("{s}", &after)
}

/// (test, channel) pairs: each test with a plain channel, each channel with a plain test, and a few mixed.
fn pairs() -> Vec<(&'static str, &'static str)> {
    let mut pairs: Vec<_> = TESTS.iter().map(|test| (*test, CHANNELS[0])).collect();
    pairs.extend(CHANNELS.iter().map(|channel| (TESTS[0], *channel)));
    pairs.extend(CHANNELS.iter().zip(TESTS.iter().skip(2)).map(|(channel, test)| (*test, *channel)));
    pairs
}

fn recovered(guesses: &Guesses, secrets: &[String]) -> usize {
    let found = |n: usize, secret: &String| guesses.get(&format!("p{n}")).is_some_and(|all| all.contains(secret));
    secrets.iter().enumerate().filter(|(n, secret)| found(*n, secret)).count()
}

#[test]
fn no_letter_of_a_masked_value_is_rebuilt() {
    let (fixture, secrets) = fixture(11);
    for layout in Layout::ALL {
        let gate = TestGate::new(&fixture, layout);
        let client = gate.client(&reader());
        let mut attacker = Attacker { client: &client, questions: 0 };
        for (test, channel) in pairs() {
            let guesses = attacker.rebuild(test, channel);
            assert_eq!(recovered(&guesses, &secrets), 0, "{layout:?} {test} through {channel}: {guesses:?}");
            // A condition may hold for all (a mask is a text like others), but never for some by their letters.
            let told = guesses.values().collect::<BTreeSet<_>>().len();
            assert!(told <= 1, "{layout:?} {test} through {channel} tells rows apart: {guesses:?}");
        }
        for signal in SIGNALS {
            for (n, secret) in secrets.iter().enumerate().take(2) {
                let letters = attacker.signalled(TESTS[0], signal, &format!("p{n}"));
                assert!(letters.is_empty(), "{layout:?} {signal}: {letters} of {secret}");
            }
        }
        assert!(attacker.questions > 300, "{}", attacker.questions);
    }
}

#[test]
fn where_predicates_on_masked_columns_are_refused_no_channel_is_open() {
    let (mut fixture, _) = fixture(11);
    fixture.refuse_masked_predicates = true;
    let gate = TestGate::new(&fixture, Layout::Sqlite);
    let client = gate.client(&reader());
    let lateral = [
        "SELECT p.id FROM people p, LATERAL (SELECT 1 FROM people o WHERE p.code <> 'x' LIMIT 1) q",
        "SELECT p.id FROM people p CROSS JOIN LATERAL (SELECT 1 WHERE p.code <> 'x') q",
        "SELECT p.id FROM people p LEFT JOIN LATERAL (SELECT o.id FROM people o WHERE o.id = p.code) q ON true",
        "SELECT q.n FROM people p, LATERAL (SELECT count(*) AS n FROM people o WHERE o.id > p.account) q",
    ];
    let channels = CHANNELS.iter().map(|channel| channel.replace("{t}", "code LIKE 'a%'"));
    for sql in channels.chain(lateral.map(str::to_owned)) {
        assert_eq!(client.run(&sql).code(), Some("42501"), "{sql}");
    }
    for sql in [
        "SELECT code, account FROM people WHERE id = 'p1'",
        "SELECT p.code, q.n FROM people p, LATERAL (SELECT count(*) AS n FROM people o WHERE o.id > p.id) q",
        "SELECT p.code, (SELECT o.id FROM people o WHERE o.id = p.id) FROM people p",
    ] {
        assert_eq!(client.run(sql).code(), None, "{sql}");
    }
}

#[test]
fn the_same_attacker_recovers_every_value_of_an_unmasked_reader() {
    let (mut fixture, secrets) = fixture(11);
    fixture.target_partitions = 1;
    let gate = TestGate::new(&fixture, Layout::Memory);
    let client = gate.client(&seer());
    let mut attacker = Attacker { client: &client, questions: 0 };
    let mut fair = 0;
    for test in TESTS {
        fair += usize::from(recovered(&attacker.rebuild(test, CHANNELS[0]), &secrets) == SECRETS);
    }
    assert!(fair * 10 >= TESTS.len() * 7, "only {fair} of {} tests work at all", TESTS.len());
    for channel in CHANNELS {
        let guesses = attacker.rebuild(TESTS[0], channel);
        assert_eq!(recovered(&guesses, &secrets), SECRETS, "{channel}: {guesses:?}");
    }
    for signal in SIGNALS {
        assert_eq!(attacker.signalled(TESTS[0], signal, "p0"), secrets[0], "{signal}");
    }
}

/// Statements that would tell values apart by order, equality with candidates, extremes, counts or derived values.
fn whole_value_attacks(candidates: &[String]) -> Vec<String> {
    let list = candidates.iter().map(|c| format!("'{c}'")).collect::<Vec<_>>().join(", ");
    let values = candidates.iter().map(|c| format!("('{c}')")).collect::<Vec<_>>().join(", ");
    let first = &candidates[0];
    let mut all: Vec<String> = [
        "SELECT id, c FROM people JOIN (VALUES {values}) d(c) ON d.c = people.code",
        "SELECT id, c FROM people JOIN (VALUES {values}) d(c) ON people.code < d.c",
        "SELECT id, c FROM people JOIN (VALUES {values}) d(c) ON people.code LIKE d.c || '%'",
        "SELECT id, c FROM people JOIN (VALUES {values}) d(c) ON md5(people.code) = md5(d.c)",
        "SELECT id, c FROM people JOIN (VALUES {values}) d(c) ON people.account = d.c || 'zz'",
        "SELECT id, c FROM people JOIN (VALUES {values}) d(c) ON d.c = ANY (people.tags)",
        "SELECT id FROM people WHERE code IN ({list})",
        "SELECT id FROM people WHERE code = ANY (ARRAY[{list}])",
        "SELECT c FROM (VALUES {values}) d(c) WHERE c IN (SELECT code FROM people)",
        "SELECT c FROM (VALUES {values}) d(c) WHERE EXISTS (SELECT 1 FROM people WHERE code = c)",
        "SELECT c FROM (VALUES {values}) d(c) EXCEPT SELECT code FROM people",
        "SELECT c FROM (VALUES {values}) d(c) INTERSECT SELECT code FROM people",
        "SELECT count(*), count(DISTINCT code), count(DISTINCT account), count(DISTINCT pin) FROM people",
        "SELECT count(DISTINCT code) FROM (SELECT code FROM people UNION ALL VALUES {values}) u(code)",
        "SELECT code, count(*) FROM people GROUP BY code",
        "SELECT code, account, email, pin, tags FROM people GROUP BY code, account, email, pin, tags",
        "SELECT min(code), max(code), min(account), max(account), min(pin), max(pin) FROM people",
        "SELECT id FROM people ORDER BY code, id",
        "SELECT id FROM people ORDER BY code DESC, id LIMIT 2",
        "SELECT id FROM people ORDER BY pin, id",
        "SELECT id FROM people ORDER BY account, id LIMIT 3",
        "SELECT id FROM people ORDER BY tags, id",
        "SELECT id FROM (SELECT id, code FROM people UNION ALL SELECT c, c FROM (VALUES {values}) d(c)) u ORDER BY code, id",
        "SELECT id, rank() OVER (ORDER BY code) FROM people",
        "SELECT id, lag(id) OVER (ORDER BY code, id), first_value(id) OVER (ORDER BY code, id) FROM people",
        "SELECT a.id, b.id FROM people a JOIN people b ON a.code < b.code",
        "SELECT a.id, b.id FROM people a JOIN people b ON a.code = b.code",
        "SELECT a.id, b.id FROM people a JOIN people b ON substr(a.code, 1, 1) = substr(b.code, 1, 1)",
        "SELECT id, md5(code), length(code), ascii(code), upper(code), reverse(code) FROM people",
        "SELECT id, sha256(code::bytea) FROM people",
        "SELECT id, encode(code::bytea, 'hex') FROM people",
        "SELECT id, nullif(code, '{first}'), coalesce(code, 'x'), greatest(code, 'c') FROM people",
        "SELECT id, code || account || email FROM people",
        "SELECT id, pin FROM people WHERE pin > 100",
        "SELECT id, pin::integer FROM people",
        "SELECT sum(pin) FROM people",
        "SELECT id, pin + 0 FROM people",
        "SELECT id, CAST(code AS integer) FROM people",
        "SELECT id, CAST(account AS date) FROM people",
        "SELECT string_agg(code, ',' ORDER BY code), array_agg(code ORDER BY code) FROM people",
        "SELECT id, tags, tags[1], array_length(tags, 1), cardinality(tags) FROM people",
        "SELECT unnest(tags) FROM people",
        "SELECT id FROM people WHERE array_position(tags, '{first}') = 1",
        "SELECT id FROM people WHERE tags @> ARRAY['{first}']",
        "SELECT id FROM people WHERE code <> '{first}'",
        "SELECT id FROM people WHERE code IS DISTINCT FROM '{first}'",
        "SELECT id FROM people WHERE (code, id) > ('{first}', 'p0')",
        "SELECT id FROM people WHERE levenshtein(code, '{first}') = 0",
        "SELECT id FROM people p WHERE p.code = (SELECT max(code) FROM people)",
        "SELECT row_to_json(p) FROM people p",
        "SELECT p FROM people p",
        "SELECT p::text FROM people p",
        "COPY people TO STDOUT",
        "COPY people (id, code) TO STDOUT WITH (FORMAT csv)",
        "TABLE people",
        "EXPLAIN SELECT id FROM people WHERE code = '{first}'",
        "EXPLAIN VERBOSE SELECT id FROM people WHERE code LIKE 'a%' ORDER BY code",
        "SELECT * FROM pg_stats WHERE tablename = 'people'",
        "SELECT most_common_vals, histogram_bounds FROM pg_stats",
        "WITH RECURSIVE r(id, c) AS (SELECT id, code FROM people UNION ALL SELECT id, substr(c, 2) FROM r WHERE length(c) > 1) SELECT id, c FROM r",
        "PREPARE a AS SELECT id FROM people WHERE code = '{first}'",
        "EXECUTE a",
        "DEALLOCATE a",
    ]
    .iter()
    .map(|sql| sql.replace("{list}", &list).replace("{values}", &values).replace("{first}", first))
    .collect();
    all.extend(candidates.iter().map(|c| format!("SELECT id FROM people WHERE code = '{c}'")));
    all
}

#[test]
fn other_secrets_behind_the_same_masks_change_no_answer() {
    let ((one, secrets), (other, _)) = (fixture(21), fixture(22));
    let mut candidates = secrets.clone();
    candidates.extend(["aaaaa".to_owned(), "abcab".to_owned()]);
    for layout in Layout::ALL {
        let gates = [TestGate::new(&one, layout), TestGate::new(&other, layout)];
        let clients: Vec<Client> = gates.iter().map(|gate| gate.client(&reader())).collect();
        for sql in whole_value_attacks(&candidates) {
            // Where the statement asks for an order, the order is part of the answer.
            let ordered = sql.contains("ORDER BY");
            let run = |client: &Client| if ordered { client.run(&sql) } else { client.run(&sql).sorted() };
            let answers: Vec<Answer> = clients.iter().map(run).collect();
            assert_eq!(answers[0].text(), answers[1].text(), "{layout:?} {sql}");
            let told =
                secrets.iter().filter(|secret| answers[0].text().contains(*secret) && !sql.contains(*secret)).count();
            assert_eq!(told, 0, "{layout:?} {sql}: {}", answers[0]);
        }
    }
}
