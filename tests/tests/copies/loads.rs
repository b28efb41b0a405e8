//! What is loaded is what would be stored row by row: of two tables that are alike, one has a trigger that changes nothing, so that its rows
//! take the steps of other changes. Random objects and rows, half of the objects with owners and stamps, by a user who may give records
//! away and one who may not; the same rows are stored, or the same is refused in the same words.

use crate::shop::{Shop, Told, copied_out, copy_by};
use crate::source::Kind;
use std::fmt::Write as _;

const OBJECTS: usize = 8;
const ROUNDS: usize = 40;

pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    pub(crate) fn of<'a>(&mut self, some: &[&'a str]) -> &'a str {
        some[self.below(some.len())]
    }
}

/// What a field may be: its metadata, its column's type in the source and in the metadata, values that are usual, and others.
type FieldKind = (&'static str, &'static str, &'static str, &'static [&'static str], &'static [&'static str]);

pub(crate) const KINDS: [FieldKind; 14] = [
    (
        "type: text, maxLength: 5",
        "text",
        "text",
        &["a", "abc", "h\u{e9}llo"],
        &["too long", "", "  ", "\u{1f600}\u{1f600}\u{1f600}"],
    ),
    (
        "type: text, minLength: 2, required: true",
        "varchar(8)",
        "varchar(8)",
        &["ab", "abc"],
        &["a", "", "much too long for it"],
    ),
    ("type: email", "text", "text", &["a@b.co", "x.y@z.org"], &["nobody", "a@b"]),
    ("type: number, min: 0, max: 90", "integer", "integer", &["0", "7", "90"], &["-1", "91", "x"]),
    (
        "type: number, scale: 2",
        "double precision",
        "double precision",
        &["0", "1.25", "-3.5"],
        &["1.125", "NaN", "1e300"],
    ),
    (
        "type: currency, max: 1000",
        "numeric(14,4)",
        "numeric(14,4)",
        &["0.01", "999.9999", "1000"],
        &["1000.0001", "-0.00004"],
    ),
    ("type: number", "numeric(30,2)", "numeric(30,2)", &["1.5", "0"], &["123456789012345678901234.56"]),
    (
        "type: select, options: [{ value: new, label: New }, { value: done, label: Done }]",
        "text",
        "text",
        &["new", "done"],
        &["other", ""],
    ),
    ("type: boolean", "boolean", "boolean", &["t", "f"], &["maybe"]),
    ("type: date", "date", "date", &["2026-02-28", "0001-01-01"], &["10000-01-01", "0044-03-15 BC", "infinity"]),
    (
        "type: datetime",
        "timestamptz",
        "timestamptz",
        &["2026-01-02 03:04:05.678901+00", "1969-12-31 23:59:59.999999+00"],
        &["infinity", "20000-01-01 00:00:00+00"],
    ),
    ("type: time", "time", "time", &["00:00:00", "23:59:59.999999"], &["24:00:00"]),
    ("type: text, defaultValue: none", "text", "text", &["x", "some"], &[""]),
    // Another one is what its readers see of it.
    ("type: text, maskingRule: { keepTail: 4 }", "text", "text", &["4111111111111111", "x"], &["************1111"]),
];

/// What the platform keeps of each record.
const STAMPS: [(&str, &str); 6] = [
    ("created_at", "timestamptz"),
    ("updated_at", "timestamptz"),
    ("created_by", "text"),
    ("updated_by", "text"),
    ("owner_id", "text"),
    ("owning_business_unit_id", "text"),
];

/// A type of PostgreSQL's in a source of another kind.
fn native(kind: Kind, declared: &str) -> &str {
    match (kind, declared) {
        (Kind::Sqlite, "double precision") => "double",
        (Kind::Sqlite, "date" | "time" | "timestamptz") => "text",
        (Kind::Sqlite | Kind::Postgres | Kind::MariaDb, other) => other,
    }
}

/// An object, of which two tables are.
pub(crate) struct Shape {
    pub(crate) kinds: Vec<usize>,
    check: Option<String>,
    validation: Option<String>,
    /// Whether its records have owners and stamps.
    pub(crate) is_owned: bool,
}

impl Shape {
    pub(crate) fn random(random: &mut Random, is_owned: bool) -> Self {
        let kinds: Vec<usize> = (0..3 + random.below(4)).map(|_| random.below(KINDS.len())).collect();
        let at = random.below(kinds.len());
        let (field, kind) = (format!("f{at}"), kinds[at]);
        let condition = match KINDS[kind].0 {
            number if number.contains("number") || number.contains("currency") => format!("{field} >= 1"),
            select if select.contains("select") => format!("{field} == 'new'"),
            _ => format!("{field} != null"),
        };
        let is_checked = random.below(3) > 0;
        let violated = match KINDS[kind].0 {
            number if number.contains("number") || number.contains("currency") => format!("record.{field} > 80"),
            _ => format!("record.{field} == null"),
        };
        let validation = (random.below(2) == 0).then_some(violated);
        Self { kinds, check: is_checked.then_some(condition), validation, is_owned }
    }

    pub(crate) fn columns(&self, names_owner: bool) -> String {
        let fields: String = (0..self.kinds.len()).map(|at| format!(", f{at}")).collect();
        if names_owner { fields + ", owner_id" } else { fields }
    }

    pub(crate) fn row(&self, random: &mut Random, at: usize, owner: Option<&str>) -> String {
        let mut row = format!("k{at}");
        for kind in &self.kinds {
            let (.., usual, other) = KINDS[*kind];
            let cell = match random.below(400) {
                0 => random.of(other),
                1..=5 => "\\N",
                _ => random.of(usual),
            };
            write!(row, "\t{cell}").unwrap();
        }
        if let Some(owner) = owner {
            let cell = match random.below(80) {
                0 => "nora",
                1..=9 => "\\N",
                _ => owner,
            };
            write!(row, "\t{cell}").unwrap();
        }
        row + "\n"
    }
}

/// What is done with rows of a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    Inserts,
    /// The table says by what text a statement changed a row, in a check of its own.
    Updates,
}

/// Tables, the stack and the types of its columns. Where a statement stored a row, the table says by what text.
pub(crate) fn world(kind: Kind, shapes: &[Shape], takes: Takes) -> (String, String, String) {
    let (operation, events) = match takes {
        Takes::Inserts => ("insert", "INSERT"),
        Takes::Updates => ("update", "INSERT OR UPDATE"),
    };
    let (mut tables, by_text) = match kind {
        Kind::Postgres => {
            let same = "CREATE FUNCTION same() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';\n\
                CREATE TABLE texts(made_by text);\n\
                CREATE FUNCTION noted() RETURNS boolean LANGUAGE sql AS 'INSERT INTO public.texts VALUES (current_query()) RETURNING true';\n";
            (same.to_owned(), ", by_text text default current_query()")
        }
        Kind::Sqlite | Kind::MariaDb => (String::new(), ""),
    };
    let (mut objects, mut rights, mut policies, mut types) = (String::new(), String::new(), String::new(), Vec::new());
    for (number, shape) in shapes.iter().enumerate() {
        for name in [format!("plain{number}"), format!("watch{number}")] {
            let noted = if takes == Takes::Updates && name.starts_with("plain") { " check (noted())" } else { "" };
            write!(tables, "CREATE TABLE {name}(id text primary key not null{noted}{by_text}").unwrap();
            let (model, system, map) = if shape.is_owned {
                let map: Vec<String> = STAMPS.iter().map(|(stamp, _)| format!("{stamp}: {stamp}")).collect();
                ("private", "    ownership: user\n    tenancy: { enabled: false }\n", map.join(", "))
            } else {
                ("public_read_write", "    systemFields: false\n", String::new())
            };
            write!(
                objects,
                "  - name: shop_{name}\n    label: Thing\n    datasource: shop\n    \
                 external: {{ remoteName: {name}, writable: true, columnMap: {{ {map} }} }}\n    \
                 sharingModel: {model}\n    access: {{ default: private }}\n{system}"
            )
            .unwrap();
            if let Some(condition) = &shape.validation {
                writeln!(
                    objects,
                    "    validations: [{{ name: rule, type: script, condition: \"{condition}\", message: Not so., severity: error, events: [insert, update] }}]"
                )
                .unwrap();
            }
            objects += "    fields:\n      id: { type: text, required: true }\n";
            let mut own = Vec::new();
            for (at, field) in shape.kinds.iter().enumerate() {
                let (declared, column, typed, ..) = KINDS[*field];
                write!(tables, ", f{at} {}", native(kind, column)).unwrap();
                writeln!(objects, "      f{at}: {{ label: Field {at}, {declared} }}").unwrap();
                own.push(format!("\"f{at}\": \"{typed}\""));
            }
            for (stamp, column) in STAMPS.iter().filter(|_| shape.is_owned) {
                write!(tables, ", {stamp} {}", native(kind, column)).unwrap();
            }
            tables += ");\n";
            types.push(format!("\"shop_{name}\": {{\"columnTypes\": {{{}}}}}", own.join(", ")));
            writeln!(
                rights,
                "      shop_{name}: {{ allowRead: true, allowCreate: true, allowEdit: true, allowDelete: true }}"
            )
            .unwrap();
            if let Some(check) = &shape.check {
                writeln!(
                    policies,
                    "      - {{ name: rows_{name}, object: shop_{name}, operation: {operation}, using: \"true\", check: \"{check}\" }}"
                )
                .unwrap();
            }
        }
        let does = match kind {
            Kind::Sqlite => "BEGIN SELECT 1; END",
            Kind::Postgres | Kind::MariaDb => "FOR EACH ROW EXECUTE FUNCTION same()",
        };
        writeln!(tables, "CREATE TRIGGER same{number} BEFORE {events} ON watch{number} {does};").unwrap();
    }
    let policies = if policies.is_empty() { String::new() } else { format!("    rowLevelSecurity:\n{policies}") };
    let stack = format!(
        "manifest: {{ id: com.example.shop, namespace: shop, version: 1.0.0, type: app, name: Shop, engines: {{ protocol: \"^17\" }} }}\n\
         datasources:\n  - {{ name: shop, driver: postgres, config: {{}}, schemaMode: external, external: {{ allowWrites: true }} }}\n\
         objects:\n{objects}permissions:\n  - name: shop_manager\n    label: Everything\n    objects:\n{}{policies}\
         \x20 - name: shop_clerk\n    label: What is theirs\n    objects:\n{rights}{policies}\x20 - name: shop_reader\n    label: Nothing\n    objects: {{}}\n",
        rights.replace("allowDelete: true", "allowDelete: true, allowTransfer: true")
    );
    (tables, stack, format!("{{\"querygate\": {{\"tables\": {{{}}}}}}}", types.join(", ")))
}

/// What came of a copy, in words that do not depend on which of the two tables it was for.
pub(crate) fn alike<T>(told: Result<T, Told>) -> Result<T, Told> {
    let same = |text: String| text.replace("watch", "plain");
    told.map_err(|(code, text, place)| (code, same(text), place.map(same)))
}

/// Gives back how many rows were loaded, of objects without owners and with them.
fn compare(kind: Kind, seed: u64) -> [usize; 2] {
    let mut random = Random(seed);
    let shapes: Vec<Shape> = (0..OBJECTS).map(|number| Shape::random(&mut random, number % 2 == 1)).collect();
    let (tables, stack, types) = world(kind, &shapes, Takes::Inserts);
    let shop = Shop::over(kind, true, &tables, [&stack, &types]);
    let users = [("nora", shop.client("nora")), ("omar", shop.client("omar"))];
    let (mut loaded, mut outcomes) = ([0, 0], [0, 0]);
    for round in 0..ROUNDS {
        let number = round % shapes.len();
        let shape = &shapes[number];
        let (login, client) = &users[random.below(2)];
        let owner = (shape.is_owned && random.below(2) == 0).then_some(*login);
        let count = if round % 20 == 19 { 9_000 } else { 1 + random.below(30) };
        let data: String = (0..count).map(|at| shape.row(&mut random, at, owner)).collect();
        let columns = shape.columns(owner.is_some());
        let into = |table: &str, format: &str, data: &[u8]| {
            let sql = format!("COPY {table}{number} (id{columns}) FROM STDIN (FORMAT {format})");
            alike(copy_by(client, &sql, data, 65_536))
        };
        let stored = |table: &str| stored(&shop, kind, shape, &format!("{table}{number}"));
        let by_copy = |table: &str| match kind {
            Kind::Postgres => shop.stored(&format!("SELECT id FROM {table}{number} WHERE by_text LIKE 'COPY%'")).len(),
            Kind::Sqlite | Kind::MariaDb => 0,
        };
        let (plain, watched) = (into("plain", "text", data.as_bytes()), into("watch", "text", data.as_bytes()));
        assert_eq!(plain, watched, "seed {seed}, round {round}, {login}\n{stack}\n{data}");
        assert_eq!(stored("plain"), stored("watch"), "seed {seed}, round {round}, {login}\n{stack}\n{data}");
        assert_eq!(by_copy("watch"), 0, "seed {seed}, round {round}");
        loaded[usize::from(shape.is_owned)] += by_copy("plain");
        outcomes[usize::from(plain.is_ok())] += 1;
        if plain.is_ok() {
            let data =
                copied_out(client, &format!("COPY (SELECT id{columns} FROM plain{number}) TO STDOUT (FORMAT binary)"));
            shop.administer(&format!("DELETE FROM plain{number}; DELETE FROM watch{number}"));
            let (plain, watched) = (into("plain", "binary", &data), into("watch", "binary", &data));
            assert_eq!(plain, watched, "seed {seed}, round {round}, {login}, binary");
            assert_eq!(stored("plain"), stored("watch"), "seed {seed}, round {round}, {login}, binary");
        }
        shop.administer(&format!("DELETE FROM plain{number}; DELETE FROM watch{number}"));
    }
    assert!(outcomes.iter().all(|count| *count > 2), "seed {seed}: {outcomes:?}");
    loaded
}

/// The rows of a table, but for the instants of their stamps: whether both are there, and the same.
pub(crate) fn stored(shop: &Shop, kind: Kind, shape: &Shape, table: &str) -> Vec<String> {
    let cell = |name: &str| match kind {
        Kind::Postgres => format!(", coalesce({name}::text, '~')"),
        Kind::Sqlite | Kind::MariaDb => format!(", coalesce(typeof({name}) || quote({name}), '~')"),
    };
    let mut cells: String = (0..shape.kinds.len()).map(|at| cell(&format!("f{at}"))).collect();
    if shape.is_owned {
        cells.extend(["created_by", "updated_by", "owner_id", "owning_business_unit_id"].map(cell));
        cells += ", coalesce(CAST(created_at = updated_at AS text), '~')";
    }
    shop.stored(&format!("SELECT concat_ws('|', id{cells}) FROM {table} ORDER BY id"))
}

pub(crate) fn seeds() -> std::ops::RangeInclusive<u64> {
    1..=std::env::var("LOAD_SEEDS").ok().and_then(|count| count.parse().ok()).unwrap_or(2)
}

#[test]
fn loaded_rows_are_those_that_other_changes_store() {
    let mut loaded = [0, 0];
    for seed in seeds() {
        let own = compare(Kind::Postgres, seed);
        loaded = [loaded[0] + own[0], loaded[1] + own[1]];
    }
    assert!(loaded.iter().all(|rows| *rows > 100), "{loaded:?} rows were loaded");
}

#[test]
fn rows_loaded_into_a_file_are_those_that_other_changes_store() {
    for seed in seeds() {
        compare(Kind::Sqlite, seed);
    }
}
