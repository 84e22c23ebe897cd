//! The API's description: what stands around the operations, and the answers that all operations of a kind can give.

use axum::http::{Method, header};
use axum::response::{IntoResponse, Response};
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{Object, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr, Required, ResponseBuilder};
use utoipa::{OpenApi as _, ToResponse};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::contract::members;
use super::error::{PROBLEM_TYPE, Problem};
use super::power::{self, Kind};
use super::versions;

/// What stands before the operations.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "sipgw",
        version = "1",
        description = "Everything that a sipgw gateway is set up with, and what goes on in it.\n\n\
            Requests show a token as `Authorization: Bearer`; `sipgw token create` makes the first one. The scope of an \
            operation (`security`) is its kind: `read`, `accounts` (money, records, reports), `secrets` (passwords), \
            `change`, `pay` (payments asked for), `book` (money that has come), `grant` (tokens), `inspect` and `operate` \
            (what is the installation's). `x-roles` says which kinds each role may do, everywhere or in the one company \
            that the token is limited to. What belongs to other companies is answered 404.\n\n\
            Amounts are decimal text with their currency, times RFC 3339 in UTC. Lists come in pages: `next` of a page is \
            the `cursor` of the one behind it. What is refused is answered with problem details (RFC 9457). A change is in \
            force for calls at once, and in the audit trail.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    servers((url = "/api/v1")),
    security(("token" = [])),
    components(schemas(Problem)),
    tags(
        (name = "Companies", description = "Companies, their credit and landline numbers."),
        (name = "Profiles", description = "SIP profiles: one trunk to one PBX each."),
        (name = "Numbers", description = "Online Numbers and business accounts."),
        (name = "Calls", description = "Calls, their records, and the PBXs that are registered."),
        (name = "Reports", description = "What a month came to, as JSON and as files."),
        (name = "Installation", description = "Carriers, rates, bans, and how the gateway does."),
        (name = "Access", description = "Tokens, and who changed what."),
    ),
)]
struct Beginning;

/// The description before any operation is in it.
pub(super) fn beginning() -> OpenApi {
    Beginning::openapi()
}

pub(super) fn routes() -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(show_description))
}

/// Show this description
///
/// Needs no token.
#[utoipa::path(
    get, path = "/openapi.json", tag = "Installation", security(()),
    responses(
        (status = 200, description = "OpenAPI 3.1", body = serde_json::Value, content_type = "application/json"),
        (status = 429, response = TooMany), (status = 503, response = Unavailable),
    ),
)]
async fn show_description() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], super::description()).into_response()
}

/// An answer that many operations can give.
struct Common {
    status: &'static str,
    name: &'static str,
    description: &'static str,
}

const BAD_REQUEST: Common = Common {
    status: "400",
    name: "BadRequest",
    description: "The request cannot be read: its JSON, a parameter, a header.",
};
const NO_TOKEN: Common = Common { status: "401", name: "NoToken", description: "No valid token is shown." };
const NOT_ALLOWED: Common =
    Common { status: "403", name: "NotAllowed", description: "The token's role may not do this." };
const BAD_SIGNATURE: Common = Common {
    status: "403",
    name: "BadSignature",
    description: "The signature is missing, old or not that of this body.",
};
const NOT_FOUND: Common = Common {
    status: "404",
    name: "NotFound",
    description: "There is no such thing, or it belongs to others.",
};
const PRECONDITION_FAILED: Common = Common {
    status: "412",
    name: "PreconditionFailed",
    description: "The thing was changed since it was read; If-Match names an old tag.",
};
const CONFLICT: Common = Common {
    status: "409",
    name: "Conflict",
    description: "It cannot be done as things are: a name is taken, the credit does not suffice.",
};
const TOO_LONG: Common = Common { status: "413", name: "TooLong", description: "The body is too long." };
const BAD_TYPE: Common =
    Common { status: "415", name: "BadType", description: "The body's Content-Type is another one." };
const UNPROCESSABLE: Common = Common {
    status: "422",
    name: "Unprocessable",
    description: "A field is unknown, missing or wrong; `field` names it. Or the Idempotency-Key was used for another request.",
};
const TOO_SLOW: Common =
    Common { status: "408", name: "TooSlow", description: "The body came too slowly; send it again." };
const TOO_MANY: Common = Common {
    status: "429",
    name: "TooMany",
    description: "Too many wrong tokens or signatures came from this address, or too many requests of it are under way. \
                  Retry-After says when to ask again.",
};
const UNAVAILABLE: Common = Common {
    status: "503",
    name: "Unavailable",
    description: "The database or the engine does not answer; ask again in a moment.",
};
const ALL: [Common; 13] = [
    BAD_REQUEST,
    NO_TOKEN,
    NOT_ALLOWED,
    BAD_SIGNATURE,
    NOT_FOUND,
    CONFLICT,
    PRECONDITION_FAILED,
    TOO_SLOW,
    TOO_LONG,
    BAD_TYPE,
    UNPROCESSABLE,
    TOO_MANY,
    UNAVAILABLE,
];

impl Common {
    fn response(&self) -> utoipa::openapi::Response {
        let schema = RefOr::Ref(Ref::from_schema_name("Problem"));
        let content = ContentBuilder::new().schema(Some(schema)).build();
        ResponseBuilder::new().description(self.description).content(PROBLEM_TYPE, content).build()
    }
}

/// Answers that an operation names itself: `(status = 409, response = Conflict)`.
macro_rules! answers {
    ($($(#[$doc:meta])* $name:ident = $common:ident;)+) => {$(
        $(#[$doc])*
        pub(super) struct $name;

        impl<'r> ToResponse<'r> for $name {
            fn response() -> (&'r str, RefOr<utoipa::openapi::Response>) {
                ($common.name, RefOr::T($common.response()))
            }
        }
    )+};
}

answers! {
    /// The request cannot be read.
    BadRequest = BAD_REQUEST;
    /// The signature is missing or wrong.
    BadSignature = BAD_SIGNATURE;
    /// The body is too long.
    TooLong = TOO_LONG;
    /// The body came too slowly.
    TooSlow = TOO_SLOW;
    /// Too much came from one address.
    TooMany = TOO_MANY;
    /// The database does not answer.
    Unavailable = UNAVAILABLE;
    /// It cannot be done as things are.
    Conflict = CONFLICT;
    /// What a parameter names is not there.
    NotFound = NOT_FOUND;
    /// A word of the path is wrong, though it has no body.
    Unprocessable = UNPROCESSABLE;
}

/// The description with what holds for all: the token, and the answers that follow from what an operation takes.
pub(super) fn finished(mut document: OpenApi) -> OpenApi {
    let components = document.components.get_or_insert_default();
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("sipgw_...");
    components.security_schemes.insert("token".to_owned(), SecurityScheme::Http(bearer.build()).into());
    for common in &ALL {
        components.responses.insert(common.name.to_owned(), RefOr::T(common.response()));
    }
    let roles = document.extensions.get_or_insert_default();
    roles.insert("x-roles".to_owned(), power::described());
    for (path, item) in &mut document.paths.paths {
        let operations = [
            (Method::GET, &mut item.get),
            (Method::PUT, &mut item.put),
            (Method::POST, &mut item.post),
            (Method::DELETE, &mut item.delete),
            (Method::PATCH, &mut item.patch),
        ];
        for (method, operation) in operations {
            let Some(operation) = operation else { continue };
            let usual = || vec![SecurityRequirement::new("token", [Kind::usual(&method).word()])];
            operation.security.get_or_insert_with(usual);
            add_common_answers(operation);
            add_tags(path, &method, operation);
        }
    }
    document
}

fn add_common_answers(operation: &mut Operation) {
    let said = serde_json::to_value(&*operation).expect("an operation has a JSON form");
    let is_public =
        said["security"].as_array().is_some_and(|all| all.iter().any(|one| members(one).next().is_none()));
    if is_public {
        return;
    }
    let parameters = operation.parameters.iter().flatten().filter_map(|parameter| match parameter {
        RefOr::T(parameter) => Some(parameter),
        RefOr::Ref(_) => None,
    });
    let mut answers = vec![NO_TOKEN, NOT_ALLOWED, TOO_MANY, UNAVAILABLE];
    for parameter in parameters {
        match parameter.parameter_in {
            ParameterIn::Path => answers.push(NOT_FOUND),
            ParameterIn::Query | ParameterIn::QueryString => answers.push(BAD_REQUEST),
            ParameterIn::Header => answers.extend([BAD_REQUEST, CONFLICT, UNPROCESSABLE]),
            ParameterIn::Cookie => {}
        }
        // A list that is limited to something which there is not.
        if parameter.parameter_in == ParameterIn::Query
            && ["company", "profile"].contains(&parameter.name.as_str())
        {
            answers.push(NOT_FOUND);
        }
    }
    if operation.request_body.is_some() {
        answers.extend([BAD_REQUEST, TOO_SLOW, TOO_LONG, BAD_TYPE, UNPROCESSABLE]);
    }
    for answer in answers {
        let reference = || RefOr::Ref(Ref::from_response_name(answer.name));
        operation.responses.responses.entry(answer.status.to_owned()).or_insert_with(reference);
    }
}

/// What holds for entity tags: each GET has one and can be asked about it, and a change may be conditional on one.
fn add_tags(path: &str, method: &Method, operation: &mut Operation) {
    let has_json = |answer: &RefOr<utoipa::openapi::Response>| matches!(answer, RefOr::T(answer) if answer.content.contains_key("application/json"));
    let answers = &mut operation.responses.responses;
    let (name, words) = match *method {
        Method::GET if path != "/openapi.json" && answers.get("200").is_some_and(has_json) => {
            if let Some(RefOr::T(shown)) = answers.get_mut("200") {
                shown.headers.insert("ETag".to_owned(), RefOr::T(tag_header()));
            }
            let unchanged = ResponseBuilder::new()
                .description("It is as it was under a tag of If-None-Match.")
                .header("ETag", tag_header());
            answers.insert("304".to_owned(), RefOr::T(unchanged.build()));
            ("If-None-Match", "Tags of answers that are known: one that still holds is answered 304.")
        }
        Method::GET => return,
        _ if versions::is_versioned(path) => {
            let failed = || RefOr::Ref(Ref::from_response_name(PRECONDITION_FAILED.name));
            answers.entry("412".to_owned()).or_insert_with(failed);
            (
                "If-Match",
                "Tags of a GET: the change is made only while the thing is as it was, otherwise 412.",
            )
        }
        _ => return,
    };
    let parameter = ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(words))
        .schema(Some(Object::with_type(Type::String)));
    operation.parameters.get_or_insert_default().push(parameter.build().into());
}

fn tag_header() -> Header {
    HeaderBuilder::new()
        .description(Some("The entity tag, for If-Match and If-None-Match (RFC 9110)."))
        .schema(Some(Object::with_type(Type::String)))
        .build()
}
