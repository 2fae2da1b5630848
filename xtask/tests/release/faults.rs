//! Registries that do not play along: bounded patience, then exit code 3 and what is wrong; and well again, it goes on.

use crate::{
    proxy::{Fault, Proxy},
    world::{Registry, World},
};

const ALWAYS: u32 = u32::MAX;

#[test]
fn what_passes_is_waited_for_and_what_does_not_ends_the_run_with_what_is_wrong() {
    let registry = Registry::start();
    let proxy = Proxy::before(&registry.address);
    let world = World::published_to(&proxy.address);

    for (part, answer, words) in [
        ("PUT*manifests", "403 Forbidden", "does not let"),
        (
            "POST*uploads",
            "401 Unauthorized\r\nwww-authenticate: Basic realm=\"it\"",
            "wants to know who asks",
        ),
        ("PUT*manifests", "429 Too Many Requests\r\nretry-after: 600", "600 s"),
        ("PUT*manifests", "507 Insufficient Storage", "no space left"),
    ] {
        proxy.fails(&[(part, Fault::Answers(answer, ALWAYS))]);
        let said = world.execute("0.2.0");
        assert_eq!(said.code, 3, "{answer}: {}", said.text);
        assert_eq!(world.report()["verdict"], "environment", "{answer}");
        assert_eq!(world.step("push").0, "environment", "{answer}: {}", said.text);
        assert!(said.text.contains(words), "{answer}: {}", said.text);
        assert!(registry.digest("v0.2.0").is_none(), "{answer}");
        // The tag is there already, and nothing of the gate runs again.
        assert_eq!(world.step("test").0, if answer.starts_with("403") { "passed" } else { "cached" });
    }

    // What ends by itself is not even told.
    proxy.fails(&[
        ("POST*uploads", Fault::Answers("503 Service Unavailable", 1)),
        ("PUT*manifests", Fault::Answers("502 Bad Gateway", 1)),
        ("PUT*uploads", Fault::Closes(1)),
    ]);
    let said = world.execute("0.2.0");
    assert_eq!(said.code, 0, "{}", said.text);
    assert_eq!(registry.digest("latest"), registry.digest("v0.2.0"));
}

#[test]
fn a_registry_that_cannot_be_reached_is_told_before_anything_is_changed() {
    let world = World::published_to("127.0.0.1:1");
    let said = world.execute("0.2.0");
    assert_eq!(said.code, 3, "{}", said.text);
    assert!(said.text.contains("`127.0.0.1:1` cannot be reached"), "{}", said.text);
    assert_eq!(world.git(&["log", "--oneline"]).lines().count(), 2);
    assert_eq!(world.step("version").0, "cancelled");
}
