//! `pg_database`, the roles (`pg_authid` and its faces), memberships. No password is in any of them.

use super::Fill;
use crate::cell::Cell;
use crate::layout::Rows;
use crate::names::OWNER;
use crate::objects::Objects;
use crate::session::SessionVars;
use querygate_types::Result;

pub(super) fn fill(name: &str) -> Option<Fill> {
    Some(match name {
        "pg_database" => databases,
        "pg_authid" => authorizations,
        "pg_roles" => roles,
        "pg_shadow" => users_without_passwords,
        "pg_user" => users,
        "pg_group" => groups,
        "pg_auth_members" => members,
        _ => return None,
    })
}

fn databases(objects: &Objects, _: &SessionVars, rows: &mut Rows) -> Result<()> {
    rows.push(vec![
        ("oid", objects.database_oid.into()),
        ("datname", (&objects.image.database).into()),
        ("datdba", OWNER.into()),
        ("encoding", Cell::Int(6)),
        ("datlocprovider", 'c'.into()),
        ("datallowconn", true.into()),
        ("datconnlimit", Cell::Int(-1)),
        ("dattablespace", Cell::Int(1663)),
        ("datcollate", "C.UTF-8".into()),
        ("datctype", "C.UTF-8".into()),
    ])
}

fn roles(objects: &Objects, _: &SessionVars, rows: &mut Rows) -> Result<()> {
    each_role(objects, &"********".into(), rows)
}

fn authorizations(objects: &Objects, _: &SessionVars, rows: &mut Rows) -> Result<()> {
    each_role(objects, &Cell::Null, rows)
}

fn each_role(objects: &Objects, password: &Cell, rows: &mut Rows) -> Result<()> {
    for role in &objects.roles {
        rows.push(vec![
            ("rolname", (&role.name).into()),
            ("rolsuper", role.superuser.into()),
            ("rolinherit", true.into()),
            ("rolcreaterole", false.into()),
            ("rolcreatedb", false.into()),
            ("rolcanlogin", role.login.into()),
            ("rolreplication", false.into()),
            ("rolconnlimit", Cell::Int(-1)),
            ("rolpassword", password.clone()),
            ("rolbypassrls", false.into()),
            ("oid", role.oid.into()),
        ])?;
    }
    Ok(())
}

fn users(objects: &Objects, _: &SessionVars, rows: &mut Rows) -> Result<()> {
    each_user(objects, &"********".into(), rows)
}

fn users_without_passwords(objects: &Objects, _: &SessionVars, rows: &mut Rows) -> Result<()> {
    each_user(objects, &Cell::Null, rows)
}

fn each_user(objects: &Objects, password: &Cell, rows: &mut Rows) -> Result<()> {
    for role in objects.roles.iter().filter(|r| r.login) {
        rows.push(vec![
            ("usename", (&role.name).into()),
            ("usesysid", role.oid.into()),
            ("usecreatedb", false.into()),
            ("usesuper", role.superuser.into()),
            ("userepl", false.into()),
            ("usebypassrls", false.into()),
            ("passwd", password.clone()),
        ])?;
    }
    Ok(())
}

fn groups(objects: &Objects, _: &SessionVars, rows: &mut Rows) -> Result<()> {
    for role in objects.roles.iter().filter(|r| !r.login) {
        let members = objects.roles.iter().filter(|m| m.member_of.contains(&role.oid)).map(|m| m.oid);
        rows.push(vec![
            ("groname", (&role.name).into()),
            ("grosysid", role.oid.into()),
            ("grolist", members.collect::<Vec<_>>().into()),
        ])?;
    }
    Ok(())
}

fn members(objects: &Objects, _: &SessionVars, rows: &mut Rows) -> Result<()> {
    for role in &objects.roles {
        for group in &role.member_of {
            rows.push(vec![
                ("roleid", (*group).into()),
                ("member", role.oid.into()),
                ("grantor", OWNER.into()),
                ("admin_option", false.into()),
            ])?;
        }
    }
    Ok(())
}
