//! The two years of [`years`](crate::years) on maps alone, which many companies fit into.

use crate::years::{DAYS, World, seeds};

#[test]
fn two_years_of_hundreds_of_companies_break_no_rule() {
    for seed in seeds() {
        println!("SEED={seed}");
        let mut world = World::new(seed, 200);
        for day in 0..DAYS {
            let now = world.live_a_day(day);
            if world.is_scheduler_awake() {
                world.do_due(now);
                // A clock set back makes nothing due again.
                assert_eq!(world.do_due(now.plus_s(-7_200)), []);
            }
            world.today.clear();
            world.check();
            // Of tens of thousands of accounts few move in a day, so all of them are looked at once a week.
            if day % 7 == 0 || day == DAYS - 1 {
                world.check_all();
            }
        }
        println!("{}", world.summary());
    }
}
