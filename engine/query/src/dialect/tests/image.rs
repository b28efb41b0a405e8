//! The demonstration schema (shared `demo-schema.sql`) as a catalog image.

use querygate_pg_catalog::image::{
    CatalogImage, Check, Column, EnumType, ForeignKey, Generation, Index, IndexColumn, Key, Relation, RelationKind,
    Role, Schema, Setting,
};
use querygate_types::{PgType, ReferentialAction};

fn column(name: &str, pg_type: PgType) -> Column {
    Column::new(name, pg_type)
}
fn required(name: &str, pg_type: PgType) -> Column {
    Column { not_null: true, ..Column::new(name, pg_type) }
}
fn default(text: &str, column: Column) -> Column {
    Column { default: Some(text.to_owned()), ..column }
}
fn sized(typmod: i32, column: Column) -> Column {
    Column { typmod, ..column }
}
fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|n| (*n).to_owned()).collect()
}
fn key(columns: &[&str]) -> Key {
    Key { name: None, columns: names(columns) }
}

pub(super) fn demo() -> CatalogImage {
    CatalogImage {
        database: "shop".to_owned(),
        user: "app".to_owned(),
        owner: "app".to_owned(),
        roles: vec![Role { name: "app".to_owned(), superuser: true, login: true, ..Default::default() }],
        schemas: vec![
            Schema {
                name: "public".to_owned(),
                relations: public(),
                enums: vec![status()],
                comment: Some("standard public schema".to_owned()),
            },
            Schema { name: "sales".to_owned(), relations: sales(), ..Default::default() },
        ],
        search_path: names(&["public"]),
        server_version: "15.18".to_owned(),
        version_text: "PostgreSQL 15.18 (Querygate)".to_owned(),
        settings: [
            ("server_version", "15.18"),
            ("server_version_num", "150018"),
            ("standard_conforming_strings", "on"),
            ("max_index_keys", "32"),
            ("search_path", "public"),
            ("bytea_output", "hex"),
            ("default_table_access_method", "heap"),
            ("jit", "on"),
        ]
        .iter()
        .map(|(name, value)| Setting {
            name: (*name).to_owned(),
            value: (*value).to_owned(),
            vartype: "string".to_owned(),
            ..Default::default()
        })
        .collect(),
        ..Default::default()
    }
}

fn status() -> EnumType {
    EnumType { name: "order_status".to_owned(), labels: names(&["new", "paid", "shipped"]), comment: None }
}

fn public() -> Vec<Relation> {
    let money = 786_438;
    vec![
        Relation {
            name: "customers".to_owned(),
            comment: Some("people who buy".to_owned()),
            columns: vec![
                Column { generation: Generation::IdentityByDefault, ..required("id", PgType::Int4) },
                Column { comment: Some("login address".to_owned()), ..required("email", PgType::Text) },
                sized(84, required("name", PgType::Varchar)),
                sized(money, default("0", required("balance", PgType::Numeric))),
                default("true", required("active", PgType::Bool)),
                column("tags", PgType::TextArray),
                column("profile", PgType::Jsonb),
                column("ext_id", PgType::Uuid),
                column("avatar", PgType::Bytea),
                default("now()", required("created_at", PgType::Timestamptz)),
                column("birthday", PgType::Date),
            ],
            primary_key: Some(key(&["id"])),
            unique: vec![key(&["email"])],
            row_estimate: Some(50.0),
            ..Default::default()
        },
        Relation {
            name: "active_customers".to_owned(),
            kind: RelationKind::View,
            columns: vec![column("id", PgType::Int4), column("email", PgType::Text), sized(84, column("name", PgType::Varchar))],
            definition: Some(
                " SELECT customers.id,\n    customers.email,\n    customers.name\n   FROM customers\n  WHERE customers.active;".to_owned(),
            ),
            ..Default::default()
        },
        Relation {
            name: "events".to_owned(),
            columns: vec![column("id", PgType::Int8), required("at", PgType::Date), column("body", PgType::Text)],
            ..Default::default()
        },
        Relation {
            name: "events_2024".to_owned(),
            columns: vec![column("id", PgType::Int8), required("at", PgType::Date), column("body", PgType::Text)],
            ..Default::default()
        },
    ]
}

fn sales() -> Vec<Relation> {
    let status = Column {
        enum_type: Some(("public".to_owned(), "order_status".to_owned())),
        ..required("status", PgType::Text)
    };
    vec![
        Relation {
            name: "orders".to_owned(),
            columns: vec![
                default("nextval('sales.orders_id_seq'::regclass)", required("id", PgType::Int8)),
                required("customer_id", PgType::Int4),
                default("'new'::order_status", status),
                sized(786_438, column("total", PgType::Numeric)),
                column("placed_at", PgType::Timestamp),
            ],
            primary_key: Some(key(&["id"])),
            foreign_keys: vec![ForeignKey {
                columns: names(&["customer_id"]),
                references: ("public".to_owned(), "customers".to_owned()),
                referenced_columns: names(&["id"]),
                on_delete: ReferentialAction::Cascade,
                ..Default::default()
            }],
            indexes: vec![Index {
                name: "orders_customer_placed".to_owned(),
                unique: false,
                columns: vec![
                    IndexColumn { name: "customer_id".to_owned(), descending: false },
                    IndexColumn { name: "placed_at".to_owned(), descending: true },
                ],
            }],
            checks: vec![Check {
                name: "orders_total_check".to_owned(),
                columns: names(&["total"]),
                expression: "total >= 0::numeric".to_owned(),
            }],
            row_estimate: Some(200.0),
            ..Default::default()
        },
        Relation {
            name: "order_items".to_owned(),
            columns: vec![
                required("order_id", PgType::Int8),
                required("line_no", PgType::Int2),
                sized(12, column("sku", PgType::Bpchar)),
                column("qty", PgType::Int4),
                column("price", PgType::Float8),
            ],
            primary_key: Some(key(&["order_id", "line_no"])),
            foreign_keys: vec![ForeignKey {
                columns: names(&["order_id"]),
                references: ("sales".to_owned(), "orders".to_owned()),
                referenced_columns: names(&["id"]),
                ..Default::default()
            }],
            row_estimate: Some(600.0),
            ..Default::default()
        },
        Relation {
            name: "daily".to_owned(),
            kind: RelationKind::MaterializedView,
            columns: vec![column("d", PgType::Timestamp), column("n", PgType::Int8)],
            row_estimate: Some(9.0),
            ..Default::default()
        },
    ]
}
