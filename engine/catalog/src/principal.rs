//! One principal's catalog: the objects and fields that policy lets it see, each behind a governed leaf. What is hidden
//! is not there at all: not in schemas, not in catalogs, not in error texts.

use crate::arrow_types::{arrow_field, with_pg_type};
use crate::deployment::{Deployment, SourceTable};
use crate::leaf::{
    ColumnMask, ColumnOrigin, FormulaColumn, GovernedColumn, GovernedTable, InputKind, LeafPolicy, RelatedKeys,
    TextReading,
};
use crate::named::NamedTable;
use crate::row_filter::{RelatedTest, lower};
use crate::unavailable::UnavailableTable;
use arrow::datatypes::{DataType, Schema};
use datafusion::common::{Constraint, Constraints};
use datafusion::logical_expr::lit;
use querygate_metadata::model::{Field, Object, ValueType};
use querygate_pg_catalog::LeafToken;
use querygate_policy::write::WriteOperation;
use querygate_policy::{Evaluator, Permit, ReadDecision, RowFilter, resolve_principal};
use querygate_types::principal::Principal;
use querygate_types::{Error, ErrorCode, Result};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// An object as one principal sees it.
#[derive(Debug, Clone)]
pub struct VisibleObject {
    /// Name in schema `public`.
    pub sql_name: String,
    pub object: Arc<Object>,
    pub decision: Arc<ReadDecision>,
    pub table: Arc<GovernedTable>,
    /// How statements name its columns, where they find more than its reader may read.
    pub named: Option<Arc<NamedTable>>,
}

impl VisibleObject {
    /// Metadata of the visible columns, in their order.
    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        self.table.columns().iter().filter_map(|column| self.object.field(column.field.name()))
    }

    /// Whether a row policy may hide rows of it.
    #[must_use]
    pub fn hides_rows(&self) -> bool {
        self.table.policy().restricts()
    }
}

/// Makes the governed tables of a principal. `now_ms`: milliseconds since 1970, for memberships with an end.
///
/// An object whose policy cannot be applied (a column that its source lacks, a rule that does not compile) is there, what reads it
/// is refused, and the log says why.
#[must_use]
pub(crate) fn visible_objects(deployment: &Deployment, principal: &Principal, now_ms: i64) -> Vec<VisibleObject> {
    let evaluator = Evaluator { policy: &deployment.policies, principal, facts: &deployment.facts, now_ms };
    let token = token(deployment, principal, now_ms);
    let mut visible = Vec::new();
    for (sql_name, object) in deployment.sql_names() {
        let Some(source) = deployment.tables.get(&object.name) else { continue };
        if !object.api_enabled {
            continue;
        }
        let decision = evaluator.decide_read(&object.name);
        let Ok(permit) = decision.permit() else { continue };
        let maker = TableMaker { deployment, permit: &permit, token: &token };
        let table = match maker.table(&sql_name, &object, source, &decision).and_then(GovernedTable::with_named_plan) {
            Ok(table) => table,
            Err(error) => {
                tracing::error!(object = object.name, cause = error.cause(), "the object is left out");
                continue;
            }
        };
        if table.columns().is_empty() {
            continue;
        }
        let named =
            if deployment.deny_hidden_columns { NamedTable::of(&table, &object, source, &decision) } else { None };
        visible.push(VisibleObject { sql_name, object, decision: Arc::new(decision), table, named });
    }
    visible
}

/// The token of a principal on a deployment. `now_ms`: the time at which policy decides, in milliseconds since 1970.
#[must_use]
pub(crate) fn token(deployment: &Deployment, principal: &Principal, now_ms: i64) -> LeafToken {
    let mut hasher = std::hash::DefaultHasher::new();
    format!("{principal:?}").hash(&mut hasher);
    LeafToken {
        state_version: deployment.version,
        principal: hasher.finish(),
        until_ms: deployment.facts.next_boundary(now_ms),
    }
}

/// Whether a login may read with `newer` all that it may read with `older`. `false` where that is not plain.
/// `now_ms`: milliseconds since 1970.
#[must_use]
pub fn keeps_rights(older: &Deployment, newer: &Deployment, login: &Principal, now_ms: i64) -> bool {
    let resolved = |of: &Deployment| resolve_principal(login.clone(), &of.policies, &of.facts, now_ms);
    let (before, after) = (resolved(older), resolved(newer));
    let decide = |of: &Deployment, principal: &Principal, object: &str| {
        Evaluator { policy: &of.policies, principal, facts: &of.facts, now_ms }.decide_read(object)
    };
    older.snapshot.objects.values().filter(|object| object.api_enabled).all(|object| {
        let had = decide(older, &before, &object.name);
        if !had.is_allowed() {
            return true;
        }
        let has = decide(newer, &after, &object.name);
        let served = newer.snapshot.objects.get(&object.name).is_some_and(|object| object.api_enabled);
        let rows = has.row_filter().covers(had.row_filter());
        // Objects added since were in no catalog.
        let had_field = |field: &String| object.field(field).is_some() && !had.hidden_fields().contains(field);
        let hides = has.hidden_fields().iter().any(had_field);
        // A field that metadata no longer has is taken away from every reader.
        let stays =
            |field: &str| newer.snapshot.objects.get(&object.name).is_some_and(|new| new.field(field).is_some());
        let lost = object.fields.values().any(|field| had_field(&field.name) && !stays(&field.name));
        let masks = has.masks().iter().any(|(field, mask)| had_field(field) && had.masks().get(field) != Some(mask));
        served && has.is_allowed() && rows && !hides && !masks && !lost
    })
}

/// Whether a login may change with `newer` all that it may change with `older`. `false` where that is not plain.
/// `now_ms`: milliseconds since 1970.
#[must_use]
pub fn keeps_write_rights(older: &Deployment, newer: &Deployment, login: &Principal, now_ms: i64) -> bool {
    let resolved = |of: &Deployment| resolve_principal(login.clone(), &of.policies, &of.facts, now_ms);
    let (before, after) = (resolved(older), resolved(newer));
    let decide = |of: &Deployment, principal: &Principal, object: &str, operation| {
        Evaluator { policy: &of.policies, principal, facts: &of.facts, now_ms }.decide_target(object, operation)
    };
    let operations = [WriteOperation::Insert, WriteOperation::Update, WriteOperation::Delete];
    older.snapshot.objects.values().all(|object| {
        operations.into_iter().all(|operation| {
            let had = decide(older, &before, &object.name, operation);
            had.is_kept_by(&decide(newer, &after, &object.name, operation))
        })
    })
}

struct TableMaker<'a> {
    deployment: &'a Deployment,
    permit: &'a Permit,
    token: &'a LeafToken,
}

impl TableMaker<'_> {
    fn table(
        &self,
        sql_name: &str,
        object: &Object,
        source: &SourceTable,
        decision: &ReadDecision,
    ) -> Result<GovernedTable> {
        let columns = self.columns(object, source, decision);
        let keys = primary_key(object, &columns);
        let token = self.token.clone();
        let table = match self.applied(decision, source, &object.name) {
            Some(policy) => GovernedTable::new(self.permit, token, &object.name, sql_name, source, columns, policy)?,
            None => {
                let refused = refused(sql_name, source);
                let nothing = LeafPolicy { conjuncts: vec![lit(false)], related: Vec::new() };
                GovernedTable::new(self.permit, token, &object.name, sql_name, &refused, columns, nothing)?
            }
        };
        Ok(match keys {
            Some(keys) => table.with_constraints(keys),
            None => table,
        })
    }

    /// Columns that the reader may see: stored ones that the source has, typed as the source gives them, and formulas.
    fn columns(&self, object: &Object, source: &SourceTable, decision: &ReadDecision) -> Vec<GovernedColumn> {
        let schema = source.provider.schema();
        object
            .fields
            .values()
            .filter(|field| !field.phantom && !decision.hidden_fields().contains(&field.name))
            .filter_map(|field| {
                let declared = arrow_field(field);
                let (served, origin) = if field.stored() {
                    let (raw_index, raw) = schema.column_with_name(&field.name)?;
                    let served = raw.clone().with_metadata(declared.metadata().clone());
                    match TextReading::of(field.value_type(), raw.data_type()) {
                        Some(reading) => {
                            let served = served.with_data_type(declared.data_type().clone());
                            (served, ColumnOrigin::Text(raw_index, reading))
                        }
                        None => (served, ColumnOrigin::Raw(raw_index)),
                    }
                } else {
                    let formula = self.formula(object, field, &schema, decision)?;
                    (declared.with_nullable(true), ColumnOrigin::Formula(formula))
                };
                let mask = decision.masks().get(&field.name).map(|mask| ColumnMask::of(mask.clone()));
                Some(GovernedColumn { field: with_pg_type(served, field.pg_type()), origin, mask })
            })
            .collect()
    }

    /// A formula is there for those who see all that it reads: its value would tell a hidden or masked one.
    fn formula(
        &self,
        object: &Object,
        field: &Field,
        schema: &Schema,
        decision: &ReadDecision,
    ) -> Option<FormulaColumn> {
        let formula = self.deployment.policies.formula(&object.name, &field.name)?;
        let inputs = formula.inputs().iter().map(|name| {
            let input = object.field(name).filter(|input| input.stored())?;
            if decision.hidden_fields().contains(name) || decision.masks().contains_key(name) {
                return None;
            }
            let (index, kind) = (schema.index_of(name).ok()?, input_kind(input.value_type())?);
            // A column that was widened to text is not what the formula computes with.
            let is_text =
                matches!(schema.field(index).data_type(), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
            (is_text == (kind == InputKind::Text)).then_some((index, kind))
        });
        Some(FormulaColumn { formula: Arc::clone(formula), inputs: inputs.collect::<Option<_>>()? })
    }

    /// The row policy, unless it cannot be applied exactly.
    fn applied(&self, decision: &ReadDecision, source: &SourceTable, object: &str) -> Option<LeafPolicy> {
        const REFUSED: &str = "a rule that decides about rows cannot be applied; reads are refused";
        if let Some(rule) = decision.unusable_rule() {
            tracing::error!(object, rule, "{REFUSED}");
            return None;
        }
        let policy = self.policy(decision.row_filter(), source);
        policy.inspect_err(|error| tracing::error!(object, cause = error.cause(), "{REFUSED}")).ok()
    }

    fn policy(&self, filter: &RowFilter, source: &SourceTable) -> Result<LeafPolicy> {
        let lowered = lower(filter, &source.provider.schema())?;
        let related = lowered.related.into_iter().map(|test| self.related(test)).collect::<Result<Vec<_>>>()?;
        Ok(LeafPolicy { conjuncts: lowered.conjuncts, related })
    }

    fn related(&self, test: RelatedTest) -> Result<RelatedKeys> {
        let missing =
            || querygate_types::Error::internal(format!("policy names object {}, which has no source", test.object));
        let source = self.deployment.tables.get(&test.object).ok_or_else(missing)?;
        let policy = self.policy(&test.filter, source)?;
        let token = self.token.clone();
        let master = GovernedTable::keys(self.permit, token, &test.object, &test.select, source, policy)?;
        Ok(RelatedKeys { column: test.column, master: Arc::new(master), key: test.select, mark: test.mark })
    }
}

/// The table of an object whose rules cannot be applied: reading it is an error, instead of finding no rows.
fn refused(sql_name: &str, source: &SourceTable) -> SourceTable {
    let error = Error::new(ErrorCode::InsufficientPrivilege, format!("permission denied for table {sql_name}")).with_hint(
        "A rule that decides about its rows cannot be applied. An operator finds it with `querygate check` and in the log.",
    );
    let provider = Arc::new(UnavailableTable::new(source.provider.schema(), error));
    SourceTable::new(Arc::clone(&source.source), provider)
}

/// What formulas read of a value; `None` for those that they refuse.
fn input_kind(value_type: ValueType) -> Option<InputKind> {
    match value_type {
        ValueType::Text | ValueType::Uuid | ValueType::Coded(_) => Some(InputKind::Text),
        ValueType::TextList => Some(InputKind::TextList),
        ValueType::Float64
        | ValueType::Float32
        | ValueType::Int16
        | ValueType::Int32
        | ValueType::Int64
        | ValueType::Decimal { .. } => Some(InputKind::Number),
        ValueType::Boolean => Some(InputKind::Boolean),
        ValueType::Date => Some(InputKind::Date),
        ValueType::TimestampMillisUtc | ValueType::Timestamp { .. } => Some(InputKind::Timestamp),
        ValueType::List(_)
        | ValueType::Numeric { .. }
        | ValueType::Interval
        | ValueType::TimeTz
        | ValueType::Network { .. }
        | ValueType::Binary
        | ValueType::JsonText
        | ValueType::Json
        | ValueType::Time
        | ValueType::Float32Vector(_) => None,
    }
}

/// The key is unique among all rows, so among the visible ones; not where part of it is hidden, masked or may be NULL.
fn primary_key(object: &Object, columns: &[GovernedColumn]) -> Option<Constraints> {
    let place = |field: &&Field| {
        let is_it = |column: &GovernedColumn| {
            column.field.name() == &field.name && column.mask.is_none() && !column.field.is_nullable()
        };
        columns.iter().position(is_it)
    };
    let places = object.key().iter().map(place).collect::<Option<Vec<_>>>()?;
    (!places.is_empty()).then(|| Constraints::new_unverified(vec![Constraint::PrimaryKey(places)]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{deployed, principal, rows, stack, visible};
    use serde_json::json;

    fn names(objects: &[VisibleObject]) -> Vec<(&str, Vec<&str>)> {
        objects
            .iter()
            .map(|object| {
                let columns = object.table.columns().iter().map(|column| column.field.name().as_str());
                (object.sql_name.as_str(), columns.collect())
            })
            .collect()
    }

    /// What is hidden is not there: no object, no column, and no formula that would tell of one.
    #[test]
    fn a_reader_sees_what_policy_lets_it_see() {
        let deployment = deployed(&stack(), 1);
        let (chief, clerk) = (visible(&deployment, "chief"), visible(&deployment, "clerk"));
        assert_eq!(
            names(&chief),
            [
                ("notes", vec!["id", "person", "words"]),
                ("pay", vec!["id", "person"]),
                ("people", vec!["id", "name", "grade", "phone", "zone", "loud", "shown"]),
            ]
        );
        assert_eq!(
            names(&clerk),
            [
                ("notes", vec!["id", "person", "words"]),
                // The formula over the masked column is gone with what it would tell.
                ("people", vec!["id", "name", "grade", "phone", "loud"]),
            ]
        );
        assert_eq!(visible(&deployment, "nobody").len(), 0);
        assert_eq!(
            clerk[1].fields().map(|field| field.name.as_str()).collect::<Vec<_>>(),
            ["id", "name", "grade", "phone", "loud"]
        );
    }

    #[tokio::test]
    async fn rows_masks_and_formulas_are_the_readers() {
        let deployment = deployed(&stack(), 1);
        let (chief, clerk) = (visible(&deployment, "chief"), visible(&deployment, "clerk"));
        let people = "SELECT id, phone, loud FROM people ORDER BY id";
        assert_eq!(rows(&chief, people).await, ["p1|5551771|Ann!", "p2|NULL|Bob!", "p3|5553993|Cid!"]);
        assert_eq!(rows(&clerk, people).await, ["p1|*****71|Ann!", "p2|NULL|Bob!"]);
        // Notes are seen with the person that they are of, and with nobody else.
        let notes = "SELECT id, words FROM notes ORDER BY id";
        assert_eq!(rows(&clerk, notes).await, ["n1|good"]);
        assert_eq!(rows(&clerk, "SELECT count(*) FROM people").await, ["2"]);
        // A condition on a masked column sees the mask.
        assert_eq!(rows(&clerk, "SELECT id FROM people WHERE phone LIKE '555%'").await, Vec::<String>::new());
        assert_eq!(rows(&clerk, "SELECT id FROM people WHERE phone = '*****71'").await, ["p1"]);
        assert_eq!(rows(&clerk, "SELECT p.id FROM people p JOIN notes n ON n.person = p.id").await, ["p1"]);
    }

    /// A key of which a part is hidden, masked or may be NULL is none.
    #[test]
    fn a_key_is_one_where_all_of_it_is_seen() {
        let deployment = deployed(&stack(), 1);
        let people = visible(&deployment, "clerk").pop().unwrap();
        assert!(primary_key(&people.object, people.table.columns()).is_some());
        let mut columns = people.table.columns().to_vec();
        let id = columns.iter().position(|column| column.field.name() == "id").unwrap();
        columns[id].field = columns[id].field.clone().with_nullable(true);
        assert!(primary_key(&people.object, &columns).is_none(), "may be NULL");
        columns.remove(id);
        assert!(primary_key(&people.object, &columns).is_none(), "hidden");
    }

    /// A token is of one principal on one version.
    #[test]
    fn tokens_of_other_rights_differ() {
        let (first, second) = (deployed(&stack(), 1), deployed(&stack(), 2));
        let of = |deployment: &Deployment, set: &str| token(deployment, &principal(set), 0);
        assert_eq!(of(&first, "clerk"), of(&first, "clerk"));
        assert_ne!(of(&first, "clerk"), of(&first, "chief"));
        assert_ne!(of(&first, "clerk"), of(&second, "clerk"));
    }

    /// A rule that cannot be applied refuses all rows of its object with a reason, instead of finding none.
    #[tokio::test]
    async fn a_rule_that_cannot_be_applied_refuses_reads() {
        let deployment = deployed(&stack(), 1);
        let mut without_zone =
            Deployment { tables: deployment.tables.clone(), ..Arc::into_inner(deployed(&stack(), 1)).unwrap() };
        let table = &without_zone.tables["team_people"];
        let kept: Vec<usize> = (0..table.provider.schema().fields().len())
            .filter(|at| table.provider.schema().field(*at).name() != "zone")
            .collect();
        let schema = Arc::new(table.provider.schema().project(&kept).unwrap());
        let provider = Arc::new(datafusion::datasource::empty::EmptyTable::new(schema));
        without_zone.tables.insert("team_people".to_owned(), SourceTable::new("near", provider));
        let people = visible(&without_zone, "clerk").pop().unwrap();
        let context = datafusion::prelude::SessionContext::new();
        let planned = context.read_table(people.table).unwrap().collect().await.unwrap_err();
        assert!(planned.to_string().contains("permission denied for table people"), "{planned}");
        // Who has no such rule is not stopped by it.
        assert_eq!(rows(&visible(&without_zone, "chief"), "SELECT count(*) FROM people").await, ["0"]);
    }

    /// A session keeps a version as long as the newer one gives it at least as much.
    #[test]
    fn rights_are_kept_where_nothing_is_taken() {
        let changed = |change: &dyn Fn(&mut serde_json::Value)| {
            let mut stack = stack();
            change(&mut stack);
            deployed(&stack, 2)
        };
        let older = deployed(&stack(), 1);
        let keeps = |newer: &Deployment, set: &str| keeps_rights(&older, newer, &principal(set), 0);
        let same = changed(&|_| ());
        assert!(keeps(&same, "clerk") && keeps(&same, "chief"));
        let no_object =
            changed(&|stack| stack["permissions"][1]["objects"]["team_notes"] = json!({"allowRead": false}));
        assert!(!keeps(&no_object, "clerk") && keeps(&no_object, "chief"));
        let hidden =
            changed(&|stack| stack["permissions"][1]["fields"]["team_people.grade"] = json!({"readable": false}));
        assert!(!keeps(&hidden, "clerk"));
        let other_rows =
            changed(&|stack| stack["permissions"][1]["rowLevelSecurity"][0]["using"] = "zone == 's'".into());
        assert!(!keeps(&other_rows, "clerk") && keeps(&other_rows, "chief"));
        let no_field = changed(&|stack| drop(stack["objects"][2]["fields"].as_object_mut().unwrap().remove("person")));
        assert!(!keeps(&no_field, "chief"));
        let more = changed(&|stack| stack["objects"][2]["fields"]["bonus"] = json!({"type": "text", "label": "Bonus"}));
        assert!(keeps(&more, "chief"), "what was added since nobody had");
    }
}
