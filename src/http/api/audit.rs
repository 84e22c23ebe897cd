//! Who changed what, when and from where.

use axum::Json;
use provisioning_store::audit::{AuditEntry, AuditFilter};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Answer;
use super::body::Query;
use super::caller::Caller;
use super::money::Moment;
use super::page::{Cursor, Limit, Page};
use super::tokens::TAG;

pub(super) fn routes() -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(list_audit))
}

/// One line of the audit trail. It never changes.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditEntry)]
struct EntryView {
    /// Counts the entries upwards.
    id: i64,
    at: Moment,
    /// Who: a token's number and name, `http.token` of the configuration, or a user of the machine.
    actor: String,
    /// From where: an address, or `command line`.
    origin: String,
    /// The company that it happened to.
    company: Option<i64>,
    /// What: method and path, or the command.
    action: String,
    /// What was given with it, secrets left out; null if nothing was.
    #[schema(value_type = Option<Value>)]
    detail: Option<Value>,
}

impl From<AuditEntry> for EntryView {
    fn from(entry: AuditEntry) -> Self {
        Self {
            id: entry.id,
            at: Moment(entry.at),
            actor: entry.actor,
            origin: entry.origin,
            company: entry.company.map(|company| company.0),
            action: entry.action,
            detail: serde_json::from_str(&entry.detail).ok(),
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct AuditQuery {
    /// Only what happened to this company.
    company: Option<i64>,
    /// Only what this one did.
    actor: Option<String>,
    /// At or after this.
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<Moment>,
    /// Before this.
    #[param(value_type = Option<String>, format = DateTime)]
    before: Option<Moment>,
    /// `next` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// Things on a page.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200)]
    limit: Limit,
}

/// List what was changed
///
/// Newest first.
#[utoipa::path(get, path = "/audit", tag = TAG, params(AuditQuery), responses((status = 200, body = Page<EntryView>)))]
async fn list_audit(caller: Caller, Query(query): Query<AuditQuery>) -> Answer<Page<EntryView>> {
    let AuditQuery { company, actor, since, before, cursor, limit } = query;
    let filter = AuditFilter {
        company: caller.scope(company)?,
        actor,
        since: since.map(|moment| moment.0),
        before: before.map(|moment| moment.0),
    };
    let after = cursor.as_ref().map(Cursor::parse).transpose()?;
    let found = caller.store().audit(&filter, after, limit.and_one()).await?;
    Ok(Json(Page::of(found, limit, |entry| entry.id.to_string()).map(EntryView::from)))
}
