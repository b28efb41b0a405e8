//! Long computations beside others. A thread of the runtime that computes for one statement serves no other meanwhile: what may take long
//! in one go is computed while another thread takes its place.

use tokio::runtime::{Handle, RuntimeFlavor};

/// Bytes that are computed with in milliseconds.
const LONG_BYTES: usize = 1 << 20;

/// Computes with a number of bytes, on this thread. Where they are many, what else this thread would serve is served by another one until it is
/// done.
pub fn aside<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    if bytes < LONG_BYTES {
        return work();
    }
    let others = Handle::try_current().is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread);
    if others { tokio::task::block_in_place(work) } else { work() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    /// All threads of the runtime compute until somebody else was served.
    #[test]
    fn others_are_served_meanwhile() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (served, waits) = mpsc::channel::<()>();
        let waits = std::sync::Arc::new(std::sync::Mutex::new(waits));
        let long = (0..2).map(|_| {
            let waits = std::sync::Arc::clone(&waits);
            runtime.spawn(async move {
                aside(LONG_BYTES, || waits.lock().unwrap().recv_timeout(Duration::from_secs(60)).is_ok())
            })
        });
        let long: Vec<_> = long.collect();
        std::thread::sleep(Duration::from_millis(100));
        runtime.spawn(async move {
            served.send(()).unwrap();
            served.send(()).unwrap();
        });
        for one in long {
            assert!(runtime.block_on(one).unwrap(), "nobody else was served");
        }
    }

    #[tokio::test]
    async fn a_runtime_of_one_thread_computes_itself() {
        assert_eq!(aside(usize::MAX, || 7), 7);
    }
}
