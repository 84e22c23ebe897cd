//! Carriers: trunks to the telephone network. Their passwords go in and never come out.

use std::net::IpAddr;

use axum::Json;
use axum::http::StatusCode;
use ipnet::IpNet;
use provisioning_store::model::{
    Carrier, CarrierAuthentication, CarrierId, Country, NewCarrier, NumberFormat, Srtp, Switch, Transport,
    Trust,
};
use provisioning_store::secrets::Password;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::addresses::{network, not_our_own};
use super::availability::{AddressView, CarrierState, Standings};
use super::body::{Body, Path, Query, given};
use super::caller::Caller;
use super::error::Problem;
use super::openapi::Conflict;
use super::page::{Cursor, Limit, Page};
use super::status::TAG;
use super::word::word;
use super::{Answer, Created};
use crate::carrier_hosts::Hosts;

/// Longest user name or password that a carrier gives.
const SECRET_LONGEST: usize = 256;

pub(super) fn routes() -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(list_carriers, create_carrier)).routes(routes!(
        show_carrier,
        change_carrier,
        remove_carrier
    ))
}

/// A trunk to the telephone network.
#[derive(Serialize, ToSchema)]
#[schema(as = Carrier)]
struct CarrierView {
    /// Identity.
    id: i64,
    /// Unique.
    name: String,
    /// Host name or address; a name is resolved after RFC 3263.
    host: String,
    /// Null leaves it to RFC 3263.
    port: Option<u16>,
    #[schema(schema_with = word::<Transport>)]
    transport: Transport,
    /// Lower is tried first.
    priority: u16,
    /// Share among carriers of one priority.
    weight: u16,
    /// The user name that we prove ourselves with; null where it knows our address.
    user: Option<String>,
    /// Where its calls come from.
    sources: Vec<String>,
    #[schema(schema_with = word::<NumberFormat>)]
    number_format: NumberFormat,
    /// The country whose national form its numbers may have.
    country: Option<String>,
    /// Leading characters taken off the formatted called number.
    strip: u8,
    /// Put before what is left of it.
    prefix: String,
    #[schema(schema_with = word::<Srtp>)]
    srtp: Srtp,
    /// Whether it is told who calls where the number is withheld.
    #[schema(schema_with = word::<Trust>)]
    trust: Trust,
    /// Whether calls are to be sent to it.
    is_active: bool,
    /// Whether they are, as far as it answers.
    state: CarrierState,
    /// The addresses that its name leads to: what comes from there is its own, as from its sources. Null for a carrier that is
    /// an address itself, and while no gateway runs.
    hosts: Option<Vec<String>>,
    /// Its addresses as far as calls have met them, in the order in which they were found; none while no gateway runs.
    addresses: Vec<AddressView>,
}

impl CarrierView {
    async fn of(caller: &Caller, carrier: Carrier) -> Self {
        Self::standing(carrier, &Standings::of(caller).await, &caller.site.hosts.current())
    }

    fn standing(Carrier { id, settings }: Carrier, standings: &Standings, hosts: &Hosts) -> Self {
        let hosts = hosts.get(&settings.host).map(|found| found.iter().map(IpAddr::to_string).collect());
        let (state, addresses) = standings.show(id);
        let user = match settings.authentication {
            CarrierAuthentication::Ip => None,
            CarrierAuthentication::Digest { user, .. } => Some(user),
        };
        Self {
            id: id.0,
            name: settings.name,
            host: settings.host,
            port: settings.port,
            transport: settings.transport,
            priority: settings.priority,
            weight: settings.weight,
            user,
            sources: settings.sources.iter().map(IpNet::to_string).collect(),
            number_format: settings.number_format,
            country: settings.country,
            strip: settings.strip,
            prefix: settings.prefix,
            srtp: settings.srtp,
            trust: settings.trust,
            is_active: settings.active == Switch::On,
            state,
            hosts,
            addresses,
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct CarrierQuery {
    /// `next` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// Things on a page.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200)]
    limit: Limit,
}

/// List carriers
#[utoipa::path(
    get, path = "/carriers", tag = TAG, security(("token" = ["inspect"])), params(CarrierQuery),
    responses((status = 200, body = Page<CarrierView>)),
)]
async fn list_carriers(caller: Caller, Query(query): Query<CarrierQuery>) -> Answer<Page<CarrierView>> {
    let all = caller.store().carriers().await?;
    let page = Page::of_whole(all, (query.limit, query.cursor.as_ref()), |carrier| carrier.id.0)?;
    let (standings, hosts) = (Standings::of(&caller).await, caller.site.hosts.current());
    Ok(Json(page.map(|carrier| CarrierView::standing(carrier, &standings, &hosts))))
}

/// How we prove ourselves to a carrier.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Proof {
    /// The user name that the carrier gave.
    #[schema(min_length = 1, max_length = 256)]
    user: String,
    /// Its password.
    #[schema(max_length = 256, format = Password)]
    password: String,
}

impl Proof {
    fn authentication(self) -> Result<CarrierAuthentication, Problem> {
        for (field, text) in
            [("authentication.user", &self.user), ("authentication.password", &self.password)]
        {
            if text.len() > SECRET_LONGEST || text.chars().any(char::is_control) {
                let sentence = format!("write at most {SECRET_LONGEST} characters on one line");
                return Err(Problem::invalid(field, sentence));
            }
        }
        Ok(CarrierAuthentication::Digest { user: self.user, password: Password::new(self.password) })
    }
}

/// A carrier's settings; of one that is there, what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CarrierChange {
    /// Unique.
    #[schema(min_length = 1, max_length = 100)]
    name: Option<String>,
    /// Host name or address.
    #[schema(min_length = 1, max_length = 253)]
    host: Option<String>,
    /// Null leaves it to RFC 3263.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u16>, minimum = 1)]
    port: Option<Option<u16>>,
    /// A new carrier's is udp.
    #[schema(schema_with = word::<Transport>, required = false)]
    transport: Option<Transport>,
    /// Lower is tried first; a new carrier's is 10.
    priority: Option<u16>,
    /// Share among carriers of one priority; a new carrier's is 10.
    weight: Option<u16>,
    /// Null: it knows our address.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Proof>)]
    authentication: Option<Option<Proof>>,
    /// Addresses and ranges that its calls come from.
    sources: Option<Vec<String>>,
    /// `e164` is +12025550100; a new carrier's.
    #[schema(schema_with = word::<NumberFormat>, required = false)]
    number_format: Option<NumberFormat>,
    /// ISO 3166 alpha-2: the country whose national form its numbers may have. Null: it writes all in full.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, pattern = "^[A-Za-z]{2}$")]
    country: Option<Option<Country>>,
    /// Leading characters to take off the formatted called number.
    strip: Option<u8>,
    /// Digits, +, * or # to put before what is left of it.
    #[schema(max_length = 32)]
    prefix: Option<String>,
    /// A new carrier's is off.
    #[schema(schema_with = word::<Srtp>, required = false)]
    srtp: Option<Srtp>,
    /// A trusted carrier is told who calls, in P-Asserted-Identity, also where the number is withheld, and must keep it to
    /// itself (RFC 3325). A new carrier is trusted.
    #[schema(schema_with = word::<Trust>, required = false)]
    trust: Option<Trust>,
    /// Whether calls are sent to it; a new carrier is active.
    is_active: Option<bool>,
}

/// Longest prefix and host.
const TEXT_LONGEST: [(&str, usize); 2] = [("prefix", 32), ("host", 253)];

impl CarrierChange {
    fn over(self, before: NewCarrier) -> Result<NewCarrier, Problem> {
        let texts = [self.prefix.as_deref(), self.host.as_deref()];
        for ((field, longest), text) in TEXT_LONGEST.into_iter().zip(texts) {
            if text.is_some_and(|text| text.chars().count() > longest) {
                return Err(Problem::invalid(field, format!("write at most {longest} characters")));
            }
        }
        let authentication = match self.authentication {
            None => before.authentication,
            Some(None) => CarrierAuthentication::Ip,
            Some(Some(proof)) => proof.authentication()?,
        };
        let sources = match self.sources {
            None => before.sources,
            Some(texts) => texts.iter().map(|text| network("sources", text)).collect::<Result<_, _>>()?,
        };
        Ok(NewCarrier {
            name: self.name.unwrap_or(before.name),
            host: self.host.unwrap_or(before.host),
            port: self.port.unwrap_or(before.port),
            transport: self.transport.unwrap_or(before.transport),
            priority: self.priority.unwrap_or(before.priority),
            weight: self.weight.unwrap_or(before.weight),
            authentication,
            sources,
            number_format: self.number_format.unwrap_or(before.number_format),
            country: self.country.map_or(before.country, |it| it.map(|country| country.to_string())),
            strip: self.strip.unwrap_or(before.strip),
            prefix: self.prefix.unwrap_or(before.prefix),
            srtp: self.srtp.unwrap_or(before.srtp),
            trust: self.trust.unwrap_or(before.trust),
            active: match self.is_active {
                None => before.active,
                Some(true) => Switch::On,
                Some(false) => Switch::Off,
            },
        })
    }
}

/// A carrier is somebody else.
fn not_ourselves(caller: &Caller, settings: &NewCarrier) -> Result<(), Problem> {
    let host = settings.host.trim_matches(['[', ']']);
    if host.eq_ignore_ascii_case(&caller.site.config.load().node.domain) {
        return Err(Problem::invalid("host", format!("{host} is the gateway's own name")));
    }
    match host.parse() {
        Ok(address) => not_our_own(caller, "host", address, settings.port, settings.transport),
        Err(_) => Ok(()),
    }
}

/// Add a carrier
///
/// Name and host are needed; what else is left out is as it usually is.
#[utoipa::path(
    post, path = "/carriers", tag = TAG, security(("token" = ["operate"])),
    request_body = CarrierChange, responses((status = 201, body = CarrierView), (status = 409, response = Conflict)),
)]
async fn create_carrier(
    caller: Caller,
    Body(new): Body<CarrierChange>,
) -> Result<Created<CarrierView>, Problem> {
    let missing = |field: &str| Problem::invalid(field, format!("the field `{field}` is missing; add it"));
    let name = new.name.clone().ok_or_else(|| missing("name"))?;
    let host = new.host.clone().ok_or_else(|| missing("host"))?;
    let settings = new.over(NewCarrier::new(name, host))?;
    not_ourselves(&caller, &settings)?;
    let carrier = caller.acting_on(None).create_carrier(settings).await?;
    let path = format!("/carriers/{}", carrier.id);
    Ok(Created::at(path, CarrierView::of(&caller, carrier).await))
}

/// Show a carrier
#[utoipa::path(
    get, path = "/carriers/{carrier}", tag = TAG, security(("token" = ["inspect"])),
    params(("carrier" = i64, Path)), responses((status = 200, body = CarrierView)),
)]
async fn show_carrier(caller: Caller, Path(carrier): Path<CarrierId>) -> Answer<CarrierView> {
    let carrier = caller.store().carrier(carrier).await?;
    Ok(Json(CarrierView::of(&caller, carrier).await))
}

/// Change a carrier
///
/// Calls that run go on as they began.
#[utoipa::path(
    patch, path = "/carriers/{carrier}", tag = TAG, security(("token" = ["operate"])),
    params(("carrier" = i64, Path)),
    request_body = CarrierChange, responses((status = 200, body = CarrierView), (status = 409, response = Conflict)),
)]
async fn change_carrier(
    caller: Caller,
    Path(carrier): Path<CarrierId>,
    Body(change): Body<CarrierChange>,
) -> Answer<CarrierView> {
    let carrier = caller.store().carrier(carrier).await?;
    let amend = |before: Carrier| {
        let settings = change.over(before.settings)?;
        not_ourselves(&caller, &settings)?;
        Ok::<_, Problem>(settings)
    };
    caller.acting_on(None).amend_carrier(carrier.id, amend).await?;
    let carrier = caller.store().carrier(carrier.id).await?;
    Ok(Json(CarrierView::of(&caller, carrier).await))
}

/// Remove a carrier
#[utoipa::path(
    delete, path = "/carriers/{carrier}", tag = TAG, security(("token" = ["operate"])),
    params(("carrier" = i64, Path)), responses((status = 204)),
)]
async fn remove_carrier(caller: Caller, Path(carrier): Path<CarrierId>) -> Result<StatusCode, Problem> {
    caller.acting_on(None).remove_carrier(carrier).await?;
    Ok(StatusCode::NO_CONTENT)
}
