//! TLS as a client: one set-up for registries and for whoever else is spoken to.

use std::sync::Arc;

use rustls::{ClientConfig, Error, RootCertStore};

/// Trusts the authorities that this host trusts, and those that `SSL_CERT_FILE` names.
///
/// # Errors
/// The library cannot do what it was built for.
pub fn client() -> Result<ClientConfig, Error> {
    let mut roots = RootCertStore::empty();
    let (_, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
