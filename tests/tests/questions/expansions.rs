//! Records with their references in place, and pages without their total, through the REST door: what is answered, and how many
//! statements the source runs for it.

use querygate_tests::harness::{Fixture, Layout, TestGate};
use querygate_tests::rest::RestServer;
use querygate_types::limits;
use querygate_types::principal::Principal;
use serde_json::{Value, json};

/// Visits of patients of doctors of clinics: three references one after the other, and two of one kind beside each other.
fn fixture() -> Fixture {
    let object = |name: &str, fields: Value| {
        json!({"name": name, "label": name, "sharingModel": "public_read_write", "ownership": "none", "nameField": "name",
            "tenancy": {"enabled": false}, "systemFields": {"audit": false}, "fields": fields})
    };
    let name = json!({"type": "text", "label": "Name"});
    let to = |object: &str| json!({"type": "lookup", "label": object, "reference": object});
    let read = json!({"allowRead": true});
    let stack = json!({
        "manifest": {"id": "test.v", "namespace": "v", "version": "1.0.0", "type": "app", "name": "v", "engines": {"protocol": "^17"}},
        "objects": [
            object("v_clinic", json!({"name": name})),
            object("v_doctor", json!({"name": name, "clinic": to("v_clinic")})),
            object("v_patient", json!({"name": name, "doctor": to("v_doctor")})),
            object("v_visit", json!({"name": name, "patient": to("v_patient"), "guest": to("v_patient")})),
        ],
        "permissions": [
            {"name": "v_reader", "label": "r",
                "objects": {"v_clinic": read, "v_doctor": read, "v_patient": read, "v_visit": read}},
            {"name": "v_guest", "label": "g", "objects": {"v_visit": read, "v_patient": read}},
        ],
    });
    let mut fixture = Fixture::new(stack, Vec::new());
    let named = |prefix: &str, count: usize, more: &dyn Fn(usize) -> Value| {
        let row = |n: usize| {
            let mut row = json!({"id": format!("{prefix}{n}"), "name": format!("{prefix} {n}")});
            row.as_object_mut().unwrap().extend(more(n).as_object().unwrap().clone());
            row
        };
        json!((0..count).map(row).collect::<Vec<_>>())
    };
    let rows = [
        ("v_clinic", named("c", 3, &|_| json!({}))),
        ("v_doctor", named("d", 7, &|n| json!({"clinic": format!("c{}", n % 3)}))),
        ("v_patient", named("p", 40, &|n| json!({"doctor": format!("d{}", n % 7)}))),
        (
            "v_visit",
            named("v", 120, &|n| json!({"patient": format!("p{}", n % 40), "guest": format!("p{}", (n + 1) % 40)})),
        ),
    ];
    for (object, rows) in rows {
        let table = Fixture::declared(&fixture.snapshot(), object, &rows);
        fixture.tables.push(table);
    }
    fixture
}

/// A person by the name of the permission set.
fn person(set: &str) -> Principal {
    Principal::builder(set).permission_set(set).build()
}

#[test]
fn three_levels_of_references_take_four_statements() {
    let fixture = fixture();
    let gate = TestGate::new(&fixture, Layout::Sqlite);
    let (reader, guest) = (person("v_reader"), person("v_guest"));
    let door = RestServer::over(&gate, &[&reader, &guest], |_| {});
    let ask = |who: &str, path: &str| {
        fixture.watch.take();
        let answer = door.send(who, "GET", path, None);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        (answer.json(), fixture.watch.take().len())
    };
    let expanded = "expand=patient.doctor.clinic";
    // Twice: bound anew, and from what was bound.
    for _ in 0..2 {
        let (page, statements) = ask("v_reader", &format!("/data/v_visit?top=50&sort=id&count=false&{expanded}"));
        assert_eq!(statements, 4);
        let records = page["records"].as_array().unwrap();
        assert_eq!((records.len(), &page["hasMore"], page.get("total")), (50, &json!(true), None));
        for record in records {
            let number: usize = record["id"].as_str().unwrap()[1..].parse().unwrap();
            let patient = number % 40;
            let expected = [format!("p{patient}"), format!("d{}", patient % 7), format!("c {}", patient % 7 % 3)];
            let found = [
                &record["patient"]["id"],
                &record["patient"]["doctor"]["id"],
                &record["patient"]["doctor"]["clinic"]["name"],
            ];
            assert_eq!(found.map(|text| text.as_str().unwrap_or("none").to_owned()), expected, "{record}");
        }
    }
    // All rows, whose total is said by the page; and two references of one kind, which are asked for together.
    let (page, statements) = ask("v_reader", &format!("/data/v_visit?{expanded},guest.doctor.clinic"));
    assert_eq!((statements, &page["total"], &page["hasMore"]), (4, &json!(120), &json!(false)));
    let first = page["records"].as_array().unwrap().iter().find(|record| record["id"] == "v39").unwrap();
    assert_eq!((&first["patient"]["id"], &first["guest"]["doctor"]["clinic"]["id"]), (&json!("p39"), &json!("c0")));
    // A full page whose total is wanted asks for that, too.
    let (page, statements) = ask("v_reader", &format!("/data/v_visit?top=50&{expanded}"));
    assert_eq!((statements, &page["total"], &page["hasMore"]), (5, &json!(120), &json!(true)));
    // What a reader does not see stays an id, and is not asked for.
    let (page, statements) = ask("v_guest", &format!("/data/v_visit?top=5&count=false&{expanded}"));
    assert_eq!(statements, 2);
    assert!(page["records"][0]["patient"]["doctor"].is_string(), "{page}");
}

#[test]
fn a_page_without_a_total_says_whether_there_are_more() {
    let fixture = fixture();
    let gate = TestGate::new(&fixture, Layout::Sqlite);
    let reader = person("v_reader");
    let door = RestServer::over(&gate, &[&reader], |_| {});
    for (rest, records, more) in [
        ("top=7", 7, false),
        ("top=6", 6, true),
        ("top=8", 7, false),
        ("top=3&skip=4", 3, false),
        ("top=3&skip=3", 3, true),
        ("top=3&skip=7", 0, false),
        ("top=0", 0, false),
        ("skip=5", 2, false),
    ] {
        fixture.watch.take();
        let answer = door.send("v_reader", "GET", &format!("/data/v_doctor?sort=id&count=false&{rest}"), None).json();
        assert!(fixture.watch.take().len() <= 1, "{rest}");
        let found = answer["records"].as_array().unwrap().len();
        assert_eq!((found, &answer["hasMore"]), (records, &json!(more)), "{rest}: {answer}");
        let counted = door.send("v_reader", "GET", &format!("/data/v_doctor?sort=id&{rest}"), None).json();
        assert_eq!((&counted["records"], &counted["hasMore"]), (&answer["records"], &answer["hasMore"]), "{rest}");
    }
}

/// The row that says whether there are more is not asked for where the answer has no room for it.
#[test]
fn a_page_as_large_as_an_answer_may_be_is_given() {
    let mut fixture = fixture();
    fixture.rows_max = Some(5);
    let gate = TestGate::new(&fixture, Layout::Sqlite);
    let reader = person("v_reader");
    let door = RestServer::over(&gate, &[&reader], |config| config.rows_max = Some(5));
    for (rest, records, more) in [("top=4", 4, true), ("top=5", 5, true), ("top=5&skip=2", 5, false)] {
        let answer = door.send("v_reader", "GET", &format!("/data/v_doctor?sort=id&count=false&{rest}"), None);
        assert_eq!(answer.status, 200, "{rest}: {}", answer.text());
        let answer = answer.json();
        let found = answer["records"].as_array().unwrap().len();
        assert_eq!((found, &answer["hasMore"], answer.get("total")), (records, &json!(more), None), "{rest}: {answer}");
    }
    let larger = door.send("v_reader", "GET", "/data/v_doctor?sort=id&count=false&top=6", None);
    assert_eq!((larger.status, &larger.json()["sqlstate"]), (413, &json!("54000")), "{}", larger.text());
}

/// References of more than one batch, whose columns stand where each batch has them.
#[test]
fn records_of_several_batches_are_expanded_each_in_its_place() {
    let visits = limits::BATCH_ROWS + 1_000;
    let mut fixture = fixture();
    let visit = |n: usize| json!({"id": format!("v{n}"), "patient": format!("p{}", n % 40), "guest": format!("p{}", (n + 1) % 40)});
    replace_rows(&mut fixture, "v_visit", &json!((0..visits).map(visit).collect::<Vec<_>>()));
    let gate = TestGate::new(&fixture, Layout::Sqlite);
    let reader = person("v_reader");
    let door = RestServer::over(&gate, &[&reader], |_| {});
    let page =
        door.send("v_reader", "GET", "/data/v_visit?sort=id&count=false&expand=patient.doctor,guest", None).json();
    let records = page["records"].as_array().unwrap();
    assert_eq!(records.len(), visits);
    for record in records {
        let number: usize = record["id"].as_str().unwrap()[1..].parse().unwrap();
        assert_eq!(record["patient"]["doctor"]["id"], format!("d{}", number % 40 % 7), "{record}");
        assert_eq!(record["guest"]["id"], format!("p{}", (number + 1) % 40), "{record}");
    }
}

fn replace_rows(fixture: &mut Fixture, object: &str, rows: &Value) {
    let table = Fixture::declared(&fixture.snapshot(), object, rows);
    *fixture.tables.iter_mut().find(|table| table.object == object).unwrap() = table;
}

/// Groups whose lists name members that are not there, and patients with long names.
fn wide_fixture(members: usize) -> Fixture {
    let mut fixture = fixture();
    let text = |n: usize| json!({"id": format!("g{n}"), "members": (0..members).map(|m| format!("member {n} {m}")).collect::<Vec<_>>()});
    let group = json!({"name": "v_group", "label": "g", "sharingModel": "public_read_write", "ownership": "none",
        "tenancy": {"enabled": false}, "systemFields": {"audit": false},
        "fields": {"members": {"type": "lookup", "label": "m", "reference": "v_patient", "multiple": true}}});
    fixture.stack["objects"].as_array_mut().unwrap().push(group);
    fixture.stack["permissions"][0]["objects"]["v_group"] = json!({"allowRead": true});
    let rows = json!((0..2).map(text).collect::<Vec<_>>());
    let table = Fixture::declared(&fixture.snapshot(), "v_group", &rows);
    fixture.tables.push(table);
    let long = |n: usize| json!({"id": format!("p{n}"), "name": "x".repeat(50_000), "doctor": format!("d{}", n % 7)});
    let rows = json!((0..40).map(long).collect::<Vec<_>>());
    replace_rows(&mut fixture, "v_patient", &rows);
    fixture
}

/// Related records, and the ids by which they are looked up, are their user's: beyond what the user may hold the request is refused, and
/// what it held is given back.
#[test]
fn records_are_expanded_within_the_memory_of_their_user() {
    let status = |memory: usize, path: &str| {
        let mut fixture = wide_fixture(5_000);
        fixture.memory_per_user = memory;
        let gate = TestGate::new(&fixture, Layout::Memory);
        let door = RestServer::over(&gate, &[&person("v_reader")], |_| {});
        let ask = |path: &str| door.send("v_reader", "GET", path, None);
        let answer = ask(path);
        let said = (answer.status, answer.json()["sqlstate"].as_str().unwrap_or_default().to_owned());
        assert_eq!(ask("/data/v_clinic").status, 200, "{path}: {}", answer.text());
        said
    };
    let (refused, answered) = ((429, "53200".to_owned()), (200, String::new()));
    // Two lists of 5,000 ids each: some 200 KB as they are read, and more than a megabyte as a set.
    assert_eq!(status(2 << 20, "/data/v_group?count=false"), answered);
    assert_eq!(status(2 << 20, "/data/v_group?count=false&expand=members"), refused);
    assert_eq!(status(64 << 20, "/data/v_group?count=false&expand=members"), answered);
    // Two megabytes of related records.
    assert_eq!(status(3 << 20, "/data/v_visit?count=false"), answered);
    assert_eq!(status(3 << 20, "/data/v_visit?count=false&expand=patient"), refused);
    assert_eq!(status(64 << 20, "/data/v_visit?count=false&expand=patient"), answered);
}
