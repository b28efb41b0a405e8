//! Keeps what is known of the size of tables young: asked at start and at each reload for a moment, then in the background.
//! No query waits for it.

use querygate_catalog::deployment::Deployment;
use querygate_query::Engine;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};

/// How long a start or a reload waits for sources to answer; what comes later is asked for again.
const START_MAX: Duration = Duration::from_secs(2);
/// Age at which sizes are asked for anew, soon after a start that did not wait for all of them and then at leisure.
const AGES: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(600)];

/// Asks all sources, for a moment.
pub(super) async fn soon(deployment: &Deployment) {
    if timeout(START_MAX, deployment.measure()).await.is_err() {
        tracing::info!("not every source told the size of its tables in time");
    }
}

/// Asks again and again, for as long as the engine lives.
pub(super) fn keep(engine: &Arc<Engine>, runtime: &Handle) {
    let engine = Arc::downgrade(engine);
    runtime.spawn(async move {
        let [first, then] = AGES;
        let mut age = first;
        loop {
            sleep(age).await;
            age = then;
            let Some(deployment) = engine.upgrade().map(|engine| engine.deployment()) else { return };
            deployment.measure().await;
        }
    });
}
