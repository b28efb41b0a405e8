//! Attacks through catalogs and statistics: they describe what the reader sees, as if nothing else were there.

use crate::duel::{Duel, assert_silent};
use querygate_tests::harness::{Company, Fixture, Layout, TestGate};
use querygate_types::principal::Principal;
use serde_json::json;

/// Every relation of a schema, as the schema itself lists them.
fn relations(d: &Duel, schema: &str) -> Vec<String> {
    let sql = format!(
        "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = '{schema}' AND c.relkind IN ('r', 'v')"
    );
    let answer = d.iris.run(&sql);
    answer.table().iter().map(|row| row[0].clone().unwrap()).collect()
}

/// Relations that tell of the asking session, whose number is drawn.
fn is_of_the_session(relation: &str) -> bool {
    matches!(relation, "pg_stat_activity" | "pg_stat_gssapi" | "pg_stat_ssl" | "pg_prepared_statements")
}

#[test]
fn pg_catalog_is_the_one_of_the_reduced_copy() {
    Duel::each(|d| {
        let names = relations(d, "pg_catalog");
        assert!(names.len() > 30, "{names:?}");
        for name in names.iter().filter(|name| !is_of_the_session(name)) {
            d.same(&format!("SELECT * FROM pg_catalog.{name}"));
        }
    });
}

#[test]
fn information_schema_is_the_one_of_the_reduced_copy() {
    Duel::each(|d| {
        let names = relations(d, "information_schema");
        assert!(names.len() > 10, "{names:?}");
        for name in &names {
            d.same(&format!("SELECT * FROM information_schema.{name}"));
        }
        let columns = d.iris.run("SELECT column_name FROM information_schema.columns WHERE table_name = 'employees'");
        assert_eq!(columns.table().len(), 11, "{columns}");
    });
}

#[test]
fn statistics_tell_no_number_of_hidden_rows() {
    Duel::each(|d| {
        for sql in [
            "SELECT relname, reltuples, relpages FROM pg_class WHERE relname IN ('employees', 'reviews', 'payroll')",
            "SELECT * FROM pg_stats",
            "SELECT * FROM pg_stats WHERE tablename = 'employees'",
            "SELECT * FROM pg_statistic",
            "SELECT * FROM pg_stat_user_tables",
            "SELECT * FROM pg_stat_all_tables WHERE relname = 'employees'",
            "SELECT * FROM pg_statio_user_tables",
            "SELECT attname, n_distinct, most_common_vals, histogram_bounds FROM pg_stats",
            "SELECT attname, attnum, attstattarget FROM pg_attribute WHERE attrelid = 'employees'::regclass",
        ] {
            d.same(sql);
        }
        let numbers = d
            .iris
            .run("SELECT attnum FROM pg_attribute WHERE attrelid = 'employees'::regclass AND attnum > 0 ORDER BY 1");
        let numbers: Vec<_> = numbers.table().iter().map(|row| row[0].clone().unwrap()).collect();
        let whole: Vec<String> = (1..=numbers.len()).map(|n| n.to_string()).collect();
        assert_eq!(numbers, whole, "a gap tells of a hidden column");
    });
}

/// The same metadata over other hidden rows.
fn more_hidden_rows() -> Fixture {
    let mut fixture = Company::fixture();
    let employees = fixture.tables.iter_mut().find(|t| t.object == "hr_employees").unwrap();
    for n in 0..300 {
        let row = json!({"id": format!("x{n}"), "name": format!("hX9{n}"), "salary": n, "zone_code": "zone-s"});
        employees.rows.push(row.as_object().unwrap().clone());
    }
    fixture
}

#[test]
fn names_of_indexes_count_no_hidden_ones() {
    let mut fixture = Company::fixture();
    let objects = fixture.stack["objects"].as_array_mut().unwrap();
    let employees = objects.iter_mut().find(|object| object["name"] == "hr_employees").unwrap();
    employees["indexes"] =
        json!([{"fields": ["secret_code"]}, {"fields": ["secret_code", "name"]}, {"fields": ["name"]}]);
    let gate = TestGate::new(&fixture, Layout::Memory);
    let names = |principal: Principal| {
        let sql = "SELECT indexname FROM pg_indexes WHERE indexname LIKE 'employees\\_%\\_idx%' ORDER BY 1";
        let answer = gate.client(&principal).run(sql);
        answer.table().iter().map(|row| row[0].clone().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(names(Company::admin()).len(), 3);
    assert_eq!(names(Company::analyst()), ["employees_name_idx0"]);
}

#[test]
fn no_catalog_changes_with_the_number_of_hidden_rows() {
    for layout in Layout::ALL {
        let d = Duel::new(layout);
        let many = TestGate::new(&more_hidden_rows(), layout);
        let iris = many.client(&Company::analyst());
        for schema in ["pg_catalog", "information_schema"] {
            for name in relations(&d, schema).iter().filter(|name| !is_of_the_session(name)) {
                let sql = format!("SELECT * FROM {schema}.{name}");
                assert_eq!(d.iris.run(&sql).sorted().text(), iris.run(&sql).sorted().text(), "{layout:?} {sql}");
            }
        }
        for sql in [
            "SELECT * FROM querygate.objects",
            "SELECT * FROM querygate.policies_effective",
            "SELECT * FROM querygate.sources",
        ] {
            assert_eq!(d.iris.run(sql).sorted().text(), iris.run(sql).sorted().text(), "{layout:?} {sql}");
        }
    }
}

#[test]
fn system_tables_show_only_ones_own() {
    Duel::each(|d| {
        let ada = d.company.ada();
        assert_eq!(ada.run("SELECT * FROM employees WHERE note = 'hX9-literal'").table().len(), 0);
        assert_eq!(ada.run("SELECT * FROM payroll").table().len(), 2);
        let tables = [
            "queries",
            "fragments",
            "sources",
            "objects",
            "policies_effective",
            "sessions",
            "settings",
            "audit",
            "self_checks",
            "schema_changes",
        ];
        for table in tables {
            let answer = d.iris.run(&format!("SELECT * FROM querygate.{table}"));
            assert!(answer.code().is_none(), "{table}: {answer}");
            assert_silent("", &answer.text());
            assert!(!answer.text().contains("ada"), "{table}: {answer}");
        }
        for sql in [
            "SELECT * FROM pg_stat_activity",
            "SELECT * FROM pg_prepared_statements",
            "SELECT * FROM pg_cursors",
            "SELECT * FROM pg_locks",
            "SELECT * FROM pg_stat_statements",
        ] {
            let answer = d.iris.run(sql);
            assert_silent(sql, &answer.text());
            assert!(!answer.text().contains("ada"), "{sql}: {answer}");
        }
        let other = d.iris.run("SELECT count(*) FROM querygate.queries WHERE login <> 'iris'");
        assert_eq!(other.table()[0][0].as_deref(), Some("0"));
    });
}

#[test]
fn roles_and_policies_of_the_catalog_tell_nothing() {
    Duel::each(|d| {
        for sql in [
            "SELECT * FROM pg_policies",
            "SELECT * FROM pg_policy",
            "SELECT * FROM pg_roles",
            "SELECT * FROM pg_user",
            "SELECT * FROM pg_authid",
            "SELECT * FROM pg_shadow",
            "SELECT relrowsecurity, relforcerowsecurity FROM pg_class WHERE relname = 'employees'",
            "SELECT relnatts, relacl FROM pg_class WHERE relname = 'employees'",
            "SELECT * FROM pg_constraint",
            "SELECT * FROM pg_index",
            "SELECT * FROM pg_description",
            "SELECT * FROM pg_depend",
        ] {
            d.same(sql);
        }
    });
}
