//! From an address to a governed gate: a clinic as it is, with whole numbers and pairs of them for keys, `init`, three lines of rules,
//! and a nurse who sees the appointments of her patients. Then a schema whose names are as bad as names can be.

use super::common::Server as Database;
use super::{PASSWORD, answer, refused};
use querygate_tests::server::{Server, binary, psql, runtime};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

const CLINIC: &str = "
    CREATE TABLE nurse (id int PRIMARY KEY, login text NOT NULL UNIQUE);
    CREATE TABLE patient (id bigint PRIMARY KEY, name varchar(40) NOT NULL, nurse_id int REFERENCES nurse, weight real, bill numeric,
        admitted timestamp, seen timestamptz, code uuid, photo bytea, iv interval);
    CREATE TABLE appointment (patient_id bigint REFERENCES patient, nr smallint, at timestamp NOT NULL, PRIMARY KEY (patient_id, nr));
    CREATE TABLE letter (id serial PRIMARY KEY, patient_id bigint, nr smallint,
        FOREIGN KEY (patient_id, nr) REFERENCES appointment (patient_id, nr));
    INSERT INTO nurse VALUES (1, 'ann'), (2, 'bob');
    INSERT INTO patient SELECT i, 'p' || i, 1 + i % 2, i * 1.1, i * 1.50, '2024-03-10 02:30:00.123456', '2024-03-10 02:30:00.123456Z',
        'A0EEBC99-9c0b-4ef8-bb6d-6bb9bd380a11', '\\x00ff', '1 day' FROM generate_series(1, 5) i;
    INSERT INTO appointment SELECT p, n, '2025-01-01'::timestamp + n * interval '1 day' FROM generate_series(1, 5) p,
        generate_series(1, 3) n;
    INSERT INTO letter (patient_id, nr) SELECT p, 1 FROM generate_series(1, 5) p;
";

const HOSTILE: &str = "
    CREATE TABLE \"select\" (\"from\" int PRIMARY KEY, \"Order\" text, \"order\" text, \"order \" text, \"2x\" int, \"a\"\"b\" text,
        created_by date, organization_id jsonb, owner_id numeric, id json, name int, created_at int, updated_at text,
        owning_business_unit_id float8, \"ünï\" text);
    INSERT INTO \"select\" (\"from\", \"Order\", \"order\", \"order \", \"a\"\"b\") VALUES (1, 'O', 'o', 'o ', 'ab');
    CREATE TABLE \"A\" (a int); CREATE TABLE a (a int REFERENCES \"select\"); CREATE TABLE a_2 (a int); CREATE TABLE nokey (x float8);
    CREATE TABLE sys_user (id int); CREATE SCHEMA other; CREATE TABLE other.a (b text); CREATE VIEW v AS SELECT * FROM a;
    CREATE TABLE t63_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa (id int PRIMARY KEY);
    DO $$ DECLARE s text := 'CREATE TABLE wide (id int PRIMARY KEY';
        BEGIN FOR i IN 1..1599 LOOP s := s || ', c' || i || ' int'; END LOOP; EXECUTE s || ')'; END $$;
";

fn querygate(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(binary());
    let output = command.args(arguments).current_dir(folder).env("CLINIC_PASSWORD", PASSWORD).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.success(), text)
}

/// A server with this database, and who may change it.
pub(super) fn database(name: &str, sql: &str) -> Option<(Database, tokio_postgres::Client)> {
    let database = Database::start()?;
    let admin = runtime().block_on(async {
        let admin = database.database(name, "").await;
        admin.batch_execute(sql).await.unwrap();
        admin
    });
    Some((database, admin))
}

pub(super) fn init(folder: &Path, database: &Database, name: &str) -> String {
    let address = format!("postgres://postgres@127.0.0.1:{}/{name}", database.port);
    let (well, said) = querygate(folder, &["init", &address, "--password", "env:CLINIC_PASSWORD", "--user", "ann"]);
    assert!(well && !said.contains(PASSWORD), "{said}");
    said
}

/// What `init` wrote, served to the user whom it made.
pub(super) fn served(folder: &Path, name: &str) -> Server {
    let config = folder.join("querygate.toml");
    std::fs::write(folder.join("password"), PASSWORD).unwrap();
    let verifier = postgres_protocol::password::scram_sha_256(b"demo-ann");
    let text = std::fs::read_to_string(&config).unwrap();
    let text = text.split("[[users]]").next().unwrap().replace("env:CLINIC_PASSWORD", "file:password");
    let user = format!(
        "[[users]]\nname = \"ann\"\nverifier = \"{verifier}\"\npermission_sets = [\"{name}_reader\"]\nattributes = {{ nurse = 1 }}\n"
    );
    std::fs::write(&config, format!("[server]\ndatabase = \"demo\"\n{text}{user}")).unwrap();
    Server::serve(&config)
}

pub(super) fn edit(file: &Path, change: impl FnOnce(&mut Value)) {
    let mut value: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    change(&mut value);
    std::fs::write(file, value.to_string()).unwrap();
}

#[test]
fn a_nurse_sees_the_appointments_of_her_patients() {
    let Some((database, admin)) = database("clinic", CLINIC) else { return };
    let folder = TempDir::new().unwrap();
    let said = init(folder.path(), &database, "clinic");
    for part in [
        "0 errors",
        "with 2 places: patient.bill (numeric)",
        "sees every row and column of: clinic_appointment, clinic_letter, clinic_nurse, clinic_patient.",
        "- clinic_appointment: visible with its `clinic_patient`, by `patient_id`",
        "          15 |",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("as text"), "{said}");

    // Three lines of rules.
    let stack = folder.path().join("metadata/clinic.json");
    edit(&stack, |stack| {
        let package = &mut stack["packages"][0]["manifest"];
        let appointment = &mut package["objects"].as_array_mut().unwrap()[0];
        assert_eq!(appointment["name"], "clinic_appointment");
        appointment["sharingModel"] = json!("controlled_by_parent");
        appointment["fields"]["patient_id"]["type"] = json!("master_detail");
        package["permissions"][0]["rowLevelSecurity"] = json!([{
            "name": "own", "object": "clinic_patient", "operation": "select", "using": "nurse_id == current_user.nurse",
        }]);
    });
    let server = served(folder.path(), "clinic");
    seen(&server);
    compared_with_moments(&server);
    let describe = |table: &str| psql(&server, "ann", &["-c", &format!("\\d {table}")]).out;
    let shown = describe("appointment");
    for part in [
        "patient_id | bigint                      |           | not null |",
        "at         | timestamp without time zone |           | not null |",
        "PRIMARY KEY, btree (patient_id, nr)",
        "FOREIGN KEY (patient_id) REFERENCES patient(id)",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let shown = describe("letter");
    assert!(shown.contains("FOREIGN KEY (patient_id, nr) REFERENCES appointment(patient_id, nr)"), "{shown}");

    // What changed in the source comes in, what was edited stays.
    runtime().block_on(async {
        let sql = "ALTER TABLE nurse ADD COLUMN phone text; CREATE TABLE ward (id int PRIMARY KEY)";
        admin.batch_execute(sql).await.unwrap();
    });
    let said = init(folder.path(), &database, "clinic");
    assert!(said.contains("brought up to date metadata/clinic.json"), "{said}");
    assert!(
        said.contains("`phone` looks like a telephone number") && !said.contains("column of: clinic_appointment"),
        "{said}"
    );
    let text = std::fs::read_to_string(&stack).unwrap();
    for part in ["\"own\"", "controlled_by_parent", "\"phone\"", "clinic_ward"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

fn seen(server: &Server) {
    let ask = |sql: &str| answer(server, "ann", sql);
    assert_eq!(ask("SELECT string_agg(id::text, ',' ORDER BY id) FROM patient"), "2,4");
    assert_eq!(ask("SELECT count(*), min(patient_id), max(patient_id) FROM appointment"), "6|2|4");
    assert_eq!(ask("SELECT count(*) FROM appointment WHERE patient_id = 3"), "0");
    assert_eq!(
        ask("SELECT p.name, count(*) FROM appointment a JOIN patient p ON p.id = a.patient_id GROUP BY 1 ORDER BY 1"),
        "p2|3\np4|3"
    );
    assert_eq!(ask("SELECT id / 4, weight, bill, sum(bill) OVER () FROM patient WHERE id = 2"), "0|2.2|3.00|3.00");
    assert_eq!(
        ask(
            "SET TimeZone = 'America/New_York'; SELECT admitted, admitted::date, seen, code, photo FROM patient WHERE id = 2"
        ),
        "SET\n2024-03-10 02:30:00.123456|2024-03-10|2024-03-09 21:30:00.123456-05|a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11|\\x00ff"
    );
    assert_eq!(ask("SELECT count(*) FROM patient WHERE code = 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'"), "2");
    let types = "SELECT pg_typeof(id), pg_typeof(weight), pg_typeof(bill), pg_typeof(code) FROM patient LIMIT 1";
    assert_eq!(ask(types), "bigint|real|numeric|uuid");
    assert!(refused(server, "ann", "SELECT id + 9223372036854775807 FROM patient").contains("out of range"));
}

/// Dates and time stamps without a zone beside some with one, in a session whose midnight is at 05:00 in UTC: both rows have each.
fn compared_with_moments(server: &Server) {
    for condition in [
        "seen < '2024-03-10'::date",
        "seen < date '2024-03-09' + interval '21 hours 31 minutes'",
        "seen = timestamp '2024-03-09 21:30:00.123456'",
        "seen IN (timestamp '2024-03-09 21:30:00.123456', date '2024-01-01')",
        "seen = ANY (ARRAY[timestamp '2024-03-09 21:30:00.123456'])",
        "seen = ANY ('{2024-03-09 21:30:00.123456}'::timestamp[])",
        "seen BETWEEN date '2024-03-09' AND make_date(2024, 3, 10)",
        "seen IS NOT DISTINCT FROM timestamp '2024-03-09 21:30:00.123456'",
        "nullif(seen, timestamp '2024-03-09 21:30:00.123456') IS NULL",
        "seen IN (SELECT timestamp '2024-03-09 21:30:00.123456' FROM patient)",
        "CASE seen WHEN timestamp '2024-03-09 21:30:00.123456' THEN true END",
        "now() = localtimestamp AND date_trunc('day', now()) = current_date",
        "coalesce(seen, now()) < to_date('2024-03-10', 'YYYY-MM-DD')",
        "'2024-03-09 21:30:00.123456' AT TIME ZONE 'UTC' = admitted",
        "to_char(date '2024-03-10', 'YYYY-MM-DD HH24') = '2024-03-10 00'",
    ] {
        let sql = format!("SET TimeZone = 'America/New_York'; SELECT count(*) FROM patient WHERE {condition}");
        assert_eq!(answer(server, "ann", &sql), "SET\n2", "{condition}");
    }
    let early = "PREPARE early(date) AS SELECT count(*) FROM patient WHERE seen < $1; EXECUTE early('2024-03-10')";
    let sql = format!("SET TimeZone = 'America/New_York'; {early}");
    assert_eq!(answer(server, "ann", &sql), "SET\nPREPARE\n2");
}

#[test]
fn a_schema_of_hostile_names_is_served() {
    let Some((database, _)) = database("hostile", HOSTILE) else { return };
    let folder = TempDir::new().unwrap();
    let said = init(folder.path(), &database, "hostile");
    assert!(said.contains("0 errors, 0 warnings"), "{said}");
    let asked = ["sql", "-u", "ann", "--csv", "SELECT \"order\", order_2, order_3, a_b, n2x, \"from\" FROM \"select\""];
    let (well, said) = querygate(folder.path(), &asked);
    assert!(well && (said.contains("o,O,\"o \",ab,,1") || said.contains("o,O,o ,ab,,1")), "{said}");
    let columns = "SELECT count(*) FROM information_schema.columns WHERE table_name = 'wide'";
    let (well, said) = querygate(folder.path(), &["sql", "-u", "ann", "--csv", columns]);
    assert!(well && said.contains("1600"), "{said}");
}
