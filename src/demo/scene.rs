//! The scene: a gateway on free ports of this machine, the guide's company, its two PBXs and a carrier.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use provisioning_store::lifecycle::Order;
use provisioning_store::model::{
    CallerId, CompanyId, Credentials, GuardOverrides, NewCarrier, NewCompany, NumberTarget, Override,
    Premium, ProfileId, ProfileSettings, Srtp,
};
use provisioning_store::money::Micros;
use provisioning_store::store::{NewProfile, STANDARD_PRICE_LIST, Store};
use sip_core::types::Transport;
use tempfile::TempDir;
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::CertificateDer;

use super::DemoError;
use super::agent::{Agent, Character, Link, Security};
use super::report::Report;
use crate::config::{ListenConfig, LogConfig, MediaAddress, PortRange, TransportName};
use crate::{Config, Daemon, logging, storage};

/// The domain of the demonstration. It exists nowhere else (RFC 2606).
pub(super) const DOMAIN: &str = "sip.architects.example";
/// Where the gateway and the PBXs are.
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Where the carrier is: it is known by its address, which must not be the PBXs'.
const CARRIER_AT: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
/// RTP ports. A call uses four, and the relay lets them rest before it uses them again.
const RTP_PORTS: u16 = 160;

/// Online Number of Sales Architects.
pub(super) const SALES_NUMBER: &str = "+12026843376";
/// Online Number of the business account architects.engineering.
pub(super) const ENGINEERING_NUMBER: &str = "+12026555376";
/// Online Number of hiroshitanaka.
pub(super) const HIROSHI_NUMBER: &str = "+12025550171";
/// Online Number of the phone of one's own.
const PHONE_NUMBER: &str = "+12025550142";
/// The extension that calls to architects.engineering reach.
pub(super) const EXTENSION: &str = "7000";
/// The channels of each profile.
pub(super) const CHANNELS: u32 = 4;

/// What each side says in its calls, Hz.
pub(super) const SALES_TONE: u16 = 440;
pub(super) const ENGINEERING_TONE: u16 = 660;
pub(super) const CARRIER_TONE: u16 = 880;

/// The steep rate is billed by the second, so that nobody has to wait long for the end of the money.
const RATES: &str = "prefix,destination,country,rate_per_minute,connection_fee,minimum_s,increment_s
1,United States,US,0.008,0,30,6
372,Estonia,EE,0.04,0,30,6
8816,Satellite,,90.00,0,1,1
";

/// Who belongs to a trunk.
pub(super) struct Trunk {
    pub(super) profile: ProfileId,
    pub(super) name: &'static str,
    pub(super) credentials: Credentials,
    pub(super) pbx: Agent,
}

/// All that takes part.
pub(super) struct Scene {
    pub(super) daemon: Daemon,
    pub(super) company: CompanyId,
    pub(super) sales: Trunk,
    pub(super) engineering: Trunk,
    pub(super) carrier: Agent,
    phone: Credentials,
    /// Last, so that it is removed when nobody uses it any more.
    _folder: TempDir,
}

impl Scene {
    /// Makes everything and starts it.
    pub(super) async fn set() -> Result<Self, DemoError> {
        let folder = tempfile::Builder::new()
            .prefix("sipgw-demo-")
            .tempdir()
            .map_err(DemoError::system("a temporary directory"))?;
        let (config, certificate) = configuration(folder.path())?;
        let books = Books::written(&config).await?;

        let carrier_socket = UdpSocket::bind((CARRIER_AT, 0))
            .map_err(DemoError::system(format!("{CARRIER_AT}, the carrier's address")))?;
        let carrier_at = carrier_socket.local_addr().map_err(DemoError::system("the carrier's port"))?;
        books.add_carrier(carrier_at).await?;
        books.store.close().await;
        let daemon = Daemon::start(config).await?;
        // The port was held until its owner comes.
        drop(carrier_socket);

        let (udp, tls) = (reached(&daemon, Transport::Udp), reached(&daemon, Transport::Tls));
        let failed = |what: &str| DemoError::system(what.to_owned());
        let link = Link::udp((HERE, 0).into(), udp).await.map_err(failed("the socket of Sales' PBX"))?;
        let sales = Agent::start(sales_pbx(&books.sales), link);
        let mut roots = RootCertStore::empty();
        // A certificate of our own making is one; the handshake would fail otherwise, and say so.
        let _ = roots.add(certificate);
        let link = Link::tls(tls, DOMAIN, roots).await.map_err(failed("Engineering's TLS connection"))?;
        let engineering = Agent::start(engineering_pbx(&books.engineering), link);
        let link = Link::udp(carrier_at, udp).await.map_err(failed("the carrier's socket"))?;
        let carrier = Agent::start(carrier(), link);
        let trunk = |name, credentials: Credentials, pbx| Trunk {
            profile: credentials.profile,
            name,
            credentials,
            pbx,
        };
        Ok(Self {
            daemon,
            company: books.company,
            sales: trunk("Sales Architects", books.sales, sales),
            engineering: trunk("Engineering Architects", books.engineering, engineering),
            carrier,
            phone: books.phone,
            _folder: folder,
        })
    }

    /// Where the gateway takes a transport.
    pub(super) fn reached_at(&self, transport: Transport) -> SocketAddr {
        reached(&self.daemon, transport)
    }

    /// Says how a phone of one's own takes part.
    pub(super) fn invite_phone(&self, report: &Report) {
        let port = |transport| self.reached_at(transport).port();
        report.chapter("Register a phone of your own, on this machine");
        report.say(format_args!("user      {}", self.phone.sip_user));
        report.say(format_args!("password  {}", self.phone.password.reveal()));
        report.say(format_args!("domain    {DOMAIN}"));
        report.say(format_args!(
            "server    {HERE}, UDP port {}, TCP port {}, TLS port {} (certificate self-signed)",
            port(Transport::Udp),
            port(Transport::Tcp),
            port(Transport::Tls)
        ));
        report.say("");
        report.say("Call +1 760 660 4690 for the echo test, +1 202 684 3376 for Sales (a tone of 440 Hz),");
        report.say("or any number in the US or Estonia: the carrier answers with a tone of 880 Hz.");
        report.say(format_args!("Your number is {PHONE_NUMBER}, your credit 5.00, your channels 2."));
        report.say(format_args!(
            "What happens shows at http://{}/metrics. Ctrl-C ends it all.",
            self.daemon.http()
        ));
    }

    /// Ends everything; the temporary directory goes with it.
    pub(super) async fn strike(self) {
        let Self { daemon, sales, engineering, carrier, _folder, .. } = self;
        daemon.stop().await;
        drop((sales, engineering, carrier));
    }
}

fn reached(daemon: &Daemon, transport: Transport) -> SocketAddr {
    let listener = daemon.listeners().iter().find(|listener| listener.transport == transport);
    listener.expect("the demonstration's configuration has a listener of every transport").local
}

/// Everything is left to its default but addresses, which the system chooses, paths and patience.
fn configuration(folder: &Path) -> Result<(Config, CertificateDer<'static>), DemoError> {
    let made = rcgen::generate_simple_self_signed([DOMAIN.to_owned(), HERE.to_string()])?;
    let save = |name: &str, text: String| {
        fs::write(folder.join(name), text)
            .map_err(DemoError::system(format!("{name} in {}", folder.display())))
    };
    save("tls.crt", made.cert.pem())?;
    save("tls.key", made.signing_key.serialize_pem())?;

    let mut config = Config { directory: folder.to_owned(), ..Config::default() };
    config.node.domain = DOMAIN.to_owned();
    let listen = |transport| ListenConfig { transport, address: (HERE, 0).into(), advertise: None };
    config.sip.listen = [TransportName::Udp, TransportName::Tcp, TransportName::Tls].map(listen).to_vec();
    config.tls.certificate = Some("tls.crt".into());
    config.tls.key = Some("tls.key".into());
    config.calls.drain_s = 0;
    // Whoever tries it may have a machine that is busy with building it.
    (config.store.patience_ms, config.calls.question_patience_s) = (10_000, 20);
    config.media.addresses = vec![MediaAddress { bind: HERE, advertise: None }];
    config.media.ports = free_ports().map_err(DemoError::system("free ports for RTP"))?;
    config.store.path = "sipgw.db".into();
    config.store.key_file = "sipgw.key".into();
    config.http.listen = (HERE, 0).into();
    config.log = log();
    // A log that does not start is no reason not to tell the story.
    let _ = logging::start(&config.log);
    Ok((config, made.cert.der().clone()))
}

/// The story is on the terminal already; the log is for whoever asks for it with the variable of the configuration.
fn log() -> LogConfig {
    let level = std::env::var("SIPGW__LOG__LEVEL").unwrap_or_else(|_| "error".to_owned());
    LogConfig { level, ..LogConfig::default() }
}

/// A range of UDP ports that are all free at this moment, beginning where the system points to.
fn free_ports() -> std::io::Result<PortRange> {
    let mut tries = 0..100;
    loop {
        let first = UdpSocket::bind((HERE, 0))?.local_addr()?.port() & !1;
        let range = first.checked_add(RTP_PORTS - 1).map(|last| PortRange { first, last });
        let bound = range.map(|range| (range.first..=range.last).map(|port| UdpSocket::bind((HERE, port))));
        let is_free = |sockets: Vec<_>| sockets.iter().all(std::io::Result::is_ok);
        match (range, bound.is_some_and(|bound| is_free(bound.collect()))) {
            (Some(range), true) => return Ok(range),
            _ if tries.next().is_none() => return Err(std::io::ErrorKind::AddrInUse.into()),
            _ => {}
        }
    }
}

/// The company's books, before the gateway opens them.
struct Books {
    store: Store,
    company: CompanyId,
    sales: Credentials,
    engineering: Credentials,
    phone: Credentials,
}

impl Books {
    async fn written(config: &Config) -> Result<Self, DemoError> {
        let store = storage::open(config).await?;
        let now = storage::now();
        store.import_rates(now, STANDARD_PRICE_LIST, None, RATES).await?;
        let new = NewCompany { name: "Architects".into(), country: "US".into(), currency: "USD".into() };
        let company = store.create_company(now, &new).await?.id;
        store.top_up(now, company, Micros::from_units(200), "demonstration").await?;

        // As the API makes them, but for the call to a satellite that uses the money up.
        let new = config.calls.new_profiles.guard(&config.calls.spend_guard.guard());
        let guard = GuardOverrides { premium: Override::Set(Premium::Allow), ..new };
        let profile = async |name: &str, srtp, order, credit| {
            let settings = ProfileSettings { srtp, ..ProfileSettings::default() };
            let order = Some((order, config.price_list()));
            let new = NewProfile { company, name: name.to_owned(), settings, order };
            let credit = Some(Micros::from_units(credit));
            let (_, credentials) = store.create_profile_with_credit(now, new, credit, guard).await?;
            Ok::<_, DemoError>(credentials)
        };
        let order = |channels, bundles| Order { channels, bundles };
        let sales = profile("Sales Architects", Srtp::Auto, order(CHANNELS, 0), 10).await?;
        let engineering = profile("Engineering Architects", Srtp::Required, order(CHANNELS, 1), 10).await?;
        let phone = profile("Your own phone", Srtp::Auto, order(2, 0), 5).await?;

        let books = Self { store, company, sales, engineering, phone };
        books.assign_numbers().await?;
        Ok(books)
    }

    async fn assign_numbers(&self) -> Result<(), DemoError> {
        let Self { store, company, .. } = self;
        let own = async |number, target| {
            let number = store.add_number(*company, number, "US").await?;
            store.assign_number(number.id, target).await
        };
        let account = async |name, extension, profile, number| {
            let account = store.create_business_account(*company, name, None).await?;
            store.attach_business_account(account.id, profile, extension).await?;
            own(number, NumberTarget::BusinessAccount(account.id)).await
        };
        let (sales, engineering) = (self.sales.profile, self.engineering.profile);
        own(SALES_NUMBER, NumberTarget::Profile(sales)).await?;
        own(PHONE_NUMBER, NumberTarget::Profile(self.phone.profile)).await?;
        account("architects.engineering", Some(EXTENSION), engineering, ENGINEERING_NUMBER).await?;
        account("hiroshitanaka", None, engineering, HIROSHI_NUMBER).await?;
        let shown = CallerId::OnlineNumber(SALES_NUMBER.to_owned());
        store.set_caller_id(sales, None, Some(&shown)).await?;
        Ok(())
    }

    async fn add_carrier(&self, at: SocketAddr) -> Result<(), DemoError> {
        let mut carrier = NewCarrier::new("Loopback Telecom", at.ip().to_string());
        carrier.port = Some(at.port());
        carrier.sources = vec![at.ip().into()];
        self.store.create_carrier(carrier).await?;
        Ok(())
    }
}

/// It stands behind a NAT and does not know its outer address, as most do.
fn sales_pbx(credentials: &Credentials) -> Character {
    Character {
        believes: Some(SocketAddr::from(([192, 168, 1, 20], 5060))),
        contact_params: ";rinstance=40fef6a1",
        product: "SalesPBX/1.0",
        tone_hz: SALES_TONE,
        ..pbx(credentials)
    }
}

fn engineering_pbx(credentials: &Credentials) -> Character {
    Character {
        product: "EngineeringPBX/1.0",
        tone_hz: ENGINEERING_TONE,
        security: Security::Sdes,
        ..pbx(credentials)
    }
}

fn pbx(credentials: &Credentials) -> Character {
    Character {
        user: credentials.sip_user.clone(),
        password: Some(credentials.password.reveal().to_owned()),
        domain: DOMAIN.to_owned(),
        believes: None,
        contact_params: "",
        product: "PBX",
        tone_hz: SALES_TONE,
        security: Security::Plain,
        rings_for: Duration::from_millis(300),
    }
}

fn carrier() -> Character {
    Character {
        user: "carrier".to_owned(),
        password: None,
        domain: CARRIER_AT.to_string(),
        believes: None,
        contact_params: "",
        product: "LoopbackTelecom/1.0",
        tone_hz: CARRIER_TONE,
        security: Security::Plain,
        rings_for: Duration::from_millis(300),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ports_begin_even_and_are_enough() {
        let range = free_ports().unwrap();
        assert_eq!((range.first % 2, range.count()), (0, usize::from(RTP_PORTS)));
    }
}
