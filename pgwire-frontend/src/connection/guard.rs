//! One step of the engine, ended early when its result is not wanted any more. Knows no message.

use crate::cancel::CancelSlot;
use crate::connection::halt::{Closing, Halt};
use crate::connection::{Connection, killed};
use crate::door_state::DoorState;
use crate::report::Report;
use crate::transport::Transport;
use querygate_query_api::service::Session;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Time for the engine to end a cancelled step by itself before its future is dropped.
pub(crate) const CANCEL_PATIENCE: Duration = Duration::from_secs(5);

/// What can end a step of the engine early. Holds no stream, so that it may cross threads with the step.
pub(crate) struct Guard<'a> {
    shared: &'a DoorState,
    slot: &'a CancelSlot,
    transport: &'a Transport,
    session: &'a dyn Session,
}

impl<'a> Guard<'a> {
    pub(crate) fn new(connection: &'a Connection) -> Self {
        let Connection { shared, slot, transport, session, .. } = connection;
        Self { shared, slot, transport, session: &**session }
    }

    /// Runs one step of the engine, ended early by a cancel request, the end of the server or of what opened the session, or a client that
    /// left.
    pub(crate) async fn run<T>(
        self,
        token: &CancellationToken,
        step: impl Future<Output = querygate_types::Result<T>>,
    ) -> Result<T, Halt> {
        tokio::pin!(step);
        tokio::select! {
            biased;
            done = &mut step => Ok(done?),
            () = self.slot.kill.cancelled() => {
                self.session.cancel();
                Err(killed(self.shared, self.slot).into())
            }
            () = self.transport.abandoned() => {
                self.session.cancel();
                Err(Closing::Silently.into())
            }
            () = token.cancelled() => match tokio::time::timeout(CANCEL_PATIENCE, step).await {
                Ok(done) => Ok(done?),
                Err(_) => Err(Report::canceled().into()),
            },
        }
    }
}
