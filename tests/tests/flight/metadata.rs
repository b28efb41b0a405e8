//! The commands that describe the catalog: their exact schemas, and that they tell each principal only their own.

use crate::client::{Flight, Table};
use crate::text::cells;
use arrow::array::AsArray;
use arrow::datatypes::Schema;
use arrow_flight::IpcMessage;
use arrow_flight::sql::{
    CommandGetCatalogs, CommandGetCrossReference, CommandGetDbSchemas, CommandGetExportedKeys, CommandGetImportedKeys,
    CommandGetPrimaryKeys, CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables, CommandGetXdbcTypeInfo,
};
use bytes::Bytes;
use querygate_tests::server::{DEMO_USERS, demo, runtime};
use std::collections::BTreeSet;

/// A schema as FlightSql.proto writes it: `name: type`, with `!` for not null.
fn shape(table: &Table) -> String {
    let fields = table.schema.fields().iter();
    fields
        .map(|f| format!("{}: {}{}", f.name(), f.data_type(), if f.is_nullable() { "" } else { "!" }))
        .collect::<Vec<_>>()
        .join(", ")
}

#[test]
fn every_command_has_the_schema_of_the_specification() {
    runtime().block_on(async {
        let ada = Flight::login(&demo().server, "ada").await;
        let table = "accounts".to_owned();
        let keys = "pk_catalog_name: Utf8, pk_db_schema_name: Utf8, pk_table_name: Utf8!, pk_column_name: Utf8!, \
             fk_catalog_name: Utf8, fk_db_schema_name: Utf8, fk_table_name: Utf8!, fk_column_name: Utf8!, \
             key_sequence: Int32!, fk_key_name: Utf8, pk_key_name: Utf8, update_rule: UInt8!, delete_rule: UInt8!";
        let check = |found: Table, expected: &str| {
            assert_eq!(shape(&found), expected);
            found
        };
        let found = check(ada.run(&CommandGetCatalogs {}).await.unwrap(), "catalog_name: Utf8!");
        assert_eq!(cells(&found), [[Some("demo".to_owned())]]);
        check(ada.run(&CommandGetDbSchemas::default()).await.unwrap(), "catalog_name: Utf8, db_schema_name: Utf8!");
        let tables = "catalog_name: Utf8, db_schema_name: Utf8, table_name: Utf8!, table_type: Utf8!";
        check(ada.run(&CommandGetTables::default()).await.unwrap(), tables);
        let with_schema = CommandGetTables {
            include_schema: true,
            table_name_filter_pattern: Some(table.clone()),
            ..CommandGetTables::default()
        };
        check(ada.run(&with_schema).await.unwrap(), &format!("{tables}, table_schema: Binary!"));
        let types = check(ada.run(&CommandGetTableTypes {}).await.unwrap(), "table_type: Utf8!");
        assert_eq!(types.rows(), 4);
        let primary = CommandGetPrimaryKeys { table: table.clone(), ..CommandGetPrimaryKeys::default() };
        check(
            ada.run(&primary).await.unwrap(),
            "catalog_name: Utf8, db_schema_name: Utf8, table_name: Utf8!, column_name: Utf8!, key_name: Utf8, \
             key_sequence: Int32!",
        );
        check(ada.run(&CommandGetExportedKeys { table: table.clone(), ..Default::default() }).await.unwrap(), keys);
        check(ada.run(&CommandGetImportedKeys { table: table.clone(), ..Default::default() }).await.unwrap(), keys);
        let cross = CommandGetCrossReference { pk_table: table, fk_table: "contacts".to_owned(), ..Default::default() };
        check(ada.run(&cross).await.unwrap(), keys);
        let info = ada.run(&CommandGetSqlInfo { info: vec![8] }).await.unwrap();
        assert_eq!(info.rows(), 1);
        assert!(shape(&info).starts_with("info_name: UInt32!, value: Union(Dense, "), "{}", shape(&info));
        let types = ada.run(&CommandGetXdbcTypeInfo { data_type: None }).await.unwrap();
        assert!(
            shape(&types).starts_with(
                "type_name: Utf8!, data_type: Int32!, column_size: Int32, literal_prefix: Utf8, literal_suffix: Utf8, \
             create_params: List(non-null Utf8"
            ),
            "{}",
            shape(&types)
        );
    });
}

async fn tables(flight: &Flight, command: CommandGetTables) -> Vec<[String; 4]> {
    let rows = cells(&flight.run(&command).await.unwrap());
    rows.into_iter().map(|row| std::array::from_fn(|at| row[at].clone().unwrap())).collect()
}

#[test]
fn tables_are_filtered_by_pattern_and_type_and_ordered() {
    runtime().block_on(async {
        let ada = Flight::login(&demo().server, "ada").await;
        let names = async |command| {
            tables(&ada, command)
                .await
                .into_iter()
                .map(|[_, schema, table, kind]| format!("{schema}.{table} {kind}"))
                .collect::<Vec<_>>()
        };
        let public = CommandGetTables { db_schema_filter_pattern: Some("public".to_owned()), ..Default::default() };
        let all = names(public.clone()).await;
        assert!(all.len() > 20 && all.is_sorted(), "{all:?}");
        let views = CommandGetTables { table_types: vec!["VIEW".to_owned()], ..public.clone() };
        assert_eq!(names(views).await, ["public.open_cases VIEW"]);
        let invoices = CommandGetTables { table_name_filter_pattern: Some("invoice%".to_owned()), ..public.clone() };
        assert_eq!(names(invoices).await, ["public.invoice_lines TABLE", "public.invoices TABLE"]);
        let elsewhere = CommandGetTables { catalog: Some("other".to_owned()), ..public };
        assert!(names(elsewhere).await.is_empty());
        let system =
            CommandGetTables { table_name_filter_pattern: Some("pg\\_class".to_owned()), ..Default::default() };
        assert_eq!(names(system).await, ["pg_catalog.pg_class SYSTEM TABLE"]);
    });
}

#[test]
fn a_tables_schema_is_what_its_rows_have() {
    runtime().block_on(async {
        for user in DEMO_USERS {
            let flight = Flight::login(&demo().server, user).await;
            let command = CommandGetTables {
                db_schema_filter_pattern: Some("public".to_owned()),
                include_schema: true,
                ..Default::default()
            };
            let found = flight.run(&command).await.unwrap();
            let mut compared = 0;
            for batch in &found.batches {
                let (names, schemas) = (batch.column(2).as_string::<i32>(), batch.column(4).as_binary::<i32>());
                for row in 0..batch.num_rows() {
                    let name = names.value(row);
                    let promised: Schema = IpcMessage(Bytes::copy_from_slice(schemas.value(row))).try_into().unwrap();
                    let table = flight.query(&format!("SELECT * FROM {name} LIMIT 1")).await.unwrap();
                    assert_eq!(*table.schema, promised, "{user}: {name}");
                    compared += 1;
                }
            }
            assert!(compared > 10, "{user}: {compared}");
        }
    });
}

/// What Flight tells of schemas, tables and columns is what the Postgres door's `information_schema` does.
#[test]
fn each_principal_is_told_the_same_as_at_the_postgres_door() {
    runtime().block_on(async {
        let mut told = Vec::new();
        for user in DEMO_USERS {
            let flight = Flight::login(&demo().server, user).await;
            let postgres = demo().server.client(user).await;
            let ask = async |sql: &str| {
                let rows = postgres.query(sql, &[]).await.unwrap();
                let text = |row: &tokio_postgres::Row| (0..row.len()).map(|at| row.get::<_, String>(at)).collect();
                rows.iter().map(text).collect::<BTreeSet<Vec<String>>>()
            };
            let schemas = cells(&flight.run(&CommandGetDbSchemas::default()).await.unwrap());
            let schemas = schemas.into_iter().map(|row| row.into_iter().flatten().collect());
            let expected = ask("SELECT catalog_name::text, schema_name::text FROM information_schema.schemata").await;
            assert_eq!(schemas.collect::<BTreeSet<Vec<String>>>(), expected);
            let found = tables(&flight, CommandGetTables::default()).await;
            let found: BTreeSet<Vec<String>> = found.into_iter().map(|row| row[..3].to_vec()).collect();
            let sql = "SELECT table_catalog::text, table_schema::text, table_name::text FROM information_schema.tables";
            assert_eq!(found, ask(sql).await, "{user}");
            let described = CommandGetTables {
                db_schema_filter_pattern: Some("public".to_owned()),
                include_schema: true,
                ..Default::default()
            };
            let columns = columns(&flight.run(&described).await.unwrap());
            let sql = "SELECT table_name::text, column_name::text FROM information_schema.columns
                       WHERE table_schema = 'public'";
            assert_eq!(columns, ask(sql).await, "{user}");
            told.push(columns);
        }
        assert!(told[1].len() < told[0].len() && told[2].len() < told[0].len(), "all are told of the same columns");
    });
}

/// Table and column of every column in the schemas of a GetTables result.
fn columns(found: &Table) -> BTreeSet<Vec<String>> {
    let mut columns = BTreeSet::new();
    for batch in &found.batches {
        let (names, schemas) = (batch.column(2).as_string::<i32>(), batch.column(4).as_binary::<i32>());
        for row in 0..batch.num_rows() {
            let schema: Schema = IpcMessage(Bytes::copy_from_slice(schemas.value(row))).try_into().unwrap();
            let column = |field: &arrow::datatypes::FieldRef| vec![names.value(row).to_owned(), field.name().clone()];
            columns.extend(schema.fields().iter().map(column));
        }
    }
    columns
}

#[test]
fn keys_are_told_to_those_who_see_both_ends() {
    runtime().block_on(async {
        let ada = Flight::login(&demo().server, "ada").await;
        let key = CommandGetPrimaryKeys { table: "accounts".to_owned(), ..Default::default() };
        let rows = cells(&ada.run(&key).await.unwrap());
        let texts: Vec<&str> = rows[0].iter().map(|cell| cell.as_deref().unwrap()).collect();
        assert_eq!((rows.len(), &texts[..4], texts[5]), (1, &["demo", "public", "accounts", "id"][..], "1"));
        let elsewhere = CommandGetPrimaryKeys { db_schema: Some("x".to_owned()), ..key };
        assert_eq!(ada.run(&elsewhere).await.unwrap().rows(), 0);
        let mut counts = Vec::new();
        for user in DEMO_USERS {
            let flight = Flight::login(&demo().server, user).await;
            let visible: BTreeSet<String> =
                tables(&flight, CommandGetTables::default()).await.into_iter().map(|[_, _, table, _]| table).collect();
            let exported = CommandGetExportedKeys { table: "accounts".to_owned(), ..Default::default() };
            let exported = cells(&flight.run(&exported).await.unwrap());
            let others: BTreeSet<String> = exported.iter().map(|row| row[6].clone().unwrap()).collect();
            assert!(others.is_subset(&visible), "{user}: {others:?}");
            assert!(exported.iter().all(|row| row[2].as_deref() == Some("accounts")));
            let mut imported = 0;
            for other in &others {
                let command = CommandGetImportedKeys { table: other.clone(), ..Default::default() };
                let rows = cells(&flight.run(&command).await.unwrap());
                imported += rows.iter().filter(|row| row[2].as_deref() == Some("accounts")).count();
                let cross = CommandGetCrossReference {
                    pk_table: "accounts".to_owned(),
                    fk_table: other.clone(),
                    ..Default::default()
                };
                assert!(flight.run(&cross).await.unwrap().rows() > 0, "{user}: {other}");
            }
            assert_eq!(imported, exported.len(), "{user}");
            counts.push(exported.len());
        }
        assert!(counts[0] > 0 && counts.iter().all(|count| *count <= counts[0]), "{counts:?}");
    });
}
