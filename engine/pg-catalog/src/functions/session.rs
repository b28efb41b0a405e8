//! `version`, `current_database`, `current_setting` and what else tells of server and session.

use super::names::flag;
use super::{Call, Definition, lenient, of_session, strict};
use crate::cell::Cell;
use querygate_types::{Error, ErrorCode, Result};

pub(super) const FUNCTIONS: &[Definition] = &[
    strict("version", 0, 0, "text", |c, _| Ok((&c.catalog.image().version_text).into())),
    strict("current_database", 0, 0, "name", |c, _| Ok((&c.catalog.image().database).into())),
    strict("current_catalog", 0, 0, "name", |c, _| Ok((&c.catalog.image().database).into())),
    strict("current_user", 0, 0, "name", user),
    strict("session_user", 0, 0, "name", user),
    strict("user", 0, 0, "name", user),
    strict("current_role", 0, 0, "name", user),
    strict("getpgusername", 0, 0, "name", user),
    strict("current_schema", 0, 0, "name", |c, _| {
        Ok(c.path().into_iter().find(|s| *s != "pg_catalog" && !is_temporary(s)).map(str::to_owned).into())
    }),
    strict("current_schemas", 1, 1, "_name", |c, args| {
        let implicit = flag(args, 0);
        let declared = c.vars.search_path.as_ref().unwrap_or(&c.catalog.image().search_path);
        let named = declared.iter().any(|s| s == "pg_catalog");
        let told = |s: &&str| implicit || if *s == "pg_catalog" { named } else { !is_temporary(s) };
        Ok(c.path().into_iter().filter(told).collect::<Vec<_>>().into())
    }),
    of_session(strict("pg_backend_pid", 0, 0, "int4", |c, _| Ok(c.vars.backend_pid.into()))),
    of_session(strict("current_setting", 1, 2, "text", current_setting)),
    of_session(lenient("set_config", 3, 3, "text", set_config)),
    of_session(strict("pg_postmaster_start_time", 0, 0, "timestamptz", |c, _| Ok(Cell::Micros(c.vars.started_micros)))),
    of_session(strict("pg_conf_load_time", 0, 0, "timestamptz", |c, _| Ok(Cell::Micros(c.vars.started_micros)))),
    strict("pg_is_in_recovery", 0, 0, "bool", no),
    strict("pg_is_wal_replay_paused", 0, 0, "bool", no),
    strict("pg_my_temp_schema", 0, 0, "oid", |c, _| {
        let own = c.path().into_iter().find(|schema| is_temporary(schema));
        let own = own.and_then(|schema| c.catalog.objects.schema_by_name(schema));
        Ok(Cell::Int(own.map_or(0, |schema| i64::from(schema.oid))))
    }),
    strict("pg_is_other_temp_schema", 1, 1, "bool", no),
    strict("getdatabaseencoding", 0, 0, "name", |_, _| Ok("UTF8".into())),
    strict("pg_client_encoding", 0, 0, "name", |_, _| Ok("UTF8".into())),
    strict("pg_encoding_to_char", 1, 1, "name", |_, args| Ok(encoding_name(args).into())),
    strict("pg_char_to_encoding", 1, 1, "int4", |_, args| Ok(encoding_number(args).into())),
    strict("pg_encoding_max_length", 1, 1, "int4", |_, args| {
        Ok(if args == [Cell::Int(6)] { Cell::Int(4) } else { Cell::Int(1) })
    }),
    strict("inet_server_addr", 0, 0, "text", nothing),
    strict("inet_server_port", 0, 0, "int4", nothing),
    of_session(strict("inet_client_addr", 0, 0, "text", |c, _| Ok(c.vars.client_address.clone().into()))),
    of_session(strict("inet_client_port", 0, 0, "int4", |c, _| Ok(c.vars.client_port.into()))),
    of_session(strict("pg_cancel_backend", 1, 1, "bool", cancel_backend)),
    // Advisory locks block their own functions alone.
    strict("pg_blocking_pids", 1, 1, "_int4", |_, _| Ok(Cell::List(Vec::new()))),
    // Nothing writes, so no sequence has given a number, and no transaction has one of its own: a count of them would tell
    // each session what others do.
    of_session(strict("lastval", 0, 0, "int8", |_, _| {
        Err(Error::new(ErrorCode::ObjectNotInPrerequisiteState, "lastval is not yet defined in this session"))
    })),
    strict("txid_current", 0, 0, "int8", |_, _| Ok(Cell::Int(1_000))),
    strict("txid_current_snapshot", 0, 0, "text", |_, _| Ok("1000:1000:".into())),
    strict("pg_current_snapshot", 0, 0, "text", |_, _| Ok("1000:1000:".into())),
    strict("txid_snapshot_xmin", 1, 1, "int8", |_, _| Ok(Cell::Int(1_000))),
    strict("txid_snapshot_xmax", 1, 1, "int8", |_, _| Ok(Cell::Int(1_000))),
    strict("pg_snapshot_xmin", 1, 1, "int8", |_, _| Ok(Cell::Int(1_000))),
    strict("pg_snapshot_xmax", 1, 1, "int8", |_, _| Ok(Cell::Int(1_000))),
    strict("txid_current_if_assigned", 0, 0, "int8", nothing),
    strict("pg_current_xact_id_if_assigned", 0, 0, "int8", nothing),
    of_session(strict("setseed", 1, 1, "void", |_, _| Ok("".into()))),
    strict("pg_replication_origin_session_is_setup", 0, 0, "bool", no),
    strict("pg_jit_available", 0, 0, "bool", no),
    strict("pg_trigger_depth", 0, 0, "int4", |_, _| Ok(Cell::Int(0))),
];

/// Whether a schema is that of a session's temporary tables, which is searched first and is none of the declared ones.
fn is_temporary(schema: &str) -> bool {
    schema.starts_with("pg_temp_")
}

fn user(call: &Call<'_>, _: &[Cell]) -> Result<Cell> {
    Ok((&call.catalog.image().user).into())
}

pub(super) fn no(_: &Call<'_>, _: &[Cell]) -> Result<Cell> {
    Ok(false.into())
}

pub(super) fn nothing(_: &Call<'_>, _: &[Cell]) -> Result<Cell> {
    Ok(Cell::Null)
}

fn current_setting(call: &Call<'_>, args: &[Cell]) -> Result<Cell> {
    let Some(Cell::Text(name)) = args.first() else { return Ok(Cell::Null) };
    let wanted = name.to_ascii_lowercase();
    if let Some(value) = call.vars.settings.get(&wanted) {
        return Ok(value.into());
    }
    let known = call.catalog.image().settings.iter().find(|s| s.name.eq_ignore_ascii_case(name));
    match known {
        Some(setting) => Ok((&setting.value).into()),
        None if flag(args, 1) => Ok(Cell::Null),
        None => Err(Error::new(ErrorCode::UndefinedObject, format!("unrecognized configuration parameter \"{name}\""))),
    }
}

/// Changes a setting through the session's own rules; without a session to change it is refused, never ignored.
fn set_config(call: &Call<'_>, args: &[Cell]) -> Result<Cell> {
    let (Some(Cell::Text(name)), value) = (args.first(), args.get(1)) else {
        return Err(Error::new(ErrorCode::InvalidParameterValue, "SET requires parameter name"));
    };
    if matches!(name.to_ascii_lowercase().as_str(), "role" | "session_authorization") {
        return Err(Error::new(
            ErrorCode::InsufficientPrivilege,
            format!("permission denied to set parameter \"{name}\""),
        ));
    }
    let Some(writer) = &call.vars.writer else {
        return Err(
            Error::new(ErrorCode::FeatureNotSupported, "set_config is not supported here").with_hint("Use SET.")
        );
    };
    let value = match value {
        Some(Cell::Text(text)) => Some(text.as_str()),
        _ => None,
    };
    writer.0.set(name, value, flag(args, 2)).map(Into::into)
}

/// Ends what another session runs. Of one that the caller may not end is said what is said of one that there is not.
fn cancel_backend(call: &Call<'_>, args: &[Cell]) -> Result<Cell> {
    let (Some(writer), Some(Cell::Int(id))) = (&call.vars.writer, args.first()) else { return Ok(false.into()) };
    Ok(writer.0.cancel(*id).into())
}

/// PostgreSQL's encodings, by their numbers.
const ENCODINGS: [&str; 42] = [
    "SQL_ASCII",
    "EUC_JP",
    "EUC_CN",
    "EUC_KR",
    "EUC_TW",
    "EUC_JIS_2004",
    "UTF8",
    "MULE_INTERNAL",
    "LATIN1",
    "LATIN2",
    "LATIN3",
    "LATIN4",
    "LATIN5",
    "LATIN6",
    "LATIN7",
    "LATIN8",
    "LATIN9",
    "LATIN10",
    "WIN1256",
    "WIN1258",
    "WIN866",
    "WIN874",
    "KOI8R",
    "WIN1251",
    "WIN1252",
    "ISO_8859_5",
    "ISO_8859_6",
    "ISO_8859_7",
    "ISO_8859_8",
    "WIN1250",
    "WIN1253",
    "WIN1254",
    "WIN1255",
    "WIN1257",
    "KOI8U",
    "SJIS",
    "BIG5",
    "GBK",
    "UHC",
    "GB18030",
    "JOHAB",
    "SHIFT_JIS_2004",
];

fn encoding_name(args: &[Cell]) -> &'static str {
    let Some(Cell::Int(number)) = args.first() else { return "" };
    usize::try_from(*number).ok().and_then(|number| ENCODINGS.get(number)).copied().unwrap_or_default()
}

fn encoding_number(args: &[Cell]) -> i32 {
    let Some(Cell::Text(name)) = args.first() else { return -1 };
    let plain = |name: &str| name.to_ascii_uppercase().replace(['-', '_'], "");
    let wanted = match plain(name).as_str() {
        "UNICODE" => "UTF8".to_owned(),
        "ISO88591" => "LATIN1".to_owned(),
        own => own.to_owned(),
    };
    let place = ENCODINGS.iter().position(|name| plain(name) == wanted);
    place.and_then(|place| i32::try_from(place).ok()).unwrap_or(-1)
}
