//! Dates and time stamps without a zone beside some with one, of which an expression gives one: they are moments of the session's zone,
//! before what reads their parts looks at the type. DataFusion's common type has no zone.

use super::binding::settle_cast;
use crate::times::zone::Zone;
use arrow::datatypes::{DataType, Field};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::{Cast, Expr, ExprSchemable};
use std::sync::Arc;

/// Functions that give one of their arguments, or hold all of them in one type.
pub(super) const OF_ONE_TYPE: &[&str] = &["coalesce", "greatest", "least", "make_array"];

/// Casts what has no zone, where another side has one. Whether any was cast. The sides are settled.
pub(super) fn met(sides: Vec<&mut Expr>, schema: &DFSchema, zone: Zone) -> Result<bool> {
    let types: Vec<Option<DataType>> = sides.iter().map(|side| side.get_type(schema).ok()).collect();
    let is_zoned = |of: &&DataType| matches!(of, DataType::Timestamp(_, Some(_)));
    let Some(moment) = types.iter().flatten().find(is_zoned).cloned() else { return Ok(false) };
    let to = Arc::new(Field::new("", moment, true));
    let mut changed = false;
    for (side, of) in sides.into_iter().zip(&types) {
        if matches!(of, Some(DataType::Date32 | DataType::Timestamp(_, None))) {
            let cast = Cast { expr: Box::new(std::mem::take(side)), field: Arc::clone(&to) };
            *side = settle_cast(cast, schema, zone)?.data;
            changed = true;
        }
    }
    Ok(changed)
}
