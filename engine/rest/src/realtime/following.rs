//! One client that follows changes: for as long as it is known, and no longer.

use super::credential::Credential;
use crate::call::Call;
use crate::callers::Identity;
use crate::code::Code;
use crate::refusal::Refusal;
use crate::site::Site;
use crate::work::Work;
use futures::StreamExt;
use querygate_query_api::holding::Occupation;
use querygate_query_api::requests::events::{EventFilter, EventStream, Followed};
use querygate_types::{Error, ErrorCode};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, Interval, MissedTickBehavior};

/// How often a client that nothing is sent to is sent a sign of life, and how often it is asked whether it is still known.
pub(super) const BEAT: Duration = Duration::from_secs(10);

/// A client that follows.
pub(super) struct Following {
    credential: Credential,
    beat: Interval,
    stream: EventStream,
    /// Objects whose records metadata does not open for lists, in the version of this number.
    closed: BTreeSet<String>,
    version: u64,
    /// The session, for as long as it follows.
    work: Work,
    /// Shows that it follows to those who may end its session.
    _shown: Box<dyn Send + Sync>,
}

/// What is sent next.
#[derive(Debug)]
pub(super) enum Next {
    Followed(Followed),
    Beat,
    /// Nothing more, and why.
    End(Refusal),
}

impl Following {
    /// # Errors
    /// Who asks is not known, or may not follow this.
    pub(super) async fn begin(
        site: Arc<Site>,
        call: Call,
        identity: Identity,
        filter: EventFilter,
    ) -> Result<Self, Refusal> {
        let work = site.open(&identity.principal, &call).await?;
        for name in filter.objects.iter().flatten() {
            crate::data::described(&work, name, super::METHOD).await?;
        }
        let objects = filter.objects.as_ref().map_or_else(|| "*".to_owned(), |names| names.join(","));
        let version = work.session().snapshot_version();
        let closed = closed(&work).await?;
        let stream = work.session().subscribe(filter).await?;
        let shown = work.session().occupy(Occupation::Subscription, &objects);
        let mut beat = tokio::time::interval_at(Instant::now() + BEAT, BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let credential = Credential::new(site, &call.headers, call.peer, &identity);
        Ok(Self { credential, beat, stream, closed, version, work, _shown: shown })
    }

    /// What is sent next.
    pub(super) async fn next(&mut self) -> Next {
        loop {
            let next = tokio::select! {
                biased;
                () = self.credential.over() => return Next::End(Refusal::unauthenticated()),
                () = self.work.session().ended() => {
                    let error = Error::new(ErrorCode::AdminShutdown, "an operator ended the session");
                    return Next::End(Refusal::from(error));
                }
                followed = self.stream.next() => match followed {
                    Some(Ok(followed)) => Next::Followed(followed),
                    Some(Err(error)) => return Next::End(Refusal::from(error)),
                    None => return Next::End(Refusal::new(Code::ServiceUnavailable, "The gate sends no more events.")),
                },
                _ = self.beat.tick() => Next::Beat,
            };
            if !self.credential.holds().await {
                return Next::End(Refusal::unauthenticated());
            }
            if let Err(error) = self.look_again().await {
                return Next::End(Refusal::from(error));
            }
            match &next {
                Next::Followed(Followed::Event(event)) if self.closed.contains(&event.object) => {}
                Next::Followed(_) | Next::Beat | Next::End(_) => return next,
            }
        }
    }

    /// Other metadata may open other objects.
    async fn look_again(&mut self) -> querygate_types::Result<()> {
        let version = self.work.session().snapshot_version();
        if version != self.version {
            self.closed = closed(&self.work).await?;
            self.version = version;
        }
        Ok(())
    }
}

/// Objects whose records metadata does not open for lists.
async fn closed(work: &Work) -> querygate_types::Result<BTreeSet<String>> {
    let is_closed = |methods: &Option<Vec<String>>| {
        methods.as_ref().is_some_and(|methods| !methods.iter().any(|method| method == super::METHOD))
    };
    let objects = work.session().objects().await?;
    Ok(objects.iter().filter(|object| is_closed(&object.api_methods)).map(|object| object.name.clone()).collect())
}
