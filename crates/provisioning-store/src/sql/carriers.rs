//! Carriers in the database.

use std::net::IpAddr;

use ipnet::IpNet;
use sqlx::FromRow;

use super::query::{QueryScalar, query, query_as, query_scalar};
use super::revision::{Changed, raise_revision};
use super::rows::{narrow, word};
use super::{Connection, Database, failed, failed_unless_taken, statements};
use crate::error::StoreError;
use crate::model::{Carrier, CarrierAuthentication, CarrierId, NewCarrier};
use crate::secrets::{OsEntropy, Vault};

#[derive(FromRow)]
struct CarrierRow {
    id: i64,
    name: String,
    host: String,
    port: Option<i64>,
    transport: String,
    priority: i64,
    weight: i64,
    digest_user: Option<String>,
    sealed_password: Option<String>,
    sources: String,
    number_format: String,
    country: Option<String>,
    strip: i64,
    prefix: String,
    srtp: String,
    trust: String,
    active: String,
}

/// What a carrier's password is sealed for.
fn identity(carrier: CarrierId) -> String {
    format!("carrier:{carrier}")
}

impl CarrierRow {
    fn open(self, vault: &Vault) -> Result<Carrier, StoreError> {
        let id = CarrierId(self.id);
        let authentication = match (self.digest_user, self.sealed_password) {
            (Some(user), Some(sealed)) => {
                CarrierAuthentication::Digest { user, password: vault.open(&identity(id), &sealed)? }
            }
            _ => CarrierAuthentication::Ip,
        };
        let sources = self.sources.split_terminator(',').map(|source| word::<IpNet>(source, "a network"));
        let settings = NewCarrier {
            name: self.name,
            host: self.host,
            port: self.port.map(|port| narrow(port, "a port")).transpose()?,
            transport: word(&self.transport, "a transport")?,
            priority: narrow(self.priority, "a priority")?,
            weight: narrow(self.weight, "a weight")?,
            authentication,
            sources: sources.collect::<Result<_, _>>()?,
            number_format: word(&self.number_format, "a number format")?,
            country: self.country,
            strip: narrow(self.strip, "a number of digits")?,
            prefix: self.prefix,
            srtp: word(&self.srtp, "an SRTP policy")?,
            trust: word(&self.trust, "a kind of trust")?,
            active: word(&self.active, "a switch")?,
        };
        Ok(Carrier { id, settings })
    }
}

impl Database {
    pub(crate) async fn create_carrier(
        &self,
        vault: &Vault,
        new: &NewCarrier,
    ) -> Result<CarrierId, StoreError> {
        let mut transaction = self.begin().await?;
        let id: i64 = bind_carrier(statements::INSERT_CARRIER, new)
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed_unless_taken("creating a carrier", "carrier", &new.name))?;
        seal(&mut transaction, vault, CarrierId(id), new).await?;
        raise_revision(&mut transaction, Changed::Carriers).await?;
        transaction.commit().await.map_err(failed("creating a carrier"))?;
        Ok(CarrierId(id))
    }

    pub(crate) async fn change_carrier(
        &self,
        vault: &Vault,
        carrier: CarrierId,
        new: &NewCarrier,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        put_carrier(&mut transaction, vault, carrier, new).await?;
        transaction.commit().await.map_err(failed("changing a carrier"))
    }

    pub(crate) async fn remove_carrier(&self, carrier: CarrierId) -> Result<(), StoreError> {
        let statement = query(statements::DELETE_CARRIER).bind(carrier.0);
        let what = ("carrier", carrier.to_string());
        self.change("removing a carrier", what, Some(Changed::Carriers), statement).await
    }

    pub(crate) async fn carriers(&self, vault: &Vault) -> Result<Vec<Carrier>, StoreError> {
        let mut reader = self.reader().acquire().await.map_err(failed("reading carriers"))?;
        carriers(&mut reader, vault).await
    }
}

/// Puts settings in the place of a carrier's old ones.
pub(super) async fn put_carrier(
    connection: &mut Connection,
    vault: &Vault,
    carrier: CarrierId,
    new: &NewCarrier,
) -> Result<(), StoreError> {
    let id: Option<i64> = bind_carrier(statements::CHANGE_CARRIER, new)
        .bind(carrier.0)
        .fetch_optional(&mut *connection)
        .await
        .map_err(failed_unless_taken("changing a carrier", "carrier", &new.name))?;
    if id.is_none() {
        return Err(StoreError::NotFound { what: "carrier", name: carrier.to_string() });
    }
    seal(connection, vault, carrier, new).await?;
    raise_revision(connection, Changed::Carriers).await
}

fn bind_carrier(statement: &'static str, new: &NewCarrier) -> QueryScalar<i64> {
    let user = match &new.authentication {
        CarrierAuthentication::Ip => None,
        CarrierAuthentication::Digest { user, .. } => Some(user.as_str()),
    };
    let sources: Vec<_> = new.sources.iter().map(IpNet::to_string).collect();
    query_scalar(statement)
        .bind(&new.name)
        .bind(&new.host)
        .bind(new.port.map(i64::from))
        .bind(new.transport.word())
        .bind(i64::from(new.priority))
        .bind(i64::from(new.weight))
        .bind(user)
        .bind(sources.join(","))
        .bind(new.number_format.word())
        .bind(i64::from(new.strip))
        .bind(&new.prefix)
        .bind(new.srtp.word())
        .bind(new.active.word())
        .bind(new.country.as_deref())
        .bind(new.trust.word())
}

async fn seal(
    connection: &mut Connection,
    vault: &Vault,
    carrier: CarrierId,
    new: &NewCarrier,
) -> Result<(), StoreError> {
    let CarrierAuthentication::Digest { password, .. } = &new.authentication else { return Ok(()) };
    let sealed = vault.seal(&identity(carrier), password, &mut OsEntropy)?;
    query(statements::SEAL_CARRIER)
        .bind(carrier.0)
        .bind(sealed)
        .execute(connection)
        .await
        .map_err(failed("sealing a carrier's password"))?;
    Ok(())
}

/// Where carriers call from: what is listed, and their own addresses where they are not named.
pub(super) async fn carrier_networks(connection: &mut Connection) -> Result<Vec<IpNet>, StoreError> {
    let rows: Vec<(String, String)> = query_as(statements::CARRIER_PLACES)
        .fetch_all(connection)
        .await
        .map_err(failed("reading carriers"))?;
    let mut networks = Vec::new();
    for (host, sources) in rows {
        networks.extend(host.trim_matches(['[', ']']).parse::<IpAddr>().ok().map(IpNet::from));
        for source in sources.split_terminator(',') {
            networks.push(word(source, "a network")?);
        }
    }
    Ok(networks)
}

pub(super) async fn carriers(connection: &mut Connection, vault: &Vault) -> Result<Vec<Carrier>, StoreError> {
    let rows: Vec<CarrierRow> =
        query_as(statements::CARRIERS).fetch_all(connection).await.map_err(failed("reading carriers"))?;
    rows.into_iter().map(|row| row.open(vault)).collect()
}

pub(super) async fn carrier(
    connection: &mut Connection,
    vault: &Vault,
    wanted: CarrierId,
) -> Result<Option<Carrier>, StoreError> {
    let all = carriers(connection, vault).await?;
    Ok(all.into_iter().find(|carrier| carrier.id == wanted))
}
