//! Reads the tables of a PostgreSQL database, given as `postgres://user@host:port/database`.

use super::address::{Address, Form};
use super::{Found, Holds, server};
use crate::config::postgres::{PORT_DEFAULT, PostgresSource, SCHEMA_DEFAULT};
use crate::wiring::postgres::driver;
use querygate_driver_api::identifier::TableRef;
use querygate_driver_api::pool::Budget;
use querygate_driver_api::remote::{RemoteColumn, RemoteTable};
use querygate_metadata::model::ValueType;
use querygate_postgres::NumericSample;
use querygate_types::Result;

/// What addresses of such sources look like.
pub(super) const FORM: Form = Form {
    schemes: &["postgres://", "postgresql://"],
    port: PORT_DEFAULT,
    database: "database",
    ends: &['/', '?'],
    incomplete: "is incomplete, or has settings",
    hint: "Write postgres://USER@HOST:PORT/DATABASE, and the password as --password env:NAME or file:PATH.",
};

/// A database's address.
pub(super) fn parse(address: &str) -> Result<PostgresSource> {
    let Address { host, port, user, database } = FORM.parse(address)?;
    Ok(PostgresSource::new(host, port, user, database))
}

/// Every table that the user may read, those of other schemas than `public` under both names.
pub(super) async fn read(source: &PostgresSource) -> Result<Vec<Found>> {
    let driver = driver(&source.database, source, false, &Budget::default())?;
    let enums = driver.enums().await?;
    let options = |column: &RemoteColumn| enums.get(&column.native_type).cloned().unwrap_or_default();
    let samples = driver.unbounded_numerics().await?;
    let domains = driver.domains().await?;
    let domain = |table: &RemoteTable, column: &RemoteColumn| domains.get(&place(table, column)).cloned();
    let holds = |table: &RemoteTable, column: &RemoteColumn| {
        let place = place(table, column);
        match samples.get(&place) {
            Some(sample) if column.native_type == "numeric[]" => {
                let item = if sample.any { numeric(*sample) } else { UNSEEN_ITEM };
                Some(Holds::of(item.listed().unwrap_or(ValueType::TextList)))
            }
            Some(sample) => Some(Holds::of(numeric(*sample))),
            None => holds(table, column),
        }
    };
    let reading = server::Reading {
        options: &options,
        enum_name: |_, column| enum_name(column),
        domain: &domain,
        known_as,
        schema,
        follows: |_, _| true,
        holds: &holds,
    };
    server::read(&driver, &reading).await
}

/// Schema, table and column.
fn place(table: &RemoteTable, column: &RemoteColumn) -> [String; 3] {
    [table.table.schema().unwrap_or(SCHEMA_DEFAULT), table.table.name(), column.name.as_str()].map(str::to_owned)
}

/// The name under which a table is known here: with its schema, unless that is `public`.
fn known_as(table: &TableRef) -> String {
    match table.schema() {
        Some(schema) if schema != SCHEMA_DEFAULT => format!("{schema}.{}", table.name()),
        _ => table.name().to_owned(),
    }
}

fn schema(table: &TableRef) -> Option<String> {
    table.schema().filter(|schema| *schema != SCHEMA_DEFAULT).map(str::to_owned)
}

/// Numerics without a precision: of 38 digits as far as these hold what was seen of them, which sources compare and add up; else of
/// any number, which the gate does.
fn numeric(sample: NumericSample) -> ValueType {
    // Of a column without values nothing is known.
    if !sample.any || sample.special || sample.whole + sample.places > DIGITS_MAX {
        return ValueType::Numeric { bounds: None };
    }
    i8::try_from(sample.places)
        .map_or(ValueType::Numeric { bounds: None }, |scale| ValueType::Decimal { precision: 38, scale })
}

const DIGITS_MAX: u32 = 38;
/// Of arrays without values: none has items of any number of digits.
const UNSEEN_ITEM: ValueType = ValueType::Decimal { precision: 38, scale: 6 };

/// A type's name without its schema, as `format_type` prints it.
fn enum_name(column: &RemoteColumn) -> Option<String> {
    let native = column.native_type.as_str();
    match native.strip_suffix('"') {
        Some(rest) => {
            // The quote that opens the last name is the one without another before it.
            let name = rest.rsplit_once(".\"").map_or_else(|| rest.strip_prefix('"'), |(_, name)| Some(name))?;
            Some(name.replace("\"\"", "\""))
        }
        None => native.rsplit('.').next().map(str::to_owned),
    }
}

fn holds(table: &RemoteTable, column: &RemoteColumn) -> Option<Holds> {
    match column.native_type.as_str() {
        "uuid" => Some(Holds::of(ValueType::Uuid)),
        "json" => Some(Holds::of(ValueType::JsonText)),
        "jsonb" => Some(Holds::of(ValueType::Json)),
        // MariaDB's are numbers.
        bits if bits == "bit" || bits.starts_with("bit(") || bits.starts_with("bit varying") => {
            ValueType::from_sql(bits).map(Holds::of)
        }
        _ => server::holds(table, column),
    }
}

/// The `[[sources]]` entry for it.
pub(super) fn entry(name: &str, source: &PostgresSource, beside: server::Beside<'_>) -> String {
    let PostgresSource { host, port, user, database, .. } = source;
    server::Login { kind: "postgres", host, port: *port, user, database, beside }.entry(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use querygate_driver_api::identifier::Identifier;

    #[test]
    fn numerics_have_the_places_that_were_seen() {
        let sample = |whole, places| NumericSample { whole, places, any: true, special: false };
        let decimal = |scale| ValueType::Decimal { precision: 38, scale };
        assert_eq!(numeric(sample(10, 2)), decimal(2));
        assert_eq!(numeric(sample(30, 8)), decimal(8));
        let any = ValueType::Numeric { bounds: None };
        assert_eq!(numeric(sample(30, 9)), any);
        assert_eq!(numeric(NumericSample { special: true, ..sample(1, 1) }), any);
        assert_eq!(numeric(NumericSample::default()), any);
    }

    #[test]
    fn enums_are_called_by_their_last_name() {
        let column = |native: &str| RemoteColumn::new(Identifier::new("c").unwrap(), native, None);
        for (native, name) in [
            ("mood", "mood"),
            ("shop.mood", "mood"),
            ("\"Mood\"", "Mood"),
            ("shop.\"a\"\".b\"", "a\".b"),
            ("\"S\".\"x y\"", "x y"),
        ] {
            assert_eq!(enum_name(&column(native)).as_deref(), Some(name), "{native}");
        }
    }

    #[test]
    fn addresses_are_read_and_passwords_in_them_refused() {
        let source = parse("postgres://gate@db.example:5433/shop").unwrap();
        assert_eq!((source.host.as_str(), source.port, source.user.as_str()), ("db.example", 5433, "gate"));
        assert_eq!(parse("postgresql://a@b/c").unwrap().port, PORT_DEFAULT);
        for wrong in
            ["postgres://a:secret@b/c", "postgres://b/c", "postgres://a@b", "postgres://a@b:x/c", "postgres://@b/c"]
        {
            let error = parse(wrong).unwrap_err();
            assert!(!format!("{error} {:?}", error.hint()).contains("secret"), "{wrong}");
        }
    }
}
