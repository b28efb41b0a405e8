//! What stands in FROM: unqualified catalog names, functions as tables, `TABLE t`, and the system columns of catalogs.

use crate::dialect::ast::{
    aliased, call, cast, derived, folded, number, object_name, parts, plain, quoted, select, table_alias, text,
};
use crate::dialect::rewrite::Rewriter;
use crate::dialect::rewrite::expressions::calls::{is_set, unqualified};
use crate::dialect::rewrite::expressions::constants::whole;
use crate::sql::clauses::LIMIT_MARK;
use crate::sql::walk::{ON, Reader, Step, Stop, finds};
use datafusion::sql::sqlparser::ast::{
    AccessExpr, DataType, Expr, FunctionArg, LimitClause, ObjectName, Query, Select, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, Subscript, TableAlias, TableFactor, Value, WildcardAdditionalOptions,
};
use querygate_pg_catalog::PgCatalog;
use querygate_query_api::own_names::told_apart;
use querygate_types::{Error, ErrorCode, Result};
use std::collections::HashMap;

/// `pg_class` means `pg_catalog.pg_class`, which PostgreSQL searches before any other schema; the session's own database may
/// stand in front.
///
/// # Errors
/// 0A000 for another database.
pub(in crate::dialect) fn qualify(rewriter: &Rewriter<'_>, relation: &mut ObjectName) -> Result<()> {
    let Some(names) = parts(relation) else { return Ok(()) };
    match names.as_slice() {
        [name] if !rewriter.is_cte(name) && PgCatalog::system_oid("pg_catalog", name).is_some() => {
            *relation = object_name(&["pg_catalog", name]);
        }
        [database, ..] if names.len() == 3 => {
            if database != rewriter.database() {
                let message = format!("cross-database references are not implemented: \"{}\"", names.join("."));
                return Err(Error::new(ErrorCode::FeatureNotSupported, message));
            }
            relation.0.remove(0);
        }
        _ => {}
    }
    Ok(())
}

/// `TABLE t` is `SELECT * FROM t`.
pub(in crate::dialect) fn expand_table(query: &mut Query) -> Result<()> {
    let SetExpr::Table(table) = query.body.as_ref() else { return Ok(()) };
    let names: Vec<&str> = [&table.schema_name, &table.table_name].into_iter().flatten().map(String::as_str).collect();
    let factor = TableFactor::Table {
        name: object_name(&names),
        alias: None,
        args: None,
        with_hints: Vec::new(),
        version: None,
        with_ordinality: false,
        partitions: Vec::new(),
        json_path: None,
        sample: None,
        index_hints: Vec::new(),
    };
    let everything = SelectItem::Wildcard(WildcardAdditionalOptions::default());
    query.body = select(vec![everything], Some(factor))?.body;
    Ok(())
}

/// Set operations of rows without columns are those of rows with one column that says nothing.
pub(in crate::dialect) fn sets_of_nothing(query: &mut Query) -> Result<()> {
    fn all_nothing(body: &SetExpr) -> bool {
        match body {
            SetExpr::Select(select) => select.projection.is_empty() && select.distinct.is_none(),
            SetExpr::SetOperation { left, right, .. } => all_nothing(left) && all_nothing(right),
            SetExpr::Query(query) => query.with.is_none() && all_nothing(&query.body),
            _ => false,
        }
    }
    fn say_nothing(body: &mut SetExpr) {
        match body {
            SetExpr::Select(select) => select.projection = vec![aliased(number(1), "nothing")],
            SetExpr::SetOperation { left, right, .. } => {
                say_nothing(left);
                say_nothing(right);
            }
            SetExpr::Query(query) => say_nothing(&mut query.body),
            _ => {}
        }
    }
    if !matches!(query.body.as_ref(), SetExpr::SetOperation { .. }) || !all_nothing(&query.body) {
        return Ok(());
    }
    let mut within = select(Vec::new(), None)?;
    std::mem::swap(&mut within.body, &mut query.body);
    say_nothing(&mut within.body);
    query.body = select(Vec::new(), Some(derived(within, false, Some(table_alias("nothing", &[])))))?.body;
    Ok(())
}

/// `FETCH FIRST n ROWS ONLY` is `LIMIT n`.
pub(in crate::dialect) fn limit_of_fetch(query: &mut Query) -> Result<()> {
    if let Some(LimitClause::LimitOffset { limit, offset, .. }) = &mut query.limit_clause {
        for bound in [limit.as_mut(), offset.as_mut().map(|offset| &mut offset.value)].into_iter().flatten() {
            // A literal without a type is a bigint here.
            if let Some(literal) = crate::dialect::ast::literal_text(bound) {
                let count: i64 = literal.trim().parse().map_err(|_| {
                    Error::new(ErrorCode::InvalidTextRepresentation, "invalid input syntax for type bigint")
                })?;
                *bound = number(count);
            }
        }
    }
    let Some(fetch) = query.fetch.take() else { return Ok(()) };
    if fetch.percent {
        return Err(Error::new(ErrorCode::FeatureNotSupported, "FETCH of percents is not supported"));
    }
    let count = match (fetch.quantity, &mut query.limit_clause) {
        (Some(Expr::Value(mark)), Some(LimitClause::LimitOffset { limit, .. }))
            if mark.value == Value::TripleSingleQuotedString(LIMIT_MARK.to_owned()) =>
        {
            limit.take().unwrap_or_else(|| number(1))
        }
        (quantity, _) => quantity.unwrap_or_else(|| number(1)),
    };
    if fetch.with_ties {
        return crate::dialect::rewrite::grouping::ties::with_ties(query, count);
    }
    match &mut query.limit_clause {
        Some(LimitClause::LimitOffset { limit: limit @ None, .. }) => *limit = Some(count),
        Some(_) => return Err(Error::new(ErrorCode::SyntaxError, "multiple LIMIT clauses not allowed")),
        None => {
            query.limit_clause =
                Some(LimitClause::LimitOffset { limit: Some(count), offset: None, limit_by: Vec::new() });
        }
    }
    Ok(())
}

/// What is known of a relation's system columns.
#[derive(Debug, Clone, Copy)]
pub(in crate::dialect) struct SystemColumns {
    /// Its `pg_class.oid`.
    oid: u32,
    /// One of PostgreSQL's own: its rows are one snapshot's.
    is_catalog: bool,
}

/// Aliases of the relations in a FROM clause that have system columns.
pub(in crate::dialect) fn with_system_columns(
    rewriter: &Rewriter<'_>,
    select: &Select,
) -> HashMap<String, SystemColumns> {
    let mut found = HashMap::new();
    for table in &select.from {
        for factor in std::iter::once(&table.relation).chain(table.joins.iter().map(|j| &j.relation)) {
            let TableFactor::Table { name, alias, args: None, .. } = factor else { continue };
            let Some(names) = parts(name) else { continue };
            if let (Some(columns), Some(last)) = (rewriter.system_columns_of(&names), names.last()) {
                found.insert(alias.as_ref().map_or_else(|| last.clone(), |a| folded(&a.name)), columns);
            }
        }
    }
    found
}

impl Rewriter<'_> {
    fn system_columns_of(&self, names: &[String]) -> Option<SystemColumns> {
        let (schema, name) = match names {
            [name] if self.is_cte(name) => return None,
            [name] => {
                let path = self.catalog.image().search_path.iter().map(String::as_str);
                let mut schemas = std::iter::once("pg_catalog").chain(path);
                (schemas.find(|schema| self.catalog.relation_oid(schema, name).is_some())?, name)
            }
            [.., schema, name] => (schema.as_str(), name),
            [] => return None,
        };
        // A view has none.
        let oid =
            self.catalog.relation_oid(schema, name).filter(|_| self.catalog.is_table(schema, name) == Some(true))?;
        // A source's own column of that name is the table's.
        let relation = self.relation_of(names);
        let has_own = relation.is_some_and(|own| own.columns.iter().any(|column| column.name == "tableoid"));
        (!has_own).then(|| SystemColumns { oid, is_catalog: PgCatalog::system_oid(schema, name).is_some() })
    }
}

/// `t.*` of a table that FROM names with its schema and without an alias: DataFusion wants the whole name.
pub(in crate::dialect) fn wildcards(rewriter: &Rewriter<'_>, select: &mut Select) {
    let from: Vec<ObjectName> = select
        .from
        .iter()
        .flat_map(|t| std::iter::once(&t.relation).chain(t.joins.iter().map(|j| &j.relation)))
        .filter_map(|factor| match factor {
            TableFactor::Table { name, alias: None, args: None, .. } => {
                let mut name = name.clone();
                qualify(rewriter, &mut name).ok()?;
                Some(name)
            }
            _ => None,
        })
        .collect();
    for item in &mut select.projection {
        let SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) = item else {
            continue;
        };
        let Some([wanted]) =
            parts(name).as_deref().map(<[String]>::to_vec).and_then(|v| <[String; 1]>::try_from(v).ok())
        else {
            continue;
        };
        let full =
            from.iter().find(|f| f.0.len() > 1 && parts(f).and_then(|p| p.last().cloned()).as_ref() == Some(&wanted));
        if let Some(full) = full {
            *name = full.clone();
        }
    }
}

/// `c.tableoid` of a relation, and `c.xmin`, … of catalog relations: constants, as the rows are one snapshot's.
pub(in crate::dialect) fn system_columns(rewriter: &Rewriter<'_>, expr: &mut Expr) {
    let (name, relation) = match &*expr {
        Expr::Identifier(name) => (folded(name), rewriter.system_columns_of_only()),
        Expr::CompoundIdentifier(idents) => {
            let [.., table, name] = idents.as_slice() else { return };
            (folded(name), rewriter.system_columns_under(&folded(table)))
        }
        _ => return,
    };
    let Some(SystemColumns { oid, is_catalog }) = relation else { return };
    let system = |type_name: &str| DataType::Custom(object_name(&["pg_catalog", type_name]), Vec::new());
    match name.as_str() {
        "tableoid" => *expr = cast(number(i64::from(oid)), system("oid")),
        // FrozenTransactionId: visible to all.
        "xmin" if is_catalog => *expr = cast(number(2), system("xid")),
        "xmax" if is_catalog => *expr = cast(number(0), system("xid")),
        _ => {}
    }
}

/// A function in FROM becomes a lateral derived table over `unnest` of its list.
pub(in crate::dialect) fn functions_in_from(factor: &mut TableFactor) -> Result<()> {
    let (function, alias) = match &*factor {
        TableFactor::Table { name, args: Some(arguments), alias, with_ordinality, .. } => {
            let arguments: Option<Vec<Expr>> = arguments.args.iter().map(|a| plain(a).cloned()).collect();
            (InFrom::new(name, arguments, *with_ordinality)?, alias.clone())
        }
        TableFactor::Function { name, args, with_ordinality, alias, .. } => {
            let arguments: Option<Vec<Expr>> = args.iter().map(|a: &FunctionArg| plain(a).cloned()).collect();
            (InFrom::new(name, arguments, *with_ordinality)?, alias.clone())
        }
        TableFactor::UNNEST { array_exprs, alias, with_ordinality, with_offset: false, .. } => {
            let function =
                InFrom { name: "unnest".to_owned(), arguments: array_exprs.clone(), ordinality: *with_ordinality };
            (function, alias.clone())
        }
        _ => return Ok(()),
    };
    if function.native() {
        return native_series(factor);
    }
    if let Some(records) =
        crate::dialect::rewrite::expressions::records::of_json(&function.name, &function.arguments, alias.as_ref())?
    {
        *factor = records;
        return Ok(());
    }
    *factor = function.derived(alias)?;
    Ok(())
}

struct InFrom {
    name: String,
    arguments: Vec<Expr>,
    ordinality: bool,
}

impl InFrom {
    fn new(name: &ObjectName, arguments: Option<Vec<Expr>>, ordinality: bool) -> Result<Self> {
        let written = name.to_string();
        let name = unqualified(name)
            .ok_or_else(|| Error::new(ErrorCode::UndefinedFunction, format!("function {written} does not exist")))?;
        arguments.iter().flatten().try_for_each(crate::dialect::rewrite::expressions::casts::refuse_unknown)?;
        let mut arguments = arguments.ok_or_else(|| {
            Error::new(ErrorCode::FeatureNotSupported, "named arguments of functions in FROM are not supported")
        })?;
        if let Some(first) = arguments.first_mut() {
            crate::dialect::rewrite::expressions::calls::type_json_literal(&name, first);
        }
        Ok(Self { name, arguments, ordinality })
    }

    /// DataFusion streams `generate_series` over constants; a list of all numbers would have to fit into memory.
    fn native(&self) -> bool {
        self.name == "generate_series" && !self.ordinality && self.arguments.iter().all(|a| whole(a).is_some())
    }

    fn derived(self, alias: Option<TableAlias>) -> Result<TableFactor> {
        let default = alias.as_ref().map_or_else(|| self.name.clone(), |a| folded(&a.name));
        let known = crate::dialect::rewrite::expressions::sets::find(&self.name);
        let fields = match &known {
            Some(set) if set.fields.is_empty() => None,
            Some(set) => Some(set.fields.to_vec()),
            None => PgCatalog::row_function(&self.name).flatten(),
        };
        let default = known.as_ref().and_then(|set| set.column).map_or(default, str::to_owned);
        let json = known.as_ref().and_then(|set| set.json.clone());
        let given: Vec<String> = alias.iter().flat_map(|a| &a.columns).map(|c| folded(&c.name)).collect();
        let column = |place: usize, otherwise: &str| given.get(place).cloned().unwrap_or_else(|| otherwise.to_owned());
        let table = TableAlias { columns: Vec::new(), ..alias.unwrap_or_else(|| table_alias(&self.name, &[])) };
        // Beside a RIGHT or FULL JOIN the engine has no lateral side, whatever that reads.
        let lateral = self.arguments.iter().any(|argument| finds(argument, &mut Names));

        if self.name == "unnest" && self.arguments.len() > 1 {
            let names: Vec<String> = (1..=self.arguments.len()).map(|n| format!("c{n}")).collect();
            let source = call("zip_arrays", self.arguments);
            return row_source(
                source,
                self.ordinality,
                &names,
                None,
                &|place, _| {
                    // All are called the same; what tells them apart is not shown.
                    column(place, &if place == 0 { "unnest".to_owned() } else { told_apart("unnest", place) })
                },
                (lateral, table),
            );
        }
        let plain_value = fields.is_none();
        let set = is_set(&self.name);
        let source = if self.name == "unnest" {
            self.arguments
                .into_iter()
                .next()
                .ok_or_else(|| Error::new(ErrorCode::UndefinedFunction, "function unnest() does not exist"))?
        } else {
            call(known.as_ref().map_or(self.name.as_str(), |set| set.list), self.arguments)
        };
        if !set {
            // A function with one result: one row.
            return Ok(derived(select(vec![aliased(source, &column(0, &default))], None)?, lateral, Some(table)));
        }
        if plain_value && !self.ordinality {
            let item = call("unnest", vec![source]);
            let item = json.map_or_else(|| item.clone(), |json| cast(item.clone(), json));
            let item = aliased(item, &column(0, &default));
            return Ok(derived(select(vec![item], None)?, lateral, Some(table)));
        }
        match &fields {
            Some(names) => {
                let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
                row_source(source, self.ordinality, &names, json, &column, (lateral, table))
            }
            None => row_source(
                source,
                self.ordinality,
                &[],
                json,
                &|place, name| column(place, if place == 0 { &default } else { name }),
                (lateral, table),
            ),
        }
    }
}

/// Finds a name, which may be of a column of a table before.
struct Names;

impl Reader for Names {
    fn expr(&mut self, expr: &Expr) -> Step {
        match expr {
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) => Step::Break(Stop::Found),
            _ => ON,
        }
    }
}

/// `LATERAL (SELECT item['f'] AS c, … FROM (SELECT unnest(source) AS item))`; without fields the item itself.
fn row_source(
    source: Expr,
    ordinality: bool,
    fields: &[String],
    json: Option<DataType>,
    column: &dyn Fn(usize, &str) -> String,
    (lateral, table): (bool, TableAlias),
) -> Result<TableFactor> {
    let list = if ordinality { call("with_ordinality", vec![source]) } else { source };
    let rows =
        derived(select(vec![aliased(call("unnest", vec![list]), "item")], None)?, false, Some(table_alias("set", &[])));
    let item = Expr::CompoundIdentifier(vec![quoted("set"), quoted("item")]);
    let value = if ordinality { field(item.clone(), "value") } else { item.clone() };
    let typed = |value: Expr, name: &str| match &json {
        Some(json) if name == "value" => cast(value, json.clone()),
        _ => value,
    };
    let mut items: Vec<SelectItem> =
        fields.iter().enumerate().map(|(i, n)| aliased(typed(field(value.clone(), n), n), &column(i, n))).collect();
    if fields.is_empty() {
        items.push(aliased(typed(value, "value"), &column(0, "value")));
    }
    if ordinality {
        let place = items.len();
        items.push(aliased(field(item, "ordinality"), &column(place, "ordinality")));
    }
    Ok(derived(select(items, Some(rows))?, lateral, Some(table)))
}

/// `expr['name']`.
fn field(expr: Expr, name: &str) -> Expr {
    let access = AccessExpr::Subscript(Subscript::Index { index: text(name) });
    Expr::CompoundFieldAccess { root: Box::new(expr), access_chain: vec![access] }
}

/// DataFusion's rows are called `value` and are bigint; PostgreSQL's are called like the alias, and integer if the bounds are.
fn native_series(factor: &mut TableFactor) -> Result<()> {
    let TableFactor::Table { name, alias, args, .. } = factor else { return Ok(()) };
    *name = ObjectName(vec![datafusion::sql::sqlparser::ast::ObjectNamePart::Identifier("generate_series".into())]);
    let outer = alias.take().unwrap_or_else(|| table_alias("generate_series", &[]));
    let bounds: Vec<i64> = args.iter().flat_map(|a| &a.args).filter_map(|a| plain(a).and_then(whole)).collect();
    let narrow = bounds.iter().all(|bound| i32::try_from(*bound).is_ok());
    if args.as_ref().is_some_and(|a| a.args.len() == 3) && bounds.get(2) == Some(&0) {
        return Err(Error::new(ErrorCode::InvalidParameterValue, "step size cannot equal zero"));
    }
    *alias = Some(table_alias("series", &["value".to_owned()]));
    let column = outer.columns.first().map_or_else(|| folded(&outer.name), |c| folded(&c.name));
    let value = Expr::CompoundIdentifier(vec![quoted("series"), quoted("value")]);
    let value = cast(value, if narrow { DataType::Int(None) } else { DataType::BigInt(None) });
    let rows = select(vec![aliased(value, &column)], Some(factor.clone()))?;
    *factor = derived(rows, false, Some(TableAlias { columns: Vec::new(), ..outer }));
    Ok(())
}
