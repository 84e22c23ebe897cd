//! The provisioning verbs on a database: what they keep, what they refuse, and that a change can be seen.

use provisioning_store::cdr::{Answer, CdrFilter, Direction, PAGE_ROWS};
use provisioning_store::error::StoreError;
use provisioning_store::ledger::{LedgerEntry, LedgerOp, Refusal};
use provisioning_store::lifecycle::{NumberOffer, Order, PriceList};
use provisioning_store::model::*;
use provisioning_store::money::Micros;
use provisioning_store::rating::EditionState;
use provisioning_store::registrations::Registration;
use provisioning_store::secrets::Password;
use provisioning_store::store::{
    DeckOrder, Durability, NewProfile, STANDARD_PRICE_LIST, Store, StoreOptions,
};

use crate::follower::Follower;
use crate::world::*;

fn sentence<T: std::fmt::Debug>(refused: Result<T, StoreError>) -> String {
    refused.unwrap_err().to_string()
}

#[tokio::test]
async fn a_profile_that_cannot_be_paid_leaves_nothing_behind() {
    let home = Home::new();
    let store = home.open().await;
    let company = company(&store, "Poor").await;
    let order = Some((Order { channels: 2, bundles: 0 }, PriceList::default()));
    let new = NewProfile { company, name: "Sales".into(), settings: ProfileSettings::default(), order };
    let refused = store.create_profile(start(), new).await;
    assert!(matches!(refused, Err(StoreError::Refused(Refusal::InsufficientCompanyCredit { .. }))));
    assert_eq!(store.profiles(None).await.unwrap(), []);
    assert_eq!(store.verify().await.unwrap(), []);
}

#[tokio::test]
async fn passwords_are_sealed_shown_again_and_made_anew() {
    let home = Home::new();
    let store = home.open().await;
    let company = company(&store, "Architects").await;
    let sales = profile(&store, company, "Sales").await;
    let old = store.credentials(sales).await.unwrap();
    let new = store.new_password(sales).await.unwrap();
    assert!(old.password != new.password && old.sip_user == new.sip_user);
    assert_eq!(store.credentials(sales).await.unwrap(), new);
    store.close().await;
    let file = home.everything();
    let contains = |text: &str| file.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(contains(&new.sip_user) && !contains(new.password.reveal()) && !contains(old.password.reveal()));
}

#[tokio::test]
async fn every_change_raises_the_revision_and_shows_in_the_directory() {
    let home = Home::new();
    let store = home.open().await;
    company(&store, "Others").await;
    let mut follower = Follower::new(&store).await;
    let mut raised = async |what: &str, companies: &[CompanyId]| follower.sees(&store, what, companies).await;
    let architects = company(&store, "Architects").await;
    raised("company", &[architects]).await;
    let sales = profile(&store, architects, "Sales").await;
    raised("profile", &[architects]).await;
    store.rename_profile(sales, "Sales Architects").await.unwrap();
    raised("name", &[architects]).await;
    let settings = ProfileSettings {
        srtp: Srtp::Required,
        authentication: Authentication::Ip,
        caller_name: Switch::Off,
        ..Default::default()
    };
    store.set_profile_settings(sales, settings).await.unwrap();
    raised("settings", &[architects]).await;
    let rule = NewIpRule {
        port: Some(5061),
        certificate: Some("pbx.example.com".into()),
        ..NewIpRule::new("192.0.2.0/24".parse().unwrap(), Transport::Tls)
    };
    let rule_id = store.add_ip_rule(sales, &rule).await.unwrap().id;
    raised("address", &[architects]).await;
    let claim = NewIpRule::new("198.51.100.0/28".parse().unwrap(), Transport::Udp);
    let claim = store.claim_ip_rule(start(), sales, &claim).await.unwrap();
    raised("claim", &[architects]).await;
    store.confirm_ip_rule(claim.id).await.unwrap();
    raised("confirmation", &[architects]).await;
    store.remove_ip_rule(claim.id).await.unwrap();
    raised("no claim", &[architects]).await;
    let known = store.ip_rules().await.unwrap();
    assert_eq!((known.len(), known[0].id, &known[0].rule), (1, rule_id, &rule));
    let number = store.add_number(architects, "+12026843376", "us").await.unwrap();
    raised("number", &[architects]).await;
    store.assign_number(number.id, NumberTarget::Profile(sales)).await.unwrap();
    raised("assignment", &[architects]).await;
    let account = store.create_business_account(architects, "Architects.Sales", None).await.unwrap();
    raised("account", &[architects]).await;
    store.attach_business_account(account.id, sales, Some("200")).await.unwrap();
    raised("attachment", &[architects]).await;
    let caller_id = CallerId::OnlineNumber("+12026843376".into());
    store.set_caller_id(sales, Some("GB"), Some(&caller_id)).await.unwrap();
    raised("caller ID", &[architects]).await;
    store.add_landline(start(), architects, "+1 202 555 0100", None).await.unwrap();
    raised("landline", &[architects]).await;
    let mut new = NewCarrier::new("upstream", "sip.example.com");
    new.authentication =
        CarrierAuthentication::Digest { user: "us".into(), password: Password::new("s3cret") };
    new.sources = vec!["198.51.100.0/24".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
    new.trust = Trust::Untrusted;
    let carrier = store.create_carrier(new.clone()).await.unwrap();
    raised("carrier", &[]).await;
    store
        .import_rates(start(), STANDARD_PRICE_LIST, None, "prefix,destination,rate_per_minute\n1,USA,0.008\n")
        .await
        .unwrap();
    raised("rates", &[]).await;
    store.top_up(start(), architects, Micros::from_units(20), "").await.unwrap();
    store.subscribe(start(), sales, Order { channels: 2, bundles: 0 }, &PriceList::default()).await.unwrap();
    raised("subscription", &[architects]).await;

    let rows = store.load_directory().await.unwrap();
    assert_eq!(rows.companies[1].credit, Micros::from_cents(610));
    assert_eq!((rows.profiles[0].name.as_str(), rows.profiles[0].settings), ("Sales Architects", settings));
    assert_eq!(rows.profiles[0].subscription.unwrap().channels, 2);
    assert_eq!(rows.credentials, [store.credentials(sales).await.unwrap()]);
    assert_eq!(rows.ip_rules, [IpRule { id: rule_id, profile: sales, state: ClaimState::Confirmed, rule }]);
    assert_eq!(rows.numbers[0].target, NumberTarget::Profile(sales));
    assert_eq!(
        (rows.numbers[0].country.as_str(), rows.business_accounts[0].name.as_str()),
        ("US", "architects.sales")
    );
    assert_eq!(rows.business_accounts[0].extension.as_deref(), Some("200"));
    assert_eq!(
        rows.caller_ids,
        [CallerIdRule { profile: sales, country: Some("GB".into()), shown: caller_id }]
    );
    assert_eq!(rows.landlines[0].number, "+12025550100");
    assert_eq!(rows.carriers, [Carrier { id: carrier.id, settings: new.clone() }]);

    store.verify_company(start(), architects, "Ada").await.unwrap();
    raised("verification", &[architects]).await;
    store.unverify_company(architects).await.unwrap();
    raised("no verification", &[architects]).await;
    store.remove_landline(architects, "+12025550100").await.unwrap();
    raised("no landline", &[architects]).await;
    store.new_password(sales).await.unwrap();
    raised("password", &[architects]).await;
    store.set_caller_id(sales, Some("GB"), None).await.unwrap();
    raised("no caller ID", &[architects]).await;
    store.detach_business_account(account.id).await.unwrap();
    raised("detachment", &[architects]).await;
    store.new_account_password(account.id).await.unwrap();
    raised("phone", &[architects]).await;
    store.remove_business_account(account.id).await.unwrap();
    raised("no account", &[architects]).await;
    store.remove_ip_rule(rule_id).await.unwrap();
    raised("no address", &[architects]).await;
    store.remove_number(number.id).await.unwrap();
    raised("no number", &[architects]).await;
    store.change_carrier(carrier.id, NewCarrier { strip: 2, ..new }).await.unwrap();
    raised("another carrier", &[]).await;
    store.remove_carrier(carrier.id).await.unwrap();
    raised("no carrier", &[]).await;
    store.delete_profile(start(), sales).await.unwrap();
    raised("no profile", &[architects]).await;
    assert_eq!(store.load_directory().await.unwrap().profiles, []);
}

#[tokio::test]
async fn what_is_bought_limited_and_taken_away_shows_in_the_directory() {
    let home = Home::new();
    let store = home.open().await;
    let (one, two) = (company(&store, "One").await, company(&store, "Two").await);
    store.top_up(start(), two, Micros::from_units(100), "").await.unwrap();
    let sales = profile(&store, two, "Sales").await;
    let mut follower = Follower::new(&store).await;
    let mut raised = async |what: &str, companies: &[CompanyId]| follower.sees(&store, what, companies).await;
    let table = "prefix,destination,rate_per_minute\n1,USA,0.008\n";
    store.import_rates(start(), "gold", None, table).await.unwrap();
    raised("rates", &[]).await;
    store.set_price_list(one, "gold").await.unwrap();
    raised("price list", &[one]).await;
    let guard = GuardOverrides { day_cap: Override::Set(Micros::from_units(5)), ..Default::default() };
    store.set_spend_guard(start(), sales, guard).await.unwrap();
    raised("spend guard", &[two]).await;
    let offer = NumberOffer { number: "+12026843376".into(), fee: Micros::from_units(6), term_days: 30 };
    store.stock_number(StockNumber { country: "US".into(), offer }).await.unwrap();
    let number = store.buy_number(start(), two, "+12026843376").await.unwrap().id;
    raised("bought number", &[two]).await;
    store.assign_number(number, NumberTarget::Profile(sales)).await.unwrap();
    raised("assignment", &[two]).await;
    store.assign_number(number, NumberTarget::Nobody).await.unwrap();
    raised("assignment to nobody", &[two]).await;
    store.assign_number(number, NumberTarget::Profile(sales)).await.unwrap();
    let account = store.create_business_account(two, "sales", None).await.unwrap().id;
    store.attach_business_account(account, sales, None).await.unwrap();
    raised("account", &[two]).await;
    store.delete_profile(start(), sales).await.unwrap();
    raised("deleted profile", &[two]).await;
}

#[tokio::test]
async fn however_many_have_changed_all_of_them_are_seen() {
    let home = Home::new();
    let store = Store::open(StoreOptions { durability: Durability::Crash, ..home.options() }).await.unwrap();
    let mut companies = Vec::new();
    for nth in 0..300 {
        companies.push(company(&store, &format!("Company {nth}")).await);
    }
    let mut follower = Follower::new(&store).await;
    for company in &companies {
        profile(&store, *company, "Sales").await;
    }
    follower.sees(&store, "profiles", &companies).await;
}

#[tokio::test]
async fn a_database_that_was_put_back_is_read_whole() {
    let home = Home::new();
    let store = home.open().await;
    company(&store, "One").await;
    let revision = store.revision().await.unwrap();
    assert!(store.load_changes(revision).await.unwrap().changed.is_some());
    let ahead = store.load_changes(revision + 1).await.unwrap();
    assert_eq!((ahead.changed, ahead.companies.len()), (None, 1));
}

#[tokio::test]
async fn what_is_not_there_cannot_be_changed() {
    let home = Home::new();
    let store = home.open().await;
    for refused in [
        store.rename_profile(ProfileId(7), "Sales").await,
        store.remove_ip_rule(IpRuleId(7)).await,
        store.confirm_ip_rule(IpRuleId(7)).await,
        store.detach_business_account(BusinessAccountId(7)).await,
        store.unverify_company(CompanyId(7)).await,
        store.remove_number(NumberId(7)).await,
        store.remove_carrier(CarrierId(7)).await,
    ] {
        assert!(matches!(refused, Err(StoreError::NotFound { .. })), "{refused:?}");
    }
    assert_eq!(store.revision().await.unwrap(), 1);
}

#[tokio::test]
async fn a_number_that_is_hosted_here_changes_whoever_had_stored_it_as_a_landline() {
    let home = Home::new();
    let store = home.open().await;
    let (one, two, three) =
        (company(&store, "One").await, company(&store, "Two").await, company(&store, "Three").await);
    for company in [one, two] {
        store.add_landline(start(), company, "+12025550100", None).await.unwrap();
    }
    let mut follower = Follower::new(&store).await;
    store.add_number(three, "+12025550100", "US").await.unwrap();
    follower.sees(&store, "number", &[one, two, three]).await;
}

#[tokio::test]
async fn names_hold_nothing_that_cannot_be_seen() {
    let home = Home::new();
    let store = home.open().await;
    let one = company(&store, "One").await;
    let sales = profile(&store, one, "Sales").await;
    for name in ["Sa\u{202e}les", "Sales\u{200b}", "Sa\u{1b}[31mles", "Sa\nles"] {
        let new = NewCompany { name: name.into(), country: "US".into(), currency: "USD".into() };
        let said = [
            sentence(store.create_company(start(), &new).await),
            sentence(store.rename_profile(sales, name).await),
            sentence(store.create_carrier(NewCarrier::new(name, "carrier.example")).await),
            sentence(store.top_up(start(), one, Micros::from_units(1), name).await),
            sentence(store.verify_company(start(), one, name).await),
        ];
        for sentence in &said {
            assert!(sentence.contains("which cannot be seen"), "{sentence}");
        }
        sentence(store.create_business_account(one, name, None).await);
    }
    assert_eq!(store.company(one).await.unwrap().name, "One");
}

#[tokio::test]
async fn refusals_name_the_culprit() {
    let home = Home::new();
    let store = home.open().await;
    let (one, two) = (company(&store, "One").await, company(&store, "Two").await);
    let (sales, engineering) =
        (profile(&store, one, "Sales").await, profile(&store, one, "Engineering").await);
    let stranger = profile(&store, two, "Stranger").await;
    let account = store.create_business_account(one, "one.sales", None).await.unwrap().id;
    store.attach_business_account(account, sales, None).await.unwrap();
    store.attach_business_account(account, sales, Some("12")).await.unwrap();
    let in_use = sentence(store.attach_business_account(account, engineering, None).await);
    assert_eq!(in_use, "the business account one.sales belongs to the profile Sales; remove it there first");
    store.detach_business_account(account).await.unwrap();
    assert!(
        sentence(store.attach_business_account(account, stranger, None).await).contains("another company")
    );
    store.attach_business_account(account, engineering, None).await.unwrap();

    assert_eq!(
        sentence(store.create_business_account(two, "ONE.sales", None).await),
        "there is a business account one.sales already"
    );
    assert_eq!(
        sentence(store.create_business_account(two, "12026843376", None).await),
        "business account: \"12026843376\" could be a telephone number; write a name with a letter"
    );
    let number = store.add_number(one, "+12026843376", "US").await.unwrap();
    assert_eq!(
        sentence(store.add_number(two, "+12026843376", "US").await),
        "there is a number +12026843376 already"
    );
    assert!(
        sentence(store.assign_number(number.id, NumberTarget::Profile(stranger)).await)
            .contains("another company")
    );
    let shown = CallerId::OnlineNumber(number.number.clone());
    assert!(
        sentence(store.set_caller_id(sales, None, Some(&shown)).await)
            .contains("is not an Online Number of this")
    );
    let landline = CallerId::Landline("+12025550100".into());
    assert!(sentence(store.set_caller_id(sales, None, Some(&landline)).await).contains("is not stored"));
    let add = async |company, number, by| store.add_landline(start(), company, number, by).await;
    let stored = add(one, "+12025550100", None).await.unwrap();
    assert_eq!(stored.verification, None);
    assert!(
        sentence(store.set_caller_id(sales, None, Some(&landline)).await).contains("company is verified")
    );
    store.verify_company(start(), one, "Claude Morel").await.unwrap();
    assert!(
        sentence(store.set_caller_id(sales, None, Some(&landline)).await)
            .contains("an operator has verified")
    );
    let verified = add(one, "+12025550100", Some("Ada")).await.unwrap();
    assert_eq!(verified.verification, Some(Verification { by: "Ada".into(), at: start() }));
    assert_eq!(add(one, "+12025550100", None).await.unwrap(), verified, "stored again, it stays verified");
    let taken = "there is a number +12025550100 already";
    assert_eq!(sentence(add(two, "+12025550100", Some("Ada")).await), taken, "it is another company's");
    let sold = store.add_number(two, "+12025550100", "US").await.unwrap();
    assert_eq!(store.landlines().await.unwrap(), [], "what is hosted is nobody's landline");
    store.remove_number(sold.id).await.unwrap();
    add(one, "+12025550100", Some("Ada")).await.unwrap();
    let hosted = "there is a number +12026843376 already";
    assert_eq!(sentence(add(two, "+12026843376", None).await), hosted, "it is an Online Number");
    store.set_caller_id(sales, None, Some(&landline)).await.unwrap();

    assert_eq!(sentence(store.profile(ProfileId(99)).await), "there is no profile 99");
    assert_eq!(
        sentence(store.assign_number(NumberId(99), NumberTarget::Nobody).await),
        "there is no number 99"
    );
    for bad in ["", "12026843376", "+0123456", "+1202x"] {
        assert!(sentence(store.add_number(one, bad, "US").await).contains("is not an E.164 number"));
    }
    assert!(
        sentence(store.create_business_account(one, "two words", None).await)
            .starts_with("business account:")
    );
    assert!(sentence(store.import_rates(start(), "x", None, "prefix\n").await).starts_with("line 1"));
    assert!(sentence(store.create_carrier(NewCarrier::new("up", "two words")).await).starts_with("host:"));
}

#[tokio::test]
async fn a_number_that_moves_is_no_longer_shown_by_its_old_profile() {
    let home = Home::new();
    let store = home.open().await;
    let company = company(&store, "One").await;
    let (sales, engineering) =
        (profile(&store, company, "Sales").await, profile(&store, company, "Eng").await);
    let number = store.add_number(company, "+12026843376", "US").await.unwrap();
    store.assign_number(number.id, NumberTarget::Profile(sales)).await.unwrap();
    store.set_caller_id(sales, None, Some(&CallerId::OnlineNumber(number.number))).await.unwrap();
    store.assign_number(number.id, NumberTarget::Profile(engineering)).await.unwrap();
    assert_eq!(store.load_directory().await.unwrap().caller_ids, []);
}

#[tokio::test]
async fn what_is_removed_is_shown_and_reached_no_longer() {
    let home = Home::new();
    let store = home.open().await;
    let (one, two) = (company(&store, "One").await, company(&store, "Two").await);
    let sales = profile(&store, one, "Sales").await;
    let number = store.add_number(one, "+12026843376", "US").await.unwrap();
    store.assign_number(number.id, NumberTarget::Profile(sales)).await.unwrap();
    store.add_landline(start(), two, "+12025550100", None).await.unwrap();
    let landline = store.add_landline(start(), one, "+12025550100", Some("Ada")).await.unwrap();
    store.verify_company(start(), one, "Claude Morel").await.unwrap();
    store.set_caller_id(sales, None, Some(&CallerId::OnlineNumber(number.number))).await.unwrap();
    store.set_caller_id(sales, Some("GB"), Some(&CallerId::Landline(landline.number))).await.unwrap();
    assert_eq!(store.caller_ids().await.unwrap().len(), 2);

    let revision = store.revision().await.unwrap();
    store.remove_number(number.id).await.unwrap();
    assert!(matches!(store.remove_number(number.id).await, Err(StoreError::NotFound { .. })));
    assert_eq!(store.numbers().await.unwrap(), []);
    let left = store.caller_ids().await.unwrap();
    assert_eq!((left.len(), left[0].country.as_deref()), (1, Some("GB")));
    store.remove_landline(one, "+1 202 555 0100").await.unwrap();
    assert!(matches!(store.remove_landline(one, "+12025550100").await, Err(StoreError::NotFound { .. })));
    assert_eq!(store.caller_ids().await.unwrap(), []);
    let kept = store.landlines().await.unwrap();
    assert_eq!((kept.len(), kept[0].company), (1, two), "another company's stays");
    assert_eq!(store.revision().await.unwrap(), revision + 2);

    let account = store.create_business_account(one, "one.sales", None).await.unwrap();
    let number = store.add_number(one, "+12026843376", "US").await.unwrap();
    store.assign_number(number.id, NumberTarget::BusinessAccount(account.id)).await.unwrap();
    store.remove_business_account(account.id).await.unwrap();
    assert_eq!(store.numbers().await.unwrap()[0].target, NumberTarget::Nobody);
}

#[tokio::test]
async fn a_carriers_password_changes_and_goes_with_it() {
    let home = Home::new();
    let store = home.open().await;
    let mut new = NewCarrier::new("upstream", "203.0.113.5");
    let id = store.create_carrier(new.clone()).await.unwrap().id;
    assert!(sentence(store.create_carrier(new.clone()).await).contains("already"));
    new.authentication =
        CarrierAuthentication::Digest { user: "us".into(), password: Password::new("s3cret") };
    new.active = Switch::Off;
    store.change_carrier(id, new.clone()).await.unwrap();
    assert_eq!(store.carriers().await.unwrap(), [Carrier { id, settings: new.clone() }]);
    let json = serde_json::to_string(&store.carriers().await.unwrap()).unwrap();
    assert!(json.contains("\"us\"") && !json.contains("s3cret"), "{json}");
    store.remove_carrier(id).await.unwrap();
    assert!(matches!(store.remove_carrier(id).await, Err(StoreError::NotFound { .. })));
    assert!(matches!(store.change_carrier(id, new).await, Err(StoreError::NotFound { .. })));
}

/// From 192.0.2.1.
fn binding(profile: ProfileId, expires_s: i64) -> Registration {
    Registration {
        path: vec!["<sip:edge.example;lr>".into(), "\"P, 2\" <sip:p2.example;lr>".into()],
        profile,
        contact: "<sip:99050000000001@192.0.2.1:5060;rinstance=abc>".into(),
        source: "192.0.2.1:5060".into(),
        local: "0.0.0.0:5060".into(),
        transport: Transport::Udp,
        user_agent: "Asterisk PBX".into(),
        call_id: "reg@pbx".into(),
        cseq: u32::MAX,
        media: Srtp::Required,
        registered_at: start(),
        expires_at: start().plus_s(expires_s),
    }
}

#[tokio::test]
async fn registrations_outlive_the_store_until_they_expire() {
    let home = Home::new();
    let store = home.open().await;
    let binding = |profile: i64, expires_s: i64| binding(ProfileId(profile), expires_s);
    let many: Vec<_> = (1..=100).map(|profile| binding(profile, 45)).collect();
    store.save_registrations(&many).await.unwrap();
    store.save_registrations(&[binding(1, 90)]).await.unwrap();
    store.close().await;
    let store = home.open().await;
    assert_eq!(store.load_registrations(start()).await.unwrap().len(), 100);
    assert_eq!(store.load_registrations(start().plus_s(45)).await.unwrap(), [binding(1, 90)]);
    assert_eq!(store.delete_expired_registrations(start().plus_s(45)).await.unwrap(), 99);
    store.delete_registrations(&[ProfileId(1)]).await.unwrap();
    assert_eq!(store.load_registrations(start()).await.unwrap(), []);
}

#[tokio::test]
async fn records_come_in_pages_of_fifty_by_every_filter() {
    let home = Home::new();
    let store = home.open().await;
    open_books(&store, 1, 1_000).await;
    let entries: Vec<_> = (0..120)
        .map(|n| {
            let mut record = record(None, (n % 3 == 0).then_some(9));
            record.attempt.started_at = start().plus_s(n);
            record.attempt.direction = if n < 60 { Direction::Incoming } else { Direction::Outgoing };
            record.attempt.to = format!("+44207946{n:04}");
            record.profile = (n % 2 == 0).then_some(PROFILE);
            record.phone_of = (n % 4 == 1).then_some(COMPANY);
            LedgerEntry {
                at: start(),
                op: LedgerOp::Settle { call: call(&n.to_string()), record: Box::new(record) },
            }
        })
        .collect();
    store.apply(&entries).await.unwrap();
    let all = CdrFilter::default();
    let first = store.cdrs(&all, 1).await.unwrap();
    assert_eq!((first.rows.len() as u32, first.total, first.pages()), (PAGE_ROWS, 120, 3));
    assert_eq!(first.rows[0].call, call("119"));
    let whose: Vec<_> = first.rows[..4].iter().map(|it| (it.record.profile, it.record.phone_of)).collect();
    assert_eq!(whose, [(None, None), (Some(PROFILE), None), (None, Some(COMPANY)), (Some(PROFILE), None)]);
    let last = store.cdrs(&all, 3).await.unwrap();
    assert_eq!((last.rows.len(), last.rows[19].call.clone()), (20, call("0")));
    assert_eq!(store.cdrs(&all, u32::MAX).await.unwrap().rows, []);
    let count = async |filter: CdrFilter| store.cdrs(&filter, 1).await.unwrap().total;
    assert_eq!(count(CdrFilter { profile: Some(PROFILE), ..all.clone() }).await, 60);
    assert_eq!(
        count(CdrFilter { company: Some(COMPANY), ..all.clone() }).await,
        30,
        "its phones'; the books know no profile rows"
    );
    assert_eq!(count(CdrFilter { direction: Some(Direction::Incoming), ..all.clone() }).await, 60);
    assert_eq!(count(CdrFilter { answer: Some(Answer::Answered), ..all.clone() }).await, 40);
    assert_eq!(count(CdrFilter { answer: Some(Answer::Unanswered), ..all.clone() }).await, 80);
    assert_eq!(count(CdrFilter { number: Some("+442079460007".into()), ..all.clone() }).await, 1);
    assert_eq!(count(CdrFilter { number: Some("%".into()), ..all.clone() }).await, 120);
    assert_eq!(count(CdrFilter { reason_code: Some("no_answer".into()), ..all.clone() }).await, 80);
    let (since, before) = (Some(start().plus_s(10)), Some(start().plus_s(20)));
    assert_eq!(count(CdrFilter { since, before, ..all.clone() }).await, 10);
    assert_eq!(store.latest_cdrs(&all, 2).await.unwrap().len(), 2);
}

#[tokio::test]
async fn only_numbers_of_allowed_countries_are_shown_as_the_caller() {
    let home = Home::new();
    let store = home.open().await;
    let company = company(&store, "Architects").await;
    let sales = profile(&store, company, "Sales").await;
    for (number, country) in [("+12026843376", "US"), ("+3726000000", "EE")] {
        let number = store.add_number(company, number, country).await.unwrap();
        store.assign_number(number.id, NumberTarget::Profile(sales)).await.unwrap();
    }
    let estonian = CallerId::OnlineNumber("+3726000000".into());
    store.set_caller_id(sales, Some("EE"), Some(&estonian)).await.unwrap();
    store.use_caller_id_countries(["US".to_owned(), "GB".to_owned()].into());
    let refused = sentence(store.set_caller_id(sales, None, Some(&estonian)).await);
    assert!(refused.contains("only numbers of GB, US can"), "{refused}");
    let american = CallerId::OnlineNumber("+12026843376".into());
    store.set_caller_id(sales, None, Some(&american)).await.unwrap();
    store.set_caller_id(sales, Some("EE"), None).await.unwrap();
}

#[tokio::test]
async fn a_company_is_renamed_suspended_and_put_right() {
    let home = Home::new();
    let store = home.open().await;
    let (one, two) = (company(&store, "Architects").await, company(&store, "Builders").await);
    let taken = store.rename_company(two, " architects ").await;
    assert!(sentence(taken).contains("there is a company architects already"));
    let number = store.rename_company(two, "17").await;
    assert!(sentence(number).contains("taken for a company's number"));
    assert_eq!(store.rename_company(two, "BUILDERS").await.unwrap().name, "BUILDERS", "its own name is free");

    let before = store.revision().await.unwrap();
    let suspended = store.suspend_company(start(), one, "unpaid bills").await.unwrap();
    let suspension = Suspension { at: start(), reason: "unpaid bills".into() };
    assert_eq!(suspended.suspension, Some(suspension));
    assert!(store.revision().await.unwrap() > before, "calls feel it");
    assert_eq!(store.resume_company(one).await.unwrap().suspension, None);

    store.top_up(start(), one, Micros::from_units(10), "twice").await.unwrap();
    let corrected = store.correct(start(), one, Micros::from_units(-4), ("booked twice", "token 1 (ada)"));
    assert_eq!(corrected.await.unwrap().credit, Micros::from_units(6));
    let too_much = store.correct(start(), one, Micros::from_units(-7), ("x", "y")).await;
    assert!(sentence(too_much).contains("does not pay 7.00"));
    assert!(store.correct(start(), one, Micros::ZERO, ("x", "y")).await.is_err());
    let unreasoned = store.give_back(start(), one, Micros::from_units(1), (" ", "y")).await;
    assert!(sentence(unreasoned).contains("reason"));
    let noted = store.give_back(start(), one, Micros::from_units(2), ("dropped calls", "ada")).await.unwrap();
    assert_eq!(noted.credit, Micros::from_units(8));
    let statement = store
        .statement(one, provisioning_store::reports::Month::of(start()), &PriceList::default())
        .await
        .unwrap();
    let told = format!("{statement:?}");
    assert!(told.contains("booked twice (token 1 (ada))") && told.contains("dropped calls (ada)"), "{told}");
    assert_eq!(statement.closing, Micros::from_units(8));
    assert!(store.verify().await.unwrap().is_empty());
}

#[tokio::test]
async fn an_import_is_undone_by_its_edition() {
    let home = Home::new();
    let store = home.open().await;
    let csv = |price: u32| format!("prefix,destination,rate_per_minute\n372,Estonia,0.0{price}\n");
    let price = async || {
        let book = store.rate_book(start()).await.unwrap();
        book.table(STANDARD_PRICE_LIST, start()).and_then(|it| it.find("372")).map(|it| it.rate_per_minute.0)
    };
    let newest = async || {
        let editions = store.editions().await.unwrap();
        editions.iter().filter(|it| it.state == EditionState::Valid).map(|it| it.id).max().unwrap()
    };
    for round in 1..=8 {
        store.import_rates(start(), STANDARD_PRICE_LIST, None, &csv(round)).await.unwrap();
        assert_eq!(price().await, Some(i64::from(round) * 10_000));
    }
    let revision = store.revision().await.unwrap();
    let refused =
        store.import_rates(start(), STANDARD_PRICE_LIST, None, &(csv(9) + "372,Estonia,0.01\n")).await;
    assert!(sentence(refused).contains("line 3, prefix: 372 stands in line 2 already"));
    assert_eq!((store.revision().await.unwrap(), price().await), (revision, Some(80_000)), "all or nothing");
    for round in (3..=7).rev() {
        let edition = newest().await;
        store.undo_import(start(), STANDARD_PRICE_LIST, edition).await.unwrap();
        assert_eq!(price().await, Some(i64::from(round) * 10_000));
        let again = store.undo_import(start(), STANDARD_PRICE_LIST, edition).await;
        assert!(sentence(again).contains("not the newest"));
    }
    let last = store.undo_import(start(), STANDARD_PRICE_LIST, newest().await).await;
    assert!(sentence(last).contains("no earlier edition"), "five are kept");
    assert_eq!(price().await, Some(30_000), "something stays in force");
    // Those that were given up, taken back or are too old are deleted, and nothing else.
    assert_eq!(store.clear_editions(start()).await.unwrap(), 8);
    assert_eq!(store.clear_editions(start()).await.unwrap(), 0);
    assert_eq!((store.editions().await.unwrap().len(), price().await), (1, Some(30_000)));
}

#[tokio::test]
async fn a_deck_that_is_only_looked_at_changes_nothing() {
    let home = Home::new();
    let store = home.open().await;
    let csv = "prefix,destination,rate_per_minute\n372,Estonia,0.02\n44,UK,0.01\n";
    store.import_rates(start(), STANDARD_PRICE_LIST, None, csv).await.unwrap();
    let before = (store.revision().await.unwrap(), store.editions().await.unwrap());
    let order = DeckOrder { is_rehearsal: true, ..DeckOrder::default() };
    let csv = "prefix,destination,rate_per_minute\n372,Estonia,0.03\n49,Germany,0.01\n".as_bytes();
    let deck = store.read_deck(start(), order.clone(), csv).await.unwrap();
    let meanwhile = store.read_deck(start(), order, csv).await;
    assert!(sentence(meanwhile).contains("another rate deck is being imported"));
    assert!(store.import_progress().is_some());
    let imported = store.put_deck(start(), deck).await.unwrap();
    assert_eq!(store.import_progress(), None);
    let counts = imported.changes.counts;
    assert_eq!((counts.new, counts.gone, counts.dearer, counts.cheaper), (1, 1, 1, 0));
    assert_eq!(imported.edition, None);
    assert_eq!((store.revision().await.unwrap(), store.editions().await.unwrap()), before);
}

#[tokio::test]
async fn price_lists_have_editions_that_hold_from_a_moment_on() {
    let home = Home::new();
    let store = home.open().await;
    let company = company(&store, "Architects").await;
    let csv = |price: &str| format!("prefix,destination,rate_per_minute\n372,Estonia,{price}\n");
    let (now, later) = (start(), start().plus_days(30));
    store.import_rates(now, STANDARD_PRICE_LIST, None, &csv("0.02")).await.unwrap();
    store.import_rates(now, STANDARD_PRICE_LIST, Some(later), &csv("0.03")).await.unwrap();
    store.import_rates(now, "wholesale", None, &csv("0.01")).await.unwrap();
    let price = async |list: &str, at| {
        let table = store.rates(list, at).await.unwrap();
        let book = store.rate_book(at).await.unwrap();
        let rate = table.find("+3728800814").map(|rate| rate.rate_per_minute);
        assert_eq!(book.table(list, at).and_then(|it| it.find("372")).map(|it| it.rate_per_minute), rate);
        rate
    };
    assert_eq!(price(STANDARD_PRICE_LIST, later.plus_s(-1)).await, Some(Micros(20_000)));
    assert_eq!(price(STANDARD_PRICE_LIST, later).await, Some(Micros(30_000)));
    assert_eq!(price("wholesale", later).await, Some(Micros(10_000)));
    let ahead = store.rate_book(now).await.unwrap();
    let rate = ahead.table(STANDARD_PRICE_LIST, later).and_then(|table| table.find("372"));
    assert_eq!(rate.map(|rate| rate.rate_per_minute), Some(Micros(30_000)), "known before it holds");
    // What is put in force at once takes the place of what was, and not of what is to come.
    store.import_rates(now.plus_s(1), STANDARD_PRICE_LIST, None, &csv("0.025")).await.unwrap();
    let editions = store.editions().await.unwrap();
    let editions: Vec<_> =
        editions.iter().map(|it| (it.price_list.as_str(), it.from, it.state, it.rates)).collect();
    let (valid, replaced) = (EditionState::Valid, EditionState::Replaced);
    assert_eq!(
        editions,
        [
            ("standard", Timestamp(0), replaced, 1),
            ("standard", Timestamp(0), valid, 1),
            ("standard", later, valid, 1),
            ("wholesale", Timestamp(0), valid, 1)
        ]
    );
    assert_eq!(price(STANDARD_PRICE_LIST, later.plus_s(-1)).await, Some(Micros(25_000)));

    assert_eq!(store.company(company).await.unwrap().price_list, STANDARD_PRICE_LIST);
    assert!(sentence(store.set_price_list(company, "retail").await).contains("no price list retail"));
    let before = store.revision().await.unwrap();
    assert_eq!(store.set_price_list(company, "wholesale").await.unwrap().price_list, "wholesale");
    assert_ne!(store.revision().await.unwrap(), before);
}
