//! Work shared among the threads of a rank, item by item.

use std::sync::Mutex;

use rayon::ThreadPool;

/// Runs `work` on every item; each thread takes the next item when it is free. `work` receives the number of its
/// thread, for scratch space; results must not depend on it.
pub fn for_each<I: Send>(
    pool: &ThreadPool,
    items: impl Iterator<Item = I> + Send,
    work: impl Fn(usize, I) + Sync,
) {
    if pool.current_num_threads() == 1 {
        // In short steps, waking another thread takes longer than the work.
        return items.for_each(|item| work(0, item));
    }
    let queue = Mutex::new(items);
    pool.in_place_scope(|scope| {
        for thread in 0..pool.current_num_threads() {
            let (queue, work) = (&queue, &work);
            scope.spawn(move |_| take_all(queue, |item| work(thread, item)));
        }
    });
}

/// Runs `work` on every item on `count` new threads, for work that waits more than it computes (simulators). A rayon
/// pool of that size would have every thread search all others for work.
pub fn wait_for_each<I: Send>(
    count: usize,
    items: impl Iterator<Item = I> + Send,
    work: impl Fn(usize, I) + Sync,
) {
    if count <= 1 {
        return items.for_each(|item| work(0, item));
    }
    let queue = Mutex::new(items);
    std::thread::scope(|scope| {
        for thread in 0..count {
            let (queue, work) = (&queue, &work);
            scope.spawn(move || take_all(queue, |item| work(thread, item)));
        }
    });
}

/// Takes items from `queue` one by one until there are none; the queue is unlocked while `work` runs.
fn take_all<I>(queue: &Mutex<impl Iterator<Item = I>>, work: impl Fn(I)) {
    loop {
        let next = queue.lock().expect("no thread panicked").next();
        let Some(item) = next else { break };
        work(item);
    }
}
