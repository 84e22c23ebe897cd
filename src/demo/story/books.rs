//! What is written down: the bill, the balance of the books, the metrics.

use provisioning_store::cdr::{Cdr, CdrFilter};
use provisioning_store::money::Micros;

use super::{Story, shown};
use crate::demo::bill;

impl Story<'_> {
    pub(super) async fn bill(&mut self) {
        let sales_lost = Micros::from_units(10).checked_sub(self.credit().await).unwrap_or_default();
        let trunks = [&self.scene.sales, &self.scene.engineering].map(|trunk| (trunk.profile, trunk.name));
        for ((profile, name), lost) in trunks.into_iter().zip([sales_lost, Micros::ZERO]) {
            self.report.chapter(&format!("The bill of {name}"));
            let filter = CdrFilter { profile: Some(profile), ..CdrFilter::default() };
            let mut cdrs: Vec<Cdr> =
                self.scene.daemon.store().latest_cdrs(&filter, 50).await.unwrap_or_default();
            cdrs.reverse();
            bill::print(self.report, &cdrs);
            self.report.check(
                !cdrs.is_empty() && bill::total(&cdrs) == lost,
                format_args!("The total is what the credit of {name} has lost: {lost}."),
            );
        }
        match self.scene.daemon.store().verify().await {
            Ok(wrong) if wrong.is_empty() => self.report.check(true, "The books balance to the millionth."),
            Ok(wrong) => self.report.check(false, format_args!("The books do not balance: {wrong:?}.")),
            Err(error) => self.report.check(false, format_args!("The books cannot be read: {error}.")),
        };
    }

    pub(super) async fn metrics(&mut self) {
        self.report.chapter("For machines");
        let url = format!("http://{}/metrics", self.scene.daemon.http());
        let (credit, metric) = (self.credit().await, self.metric("sipgw_credit").await);
        self.report.check(
            metric.is_some_and(|metric| (metric * 1e6).round() == credit.0 as f64),
            format_args!("Prometheus finds {url}; Sales' credit there is {}.", shown(metric)),
        );
    }
}
