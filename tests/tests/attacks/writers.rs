//! A writer who probes for what it does not see, through the real binary over SQLite files: once over all rows, once over a copy without
//! the hidden ones. Both answer alike, but for the two bits that a source with keys cannot keep: that a key is taken, and that a row is
//! referred to. No answer has a hidden value, or a name of the source's or of a rule's.

use querygate_tests::harness::{Company, Fixture, Layout, TestGate};
use querygate_tests::server::{Shop, runtime};
use std::fmt::Write as _;
use tokio_postgres::{Client, SimpleQueryMessage};

const STACK: &str = include_str!("writers/stack.yaml");
const TABLES: &str = "
CREATE TABLE people(id text PRIMARY KEY NOT NULL, name text CONSTRAINT name_hx9 NOT NULL, team text, boss text REFERENCES people(id),
    badge text CONSTRAINT badge_hx9 UNIQUE, rank integer CONSTRAINT rank_hx9 CHECK (rank < 100), pin text,
    salary integer CONSTRAINT salary_hx9 CHECK (salary < 1000), note text);
CREATE TABLE reviews(id text PRIMARY KEY NOT NULL, person text REFERENCES people(id), grade integer, open text);
CREATE TABLE vault(id text PRIMARY KEY NOT NULL, person text REFERENCES people(id), secret text);
CREATE TRIGGER told_hx9 BEFORE UPDATE ON people WHEN new.name = 'trip'
    BEGIN SELECT RAISE(ABORT, 'hx9 the salary is 777'); END;
CREATE TRIGGER moved_hx9 AFTER UPDATE ON people WHEN new.name = 'move'
    BEGIN UPDATE people SET team = 'hx9' WHERE id = new.id; END;
CREATE TRIGGER paid_hx9 AFTER INSERT ON people WHEN new.name = 'paid'
    BEGIN UPDATE people SET salary = 7770 WHERE id = new.id; END;
INSERT INTO people VALUES ('n1', 'ann', 'north', NULL, 'B1', 10, '1hx91', 777, 'a'), ('n2', 'bob', 'north', 'n1', 'B2', 20, '2hx92', 777, 'b'),
    ('n3', 'cy', 'north', NULL, 'B3', 0, '3hx93', 777, NULL), ('n4', 'di', 'north', NULL, 'B4', 5, NULL, 777, NULL);
INSERT INTO reviews VALUES ('r1', 'n1', 3, 'yes'), ('r2', 'n2', 4, 'yes');";
/// Of which the writer sees nothing.
const HIDDEN: &str = "
INSERT INTO people VALUES ('s1', 'hx9 eve', 'south', 'n1', 'BS1', 50, '9hx99', 777, 'hx9'), ('s2', 'zzzzzzz', 'south', 's1', '12', 7, '1', 777, '0');
INSERT INTO reviews VALUES ('rs', 'n3', 9, 'no'), ('rt', 's1', 9, 'no');
INSERT INTO vault VALUES ('v1', 'n4', 'hx9 gold'), ('v2', 's1', 'hx9');";

/// How the two may answer.
enum Answers {
    /// Alike.
    Alike,
    /// Alike, and with this code.
    Refused(&'static str),
    /// The taken key, or the row that is referred to, is told in the one text that there is for it.
    Told(&'static str),
    /// A row whose key is taken is left out of the count.
    LeftOut,
}

use Answers::{Alike, LeftOut, Refused, Told};

/// The rule has the name that the writer's catalog shows, if it shows one.
const TAKEN: &str = "23505 duplicate key value violates ";
const REFERRED: &str = "23503 ";

const PROBES: &[(&str, Answers)] = &[
    // Keys that are taken by hidden rows.
    ("INSERT INTO people (id, name, team) VALUES ('s1', 'x', 'north')", Told(TAKEN)),
    (
        "INSERT INTO people (id, name, team) VALUES ('new', 'x', 'north'), ('s2', 'x', 'north') RETURNING id",
        Told(TAKEN),
    ),
    ("INSERT INTO people (id, name, team, badge) VALUES ('new', 'x', 'north', 'BS1')", Told(TAKEN)),
    ("UPDATE people SET badge = 'BS1' WHERE id = 'n1'", Told(TAKEN)),
    ("UPDATE people SET badge = 'BS1' WHERE id = 'n1' RETURNING *", Told(TAKEN)),
    ("INSERT INTO people (id, name, team) SELECT 's1', name, team FROM people WHERE id = 'n1'", Told(TAKEN)),
    ("INSERT INTO people (id, name, team) VALUES ('n1', 'x', 'north')", Refused("23505")),
    // What becomes of them in conflicts and merges.
    (
        "INSERT INTO people (id, name, team) VALUES ('s1', 'x', 'north') ON CONFLICT (id) DO UPDATE SET note = people.name RETURNING note",
        Told(TAKEN),
    ),
    (
        "INSERT INTO people (id, name, team) VALUES ('s1', 'x', 'north') ON CONFLICT (id) DO UPDATE SET note = 'x' WHERE 1 / (people.rank - 50) > 0",
        Told(TAKEN),
    ),
    (
        "INSERT INTO people (id, name, team) VALUES ('s1', 'x', 'north') ON CONFLICT (id) DO UPDATE SET note = 'x' WHERE false",
        Told(TAKEN),
    ),
    (
        "INSERT INTO people (id, name, team, badge) VALUES ('new', 'x', 'north', 'BS1') ON CONFLICT (badge) DO UPDATE SET note = 'x'",
        Told(TAKEN),
    ),
    ("INSERT INTO people (id, name, team) VALUES ('s1', 'x', 'north') ON CONFLICT DO NOTHING", LeftOut),
    (
        "INSERT INTO people (id, name, team, badge) VALUES ('new', 'x', 'north', 'BS1') ON CONFLICT (badge) DO NOTHING RETURNING id",
        LeftOut,
    ),
    (
        "INSERT INTO people (id, name, team) VALUES ('n1', 'x', 'north') ON CONFLICT (id) DO UPDATE SET note = people.salary",
        Refused("42703"),
    ),
    (
        "INSERT INTO people (id, name, team) VALUES ('n1', 'x', 'north') ON CONFLICT (id) DO UPDATE SET note = excluded.salary",
        Refused("42703"),
    ),
    (
        "INSERT INTO people (id, name, team) VALUES ('n1', 'x', 'north') ON CONFLICT (id) DO UPDATE SET note = people.pin",
        Refused("42501"),
    ),
    (
        "INSERT INTO people (id, name, team) VALUES ('n1', 'x', 'north') ON CONFLICT (salary) DO NOTHING",
        Refused("42703"),
    ),
    (
        "INSERT INTO people (id, name, team) VALUES ('n1', 'x', 'north') ON CONFLICT ON CONSTRAINT badge_hx9 DO NOTHING",
        Refused("42704"),
    ),
    (
        "MERGE INTO people USING (VALUES ('s1'), ('n1')) AS v(id) ON v.id = people.id WHEN MATCHED THEN UPDATE SET note = 'x'",
        Alike,
    ),
    (
        "MERGE INTO people USING (VALUES ('s1')) AS v(id) ON v.id = people.id WHEN MATCHED AND 1 / (rank - 50) > 0 THEN UPDATE SET note = 'x'",
        Alike,
    ),
    (
        "MERGE INTO people USING (VALUES ('s1')) AS v(id) ON v.id = people.id WHEN NOT MATCHED THEN INSERT (id, name, team) VALUES (v.id, 'x', 'north')",
        Told(TAKEN),
    ),
    ("MERGE INTO people USING vault ON vault.person = people.id WHEN MATCHED THEN DELETE", Refused("42P01")),
    (
        "MERGE INTO people USING reviews ON reviews.person = people.id AND people.salary > 0 WHEN MATCHED THEN DELETE",
        Refused("42703"),
    ),
    (
        "MERGE INTO people USING people other ON other.boss = people.id WHEN MATCHED THEN UPDATE SET note = other.name",
        Alike,
    ),
    // References to hidden rows, and from them.
    ("UPDATE people SET boss = 's1' WHERE id = 'n1'", Refused("23503")),
    ("UPDATE people SET boss = 'nobody' WHERE id = 'n1'", Refused("23503")),
    ("INSERT INTO people (id, name, team, boss) VALUES ('new', 'x', 'north', 's1')", Refused("23503")),
    ("INSERT INTO reviews (id, person, open) VALUES ('new', 's2', 'yes')", Refused("23503")),
    ("UPDATE reviews SET person = 's1' WHERE id = 'r1'", Refused("23503")),
    ("DELETE FROM people WHERE id = 'n3'", Told(REFERRED)),
    ("DELETE FROM people WHERE id = 'n4'", Told(REFERRED)),
    ("DELETE FROM people WHERE id = 'n2'", Refused("23503")),
    ("DELETE FROM people USING reviews WHERE reviews.person = people.id", Refused("23503")),
    // Expressions on hidden rows, which would fail there.
    ("UPDATE people SET note = 'x' WHERE 1 / (rank - 50) < 0", Alike),
    ("UPDATE people SET note = 'x' WHERE 1 / (length(name) - 7) > 0", Alike),
    ("UPDATE people SET rank = 100 / (rank - 7)", Alike),
    ("DELETE FROM reviews WHERE 1 / (grade - 9) > 0", Alike),
    ("UPDATE people SET note = 'x' WHERE badge::integer > 0", Refused("22P02")),
    ("UPDATE people SET note = 'x' WHERE team = 'south'", Alike),
    ("UPDATE people SET team = 'north' WHERE id = 's1' RETURNING *", Alike),
    ("DELETE FROM people WHERE id IN ('s1', 's2')", Alike),
    ("UPDATE people SET note = (SELECT count(*)::text FROM people) WHERE id = 'n1' RETURNING note", Alike),
    ("UPDATE people SET note = (SELECT max(name) FROM people) WHERE id = 'n1' RETURNING note", Alike),
    (
        "UPDATE people SET note = 'x' WHERE EXISTS (SELECT FROM people other WHERE other.boss = people.id AND other.rank > 40)",
        Alike,
    ),
    ("UPDATE people SET note = other.name FROM people other WHERE other.boss = people.id RETURNING people.note", Alike),
    ("UPDATE people SET note = v.secret FROM vault v", Refused("42P01")),
    ("UPDATE people SET note = (SELECT max(secret) FROM vault)", Refused("42P01")),
    ("DELETE FROM people USING vault", Refused("42P01")),
    ("INSERT INTO vault (id) VALUES ('x')", Refused("42P01")),
    ("INSERT INTO people (id, name, team) SELECT id, secret, 'north' FROM vault", Refused("42P01")),
    // Columns that are hidden.
    ("UPDATE people SET salary = 1", Refused("42703")),
    ("UPDATE people SET note = salary", Refused("42703")),
    ("UPDATE people SET note = 'x' WHERE salary > 700", Refused("42703")),
    ("UPDATE people SET note = 'x' RETURNING salary", Refused("42703")),
    ("UPDATE people SET note = 'x' WHERE id = 'n1' RETURNING people.*", Alike),
    ("DELETE FROM people RETURNING salary + 1", Refused("42703")),
    ("INSERT INTO people (id, name, team, salary) VALUES ('new', 'x', 'north', 1)", Refused("42703")),
    ("INSERT INTO people VALUES ('new', 'x', 'north', NULL, NULL, 1, NULL, 'x') RETURNING *", Alike),
    // Masks.
    ("UPDATE people SET note = pin", Refused("42501")),
    ("UPDATE people SET note = upper(pin) || '!'", Refused("42501")),
    ("UPDATE people SET note = CASE WHEN pin LIKE '1h%' THEN 'y' ELSE 'n' END", Refused("42501")),
    ("UPDATE people SET pin = substr(pin, 1, 2)", Refused("42501")),
    ("UPDATE people SET pin = pin", Refused("42501")),
    ("UPDATE people SET pin = '****1' WHERE id = 'n1'", Alike),
    ("UPDATE people SET note = 'x' WHERE pin = '1hx91'", Alike),
    ("UPDATE people SET note = 'x' WHERE pin LIKE '%hx9%'", Alike),
    ("UPDATE people SET note = 'x' WHERE id = 'n1' RETURNING pin, reverse(pin), length(pin)", Alike),
    ("INSERT INTO people (id, name, team, note) SELECT id || 'x', name, team, pin FROM people RETURNING note", Alike),
    ("UPDATE people SET note = other.pin FROM people other WHERE other.id = 'n1' RETURNING people.note", Alike),
    // Out of sight, and into it.
    ("UPDATE people SET team = 'south' WHERE id = 'n3'", Refused("42501")),
    ("UPDATE people SET team = NULL WHERE id = 'n3'", Refused("42501")),
    ("INSERT INTO people (id, name, team) VALUES ('new', 'x', 'south')", Refused("42501")),
    ("INSERT INTO people (id, name) VALUES ('new', 'x') RETURNING id", Refused("42501")),
    ("UPDATE reviews SET open = 'no' WHERE id = 'r1' RETURNING open", Refused("42501")),
    ("UPDATE people SET id = 's1' WHERE id = 'n3'", Refused("0A000")),
    ("TRUNCATE people", Refused("42501")),
    // Texts of constraints, of triggers and of rules.
    ("UPDATE people SET name = 'trip' WHERE id = 'n1'", Alike),
    ("UPDATE people SET name = 'move' WHERE id = 'n1'", Refused("42501")),
    ("UPDATE people SET name = 'move' WHERE id = 'n1' RETURNING team", Refused("42501")),
    ("INSERT INTO people (id, name, team) VALUES ('new', 'paid', 'north')", Refused("23514")),
    ("UPDATE people SET rank = 500", Refused("23514")),
    ("UPDATE people SET name = NULL", Refused("23502")),
    ("INSERT INTO people (id, team) VALUES ('new', 'north')", Refused("23502")),
    ("UPDATE people SET name = 'ruled' WHERE id = 'n1'", Refused("23514")),
    ("UPDATE people SET name = 'odd' WHERE id = 'n1'", Refused("23514")),
    // Locks.
    ("SELECT id FROM people ORDER BY id FOR UPDATE", Alike),
    ("SELECT id FROM people WHERE id = 's1' FOR UPDATE NOWAIT", Alike),
    ("SELECT id FROM people WHERE 1 / (rank - 50) < 0 FOR UPDATE SKIP LOCKED", Alike),
    ("SELECT count(*) FROM vault FOR SHARE", Refused("42P01")),
    // What is told before.
    ("EXPLAIN UPDATE people SET note = 'x' WHERE id = 's1'", Alike),
    ("EXPLAIN VERBOSE UPDATE people SET note = 'x', rank = 1", Alike),
    ("EXPLAIN (FORMAT JSON) DELETE FROM people WHERE team = 'south'", Alike),
    (
        "EXPLAIN INSERT INTO people (id, name, team) VALUES ('s1', 'x', 'north') ON CONFLICT (id) DO UPDATE SET note = 'x'",
        Alike,
    ),
    ("EXPLAIN MERGE INTO people USING (VALUES ('s1')) AS v(id) ON v.id = people.id WHEN MATCHED THEN DELETE", Alike),
    ("EXPLAIN UPDATE people SET salary = 1", Refused("42703")),
    ("EXPLAIN DELETE FROM vault", Refused("42P01")),
    ("EXPLAIN ANALYZE DELETE FROM people", Refused("0A000")),
    // Catalogs.
    ("SELECT has_table_privilege('vault', 'UPDATE')", Refused("42P01")),
    ("SELECT has_column_privilege('people', 'salary', 'UPDATE')", Refused("42703")),
    ("SELECT has_table_privilege('people', 'INSERT, UPDATE'), has_table_privilege('people', 'TRUNCATE')", Alike),
    ("SELECT * FROM information_schema.table_privileges WHERE table_schema = 'public'", Alike),
    ("SELECT * FROM information_schema.column_privileges WHERE table_schema = 'public'", Alike),
    (
        "SELECT table_name, column_name, is_updatable, column_default FROM information_schema.columns WHERE table_schema = 'public'",
        Alike,
    ),
    (
        "SELECT relname, relacl::text, relhastriggers, relrowsecurity, reltuples FROM pg_class WHERE relnamespace = 'public'::regnamespace",
        Alike,
    ),
    ("SELECT conname, contype, pg_get_constraintdef(oid) FROM pg_constraint", Alike),
    ("SELECT tgname FROM pg_trigger", Alike),
    ("SELECT * FROM pg_policies", Alike),
    ("SELECT * FROM information_schema.referential_constraints", Alike),
    ("SELECT object, rows FROM querygate.audit WHERE false", Alike),
    // Ways around.
    ("WITH gone AS (DELETE FROM people RETURNING salary) SELECT * FROM gone", Refused("0A000")),
    ("UPDATE ONLY people SET note = 'x' WHERE id = 's1'", Alike),
    ("UPDATE hr_people SET note = 'x'", Refused("42P01")),
    ("UPDATE public.vault SET secret = 'x'", Refused("42P01")),
    ("DELETE FROM pg_catalog.pg_class", Alike),
    ("UPDATE information_schema.tables SET table_name = 'x'", Alike),
    ("DELETE FROM querygate.audit", Alike),
    ("DELETE FROM sqlite_master", Refused("42P01")),
    ("COPY people (id, salary) FROM STDIN", Refused("42703")),
    ("COPY vault FROM STDIN", Refused("42P01")),
    ("COPY people FROM '/etc/passwd'", Refused("0A000")),
    ("COPY (DELETE FROM people RETURNING *) TO STDOUT", Alike),
    ("PREPARE w AS UPDATE people SET note = salary", Refused("42703")),
    ("PREPARE w AS DELETE FROM vault", Refused("42P01")),
    ("DECLARE c CURSOR FOR SELECT id FROM people FOR UPDATE", Alike),
    ("DELETE FROM people WHERE CURRENT OF c", Alike),
];

struct Side {
    shop: Shop,
    client: Client,
}

impl Side {
    fn new(rows: &str) -> Self {
        let shop = Shop::new(STACK, &[("iris", "permission_sets = [\"hr_writer\"]")], rows);
        Self { client: shop.client("iris"), shop }
    }

    /// Everything that is said of one statement, whose change is undone.
    fn ask(&self, sql: &str) -> String {
        self.run("BEGIN");
        let answer = self.run(sql);
        self.run("ROLLBACK");
        answer
    }

    fn run(&self, sql: &str) -> String {
        let messages = match runtime().block_on(self.client.simple_query(sql)) {
            Ok(messages) => messages,
            Err(error) => {
                let told = error.as_db_error().unwrap_or_else(|| panic!("{sql}: {error:?}"));
                let more = [told.detail(), told.hint(), told.constraint(), told.table(), told.column(), told.where_()];
                let more: Vec<&str> = more.into_iter().flatten().collect();
                return format!("{} {} {}", told.code().code(), told.message(), more.join(" ")).trim_end().to_owned();
            }
        };
        let (mut rows, mut text) = (Vec::new(), String::new());
        for message in messages {
            match message {
                SimpleQueryMessage::Row(row) => {
                    rows.push((0..row.len()).map(|at| row.get(at).unwrap_or("NULL")).collect::<Vec<_>>().join("|"));
                }
                SimpleQueryMessage::CommandComplete(count) => write!(text, "{count} ").unwrap(),
                _ => {}
            }
        }
        rows.sort();
        text + &rows.join("\n")
    }

    fn stored(&self) -> Vec<String> {
        let all = "SELECT concat_ws('|', id, name, team, boss, badge, rank, pin, salary, note) FROM people
            UNION ALL SELECT concat_ws('|', id, person, grade, open) FROM reviews
            UNION ALL SELECT concat_ws('|', id, person, secret) FROM vault ORDER BY 1";
        self.shop.stored(all)
    }
}

/// What the writer knows already may come back: columns of its own statement.
fn assert_silent(sql: &str, answer: &str) {
    for hidden in ["hx9", "777", "salary", "vault", "secret", "south", "BS1", "zzzzzzz"] {
        assert!(sql.contains(hidden) || !answer.contains(hidden), "{sql} tells {hidden}: {answer}");
    }
}

#[test]
fn a_writer_finds_out_nothing() {
    let (all, reduced) = (Side::new(&(TABLES.to_owned() + HIDDEN)), Side::new(TABLES));
    let (before, before_reduced) = (all.stored(), reduced.stored());
    let mut wrong = Vec::new();
    for (sql, answers) in PROBES {
        let (told, other) = (all.ask(sql), reduced.ask(sql));
        assert_silent(sql, &told);
        let is_failure = |text: &str| text.starts_with("XX") || text.starts_with("58");
        let is_right = match answers {
            Alike => told == other,
            Refused(code) => told == other && told.starts_with(code),
            Told(text) => told.starts_with(text) && told != other,
            LeftOut => told == "0 " && other.starts_with("1 "),
        };
        if !is_right || is_failure(&told) {
            wrong.push(format!("{sql}\n    told: {told}\n    over the copy: {other}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), PROBES.len(), wrong.join("\n"));
    assert!(PROBES.len() >= 60);
    assert_eq!(all.stored(), before);
    assert_eq!(reduced.stored(), before_reduced);
    println!("{} probes of a writer", PROBES.len());
}

#[test]
fn a_taken_key_has_one_text() {
    let all = Side::new(&(TABLES.to_owned() + HIDDEN));
    // Whether the row that has it is hidden or not.
    let insert = |id: &str| all.ask(&format!("INSERT INTO people (id, name, team) VALUES ('{id}', 'x', 'north')"));
    assert_eq!(insert("s1"), insert("n1"));
    let delete = |id: &str| all.ask(&format!("DELETE FROM people WHERE id = '{id}'"));
    let refusals = [delete("n1"), delete("n3"), delete("n4")];
    assert!(refusals.iter().all(|text| *text == refusals[0] && text.starts_with(REFERRED)), "{refusals:?}");
    let refer = |to: &str| all.ask(&format!("UPDATE people SET boss = '{to}' WHERE id = 'n3'"));
    assert_eq!(refer("s1"), refer("nobody"));
}

/// The company, whose administrator may change employees or not.
fn company(may_edit: bool) -> Fixture {
    let mut fixture = Company::fixture();
    fixture.writes = true;
    for set in fixture.stack["permissions"].as_array_mut().unwrap() {
        if set["name"] == "hr_admin" {
            set["objects"]["hr_employees"]["allowEdit"] = may_edit.into();
        }
    }
    fixture
}

#[test]
fn a_prepared_change_ends_with_the_right() {
    const CHANGE: &str = "UPDATE employees SET note = 'x' WHERE id = 'e1'";
    let gate = TestGate::new(&company(true), Layout::Sqlite);
    let (ada, other) = (gate.client(&Company::admin()), gate.client(&Company::admin()));
    let prepared = ada.prepare(CHANGE).unwrap();
    assert_eq!(ada.execute_prepared(&prepared, &[]).code(), None);
    assert_eq!(ada.run("PREPARE w AS UPDATE employees SET note = 'y' WHERE id = 'e2'").code(), None);
    assert_eq!(other.run("BEGIN").code(), None);
    assert_eq!(other.run(CHANGE).code(), None);
    gate.replace(&company(false), Layout::Sqlite);
    assert_eq!(ada.execute_prepared(&prepared, &[]).code(), Some("42501"));
    assert_eq!(ada.run("EXECUTE w").code(), Some("42501"));
    assert_eq!(ada.run(CHANGE).code(), Some("42501"));
    assert_eq!(ada.run("SELECT has_table_privilege('employees', 'UPDATE')").table()[0][0].as_deref(), Some("false"));
    // What was changed before is not committed.
    assert_eq!(other.run("COMMIT").code(), Some("42501"));
    assert_eq!(other.run("SELECT count(*) FROM employees WHERE note = 'x'").table()[0][0].as_deref(), Some("0"));
    gate.replace(&company(true), Layout::Sqlite);
    assert_eq!(ada.execute_prepared(&prepared, &[]).code(), None);
}
