//! Recorded statements of clients: reading the files, telling reads from the rest, putting a server's object ids in place of
//! recorded ones. Asks nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The folder of recordings, where there is one.
pub(crate) fn folder() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let shared = std::env::var_os("QUERYGATE_SHARED").map_or(beside, PathBuf::from);
    Some(shared.join("data/clients")).filter(|folder| folder.join("demo-schema.sql").is_file())
}

/// A statement as the first client sent it that did.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    pub(crate) client: String,
    pub(crate) number: u64,
    pub(crate) sql: String,
    pub(crate) extended: bool,
    /// Values of `$1…` with their formats.
    pub(crate) parameters: Vec<(Option<Vec<u8>>, i16)>,
    /// Types that the client gave its parameters; 0: none.
    pub(crate) types: Vec<u32>,
    /// Format of all result columns.
    pub(crate) result_format: i16,
}

/// All reads, each once, and how many statements there are in all.
pub(crate) fn reads(folder: &Path) -> (Vec<Recorded>, usize) {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|e| e == "sql") && !file.ends_with("demo-schema.sql"));
    files.sort();
    let (mut seen, mut reads, mut all) = (BTreeSet::new(), Vec::new(), 0);
    for file in files {
        let client = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&file).unwrap();
        for part in text.split("-- @stmt ").skip(1) {
            let recorded = parse(&client, part);
            if seen.insert((recorded.sql.clone(), recorded.parameters.clone())) {
                all += 1;
                reads.extend(is_read(&recorded.sql).then_some(recorded));
            }
        }
    }
    (reads, all)
}

fn parse(client: &str, part: &str) -> Recorded {
    let (head, body) = part.split_once('\n').unwrap();
    let head: serde_json::Value = serde_json::from_str(head).unwrap();
    let numbers = |key: &str| -> Vec<i64> {
        head[key].as_array().into_iter().flatten().map(|number| number.as_i64().unwrap()).collect()
    };
    let formats = numbers("param_formats");
    let format_of = |at: usize| i16::try_from(*formats.get(at).or(formats.first()).unwrap_or(&0)).unwrap();
    let values = head["params"].as_array().into_iter().flatten().enumerate();
    let parameters = values.map(|(at, value)| {
        let format = format_of(at);
        let bytes = value.as_str().map(|text| match text.strip_prefix("\\x").filter(|_| format == 1) {
            Some(hex) => unhex(hex),
            None => text.as_bytes().to_vec(),
        });
        (bytes, format)
    });
    let sql = body.split("\n;\n").next().unwrap();
    Recorded {
        client: client.to_owned(),
        number: head["n"].as_u64().unwrap(),
        sql: sql.strip_suffix("\n;").unwrap_or(sql).trim().to_owned(),
        extended: head["proto"] == "extended",
        parameters: parameters.collect(),
        types: numbers("oids").into_iter().map(|oid| u32::try_from(oid).unwrap()).collect(),
        result_format: i16::try_from(*numbers("result_formats").first().unwrap_or(&0)).unwrap(),
    }
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect()
}

/// Statements of a text, without comments and with `''` for what is quoted; good enough to see what they do.
fn outline(sql: &str) -> Vec<String> {
    let mut statements = vec![String::new()];
    let mut chars = sql.chars().peekable();
    while let Some(c) = chars.next() {
        let last = statements.last_mut().unwrap();
        match c {
            '\'' => {
                while chars.next().is_some_and(|c| c != '\'') {}
                last.push_str("''");
            }
            '-' if chars.peek() == Some(&'-') => while chars.next().is_some_and(|c| c != '\n') {},
            '/' if chars.peek() == Some(&'*') => {
                let mut before = ' ';
                while chars.next().is_some_and(|c| !(std::mem::replace(&mut before, c) == '*' && c == '/')) {}
            }
            ';' => statements.push(String::new()),
            c => last.extend(c.to_lowercase()),
        }
    }
    statements.retain(|statement| !statement.trim().is_empty());
    statements
}

/// Whether a text only reads: its last statement does, those before it do or are settings, and none calls what leaves
/// something behind or waits.
fn is_read(sql: &str) -> bool {
    let outline = outline(sql);
    let first = |statement: &str| statement.split_whitespace().next().unwrap_or_default().to_owned();
    let asks = |statement: &String| match first(statement).trim_start_matches('(') {
        "select" | "with" | "values" | "table" | "show" => true,
        "copy" => statement.contains("to stdout"),
        _ => false,
    };
    const LEAVES: [&str; 14] = [
        "nextval",
        "setval",
        "lo_",
        "pg_notify",
        "advisory",
        "for update",
        "for share",
        " into ",
        "pg_sleep",
        "pg_cancel",
        "pg_terminate",
        "insert ",
        "update ",
        "delete ",
    ];
    let (last, before) = match outline.split_last() {
        Some((last, before)) => (last, before),
        None => return false,
    };
    asks(last)
        && before.iter().all(|statement| asks(statement) || first(statement) == "set")
        && !outline.iter().any(|statement| LEAVES.iter().any(|word| statement.contains(word)))
}

/// Whether it asks the catalog, not only tables.
pub(crate) fn asks_catalog(sql: &str) -> bool {
    let sql = sql.to_lowercase();
    ["pg_", "information_schema", "::reg", "current_", "version()", "pg_catalog"].iter().any(|part| sql.contains(part))
}

/// Object ids of the recorded database. They are in creation order in every load of the schema.
const IDS: [(u32, &str); 16] = [
    (17088, "rel:public.customers"),
    (17101, "rel:sales.orders"),
    (17115, "rel:sales.order_items"),
    (17125, "rel:public.active_customers"),
    (17129, "rel:sales.daily"),
    (17133, "rel:public.events"),
    (17136, "rel:public.events_2024"),
    (17096, "rel:public.customers_pkey"),
    (17098, "rel:public.customers_email_key"),
    (17107, "rel:sales.orders_pkey"),
    (17114, "rel:sales.orders_customer_placed"),
    (17118, "rel:sales.order_items_pkey"),
    (17077, "db:demo"),
    (17078, "nsp:sales"),
    (17080, "type:order_status"),
    (17079, "type:_order_status"),
];

impl Recorded {
    /// With a server's own object ids (by name, as `IDS` has them); 0 for what it does not have.
    pub(crate) fn for_server(&self, ids: &BTreeMap<String, u32>) -> Self {
        let own = |recorded: u32| {
            let known = IDS.iter().find(|(id, _)| *id == recorded);
            known.map(|(_, name)| ids.get(*name).copied().unwrap_or(0))
        };
        let mut other = self.clone();
        other.sql = with_ids(&self.sql, &own).replace("'shop'", "'demo'").replace("\"shop\".", "\"demo\".");
        for (value, format) in &mut other.parameters {
            let Some(value) = value else { continue };
            let four = <[u8; 4]>::try_from(value.as_slice()).ok().filter(|_| *format == 1);
            if let Some(id) = four.map(u32::from_be_bytes).and_then(own) {
                *value = id.to_be_bytes().to_vec();
            } else if *format == 0
                && let Ok(text) = std::str::from_utf8(value)
            {
                let text = if text == "shop" { "demo".to_owned() } else { with_ids(text, &own) };
                *value = text.into_bytes();
            }
        }
        // Types of the recorded database mean others here; the server infers them.
        other.types.iter_mut().filter(|oid| **oid >= 16_384).for_each(|oid| *oid = 0);
        other
    }
}

/// Numbers that stand by themselves and are ids, replaced.
fn with_ids(text: &str, own: &dyn Fn(u32) -> Option<u32>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut word = String::new();
    for c in text.chars().chain(['\0']) {
        if c.is_alphanumeric() || c == '_' || c == '.' {
            word.push(c);
            continue;
        }
        match word.parse::<u32>().ok().and_then(own) {
            Some(id) => out.push_str(&id.to_string()),
            None => out.push_str(&word),
        }
        word.clear();
        out.extend(Some(c).filter(|c| *c != '\0'));
    }
    out
}

#[test]
fn reads_are_told_from_the_rest() {
    for (sql, expected) in [
        ("SELECT 1", true),
        ("/* a; b */ select 'insert '", true),
        ("SET DateStyle = 'ISO';SET extra_float_digits = 2;show transaction_isolation", true),
        ("with x as (delete from t returning 1) select 1", false),
        ("select nextval('s')", false),
        ("copy (select 1) to stdout (format binary)", true),
        ("copy t from stdin", false),
        ("begin; select 1", false),
        ("set x = 1", false),
    ] {
        assert_eq!(is_read(sql), expected, "{sql}");
    }
}
