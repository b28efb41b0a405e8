//! Names, keys and types of what is written, and schemas at random.

use super::*;
use querygate_metadata::load::{LoadOptions, load, load_text};
use querygate_metadata::model::{DeleteBehavior, ItemType};

#[test]
fn names_become_identifiers() {
    for (remote, expected) in
        [("Order Item", "order_item"), ("2fa", "n2fa"), ("naïve", "na_ve"), ("---", "unnamed"), ("a__b", "a_b")]
    {
        assert_eq!(local_name(remote), expected);
    }
}

#[test]
fn what_is_written_loads() {
    let column = |remote: &str, holds| FoundColumn {
        remote: remote.to_owned(),
        holds: Some(Holds::of(holds)),
        ..FoundColumn::default()
    };
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let key = |columns: &[&str], table: &str, referenced: &[&str]| FoundReference {
        columns: names(columns),
        table: table.to_owned(),
        referenced: names(referenced),
        ..FoundReference::default()
    };
    let tables = [
        Found {
            remote: "Customer".to_owned(),
            comment: Some("Who buys".to_owned()),
            columns: vec![
                column("Name", ValueType::Text),
                column("CustomerNo", ValueType::Int64),
                FoundColumn { remote: "Photo".to_owned(), ..FoundColumn::default() },
                FoundColumn { options: names(&["new", "old"]), ..column("State", ValueType::Text) },
                FoundColumn { options: names(&["A"]), ..column("Grade", ValueType::Text) },
                column("owner_id", ValueType::Date),
                column("since", ValueType::Timestamp { utc: false }),
            ],
            primary_key: names(&["CustomerNo"]),
            unique: vec![
                FoundKey { name: Some("customer_name_key".to_owned()), columns: names(&["Name"]), is_index: false },
                FoundKey { name: Some("By no".to_owned()), columns: names(&["CustomerNo", "Name"]), is_index: true },
            ],
            primary_key_name: Some("pk_customer".to_owned()),
            indexes: vec![("by_state".to_owned(), names(&["State"])), ("by_photo".to_owned(), names(&["Photo"]))],
            ..Found::default()
        },
        Found {
            remote: "sales.orders".to_owned(),
            schema: Some("sales".to_owned()),
            columns: vec![
                column("id", ValueType::Int32),
                column("line", ValueType::Int16),
                column("customer", ValueType::Int64),
                column("replaces", ValueType::Int32),
                column("replaced_line", ValueType::Int16),
            ],
            primary_key: names(&["id", "line"]),
            foreign_keys: vec![
                key(&["customer"], "Customer", &["CustomerNo"]),
                key(&["replaces", "replaced_line"], "sales.orders", &[]),
            ],
            ..Found::default()
        },
    ];
    let written = metadata("shop", "sqlite", &json!({"filename": "shop.db"}), &tables, &KnownNames::default()).unwrap();
    assert_eq!(written.ignored, ["Customer.Photo"]);
    let folder = tempfile::tempdir().unwrap();
    let [text, tables] = [&written.stack, &written.tables].map(|value| pretty(value).unwrap());
    std::fs::write(folder.path().join("shop.json"), &text).unwrap();
    std::fs::write(folder.path().join("shop.querygate.json"), tables).unwrap();
    let snapshot = load(folder.path(), &LoadOptions::default()).unwrap_or_else(|e| panic!("{e}")).snapshot;
    let customer = snapshot.object("shop_customer").unwrap();
    assert_eq!(customer.table_name(), "Customer");
    assert_eq!(customer.column_name("customerno"), "CustomerNo");
    assert_eq!(customer.primary_key, ["customerno"]);
    let unique: Vec<_> =
        customer.unique_keys.iter().map(|key| (key.name.as_deref(), key.is_index, &key.fields[..])).collect();
    let (one, two) = (["name".to_owned()], ["customerno".to_owned(), "name".to_owned()]);
    // A usual name is not said.
    assert_eq!(unique, [(None, false, &one[..]), (Some("By no"), true, &two[..])]);
    assert_eq!(customer.primary_key_name.as_deref(), Some("pk_customer"));
    assert_eq!(customer.indexes.len(), 1);
    assert_eq!(customer.indexes[0].fields, ["state"]);
    assert_eq!(customer.fields["customerno"].value_type(), ValueType::Int64);
    assert_eq!(customer.fields["since"].value_type(), ValueType::Timestamp { utc: false });
    assert_eq!(customer.column_name("owner_id_value"), "owner_id");
    assert_eq!(customer.fields["state"].options.len(), 2);
    // What ObjectStack does not take as an option is said in words.
    assert!(customer.fields["grade"].options.is_empty() && text.contains("One of: A"));
    assert!(text.contains("Who buys"));
    let orders = snapshot.object("shop_sales_orders").unwrap();
    assert_eq!(orders.fields["customer"].reference.as_deref(), Some("shop_customer"));
    assert_eq!(orders.fields["id"].value_type(), ValueType::Int32);
    assert_eq!(orders.primary_key, ["id", "line"]);
    // No word of ObjectStack's says that nothing happens on delete.
    assert_eq!(orders.foreign_keys[0].fields, ["customer"]);
    assert_eq!(orders.fields["customer"].delete_behavior, Some(DeleteBehavior::Restrict));
    assert_eq!(orders.foreign_keys[1].fields, ["replaces", "replaced_line"]);
    assert_eq!(orders.foreign_keys[1].referenced_fields, ["id", "line"]);
    assert_eq!(orders.table_name(), "orders");
    assert_eq!(orders.external.as_ref().unwrap().remote_schema.as_deref(), Some("sales"));
}

/// Whatever a source calls its tables and columns, and whatever these hold, what is written loads without an error.
#[test]
fn any_names_and_types_load() {
    const NAMES: [&str; 22] = [
        "id",
        "ID",
        "Id",
        "owner_id",
        "organization_id",
        "created_by",
        "created_at",
        "updated_at",
        "name",
        "select",
        "from",
        "order by",
        "2fa",
        "\"quoted\"",
        "ünïcödé",
        "a.b",
        "_",
        "",
        "sys_user",
        "querygate",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "owning_business_unit_id",
    ];
    const TYPES: [ValueType; 21] = [
        ValueType::Text,
        ValueType::Uuid,
        ValueType::TextList,
        ValueType::Float64,
        ValueType::Float32,
        ValueType::Int16,
        ValueType::Int32,
        ValueType::Int64,
        ValueType::Decimal { precision: 38, scale: 38 },
        ValueType::Decimal { precision: 5, scale: 0 },
        ValueType::Boolean,
        ValueType::Date,
        ValueType::TimestampMillisUtc,
        ValueType::Timestamp { utc: true },
        ValueType::Timestamp { utc: false },
        ValueType::Time,
        ValueType::Binary,
        ValueType::JsonText,
        ValueType::Json,
        ValueType::List(ItemType::Int32),
        ValueType::List(ItemType::Decimal { precision: 38, scale: 6 }),
    ];
    let mut state = 7_u64;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    for world in 0..150 {
        let tables: Vec<Found> = (0..1 + next(4))
            .map(|number| {
                let mut columns: Vec<FoundColumn> = Vec::new();
                for _ in 0..next(if world % 50 == 0 { 1_600 } else { 12 }) {
                    let remote = match next(3) {
                        0 => format!("{}{}", NAMES[next(NAMES.len())], next(100)),
                        _ => NAMES[next(NAMES.len())].to_owned(),
                    };
                    if columns.iter().all(|column| column.remote != remote) {
                        let holds = (next(20) > 0).then(|| Holds::of(TYPES[next(TYPES.len())]));
                        columns.push(FoundColumn { remote, holds, required: next(2) == 0, ..FoundColumn::default() });
                    }
                }
                let some = |next: &mut dyn FnMut(usize) -> usize| -> Vec<String> {
                    let all = columns.iter().filter(|_| next(4) == 0).map(|column| column.remote.clone());
                    all.take(3).collect()
                };
                let primary_key = some(&mut next);
                let unique = vec![FoundKey { columns: some(&mut next), ..FoundKey::default() }];
                let key = FoundReference {
                    columns: some(&mut next),
                    table: format!("{}{}", NAMES[next(NAMES.len())], next(4)),
                    ..FoundReference::default()
                };
                let remote = format!("{}{number}", NAMES[next(NAMES.len())]);
                Found { remote, columns, primary_key, unique, foreign_keys: vec![key], ..Found::default() }
            })
            .collect();
        let text = metadata(
            &namespace(NAMES[next(NAMES.len())]),
            "postgres",
            &json!({"database": "d"}),
            &tables,
            &KnownNames::default(),
        )
        .unwrap();
        let text = whole(&[text.stack, text.tables]).unwrap();
        if let Err(error) = load_text("w.json", &text, &LoadOptions::default()) {
            panic!("world {world}: {error}\n{text}");
        }
    }
}

/// A new table or column never takes a name that an object of the metadata has, whatever people made of that object since.
#[test]
fn names_that_were_given_stay() {
    let column = |remote: &str| FoundColumn {
        remote: remote.to_owned(),
        holds: Some(Holds::of(ValueType::Text)),
        ..FoundColumn::default()
    };
    let table = |remote: &str, columns: &[&str]| Found {
        remote: remote.to_owned(),
        schema: remote.split_once('.').map(|(schema, _)| schema.to_owned()),
        columns: columns.iter().map(|name| column(name)).collect(),
        ..Found::default()
    };
    let described = |tables: &[Found], known: &KnownNames| metadata("d", "sqlite", &json!({}), tables, known).unwrap();
    let names = |written: &Written| -> Vec<(String, String, Vec<String>)> {
        let names = written.names.iter();
        names.map(|names| (names.remote.clone(), names.object.clone(), names.fields.clone())).collect()
    };
    let own = |remote: &str, object: &str, fields: &[&str]| {
        (remote.to_owned(), object.to_owned(), fields.iter().map(|name| (*name).to_owned()).collect())
    };
    let first = described(&[table("a lines", &["E-Mail"]), table("s.orders", &["x"])], &KnownNames::default());
    let expected = [own("a lines", "d_a_lines", &["e_mail"]), own("s.orders", "d_s_orders", &["x"])];
    assert_eq!(names(&first), expected);
    let mut edited = first.stack.clone();
    // A field of people's own stands for a column of its name, as it is merged with it.
    edited["packages"][0]["manifest"]["objects"][0]["fields"]["total"] = json!({"type": "formula"});
    edited["packages"][0]["manifest"]["objects"].as_array_mut().unwrap().push(json!({"name": "d_new"}));
    let tables = [
        table("new", &["x"]),
        table("a_lines", &["x"]),
        table("a lines", &["e_mail", "total", "E-Mail"]),
        table("s_orders", &["x"]),
        table("s.orders", &["x"]),
    ];
    let known = KnownNames { given: GivenNames::of(Some(&first.stack), Some(&edited)), ..KnownNames::default() };
    let expected = [
        own("new", "d_new_2", &["x"]),
        own("a_lines", "d_a_lines_2", &["x"]),
        own("a lines", "d_a_lines", &["e_mail_2", "total", "e_mail"]),
        own("s_orders", "d_s_orders_2", &["x"]),
        own("s.orders", "d_s_orders", &["x"]),
    ];
    let second = described(&tables, &known);
    assert_eq!(names(&second), expected);
    // What the source had no longer when it was described last, and people had edited, is there again.
    let less = described(&tables[..1], &known).stack;
    let known = KnownNames { given: GivenNames::of(Some(&less), Some(&second.stack)), ..KnownNames::default() };
    assert_eq!(names(&described(&tables, &known)), expected);
}
