//! Counts allocations, so that "no allocation per packet" is a number and not a belief.

/// Prints how many allocations a call of `work` makes, on average over many after a first one.
pub(crate) fn report(name: &str, mut work: impl FnMut()) {
    const CALLS: u64 = 1000;
    work();
    let made = allocation_counter::measure(|| (0..CALLS).for_each(|_| work())).count_total;
    println!("{name}: {} allocations a packet", made as f64 / CALLS as f64);
}
