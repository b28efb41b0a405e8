//! Operators of strings of bits, under the names of PostgreSQL's functions for them.

use super::call::form::{P, R, form};
use super::{Def, Value, strict};
use crate::casts::bits::{paired, shifted};

const TWO: &[P] = &[P::Text, P::Text];
const SHIFT: &[P] = &[P::Text, P::Int];

pub(super) const DEFS: &[Def] = &[
    strict("bitand", &[form(TWO, R::Bit, |r| Ok(Value::Text(paired("AND", r.text(0), r.text(1), |a, b| a && b)?)))]),
    strict("bitor", &[form(TWO, R::Bit, |r| Ok(Value::Text(paired("OR", r.text(0), r.text(1), |a, b| a || b)?)))]),
    strict("bitxor", &[form(TWO, R::Bit, |r| Ok(Value::Text(paired("XOR", r.text(0), r.text(1), |a, b| a != b)?)))]),
    strict("bitshiftleft", &[form(SHIFT, R::Bit, |r| Ok(Value::Text(shifted(r.text(0), r.int(1)))))]),
    strict("bitshiftright", &[form(SHIFT, R::Bit, |r| Ok(Value::Text(shifted(r.text(0), r.int(1).saturating_neg()))))]),
    strict("bitcat", &[form(TWO, R::Varbit, |r| Ok(Value::Text(format!("{}{}", r.text(0), r.text(1)))))]),
];
