//! What MariaDB does exactly as the vocabulary's written semantics say, per operator, type and function. MySQL is given less: it was not measured.

use crate::compile::columns::Learned;
use crate::compile::dialect::MysqlDialect;
use crate::compile::exact::{arguments, arithmetic, function_types};
use crate::compile::functions;
use crate::compile::lineage::{self, is_short};
use crate::compile::names::quote;
use crate::compile::placeholders::positional;
use crate::connect::pool::Pool;
use crate::connect::session::Flavor;
use crate::wire::declared::Declared;
use querygate_driver_api::aggregate::{AggregateExpr, AggregateFunction, WindowExpr};
use querygate_driver_api::capability::{Capabilities, Refusal, RefusalReason, of_one_scale, refuse};
use querygate_driver_api::columns::ColumnTypes;
use querygate_driver_api::execution::NativeStatement;
use querygate_driver_api::fragment::Fragment;
use querygate_driver_api::relation::{JoinKind, Relation, SetOp};
use querygate_driver_api::scalar::{ArithmeticOp, Held, ScalarExpr};
use querygate_driver_api::value::ValueType;
use querygate_driver_api::write::ChangeShape;
use querygate_sql::{Argument, Dialect, exact_if, is_sum};
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// What this server may be given.
#[derive(Debug, Clone)]
pub(crate) struct MysqlCapabilities {
    pub(crate) pool: Arc<Pool>,
    pub(crate) learned: Arc<RwLock<Learned>>,
    pub(crate) schema: Arc<str>,
}

/// Parameters of one fragment: some are bound several times, and the protocol ends at 65,535.
const PARAMETERS_MAX: usize = 20_000;
/// Tables that one join of the server can hold is 61; some are left for its own.
const SCANS_MAX: usize = 56;

/// Types whose comparison in the source is the value's.
pub(crate) fn comparable(value_type: ValueType) -> Result<(), Refusal> {
    querygate_sql::comparable(value_type, "the source has no lists")
}

impl MysqlCapabilities {
    /// The statement of a fragment, if every part of it is exact.
    ///
    /// # Errors
    /// The first part that is not.
    pub(crate) fn rendered(&self, fragment: &Fragment) -> Result<NativeStatement, Refusal> {
        let types = fragment.check().map_err(|error| Refusal::invalid(&error))?;
        if fragment.parameters.len() > PARAMETERS_MAX {
            return refuse(RefusalReason::Size, "more parameters than the source accepts");
        }
        self.supports_inner(&fragment.relation, &mut ColumnTypes::default())?;
        let mut statement = querygate_sql::print(fragment, types, &self.dialect(fragment)?)?;
        let (text, bindings) = positional(&statement.text, &statement.bindings)?;
        statement.text = text.into();
        statement.bindings = bindings;
        Ok(statement)
    }

    /// What gives stored columns of changed rows back, as reads give them. MariaDB alone does.
    pub(crate) fn returned(&self, shape: &ChangeShape) -> Result<String, Refusal> {
        self.measured("RETURNING")?;
        let scan = Relation::Scan { table: shape.table.clone(), columns: shape.returning.clone() };
        let fragment = Fragment { relation: scan, output: Vec::new(), parameters: Vec::new() };
        let dialect = self.dialect(&fragment)?;
        let columns = shape.returning.iter().map(|column| dialect.scan_column(quote(column.name.as_str())?, column));
        Ok(format!(" RETURNING {}", columns.collect::<Result<Vec<_>, _>>()?.join(", ")))
    }

    /// The dialect for a fragment whose columns have been described.
    fn dialect(&self, fragment: &Fragment) -> Result<MysqlDialect, Refusal> {
        let learned = self.learned.read().unwrap_or_else(PoisonError::into_inner);
        let mut declared = HashMap::new();
        let (mut scans, mut inner_only) = (0_usize, true);
        lineage::walk(&fragment.relation, &mut |relation| match relation {
            Relation::Scan { table, columns } => {
                scans += 1;
                for column in columns {
                    if let Some(found) = learned.column(&self.schema, table, &column.name) {
                        declared.insert(column.id, Declared::clone(found));
                    }
                }
            }
            Relation::Join { kind: JoinKind::Left | JoinKind::Right | JoinKind::Full, .. } => inner_only = false,
            _ => {}
        });
        if scans > SCANS_MAX {
            return refuse(RefusalReason::Size, "more tables than the source joins in one statement");
        }
        match self.pool.flavor() {
            Some(flavor) => Ok(MysqlDialect::new(flavor, declared, inner_only)),
            None => refuse(RefusalReason::Operator, "the source has not answered yet"),
        }
    }

    /// Refuses what only MariaDB was shown to do.
    fn measured(&self, what: &str) -> Result<(), Refusal> {
        match self.pool.flavor() {
            Some(Flavor::MariaDb) => Ok(()),
            Some(Flavor::MySql) => {
                refuse(RefusalReason::Operator, format!("{what} is proved for MariaDB, not for MySQL"))
            }
            None => refuse(RefusalReason::Operator, "the source has not answered yet"),
        }
    }
}

/// Sorting and grouping look at the beginning of a long value only.
fn whole(expr: &ScalarExpr, types: &ColumnTypes, input: &Relation) -> Result<(), Refusal> {
    let value_type = types.type_of(expr).map_err(|error| Refusal::invalid(&error))?;
    comparable(value_type)?;
    if is_short(expr, value_type, input) {
        return Ok(());
    }
    let text = format!("the source sorts and groups {} by its first 255 characters only", value_type.name());
    refuse(RefusalReason::Type, text)
}

fn whole_rows(relation: &Relation, types: &ColumnTypes) -> Result<(), Refusal> {
    relation.output().into_iter().try_for_each(|id| whole(&ScalarExpr::Column(id), types, relation))
}

impl Capabilities for MysqlCapabilities {
    fn operator(&self, relation: &Relation, types: &ColumnTypes) -> Result<(), Refusal> {
        match relation {
            Relation::Scan { table, columns } => {
                if self.pool.flavor().is_none() {
                    return refuse(RefusalReason::Operator, "the source has not answered yet");
                }
                let learned = self.learned.read().unwrap_or_else(PoisonError::into_inner);
                let known = columns.iter().all(|column| learned.column(&self.schema, table, &column.name).is_some());
                if known {
                    Ok(())
                } else {
                    refuse(RefusalReason::Operator, "the source has not described the table yet")
                }
            }
            Relation::Join { kind: JoinKind::Full, .. } => {
                refuse(RefusalReason::Operator, "the source has no FULL JOIN")
            }
            Relation::SetOperation { op, all, left, right, .. } => {
                if *op != SetOp::Union {
                    self.measured("this set operation")?;
                }
                if *op == SetOp::Union && *all {
                    return Ok(());
                }
                whole_rows(left, types)?;
                whole_rows(right, types)
            }
            Relation::Distinct { input } => whole_rows(input, types),
            Relation::Sort { input, keys } => keys.iter().try_for_each(|key| whole(&key.expr, types, input)),
            Relation::Aggregate { input, group, aggregates } => {
                group.iter().try_for_each(|(_, expr)| whole(expr, types, input))?;
                let distinct = aggregates.iter().filter(|(_, aggregate)| aggregate.distinct);
                distinct
                    .flat_map(|(_, aggregate)| &aggregate.args)
                    .try_for_each(|argument| whole(argument, types, input))
            }
            Relation::Window { .. } => refuse(RefusalReason::Operator, "windows run locally over this source"),
            Relation::Values { .. } => refuse(RefusalReason::Operator, "row values run locally over this source"),
            Relation::Filter { .. }
            | Relation::Project { .. }
            | Relation::Join { .. }
            | Relation::Limit { .. }
            | Relation::Fence { .. }
            | Relation::EmptyRow => Ok(()),
        }
    }

    fn scalar(&self, expr: &ScalarExpr, types: &ColumnTypes) -> Result<(), Refusal> {
        let type_of = |expr: &ScalarExpr| types.type_of(expr).map_err(|error| Refusal::invalid(&error));
        match expr {
            ScalarExpr::Column(_)
            | ScalarExpr::Constant(_)
            | ScalarExpr::And(_)
            | ScalarExpr::Or(_)
            | ScalarExpr::Not(_)
            | ScalarExpr::IsNull { .. }
            | ScalarExpr::IsTruth { .. }
            | ScalarExpr::Exists { .. } => Ok(()),
            ScalarExpr::Parameter(_, value_type) => comparable(*value_type),
            ScalarExpr::Comparison { left, right, .. } => {
                let left = type_of(left)?;
                of_one_scale(left, type_of(right)?)?;
                comparable(left)
            }
            ScalarExpr::Between { expr, .. }
            | ScalarExpr::InList { expr, .. }
            | ScalarExpr::InSubquery { expr, .. } => comparable(type_of(expr)?),
            ScalarExpr::Like { case_insensitive: true, .. } => {
                refuse(RefusalReason::Function, "the source folds case and accents in another way")
            }
            ScalarExpr::Like { .. } => self.measured("LIKE"),
            ScalarExpr::Arithmetic { op, left, right, value_type } => {
                self.measured("arithmetic")?;
                let leaf = |expr: &ScalarExpr| matches!(expr, ScalarExpr::Column(_) | ScalarExpr::Parameter(..));
                // Each operand is printed several times.
                if *op == ArithmeticOp::Subtract && *value_type == ValueType::Int64 && !(leaf(left) && leaf(right)) {
                    return refuse(RefusalReason::Overflow, "the source misses an overflow of a difference");
                }
                arithmetic(*op, type_of(left)?, type_of(right)?, *value_type)
            }
            ScalarExpr::Negate(expr) => match type_of(expr)? {
                ValueType::Int64 | ValueType::Float64 | ValueType::Decimal128 { .. } => self.measured("arithmetic"),
                other => {
                    refuse(RefusalReason::Overflow, format!("the source does not overflow as {} does", other.name()))
                }
            },
            ScalarExpr::Case { .. } => comparable(type_of(expr)?),
            ScalarExpr::Cast { from, to, .. } => {
                let argument = Argument { text: String::new(), value_type: *from, parameter: None };
                functions::cast(&argument, *to).map(drop)
            }
            ScalarExpr::Function { function, args, value_type } => {
                self.measured("this function")?;
                let types = args.iter().map(type_of).collect::<Result<Vec<_>, _>>()?;
                function_types(*function, &types, *value_type)?;
                arguments(*function, args)
            }
            // The source raises for several rows, as it should.
            ScalarExpr::ScalarSubquery { .. } => Ok(()),
        }
    }

    fn aggregate(&self, aggregate: &AggregateExpr, types: &ColumnTypes) -> Result<(), Refusal> {
        let Some(argument) = aggregate.args.first() else { return Ok(()) };
        let value_type = types.type_of(argument).map_err(|error| Refusal::invalid(&error))?;
        let result = aggregate.value_type;
        let number = value_type.is_integer() || value_type == ValueType::Float64;
        let fits = match aggregate.function {
            AggregateFunction::CountStar => true,
            // Columns that are only read may be counted, so only a distinct count looks at the type.
            AggregateFunction::Count if !aggregate.distinct => true,
            AggregateFunction::Count => return comparable(value_type),
            AggregateFunction::Min | AggregateFunction::Max => {
                comparable(value_type)?;
                result == value_type
            }
            AggregateFunction::Sum => is_sum(value_type, result),
            AggregateFunction::Avg => number && result == ValueType::Float64,
            AggregateFunction::BoolAnd | AggregateFunction::BoolOr => value_type == ValueType::Boolean,
            AggregateFunction::StddevSamp
            | AggregateFunction::StddevPop
            | AggregateFunction::VarSamp
            | AggregateFunction::VarPop => number && result == ValueType::Float64 && !aggregate.distinct,
        };
        exact_if(fits, aggregate.function.name(), value_type)
    }

    fn window(&self, _window: &WindowExpr, _types: &ColumnTypes) -> Result<(), Refusal> {
        refuse(RefusalReason::Operator, "windows run locally over this source")
    }

    fn holds(&self) -> Held {
        Held::OfType
    }

    fn parameters_max(&self) -> usize {
        PARAMETERS_MAX
    }

    /// As far as printing it, so that what is supported can be rendered.
    fn supports_fragment(&self, fragment: &Fragment) -> Result<ColumnTypes, Refusal> {
        self.rendered(fragment)?;
        fragment.check().map_err(|error| Refusal::invalid(&error))
    }
}
