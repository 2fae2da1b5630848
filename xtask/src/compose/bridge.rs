//! The bridge of a stack's network, held to the hardware address that it has.
//!
//! By itself a bridge takes the lowest address of what hangs on it, so that it changes when a container comes or goes. The
//! others go on sending to the old one for up to half a minute, and reach neither podman's name server nor anything outside:
//! what stands before a service that was replaced could not find it. An address that was set stays.

use std::{fs, path::Path};

use super::running::Engine;
use crate::outcome::StepError;

const DEVICES: &str = "/sys/class/net";
/// The kernel's word for an address that somebody set.
const SET: &str = "3";

impl Engine<'_> {
    /// Sets the bridge's address to what it is, where this process sees the bridge and may do it.
    ///
    /// # Errors
    /// When podman cannot be asked about the network.
    pub(super) fn hold_bridge(&self, network: &str) -> Result<(), StepError> {
        let bridge = self.ask(&["network", "inspect", "--format", "{{.NetworkInterface}}", network])?;
        let device = Path::new(DEVICES).join(&bridge);
        let says = |file: &str| fs::read_to_string(device.join(file)).map(|it| it.trim().to_owned());
        // Without root it lies in a network of podman's own.
        let (Ok(assigned), Ok(address)) = (says("addr_assign_type"), says("address")) else { return Ok(()) };
        if bridge.is_empty() || assigned == SET {
            return Ok(());
        }
        let ip = self.cx.process("ip").args(["link", "set", "dev", &bridge, "address", &address]);
        if !ip.log(self.log).run().is_ok_and(|it| it.success()) {
            self.log.line(&format!("the address of `{bridge}` may change: `ip` could not set it"));
        }
        Ok(())
    }
}
