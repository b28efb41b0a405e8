//! Values and names that a client of Flight hands on: they become what they become through SQL.

use crate::python::script_at;
use querygate_tests::server::{PASSWORD, Shop, flight_python};

const KINDS: &str = r#"
manifest: { id: com.example.desk, namespace: desk, version: 1.0.0, type: app, name: Desk, engines: { protocol: "^17" } }
datasources:
  - { name: shop, driver: sqlite, config: {}, schemaMode: external, external: { allowWrites: true } }
objects:
  - name: desk_kinds
    label: Kind
    datasource: shop
    external: { remoteName: kinds, writable: true }
    sharingModel: public_read_write
    access: { default: private }
    systemFields: false
    fields:
      id: { type: text, required: true }
      words: { type: text }
      weight: { type: number }
      size: { type: rating }
      money: { type: currency, precision: 18, scale: 2 }
      day: { type: date }
      moment: { type: datetime }
      clock: { type: time }
      ready: { type: boolean }
permissions:
  - name: desk_all
    label: Everything
    objects:
      desk_kinds: { allowRead: true, allowCreate: true, allowEdit: true, allowDelete: true, viewAllRecords: true, modifyAllRecords: true }
"#;

/// Each Arrow type into each column: by ingestion, and by an INSERT of the same expression, in two zones. The same is stored, or
/// refused with the same code. Names of options and catalogs are names, not SQL.
#[test]
fn adbc_ingests_what_insert_takes_and_hands_names_on_as_they_are() {
    let Some(python) = flight_python() else {
        assert!(std::env::var_os("CI").is_none(), "python3 with venv and pip must be there in CI");
        eprintln!("SKIPPED: Python clients of Flight absent");
        return;
    };
    let rows = "CREATE TABLE kinds(id text primary key not null, words text, weight double, size int4, money decimal_int(18,2), day date_text, \
                moment timestamptz_text, clock time_text, ready boolean_int)";
    let shop = Shop::new(KINDS, &[("ada", "permission_sets = [\"desk_all\"]")], rows);
    let text = r#"
import sys, datetime, decimal, re
import adbc_driver_flightsql.dbapi as flight
import pyarrow as pa
from adbc_driver_manager import DatabaseOptions, Error
login = {DatabaseOptions.USERNAME.value: "ada", DatabaseOptions.PASSWORD.value: sys.argv[2]}
connection = flight.connect(f"grpc://127.0.0.1:{sys.argv[1]}", db_kwargs=login, autocommit=True)
cursor = connection.cursor()
moment = datetime.datetime(2024, 7, 1, 12, 0, 0, 500000)
utc = moment.replace(tzinfo=datetime.timezone.utc)
cases = [
    (pa.array([7], pa.int8()), "7::smallint"), (pa.array([300], pa.int16()), "300::smallint"),
    (pa.array([70000], pa.int32()), "70000::integer"), (pa.array([5000000000], pa.int64()), "5000000000::bigint"),
    (pa.array([200], pa.uint8()), "200::smallint"), (pa.array([4000000000], pa.uint32()), "4000000000::bigint"),
    (pa.array([18446744073709551615], pa.uint64()), "18446744073709551615::numeric"),
    (pa.array([2.5], pa.float64()), "2.5::float8"), (pa.array([0.1], pa.float32()), "0.1::real"),
    (pa.array([1e300], pa.float64()), "1e300::float8"),
    (pa.array([decimal.Decimal("12.345")], pa.decimal128(10, 3)), "12.345::numeric(10,3)"),
    (pa.array([datetime.date(2024, 2, 29)], pa.date32()), "DATE '2024-02-29'"),
    (pa.array([datetime.time(23, 59, 58)], pa.time64("us")), "TIME '23:59:58'"),
    (pa.array([moment], pa.timestamp("us")), "TIMESTAMP '2024-07-01 12:00:00.5'"),
    (pa.array([moment], pa.timestamp("ms")), "TIMESTAMP '2024-07-01 12:00:00.5'"),
    (pa.array([utc], pa.timestamp("us", "UTC")), "TIMESTAMPTZ '2024-07-01 12:00:00.5+00'"),
    (pa.array([utc], pa.timestamp("ns", "Asia/Tokyo")), "TIMESTAMPTZ '2024-07-01 12:00:00.5+00'"),
    (pa.array([True], pa.bool_()), "true"), (pa.array(["words"], pa.string()), "'words'::text"),
    (pa.array(["words"], pa.large_string()), "'words'::text"), (pa.array([b"ab"], pa.binary()), "'ab'::bytea"),
    (pa.array([None], pa.null()), "NULL"),
]
def done(what):
    try: what()
    except Error as error:
        code = re.search(r"SQLSTATE (\w+)", str(error))
        return code.group(1) if code else str(error)
    return "stored"
# A statement of the driver that was refused while it ingested goes on to ingest: each has its own.
def ingest(table, **names):
    with connection.cursor() as own: return own.adbc_ingest("kinds", table, mode="append", **names)
def read(key, column):
    cursor.execute(f"SELECT {column}::text FROM kinds WHERE id = '{key}'")
    return cursor.fetchall()
differences, stored, number = [], 0, 0
for zone in ["UTC", "Europe/Berlin"]:
    cursor.execute(f"SET TimeZone = '{zone}'")
    for column in ["words", "weight", "size", "money", "day", "moment", "clock", "ready"]:
        for array, expression in cases:
            number += 1
            table = pa.table({"id": pa.array([f"i{number}"]), column: array})
            ingested = done(lambda: ingest(table))
            inserted = done(lambda: cursor.execute(f"INSERT INTO kinds (id, {column}) SELECT 's{number}', {expression}"))
            one, other = (ingested, read(f"i{number}", column)), (inserted, read(f"s{number}", column))
            stored += ingested == "stored"
            if one != other: differences.append((zone, column, str(array.type), one, other))
assert not differences, "\n".join(map(str, differences))
assert stored > 100, stored
# A moment without a zone as a parameter is one of the session's zone too.
cursor.execute("INSERT INTO kinds (id, moment) VALUES ('p', $1)", parameters=pa.table({"1": pa.array([moment], pa.timestamp("us"))}).to_batches()[0])
cursor.execute("SELECT moment = TIMESTAMP '2024-07-01 12:00:00.5' FROM kinds WHERE id = 'p'")
assert cursor.fetchone() == (True,)
# Names.
assert connection.adbc_current_catalog == "shop", connection.adbc_current_catalog
for name in ["public", "information_schema", "public"]:
    connection.adbc_current_db_schema = name
    assert connection.adbc_current_db_schema == name, connection.adbc_current_db_schema
    connection.adbc_current_db_schema = connection.adbc_current_db_schema
    assert connection.adbc_current_db_schema == name, connection.adbc_current_db_schema
connection.adbc_current_catalog = connection.adbc_current_catalog
catalog = connection.adbc_get_objects(depth="catalogs").read_all().to_pylist()[0]["catalog_name"]
one = lambda key: pa.table({"id": [key]})
assert ingest(one("c1"), catalog_name=catalog) == 1
assert ingest(one("c2"), catalog_name=catalog, db_schema_name="public") == 1
for names in [{"catalog_name": "other"}, {"catalog_name": "other", "db_schema_name": "public"}]:
    try: ingest(one("c3"), **names)
    except Error as error: assert "SQLSTATE 0A000" in str(error) and "other" in str(error), error
    else: raise AssertionError(names)
"#;
    assert!(script_at(python, shop.flight(), text, &[PASSWORD]).is_some());
}
