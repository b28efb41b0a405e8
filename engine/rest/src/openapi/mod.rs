//! `GET /openapi.json`: the interface as OpenAPI 3.1, with what this principal may see and do of it and nothing else. A stranger gets
//! the routes that are open to all.

mod answers;
mod fixed;
mod object;
mod query;
mod record;
mod shape;

use crate::answer::tagged;
use crate::call::Call;
use crate::refusal::{Envelope, Refusal};
use crate::site::{Shared, Site};
use crate::work::Work;
use axum::extract::State;
use axum::response::Response;
use querygate_query_api::requests::question::{ChangeRights, ObjectDescription};
use std::sync::Arc;
use utoipa::openapi::path::{HttpMethod, Operation};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{
    Components, ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, PathItem, Paths, Server,
};

/// The version of ObjectStack whose interface this is.
const VERSION: &str = "17.4.0";

/// An object that the principal may read, and what else it may do with it.
pub(crate) struct Seen {
    pub(crate) object: Arc<ObjectDescription>,
    pub(crate) rights: ChangeRights,
}

impl Seen {
    /// Whether metadata opens the object for a method of the interface.
    fn opens(&self, method: &str) -> bool {
        self.object.api_methods.as_ref().is_none_or(|allowed| allowed.iter().any(|allowed| allowed == method))
    }

    /// Whether any change of its records is open.
    fn changes(&self) -> bool {
        self.rights.create || self.rights.update || self.rights.delete
    }
}

/// Operations and schemas as they are found.
struct Document {
    paths: Paths,
    components: ComponentsBuilder,
}

impl Document {
    /// Adds an operation below `/api/v1`.
    fn add(&mut self, method: HttpMethod, path: &str, operation: impl Into<Operation>) {
        let item = PathItem::new(method, operation);
        let path = format!("/api/v1{path}");
        match self.paths.paths.get_mut(&path) {
            Some(known) => known.merge_operations(item),
            None => drop(self.paths.paths.insert(path, item)),
        }
    }

    /// Adds schemas.
    fn name(&mut self, schemas: impl IntoIterator<Item = (String, shape::Shape)>) {
        let components = std::mem::take(&mut self.components);
        self.components =
            schemas.into_iter().fold(components, |components, (name, schema)| components.schema(name, schema));
    }
}

pub(crate) async fn openapi(State(site): Shared, call: Call) -> Response {
    let answer = async {
        let seen = match call.sender.known() {
            None => None,
            Some(identity) => Some(site.seen(&site.open(&identity.principal, &call).await?).await?),
        };
        let text = serde_json::to_string(&describe(seen.as_deref(), site.platform.keeps_keys()))
            .map_err(querygate_types::Error::internal)?;
        Ok(tagged(&call, text))
    };
    answer.await.unwrap_or_else(|refusal: Refusal| refusal.into_answer(Envelope::Wrapped))
}

impl Site {
    /// The objects that a principal may read, with its rights.
    async fn seen(&self, work: &Work) -> Result<Vec<Seen>, Refusal> {
        let mut seen = Vec::new();
        for object in work.session().objects().await? {
            let rights = work.session().change_rights(&object.name).await?;
            seen.push(Seen { object, rights });
        }
        Ok(seen)
    }
}

/// The document. `None`: for a stranger.
fn describe(seen: Option<&[Seen]>, keeps_keys: bool) -> OpenApi {
    let mut document = Document { paths: Paths::new(), components: answers::components(Components::builder()) };
    fixed::add_open(&mut document);
    if let Some(seen) = seen {
        document.name(query::schemas());
        fixed::add_known(&mut document, seen);
        if keeps_keys {
            fixed::add_keys(&mut document);
        }
        for one in seen {
            object::add(&mut document, one, seen);
        }
    }
    let Document { paths, components } = document;
    let info = InfoBuilder::new()
        .title("ObjectStack REST API")
        .version(VERSION)
        .description(Some("Records and metadata as you may see them. Operations that you may not do are not listed."))
        .license(Some(LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build()));
    OpenApiBuilder::new()
        .info(info)
        .servers(Some([Server::new("/")]))
        .paths(paths)
        .components(Some(with_security(components).build()))
        .security(Some(securities()))
        .build()
}

const SCHEMES: [&str; 3] = ["bearer", "cookie", "apiKey"];

fn securities() -> Vec<SecurityRequirement> {
    SCHEMES.iter().map(|scheme| SecurityRequirement::new(*scheme, std::iter::empty::<String>())).collect()
}

fn with_security(components: ComponentsBuilder) -> ComponentsBuilder {
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("A session's token of `POST /api/v1/auth/sign-in/email`, or an API key."))
        .build();
    let cookie = ApiKeyValue::with_description(crate::auth::COOKIE, "Set by `POST /api/v1/auth/sign-in/email`.");
    let key = ApiKeyValue::with_description("x-api-key", "A key of `POST /api/v1/keys`.");
    let [bearer_name, cookie_name, key_name] = SCHEMES;
    components
        .security_scheme(bearer_name, SecurityScheme::Http(bearer))
        .security_scheme(cookie_name, SecurityScheme::ApiKey(ApiKey::Cookie(cookie)))
        .security_scheme(key_name, SecurityScheme::ApiKey(ApiKey::Header(key)))
}
