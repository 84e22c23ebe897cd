//! Speaks to the running gateway through its administration interface.

use std::time::Duration;

use serde::de::DeserializeOwned;
use sipgw::Config;
use ureq::Agent;

use super::failure::Failure;

/// A gateway that takes longer does not answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The administration interface of the gateway that the configuration describes.
pub(crate) struct Client {
    agent: Agent,
    base: String,
    authorization: Option<String>,
}

impl Client {
    pub(crate) fn new(config: &Config) -> Self {
        let settings =
            Agent::config_builder().timeout_global(Some(PATIENCE)).http_status_as_error(false).build();
        let mut address = config.http.listen;
        if address.ip().is_unspecified() {
            // What listens everywhere listens here.
            let here =
                if address.is_ipv4() { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() };
            address.set_ip(here);
        }
        Self {
            agent: settings.into(),
            base: format!("http://{address}/admin"),
            authorization: config.http.token.as_ref().map(|token| format!("Bearer {}", token.reveal())),
        }
    }

    /// Reads a page.
    pub(crate) fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let mut request = self.agent.get(format!("{}{path}", self.base));
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let mut response = request.call().map_err(|error| self.unanswered(&error))?;
        match response.status().as_u16() {
            200 => response.body_mut().read_json().map_err(|error| self.unanswered(&error)),
            _ => Err(self.refused(&mut response)),
        }
    }

    /// Deletes a thing; gives what was said to it.
    pub(crate) fn delete(&self, path: &str) -> Result<String, Failure> {
        let mut request = self.agent.delete(format!("{}{path}", self.base));
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let mut response = request.call().map_err(|error| self.unanswered(&error))?;
        match response.status().as_u16() {
            200 => Ok(response
                .body_mut()
                .read_to_string()
                .map_err(|error| self.unanswered(&error))?
                .trim()
                .to_owned()),
            _ => Err(self.refused(&mut response)),
        }
    }

    fn unanswered(&self, error: &ureq::Error) -> Failure {
        Failure::Unanswered(format!(
            "no running gateway answers at {}: {error}; start it with sipgw run, or correct http.listen",
            self.base
        ))
    }

    fn refused(&self, response: &mut ureq::http::Response<ureq::Body>) -> Failure {
        let status = response.status();
        let words = response.body_mut().read_to_string().unwrap_or_default();
        Failure::Refused(match words.trim() {
            "" => format!("the gateway at {} answered {status}", self.base),
            words => words.to_owned(),
        })
    }
}
