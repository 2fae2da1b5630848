//! Connections to registries: TLS with the authorities that the system trusts, directly or through the proxy that
//! `HTTPS_PROXY` and `NO_PROXY` name.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::{
        legacy::{
            Client, ResponseFuture,
            connect::{Connect, HttpConnector, proxy::Tunnel},
        },
        proxy::matcher::{Intercept, Matcher},
    },
    rt::{TokioExecutor, TokioTimer},
};
use rustls::ClientConfig;

use super::RegistryError;
use crate::tls;

/// How long an unused connection is kept: shorter than registries keep theirs.
const UNUSED_MAX: Duration = Duration::from_secs(10);

type Direct = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;
type Tunnelled = Client<HttpsConnector<Tunnel<HttpConnector>>, Full<Bytes>>;

/// Connections that are kept, by way.
pub(crate) struct Connections {
    direct: Direct,
    tunnelled: Mutex<BTreeMap<String, Tunnelled>>,
    proxies: Matcher,
    tcp: HttpConnector,
    tls: ClientConfig,
}

impl Connections {
    /// No connection stands yet; `connect` is how long one may take to.
    pub(crate) fn new(connect: Duration) -> Result<Self, RegistryError> {
        let tls = tls::client().map_err(|error| RegistryError::Authorities(error.to_string()))?;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(connect));
        tcp.set_nodelay(true);
        let https = HttpsConnectorBuilder::new().with_tls_config(tls.clone()).https_or_http().enable_http1();
        let direct = client(https.wrap_connector(tcp.clone()));
        Ok(Self { direct, tunnelled: Mutex::default(), proxies: Matcher::from_env(), tcp, tls })
    }

    /// Sends a request. What goes without TLS goes directly: that is loopback, and hosts of one's own.
    pub(crate) fn request(&self, request: Request<Full<Bytes>>) -> ResponseFuture {
        let is_tls = request.uri().scheme_str() == Some("https");
        match self.proxies.intercept(request.uri()).filter(|_| is_tls) {
            Some(proxy) => self.through(&proxy).request(request),
            None => self.direct.request(request),
        }
    }

    /// The proxy on the way to an address, without its password.
    pub(super) fn proxy_to(&self, uri: &Uri) -> Option<String> {
        let proxy = self.proxies.intercept(uri).filter(|_| uri.scheme_str() == Some("https"))?;
        proxy.uri().authority().map(|it| it.as_str().rsplit('@').next().unwrap_or_default().to_owned())
    }

    fn through(&self, proxy: &Intercept) -> Tunnelled {
        let mut kept = self.tunnelled.lock().unwrap_or_else(PoisonError::into_inner);
        let open = || {
            let mut tunnel = Tunnel::new(proxy.uri().clone(), self.tcp.clone());
            if let Some(auth) = proxy.basic_auth() {
                tunnel = tunnel.with_auth(auth.clone());
            }
            let https =
                HttpsConnectorBuilder::new().with_tls_config(self.tls.clone()).https_only().enable_http1();
            client(https.wrap_connector(tunnel))
        };
        kept.entry(proxy.uri().to_string()).or_insert_with(open).clone()
    }
}

fn client<C: Connect + Clone>(connector: C) -> Client<C, Full<Bytes>> {
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(UNUSED_MAX)
        .build(connector)
}
