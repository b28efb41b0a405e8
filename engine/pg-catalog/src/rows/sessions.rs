//! Relations that show the session itself: `pg_settings`, `pg_stat_activity`, `pg_cursors`, `pg_prepared_statements`, and the copies of its
//! user. They are built at each scan.

use super::Fill;
use crate::cell::Cell;
use crate::layout::Rows;
use crate::objects::Objects;
use crate::session::SessionVars;
use chrono::{Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::OffsetComponents;
use chrono_tz::OffsetName;
use querygate_types::{Error, Result};

pub(super) fn fill(name: &str) -> Option<Fill> {
    Some(match name {
        "pg_settings" => settings,
        "pg_stat_activity" => activity,
        "pg_stat_database" => database,
        "pg_stat_database_conflicts" => database_conflicts,
        "pg_cursors" => cursors,
        "pg_prepared_statements" => prepared_statements,
        "pg_stat_progress_copy" => copies,
        "pg_stat_ssl" => encryption,
        "pg_stat_gssapi" => own_process,
        "pg_stat_archiver" | "pg_stat_bgwriter" | "pg_stat_recovery_prefetch" | "pg_stat_wal" => unknown_counters,
        "pg_timezone_names" => zones,
        "pg_timezone_abbrevs" => zone_abbreviations,
        _ => return None,
    })
}

fn settings(objects: &Objects, vars: &SessionVars, rows: &mut Rows) -> Result<()> {
    for s in &objects.image.settings {
        let value = vars.settings.get(&s.name.to_ascii_lowercase()).unwrap_or(&s.value);
        let source = if *value == s.value { "default" } else { "session" };
        rows.push(vec![
            ("name", (&s.name).into()),
            ("setting", value.into()),
            ("unit", s.unit.clone().into()),
            ("category", (&s.category).into()),
            ("short_desc", (&s.description).into()),
            ("context", (&s.context).into()),
            ("vartype", (&s.vartype).into()),
            ("source", source.into()),
            ("boot_val", (&s.value).into()),
            ("reset_val", (&s.value).into()),
            ("pending_restart", false.into()),
        ])?;
    }
    Ok(())
}

/// The own session only: others' are not this principal's business.
fn activity(objects: &Objects, vars: &SessionVars, rows: &mut Rows) -> Result<()> {
    let user = objects.role_by_name(&objects.image.user).map_or(0, |r| r.oid);
    rows.push(vec![
        ("datid", objects.database_oid.into()),
        ("datname", (&objects.image.database).into()),
        ("pid", vars.backend_pid.into()),
        ("usesysid", user.into()),
        ("usename", (&objects.image.user).into()),
        ("application_name", vars.settings.get("application_name").map_or("", String::as_str).into()),
        ("client_addr", vars.client_address.clone().into()),
        ("client_port", vars.client_port.into()),
        ("backend_start", Cell::Micros(vars.started_micros)),
        ("state", "active".into()),
        ("backend_type", "client backend".into()),
    ])
}

/// The own session counts; what PostgreSQL counts of transactions, blocks and rows is not known here.
fn database(objects: &Objects, _: &SessionVars, rows: &mut Rows) -> Result<()> {
    rows.push(vec![
        ("datid", objects.database_oid.into()),
        ("datname", (&objects.image.database).into()),
        ("numbackends", 1_i32.into()),
    ])
}

/// Of a standby, which the gate is not: its one database without counts.
fn database_conflicts(objects: &Objects, _: &SessionVars, rows: &mut Rows) -> Result<()> {
    rows.push(vec![("datid", objects.database_oid.into()), ("datname", (&objects.image.database).into())])
}

fn cursors(_: &Objects, vars: &SessionVars, rows: &mut Rows) -> Result<()> {
    for cursor in &vars.cursors {
        rows.push(vec![
            ("name", (&cursor.name).into()),
            ("statement", (&cursor.statement).into()),
            ("is_holdable", cursor.holdable.into()),
            ("is_binary", false.into()),
            ("is_scrollable", cursor.scrollable.into()),
            ("creation_time", Cell::Micros(cursor.created_micros)),
        ])?;
    }
    Ok(())
}

/// How often each has run by which kind of plan is not counted here.
fn prepared_statements(_: &Objects, vars: &SessionVars, rows: &mut Rows) -> Result<()> {
    for prepared in &vars.prepared {
        rows.push(vec![
            ("name", (&prepared.name).into()),
            ("statement", (&*prepared.statement).into()),
            ("prepare_time", Cell::Micros(prepared.prepared_micros)),
            ("parameter_types", prepared.parameter_types.clone().into()),
            ("from_sql", prepared.from_sql.into()),
        ])?;
    }
    Ok(())
}

/// The length of data that comes from a client is not known before its end.
fn copies(objects: &Objects, vars: &SessionVars, rows: &mut Rows) -> Result<()> {
    let count = |count: u64| Cell::Int(i64::try_from(count).unwrap_or(i64::MAX));
    for copy in &vars.copies {
        rows.push(vec![
            ("pid", copy.backend_pid.into()),
            ("datid", objects.database_oid.into()),
            ("datname", (&objects.image.database).into()),
            ("relid", objects.relation_in("public", &copy.table).map_or(0, |relation| relation.oid).into()),
            ("command", "COPY FROM".into()),
            ("type", "PIPE".into()),
            ("bytes_processed", count(copy.bytes)),
            ("bytes_total", 0_i32.into()),
            ("tuples_processed", count(copy.rows)),
            ("tuples_excluded", count(copy.skipped)),
        ])?;
    }
    Ok(())
}

/// One row, as in PostgreSQL, whose counters are unknown: they are of parts that a server has and the gate has not.
fn unknown_counters(_: &Objects, _: &SessionVars, rows: &mut Rows) -> Result<()> {
    rows.push(Vec::new())
}

/// Every zone with what holds there now.
fn zones(_: &Objects, _: &SessionVars, rows: &mut Rows) -> Result<()> {
    let now = Utc::now().naive_utc();
    for zone in chrono_tz::TZ_VARIANTS {
        let offset = zone.offset_from_utc_datetime(&now);
        let seconds = i64::from(offset.fix().local_minus_utc());
        rows.push(vec![
            ("name", zone.name().into()),
            ("abbrev", offset.abbreviation().unwrap_or_default().into()),
            ("utc_offset", Cell::Micros(seconds * 1_000_000)),
            ("is_dst", (offset.dst_offset() != TimeDelta::zero()).into()),
        ])?;
    }
    Ok(())
}

/// The abbreviations that PostgreSQL 15 reads by default.
fn zone_abbreviations(_: &Objects, _: &SessionVars, rows: &mut Rows) -> Result<()> {
    for line in include_str!("../../data/pg15/timezone_abbrevs.tsv").lines() {
        let mut fields = line.split('\t');
        let (Some(name), Some(seconds), Some(is_dst)) = (fields.next(), fields.next(), fields.next()) else { continue };
        let seconds: i64 = seconds.parse().map_err(Error::internal)?;
        rows.push(vec![
            ("abbrev", name.into()),
            ("utc_offset", Cell::Micros(seconds * 1_000_000)),
            ("is_dst", (is_dst == "t").into()),
        ])?;
    }
    Ok(())
}

/// The own connection, and whether it is encrypted; the door's version and cipher of TLS are not known here.
fn encryption(_: &Objects, vars: &SessionVars, rows: &mut Rows) -> Result<()> {
    let is_encrypted = vars.settings.get("ssl").is_some_and(|value| value == "on");
    rows.push(vec![("pid", vars.backend_pid.into()), ("ssl", is_encrypted.into())])
}

/// The own connection, which GSSAPI does not protect.
fn own_process(_: &Objects, vars: &SessionVars, rows: &mut Rows) -> Result<()> {
    rows.push(vec![("pid", vars.backend_pid.into())])
}

#[cfg(test)]
mod tests {
    use crate::objects::Objects;
    use crate::session::{NamedStatement, OpenCursor, SessionVars};
    use arrow::array::AsArray as _;

    #[test]
    fn cursors_of_the_session_are_listed() {
        let cursor = OpenCursor {
            name: "c".to_owned(),
            statement: "select 1".to_owned(),
            holdable: true,
            scrollable: true,
            created_micros: 1,
        };
        let vars = SessionVars { cursors: vec![cursor], ..SessionVars::default() };
        let objects = Objects::new(crate::image::CatalogImage::default(), crate::rows::exists);
        let batch = super::super::build(&objects, &vars, "pg_catalog", "pg_cursors").unwrap().unwrap();
        assert_eq!(batch.num_rows(), 1);
        assert_eq!(batch.column(0).as_string::<i32>().value(0), "c");
        assert!(batch.column(2).as_boolean().value(0));
        assert!(batch.column(4).as_boolean().value(0));
    }

    #[test]
    fn prepared_statements_of_the_session_are_listed() {
        let prepared = NamedStatement {
            name: "p".to_owned(),
            statement: "select $1".into(),
            prepared_micros: 1,
            parameter_types: vec![23, 25],
            from_sql: false,
        };
        let vars = SessionVars { prepared: vec![prepared], ..SessionVars::default() };
        let objects = Objects::new(crate::image::CatalogImage::default(), crate::rows::exists);
        let batch = super::super::build(&objects, &vars, "pg_catalog", "pg_prepared_statements").unwrap().unwrap();
        let text = |name: &str| batch.column_by_name(name).unwrap().as_string::<i32>().value(0).to_owned();
        assert_eq!((text("name"), text("statement")), ("p".to_owned(), "select $1".to_owned()));
        let types = batch.column_by_name("parameter_types").unwrap().as_list::<i32>().value(0);
        assert_eq!(types.as_primitive::<arrow::datatypes::UInt32Type>().values().to_vec(), [23, 25]);
        assert!(!batch.column_by_name("from_sql").unwrap().as_boolean().value(0));
    }

    /// It is the session's setting that tells.
    #[test]
    fn a_connection_is_encrypted_or_not() {
        let objects = Objects::new(crate::image::CatalogImage::default(), crate::rows::exists);
        for (value, expected) in [("on", true), ("off", false)] {
            let settings = [("ssl".to_owned(), value.to_owned())].into();
            let vars = SessionVars { settings, ..SessionVars::default() };
            let batch = super::super::build(&objects, &vars, "pg_catalog", "pg_stat_ssl").unwrap().unwrap();
            assert_eq!(batch.column_by_name("ssl").unwrap().as_boolean().value(0), expected, "{value}");
        }
    }
}
