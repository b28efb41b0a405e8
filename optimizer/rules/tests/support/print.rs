//! Fragments as compact text, for goldens. Not a language.

use querygate_driver_api::aggregate::AggregateExpr;
use querygate_driver_api::relation::{Relation, SortKey};
use querygate_driver_api::scalar::{ArithmeticOp, ComparisonOp, Constant, ScalarExpr, Truth};
use querygate_driver_api::value::Value;
use querygate_rules::{ParameterSource, Translation};

pub(crate) fn translation(translation: &Translation) -> String {
    let mut out = String::new();
    let columns = translation.fragment.output.iter().zip(&translation.casts).map(|(column, cast)| match cast {
        Some(cast) => format!("{} as {cast}", column.id),
        None => column.id.to_string(),
    });
    out.push_str(&format!("output {}\n", columns.collect::<Vec<_>>().join(", ")));
    relation(&translation.fragment.relation, 1, &mut out);
    for (index, source) in translation.parameters.iter().enumerate() {
        let source = match source {
            ParameterSource::Literal(value) => format!("{} {}", value.value_type().name(), plain(value)),
            ParameterSource::Placeholder(place) => format!("client's {}", place + 1),
            ParameterSource::Policy(place) => format!("policy's {place}"),
        };
        out.push_str(&format!("${index} = {source}\n"));
    }
    out
}

fn plain(value: &Value) -> String {
    match value {
        Value::Int64(v) => v.to_string(),
        Value::Int32(v) => v.to_string(),
        Value::Text(v) => format!("'{v}'"),
        Value::Decimal128 { value, scale, .. } => format!("{value}e-{scale}"),
        Value::Float64(v) => v.to_string(),
        Value::Date(v) => format!("day {v}"),
        Value::Timestamp { micros, .. } => format!("µs {micros}"),
        other => format!("{other:?}"),
    }
}

fn relation(node: &Relation, depth: usize, out: &mut String) {
    let named = |pairs: &[(querygate_driver_api::identifier::ColumnId, ScalarExpr)]| {
        let one = |(id, expr): &(querygate_driver_api::identifier::ColumnId, ScalarExpr)| match expr {
            ScalarExpr::Column(from) if from == id => id.to_string(),
            expr => format!("{id}={}", scalar(expr, depth)),
        };
        pairs.iter().map(one).collect::<Vec<_>>().join(", ")
    };
    let line = match node {
        Relation::Scan { table, columns } => {
            let columns: Vec<_> =
                columns.iter().map(|column| format!("{} {}", column.id, column.name.as_str())).collect();
            format!("scan {table} [{}]", columns.join(", "))
        }
        Relation::Filter { predicate, .. } => format!("filter {}", scalar(predicate, depth)),
        Relation::Project { exprs, .. } => format!("project {}", named(exprs)),
        Relation::Join { kind, on, .. } => format!("join {kind:?} on {}", scalar(on, depth)),
        Relation::Aggregate { group, aggregates, .. } => {
            let calls: Vec<_> =
                aggregates.iter().map(|(id, call)| format!("{id}={}", aggregate(call, depth))).collect();
            format!("aggregate [{}] [{}]", named(group), calls.join(", "))
        }
        Relation::Distinct { .. } => "distinct".to_owned(),
        Relation::Sort { keys, .. } => {
            format!("sort {}", keys.iter().map(|key| sort_key(key, depth)).collect::<Vec<_>>().join(", "))
        }
        Relation::Limit { skip, fetch, .. } => format!("limit {fetch:?} skip {skip}"),
        Relation::SetOperation { op, all, columns, .. } => {
            let columns: Vec<_> = columns.iter().map(ToString::to_string).collect();
            format!("{op:?}{} {}", if *all { " all" } else { "" }, columns.join(", "))
        }
        Relation::Window { .. } => "window".to_owned(),
        Relation::Fence { .. } => "FENCE".to_owned(),
        Relation::Values { columns, rows } => format!("values {} x {}", rows.len(), columns.len()),
        Relation::EmptyRow => "empty row".to_owned(),
    };
    out.push_str(&"  ".repeat(depth));
    out.push_str(&line);
    out.push('\n');
    node.inputs().into_iter().for_each(|input| relation(input, depth + 1, out));
}

fn aggregate(call: &AggregateExpr, depth: usize) -> String {
    let args: Vec<_> = call.args.iter().map(|arg| scalar(arg, depth)).collect();
    let distinct = if call.distinct { "distinct " } else { "" };
    let args = if args.is_empty() { "*".to_owned() } else { args.join(", ") };
    let filter = call.filter.as_ref().map(|filter| format!(" where {}", scalar(filter, depth))).unwrap_or_default();
    format!("{}({distinct}{args}){filter}", call.function.name())
}

fn sort_key(key: &SortKey, depth: usize) -> String {
    let direction = if key.ascending { "asc" } else { "desc" };
    format!("{} {direction} nulls {}", scalar(&key.expr, depth), if key.nulls_first { "first" } else { "last" })
}

fn not(negated: bool) -> &'static str {
    if negated { "not " } else { "" }
}

fn scalar(expr: &ScalarExpr, depth: usize) -> String {
    let sub = |expr: &ScalarExpr| scalar(expr, depth);
    let list = |all: &[ScalarExpr], by: &str| all.iter().map(sub).collect::<Vec<_>>().join(by);
    let nested = |inner: &Relation| {
        let mut out = "\n".to_owned();
        relation(inner, depth + 2, &mut out);
        format!("{{{}{}}}", out.trim_end(), "")
    };
    match expr {
        ScalarExpr::Column(id) => id.to_string(),
        ScalarExpr::Parameter(index, _) => format!("${index}"),
        ScalarExpr::Constant(Constant::True) => "true".to_owned(),
        ScalarExpr::Constant(Constant::False) => "false".to_owned(),
        ScalarExpr::Constant(Constant::Null(value_type)) => format!("null::{}", value_type.name()),
        ScalarExpr::Comparison { op, left, right } => format!("({} {} {})", sub(left), comparison(*op), sub(right)),
        ScalarExpr::And(all) => format!("({})", list(all, " and ")),
        ScalarExpr::Or(all) => format!("({})", list(all, " or ")),
        ScalarExpr::Not(inner) => format!("not {}", sub(inner)),
        ScalarExpr::IsNull { expr, negated } => format!("({} is {}null)", sub(expr), not(*negated)),
        ScalarExpr::IsTruth { expr, truth, negated } => {
            let truth = match truth {
                Truth::True => "true",
                Truth::False => "false",
                Truth::Unknown => "unknown",
            };
            format!("({} is {}{truth})", sub(expr), not(*negated))
        }
        ScalarExpr::Between { expr, low, high, negated } => {
            format!("({} {}between {} and {})", sub(expr), not(*negated), sub(low), sub(high))
        }
        ScalarExpr::InList { expr, list: items, negated } => {
            format!("({} {}in [{}])", sub(expr), not(*negated), list(items, ", "))
        }
        ScalarExpr::Like { expr, pattern, negated, case_insensitive } => {
            format!("({} {}{} ${pattern})", sub(expr), not(*negated), if *case_insensitive { "ilike" } else { "like" })
        }
        ScalarExpr::Arithmetic { op, left, right, .. } => {
            let op = match op {
                ArithmeticOp::Add => "+",
                ArithmeticOp::Subtract => "-",
                ArithmeticOp::Multiply => "*",
                ArithmeticOp::Divide => "/",
                ArithmeticOp::Remainder => "%",
            };
            format!("({} {op} {})", sub(left), sub(right))
        }
        ScalarExpr::Negate(inner) => format!("-{}", sub(inner)),
        ScalarExpr::Case { branches, otherwise } => {
            let branches: Vec<_> = branches.iter().map(|(w, t)| format!("when {} then {}", sub(w), sub(t))).collect();
            let otherwise = otherwise.as_ref().map(|expr| format!(" else {}", sub(expr))).unwrap_or_default();
            format!("case {}{otherwise} end", branches.join(" "))
        }
        ScalarExpr::Cast { expr, to, .. } => format!("{}::{}", sub(expr), to.name()),
        ScalarExpr::Function { function, args, .. } => format!("{}({})", function_name(*function), list(args, ", ")),
        ScalarExpr::Exists { relation, negated } => format!("{}exists {}", not(*negated), nested(relation)),
        ScalarExpr::InSubquery { expr, relation, negated } => {
            format!("{} {}in {}", sub(expr), not(*negated), nested(relation))
        }
        ScalarExpr::ScalarSubquery { relation } => format!("the {}", nested(relation)),
    }
}

fn function_name(function: querygate_driver_api::function::ScalarFunction) -> String {
    use querygate_driver_api::function::ScalarFunction;
    match function {
        ScalarFunction::DatePart(part) => format!("extract {part:?}"),
        ScalarFunction::DateTrunc(unit) => format!("date_trunc {unit:?}"),
        other => other.name().to_owned(),
    }
}

const fn comparison(op: ComparisonOp) -> &'static str {
    match op {
        ComparisonOp::Eq => "=",
        ComparisonOp::NotEq => "<>",
        ComparisonOp::Lt => "<",
        ComparisonOp::LtEq => "<=",
        ComparisonOp::Gt => ">",
        ComparisonOp::GtEq => ">=",
        ComparisonOp::IsDistinctFrom => "is distinct from",
        ComparisonOp::IsNotDistinctFrom => "is not distinct from",
    }
}
