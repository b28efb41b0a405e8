//! The tables of the forms that need one: what they hold is PostgreSQL's answer to the corpus' own VALUES lists, literals of
//! statements as columns of one row each, and numbers to compute with. Knows no source.

use crate::case::hash;
use crate::corpus::Statement;
use crate::literals::{Literal, literals, with_places};
use crate::wire::{Answer, Session};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use std::collections::{BTreeMap, HashSet};
use tokio_postgres::types::Type;

/// The type of a column that every source has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Int,
    Big,
    Numeric(u8, u8),
    Float,
    Text,
    Boolean,
    Date,
}

impl Kind {
    fn of(oid: u32, cells: &[Option<String>]) -> Option<Self> {
        let places = |cell: &String| cell.split_once('.').map_or(0, |(_, places)| places.len());
        let whole = |cell: &String| cell.trim_start_matches('-').split('.').next().map_or(0, str::len);
        let finite = cells.iter().flatten().all(|cell| !cell.contains("Inf") && cell != "NaN");
        Some(match Type::from_oid(oid)? {
            Type::INT4 => Self::Int,
            Type::INT8 => Self::Big,
            Type::NUMERIC if finite => {
                let scale = cells.iter().flatten().map(places).max().unwrap_or(0);
                let digits = scale + cells.iter().flatten().map(whole).max().unwrap_or(0);
                // Wider ones are not the columns that people have.
                (digits <= 18).then_some(Self::Numeric(18, u8::try_from(scale).ok()?))?
            }
            Type::FLOAT8 if finite => Self::Float,
            Type::TEXT => Self::Text,
            Type::BOOL => Self::Boolean,
            Type::DATE => Self::Date,
            _ => return None,
        })
    }

    /// PostgreSQL's name of it.
    pub(crate) fn postgres(self) -> String {
        match self {
            Self::Int => "integer".to_owned(),
            Self::Big => "bigint".to_owned(),
            Self::Numeric(precision, scale) => format!("numeric({precision},{scale})"),
            Self::Float => "double precision".to_owned(),
            Self::Text => "text".to_owned(),
            Self::Boolean => "boolean".to_owned(),
            Self::Date => "date".to_owned(),
        }
    }
}

/// Rows as PostgreSQL writes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) columns: Vec<(String, Kind)>,
    pub(crate) rows: Vec<Vec<Option<String>>>,
}

/// A statement over a table that has another name in each source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Over {
    pub(crate) form: &'static str,
    /// With `{table}` for the relation.
    pub(crate) sql: String,
    /// Number of its table.
    pub(crate) table: usize,
    pub(crate) reason: Option<String>,
}

/// The tables, and the statements of the corpus over them.
pub(crate) fn of_corpus(statements: &[Statement], postgres: &mut Session) -> (Vec<Table>, Vec<Over>) {
    let (mut tables, mut over) = of_lists(statements, postgres);
    let (columns, literal) = of_literals(statements, tables.len());
    tables.push(columns);
    over.extend(literal);
    (tables, over)
}

/// A VALUES list with the names of its columns, and the alias before them: where they stand in a statement.
struct List<'a> {
    whole: std::ops::Range<usize>,
    values: &'a str,
    alias: &'a str,
    names: Vec<String>,
}

fn list(sql: &str) -> Option<List<'_>> {
    let from = sql.find("(VALUES ")?;
    let mut depth = 0;
    let mut quoted = false;
    let close = sql[from..].char_indices().find_map(|(at, c)| {
        match c {
            '\'' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            _ => {}
        }
        (depth == 0).then_some(from + at + 1)
    })?;
    let rest = sql[close..].trim_start_matches(" AS");
    let alias = rest.trim_start().split('(').next()?.trim_end();
    let names_from = close + sql[close..].find('(')?;
    let end = names_from + sql[names_from..].find(')')? + 1;
    let is_name = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase());
    let names: Vec<String> = sql[names_from + 1..end - 1].split(',').map(|name| name.trim().to_owned()).collect();
    (is_name(alias) && names.iter().all(|name| is_name(name))).then(|| List {
        whole: from..end,
        values: &sql[from..close],
        alias,
        names,
    })
}

fn of_lists(statements: &[Statement], postgres: &mut Session) -> (Vec<Table>, Vec<Over>) {
    let (mut tables, mut over) = (Vec::new(), Vec::new());
    let mut known: BTreeMap<String, Option<usize>> = BTreeMap::new();
    for statement in statements.iter().filter(|statement| statement.columns > 0) {
        let Some(list) = list(&statement.sql) else { continue };
        let relation = format!("SELECT * FROM {} t({})", list.values, list.names.join(", "));
        let number = *known.entry(relation.clone()).or_insert_with(|| {
            let table = asked(postgres, &relation, format!("v{:010x}", hash(&relation) >> 24))?;
            tables.push(table);
            Some(tables.len() - 1)
        });
        let Some(table) = number else { continue };
        let names = list.names.join(", ");
        let place = format!("(SELECT {names} FROM {{table}}) {}({names})", list.alias);
        let sql = format!("{}{place}{}", &statement.sql[..list.whole.start], &statement.sql[list.whole.end..]);
        over.push(Over { form: "rows", sql, table, reason: statement.reason.clone() });
    }
    (tables, over)
}

/// The rows of a relation; `None` for types that not every source has.
fn asked(postgres: &mut Session, relation: &str, name: String) -> Option<Table> {
    let Answer::Rows { columns, rows, .. } = postgres.query(relation) else { return None };
    let text = |cell: Option<Vec<u8>>| cell.map(|bytes| String::from_utf8(bytes).unwrap());
    let rows: Vec<Vec<Option<String>>> = rows.into_iter().map(|row| row.into_iter().map(text).collect()).collect();
    let kind = |(at, column): (usize, &crate::wire::Column)| {
        let cells: Vec<Option<String>> = rows.iter().map(|row| row[at].clone()).collect();
        Kind::of(column.oid, &cells).map(|kind| (column.name.clone(), kind))
    };
    let columns = columns.iter().enumerate().map(kind).collect::<Option<Vec<_>>>()?;
    Some(Table { name, columns, rows })
}

/// Columns of the table of literals, of each kind.
const LITERALS: usize = 4;
/// Keys of its rows are below this: they are an `integer`.
const MOST_KEYS: u64 = 1_000_000_000;

/// Statements without a relation, their literals read from a row of their own.
fn of_literals(statements: &[Statement], table: usize) -> (Table, Vec<Over>) {
    let kinds = [("i", Kind::Int), ("b", Kind::Big), ("n", Kind::Numeric(20, 6)), ("s", Kind::Text)];
    let mut columns = vec![("k".to_owned(), Kind::Int)];
    for (name, kind) in kinds {
        columns.extend((1..=LITERALS).map(|number| (format!("{name}{number}"), kind)));
    }
    let (mut rows, mut over, mut keys) = (Vec::new(), Vec::new(), HashSet::new());
    for statement in statements.iter().filter(|statement| statement.columns > 0 && is_scalar(&statement.sql)) {
        let literals = literals(&statement.sql);
        let Some(places) = places(&literals) else { continue };
        // Of the statement alone, so that a line more in the corpus leaves the names of all other cases as they are.
        let mut key = hash(&statement.sql) % MOST_KEYS;
        while !keys.insert(key) {
            key = (key + 1) % MOST_KEYS;
        }
        let mut row = vec![None; columns.len()];
        row[0] = Some(key.to_string());
        for (place, literal) in places.iter().zip(&literals) {
            row[1 + *place] = Some(match literal.pg_type {
                Type::INT4 | Type::INT8 if !literal.named => literal.value.parse::<i64>().unwrap().to_string(),
                _ => literal.value.clone(),
            });
        }
        rows.push(row);
        let sql = with_places(&statement.sql, &literals, |at| format!("c.{}", columns[1 + places[at]].0));
        let sql = format!("{sql} FROM {{table}} c WHERE c.k = {key}");
        over.push(Over { form: "literals as columns", sql, table, reason: statement.reason.clone() });
    }
    (Table { name: "c".to_owned(), columns, rows }, over)
}

/// A column for each literal; `None` when there are none, or more than there are columns.
fn places(literals: &[Literal]) -> Option<Vec<usize>> {
    let mut taken = [0; 4];
    let place = |literal: &Literal| {
        // As JSON writes numbers, too.
        let fits = literal.value.split_once('.').is_some_and(|(whole, places)| {
            let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let plain = whole == "0" || !whole.starts_with('0');
            digits(whole) && digits(places) && plain && whole.len() <= 14 && places.len() <= 6
        });
        let kind = match literal.pg_type {
            Type::INT4 if !literal.named => 0,
            Type::INT8 if !literal.named => 1,
            Type::NUMERIC if fits && !literal.named => 2,
            Type::NUMERIC if !literal.named => return None,
            _ => 3,
        };
        taken[kind] += 1;
        (taken[kind] <= LITERALS).then_some(kind * LITERALS + taken[kind] - 1)
    };
    if literals.is_empty() { None } else { literals.iter().map(place).collect() }
}

/// One SELECT of expressions, and nothing after them.
fn is_scalar(sql: &str) -> bool {
    let Ok(tokens) = Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize() else { return false };
    let words: Vec<String> = tokens
        .iter()
        .filter_map(|token| match token {
            Token::Word(word) if word.quote_style.is_none() => Some(word.value.to_ascii_lowercase()),
            _ => None,
        })
        .collect();
    let mut depth = 0;
    let has_from = tokens.iter().any(|token| {
        match token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            Token::Word(word) if depth == 0 => return word.value.eq_ignore_ascii_case("from"),
            _ => {}
        }
        false
    });
    let relational =
        ["values", "union", "intersect", "except", "order", "group", "limit", "offset", "where", "having", "with"];
    words.first().is_some_and(|word| word == "select")
        && words.iter().filter(|word| *word == "select").count() == 1
        && !has_from
        && !words
            .iter()
            .any(|word| relational.contains(&word.as_str()) || word.contains("generate") || word == "unnest")
}
