//! Functions and operators of `inet` and `cidr`, under PostgreSQL's names of both.

use super::call::form::{Form, P, R, form};
use super::{Def, Row, Value, strict};
use crate::casts::networks::scalar;
use crate::fault::external;
use arrow::datatypes::{Field, FieldRef};
use datafusion::common::{Result, ScalarValue};
use querygate_query_api::column::{PG_TYPE_KEY, pg_type_of};
use querygate_query_api::values::network::NETWORK;
use querygate_types::network::{Family, Inet};
use querygate_types::{Error, ErrorCode, PgType};

const TWO: &[P] = &[P::Inet, P::Inet];

pub(super) const DEFS: &[Def] = &[
    strict("host", &[form(&[P::Inet], R::Text, |r| Ok(Value::Text(r.inet(0)?.host())))]),
    strict("masklen", &[form(&[P::Inet], R::Int4, |r| Ok(Value::Int(r.inet(0)?.bits.into())))]),
    strict("family", &[form(&[P::Inet], R::Int4, |r| Ok(Value::Int(r.inet(0)?.family.number().into())))]),
    strict("network", &[form(&[P::Inet], R::Cidr, |r| inet(r.inet(0)?.network()))]),
    strict("broadcast", &[form(&[P::Inet], R::Inet, |r| inet(broadcast(r.inet(0)?)))]),
    strict("netmask", &[form(&[P::Inet], R::Inet, |r| inet(mask(r.inet(0)?, false)))]),
    strict("hostmask", &[form(&[P::Inet], R::Inet, |r| inet(mask(r.inet(0)?, true)))]),
    strict("set_masklen", &[form(&[P::Inet, P::Int], R::By(own_type), with_prefix)]),
    strict("inet_same_family", &[form(TWO, R::Bool, |r| Ok(Value::Bool(r.inet(0)?.family == r.inet(1)?.family)))]),
    strict("inet_merge", &[form(TWO, R::Cidr, merged)]),
    strict("network_sub", SUB),
    strict("network_subeq", &[form(TWO, R::Bool, |r| Ok(Value::Bool(r.inet(1)?.contains_or_equals(r.inet(0)?))))]),
    strict("network_sup", SUP),
    strict("network_supeq", &[form(TWO, R::Bool, |r| Ok(Value::Bool(r.inet(0)?.contains_or_equals(r.inet(1)?))))]),
    strict(
        "network_overlap",
        &[form(TWO, R::Bool, |r| {
            let (left, right) = (r.inet(0)?, r.inet(1)?);
            Ok(Value::Bool(left.contains_or_equals(right) || right.contains_or_equals(left)))
        })],
    ),
    strict("inetpl", &[form(&[P::Inet, P::Int], R::Inet, |r| moved(r.inet(0)?, r.int(1).into()))]),
    strict("inetmi_int8", &[form(&[P::Inet, P::Int], R::Inet, |r| moved(r.inet(0)?, -i128::from(r.int(1))))]),
    strict("inetmi", DISTANCE),
    strict("inetand", &[form(TWO, R::Inet, |r| paired(r, "AND", |a, b| a & b))]),
    strict("inetor", &[form(TWO, R::Inet, |r| paired(r, "OR", |a, b| a | b))]),
];

const SUB: &[Form] = &[form(TWO, R::Bool, |r| {
    let (left, right) = (r.inet(0)?, r.inet(1)?);
    Ok(Value::Bool(right.contains_or_equals(left) && right.bits < left.bits))
})];

const SUP: &[Form] = &[form(TWO, R::Bool, |r| {
    let (left, right) = (r.inet(0)?, r.inet(1)?);
    Ok(Value::Bool(left.contains_or_equals(right) && left.bits < right.bits))
})];

const DISTANCE: &[Form] = &[form(TWO, R::Int8, |r| {
    let (left, right) = (r.inet(0)?, r.inet(1)?);
    same_family("subtract", left, right)?;
    let distance = number(left).wrapping_sub(number(right)).cast_signed();
    // Of two addresses of IPv6 the distance may be beyond both.
    let wrapped = (distance < 0) != (number(left) < number(right));
    match i64::try_from(distance) {
        Ok(distance) if !wrapped => Ok(Value::Int(distance)),
        _ => Err(out_of_range()),
    }
})];

fn inet(address: Inet) -> Result<Value> {
    Ok(Value::Any(scalar(address)))
}

fn broadcast(of: Inet) -> Inet {
    let mut address = of.address;
    for (byte, mask) in address.iter_mut().zip(of.mask()) {
        *byte |= !mask;
    }
    of.with_address(address, of.bits)
}

fn mask(of: Inet, of_host: bool) -> Inet {
    let mask = of.mask().map(|byte| if of_host { !byte } else { byte });
    of.with_address(mask, of.family.width())
}

fn own_type(args: &[FieldRef], _: &[Option<&ScalarValue>]) -> Result<Field> {
    let is_cidr = args.first().is_some_and(|of| pg_type_of(of) == PgType::Cidr);
    let name = if is_cidr { "cidr" } else { "inet" };
    Ok(Field::new("", NETWORK, true).with_metadata([(PG_TYPE_KEY.to_owned(), name.to_owned())].into()))
}

/// −1 stands for the whole address. A `cidr` has no bits behind its prefix.
fn with_prefix(r: &Row<'_>) -> Result<Value> {
    let (of, bits) = (r.inet(0)?, r.int(1));
    let wanted = if bits == -1 { Some(of.family.width()) } else { u8::try_from(bits).ok() };
    match wanted.filter(|bits| *bits <= of.family.width()) {
        Some(bits) if r.pg_type(0) == Some("cidr") => inet(Inet { bits, ..of }.network()),
        Some(bits) => inet(Inet { bits, ..of }),
        None => {
            let message = format!("invalid mask length: {bits}");
            Err(external(Error::new(ErrorCode::InvalidParameterValue, message)))
        }
    }
}

/// The smallest network that holds both.
fn merged(r: &Row<'_>) -> Result<Value> {
    let (left, right) = (r.inet(0)?, r.inet(1)?);
    if left.family != right.family {
        let message = "cannot merge addresses from different families";
        return Err(external(Error::new(ErrorCode::InvalidParameterValue, message)));
    }
    let most = left.bits.min(right.bits);
    let common = (0..=most).rev().find(|bits| {
        let cut = |of: Inet| Inet { bits: *bits, ..of }.network();
        cut(left) == cut(right)
    });
    inet(Inet { bits: common.unwrap_or(0), ..left }.network())
}

fn number(of: Inet) -> u128 {
    let all = u128::from_be_bytes(of.address);
    match of.family {
        Family::V4 => all >> 96,
        Family::V6 => all,
    }
}

fn moved(of: Inet, by: i128) -> Result<Value> {
    let beyond = match of.family {
        Family::V4 => Some(1_u128 << 32),
        Family::V6 => None,
    };
    let moved = number(of).checked_add_signed(by).filter(|moved| beyond.is_none_or(|beyond| *moved < beyond));
    let moved = moved.ok_or_else(out_of_range)?;
    let address = match of.family {
        Family::V4 => moved << 96,
        Family::V6 => moved,
    };
    inet(Inet { address: address.to_be_bytes(), ..of })
}

fn paired(r: &Row<'_>, word: &str, pair: fn(u8, u8) -> u8) -> Result<Value> {
    let (left, right) = (r.inet(0)?, r.inet(1)?);
    same_family(word, left, right)?;
    let mut address = left.address;
    for (byte, other) in address.iter_mut().zip(right.address) {
        *byte = pair(*byte, other);
    }
    inet(left.with_address(address, left.bits.max(right.bits)))
}

fn same_family(word: &str, left: Inet, right: Inet) -> Result<()> {
    if left.family == right.family {
        return Ok(());
    }
    let message = format!("cannot {word} inet values of different sizes");
    Err(external(Error::new(ErrorCode::InvalidParameterValue, message)))
}

fn out_of_range() -> datafusion::common::DataFusionError {
    external(Error::new(ErrorCode::NumericOutOfRange, "result is out of range"))
}
