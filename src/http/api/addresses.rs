//! Addresses and ranges that profiles with IP authentication are let in from.

use std::net::IpAddr;

use axum::Json;
use axum::http::StatusCode;
use ipnet::IpNet;
use provisioning_store::model::{IpRule, IpRuleId, NewIpRule, ProfileId, Transport};
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

pub(super) fn routes() -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(list_addresses, add_address)).routes(routes!(remove_address))
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
}

impl From<IpRule> for AddressView {
    fn from(IpRule { id, rule, .. }: IpRule) -> Self {
        let NewIpRule { network, port, transport, certificate } = rule;
        Self { id: id.0, network: network.to_string(), port, transport, certificate }
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
    text.parse().or_else(|_| address()).map_err(|_| {
        Problem::invalid(field, format!("\"{text}\" is no address like 203.0.113.7 or 203.0.113.0/28"))
    })
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
/// It counts while the profile's authentication is `ip`. An administrator may name a network where nobody else is known, of
/// 256 addresses at most (IPv6: a /48), and a certificate that no other profile has; for anything else, such as a certificate
/// from anywhere (`0.0.0.0/0`), there are operators. Calls to the profile go over the connection on which its certificate was
/// shown last; while there is none, to the first single address that it is let in from.
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
    let store = caller.acting_on(profile.company);
    let id = match caller.role {
        Role::Operator => store.add_ip_rule(profile.id, &rule).await?,
        Role::Administrator(_) => store.claim_ip_rule(profile.id, &rule).await?,
    };
    let view = AddressView::from(IpRule { id, profile: profile.id, rule });
    Ok(Created::at(format!("/profiles/{}/addresses/{id}", profile.id), view))
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
    let profile = caller.profile(profile).await?;
    let rules = caller.store().ip_rules_of(profile.id).await?;
    if !rules.iter().any(|rule| rule.id == address) {
        return Err(Problem::absent("address", format!("{address} of this profile")));
    }
    caller.acting_on(profile.company).remove_ip_rule(address).await?;
    Ok(StatusCode::NO_CONTENT)
}
