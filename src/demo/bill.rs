//! The call records as the report of a profile shows them.

use provisioning_store::cdr::{Cdr, Direction};
use provisioning_store::money::Micros;

use super::report::Report;

/// Prints the records, oldest first, with their total.
pub(super) fn print(report: &Report, cdrs: &[Cdr]) {
    report.say(row(["", "number", "destination", "rate", "spoken", "billed", "amount", "ended"]));
    for cdr in cdrs {
        let cells = cells(cdr);
        report.say(row(cells.each_ref().map(String::as_str)));
    }
    report.say(row(["", "", "", "", "", "total", &total(cdrs).to_string(), ""]));
}

/// The sum of all charges.
pub(super) fn total(cdrs: &[Cdr]) -> Micros {
    let sum = cdrs.iter().try_fold(Micros::ZERO, |sum, cdr| sum.checked_add(cdr.settlement.amount));
    sum.expect("a demonstration's charges fit into an amount")
}

fn cells(cdr: &Cdr) -> [String; 8] {
    let (attempt, ending) = (&cdr.record.attempt, &cdr.record.ending);
    let (arrow, number) = match attempt.direction {
        Direction::Outgoing => ("to", &attempt.to),
        Direction::Incoming => ("from", &attempt.from),
    };
    let settled = cdr.settlement;
    let is_bundle = settled.bundle_s > 0;
    [
        arrow.to_owned(),
        number.clone(),
        attempt.destination.clone(),
        if cdr.rate_per_minute() == Micros::ZERO { String::new() } else { cdr.rate_per_minute().to_string() },
        format!("{:.1} s", ending.talk_ms as f64 / 1000.0),
        if settled.billed_s == 0 { String::new() } else { format!("{} s", settled.billed_s) },
        if is_bundle { "bundle".to_owned() } else { settled.amount.to_string() },
        ending.reason_code.clone(),
    ]
}

fn row([arrow, number, destination, rate, spoken, billed, amount, ended]: [&str; 8]) -> String {
    let text = format!(
        "{arrow:<4} {number:<16} {destination:<16} {rate:>6} {spoken:>7} {billed:>7} {amount:>7}  {ended}"
    );
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_their_titles() {
        let title = row(["", "number", "destination", "rate", "spoken", "billed", "amount", "ended"]);
        let line = row(["to", "+3725551234", "Estonia", "0.04", "2 s", "30 s", "0.02", "hung_up"]);
        for (head, cell) in [("number", "+372"), ("destination", "Estonia"), ("ended", "hung_up")] {
            assert_eq!(title.find(head), line.find(cell));
        }
        assert_eq!(title.find("amount").map(|at| at + 6), line.find("0.02").map(|at| at + 4));
    }
}
