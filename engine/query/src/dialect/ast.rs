//! Small builders of syntax trees. Values stay values: nothing here makes SQL text.

use datafusion::sql::sqlparser::ast::{
    Array, ArrayElemTypeDef, BinaryOperator, CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentList, FunctionArguments, Ident, ObjectName, ObjectNamePart, Query, Select, SelectItem, SetExpr,
    Statement, TableAlias, TableAliasColumnDef, TableFactor, TableWithJoins, Value,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use querygate_types::{Error, Result};

/// An identifier that is not folded.
pub(super) fn quoted(name: &str) -> Ident {
    Ident::with_quote('"', name)
}

/// The name an identifier stands for: folded unless quoted.
pub(super) fn folded(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}

/// Parts of a dotted name, folded; `None` when a part is no identifier.
pub(super) fn parts(name: &ObjectName) -> Option<Vec<String>> {
    name.0.iter().map(|part| part.as_ident().map(folded)).collect()
}

/// A dotted name of plain identifiers.
pub(super) fn object_name(names: &[&str]) -> ObjectName {
    ObjectName(names.iter().map(|n| ObjectNamePart::Identifier(quoted(n))).collect())
}

/// `name(arguments)`.
pub(super) fn call(name: &str, arguments: Vec<Expr>) -> Expr {
    Expr::Function(Function {
        name: ObjectName(vec![ObjectNamePart::Identifier(Ident::new(name))]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(list(arguments)),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

pub(super) fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }
}

/// A plain argument list.
pub(super) fn list(arguments: Vec<Expr>) -> FunctionArgumentList {
    let args = arguments.into_iter().map(|e| FunctionArg::Unnamed(FunctionArgExpr::Expr(e))).collect();
    FunctionArgumentList { duplicate_treatment: None, args, clauses: Vec::new() }
}

/// The arguments of a call when they are all plain expressions.
pub(super) fn plain_arguments(arguments: &FunctionArguments) -> Option<Vec<&Expr>> {
    match arguments {
        FunctionArguments::List(list) => list.args.iter().map(plain).collect(),
        FunctionArguments::None | FunctionArguments::Subquery(_) => None,
    }
}

pub(super) fn plain(argument: &FunctionArg) -> Option<&Expr> {
    match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(e)) => Some(e),
        FunctionArg::Unnamed(_) | FunctionArg::Named { .. } | FunctionArg::ExprNamed { .. } => None,
    }
}

/// A text literal.
pub(super) fn text(value: &str) -> Expr {
    Expr::Value(Value::SingleQuotedString(value.to_owned()).with_empty_span())
}

/// An integer literal.
pub(super) fn number(value: i64) -> Expr {
    Expr::Value(Value::Number(value.to_string(), false).with_empty_span())
}

/// The text of a string literal, through parentheses.
pub(super) fn literal_text(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(s) | Value::EscapedStringLiteral(s) | Value::UnicodeStringLiteral(s) => Some(s),
            Value::DollarQuotedString(s) => Some(&s.value),
            _ => None,
        },
        Expr::Nested(inner) => literal_text(inner),
        _ => None,
    }
}

/// `CAST(expr AS data_type)`.
pub(super) fn cast(expr: Expr, data_type: DataType) -> Expr {
    Expr::Cast { kind: CastKind::Cast, expr: Box::new(expr), data_type, array: false, format: None }
}

/// `ARRAY[…]`.
pub(super) fn array(elements: Vec<Expr>) -> Expr {
    Expr::Array(Array { elem: elements, named: true })
}

/// Element type of an array type.
pub(super) fn element_type(data_type: &DataType) -> Option<&DataType> {
    match data_type {
        DataType::Array(ArrayElemTypeDef::SquareBracket(inner, _) | ArrayElemTypeDef::AngleBracket(inner)) => {
            Some(inner)
        }
        _ => None,
    }
}

/// `SELECT items FROM source`.
pub(super) fn select(items: Vec<SelectItem>, source: Option<TableFactor>) -> Result<Query> {
    let mut query = blank()?;
    if let SetExpr::Select(select) = query.body.as_mut() {
        select.projection = items;
        select.from = source.map(|relation| TableWithJoins { relation, joins: Vec::new() }).into_iter().collect();
    }
    Ok(query)
}

fn blank() -> Result<Query> {
    let statement = Parser::parse_sql(&PostgreSqlDialect {}, "SELECT 1").map_err(Error::internal)?.into_iter().next();
    match statement {
        Some(Statement::Query(query)) => Ok(*query),
        _ => Err(Error::internal("SELECT 1 is no query")),
    }
}

/// `expr AS name`.
pub(super) fn aliased(expr: Expr, name: &str) -> SelectItem {
    SelectItem::ExprWithAlias { expr, alias: quoted(name) }
}

/// A derived table.
pub(super) fn derived(query: Query, lateral: bool, alias: Option<TableAlias>) -> TableFactor {
    TableFactor::Derived { lateral, subquery: Box::new(query), alias, sample: None }
}

/// A table alias without columns.
pub(super) fn table_alias(name: &str, columns: &[String]) -> TableAlias {
    let columns = columns.iter().map(|c| TableAliasColumnDef { name: quoted(c), data_type: None }).collect();
    TableAlias { explicit: true, name: quoted(name), columns, at: None }
}

/// The SELECT of a query that is nothing but one.
pub(super) fn plain_select(query: &Query) -> Option<&Select> {
    match query.body.as_ref() {
        SetExpr::Select(select) => Some(select),
        SetExpr::Query(inner) => plain_select(inner),
        _ => None,
    }
}
