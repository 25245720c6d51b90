//! Work on several threads.

use crate::error::Error;

/// The number of threads that work at the same time.
pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Runs each piece of work on its own thread. The results are in the order of the pieces.
pub fn at_once<T: Send, R: Send>(work: Vec<T>, each: impl Fn(T) -> R + Sync) -> Vec<R> {
    let each = &each;
    std::thread::scope(|scope| {
        let running: Vec<_> = work.into_iter().map(|piece| scope.spawn(move || each(piece))).collect();
        let joined = running.into_iter().map(|thread| thread.join());
        joined.map(|result| result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}

/// Runs a future to its end on this thread, which must not be a thread of the runtime.
pub fn on_this_thread<T>(future: impl Future<Output = T>) -> Result<T, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.map_err(|_| Error::Internal("no runtime can be started on a thread"))?;
    Ok(runtime.block_on(future))
}
