//! `sipgw openapi`

use std::io::{self, Write};

use super::failure::Failure;

/// Prints the description of the HTTP API; `docs/openapi.json` is what it prints.
pub(crate) fn run() -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    // Whoever closes the pipe has read enough.
    let _closed = stdout.write_all(sipgw::http::api::description().as_bytes()).and_then(|()| stdout.flush());
    Ok(())
}
