//! Runs hyper's tasks on the worker's own thread.

/// Spawns what cannot leave the thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Local;

impl<F: Future + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async { drop(future.await) });
    }
}
