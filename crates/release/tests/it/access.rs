//! Who may: logins with a password, tokens from an issuer, and what is said to who may not.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use release::{Logins, credentials::AuthFile, registry::RegistryError};

use scratch_registry::{Faulty, ScratchRegistry};

use crate::world::{USER, at, client, client_with, hasty, login, push, tag};

/// A password of this test's own.
fn password() -> String {
    format!("pw-{}-{:?}", std::process::id(), std::thread::current().id())
}

fn basic(password: &str) -> String {
    BASE64.encode(format!("{USER}:{password}"))
}

#[tokio::test]
async fn a_login_lets_in_and_others_learn_what_to_do() {
    let password = password();
    let real = ScratchRegistry::for_one(USER, &password).unwrap();
    let repository = at(real.address());
    let told = |error: RegistryError| {
        assert_eq!(error.exit_code(), 3);
        let said = error.to_string();
        assert!(!said.contains(&password), "{said}");
        said.replace(real.address(), "HOST")
    };
    let error = client().resolve(&repository, &tag("v1")).await.unwrap_err();
    insta::assert_snapshot!(told(error), @"cannot look up `HOST/team/gateway:v1`: `HOST` wants to know who asks; `podman login --authfile FILE HOST` and `--authfile FILE`, or set SLIPWAY_REGISTRY_USER and SLIPWAY_REGISTRY_PASSWORD");
    let other = client_with(login(real.address(), "another"), hasty());
    let error = other.resolve(&repository, &tag("v1")).await.unwrap_err();
    insta::assert_snapshot!(told(error), @"cannot look up `HOST/team/gateway:v1`: `HOST` does not take the user and password of `ann` from the test; `podman login --authfile FILE HOST` tries them, a new token or password may be due");

    let ann = client_with(login(real.address(), &password), hasty());
    push(&ann, &repository, "v1", "it").await;
    assert!(ann.resolve(&repository, &tag("v1")).await.unwrap().is_some());
}

#[tokio::test]
async fn an_auth_file_lets_in() {
    let password = password();
    let real = ScratchRegistry::for_one(USER, &password).unwrap();
    let path = real.auth_file(USER, &password).unwrap();
    let client = client_with(Logins::from_file(AuthFile::read(&path).unwrap()), hasty());
    client.check(&at(real.address())).await.unwrap();
    push(&client, &at(real.address()), "v1", "it").await;
}

#[tokio::test]
async fn a_token_is_got_from_the_issuer_that_the_registry_names() {
    let password = password();
    let real = ScratchRegistry::start().unwrap();
    let faulty = Faulty::before(real.address()).unwrap();
    let repository = at(faulty.address());
    faulty.ask_for_token("t0", &format!("Basic {}", basic(&password)));
    let ann = client_with(login(faulty.address(), &password), hasty());
    push(&ann, &repository, "v1", "it").await;
    let asked = faulty.seen("GET", "/token?service=it&scope=repository:team/gateway:pull,push");
    assert_eq!(asked, 1, "one token does for all that is pushed");

    // It runs out, and a new one is got.
    faulty.ask_for_token("t1", &format!("Basic {}", basic(&password)));
    assert!(ann.resolve(&repository, &tag("v1")).await.unwrap().is_some());

    let error = client().resolve(&repository, &tag("v1")).await.unwrap_err();
    assert!(matches!(error, RegistryError::Anonymous { .. }), "{error}");
    let other = client_with(login(faulty.address(), "another"), hasty());
    let error = other.resolve(&repository, &tag("v1")).await.unwrap_err();
    assert!(matches!(error, RegistryError::Unauthorized { .. }), "{error}");
}
