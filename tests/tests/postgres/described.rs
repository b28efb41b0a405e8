//! What psql's `\\d` prints of an introspected database beside what it prints of the database itself: an old rental shop and an old
//! trading company, with serial, small and compound keys, self references, arrays, an enum, a domain and a generated column.

use super::PASSWORD;
use super::clinic::{database, init, served};
use querygate_tests::server::psql;
use std::process::Command;
use tempfile::TempDir;

pub(super) const SCHEMA: &str = "
    CREATE TYPE mpaa_rating AS ENUM ('G', 'PG', 'PG-13', 'R', 'NC-17');
    CREATE DOMAIN year AS integer CHECK (VALUE >= 1901 AND VALUE <= 2155);
    CREATE TABLE language (language_id serial PRIMARY KEY, name char(20) NOT NULL, last_update timestamptz NOT NULL DEFAULT now());
    CREATE TABLE film (film_id serial PRIMARY KEY, title text NOT NULL, release_year year, language_id smallint NOT NULL REFERENCES language ON UPDATE CASCADE ON DELETE RESTRICT,
      original_language_id smallint REFERENCES language, rental_duration smallint NOT NULL DEFAULT 3, rental_rate numeric(4,2) NOT NULL DEFAULT 4.99, length smallint,
      replacement_cost numeric(5,2) NOT NULL DEFAULT 19.99, rating mpaa_rating DEFAULT 'G', special_features text[], scores int[], fulltext tsvector,
      price_with_tax numeric(8,4) GENERATED ALWAYS AS (rental_rate * 1.19) STORED);
    CREATE INDEX film_title ON film (title); CREATE INDEX film_language ON film (language_id, original_language_id);
    CREATE TABLE actor (actor_id serial PRIMARY KEY, first_name varchar(45) NOT NULL, last_name varchar(45) NOT NULL, UNIQUE (last_name, first_name));
    CREATE TABLE film_actor (actor_id int NOT NULL REFERENCES actor, film_id int NOT NULL REFERENCES film ON DELETE CASCADE, PRIMARY KEY (actor_id, film_id));
    CREATE TABLE employees (employee_id smallint PRIMARY KEY, last_name varchar(20) NOT NULL, reports_to smallint REFERENCES employees, birth_date date, photo bytea, notes text, region text NOT NULL DEFAULT 'north');
    CREATE TABLE orders (order_id int PRIMARY KEY, employee_id smallint REFERENCES employees, order_date date, freight real, ship_name varchar(40));
    CREATE TABLE order_details (order_id int NOT NULL REFERENCES orders ON DELETE CASCADE, line smallint NOT NULL, unit_price real NOT NULL, quantity smallint NOT NULL, discount real NOT NULL DEFAULT 0, PRIMARY KEY (order_id, line));
    CREATE TABLE part_lots (order_id int, line smallint, lot bigint, shipped timestamp, at time, PRIMARY KEY (lot), FOREIGN KEY (order_id, line) REFERENCES order_details (order_id, line));
    CREATE UNIQUE INDEX lots_at ON part_lots (shipped, lot); CREATE INDEX ON part_lots ((lot + 1)); CREATE INDEX ON part_lots USING hash (at); CREATE UNIQUE INDEX ON part_lots (line) WHERE lot > 0;
    CREATE TABLE regions (id int CONSTRAINT pk_regions PRIMARY KEY, code varchar(3) CONSTRAINT \"By Code\" UNIQUE, label text,
      parent int CONSTRAINT fk_parent REFERENCES regions, UNIQUE (label, parent));
    CREATE UNIQUE INDEX ON regions (label);
    INSERT INTO language VALUES (1,'English');
    INSERT INTO film (title, language_id) VALUES ('a',1);
";

/// Lines of the database's own, and of the gate's, where they differ, by table.
const DIFFERENT: &[(&str, &str, &str)] = &[
    // A domain is its base, and what has no type here are texts.
    ("film", " release_year | year | | ", " release_year | integer | | "),
    ("film", " fulltext | tsvector | | ", " fulltext | text | | "),
];

/// Indexes of expressions, of other methods than btree, and over some rows only.
const LEFT_OUT: &[&str] = &[
    " \"part_lots_expr_idx\" btree ((lot + 1))",
    " \"part_lots_at_idx\" hash (at)",
    " \"part_lots_line_idx\" UNIQUE, btree (line) WHERE lot > 0",
];

/// Without the widths of columns and their defaults, which the gate does not show, nor lines between.
fn lines(printed: &str) -> Vec<String> {
    let line = |line: &str| {
        let words = line.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
        let words = if line.starts_with(' ') { format!(" {words}") } else { words };
        match words.match_indices('|').nth(3) {
            Some((default, _)) => words[..default].to_owned(),
            None => words,
        }
    };
    printed.lines().map(line).filter(|line| !line.contains("---")).collect()
}

#[test]
fn tables_are_described_as_in_the_source() {
    let Some((source, _admin)) = database("rental", SCHEMA) else { return };
    let folder = TempDir::new().unwrap();
    let said = init(folder.path(), &source, "rental");
    for part in ["as its base: film.release_year (public.year) as integer", "as text: film.fulltext (tsvector)"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let server = served(folder.path(), "rental");
    let mut seen = 0;
    for table in
        ["language", "film", "actor", "film_actor", "employees", "orders", "order_details", "part_lots", "regions"]
    {
        let described = format!("\\d {table}");
        let target = format!("host=127.0.0.1 port={} user=postgres dbname=rental", source.port);
        let mut command = Command::new("psql");
        let own = command.args(["-X", &target, "-c", &described]).env("PGPASSWORD", PASSWORD).output().unwrap();
        let mut own = lines(&String::from_utf8(own.stdout).unwrap());
        own.retain(|line| !LEFT_OUT.contains(&line.as_str()));
        let gate = lines(&psql(&server, "ann", &["-c", &described]).out);
        assert!(own.len() > 6, "{table}: {own:?}");
        assert_eq!(own.len(), gate.len(), "{table}: {own:#?} {gate:#?}");
        for (own, gate) in own.iter().zip(&gate).filter(|(own, gate)| own != gate) {
            assert!(DIFFERENT.contains(&(table, own.as_str(), gate.as_str())), "{table}: {own:?} {gate:?}");
            seen += 1;
        }
    }
    assert_eq!(seen, DIFFERENT.len(), "a difference is gone");
}
