//! Registries that do not play along: bounded patience, then exit code 3 and what is wrong; and well again, it goes on.
#![expect(clippy::print_stdout, reason = "a part that is skipped says so")]

use scratch_registry::{Fault, Faulty, ScratchRegistry, Settings, SmallDisk};

use crate::world::{EDGE, World};

const ALWAYS: usize = usize::MAX;

/// What a registry does, as often as it is asked for it; how the run ends, where, and in what words.
struct Trouble {
    asked: (&'static str, &'static str),
    answers: (u16, Option<(&'static str, String)>),
    ends: (i32, &'static str),
    words: &'static str,
}

fn troubles() -> Vec<Trouble> {
    let trouble = |asked, answers, ends, words| Trouble { asked, answers, ends, words };
    let page = || Some(("content-type", "text/html".to_owned()));
    let asks = Some(("www-authenticate", "Basic realm=\"it\"".to_owned()));
    let another = Some(("docker-content-digest", format!("sha256:{}", "0".repeat(64))));
    vec![
        trouble(("PUT", "/manifests/"), (403, None), (3, "push"), "does not let"),
        trouble(("POST", "/uploads/"), (401, asks), (3, "push"), "wants to know who asks"),
        trouble(("PUT", "/manifests/"), (429, Some(("retry-after", "600".to_owned()))), (3, "push"), "600 s"),
        trouble(("GET", "/v2/"), (200, page()), (3, "checks"), "what it sends is a web page"),
        trouble(("POST", "/uploads/"), (200, page()), (3, "push"), "what it sends is a web page"),
        trouble(("PUT", "/manifests/"), (201, another), (1, "push"), "served sha256:0000"),
    ]
}

#[test]
fn what_passes_is_waited_for_and_what_does_not_ends_the_run_with_what_is_wrong() {
    // The image does not fit there until the disk grows.
    let disk = SmallDisk::of_kib(200).unwrap();
    let storage = disk.as_ref().map(SmallDisk::path);
    let registry = ScratchRegistry::with(Settings { storage, ..Settings::default() }).unwrap();
    let proxy = Faulty::before(registry.address()).unwrap();
    let world = World::published_to(proxy.address());
    let edge = registry.shelf(EDGE);
    let ends_badly = |(code, step): (i32, &str), words: &str| {
        let said = world.execute("0.2.0");
        assert_eq!(said.code, code, "{words}: {}", said.text);
        assert!(said.text.contains(words), "{words}: {}", said.text);
        let (verdict, status) = if code == 3 { ("environment", "environment") } else { ("red", "failed") };
        assert_eq!(world.report()["verdict"], verdict, "{words}");
        assert_eq!(world.step(step).0, status, "{words}: {}", said.text);
        assert_eq!(edge.digest("v0.2.0"), None, "{words}");
        assert_eq!(edge.digest("latest"), None, "{words}");
    };
    match &disk {
        Some(disk) => {
            ends_badly((3, "push"), "has no space left");
            disk.grow_to_kib(64 << 10).unwrap();
        }
        None => println!("skipped: this user may not mount a small disk"),
    }
    for (at, trouble) in troubles().into_iter().enumerate() {
        let ((method, part), (status, header)) = (trouble.asked, trouble.answers);
        proxy.recover();
        proxy.on(method, part, ALWAYS, Fault::Answer(status, Vec::from_iter(header), String::new()));
        ends_badly(trouble.ends, trouble.words);
        // The tag is there already, and nothing of the gate runs again.
        let again = if trouble.ends.1 == "checks" { "cancelled" } else { "cached" };
        assert!(world.step("test").0 == again || (at == 0 && disk.is_none()));
    }

    // What ends by itself is not even told, and who is slow is waited for.
    proxy.recover();
    proxy.on("POST", "/uploads/", 1, Fault::status(503));
    proxy.on("PUT", "/manifests/", 1, Fault::status(502));
    proxy.on("PUT", "/uploads/", 1, Fault::CloseUploadAfter(64));
    proxy.on("PUT", "/uploads/", ALWAYS, Fault::Slow(1_000_000));
    let said = world.execute("0.2.0");
    assert_eq!(said.code, 0, "{}", said.text);
    assert!(edge.digest("v0.2.0").is_some());
    assert_eq!(edge.digest("latest"), edge.digest("v0.2.0"));
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

/// It takes as long as the patience of a real release.
#[test]
fn long_a_registry_that_takes_what_it_is_sent_and_says_nothing_is_given_up() {
    let registry = ScratchRegistry::start().unwrap();
    let proxy = Faulty::before(registry.address()).unwrap();
    let world = World::published_to(proxy.address());
    proxy.on("PUT", "/uploads/", ALWAYS, Fault::Silence);
    let said = world.execute("0.2.0");
    assert_eq!(said.code, 3, "{}", said.text);
    assert!(said.text.contains("it, or the network to it, is too slow"), "{}", said.text);
    assert_eq!(registry.shelf(EDGE).tags(), Vec::<String>::new());
    proxy.recover();
    let said = world.execute("0.2.0");
    assert_eq!(said.code, 0, "{}", said.text);
}
