//! One client at a record: who else is there, as long as it sees the record itself. A client that does not see it any more is not there either.

use crate::call::Call;
use crate::presence::Place;
use crate::refusal::Refusal;
use crate::site::Site;
use crate::work::Work;
use chrono::Utc;
use futures::stream::{BoxStream, unfold};
use futures::{FutureExt, StreamExt};
use querygate_query_api::holding::Occupation;
use querygate_query_api::requests::question::Question;
use querygate_types::principal::Principal;
use querygate_types::vendor::VendorCode;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// How soon a client hears again who is there, and how often it is looked whether it still sees the record.
const PAUSE: Duration = Duration::from_millis(250);
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The vendor's object of users, which says their names to those who may read it.
const USERS: &str = "sys_user";

/// What a client asks to be at.
#[derive(Debug)]
pub(super) struct Attend {
    pub(super) id: String,
    pub(super) object: String,
    pub(super) record: String,
    /// Whether the others there see it.
    pub(super) is_shown: bool,
}

/// A client at a record.
pub(super) struct Attendance {
    id: String,
    work: Work,
    question: Question,
    place: Place,
    told: Option<String>,
    /// Shows that it is there to those who may end its session.
    _shown: Box<dyn Send + Sync>,
}

impl Attendance {
    /// # Errors
    /// The record is not there, or not to be seen: they are alike.
    pub(super) async fn begin(
        site: &Site,
        principal: &Arc<Principal>,
        call: &Call,
        attend: Attend,
    ) -> Result<Self, Refusal> {
        let Attend { id, object, record, is_shown } = attend;
        let work = site.open(principal, call).await?;
        let described = crate::data::described(&work, &object, "get").await?;
        let fields = described.key.clone().map_or_else(|| described.key_fields.clone(), |key| vec![key]);
        let question = Question {
            object: object.clone(),
            keys: Some(vec![record.clone()]),
            fields: Some(fields),
            ..Question::default()
        };
        sees(&work, &question).await?;
        let shown = work.session().occupy(Occupation::Presence, &object);
        let place =
            site.presence.enter((object, record), &principal.user_id, is_shown, Utc::now().timestamp_millis())?;
        Ok(Self { id, work, question, place, told: None, _shown: shown })
    }

    /// Who is there, each time that this changes.
    pub(super) fn messages(self) -> BoxStream<'static, Result<String, Refusal>> {
        let messages = unfold(Some(self), |attendance| async move {
            let mut attendance = attendance?;
            let message = attendance.next().await;
            let goes_on = message.is_ok();
            Some((message, goes_on.then_some(attendance)))
        });
        messages.boxed()
    }

    async fn next(&mut self) -> Result<String, Refusal> {
        loop {
            if self.told.is_some() {
                tokio::select! {
                    _ = tokio::time::timeout(LOOK_EVERY, self.place.changed()) => {}
                    // It sees nothing any more.
                    () = self.work.session().ended() => {}
                }
                tokio::time::sleep(PAUSE).await;
            }
            sees(&self.work, &self.question).await?;
            let people = self.place.people();
            let ids: Vec<String> = people.iter().map(|(user, _)| user.to_string()).collect();
            let names = names(&self.work, ids).await;
            let present = people.iter().map(|(user, since)| {
                let mut one = json!({"user": &**user, "since": since});
                if let (Some(name), Some(one)) = (names.get(&**user), one.as_object_mut()) {
                    one.insert("name".to_owned(), name.clone());
                }
                one
            });
            let present: Vec<Value> = present.collect();
            let message = json!({"type": "presence", "id": self.id, "present": present}).to_string();
            if self.told.as_ref() != Some(&message) {
                self.told = Some(message.clone());
                return Ok(message);
            }
        }
    }
}

/// # Errors
/// The record is not there, or not to be seen.
async fn sees(work: &Work, question: &Question) -> Result<(), Refusal> {
    match work.find(question).await?.next().await? {
        Some(_) => Ok(()),
        None => Err(Refusal::new(VendorCode::RecordNotFound, "Record not found.")),
    }
}

/// Names of users, as far as the reader may read them.
async fn names(work: &Work, ids: Vec<String>) -> HashMap<String, Value> {
    let read = async {
        let described = work.object_if_seen(USERS).await.ok().flatten()?;
        let key = described.key.clone()?;
        let name = described.field("name").filter(|field| !field.is_masked)?.name.clone();
        let question = Question {
            object: USERS.to_owned(),
            keys: Some(ids),
            fields: Some(vec![key.clone(), name.clone()]),
            ..Question::default()
        };
        let (mut rows, mut names) = (work.find(&question).await.ok()?, HashMap::new());
        while let Some(printer) = rows.next().await.ok()? {
            for row in 0..printer.rows {
                let mut text = String::new();
                printer.print(row, &mut text, |_, _, _| Ok(false), |_| false).ok()?;
                let record: Value = querygate_types::json::value::value(&text).ok()?;
                let Some(id) = record.get(&key).and_then(Value::as_str) else { continue };
                names.insert(id.to_owned(), record.get(&name).cloned().unwrap_or_default());
            }
        }
        Some(names)
    };
    read.boxed().await.unwrap_or_default()
}
