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
            scope.spawn(move |_| take_all(queue, |item| work(thread, item)));
        }
    });
}

/// As `for_each`, of work that waits more than it computes, on `count` threads of its own: a pool of so many would have each of
/// them look for work at all others.
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

/// Takes items from `queue` one by one until there are none; the queue is free while `work` runs.
fn take_all<I>(queue: &Mutex<impl Iterator<Item = I>>, work: impl Fn(I)) {
    loop {
        let next = queue.lock().expect("no thread panicked").next();
        let Some(item) = next else { break };
        work(item);
    }
}
