//! What psql's `\\d` prints of introspected tables beside MariaDB's own catalog: a rental shop and a trading company, with small and compound
//! keys, an enum, a set, computed columns and self references.

use super::every_type::served;
use super::server::Server as MariaDb;
use crate::described::{Described, Different, ForeignKey, IndexKind, compare};
use std::collections::BTreeMap;
use tempfile::TempDir;

const SCHEMA: &str = "
    CREATE DATABASE trade CHARACTER SET utf8mb4; USE trade;
    CREATE TABLE language (language_id tinyint unsigned AUTO_INCREMENT PRIMARY KEY, name char(20) NOT NULL, last_update timestamp NOT NULL);
    CREATE TABLE film (film_id smallint unsigned AUTO_INCREMENT PRIMARY KEY, title varchar(128) NOT NULL, description text, release_year year,
      language_id tinyint unsigned NOT NULL, original_language_id tinyint unsigned, rental_rate decimal(4,2) NOT NULL DEFAULT 4.99, length smallint unsigned,
      rating enum('G','PG','PG-13','R','NC-17') DEFAULT 'G', special_features set('Trailers','Deleted Scenes'), doubled decimal(6,2) AS (rental_rate * 2) STORED,
      halved double AS (rental_rate / 2) VIRTUAL, last_update timestamp(6) NULL, KEY film_title (title), FULLTEXT KEY film_text (description),
      CONSTRAINT fk_film_language FOREIGN KEY (language_id) REFERENCES language (language_id) ON DELETE RESTRICT ON UPDATE CASCADE,
      CONSTRAINT fk_film_original FOREIGN KEY (original_language_id) REFERENCES language (language_id) ON DELETE SET NULL ON UPDATE NO ACTION);
    CREATE TABLE actor (actor_id int AUTO_INCREMENT PRIMARY KEY, first_name varchar(45) NOT NULL, last_name varchar(45) NOT NULL, picture blob,
      UNIQUE KEY actor_names (last_name, first_name), KEY idx_first (first_name));
    CREATE TABLE film_actor (actor_id int NOT NULL, film_id smallint unsigned NOT NULL, at datetime(3), PRIMARY KEY (actor_id, film_id),
      FOREIGN KEY (actor_id) REFERENCES actor (actor_id) ON DELETE CASCADE, FOREIGN KEY (film_id) REFERENCES film (film_id));
    CREATE TABLE employees (employee_id smallint PRIMARY KEY, last_name varchar(20) NOT NULL, reports_to smallint, birth_date date, photo longblob, notes mediumtext,
      active bool NOT NULL, began time, salary float, badge bigint unsigned UNIQUE, FOREIGN KEY (reports_to) REFERENCES employees (employee_id) ON DELETE SET NULL);
    CREATE TABLE orders (order_id bigint PRIMARY KEY, employee_id smallint, order_date datetime, freight double, ship_name varchar(40), code binary(16), flags bit(4),
      note json, FOREIGN KEY (employee_id) REFERENCES employees (employee_id));
    CREATE TABLE order_details (order_id bigint NOT NULL, line smallint NOT NULL, unit_price decimal(10,4) NOT NULL, quantity mediumint NOT NULL, total decimal(65,30),
      PRIMARY KEY (order_id, line), FOREIGN KEY (order_id) REFERENCES orders (order_id) ON DELETE CASCADE ON UPDATE CASCADE);
    CREATE TABLE part_lots (lot int unsigned PRIMARY KEY, order_id bigint, line smallint, label varchar(200), UNIQUE KEY lots_at (order_id, lot), KEY by_label (label(10)),
      CONSTRAINT lots_lines FOREIGN KEY (order_id, line) REFERENCES order_details (order_id, line) ON UPDATE RESTRICT ON DELETE NO ACTION);
    CREATE TABLE loose (a int, b varchar(5));
";

const DIFFERENT: &[Different] = &[];

/// The type that the guide gives a type of MariaDB.
fn type_of(table: &str, column: &str, declared: &str) -> String {
    let arguments =
        declared.split_once('(').and_then(|(_, rest)| rest.split_once(')')).map_or("", |(inside, _)| inside);
    let unsigned = declared.contains("unsigned");
    let name = declared.split(['(', ' ']).next().unwrap();
    match (name, unsigned) {
        ("tinyint", false) if arguments == "1" => "boolean".to_owned(),
        ("bit", _) if arguments == "1" => "boolean".to_owned(),
        ("tinyint", _) | ("smallint", false) | ("year", _) => "smallint".to_owned(),
        ("smallint", true) | ("mediumint", _) | ("int", false) => "integer".to_owned(),
        ("int", true) | ("bigint", false) => "bigint".to_owned(),
        ("bigint", true) => "numeric(20,0)".to_owned(),
        ("decimal", _) => format!("numeric({arguments})"),
        ("float", _) => "real".to_owned(),
        ("double", _) => "double precision".to_owned(),
        ("char", _) => format!("character({arguments})"),
        ("varchar", _) => format!("character varying({arguments})"),
        ("enum", _) => format!("{table}_{column}"),
        ("text" | "mediumtext" | "longtext" | "set" | "time", _) => "text".to_owned(),
        ("binary" | "blob" | "longblob" | "bit", _) => "bytea".to_owned(),
        ("date", _) => "date".to_owned(),
        ("datetime", _) => "timestamp without time zone".to_owned(),
        ("timestamp", _) => "timestamp with time zone".to_owned(),
        other => panic!("{other:?}"),
    }
}

/// The tables as `information_schema` has them.
fn catalog(database: &MariaDb) -> Vec<Described> {
    let rows = |sql: &str| -> Vec<Vec<String>> {
        database.sql(sql).lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()
    };
    let mut tables: BTreeMap<String, Described> = BTreeMap::new();
    for row in rows(
        "SELECT TABLE_NAME, COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = 'trade' \
         ORDER BY TABLE_NAME, ORDINAL_POSITION",
    ) {
        let [table, column, declared, nullable] = &row[..] else { panic!("{row:?}") };
        let described =
            tables.entry(table.clone()).or_insert_with(|| Described { name: table.clone(), ..Described::default() });
        described.columns.push((column.clone(), type_of(table, column, declared), nullable == "NO"));
    }
    for row in rows(
        "SELECT TABLE_NAME, INDEX_NAME, NON_UNIQUE, INDEX_TYPE, GROUP_CONCAT(COLUMN_NAME ORDER BY SEQ_IN_INDEX) FROM \
         information_schema.STATISTICS WHERE TABLE_SCHEMA = 'trade' GROUP BY 1, 2, 3, 4",
    ) {
        let [table, name, not_unique, method, columns] = &row[..] else { panic!("{row:?}") };
        let described = tables.get_mut(table).unwrap();
        let columns: Vec<String> = columns.split(',').map(str::to_owned).collect();
        match (name.as_str(), method.as_str()) {
            ("PRIMARY", _) => described.primary_key = columns,
            (_, "BTREE") => {
                let kind = if not_unique == "0" { IndexKind::Constraint } else { IndexKind::Plain };
                described.indexes.push((name.clone(), columns, kind));
            }
            // There is no such index here.
            _ => {}
        }
    }
    for row in rows(
        "SELECT k.TABLE_NAME, k.CONSTRAINT_NAME, k.REFERENCED_TABLE_NAME, r.UPDATE_RULE, r.DELETE_RULE, \
         GROUP_CONCAT(k.COLUMN_NAME ORDER BY k.ORDINAL_POSITION), GROUP_CONCAT(k.REFERENCED_COLUMN_NAME ORDER BY k.ORDINAL_POSITION) \
         FROM information_schema.KEY_COLUMN_USAGE k JOIN information_schema.REFERENTIAL_CONSTRAINTS r ON \
         r.CONSTRAINT_SCHEMA = k.CONSTRAINT_SCHEMA AND r.CONSTRAINT_NAME = k.CONSTRAINT_NAME AND r.TABLE_NAME = k.TABLE_NAME \
         WHERE k.TABLE_SCHEMA = 'trade' GROUP BY 1, 2, 3, 4, 5",
    ) {
        let [table, name, other, on_update, on_delete, columns, referenced] = &row[..] else { panic!("{row:?}") };
        let [columns, referenced] = [columns, referenced].map(|list| list.split(',').map(str::to_owned).collect());
        let (name, other) = (name.clone(), other.clone());
        let (on_update, on_delete) = (on_update.clone(), on_delete.clone());
        let key = ForeignKey { name, columns, table: other, referenced, on_update, on_delete };
        tables.get_mut(table).unwrap().foreign_keys.push(key);
    }
    tables.into_values().collect()
}

#[test]
fn tables_are_described_as_in_the_catalog() {
    let Some(database) = MariaDb::start() else { return };
    database.sql(SCHEMA);
    let folder = TempDir::new().unwrap();
    let (server, _) = served(folder.path(), &database, "trade");
    let tables = catalog(&database);
    assert_eq!(tables.len(), 9);
    compare(&server, &tables, DIFFERENT);
}
