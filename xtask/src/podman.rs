//! podman: placeholder, about to be replaced.
