//! The types of the columns of VALUES: what PostgreSQL makes of all cells of a column, where constants, casts and parameters that a client
//! declared say of which type each one is. Knows no row but those that a statement writes.

use super::values_as_union::as_union;
use crate::dialect::ast::{call, cast, element_type, literal_text};
use crate::dialect::parameters::{Declared, declared_type, without_modifier};
use crate::dialect::planners::types::PgTypePlanner;
use crate::dialect::rewrite::expressions::calls::record;
use crate::dialect::rewrite::expressions::constants::{is_large, whole};
use datafusion::logical_expr::planner::TypePlanner as _;
use datafusion::sql::sqlparser::ast::{
    ArrayElemTypeDef, BinaryOperator, DataType, ExactNumberInfo, Expr, FunctionArg, FunctionArgExpr, FunctionArguments,
    Ident, ObjectName, SetExpr, TimezoneInfo, UnaryOperator, Value, Values,
};
use querygate_pg_catalog::common_type;
use querygate_query_api::column::PG_TYPE_KEY;
use querygate_types::{PgType, TypeCategory};

/// Columns of the VALUES in a query's body, unions included.
pub(in crate::dialect) fn type_body(body: &mut SetExpr, declared: &[Option<Declared>]) {
    match body {
        SetExpr::Values(values) => {
            for cell in values.rows.iter_mut().flat_map(|row| &mut row.content) {
                record(cell);
                type_fields(cell, declared);
            }
            type_columns(values, declared);
            if let Some(union) = as_union(values, declared) {
                *body = union;
            }
        }
        SetExpr::SetOperation { left, right, .. } => {
            type_body(left, declared);
            type_body(right, declared);
        }
        _ => {}
    }
}

/// Gives the cells of each column one type, where they say which.
pub(in crate::dialect) fn type_columns(values: &mut Values, declared: &[Option<Declared>]) {
    let width = values.rows.first().map_or(0, |row| row.len());
    for column in 0..width {
        let cells: Vec<&Expr> = values.rows.iter().filter_map(|row| row.content.get(column)).collect();
        let Some(data_type) = meeting(&cells, declared) else {
            if cells.len() > 1 {
                values.rows.iter_mut().filter_map(|row| row.content.get_mut(column)).for_each(without_name);
            }
            continue;
        };
        // A literal of an array becomes the array that it says, of which only a cast around it says the type.
        let spelled = element_type(&data_type).is_some() && !cells.iter().all(|cell| is_literal(cell));
        let unnamed = |cell: &Expr| is_parameter(cell) || spelled && is_flat_array(cell);
        for row in &mut values.rows {
            if let Some(cell) = row.content.get_mut(column) {
                let same =
                    matches!(&*cell, Expr::Cast { data_type: own, expr, .. } if *own == data_type && !unnamed(expr));
                if !same {
                    let old = std::mem::replace(cell, Expr::Value(Value::Null.with_empty_span()));
                    // The engine takes a cast right around a parameter for its type, and forgets the name of it.
                    let old = if unnamed(&old) { cast(old, data_type.clone()) } else { old };
                    *cell = cast(old, data_type.clone());
                }
            }
        }
    }
}

/// Whether a cell is a text in quotes or NULL, in a cast or not.
fn is_literal(cell: &Expr) -> bool {
    match cell {
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => is_literal(inner),
        Expr::Value(value) if value.value == Value::Null => true,
        other => literal_text(other).is_some(),
    }
}

/// Whether an expression is a literal of an array of one dimension; others are not cast to their type.
fn is_flat_array(expr: &Expr) -> bool {
    let items = literal_text(expr).and_then(|text| text.trim_start().strip_prefix('{'));
    items.is_some_and(|items| !items.trim_start().starts_with('{'))
}

/// Gives the fields of a row their types, as columns get them.
fn type_fields(cell: &mut Expr, declared: &[Option<Declared>]) {
    let Expr::Function(function) = cell else { return };
    if crate::dialect::rewrite::expressions::calls::unqualified(&function.name).as_deref() != Some("record_of") {
        return;
    }
    let FunctionArguments::List(list) = &mut function.args else { return };
    for field in &mut list.args {
        let FunctionArg::Unnamed(FunctionArgExpr::Expr(field)) = field else { continue };
        type_fields(field, declared);
        if let Some(data_type) = meeting(&[&*field], declared).filter(|_| !matches!(field, Expr::Cast { .. })) {
            let value = std::mem::replace(field, Expr::Value(Value::Null.with_empty_span()));
            *field = cast(value, data_type);
        }
    }
}

/// The engine wants the types of all cells to have one name or none; a subquery's and a column's have what the column is called, and
/// a row's is its own.
fn without_name(cell: &mut Expr) {
    let is_named = match &*cell {
        Expr::Subquery(_) | Expr::Identifier(_) | Expr::CompoundIdentifier(_) => true,
        Expr::Function(function) => {
            crate::dialect::rewrite::expressions::calls::unqualified(&function.name).as_deref() == Some("record_of")
        }
        _ => false,
    };
    if is_named {
        let value = std::mem::replace(cell, Expr::Value(Value::Null.with_empty_span()));
        *cell = call("coalesce", vec![value]);
    }
}

fn is_parameter(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(value) if matches!(value.value, Value::Placeholder(_)))
}

/// What a cell says of its type.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Says {
    /// NULL, a literal in quotes, a parameter without a declared type.
    Nothing,
    /// A constant.
    Plain(PgType),
    /// A cast, or what a client declared.
    Written(PgType, DataType),
    /// `ARRAY[…]` of elements of this type.
    Elements(PgType, DataType),
    /// An expression of some type.
    Something,
}

/// The type of all cells. `None`: the engine finds it, or none.
fn meeting(cells: &[&Expr], declared: &[Option<Declared>]) -> Option<DataType> {
    let said: Vec<Says> = cells.iter().map(|cell| says(cell, declared)).collect();
    if said.iter().any(|said| matches!(said, Says::Elements(..))) {
        return arrays(cells, &said);
    }
    let types: Vec<PgType> = said.iter().filter_map(pg_type).collect();
    let Some(category) = types.first().map(|first| first.category()) else {
        // Parameters without a declared type are texts, unless another cell is something.
        let texts = said.iter().all(|said| *said == Says::Nothing) && cells.iter().any(|cell| is_parameter(cell));
        return texts.then_some(DataType::Text);
    };
    if types.iter().any(|other| other.category() != category) {
        return None;
    }
    let common = common_type(types.iter().copied())?;
    let mut written = said.iter().filter_map(|said| match said {
        Says::Written(pg_type, data_type) => Some((*pg_type, data_type)),
        _ => None,
    });
    let open = said.contains(&Says::Something);
    let number = matches!(common, PgType::Int2 | PgType::Int4 | PgType::Int8 | PgType::Numeric);
    let Some((_, first)) = written.next() else {
        let unlike = || {
            let digits: Option<Vec<(u64, u64)>> =
                cells.iter().zip(&said).map(|(cell, said)| digits(cell, said)).collect();
            let is_read = |cell: &Expr| literal_text(cell).is_some() || is_parameter(cell);
            let texts = || digits.is_none() && cells.iter().any(|cell| is_read(cell));
            cells.iter().any(|cell| is_wide_number(cell)) || texts() || have_own_places(cells, digits.as_deref())
        };
        return (!open).then_some(common).and_then(plain).filter(|_| common != PgType::Numeric || unlike());
    };
    if open && number {
        return None;
    }
    if said.iter().all(|said| matches!(said, Says::Written(_, own) if own == first)) {
        return Some(first.clone());
    }
    if common == PgType::Numeric {
        let digits: Option<Vec<(u64, u64)>> = cells.iter().zip(&said).map(|(cell, said)| digits(cell, said)).collect();
        if have_own_places(cells, digits.as_deref()) {
            return Some(DataType::Numeric(ExactNumberInfo::None));
        }
        let digits = digits.map(|digits| {
            digits.iter().fold((1, 0), |(whole, places), (own, own_places)| (whole.max(*own), places.max(*own_places)))
        });
        // Where only values say how many places they have, each keeps its own.
        return match digits {
            Some((whole, places)) if whole + places <= 38 => {
                Some(DataType::Numeric(ExactNumberInfo::PrecisionAndScale(whole + places, i64::try_from(places).ok()?)))
            }
            Some(_) | None => Some(DataType::Numeric(ExactNumberInfo::None)),
        };
    }
    plain(common).or_else(|| {
        let mut same = said.iter().filter_map(|said| match said {
            // The name of an array's type has no form without the length of its members.
            Says::Written(pg_type, data_type @ DataType::Array(_)) if *pg_type == common => Some(data_type.clone()),
            // Another cell has another length, or none.
            Says::Written(pg_type, data_type) if *pg_type == common => Some(without_modifier(data_type)),
            _ => None,
        });
        same.next()
    })
}

/// The type of a column with constructors of arrays, beside literals of arrays or casts; alone they have one already.
fn arrays(cells: &[&Expr], said: &[Says]) -> Option<DataType> {
    let written = said.iter().any(|said| matches!(said, Says::Written(..)));
    if !written && !cells.iter().any(|cell| literal_text(cell).is_some()) {
        return None;
    }
    let mut elements: Vec<(PgType, DataType)> = Vec::with_capacity(said.len());
    for said in said {
        match said {
            Says::Elements(element, data_type) => elements.push((*element, data_type.clone())),
            Says::Written(array, data_type) => elements.push((array.element()?, element_type(data_type)?.clone())),
            Says::Nothing => {}
            Says::Plain(_) | Says::Something => return None,
        }
    }
    let element = common_element(elements)?;
    Some(DataType::Array(ArrayElemTypeDef::SquareBracket(Box::new(element.1), None)))
}

/// The type in which the elements of arrays meet. `None`: in none, or in one that is not written without a length.
fn common_element(elements: Vec<(PgType, DataType)>) -> Option<(PgType, DataType)> {
    let category = elements.first()?.0.category();
    if elements.iter().any(|(element, _)| element.category() != category) {
        return None;
    }
    let common = common_type(elements.iter().map(|(element, _)| *element))?;
    if let Some(data_type) = plain(common) {
        return Some((common, data_type));
    }
    let (_, data_type) = elements.into_iter().find(|(element, _)| *element == common)?;
    (without_modifier(&data_type) == data_type).then_some((common, data_type))
}

/// What a constructor of an array says: nothing of one with arrays in it.
fn constructed(elements: &[Expr], declared: &[Option<Declared>]) -> Says {
    let mut types = Vec::with_capacity(elements.len());
    for element in elements {
        match says(element, declared) {
            Says::Nothing if is_parameter(element) => return Says::Something,
            Says::Nothing => {}
            Says::Plain(pg_type) => match plain(pg_type) {
                Some(data_type) => types.push((pg_type, data_type)),
                None => return Says::Something,
            },
            Says::Written(pg_type, data_type) => types.push((pg_type, data_type)),
            Says::Elements(..) | Says::Something => return Says::Something,
        }
    }
    if types.is_empty() {
        return if elements.is_empty() { Says::Something } else { Says::Elements(PgType::Text, DataType::Text) };
    }
    common_element(types).map_or(Says::Something, |(element, data_type)| Says::Elements(element, data_type))
}

/// Whether a cell is a number that is a numeric of any width already.
fn is_wide_number(cell: &Expr) -> bool {
    match cell {
        Expr::Nested(inner) | Expr::UnaryOp { op: UnaryOperator::Plus | UnaryOperator::Minus, expr: inner } => {
            is_wide_number(inner)
        }
        Expr::Value(value) => matches!(&value.value, Value::Number(digits, _) if is_large(digits)),
        _ => false,
    }
}

/// Whether each value keeps its places, which a column of decimals does not have.
fn have_own_places(cells: &[&Expr], digits: Option<&[(u64, u64)]>) -> bool {
    let known = |cell: &Expr| !matches!(cell, Expr::Value(value) if value.value == Value::Null);
    let digits = digits.unwrap_or_default();
    let mut places = digits.iter().zip(cells).filter(|(_, cell)| known(cell)).map(|((_, places), _)| places);
    places.next().is_some_and(|first| places.any(|other| other != first))
}

pub(super) const fn pg_type(said: &Says) -> Option<PgType> {
    match said {
        Says::Plain(pg_type) | Says::Written(pg_type, _) => Some(*pg_type),
        Says::Nothing | Says::Elements(..) | Says::Something => None,
    }
}

pub(super) fn says(cell: &Expr, declared: &[Option<Declared>]) -> Says {
    if let Some(number) = whole(cell) {
        return Says::Plain(if i32::try_from(number).is_ok() { PgType::Int4 } else { PgType::Int8 });
    }
    match cell {
        Expr::Nested(inner) | Expr::UnaryOp { op: UnaryOperator::Plus | UnaryOperator::Minus, expr: inner } => {
            says(inner, declared)
        }
        Expr::Value(value) => match &value.value {
            Value::Number(..) => Says::Plain(PgType::Numeric),
            Value::Boolean(_) => Says::Plain(PgType::Bool),
            Value::Null => Says::Nothing,
            Value::Placeholder(name) => parameter(name, declared),
            _ if literal_text(cell).is_some() => Says::Nothing,
            _ => Says::Something,
        },
        Expr::Cast { data_type, .. } => written(data_type),
        Expr::TypedString(typed) => written(&typed.data_type),
        Expr::Array(array) => constructed(&array.elem, declared),
        Expr::Interval(_) => written(&DataType::Interval { fields: None, precision: None }),
        Expr::BinaryOp {
            left,
            op: BinaryOperator::Plus | BinaryOperator::Minus | BinaryOperator::Multiply | BinaryOperator::Modulo,
            right,
        } => match (pg_type(&says(left, declared)), pg_type(&says(right, declared))) {
            (Some(left), Some(right)) if is_integer(left) && is_integer(right) => {
                common_type([left, right]).map_or(Says::Something, Says::Plain)
            }
            _ => Says::Something,
        },
        _ => Says::Something,
    }
}

fn parameter(name: &str, declared: &[Option<Declared>]) -> Says {
    match declared_type(name, declared) {
        None => Says::Nothing,
        Some((_, Some(to))) => written(&to),
        Some((PgType::Interval, None)) => written(&DataType::Interval { fields: None, precision: None }),
        Some((PgType::Uuid, None)) => written(&DataType::Uuid),
        Some((
            own @ (PgType::Inet | PgType::Cidr | PgType::Macaddr | PgType::Macaddr8 | PgType::Bit | PgType::Varbit),
            None,
        )) => written(&DataType::Custom(ObjectName::from(vec![Ident::new(own.name())]), Vec::new())),
        Some((PgType::Json, None)) => written(&DataType::JSON),
        Some((PgType::Jsonb, None)) => written(&DataType::JSONB),
        Some((pg_type, None)) if pg_type.category() == TypeCategory::String || pg_type == PgType::Unknown => {
            Says::Nothing
        }
        Some((_, None)) => Says::Something,
    }
}

const fn is_integer(pg_type: PgType) -> bool {
    matches!(pg_type, PgType::Int2 | PgType::Int4 | PgType::Int8)
}

fn written(data_type: &DataType) -> Says {
    let field = PgTypePlanner.plan_type_field(data_type).ok().flatten();
    let pg_type = field.and_then(|field| field.metadata().get(PG_TYPE_KEY).and_then(|name| PgType::from_name(name)));
    pg_type.map_or(Says::Something, |pg_type| Says::Written(pg_type, data_type.clone()))
}

/// Digits before and after the point that a cell needs as a numeric.
fn digits(cell: &Expr, said: &Says) -> Option<(u64, u64)> {
    match said {
        Says::Nothing if matches!(cell, Expr::Value(value) if value.value == Value::Null) => Some((0, 0)),
        Says::Nothing => of_text(literal_text(cell)?),
        Says::Plain(PgType::Int2 | PgType::Int4) | Says::Written(PgType::Int2 | PgType::Int4, _) => Some((10, 0)),
        Says::Plain(PgType::Int8) | Says::Written(PgType::Int8, _) => Some((19, 0)),
        Says::Plain(_) => of_constant(cell),
        Says::Written(_, DataType::Numeric(digits) | DataType::Decimal(digits) | DataType::Dec(digits)) => match digits
        {
            ExactNumberInfo::None => of_constant(cell),
            ExactNumberInfo::Precision(precision) => Some((*precision, 0)),
            ExactNumberInfo::PrecisionAndScale(precision, scale) => {
                let scale = u64::try_from(*scale).ok()?;
                Some((precision.checked_sub(scale)?, scale))
            }
        },
        Says::Written(..) | Says::Elements(..) | Says::Something => None,
    }
}

/// The digits that a constant takes, in a cast or not.
fn of_constant(cell: &Expr) -> Option<(u64, u64)> {
    match cell {
        Expr::Nested(inner) | Expr::UnaryOp { expr: inner, .. } | Expr::Cast { expr: inner, .. } => of_constant(inner),
        Expr::TypedString(typed) => match &typed.value.value {
            Value::SingleQuotedString(text) => of_text(text),
            _ => None,
        },
        Expr::Value(value) => match &value.value {
            Value::Number(text, _) => of_text(text),
            Value::Null => Some((0, 0)),
            _ => of_text(literal_text(cell)?),
        },
        _ => None,
    }
}

fn of_text(text: &str) -> Option<(u64, u64)> {
    let text = text.trim().trim_start_matches(['-', '+']);
    let (whole, places) = text.split_once('.').unwrap_or((text, ""));
    let all_digits = !text.is_empty() && whole.bytes().chain(places.bytes()).all(|byte| byte.is_ascii_digit());
    all_digits.then_some(())?;
    Some((u64::try_from(whole.len()).ok()?, u64::try_from(places.len()).ok()?))
}

/// A type without a length or digits, as it is written.
pub(in crate::dialect) const fn plain(pg_type: PgType) -> Option<DataType> {
    Some(match pg_type {
        PgType::Bool => DataType::Boolean,
        PgType::Int2 => DataType::SmallInt(None),
        PgType::Int4 => DataType::Int(None),
        PgType::Int8 => DataType::BigInt(None),
        PgType::Float4 => DataType::Real,
        PgType::Float8 => DataType::DoublePrecision,
        PgType::Numeric => DataType::Numeric(ExactNumberInfo::None),
        PgType::Text => DataType::Text,
        PgType::Varchar => DataType::Varchar(None),
        PgType::Bytea => DataType::Bytea,
        PgType::Date => DataType::Date,
        PgType::Time => DataType::Time(None, TimezoneInfo::None),
        PgType::Timetz => DataType::Time(None, TimezoneInfo::Tz),
        PgType::Timestamp => DataType::Timestamp(None, TimezoneInfo::None),
        PgType::Timestamptz => DataType::Timestamp(None, TimezoneInfo::Tz),
        PgType::Interval => DataType::Interval { fields: None, precision: None },
        // Under the name that a statement gave it.
        _ => return None,
    })
}
