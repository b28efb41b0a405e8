//! `GET /data/:object/:id`: one record.

use super::expand::{Expansions, check_names};
use super::list::{about, described};
use crate::answer::{JSON, text};
use crate::call::{Call, Named, Parameters};
use crate::code::Code;
use crate::data::own;
use crate::data::question::Expand;
use crate::refusal::{Envelope, Refusal};
use crate::site::Shared;
use crate::work::Work;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use querygate_query_api::requests::question::{ObjectDescription, Question};
use querygate_types::json::print::quoted;
use querygate_types::vendor::VendorCode;

pub(crate) async fn get_record(
    State(site): Shared,
    Named((object, id)): Named<(String, String)>,
    call: Call,
) -> Response {
    let answer = async {
        let is_own = site.keeps_own(&call, &object)?;
        let work = site.work(&call).await?;
        let parameters = call.parameters()?;
        if is_own {
            refuse_unknown(&parameters, &["select"])?;
            return own::one(&work, &object, &id, ByKey::of(&parameters).fields.as_deref());
        }
        let described = described(&work, &object, "get").await?;
        refuse_unknown(&parameters, &["expand", "select"])?;
        let ask = ByKey::of(&parameters);
        let record = ask.record(&work, &described, &id).await.map_err(|refusal| match refusal.code() {
            // The vendor's status for names that are not there, on this route.
            Code::Vendor(VendorCode::InvalidField) => refusal.with_status(StatusCode::NOT_FOUND),
            _ => refusal,
        })?;
        let mut body = String::from("{\"object\":");
        quoted(&object, &mut body);
        body.push_str(",\"id\":");
        quoted(&id, &mut body);
        body.push_str(",\"record\":");
        body.push_str(&record);
        body.push('}');
        Ok(text(StatusCode::OK, JSON, body))
    };
    about(&object, answer.await)
}

/// # Errors
/// A parameter that the route does not know.
pub(crate) fn refuse_unknown(parameters: &Parameters, known: &[&str]) -> Result<(), Refusal> {
    match parameters.iter().map(|(name, _)| name).find(|name| !known.contains(name)) {
        None => Ok(()),
        Some(name) => {
            let message = format!(
                "The \"{name}\" query parameter is not supported by this endpoint. This endpoint will not silently ignore \
                 a parameter it does not understand — an ignored filter is indistinguishable from one that matched \
                 everything. Supported parameters: {}.",
                known.join(", ")
            );
            Err(Refusal::new(VendorCode::ValidationError, message).within(Envelope::Nested))
        }
    }
}

/// The value of a parameter that this route takes once.
///
/// # Errors
/// It occurs twice.
pub(crate) fn once<'a>(parameters: &'a Parameters, name: &'a str) -> Result<Option<&'a str>, Refusal> {
    parameters.one(name).map_err(|_| {
        let times = parameters.all(name).count();
        let message = format!(
            "The \"{name}\" query parameter was supplied {times} times. Supply it at most once — this endpoint will not \
             choose between conflicting values."
        );
        Refusal::new(VendorCode::ValidationError, message).within(Envelope::Nested)
    })
}

pub(crate) fn not_found(object: &str, id: &str) -> Refusal {
    Refusal::new(VendorCode::RecordNotFound, format!("Record {id} not found in {object}"))
}

/// What is wanted of one record.
#[derive(Debug, Default)]
struct ByKey {
    fields: Option<Vec<String>>,
    expand: Vec<Expand>,
}

impl ByKey {
    fn of(parameters: &Parameters) -> Self {
        let names = |name: &str| -> Vec<String> {
            let all = parameters.all(name).flat_map(|value| value.split(',')).map(str::trim);
            all.filter(|name| !name.is_empty()).map(str::to_owned).collect()
        };
        let mut expand = Vec::new();
        for path in names("expand") {
            Expand::add(&mut expand, &path);
        }
        Self { fields: Some(names("select")).filter(|names| !names.is_empty()), expand }
    }

    /// The record, printed.
    async fn record(&self, work: &Work, object: &ObjectDescription, id: &str) -> Result<String, Refusal> {
        Expand::check_bounds(&self.expand)?;
        check_names(work, object, &self.expand).await?;
        if !object.has_path() {
            return Err(not_found(&object.name, id));
        }
        let question = Question {
            object: object.name.clone(),
            keys: Some(vec![id.to_owned()]),
            fields: self.fields.clone(),
            limit: Some(1),
            ..Question::default()
        };
        let mut found = work.find(&question).await?;
        let printer = found.next().await?.ok_or_else(|| not_found(&object.name, id))?;
        let printers = [printer];
        let expansions = Expansions::of(work, &printers, &self.expand).await?;
        let [printer] = &printers;
        let mut record = String::new();
        printer.print(0, &mut record, |column, row, out| expansions.print(printer, column, row, out), |_| false)?;
        Ok(record)
    }
}
