//! From a bound plan to one checked fragment: coercion, translation, fences, pruning, capabilities. Knows no source's language.

mod aggregate;
mod comparison;
mod conjunct;
mod constant;
mod fence;
mod function;
mod join;
mod prune;
mod relation;
mod scalar;
mod scope;
mod set;
mod types;
mod verify;

use crate::estimate::TableEstimate;
use crate::not_pushed::NotPushed;
use crate::opener::LeafOpener;
use crate::receipt::Receipt;
use crate::translation::{ParameterSource, Translation};
use arrow::compute::can_cast_types;
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::config::ConfigOptions;
use datafusion::logical_expr::LogicalPlan;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::analyzer::type_coercion::TypeCoercion;
use querygate_driver_api::capability::RefusalReason;
use querygate_driver_api::columns::ColumnTypes;
use querygate_driver_api::fragment::{Fragment, OutputColumn};
use querygate_driver_api::identifier::ColumnId;
use querygate_driver_api::scalar::ScalarExpr;
use querygate_driver_api::value::{Value, ValueType};
use relation::Built;
use scope::Scope;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Deepest nesting of operators and expressions that translation follows; the fragment's own check allows no more.
const DEPTH_MAX: usize = 100;
/// Most parameters of one fragment, whatever the source allows.
const PARAMETERS_MAX: usize = 16_384;

/// Translates a bound plan whose tables all belong to one source. `context` carries the options and, if the statement
/// may call `now()`, its start time.
///
/// The plan is coerced here (on a copy): a bound plan hides implicit casts. Do not give it an optimized plan.
///
/// # Errors
/// What has no word in the vocabulary, is outside the source's capabilities, or belongs to another source.
pub fn translate(
    plan: &LogicalPlan,
    opener: &dyn LeafOpener,
    context: &SimplifyContext,
) -> Result<Translation, NotPushed> {
    let typed = coerce(plan.clone(), context.config_options())?;
    translate_typed(&typed, opener, context)
}

/// The plan with implicit casts made visible. Not DataFusion's whole analyzer: its last check refuses plans that it
/// cannot run itself, and a source may.
pub(crate) fn coerce(plan: LogicalPlan, options: &ConfigOptions) -> Result<LogicalPlan, NotPushed> {
    TypeCoercion::new().analyze(plan, options).map_err(|_| NotPushed::kind("types of the statement do not fit"))
}

/// As [`translate`], of a plan that is coerced already.
pub(crate) fn translate_typed(
    plan: &LogicalPlan,
    opener: &dyn LeafOpener,
    context: &SimplifyContext,
) -> Result<Translation, NotPushed> {
    let mut translator = Translator::new(opener, context);
    let built = translator.relation(plan)?;
    translator.finish(plan, built)
}

/// A scan in the fragment: what verification needs to know about it.
struct Leaf {
    policy: Option<ScalarExpr>,
    restricted: bool,
}

/// What a source may evaluate on a table's rows before the table's policy.
#[derive(Debug, Clone, Copy, Default)]
struct Danger {
    /// Something above the table can fail.
    above: bool,
    /// Something can fail on the other side of a join, or beside a subquery.
    beside: bool,
}

impl Danger {
    fn or_above(self, fails: bool) -> Self {
        Self { above: self.above || fails, ..self }
    }

    fn or_beside(self, fails: bool) -> Self {
        Self { beside: self.beside || fails, ..self }
    }

    /// Whether it meets hidden rows where no fence is. A source tests a policy's plain conditions when it reads the table; of
    /// a policy's subquery it makes a join, and may join another table first.
    fn meets(self, leaf: &Leaf) -> bool {
        let joined = || leaf.policy.as_ref().is_some_and(conjunct::has_subquery);
        leaf.restricted && (self.above || (self.beside && joined()))
    }
}

/// One translation: ids, parameters and leaves of the fragment that is being built.
struct Translator<'a> {
    opener: &'a dyn LeafOpener,
    context: &'a SimplifyContext,
    next_column: u32,
    types: ColumnTypes,
    parameters: Vec<ParameterSource>,
    parameter_types: Vec<ValueType>,
    policy_values: Vec<Value>,
    source: Option<Arc<str>>,
    leaves: Vec<Leaf>,
    /// The leaf that each scanned column belongs to.
    leaf_of: HashMap<ColumnId, usize>,
    /// Blocks around the current one, outermost first.
    outer: Vec<Scope>,
    depth: usize,
}

impl<'a> Translator<'a> {
    fn new(opener: &'a dyn LeafOpener, context: &'a SimplifyContext) -> Self {
        Self {
            opener,
            context,
            next_column: 0,
            types: ColumnTypes::default(),
            parameters: Vec::new(),
            parameter_types: Vec::new(),
            policy_values: Vec::new(),
            source: None,
            leaves: Vec::new(),
            leaf_of: HashMap::new(),
            outer: Vec::new(),
            depth: 0,
        }
    }

    fn column(&mut self) -> ColumnId {
        let id = ColumnId(self.next_column);
        self.next_column += 1;
        id
    }

    /// Runs one nested step, within bounds.
    fn nested<T>(&mut self, step: impl FnOnce(&mut Self) -> Result<T, NotPushed>) -> Result<T, NotPushed> {
        if self.depth >= DEPTH_MAX {
            return Err(NotPushed::new(RefusalReason::Size, "statement is nested too deeply"));
        }
        self.depth += 1;
        let result = step(self);
        self.depth -= 1;
        result
    }

    /// A parameter for this origin; equal ones share a place, as `GROUP BY f($1, x)` needs.
    fn parameter(&mut self, source: ParameterSource, value_type: ValueType) -> Result<usize, NotPushed> {
        // Bounded: past the window a repeated constant gets a place of its own, which is as right.
        const SHARED_WINDOW: usize = 256;
        let same = |(known, known_type): (&ParameterSource, &ValueType)| *known == source && *known_type == value_type;
        let known = self.parameters.iter().zip(&self.parameter_types).take(SHARED_WINDOW).position(same);
        if let Some(index) = known {
            return Ok(index);
        }
        if self.parameters.len() >= PARAMETERS_MAX {
            return Err(NotPushed::new(RefusalReason::Size, "too many constants"));
        }
        self.parameters.push(source);
        self.parameter_types.push(value_type);
        Ok(self.parameters.len() - 1)
    }

    fn finish(mut self, plan: &LogicalPlan, built: Built) -> Result<Translation, NotPushed> {
        let source = self.source.take().ok_or_else(|| NotPushed::operator("statement reads no table of a source"))?;
        let schema: SchemaRef = Arc::new(plan.schema().as_arrow().clone());
        let ids = built.required()?;
        // What nothing reads goes first, so that it needs no fence.
        let mut relation = built.relation;
        let mut needed: HashSet<ColumnId> = ids.iter().copied().collect();
        prune::prune(&mut relation, &mut needed, &self.leaves, &self.leaf_of);
        let capabilities =
            self.opener.capabilities(&source).ok_or_else(|| NotPushed::operator("source takes no fragments"))?;
        let held = capabilities.holds();
        let (relation, fences) = fence::lower(relation, &self.leaves, &self.leaf_of, held)?;
        verify::verify(&relation, &self.leaves, &self.leaf_of, held)?;
        let mut output = Vec::with_capacity(ids.len());
        let mut casts = Vec::with_capacity(ids.len());
        for (id, field) in ids.iter().zip(schema.fields()) {
            let info = self.types.of(*id).map_err(fault)?;
            casts.push(cast_note(info.value_type, field.data_type())?);
            output.push(OutputColumn {
                id: *id,
                name: field.name().clone(),
                value_type: info.value_type,
                nullable: info.nullable,
            });
        }
        let fragment = Fragment { relation, output, parameters: self.parameter_types };
        // Policies first: what is refused afterwards is the statement's own.
        for policy in self.leaves.iter().filter_map(|leaf| leaf.policy.as_ref()) {
            capabilities
                .supports_scalar(policy, &self.types)
                .map_err(|refusal| NotPushed::from(refusal).of_policy())?;
        }
        capabilities.supports_fragment(&fragment).map_err(|refusal| {
            // How many values a policy has is its own business, too.
            let of_policy = refusal.reason == RefusalReason::Size && !self.policy_values.is_empty();
            NotPushed { of_policy, ..refusal.into() }
        })?;
        let receipt = Receipt::pushed(&source, plan, fences);
        Ok(Translation {
            source,
            fragment,
            parameters: self.parameters,
            policy_values: self.policy_values,
            schema,
            casts,
            fences,
            receipt,
            size: TableEstimate::default(),
        })
    }
}

/// The cast to apply after decoding, if the plan's own type is another.
fn cast_note(delivered: ValueType, told: &DataType) -> Result<Option<DataType>, NotPushed> {
    let delivered = delivered.to_arrow();
    if delivered == *told {
        Ok(None)
    } else if can_cast_types(&delivered, told) {
        Ok(Some(told.clone()))
    } else {
        Err(NotPushed::kind("result has a type that the source cannot deliver"))
    }
}

/// A fault of ours, found while building.
fn fault(error: querygate_types::Error) -> NotPushed {
    NotPushed::invalid(error.cause().unwrap_or(error.message()).to_owned())
}
