//! Business accounts: names that people on the network call.

use axum::Json;
use axum::http::StatusCode;
use provisioning_store::model::{Administrator, BusinessAccount, BusinessAccountId, CompanyId, ProfileId};
use provisioning_store::pages::AccountFilter;
use provisioning_store::secrets::Password;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::{Body, Path, Query};
use super::caller::Caller;
use super::error::Problem;
use super::numbers::TAG;
use super::openapi::Conflict;
use super::page::{Cursor, Limit, Page};
use super::{Answer, Created};

pub(super) fn routes() -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list_accounts, create_account))
        .routes(routes!(show_account, remove_account))
        .routes(routes!(attach_account, detach_account))
        .routes(routes!(show_account_credentials, new_account_password))
        .routes(routes!(call_button))
}

/// A name that people on the network call.
#[derive(Serialize, ToSchema)]
#[schema(as = BusinessAccount)]
struct AccountView {
    /// Identity.
    id: i64,
    /// The company it belongs to.
    company: i64,
    /// In small letters: `architects.sales`.
    name: String,
    /// The profile that receives its calls.
    profile: Option<i64>,
    /// The user part towards the PBX instead of the name.
    extension: Option<String>,
    /// What else a change has changed, in words: who can no longer sign in. Left out where it is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    warnings: Vec<String>,
}

impl From<BusinessAccount> for AccountView {
    fn from(account: BusinessAccount) -> Self {
        Self {
            id: account.id.0,
            company: account.company.0,
            name: account.name,
            profile: account.profile.map(|profile| profile.0),
            extension: account.extension,
            warnings: Vec::new(),
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct AccountQuery {
    /// Only this company's.
    company: Option<i64>,
    /// The name contains this.
    name: Option<String>,
    /// Only those attached to this profile.
    profile: Option<i64>,
    /// `next` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// Things on a page.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200)]
    limit: Limit,
}

/// List business accounts
#[utoipa::path(
    get, path = "/business-accounts", tag = TAG, params(AccountQuery),
    responses((status = 200, body = Page<AccountView>)),
)]
async fn list_accounts(caller: Caller, Query(query): Query<AccountQuery>) -> Answer<Page<AccountView>> {
    let AccountQuery { company, name, profile, cursor, limit } = query;
    let filter = AccountFilter { company: caller.scope(company)?, name, profile: profile.map(ProfileId) };
    let found = caller.store().business_accounts_in(&filter, limit.slice(cursor.as_ref())?).await?;
    Ok(Json(Page::of(found, limit, |account| account.id.to_string()).map(AccountView::from)))
}

/// A business account to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AccountRequest {
    /// The company that it is for.
    company: i64,
    /// Unique in the installation; letters, digits and any of - _ . ! ~ * ' ( ) +
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// The user part towards the PBX instead of the name.
    #[schema(min_length = 1, max_length = 100)]
    extension: Option<String>,
}

/// Create a business account
#[utoipa::path(
    post, path = "/business-accounts", tag = TAG,
    request_body = AccountRequest, responses((status = 201, body = AccountView), (status = 409, response = Conflict)),
)]
async fn create_account(
    caller: Caller,
    Body(new): Body<AccountRequest>,
) -> Result<Created<AccountView>, Problem> {
    let company = caller.company(CompanyId(new.company)).await.map_err(|it| it.named_in("company"))?;
    let store = caller.acting_on(company.id);
    let account = store.create_business_account(company.id, &new.name, new.extension.as_deref()).await?;
    Ok(Created::at(format!("/business-accounts/{}", account.id), account.into()))
}

/// Show a business account
#[utoipa::path(
    get, path = "/business-accounts/{account}", tag = TAG, params(("account" = i64, Path)),
    responses((status = 200, body = AccountView)),
)]
async fn show_account(caller: Caller, Path(account): Path<BusinessAccountId>) -> Answer<AccountView> {
    Ok(Json(caller.account(account).await?.into()))
}

/// Remove a business account
///
/// Its Online Numbers do not ring until they are assigned again.
#[utoipa::path(
    delete, path = "/business-accounts/{account}", tag = TAG, params(("account" = i64, Path)),
    responses((status = 204)),
)]
async fn remove_account(
    caller: Caller,
    Path(account): Path<BusinessAccountId>,
) -> Result<StatusCode, Problem> {
    let account = caller.account(account).await?;
    caller.acting_on(account.company).remove_business_account(account.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Where a business account's calls go.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Attachment {
    /// The profile that receives them.
    profile: i64,
    /// The user part towards the PBX instead of the name; none if it is left out.
    #[schema(min_length = 1, max_length = 100)]
    extension: Option<String>,
}

/// Send a business account's calls to a profile
///
/// An account that another profile has is refused. An administrator who uses the account in person can no longer sign in with
/// it, which the answer says.
#[utoipa::path(
    put, path = "/business-accounts/{account}/attachment", tag = TAG, params(("account" = i64, Path)),
    request_body = Attachment, responses((status = 200, body = AccountView), (status = 409, response = Conflict)),
)]
async fn attach_account(
    caller: Caller,
    Path(account): Path<BusinessAccountId>,
    Body(request): Body<Attachment>,
) -> Answer<AccountView> {
    let account = caller.account(account).await?;
    let profile = caller.profile(ProfileId(request.profile)).await.map_err(|it| it.named_in("profile"))?;
    let store = caller.acting_on(account.company);
    store.attach_business_account(account.id, profile.id, request.extension.as_deref()).await?;
    let administrators = caller.store().administrators(account.company).await?;
    let users = administrators.iter().filter(|administrator| administrator.account == Some(account.id));
    let warning =
        |user: &Administrator| format!("{} can no longer sign in with {}.", user.name, account.name);
    let warnings = users.map(warning).collect();
    Ok(Json(AccountView { warnings, ..caller.account(account.id).await?.into() }))
}

/// Take a business account off its profile
#[utoipa::path(
    delete, path = "/business-accounts/{account}/attachment", tag = TAG, params(("account" = i64, Path)),
    responses((status = 200, body = AccountView)),
)]
async fn detach_account(caller: Caller, Path(account): Path<BusinessAccountId>) -> Answer<AccountView> {
    let account = caller.account(account).await?;
    caller.acting_on(account.company).detach_business_account(account.id).await?;
    Ok(Json(caller.account(account.id).await?.into()))
}

/// What a phone registers a business account with.
#[derive(Serialize, ToSchema)]
#[schema(as = AccountCredentials)]
struct CredentialsView {
    /// The host to register to.
    domain: String,
    /// The account's name.
    user: String,
    /// 14 letters and digits.
    password: String,
}

impl CredentialsView {
    fn of(caller: &Caller, (user, password): (String, Password)) -> Self {
        let domain = caller.site.config.load().node.domain.clone();
        Self { domain, user, password: password.reveal().to_owned() }
    }
}

/// Show what a phone registers a business account with
///
/// An account that a profile has cannot sign in by itself, and one that has never had a password has none to show. It leaves
/// a line in the audit trail.
#[utoipa::path(
    get, path = "/business-accounts/{account}/credentials", tag = TAG, security(("token" = ["secrets"])), params(("account" = i64, Path)),
    responses((status = 200, body = CredentialsView), (status = 409, response = Conflict)),
)]
async fn show_account_credentials(
    caller: Caller,
    Path(account): Path<BusinessAccountId>,
) -> Answer<CredentialsView> {
    let account = caller.account(account).await?;
    let credentials = caller.store().account_credentials(account.id).await?;
    caller.note_look(account.company).await?;
    Ok(Json(CredentialsView::of(&caller, credentials)))
}

/// Generate a business account's password
///
/// An account that a profile has is refused.
#[utoipa::path(
    post, path = "/business-accounts/{account}/credentials", tag = TAG, params(("account" = i64, Path)),
    responses((status = 200, body = CredentialsView), (status = 409, response = Conflict)),
)]
async fn new_account_password(
    caller: Caller,
    Path(account): Path<BusinessAccountId>,
) -> Answer<CredentialsView> {
    let account = caller.account(account).await?;
    let credentials = caller.acting_on(account.company).new_account_password(account.id).await?;
    Ok(Json(CredentialsView::of(&caller, credentials)))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ButtonQuery {
    /// What stands on the button; the account's name if it is left out.
    label: Option<String>,
}

/// HTML for a web site.
#[derive(Serialize, ToSchema)]
struct CallButton {
    html: String,
}

/// Show the HTML of a button that calls a business account
#[utoipa::path(
    get, path = "/business-accounts/{account}/call-button", tag = TAG,
    params(("account" = i64, Path), ButtonQuery), responses((status = 200, body = CallButton)),
)]
async fn call_button(
    caller: Caller,
    Path(account): Path<BusinessAccountId>,
    Query(query): Query<ButtonQuery>,
) -> Answer<CallButton> {
    let account = caller.account(account).await?;
    let label = query.label.as_deref().unwrap_or(&account.name);
    let html = account.call_button(&caller.site.config.load().node.domain, label);
    Ok(Json(CallButton { html }))
}
