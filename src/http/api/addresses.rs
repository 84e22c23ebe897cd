//! Addresses and ranges that profiles with IP authentication are let in from.

use std::net::{IpAddr, SocketAddr};

use axum::Json;
use axum::http::StatusCode;
use ipnet::IpNet;
use provisioning_store::model::{ClaimState, CompanyId, IpRule, IpRuleId, NewIpRule, ProfileId, Transport};
use provisioning_store::tokens::Role;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::{Body, Path};
use super::caller::Caller;
use super::error::Problem;
use super::profiles::TAG;
use super::word::word;
use super::{Answer, Created};
use crate::storage;

pub(super) fn routes() -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list_addresses, add_address))
        .routes(routes!(remove_address))
        .routes(routes!(confirm_address))
}

/// An address or range that a profile is let in from.
#[derive(Serialize, ToSchema)]
#[schema(as = Address)]
struct AddressView {
    /// Identity.
    id: i64,
    /// An address is the range of itself: `203.0.113.7/32`.
    network: String,
    /// The source port; null is any.
    port: Option<u16>,
    #[schema(schema_with = word::<Transport>)]
    transport: Transport,
    /// The DNS name that the client certificate must bear; null asks for no certificate.
    certificate: Option<String>,
    /// `confirmed`: calls from there are the profile's. `pending`: only where its PBX proves the profile's password, until
    /// an operator confirms it.
    #[schema(schema_with = word::<ClaimState>)]
    state: ClaimState,
}

impl From<IpRule> for AddressView {
    fn from(IpRule { id, state, rule, .. }: IpRule) -> Self {
        let NewIpRule { network, port, transport, certificate } = rule;
        Self { id: id.0, network: network.to_string(), port, transport, certificate, state }
    }
}

/// The addresses of a profile.
#[derive(Serialize, ToSchema)]
struct Addresses {
    /// All of them, in the order they were added.
    items: Vec<AddressView>,
}

/// An address or range to let in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AddressRequest {
    /// `203.0.113.7` or `203.0.113.0/28`.
    #[schema(example = "203.0.113.7")]
    network: String,
    /// Only from this port; calls to the PBX go there too.
    #[schema(minimum = 1)]
    port: Option<u16>,
    /// Over which transport; udp if left out, tls with a certificate.
    #[schema(schema_with = word::<Transport>, required = false)]
    transport: Option<Transport>,
    /// Only who shows a client certificate of the gateway's `tls.client_ca` that bears this DNS name, whole: no pattern in
    /// the certificate counts. It goes before every rule without a certificate, whatever its network.
    #[schema(example = "pbx.example.com", max_length = 253)]
    certificate: Option<String>,
}

/// Reads an address, or a range.
pub(super) fn network(field: &str, text: &str) -> Result<IpNet, Problem> {
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    let network = text.parse().or_else(|_| address()).map_err(|_| {
        Problem::invalid(field, format!("\"{text}\" is no address like 203.0.113.7 or 203.0.113.0/28"))
    })?;
    Ok(provisioning_store::model::canonical(network))
}

/// A call that is sent to the gateway itself comes back as a call of the same profile or carrier, and so on.
pub(super) fn not_our_own(
    caller: &Caller,
    field: &str,
    host: IpAddr,
    port: Option<u16>,
    transport: Transport,
) -> Result<(), Problem> {
    let transport = crate::directory::transport(transport);
    let address = SocketAddr::new(host, port.unwrap_or_else(|| transport.default_port()));
    if caller.site.config.load().is_own_address(transport, address) {
        return Err(Problem::invalid(field, format!("{address} is the gateway's own address")));
    }
    Ok(())
}

/// List the addresses that a profile is let in from
#[utoipa::path(
    get, path = "/profiles/{profile}/addresses", tag = TAG, params(("profile" = i64, Path)),
    responses((status = 200, body = Addresses)),
)]
async fn list_addresses(caller: Caller, Path(profile): Path<ProfileId>) -> Answer<Addresses> {
    let profile = caller.profile(profile).await?;
    let rules = caller.store().ip_rules_of(profile.id).await?;
    Ok(Json(Addresses { items: rules.into_iter().map(AddressView::from).collect() }))
}

/// Let a profile in from an address
///
/// It counts while the profile's authentication is `ip`. What an operator allows is confirmed at once. An administrator may
/// name a network of 256 addresses at most (IPv6: a /48), and a certificate that no other profile has. A single address is
/// confirmed at once, unless it is known as somebody else's: a carrier's, another profile's, claimed by another
/// company even if that claim is pending, or one that a PBX of another company has registered from or proved its password at
/// within the last month. Such a claim is `pending`, and so is every
/// range: until an operator confirms it, a request from there is asked for the profile's password, and one that answers it
/// shows the address to be the profile's. A single address is confirmed by that.
///
/// Wherever an address is claimed, a call whose From or credentials name another user, or from where another company's PBX
/// has proved its password, is asked for a password. Calls to the profile go over the connection on which its certificate was
/// shown last; while there is none, to the first single address that is confirmed.
#[utoipa::path(
    post, path = "/profiles/{profile}/addresses", tag = TAG, params(("profile" = i64, Path)),
    request_body = AddressRequest, responses((status = 201, body = AddressView)),
)]
async fn add_address(
    caller: Caller,
    Path(profile): Path<ProfileId>,
    Body(request): Body<AddressRequest>,
) -> Result<Created<AddressView>, Problem> {
    let profile = caller.profile(profile).await?;
    if request.port == Some(0) {
        return Err(Problem::invalid("port", "0 is no port; write 1 to 65535, or leave it out"));
    }
    let usual = if request.certificate.is_some() { Transport::Tls } else { Transport::Udp };
    let rule = NewIpRule {
        network: network("network", &request.network)?,
        port: request.port,
        transport: request.transport.unwrap_or(usual),
        // As the store keeps it.
        certificate: request.certificate.map(|name| name.to_ascii_lowercase()),
    };
    if rule.network.prefix_len() == rule.network.max_prefix_len() {
        not_our_own(&caller, "network", rule.network.addr(), rule.port, rule.transport)?;
    }
    let store = caller.acting_on(profile.company);
    let added = match caller.role {
        Role::Operator => store.add_ip_rule(profile.id, &rule).await?,
        _ => store.claim_ip_rule(storage::now(), profile.id, &rule).await?,
    };
    Ok(Created::at(format!("/profiles/{}/addresses/{}", profile.id, added.id), AddressView::from(added)))
}

/// Confirm a claim of an address
///
/// An operator has made sure that it is the company's. Calls from there are the profile's from then on, but for those that
/// another user's name or password speaks for.
#[utoipa::path(
    put, path = "/profiles/{profile}/addresses/{address}/confirmation", tag = TAG,
    params(("profile" = i64, Path), ("address" = i64, Path)), responses((status = 204)),
    security(("token" = ["operate"])),
)]
async fn confirm_address(
    caller: Caller,
    Path((profile, address)): Path<(ProfileId, IpRuleId)>,
) -> Result<StatusCode, Problem> {
    let company = address_of(&caller, profile, address).await?;
    caller.acting_on(company).confirm_ip_rule(address).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Take an address back
///
/// Calls that run go on.
#[utoipa::path(
    delete, path = "/profiles/{profile}/addresses/{address}", tag = TAG,
    params(("profile" = i64, Path), ("address" = i64, Path)), responses((status = 204)),
)]
async fn remove_address(
    caller: Caller,
    Path((profile, address)): Path<(ProfileId, IpRuleId)>,
) -> Result<StatusCode, Problem> {
    let company = address_of(&caller, profile, address).await?;
    caller.acting_on(company).remove_ip_rule(address).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The company of an address that may be seen.
async fn address_of(caller: &Caller, profile: ProfileId, address: IpRuleId) -> Result<CompanyId, Problem> {
    let profile = caller.profile(profile).await?;
    let rules = caller.store().ip_rules_of(profile.id).await?;
    match rules.iter().any(|rule| rule.id == address) {
        true => Ok(profile.company),
        false => Err(Problem::absent("address", format!("{address} of this profile"))),
    }
}
