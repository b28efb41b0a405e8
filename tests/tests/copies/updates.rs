//! A row that is changed in the statement that locks it is stored as one that is locked first: of two tables that are alike, one has a
//! trigger that changes nothing, so that its rows are locked first. Random objects, rows and updates by key, with values in the statement
//! and as parameters, in blocks and outside of them; the same rows are stored, or the same is refused in the same words.

use crate::loads::{KINDS, Random, Shape, Takes, alike, seeds, stored, world};
use crate::shop::{Shop, Told, copy_by, told};
use crate::source::Kind;
use bytes::BytesMut;
use querygate_tests::server::runtime;
use tokio_postgres::types::{Format, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, SimpleQueryMessage};

const OBJECTS: usize = 8;
const ROUNDS: usize = 240;
const ROWS: usize = 12;

/// A parameter's value as its text.
#[derive(Debug)]
struct Cell(Option<String>);

impl ToSql for Cell {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        let Some(text) = &self.0 else { return Ok(IsNull::Yes) };
        out.extend_from_slice(text.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}

/// A statement about a table, for which `{t}` stands, with the values of its parameters.
struct Update {
    sql: String,
    parameters: Vec<Cell>,
}

impl Update {
    fn random(random: &mut Random, shape: &Shape) -> Self {
        let (mut set, mut parameters) = (Vec::new(), Vec::new());
        let first = random.below(shape.kinds.len());
        for at in first..(first + 1 + random.below(2)).min(shape.kinds.len()) {
            set.push(format!("f{at} = {}", value(random, shape, at, &mut parameters)));
        }
        if shape.is_owned && random.below(25) == 0 {
            set.push("owner_id = 'nora'".to_owned());
        }
        let key = format!("k{}", random.below(ROWS + 1));
        let condition = if random.below(2) == 0 {
            parameters.push(Cell(Some(key)));
            format!("id = ${}", parameters.len())
        } else {
            format!("id = '{key}'")
        };
        let returning = if random.below(3) == 0 { " RETURNING id, f0" } else { "" };
        Self { sql: format!("UPDATE {{t}} SET {} WHERE {condition}{returning}", set.join(", ")), parameters }
    }

    /// Rows, or their number.
    fn run(&self, client: &Client, table: &str) -> Result<Vec<String>, Told> {
        let sql = self.sql.replace("{t}", table);
        if self.parameters.is_empty() {
            return simple(client, &sql);
        }
        let run = runtime().block_on(async {
            let statement = client.prepare(&sql).await?;
            let parameters: Vec<&(dyn ToSql + Sync)> = self.parameters.iter().map(|cell| cell as _).collect();
            if sql.contains("RETURNING") {
                let rows = client.query(&statement, &parameters).await?;
                return Ok(rows.iter().map(|row| row.get::<_, String>(0)).collect());
            }
            Ok(vec![client.execute(&statement, &parameters).await?.to_string()])
        });
        run.map_err(|error: tokio_postgres::Error| told(&error))
    }
}

fn simple(client: &Client, sql: &str) -> Result<Vec<String>, Told> {
    let answered = runtime().block_on(client.simple_query(sql)).map_err(|error| told(&error))?;
    let shown = answered.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(format!("{:?} {:?}", row.get(0), row.get(1))),
        SimpleQueryMessage::CommandComplete(count) => Some(count.to_string()),
        _ => None,
    });
    Ok(shown.collect())
}

/// What a field is to get: a value, NULL, what it has, or more of it.
fn value(random: &mut Random, shape: &Shape, at: usize, parameters: &mut Vec<Cell>) -> String {
    let (declared, column, _, usual, other) = KINDS[shape.kinds[at]];
    let text = if random.below(12) == 0 { random.of(other) } else { random.of(usual) };
    match random.below(10) {
        0 => "NULL".to_owned(),
        1 => format!("f{at}"),
        2..=4 if declared.contains("number") && column == "integer" => {
            parameters.push(Cell(Some(random.of(&["1", "-1", "40", "2147483647"]).to_owned())));
            format!("f{at} + ${}", parameters.len())
        }
        5..=7 => {
            parameters.push(Cell(Some(text.to_owned())));
            format!("${}", parameters.len())
        }
        _ => format!("'{text}'"),
    }
}

/// Gives back how many changes were made in the statement that locked the row.
fn compare(seed: u64) -> usize {
    let mut random = Random(seed);
    let shapes: Vec<Shape> = (0..OBJECTS).map(|number| Shape::random(&mut random, number % 2 == 1)).collect();
    let (tables, stack, types) = world(Kind::Postgres, &shapes, Takes::Updates);
    let shop = Shop::over(Kind::Postgres, true, &tables, [&stack, &types]);
    let users = [("nora", shop.client("nora")), ("omar", shop.client("omar"))];
    for (number, shape) in shapes.iter().enumerate() {
        for at in 0..ROWS {
            let (login, client) = &users[at % 2];
            let columns = shape.columns(shape.is_owned);
            // Of some rows a value may be refused.
            let row = shape.row(&mut random, at, shape.is_owned.then_some(*login));
            for table in ["plain", "watch"] {
                let sql = format!("COPY {table}{number} (id{columns}) FROM STDIN");
                drop(copy_by(client, &sql, row.as_bytes(), 65_536));
            }
        }
    }
    shop.administer("DELETE FROM texts");
    let mut outcomes = [0, 0];
    for round in 0..ROUNDS {
        let number = random.below(shapes.len());
        let shape = &shapes[number];
        let (login, client) = &users[random.below(2)];
        let updates: Vec<Update> = (0..1 + random.below(3)).map(|_| Update::random(&mut random, shape)).collect();
        let way = random.below(3);
        let run = |table: &str| {
            let table = format!("{table}{number}");
            let mut told = Vec::new();
            if way > 0 {
                simple(client, "BEGIN").unwrap();
            }
            for (at, update) in updates.iter().enumerate() {
                if way == 2 {
                    simple(client, &format!("SAVEPOINT s{at}")).unwrap();
                }
                let ran = update.run(client, &table);
                if way == 2 && ran.is_err() {
                    simple(client, &format!("ROLLBACK TO s{at}")).unwrap();
                }
                told.push(alike(ran));
            }
            if way > 0 {
                simple(client, "COMMIT").unwrap();
            }
            told
        };
        let (plain, watched) = (run("plain"), run("watch"));
        let sql: Vec<_> = updates.iter().map(|update| (&update.sql, &update.parameters)).collect();
        assert_eq!(plain, watched, "seed {seed}, round {round}, {login}, way {way}: {sql:?}\n{stack}");
        let stored = |table: &str| stored(&shop, Kind::Postgres, shape, &format!("{table}{number}"));
        assert_eq!(
            stored("plain"),
            stored("watch"),
            "seed {seed}, round {round}, {login}, way {way}: {sql:?}\n{stack}"
        );
        plain.iter().for_each(|told| outcomes[usize::from(told.is_ok())] += 1);
    }
    assert!(outcomes.iter().all(|count| *count > 10), "seed {seed}: {outcomes:?}");
    shop.stored("SELECT made_by FROM texts WHERE made_by LIKE '%FOR UPDATE) AS o%'").len()
}

#[test]
fn a_row_that_is_changed_with_its_lock_is_stored_as_one_that_is_locked_first() {
    for seed in seeds() {
        let at_once = compare(seed);
        assert!(at_once > 20, "seed {seed}: {at_once} rows were changed with their lock");
    }
}
