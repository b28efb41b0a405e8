//! Functions of numerics of any width. Operators on them are calls of these.

use super::call::form::{P, R, form};
use super::{Def, Row, Value, strict};
use crate::fault::external;
use crate::numbers::wide::nearest_double;
use crate::times::zone::Zone;
use arrow::array::AsArray;
use datafusion::common::Result;
use querygate_resources::proceed;
use querygate_types::numeric::{Numeric, ordered_key};

pub(super) const ONE: &[P] = &[P::Wide];
pub(super) const TWO: &[P] = &[P::Wide, P::Wide];

pub(super) const DEFS: &[Def] = &[
    strict("numeric_plus", &[form(TWO, R::Wide, |r| two(r, Numeric::plus))]),
    strict("numeric_minus", &[form(TWO, R::Wide, |r| two(r, Numeric::minus))]),
    strict("numeric_times", &[form(TWO, R::Wide, |r| two(r, Numeric::times))]),
    strict("numeric_over", &[form(TWO, R::Wide, |r| two(r, Numeric::over))]),
    // Of a sum and a count, which is 0 only beside no sum.
    strict("numeric_average", &[form(TWO, R::By(|_, _| Ok(nearest_double("avg"))), |r| two(r, Numeric::over))]),
    strict("numeric_modulo", &[form(TWO, R::Wide, |r| two(r, Numeric::modulo))]),
    strict("numeric_power", &[form(TWO, R::Wide, |r| two(r, Numeric::power))]),
    strict("numeric_negated", &[form(ONE, R::Wide, |r| Ok(Value::Wide(r.wide(0)?.negated())))]),
    strict("numeric_abs", &[form(ONE, R::Wide, |r| Ok(Value::Wide(r.wide(0)?.abs())))]),
    strict("numeric_sqrt", &[form(ONE, R::Wide, |r| one(r, Numeric::sqrt))]),
    strict("numeric_exp", &[form(ONE, R::Wide, |r| one(r, Numeric::exp))]),
    strict("numeric_ln", &[form(ONE, R::Wide, |r| one(r, Numeric::ln))]),
    strict(
        "numeric_log",
        &[
            form(ONE, R::Wide, |r| one(r, |of| of.log(&Numeric::from(10)))),
            form(TWO, R::Wide, |r| two(r, |base, of| of.log(base))),
        ],
    ),
    strict("numeric_gcd", &[form(TWO, R::Wide, |r| two(r, Numeric::gcd))]),
    strict("numeric_lcm", &[form(TWO, R::Wide, |r| two(r, Numeric::lcm))]),
    strict(
        "numeric_factorial",
        &[form(&[P::Int], R::Wide, |r| {
            proceed()?;
            Numeric::factorial(r.int(0)).map(Value::Wide).map_err(external)
        })],
    ),
    // The bytes by which values are compared; equal ones have equal bytes.
    strict(
        "numeric_key",
        &[form(ONE, R::Bytea, |r| {
            let (values, row) = r.array(0);
            Ok(Value::Bytes(match values.as_binary_opt::<i64>() {
                Some(cells) => ordered_key(cells.value(row)).to_vec(),
                None => ordered_key(&r.wide(0)?.to_cell()).to_vec(),
            }))
        })],
    ),
];

/// Bytes of a number with which computing takes long: more than 1,000 digits.
const LARGE: usize = 500;

/// An argument; before each large one it is asked whether the statement is over.
fn argument(row: &Row<'_>, arg: usize) -> Result<Numeric> {
    let value = row.wide(arg)?;
    if value.size() > LARGE {
        proceed()?;
    }
    Ok(value)
}

pub(super) fn one(row: &Row<'_>, of: impl FnOnce(&Numeric) -> querygate_types::Result<Numeric>) -> Result<Value> {
    of(&argument(row, 0)?).map(Value::Wide).map_err(external)
}

pub(super) fn two(
    row: &Row<'_>,
    of: impl FnOnce(&Numeric, &Numeric) -> querygate_types::Result<Numeric>,
) -> Result<Value> {
    of(&argument(row, 0)?, &argument(row, 1)?).map(Value::Wide).map_err(external)
}

/// The key of a value, as a function.
pub(crate) fn key() -> Option<std::sync::Arc<datafusion::logical_expr::ScalarUDF>> {
    super::in_zone("numeric_key", Zone::UTC)
}
