//! `/analytics`: measures by dimensions of one object, each asked as a governed question. Who lacks a right on an object or a field
//! has neither in what is listed nor in what is computed.

mod ask;
mod compared;
mod condition;
mod dataset;
mod fields;
mod grid;
mod model;
mod spans;
mod sql;

use crate::answer::{JSON, charged, wrapped};
use crate::call::Call;
use crate::callers::Identity;
use crate::code::Code;
use crate::data::opens;
use crate::refusal::{Envelope, Refusal};
use crate::site::{Shared, Site};
use crate::work::{Held, Work};
use ask::Selection;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use fields::ModelFields;
use model::{Asked, Model};
use querygate_query_api::requests::question::ObjectDescription;
use querygate_types::vendor::VendorCode;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Rows of an answer.
const ROWS_MAX: u64 = 10_000;
/// Names of windows of time.
pub(crate) fn windows() -> [&'static str; 13] {
    spans::PRESETS.map(|(name, _)| name)
}

/// Largest body.
const BODY_BYTES_MAX: usize = 256 << 10;

/// `GET /analytics/meta`: cubes whose object the principal may read.
pub(crate) async fn meta(State(site): Shared, call: Call) -> Response {
    let answer = async {
        let identity = site.identify(&call)?;
        let parameters = call.parameters()?;
        let wanted = parameters.one("cube")?;
        let work = site.open(&identity.principal, &call).await?;
        let person = site.platform.person(&identity.principal.login);
        let administers = person.is_some_and(|person| person.is_platform_admin);
        let mut cubes = Vec::new();
        let declared = site.platform.cubes();
        for (name, cube) in declared.iter().filter(|(name, _)| wanted.is_none_or(|wanted| wanted == name)) {
            let Some(object) = readable(&work, model::object_of(cube)).await? else { continue };
            let fields = ModelFields::of(&work, object, model::cube_paths(cube), cube.get("joins")).await?;
            cubes.push(Model::of_cube(name, cube, fields).told(administers));
        }
        Ok(wrapped(StatusCode::OK, &Value::Array(cubes)))
    };
    answer.await.unwrap_or_else(|refusal: Refusal| refusal.into_answer(Envelope::Wrapped))
}

/// `POST /analytics/query`.
pub(crate) async fn query(State(site): Shared, call: Call) -> Response {
    let answer = async {
        let identity = site.identify(&call)?;
        let work = site.open(&identity.principal, &call).await?;
        let (cube, selection) = Selection::of_query(&call.json_if_any(BODY_BYTES_MAX).await?.unwrap_or_default())?;
        let model = site.cube(&work, &cube, &selection).await?;
        let (rows, mut fields, held) = run(&work, &model, &selection).await?;
        // What a column is called is said of datasets only.
        fields.iter_mut().filter_map(Value::as_object_mut).for_each(|field| drop(field.shift_remove("label")));
        let (fields, sql) = (Value::Array(fields), sql_member(&model, &selection));
        let body = format!("{{\"success\":true,\"data\":{{\"rows\":[{rows}],\"fields\":{fields}{sql}}}}}");
        Ok(charged(JSON, body, held))
    };
    answer.await.unwrap_or_else(|refusal: Refusal| refusal.into_answer(Envelope::Wrapped))
}

/// `POST /analytics/sql`: a query as SQL for people. It says what is asked, and nothing of rules.
pub(crate) async fn sql(State(site): Shared, call: Call) -> Response {
    let answer = async {
        let identity = site.identify(&call)?;
        let work = site.open(&identity.principal, &call).await?;
        let (cube, selection) = Selection::of_query(&call.json_if_any(BODY_BYTES_MAX).await?.unwrap_or_default())?;
        let model = site.cube(&work, &cube, &selection).await?;
        work.check(&model.asked(&selection)?.question).await?;
        let printed = sql::printed(&model, &selection);
        let printed = printed.ok_or_else(|| Refusal::not_implemented("SQL text of such conditions"))?;
        Ok(wrapped(StatusCode::OK, &json!({"sql": printed.text, "params": printed.values})))
    };
    answer.await.unwrap_or_else(|refusal: Refusal| refusal.into_answer(Envelope::Wrapped))
}

/// The text of a query as a further member of an answer; nothing where it has none.
fn sql_member(model: &Model, selection: &Selection) -> String {
    let printed = sql::printed(model, selection);
    printed.map(|printed| format!(",\"sql\":{}", Value::from(printed.text))).unwrap_or_default()
}

/// `POST /analytics/dataset/query`: a dataset of the metadata, or one that the body describes.
pub(crate) async fn dataset(State(site): Shared, call: Call) -> Response {
    let answer = async {
        let identity: Identity = site.identify(&call)?;
        let work = site.open(&identity.principal, &call).await?;
        let body = call.object(BODY_BYTES_MAX).await?;
        let selection = Selection::of_dataset(&body)?;
        let model = site.dataset(&work, &body).await?;
        let answer = dataset::answer(&work, &model, &selection).await?;
        let (body, held) = answer.printed(&model, &selection)?;
        Ok(charged(JSON, body, held))
    };
    answer.await.unwrap_or_else(|refusal: Refusal| refusal.into_answer(Envelope::Message))
}

/// An object, where the principal may read it and metadata opens it for lists of records.
async fn readable(work: &Work, name: Option<&str>) -> Result<Option<Arc<ObjectDescription>>, Refusal> {
    let Some(name) = name else { return Ok(None) };
    match work.session().object(name).await.map_err(Refusal::from) {
        Ok(object) => Ok(Some(object).filter(|object| opens(object, "list").is_ok())),
        Err(refusal) if matches!(refusal.status().as_u16(), 403 | 404) => Ok(None),
        Err(refusal) => Err(refusal),
    }
}

impl Site {
    /// A cube of the metadata, or an object as one. One that is not public, or that the principal may not read, is as one
    /// that is not there.
    async fn cube(&self, work: &Work, name: &str, selection: &Selection) -> Result<Model, Refusal> {
        let cubes = self.platform.cubes();
        let declared = cubes.iter().find(|(other, _)| other == name).map(|(_, cube)| cube);
        let found = readable(work, declared.map_or(Some(name), model::object_of)).await?;
        let none = || Refusal::new(Code::CubeNotFound, format!("There is no cube '{name}'."));
        let object = found.ok_or_else(none)?;
        // A query may name paths, too.
        let own = selection.names().into_iter().map(|other| model::own_of(name, other));
        let mut paths = fields::paths_of(own);
        paths.extend(declared.map(model::cube_paths).unwrap_or_default());
        let joins = declared.and_then(|cube| cube.get("joins"));
        let fields = ModelFields::of(work, object, paths, joins).await?;
        Ok(match declared {
            Some(cube) => Model::of_cube(name, cube, fields),
            None => Model::of_object(name, fields),
        })
    }

    async fn dataset(&self, work: &Work, body: &Map<String, Value>) -> Result<Model, Refusal> {
        let named = body.get("datasetName").or(body.get("dataset")).and_then(Value::as_str);
        let found = match (named, body.get("dataset")) {
            (Some(name), _) => self.platform.declared_item("dataset", name),
            (None, Some(given @ Value::Object(_))) => {
                model::check_dataset(given)?;
                Some(given.clone())
            }
            (None, _) => {
                let message = "body.dataset or body.datasetName is required.";
                return Err(Refusal::new(VendorCode::ValidationFailed, message));
            }
        };
        let name = named.unwrap_or("dataset");
        let model = match &found {
            Some(found) => {
                let object = found.get("object").and_then(Value::as_str);
                let model = match readable(work, object).await? {
                    Some(object) => {
                        let fields = ModelFields::of(work, object, model::dataset_paths(found), None).await?;
                        Some(Model::of_dataset(name, found, fields))
                    }
                    None => None,
                };
                // One that narrows by what the principal does not see is as one that is not there, unless it is the principal's own.
                model.filter(|model| named.is_none() || model.is_filter_open())
            }
            None => None,
        };
        model.ok_or_else(|| Refusal::new(Code::NotFound, format!("Dataset \"{name}\" not found.")))
    }
}

/// Rows as JSON, what their columns are, and the memory of two copies of the rows.
///
/// # Errors
/// As of the question; `INVALID_QUERY` of more rows than an answer has.
async fn run(work: &Work, model: &Model, selection: &Selection) -> Result<(String, Vec<Value>, Held), Refusal> {
    // One more than there may be, where nothing that was asked for bounds them: then there are too many.
    let limit = if selection.is_bounded() { selection.limit } else { ROWS_MAX + 1 };
    let Asked { question, fields } = model.asked(&Selection { limit, ..selection.clone() })?;
    let mut found = work.find(&question).await?;
    let (mut rows, mut held, mut count) = (String::new(), work.held(), 0);
    while let Some(printer) = found.next().await? {
        for row in 0..printer.rows {
            count += 1;
            if count > ROWS_MAX {
                return Err(too_many_rows());
            }
            let before = rows.len();
            if !rows.is_empty() {
                rows.push(',');
            }
            printer.print(row, &mut rows, |_, _, _| Ok(false), |_| false)?;
            held.grow((rows.len() - before).saturating_mul(2))?;
        }
    }
    Ok((rows, fields, held))
}

fn too_many_rows() -> Refusal {
    let message = format!(
        "An answer has at most {ROWS_MAX} rows, and there are more. Narrow the query, or ask for pages: an offset, and a limit of \
         {ROWS_MAX} or less."
    );
    Refusal::new(VendorCode::InvalidQuery, message)
}
