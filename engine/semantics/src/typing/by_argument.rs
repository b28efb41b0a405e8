//! Functions that are others for what they are given: of bytes, of strings of bits, of times of day. Knows no row.

use super::told_jsonb::is_value;
use crate::casts::bits::is_bits;
use crate::casts::conversions::named;
use crate::fault::external;
use crate::functions;
use crate::times::interval_length::INTERVAL;
use crate::times::zone::Zone;
use arrow::datatypes::{DataType, Field};
use datafusion::common::{DFSchema, Result};
use datafusion::functions_nested::expr_fn::array_element;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Cast, Expr, ExprSchemable, lit};
use querygate_query_api::column::PG_TYPE_KEY;
use querygate_query_api::values::timetz::TimeTz;
use querygate_types::{Error, ErrorCode, PgType};
use std::sync::Arc;

/// What a call is by its arguments; the call itself where it is what its name says.
///
/// # Errors
/// 42883 for a function of bytes that has a string of bits.
pub(super) fn called(mut call: ScalarFunction, schema: &DFSchema) -> Result<std::result::Result<Expr, ScalarFunction>> {
    let of_bits = |call: &ScalarFunction| {
        call.args.first().is_some_and(|of| of.to_field(schema).is_ok_and(|(_, field)| is_bits(&field)))
    };
    let of_bytes = |call: &ScalarFunction| call.args.first().is_some_and(|of| is_bytes(of, schema));
    let cuts_time = |call: &ScalarFunction| {
        call.args.get(1).is_some_and(|of| of.get_type(schema).is_ok_and(|of| matches!(of, DataType::Time64(_))))
    };
    let ours = |name: &str| functions::in_zone(name, Zone::UTC);
    let other = match call.name() {
        // They would take the digits for bytes.
        name @ ("get_bit" | "set_bit" | "bit_count") if of_bits(&call) => {
            let message = format!("function {name}(bit) does not exist");
            return Err(external(Error::new(ErrorCode::UndefinedFunction, message)));
        }
        // A string of bits is a text of as many characters.
        name @ ("bit_length" | "octet_length") if of_bits(&call) => {
            let octets = name == "octet_length";
            let length = datafusion::functions::unicode::character_length().call(std::mem::take(&mut call.args));
            Some(if octets { (length + lit(7)) / lit(8) } else { length })
        }
        // As text, a bytea would be as long as its digits.
        "character_length" if of_bytes(&call) => ours("octet_length").map(|length| length.call(call.args.clone())),
        // Their names mean two functions: of texts the engine's, which sources know, of bytes ours.
        "substring_of" if of_bytes(&call) => ours("bytea_substring").map(|part| part.call(call.args.clone())),
        "substring_of" => {
            let mut args = std::mem::take(&mut call.args);
            args.iter_mut().skip(1).for_each(|place| *place = widened(std::mem::take(place), schema));
            Some(datafusion::functions::unicode::substr().call(args))
        }
        "position_of" if of_bytes(&call) => ours("bytea_position").map(|place| place.call(call.args.clone())),
        "position_of" => Some(datafusion::functions::unicode::strpos().call(call.args.clone())),
        // The engine compares items as they are stored.
        "array_position" if has_keys(&call.args, schema) => {
            ours("array_positions").map(|places| array_element(places.call(call.args.clone()), lit(1_i64)))
        }
        // A time of day is an interval to it.
        "date_trunc" if cuts_time(&call) => {
            if let Some(of) = call.args.get_mut(1) {
                *of = as_interval(std::mem::take(of));
            }
            Some(Expr::ScalarFunction(call.clone()))
        }
        _ => None,
    };
    Ok(other.ok_or(call))
}

/// A smallint as an integer: the engine's function of places has no smallint, and Postgres's has integers only.
fn widened(place: Expr, schema: &DFSchema) -> Expr {
    if place.get_type(schema).is_ok_and(|of| of == DataType::Int16) {
        return Expr::Cast(Cast::new(Box::new(place), DataType::Int32));
    }
    place
}

/// Whether an array, which is searched for the other argument, has items that are equal by a key: jsonb, intervals, zeros of either sign.
fn has_keys(args: &[Expr], schema: &DFSchema) -> bool {
    let [array, value] = args else { return false };
    let is_keyed = |array: &Expr| match array.get_type(schema) {
        Ok(DataType::List(item)) => *item.data_type() == INTERVAL || item.data_type().is_floating(),
        _ => false,
    };
    let holds_jsonb = |array: &Expr| match array {
        Expr::ScalarFunction(made) if made.name() == "make_array" => {
            made.args.iter().any(|item| is_value(item, schema))
        }
        other => other.to_field(schema).is_ok_and(|(_, field)| named(&field) == Some(PgType::JsonbArray.name())),
    };
    is_keyed(array) || is_value(value, schema) || holds_jsonb(array)
}

fn as_interval(time: Expr) -> Expr {
    let named = [(PG_TYPE_KEY.to_owned(), PgType::Interval.name().to_owned())].into();
    let field = Arc::new(Field::new("", INTERVAL, true).with_metadata(named));
    Expr::Cast(Cast { expr: Box::new(time), field })
}

fn is_bytes(expr: &Expr, schema: &DFSchema) -> bool {
    expr.get_type(schema).is_ok_and(|t| {
        t != TimeTz::ARROW && matches!(t, DataType::Binary | DataType::BinaryView | DataType::FixedSizeBinary(_))
    })
}
