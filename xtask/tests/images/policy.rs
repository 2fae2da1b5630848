//! What is wrong with a Containerfile or with what lies in an image is told by its code, and before anything is started.

use crate::world::{GOOD, World};

/// The codes, and the lines that are to blame.
fn judged(configuration: &str, containerfile: &str) -> (Vec<(String, u64)>, String) {
    let world = World::new(configuration);
    world.write("Containerfile", containerfile);
    judged_in(&world)
}

fn judged_in(world: &World) -> (Vec<(String, u64)>, String) {
    let said = world.xtask(&["ci", "images"]);
    assert_eq!(said.code, 1, "{}", said.text);
    let found = world.findings();
    let place = |it: &serde_json::Value| {
        (it["code"].as_str().unwrap().to_owned(), it["line"].as_u64().unwrap_or_default())
    };
    (found.iter().map(place).collect(), said.text)
}

/// A faulty Containerfile on what was compiled, without podman in reach of the tool.
#[track_caller]
fn check(fault: &str, code: &str, line: u64) {
    let world = World::new("");
    world.program("podman", "#!/bin/sh\necho 'Error: nothing may be built' >&2\nexit 125\n");
    world.write("Containerfile", fault);
    let (found, text) = judged_in(&world);
    assert_eq!(found, [(code.to_owned(), line)], "{text}");
}

#[test]
fn a_containerfile_is_judged_without_building_anything() {
    let health = "HEALTHCHECK CMD [\"/edge\", \"healthcheck\"]";
    check(&GOOD.replace("USER 65532:65532\n", ""), "image-root-user", 6);
    check(&GOOD.replace("USER 65532:65532", "USER root"), "image-root-user", 4);
    check(&GOOD.replace(health, "EXPOSE 1"), "image-no-healthcheck", 7);
    check(&GOOD.replace(health, "HEALTHCHECK CMD curl -f http://localhost"), "image-no-healthcheck", 6);
    check(&GOOD.replace(health, "HEALTHCHECK CMD [\"/bin/curl\", \"-f\"]"), "image-no-healthcheck", 6);
    check(&GOOD.replace("FROM scratch", "FROM docker.io/library/debian:latest"), "image-unpinned-base", 1);
    check(&GOOD.replace("FROM scratch", "FROM docker.io/library/debian:12.1"), "image-unpinned-base", 1);
    check(&GOOD.replace("image.title=\"edge\"", "image.vendor=\"x\""), "image-missing-label", 7);
    check(&GOOD.replace("ENTRYPOINT [\"/edge\"]", "ENTRYPOINT /edge"), "image-shell", 7);
}

#[test]
fn all_faults_of_a_containerfile_are_told_at_once() {
    let (found, text) = judged("", "FROM docker.io/library/debian AS edge-runtime\nENTRYPOINT /edge\n");
    let codes: Vec<&str> = found.iter().map(|it| it.0.as_str()).collect();
    assert_eq!(
        codes,
        [
            "image-unpinned-base",
            "image-shell",
            "image-no-healthcheck",
            "image-missing-label",
            "image-missing-label"
        ],
        "{text}"
    );
}

#[test]
fn what_lies_in_an_image_is_judged_all_at_once_and_nothing_is_started() {
    let world = World::new("[images]\nmax-size-mb = 1\nmax-together-mb = 2\n");
    world.compile();
    // The key is made here, so that no scanner takes this file for one.
    let key = format!(
        "-----BEGIN {0} KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEA\n-----END {0} KEY-----\n",
        "PRIVATE"
    );
    world.write("secret/etc/app/tls", &key);
    world.write("secret/.env", "A=b\n");
    world.write("shell/bin/sh", "#!\n");
    let faulty = GOOD
        .replace("COPY root/ /\n", "COPY root/ /\nCOPY secret/ /\nCOPY shell/ /\nENV API_TOKEN=abcdefgh\n");
    world.write("Containerfile", &faulty);
    let (mut found, text) = judged_in(&world);
    found.sort();
    let expected = [
        ("image-secret", 3),
        ("image-secret", 3),
        ("image-secret", 5),
        ("image-shell", 4),
        ("image-too-large", 1),
        ("image-too-large", 1),
    ];
    assert_eq!(found, expected.map(|(code, line)| (code.to_owned(), line)), "{text}");
    assert!(!text.contains("MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEA"), "{text}");
}

#[test]
fn a_key_that_a_later_layer_takes_away_is_still_found() {
    let world = World::new("");
    world.compile();
    world.write("secret/deep/id_rsa", "x\n");
    // Over the folder comes a file of its name: the layer below keeps what was in it.
    world.write("other/deep", "x\n");
    let hidden = GOOD.replace(
        "COPY root/ /\n",
        "COPY root/ /\nCOPY secret/deep/id_rsa /tmp/id_rsa\nCOPY other/deep /tmp/id_rsa.pub\n",
    );
    world.write("Containerfile", &hidden);
    let (found, text) = judged_in(&world);
    assert_eq!(found, [("image-secret".to_owned(), 3)], "{text}");
}
