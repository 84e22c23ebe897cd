//! Addresses that prove profiles, the claims on them, and the proofs of passwords that such claims are judged by.

use std::net::{IpAddr, SocketAddr};
use std::sync::LazyLock;

use super::carriers::carrier_networks;
use super::directory::Part;
use super::listed::{Listed, Rows, rows_of, upsert};
use super::query::{query, query_as, query_scalar};
use super::quotas::OneMore;
use super::revision::{Changed, raise_revision};
use super::rows::{narrow, word};
use super::{Connection, Database, failed, statements};
use crate::error::StoreError;
use crate::model::{ClaimState, IpRule, IpRuleId, NewIpRule, ProfileId, Timestamp};
use crate::registrations::Proof;

/// Identity, profile, network, port, transport, certificate, state.
type IpRuleRow = (i64, i64, String, Option<i64>, String, Option<String>, String);

/// Profile, address, transport, time.
type ProofRow = (i64, String, String, i64);

const PROOF: &str = "profile_id BIGINT, address TEXT, transport TEXT, proved_at BIGINT";

static SAVE: LazyLock<Listed> =
    LazyLock::new(|| Listed::new(|list| upsert(list, "proofs", PROOF, "profile_id, address")));

/// Deletes all but the latest proofs of each of these profiles.
static DELETE_SURPLUS: LazyLock<Listed> = LazyLock::new(|| {
    Listed::new(|list| {
        let profiles = rows_of(list, "profile_id BIGINT");
        let kept = Proof::ADDRESSES_PER_PROFILE;
        format!(
            "DELETE FROM proofs WHERE (profile_id, address) IN (SELECT profile_id, address FROM \
             (SELECT profile_id, address, \
             ROW_NUMBER() OVER (PARTITION BY profile_id ORDER BY proved_at DESC, address) AS place FROM proofs \
             WHERE profile_id IN (SELECT profile_id FROM proofs WHERE profile_id IN (SELECT profile_id FROM {profiles}) \
             GROUP BY profile_id HAVING COUNT(*) > {kept})) AS placed WHERE place > {kept})"
        )
    })
});

/// Who adds an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claimant {
    /// An operator, who knows whose address it is.
    Operator,
    /// A company for a profile of its own, at this time.
    Company(Timestamp),
    /// The same, for an address that a carrier's name leads to.
    CompanyAtCarrier(Timestamp),
}

impl Database {
    pub(crate) async fn add_ip_rule(
        &self,
        profile: ProfileId,
        rule: &NewIpRule,
        claimant: Claimant,
    ) -> Result<IpRule, StoreError> {
        let mut transaction = self.begin().await?;
        self.refuse_beyond_quota(&mut transaction, OneMore::Address(profile)).await?;
        let state = match claimant {
            Claimant::Operator => ClaimState::Confirmed,
            Claimant::Company(now) => judge(&mut transaction, now, profile, rule).await?,
            Claimant::CompanyAtCarrier(now) => {
                judge(&mut transaction, now, profile, rule).await?;
                ClaimState::Pending
            }
        };
        let id: i64 = query_scalar(statements::INSERT_IP_RULE)
            .bind(profile.0)
            .bind(rule.network.to_string())
            .bind(rule.port.map(i64::from))
            .bind(rule.transport.word())
            .bind(rule.certificate.clone())
            .bind(state.word())
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed("adding an address"))?;
        raise_revision(&mut transaction, Changed::Profile(profile)).await?;
        transaction.commit().await.map_err(failed("adding an address"))?;
        Ok(IpRule { id: IpRuleId(id), profile, state, rule: rule.clone() })
    }

    pub(crate) async fn confirm_ip_rule(&self, rule: IpRuleId) -> Result<(), StoreError> {
        let statement = query(statements::CONFIRM_IP_RULE).bind(rule.0);
        let what = ("address rule", rule.to_string());
        self.change("confirming an address", what, Some(Changed::IpRule(rule)), statement).await
    }

    pub(crate) async fn remove_ip_rule(&self, rule: IpRuleId) -> Result<(), StoreError> {
        let statement = query(statements::DELETE_IP_RULE).bind(rule.0);
        let what = ("address rule", rule.to_string());
        self.change("removing an address", what, Some(Changed::IpRule(rule)), statement).await
    }

    pub(crate) async fn ip_rules(&self) -> Result<Vec<IpRule>, StoreError> {
        let mut reader = self.reader().acquire().await.map_err(failed("reading addresses"))?;
        ip_rules(&mut reader, Part::Whole).await
    }

    pub(crate) async fn ip_rules_of(&self, profile: ProfileId) -> Result<Vec<IpRule>, StoreError> {
        let rows: Vec<IpRuleRow> = query_as(statements::IP_RULES_OF_PROFILE)
            .bind(profile.0)
            .fetch_all(self.reader())
            .await
            .map_err(failed("reading addresses"))?;
        rows.into_iter().map(ip_rule).collect()
    }

    /// Keeps proofs, and confirms the claims of single addresses that they were made at. Says whether there were any.
    pub(crate) async fn save_proofs(&self, proofs: &[Proof]) -> Result<bool, StoreError> {
        if proofs.is_empty() {
            return Ok(false);
        }
        let mut transaction = self.begin_beside().await?;
        let (mut rows, mut profiles) = (Rows::default(), Rows::default());
        for Proof { profile, address, transport, at } in proofs {
            rows.add().put(profile.0).put(address.to_string()).put(transport.word()).put(at.0);
            profiles.add().put(profile.0);
        }
        SAVE.execute(&mut transaction, rows).await.map_err(failed("saving proofs"))?;
        DELETE_SURPLUS.execute(&mut transaction, profiles).await.map_err(failed("forgetting proofs"))?;
        transaction.commit().await.map_err(failed("saving proofs"))?;
        self.confirm_proved(proofs).await
    }

    /// Confirms the claims of single addresses that these proofs were made at. Few claims are pending at a time, so all of
    /// them are read once and not a query made for each proof.
    async fn confirm_proved(&self, proofs: &[Proof]) -> Result<bool, StoreError> {
        let pending: Vec<(i64, i64, String, String)> = query_as(statements::PENDING_CLAIMS)
            .fetch_all(self.reader())
            .await
            .map_err(failed("reading addresses"))?;
        let is_proved = |profile: i64, network: &str, transport: &str| {
            proofs.iter().any(|proof| {
                proof.profile.0 == profile
                    && proof.transport.word() == transport
                    && ipnet::IpNet::from(proof.address).to_string() == network
            })
        };
        let mut has_confirmed = false;
        for (claim, profile, network, transport) in pending {
            if !is_proved(profile, &network, &transport) {
                continue;
            }
            match self.confirm_ip_rule(IpRuleId(claim)).await {
                // Taken back meanwhile.
                Err(StoreError::NotFound { .. }) => {}
                confirmed => confirmed.map(|()| has_confirmed = true)?,
            }
        }
        Ok(has_confirmed)
    }

    /// The proofs that are remembered, the oldest first. Forgets those that are not.
    pub(crate) async fn proofs(&self, now: Timestamp) -> Result<Vec<Proof>, StoreError> {
        let since = now.plus_s(-Proof::REMEMBERED_S);
        let mut transaction = self.begin_beside().await?;
        query(statements::DELETE_OLD_PROOFS)
            .bind(since.0)
            .execute(&mut *transaction)
            .await
            .map_err(failed("forgetting proofs"))?;
        transaction.commit().await.map_err(failed("forgetting proofs"))?;
        let rows: Vec<ProofRow> = query_as(statements::PROOFS)
            .bind(since.0)
            .fetch_all(self.reader())
            .await
            .map_err(failed("reading proofs"))?;
        let proof = |(profile, address, transport, at): ProofRow| {
            Ok(Proof {
                profile: ProfileId(profile),
                address: word(&address, "an address")?,
                transport: word(&transport, "a transport")?,
                at: Timestamp(at),
            })
        };
        rows.into_iter().map(proof).collect()
    }
}

/// Whether a company's claim counts at once. A range waits, and so does an address that is known as somebody else's.
async fn judge(
    connection: &mut Connection,
    now: Timestamp,
    profile: ProfileId,
    rule: &NewIpRule,
) -> Result<ClaimState, StoreError> {
    let rules = ip_rules(connection, Part::Whole).await?;
    let confirmed = || rules.iter().filter(|it| it.profile != profile && it.state == ClaimState::Confirmed);
    let has_name = |it: &IpRule| rule.wants_name_of(&it.rule);
    if let Some(name) = rule.certificate.clone().filter(|_| confirmed().any(has_name)) {
        return Err(StoreError::Taken { what: "peer with the certificate of", name });
    }
    // Of two companies that claim an address, neither is believed before it proves its password, also if the first
    // claim is pending. A pending claim keeps nothing from the company's own profiles.
    let own: Vec<i64> = query_scalar(statements::PROFILES_OF_SAME_COMPANY)
        .bind(profile.0)
        .fetch_all(&mut *connection)
        .await
        .map_err(failed("reading profiles"))?;
    let foreign = rules.iter().filter(|it| !own.contains(&it.profile.0));
    if !rule.is_single() || confirmed().chain(foreign).any(|other| rule.wants_ground_of(&other.rule)) {
        return Ok(ClaimState::Pending);
    }
    let is_carriers = carrier_networks(connection).await?.iter().any(|network| rule.overlaps(network));
    let is_known = is_carriers || is_another_companys(connection, now, profile, rule).await?;
    Ok(if is_known { ClaimState::Pending } else { ClaimState::Confirmed })
}

/// Whether another company's PBX is registered from the address, or has proved its password there.
async fn is_another_companys(
    connection: &mut Connection,
    now: Timestamp,
    profile: ProfileId,
    rule: &NewIpRule,
) -> Result<bool, StoreError> {
    let sources: Vec<String> = query_scalar(statements::SOURCES_OF_OTHER_COMPANIES)
        .bind(profile.0)
        .fetch_all(&mut *connection)
        .await
        .map_err(failed("reading registrations"))?;
    let proofs: Vec<String> = query_scalar(statements::PROOFS_OF_OTHER_COMPANIES)
        .bind(profile.0)
        .bind(now.plus_s(-Proof::REMEMBERED_S).0)
        .fetch_all(connection)
        .await
        .map_err(failed("reading proofs"))?;
    let registered = sources.iter().filter_map(|it| it.parse::<SocketAddr>().ok()).map(|it| it.ip());
    let mut addresses = registered.chain(proofs.iter().filter_map(|it| it.parse::<IpAddr>().ok()));
    Ok(addresses.any(|address| rule.is_near(address)))
}

pub(super) async fn ip_rules(connection: &mut Connection, part: Part<'_>) -> Result<Vec<IpRule>, StoreError> {
    let statement = part.of_profiles(statements::IP_RULES_THAT, " ORDER BY id");
    let rows: Vec<IpRuleRow> =
        statement.build_query_as().fetch_all(connection).await.map_err(failed("reading addresses"))?;
    rows.into_iter().map(ip_rule).collect()
}

fn ip_rule(row: IpRuleRow) -> Result<IpRule, StoreError> {
    let (id, profile, network, port, transport, certificate, state) = row;
    Ok(IpRule {
        id: IpRuleId(id),
        profile: ProfileId(profile),
        state: word(&state, "a state of a claim")?,
        rule: NewIpRule {
            network: word(&network, "a network")?,
            port: port.map(|port| narrow(port, "a port")).transpose()?,
            transport: word(&transport, "a transport")?,
            certificate,
        },
    })
}
