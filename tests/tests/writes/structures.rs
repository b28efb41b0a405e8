//! Fields whose values are structures, which SQL knows as jsonb: their shape is looked at whichever door they come by.

use crate::servers::ask;
use querygate_tests::server::Shop;

const STACK: &str = r#"
manifest: { id: com.example.desk, namespace: desk, version: 1.0.0, type: app, name: Desk, engines: { protocol: "^17" } }
datasources:
  - { name: shop, driver: sqlite, config: {}, schemaMode: external, external: { allowWrites: true } }
objects:
  - name: desk_sites
    label: Site
    datasource: shop
    external: { remoteName: sites, writable: true }
    sharingModel: public_read_write
    access: { default: private }
    systemFields: false
    fields:
      id: { type: text, required: true }
      place: { type: location }
      home: { type: address }
permissions:
  - name: desk_all
    label: Everything
    objects:
      desk_sites: { allowRead: true, allowCreate: true, allowEdit: true, allowDelete: true, viewAllRecords: true, modifyAllRecords: true }
"#;

#[test]
fn structures_are_written_by_sql() {
    let rows = "CREATE TABLE sites(id text primary key not null, place text, home text)";
    let shop = Shop::new(STACK, &[("nora", "permission_sets = [\"desk_all\"]")], rows);
    let nora = shop.client("nora");
    for sql in [
        r#"INSERT INTO sites (id, place) VALUES ('a', '{"lat":1.5,"lng":2.5}')"#,
        r#"INSERT INTO sites (id, place, home) VALUES ('b', jsonb_build_object('lat', 1.5, 'lng', 2.5), '{"city":"Bern"}'::jsonb)"#,
        "INSERT INTO sites (id, place) SELECT 'c', place FROM sites WHERE id = 'a'",
        r#"UPDATE sites SET home = '{"city":"Wien"}' WHERE id = 'a'"#,
    ] {
        ask(&nora, sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
    let stored = shop.stored("SELECT id || coalesce(home ->> 'city', '-') || (place ->> 'lng') FROM sites ORDER BY id");
    assert_eq!(stored, ["aWien2.5", "bBern2.5", "c-2.5"]);
    for (sql, said) in [
        (r#"INSERT INTO sites (id, place) VALUES ('d', '{"lat":1}')"#, "expected number, received undefined"),
        (r#"UPDATE sites SET place = '{"lat":1,"lng":2,"zoom":3}' WHERE id = 'a'"#, "Unrecognized key"),
        (r#"UPDATE sites SET home = '"Bern"' WHERE id = 'a'"#, "expected object, received string"),
    ] {
        let (_, text) = ask(&nora, sql).unwrap_err();
        assert!(text.contains(said), "{sql}: {text}");
    }
}
