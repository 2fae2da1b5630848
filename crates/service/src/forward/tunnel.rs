//! Passing bytes both ways after both sides have switched protocols.

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;
use tracing::Instrument as _;

use crate::shutdown::InFlight;

/// Opens a tunnel that lives until either side closes it.
pub(super) fn open(client: OnUpgrade, upstream: OnUpgrade, in_flight: InFlight) {
    let tunnel = async move {
        let _in_flight = in_flight;
        let (client, upstream) = match tokio::try_join!(client, upstream) {
            Ok(sides) => sides,
            Err(error) => return tracing::warn!(error = %error, "cannot switch protocols"),
        };
        match copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(upstream)).await {
            Ok((to_upstream_bytes, to_client_bytes)) => {
                tracing::info!(to_upstream_bytes, to_client_bytes, "tunnel closed");
            }
            Err(error) => tracing::info!(error = %error, "tunnel broke"),
        }
    };
    tokio::spawn(tunnel.in_current_span());
}
