//! Work shared out among the threads of a rank, item by item.

use std::sync::Mutex;

use rayon::ThreadPool;

/// Runs `work` on every item: each thread takes the next whole item when it is free. `work` is told its thread's
/// number, for scratch space; results must not depend on it.
pub fn for_each<I: Send>(
    pool: &ThreadPool,
    items: impl Iterator<Item = I> + Send,
    work: impl Fn(usize, I) + Sync,
) {
    if pool.current_num_threads() == 1 {
        // Where steps are short, waking another thread for each takes longer than the work.
        return items.for_each(|item| work(0, item));
    }
    let queue = Mutex::new(items);
    pool.in_place_scope(|scope| {
        for thread in 0..pool.current_num_threads() {
            let (queue, work) = (&queue, &work);
            scope.spawn(move |_| {
                loop {
                    let next = queue.lock().expect("no thread panicked").next();
                    let Some(item) = next else { break };
                    work(thread, item);
                }
            });
        }
    });
}
