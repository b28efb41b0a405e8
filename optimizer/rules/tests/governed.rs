//! Parameters of policies, capabilities of a source, and the bounds of one translation.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic")]

mod support;

use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{LogicalPlan, TableScan};
use querygate_driver_api::aggregate::{AggregateExpr, WindowExpr};
use querygate_driver_api::capability::{Capabilities, Refusal, RefusalReason};
use querygate_driver_api::columns::ColumnTypes;
use querygate_driver_api::identifier::ColumnId;
use querygate_driver_api::relation::Relation;
use querygate_driver_api::scalar::{Held, ScalarExpr};
use querygate_driver_api::value::Value;
use querygate_rules::opener::{LeafOpener, LeafPolicy, OpenedLeaf, PolicyScope, RemoteColumn};
use querygate_rules::{LeafBuilder, NotPushed, ParameterSource, Translation, carve, translate};
use std::sync::Arc;
use support::tables::Opener;
use support::{bind, try_translate};

#[tokio::test]
async fn values_come_from_the_statement_the_client_and_the_principal() {
    let translation = try_translate("select id from r where a = $2 and name = 'x' and b = $1").await.unwrap();
    let given = [Value::Int64(7), Value::Int32(8)];
    let values = translation.values(&given).unwrap();
    for (source, value) in translation.parameters.iter().zip(&values) {
        match source {
            ParameterSource::Policy(0) => assert_eq!(*value, Value::text("acme")),
            ParameterSource::Placeholder(index) => assert_eq!(*value, given[*index]),
            ParameterSource::Literal(literal) => assert_eq!(literal, value),
            other => panic!("{other:?}"),
        }
    }
    let types: Vec<_> = values.iter().map(Value::value_type).collect();
    assert_eq!(types, translation.fragment.parameters);
    let other = translation.values_with(&given, &[Value::text("umbrella")]).unwrap();
    assert!(other.contains(&Value::text("umbrella")) && !other.contains(&Value::text("acme")));
    assert!(translation.values(&[]).is_err());
}

#[tokio::test]
async fn equal_constants_share_a_parameter_and_policies_never_do() {
    let sql = "select a + 1, count(*) from r where name = 'acme' group by a + 1";
    let translation = try_translate(sql).await.unwrap();
    let count = |source: fn(&ParameterSource) -> bool| translation.parameters.iter().filter(|s| source(s)).count();
    assert_eq!(count(|source| matches!(source, ParameterSource::Policy(_))), 1);
    assert_eq!(count(|source| matches!(source, ParameterSource::Literal(Value::Text(_)))), 1);
    assert_eq!(count(|source| matches!(source, ParameterSource::Literal(Value::Int64(1)))), 1);
}

/// A source without LIKE and joins.
#[derive(Debug)]
struct Narrow;

impl LeafOpener for Narrow {
    fn open(&self, scan: &TableScan) -> Result<OpenedLeaf, NotPushed> {
        Opener.open(scan)
    }

    fn capabilities(&self, _source: &str) -> Option<&dyn Capabilities> {
        Some(self)
    }
}

impl Capabilities for Narrow {
    fn operator(&self, relation: &Relation, _: &ColumnTypes) -> Result<(), Refusal> {
        match relation {
            Relation::Join { .. } => Err(Refusal::new(RefusalReason::Operator, "join")),
            _ => Ok(()),
        }
    }

    fn scalar(&self, expr: &ScalarExpr, _: &ColumnTypes) -> Result<(), Refusal> {
        match expr {
            ScalarExpr::Like { .. } => Err(Refusal::new(RefusalReason::Collation, "like on text")),
            _ => Ok(()),
        }
    }

    fn aggregate(&self, _: &AggregateExpr, _: &ColumnTypes) -> Result<(), Refusal> {
        Ok(())
    }

    fn window(&self, _: &WindowExpr, _: &ColumnTypes) -> Result<(), Refusal> {
        Ok(())
    }

    fn holds(&self) -> Held {
        Held::OfType
    }

    fn parameters_max(&self) -> usize {
        4
    }
}

#[tokio::test]
async fn what_the_source_cannot_do_is_refused_with_its_reason() {
    for (sql, expected) in [
        ("select id from u where name = 'x'", None),
        ("select id from u where name like 'x%'", Some(RefusalReason::Collation)),
        ("select u.id from u join v on u.id = v.id", Some(RefusalReason::Operator)),
        ("select id from u where a in (1, 2, 3, 4)", None),
        ("select id from u where a in (1, 2, 3, 4, 5)", Some(RefusalReason::Size)),
        ("select id from u where exists (select 1 from v where v.note like 'x')", Some(RefusalReason::Collation)),
    ] {
        let outcome = translate(&bind(sql).await, &Narrow, &SimplifyContext::builder().build());
        assert_eq!(outcome.err().map(|refusal| refusal.reason), expected, "{sql}");
    }
}

/// Table `r` under `tenant LIKE <value>`, which the source cannot run.
#[derive(Debug)]
struct Shy;

impl LeafOpener for Shy {
    fn open(&self, scan: &TableScan) -> Result<OpenedLeaf, NotPushed> {
        let leaf = Opener.open(scan)?;
        let columns = leaf.policy.iter().flat_map(|policy| policy.columns()).collect();
        Ok(OpenedLeaf { policy: Some(Arc::new(Pattern(columns))), restricted: true, ..leaf })
    }

    fn capabilities(&self, _source: &str) -> Option<&dyn Capabilities> {
        Some(&Narrow)
    }
}

struct Pattern(Vec<RemoteColumn>);

impl LeafPolicy for Pattern {
    fn columns(&self) -> Vec<RemoteColumn> {
        self.0.clone()
    }

    fn predicate(&self, columns: &[ColumnId], scope: &mut PolicyScope<'_>) -> Result<ScalarExpr, NotPushed> {
        let expr = Box::new(ScalarExpr::Column(columns[0]));
        Ok(ScalarExpr::Like { expr, pattern: scope.pattern("a%"), negated: false, case_insensitive: false })
    }
}

/// Makes no leaf: nothing may be pushed.
struct Never;

impl LeafBuilder for Never {
    fn leaf(&self, _: Translation) -> querygate_types::Result<LogicalPlan> {
        panic!("something was pushed")
    }
}

#[tokio::test]
async fn what_a_policy_keeps_in_the_gate_is_told_apart() {
    let context = SimplifyContext::builder().build();
    let kept = |opener: &'static dyn LeafOpener| {
        let context = context.clone();
        async move {
            let plan = bind("select count(*) from r where name like 'x%' and length(name) > 1").await;
            let carved = carve(&plan, opener, &Never, &context).unwrap();
            let lines = carved.receipts.with_reasons(opener, &context).into_iter().flat_map(|receipt| receipt.lines);
            lines.map(|line| (line.reason.unwrap_or_default(), line.policy_reason)).collect::<Vec<_>>()
        }
    };
    let of_policy = kept(&Shy).await;
    let of_statement = kept(&Narrow).await;
    assert!(of_policy.iter().all(|(plain, _)| !plain.contains("like")), "{of_policy:?}");
    let told = |(plain, detail): &(String, Option<String>)| {
        plain == "a row policy is applied in the gate"
            && detail.as_ref().is_some_and(|text| text.contains("like on text"))
    };
    assert!(of_policy.iter().any(told), "{of_policy:?}");
    assert!(of_statement.iter().any(|(plain, _)| plain.contains("like on text")), "{of_statement:?}");
    assert!(of_statement.iter().all(|(_, detail)| detail.is_none()), "{of_statement:?}");
}

#[tokio::test]
async fn long_chains_are_pushed() {
    // Far longer ones end the binder's own stack.
    let chain = (0..400).map(|i| format!("a = {i}")).collect::<Vec<_>>().join(" or ");
    let translation = try_translate(&format!("select id from u where {chain}")).await.unwrap();
    assert_eq!(translation.fragment.parameters.len(), 400);
}

#[tokio::test]
async fn deep_nesting_is_refused_before_the_stack_ends() {
    let nested = (0..400).fold("a".to_owned(), |inner, _| format!("case when ok then {inner} else 1 end"));
    let state = support::tables::context().state();
    if let Ok(plan) = state.create_logical_plan(&format!("select {nested} from u")).await {
        let refusal = translate(&plan, &Opener, &SimplifyContext::builder().build()).unwrap_err();
        assert_eq!(refusal.reason, RefusalReason::Size);
    }
}
