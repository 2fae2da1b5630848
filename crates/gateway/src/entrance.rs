//! The way of a request through the gateway: looked at, counted, let in, and passed on.

use std::sync::Arc;

use api::{Exposure, Route};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderName, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, any, get, on};
use service::Problem;
use service::forward::Forwarder;
use service::identity::{self, HEADER_PREFIX, Identity, Role, Signer};
use service::metrics::Metrics;
use service::request_id::RequestId;
use service::shutdown::Shutdown;
use tokio::time::Instant;

use crate::api_tokens::ApiTokens;
use crate::authenticate::{Caller, Credentials, Refusal, credentials, forbidden};
use crate::client_address::{Origin, TrustedProxies};
use crate::figures::Figures;
use crate::hygiene::{self, Proxies};
use crate::jwt::{self, KeysFile};
use crate::rate_limit::{Client, Decision, Limiter};
use crate::{CONTROL, Config, description};

/// Where the description of the API is.
pub const OPENAPI: &str = "/openapi.json";

/// All that a request meets; clones are the same.
#[derive(Clone)]
pub struct Entrance(Arc<Inner>);

struct Inner {
    control: Forwarder,
    signer: Signer,
    jwts: jwt::Verifier,
    api_tokens: ApiTokens,
    limits: Limits,
    trusted_proxies: TrustedProxies,
    figures: Figures,
    description: Bytes,
}

/// How often clients may ask.
#[derive(Debug)]
struct Limits {
    /// Who has shown a valid token.
    subjects: Limiter,
    /// Who has not.
    addresses: Limiter,
    /// Who has shown one that is not valid.
    failures: Limiter,
}

/// Where a request was stopped, and what the client is told.
struct Stopped(Response);

impl Entrance {
    /// An entrance in front of `control`.
    pub fn new(config: &Config, control: Forwarder, metrics: &Metrics) -> Self {
        let figures = Figures::new(metrics);
        let signer = Signer::new(config.identity_key.clone(), CONTROL);
        let expected = jwt::Expected {
            issuer: config.token_issuer.clone(),
            audience: config.token_audience.clone(),
            clock_skew: config.token_clock_skew.0,
        };
        let limits = Limits {
            subjects: Limiter::new("subject", config.rate_limit),
            addresses: Limiter::new("address", config.anonymous_rate_limit),
            failures: Limiter::new("failed", config.failed_rate_limit),
        };
        Self(Arc::new(Inner {
            jwts: jwt::Verifier::new(config.token_keys.as_ref(), expected, figures.clone()),
            api_tokens: ApiTokens::new(control.clone(), signer.clone()),
            control,
            signer,
            limits,
            trusted_proxies: config.trusted_proxies.clone().unwrap_or_default(),
            figures,
            description: description::document(env!("CARGO_PKG_VERSION")).to_string().into(),
        }))
    }

    /// Takes over the keys of the file whenever they change, until the service drains.
    ///
    /// # Errors
    /// The file could not even be tried to read.
    pub fn watch_keys(
        &self,
        file: KeysFile,
        shutdown: Shutdown,
    ) -> impl Future<Output = anyhow::Result<()>> + Send + use<> {
        self.0.jwts.clone().watch(file, shutdown)
    }

    /// Every route of the API's table, the description, and a 404 that is counted for all else.
    pub fn router(self) -> Router {
        let mut router = Router::new();
        for route in api::ROUTES.iter().filter(|route| route.exposure == Exposure::Public) {
            router = router.route(route.path, one(route));
        }
        router
            .route(OPENAPI, get(describe))
            .route("/", any(unknown))
            .route("/{*path}", any(unknown))
            .with_state(self)
    }

    /// Takes a request in on a route of the API and answers with what control says.
    async fn pass(&self, route: &Route, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let origin = self.origin(&parts);
        if let Err(problem) = hygiene::check(&parts) {
            return self.turn_away(origin, problem.into_response());
        }
        match self.let_in(route.role, &parts, origin).await {
            Ok((identity, decision)) => {
                let mut response = self.forward(identity, origin, Request::from_parts(parts, body)).await;
                decision.tell(response.headers_mut());
                response
            }
            Err(Stopped(response)) => response,
        }
    }

    /// Who asks, when it may.
    async fn let_in(
        &self,
        needed: Role,
        request: &Parts,
        origin: Origin,
    ) -> Result<(Identity, Decision), Stopped> {
        let request_id = request.extensions.get().cloned().unwrap_or_else(|| RequestId::of(&request.headers));
        let shown = credentials(&request.headers);
        let kind = shown.as_ref().map_or("none", Credentials::kind);
        let authenticated = match shown {
            Ok(shown) => self.authenticate(shown, origin, &request_id).await,
            Err(refusal) => Ok(Err(refusal)),
        };
        let outcome = match &authenticated {
            Ok(Ok(_)) => "ok",
            Ok(Err(refusal)) => refusal.label(),
            Err(_) => "not_judged",
        };
        self.0.figures.authentications.inc([kind, outcome]);
        let caller = authenticated?.map_err(|refusal| {
            tracing::info!(reason = outcome, client = %origin.client, "not authenticated");
            Stopped(self.refuse(refusal, origin))
        })?;
        let client = Client::Subject(caller.subject.clone());
        let decision = self.0.limits.subjects.take(&client, Instant::now());
        if decision.retry_after.is_some() {
            return Err(Stopped(self.limited(&decision)));
        }
        match caller.role {
            Some(role) if role >= needed => {
                let request_id = request_id.as_str().to_owned();
                Ok((Identity { subject: caller.subject, role, request_id }, decision))
            }
            has => {
                let mut response = forbidden(needed, has);
                decision.tell(response.headers_mut());
                Err(Stopped(response))
            }
        }
    }

    async fn authenticate(
        &self,
        shown: Credentials<'_>,
        origin: Origin,
        request_id: &RequestId,
    ) -> Result<Result<Caller, Refusal>, Stopped> {
        match shown {
            Credentials::Jwt(token) => Ok(self.0.jwts.verify(token)),
            Credentials::ApiToken(token) => {
                // Who guesses does not get to ask control: neither for an answer nor to keep it busy.
                let guesses = self.0.limits.failures.peek(&Client::at(origin.client), Instant::now());
                if guesses.retry_after.is_some() && !self.0.api_tokens.knows(&token) {
                    return Err(Stopped(self.limited(&guesses)));
                }
                let resolved = self.0.api_tokens.resolve(&token, request_id).await;
                resolved.map_err(|error| Stopped(unavailable(error)))
            }
        }
    }

    /// The answer to who asks too often.
    fn limited(&self, decision: &Decision) -> Response {
        self.0.figures.limited.inc([decision.policy]);
        decision.refusal()
    }

    /// The answer to who is not believed. A wrong token counts for more than none.
    fn refuse(&self, refusal: Refusal, origin: Origin) -> Response {
        if refusal == Refusal::Missing {
            return self.turn_away(origin, refusal.response());
        }
        self.counted(&self.0.limits.failures, origin, refusal.response())
    }

    /// The answer to who did not show who it is.
    fn turn_away(&self, origin: Origin, response: Response) -> Response {
        self.counted(&self.0.limits.addresses, origin, response)
    }

    fn counted(&self, limiter: &Limiter, origin: Origin, mut response: Response) -> Response {
        let decision = limiter.take(&Client::at(origin.client), Instant::now());
        if decision.retry_after.is_some() {
            return self.limited(&decision);
        }
        decision.tell(response.headers_mut());
        response
    }

    async fn forward(&self, identity: Identity, origin: Origin, mut request: Request) -> Response {
        let proxies = if origin.by_proxy { Proxies::Trusted } else { Proxies::Unknown };
        hygiene::keep_what_the_api_has(request.headers_mut(), proxies);
        request
            .headers_mut()
            .extend(self.0.signer.header_value(&identity).map(|value| (identity::HEADER, value)));
        match self.0.control.forward(request).await {
            Ok(mut response) => {
                let inner: Vec<HeaderName> = response
                    .headers()
                    .keys()
                    .filter(|name| name.as_str().starts_with(HEADER_PREFIX))
                    .cloned()
                    .collect();
                for name in inner {
                    response.headers_mut().remove(name);
                }
                response
            }
            Err(error) => {
                self.0.figures.not_answered(&error);
                Problem::from(error).into_response()
            }
        }
    }

    fn origin(&self, request: &Parts) -> Origin {
        // A request that came over no socket has no peer: all of those count as one.
        let nobody = Origin { client: std::net::Ipv4Addr::UNSPECIFIED.into(), by_proxy: false };
        self.0.trusted_proxies.origin(request).unwrap_or(nobody)
    }
}

/// One route of the table.
fn one(route: &'static Route) -> MethodRouter<Entrance> {
    let method = match route.method {
        api::Method::Get => MethodFilter::GET,
        api::Method::Put => MethodFilter::PUT,
        api::Method::Post => MethodFilter::POST,
        api::Method::Delete => MethodFilter::DELETE,
    };
    on(method, async move |State(entrance): State<Entrance>, request: Request| {
        entrance.pass(route, request).await
    })
}

async fn describe(State(entrance): State<Entrance>, request: Parts) -> Response {
    let description = entrance.0.description.clone();
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "public, max-age=60")];
    entrance.turn_away(entrance.origin(&request), (headers, description).into_response())
}

async fn unknown(State(entrance): State<Entrance>, request: Parts) -> Response {
    let problem = match hygiene::check(&request) {
        Ok(()) => Problem::not_found(format!("`{}` does not exist", request.uri.path())),
        Err(problem) => problem,
    };
    entrance.turn_away(entrance.origin(&request), problem.into_response())
}

/// A token that cannot be judged now is not refused: who has it shall try again with it.
fn unavailable(error: crate::api_tokens::ResolveError) -> Response {
    let mut response = Problem::unavailable(error).into_response();
    response.headers_mut().insert(header::RETRY_AFTER, 1.into());
    response
}
