//! The items that a path finds. In lax mode arrays are wrapped and unwrapped as a step needs it and what is missing is not found; in
//! strict mode both are errors.

use super::{Comparison, Expr, Like, Method, Path, Predicate, Step};
use crate::fault::external;
use crate::functions::PathExpression;
use crate::json::path::equal;
use crate::json::print::normal;
use crate::json::tree::{Json, Node};
use crate::numbers::numeric::{parse as parse_numeric, rescaled};
use datafusion::common::DataFusionError;
use querygate_resources::proceed;
use querygate_types::{Error, ErrorCode};
use std::borrow::Cow;
use std::cmp::Ordering;
use std::rc::Rc;

/// Pairs that are compared between two questions whether the statement is over.
const PAIRS_UNASKED: usize = 64;
/// Items that one step may find.
const ITEMS_MAX: usize = 1_000_000;

/// What evaluation gives, where it can be given: an error of the path itself is `Err(Wrong::Path)`, which `silent` hides.
pub(crate) enum Wrong {
    Path(&'static str),
    Other(DataFusionError),
}

pub(crate) type Found<T> = std::result::Result<T, Wrong>;

impl From<DataFusionError> for Wrong {
    fn from(error: DataFusionError) -> Self {
        Self::Other(error)
    }
}

impl Wrong {
    /// Whether it is an error that `silent` hides.
    pub(crate) const fn is_of_path(&self) -> bool {
        matches!(self, Self::Path(_))
    }

    pub(crate) fn error(self) -> DataFusionError {
        match self {
            Self::Path(message) => external(Error::new(ErrorCode::DataException, message)),
            Self::Other(error) => error,
        }
    }
}

#[derive(Clone, Copy)]
struct Scope<'a> {
    path: &'a Path,
    root: &'a Node,
    variables: &'a Node,
    current: Option<&'a Node>,
    last: Option<usize>,
}

/// A part of the value that is looked at, or a scalar that was computed.
pub(crate) type Item<'a> = Cow<'a, Node>;

/// The items that a path finds in a value.
pub(crate) fn find<'a>(path: &'a Path, root: &'a Node, variables: &'a Node) -> Found<Vec<Item<'a>>> {
    items(&path.root, &Scope { path, root, variables, current: None, last: None })
}

/// The answer of a path that is a predicate; `None` is unknown.
pub(crate) fn matches(path: &Path, root: &Node, variables: &Node) -> Found<Option<bool>> {
    let found = find(path, root, variables)?;
    match found.as_slice() {
        [item] => match &item.value {
            Json::Bool(answer) => Ok(Some(*answer)),
            Json::Null => Ok(None),
            _ => Err(Wrong::Path("single boolean result is expected")),
        },
        _ => Err(Wrong::Path("single boolean result is expected")),
    }
}

fn scalar<'a>(value: Json) -> Item<'a> {
    Cow::Owned(value.node())
}

/// The elements of an array in the value.
fn elements_of<'a>(item: &Item<'a>) -> Option<&'a [Node]> {
    match item {
        Cow::Borrowed(Node { value: Json::Array(elements), .. }) => Some(elements),
        Cow::Borrowed(_) | Cow::Owned(_) => None,
    }
}

/// The members of an object in the value.
fn members_of<'a>(item: &Item<'a>) -> Option<&'a [(String, Node)]> {
    match item {
        Cow::Borrowed(Node { value: Json::Object(members), .. }) => Some(members),
        Cow::Borrowed(_) | Cow::Owned(_) => None,
    }
}

fn items<'a>(expr: &Expr, scope: &Scope<'a>) -> Found<Vec<Item<'a>>> {
    Ok(vec![match expr {
        Expr::Root => Cow::Borrowed(scope.root),
        Expr::Current => match scope.current {
            Some(current) => Cow::Borrowed(current),
            None => return Err(Wrong::Path("@ is not allowed in root expressions")),
        },
        Expr::Last => match scope.last {
            Some(last) => scalar(Json::Number(last.to_string())),
            None => return Err(Wrong::Path("LAST is allowed only in array subscripts")),
        },
        Expr::Variable(name) => variable(name, scope.variables)?,
        Expr::Text(text) => scalar(Json::String(text.clone())),
        Expr::Number(text) => Cow::Owned(normal(Json::Number(text.clone()).node())),
        Expr::Bool(value) => scalar(Json::Bool(*value)),
        Expr::Null => scalar(Json::Null),
        Expr::Predicate(predicate) => scalar(holds(predicate, scope)?.map_or(Json::Null, Json::Bool)),
        Expr::Sign(sign, of) => {
            let wrong = Wrong::Path("operand of unary jsonpath operator is not a numeric value");
            let values: Option<Vec<f64>> =
                unwrapped(items(of, scope)?, scope)?.iter().map(|item| number(item)).collect();
            let values = values.ok_or(wrong)?;
            return values.into_iter().map(|value| written(if *sign == '-' { -value } else { value })).collect();
        }
        Expr::Arithmetic(sign, left, right) => arithmetic(*sign, left, right, scope)?,
        Expr::Step(of, step) => {
            let mut found = Vec::new();
            for item in items(of, scope)? {
                proceed()?;
                take(&item, step, scope, true, &mut found)?;
            }
            return Ok(found);
        }
    }])
}

fn variable<'a>(name: &str, variables: &'a Node) -> Found<Item<'a>> {
    let Json::Object(members) = &variables.value else {
        return Err(Wrong::Path("\"vars\" argument is not an object"));
    };
    match members.iter().rev().find(|(key, _)| key == name) {
        Some((_, value)) => Ok(Cow::Borrowed(value)),
        None => {
            let message = format!("could not find jsonpath variable \"{name}\"");
            Err(Wrong::Other(external(Error::new(ErrorCode::UndefinedObject, message))))
        }
    }
}

fn arithmetic<'a>(sign: char, left: &Expr, right: &Expr, scope: &Scope<'_>) -> Found<Item<'a>> {
    let single = |expr: &Expr| -> Found<f64> {
        let found = unwrapped(items(expr, scope)?, scope)?;
        let value = if let [item] = found.as_slice() { number(item) } else { None };
        value.ok_or(Wrong::Path("operand of jsonpath operator is not a single numeric value"))
    };
    let (a, b) = (single(left)?, single(right)?);
    if matches!(sign, '/' | '%') && b == 0.0 {
        return Err(Wrong::Path("division by zero"));
    }
    written(match sign {
        '+' => a + b,
        '-' => a - b,
        '*' => a * b,
        '/' => a / b,
        _ => a % b,
    })
}

/// In lax mode, the elements of arrays in their place.
fn unwrapped<'a>(items: Vec<Item<'a>>, scope: &Scope<'_>) -> Found<Vec<Item<'a>>> {
    if scope.path.strict {
        return Ok(items);
    }
    let mut found = Vec::with_capacity(items.len());
    for item in items {
        proceed()?;
        match elements_of(&item) {
            Some(elements) => elements.iter().try_for_each(|element| add(Cow::Borrowed(element), &mut found))?,
            None => add(item, &mut found)?,
        }
    }
    Ok(found)
}

/// Adds an item, where there are not too many.
fn add<'a>(item: Item<'a>, found: &mut Vec<Item<'a>>) -> Found<()> {
    if found.len() >= ITEMS_MAX {
        let error = Error::new(ErrorCode::ProgramLimitExceeded, "a jsonpath finds too many items");
        return Err(Wrong::Other(external(error)));
    }
    found.push(item);
    Ok(())
}

/// What a step finds in an item. `unwrap`: an array that is no object may still be taken apart.
fn take<'a>(item: &Item<'a>, step: &Step, scope: &Scope<'a>, unwrap: bool, found: &mut Vec<Item<'a>>) -> Found<()> {
    let lax = !scope.path.strict;
    let by_element = matches!(step, Step::Member(_) | Step::AnyMember | Step::Filter(_))
        || matches!(step, Step::Method(method) if !matches!(method, Method::Type | Method::Size));
    if let (Some(elements), true, true, true) = (elements_of(item), lax, unwrap, by_element) {
        return elements.iter().try_for_each(|element| take(&Cow::Borrowed(element), step, scope, false, found));
    }
    match step {
        Step::Member(key) => match members_of(item) {
            Some(members) => match members.iter().rev().find(|(own, _)| own == key) {
                Some((_, value)) => add(Cow::Borrowed(value), found),
                None if lax => Ok(()),
                None => Err(Wrong::Path("JSON object does not contain the key of a jsonpath")),
            },
            None if lax => Ok(()),
            None => Err(Wrong::Path("jsonpath member accessor can only be applied to an object")),
        },
        Step::AnyMember => match members_of(item) {
            Some(members) => members.iter().try_for_each(|(_, value)| add(Cow::Borrowed(value), found)),
            None if lax => Ok(()),
            None => Err(Wrong::Path("jsonpath wildcard member accessor can only be applied to an object")),
        },
        Step::AnyElement => match elements_of(item) {
            Some(elements) => elements.iter().try_for_each(|element| add(Cow::Borrowed(element), found)),
            None if lax => add(item.clone(), found),
            None => Err(Wrong::Path("jsonpath wildcard array accessor can only be applied to an array")),
        },
        Step::Elements(places) => elements(item, places, scope, found),
        Step::Descend(from, to) => descend(item, 0, (*from, *to), found),
        Step::Filter(predicate) => {
            let inner = Scope { current: Some(item.as_ref()), ..*scope };
            if holds(predicate, &inner)? == Some(true) { add(item.clone(), found) } else { Ok(()) }
        }
        Step::Method(method) => add(call(item, *method, scope)?, found),
    }
}

fn elements<'a>(
    item: &Item<'a>,
    places: &[(Expr, Option<Expr>)],
    scope: &Scope<'a>,
    found: &mut Vec<Item<'a>>,
) -> Found<()> {
    let elements = elements_of(item);
    if elements.is_none() && scope.path.strict {
        return Err(Wrong::Path("jsonpath array accessor can only be applied to an array"));
    }
    // To lax mode a scalar is an array of one.
    let length = elements.map_or(1, <[Node]>::len);
    let inner = Scope { last: Some(length.saturating_sub(1)), ..*scope };
    let place = |expr: &Expr| -> Found<i64> {
        let value = match items(expr, &inner)?.as_slice() {
            [one] => number(one),
            _ => None,
        };
        #[expect(clippy::cast_possible_truncation, reason = "bounded before")]
        let place = value.filter(|v| v.abs() < 1e9).map(|v| v.trunc() as i64);
        place.ok_or(Wrong::Path("jsonpath array subscript is not a single numeric value"))
    };
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    for (from, to) in places {
        let from = place(from)?;
        let to = to.as_ref().map_or(Ok(from), &place)?;
        if scope.path.strict && (from < 0 || from > to || to >= length) {
            return Err(Wrong::Path("jsonpath array subscript is out of bounds"));
        }
        for at in from.max(0)..=to.min(length - 1) {
            let at = usize::try_from(at).unwrap_or(usize::MAX);
            match elements {
                Some(elements) => {
                    if let Some(element) = elements.get(at) {
                        add(Cow::Borrowed(element), found)?;
                    }
                }
                None => add(item.clone(), found)?,
            }
        }
    }
    Ok(())
}

/// Everything within an item whose level is wanted; `None` is the level of what has nothing in it.
fn descend<'a>(
    item: &Item<'a>,
    level: u32,
    wanted: (Option<u32>, Option<u32>),
    found: &mut Vec<Item<'a>>,
) -> Found<()> {
    proceed()?;
    let inner: Vec<&'a Node> = match (elements_of(item), members_of(item)) {
        (Some(elements), _) => elements.iter().collect(),
        (_, Some(members)) => members.iter().map(|(_, value)| value).collect(),
        (None, None) => Vec::new(),
    };
    let (from, to) = wanted;
    let reached = from.map_or(inner.is_empty(), |from| level >= from);
    if reached && to.is_none_or(|to| level <= to) {
        add(item.clone(), found)?;
    }
    if to.is_none_or(|to| level < to) {
        for item in inner {
            descend(&Cow::Borrowed(item), level + 1, wanted, found)?;
        }
    }
    Ok(())
}

fn call<'a>(item: &Item<'_>, method: Method, scope: &Scope<'_>) -> Found<Item<'a>> {
    let numeric = || number(item).ok_or(Wrong::Path("jsonpath item method can only be applied to a numeric value"));
    Ok(match method {
        Method::Type => scalar(Json::String(item.value.type_name().to_owned())),
        Method::Size => match elements_of(item) {
            Some(elements) => scalar(Json::Number(elements.len().to_string())),
            None if !scope.path.strict => scalar(Json::Number("1".to_owned())),
            None => return Err(Wrong::Path("jsonpath item method .size() can only be applied to an array")),
        },
        Method::Double => {
            let value = match &item.value {
                Json::String(text) => text.trim().parse::<f64>().ok(),
                _ => number(item),
            };
            let value = value.filter(|value| value.is_finite());
            written(value.ok_or(Wrong::Path("argument of jsonpath item method .double() is no number"))?)?
        }
        Method::Ceiling => written(numeric()?.ceil())?,
        Method::Floor => written(numeric()?.floor())?,
        Method::Abs => written(numeric()?.abs())?,
    })
}

/// Whether a predicate holds; `None` is unknown.
fn holds(predicate: &Predicate, scope: &Scope<'_>) -> Found<Option<bool>> {
    proceed()?;
    Ok(match predicate {
        Predicate::And(a, b) => match holds(a, scope)? {
            Some(false) => Some(false),
            first => match holds(b, scope)? {
                Some(false) => Some(false),
                second => first.and(second),
            },
        },
        Predicate::Or(a, b) => match holds(a, scope)? {
            Some(true) => Some(true),
            first => match holds(b, scope)? {
                Some(true) => Some(true),
                second => first.and(second),
            },
        },
        Predicate::Not(inner) => holds(inner, scope)?.map(|holds| !holds),
        Predicate::IsUnknown(inner) => Some(holds(inner, scope)?.is_none()),
        Predicate::Exists(expr) => silent(items(expr, scope))?.map(|items| !items.is_empty()),
        Predicate::Compare(comparison, left, right) => {
            pairs(left, right, scope, |a, b| Ok(compared(*comparison, a, b)))?
        }
        Predicate::StartsWith(of, with) => pairs(of, with, scope, |a, b| match (&a.value, &b.value) {
            (Json::String(text), Json::String(start)) => Ok(Some(text.starts_with(start.as_str()))),
            _ => Ok(None),
        })?,
        Predicate::Like(like) => {
            let none = Expr::Null;
            pairs(&like.of, &none, scope, |item, _| match &item.value {
                Json::String(text) => Ok(Some(expression(like)?.is_match(text)?)),
                _ => Ok(None),
            })?
        }
    })
}

/// The expression, compiled once for all texts.
fn expression(like: &Like) -> Found<&PathExpression> {
    if let Some(compiled) = like.compiled.get() {
        return Ok(compiled);
    }
    let compiled = Rc::new(PathExpression::new(&like.pattern, &like.flags)?);
    Ok(like.compiled.get_or_init(|| compiled))
}

/// An error of a path is unknown in a predicate.
fn silent<T>(found: Found<T>) -> Found<Option<T>> {
    match found {
        Ok(value) => Ok(Some(value)),
        Err(Wrong::Path(_)) => Ok(None),
        Err(other) => Err(other),
    }
}

/// Whether any pair of items is so. In strict mode one pair that cannot be told makes all unknown.
fn pairs(
    left: &Expr,
    right: &Expr,
    scope: &Scope<'_>,
    test: impl Fn(&Node, &Node) -> Found<Option<bool>>,
) -> Found<Option<bool>> {
    let (Some(left), Some(right)) = (silent(items(left, scope))?, silent(items(right, scope))?) else {
        return Ok(None);
    };
    let (left, right) = (unwrapped(left, scope)?, unwrapped(right, scope)?);
    let (mut unknown, mut any) = (false, false);
    for a in &left {
        for (place, b) in right.iter().enumerate() {
            if place % PAIRS_UNASKED == 0 {
                proceed()?;
            }
            match test(a, b)? {
                None if scope.path.strict => return Ok(None),
                None => unknown = true,
                Some(true) if !scope.path.strict => return Ok(Some(true)),
                Some(answer) => any |= answer,
            }
        }
    }
    Ok(if any {
        Some(true)
    } else if unknown {
        None
    } else {
        Some(false)
    })
}

fn compared(comparison: Comparison, a: &Node, b: &Node) -> Option<bool> {
    let order = match (&a.value, &b.value) {
        (Json::Null, Json::Null) => Ordering::Equal,
        // Null is unlike everything else, and neither less nor greater.
        (Json::Null, _) | (_, Json::Null) => return Some(comparison == Comparison::NotEqual),
        (Json::Number(_), Json::Number(_)) => {
            if equal(a, b) {
                Ordering::Equal
            } else {
                unequal(number(a)?, number(b)?, a, b)?
            }
        }
        (Json::String(a), Json::String(b)) => a.cmp(b),
        (Json::Bool(a), Json::Bool(b)) if matches!(comparison, Comparison::Equal | Comparison::NotEqual) => a.cmp(b),
        _ => return None,
    };
    Some(match comparison {
        Comparison::Equal => order.is_eq(),
        Comparison::NotEqual => order.is_ne(),
        Comparison::Less => order.is_lt(),
        Comparison::LessOrEqual => order.is_le(),
        Comparison::Greater => order.is_gt(),
        Comparison::GreaterOrEqual => order.is_ge(),
    })
}

/// The order of two numbers that are not equal, which doubles may not tell apart.
fn unequal(a: f64, b: f64, left: &Node, right: &Node) -> Option<Ordering> {
    let order = a.partial_cmp(&b)?;
    if order.is_ne() {
        return Some(order);
    }
    let exact = |node: &Node| match &node.value {
        Json::Number(text) => parse_numeric(text),
        _ => None,
    };
    let ((a, a_places), (b, b_places)) = (exact(left)?, exact(right)?);
    let places = a_places.max(b_places);
    Some(rescaled(a, a_places, places)?.cmp(&rescaled(b, b_places, places)?))
}

fn number(node: &Node) -> Option<f64> {
    match &node.value {
        Json::Number(text) => text.parse().ok(),
        _ => None,
    }
}

fn written<'a>(value: f64) -> Found<Item<'a>> {
    if !value.is_finite() {
        return Err(Wrong::Path("value out of range"));
    }
    Ok(Cow::Owned(normal(Json::Number(format!("{value}")).node())))
}
