//! Who is let in behind the gateway.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::routing::{get, post};
use service::identity::{self, HEADER, Identity, Operator, Releaser, Role, Verifier, Viewer};
use service::testing::{Answer, TestGateway, ask, dressed};

struct World {
    gateway: TestGateway,
    router: Router,
}

impl World {
    fn new() -> Self {
        let gateway = TestGateway::before("control");
        let router = Router::new()
            .route(
                "/who",
                get(async |Viewer(Identity { subject, role, .. }): Viewer| format!("{subject} {role}")),
            )
            .route("/release", post(async |Releaser(who): Releaser| who.subject))
            .route("/operate", post(async |Operator(who): Operator| who.subject))
            .route("/any", get(async |who: Identity| who.request_id));
        let router = identity::guard(router, Verifier::new(gateway.keys(), "control"));
        Self { gateway, router: dressed(router.route("/open", get(async || "open"))) }
    }

    async fn asks(&self, method: &str, path: &str, role: Role) -> String {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).expect("it is a path");
        ask(&self.router, self.gateway.says(request, "ann", role)).await.summary()
    }

    async fn sends(&self, request: Request) -> Answer {
        ask(&self.router, request).await
    }
}

fn request() -> Request {
    Request::get("/who").header("x-request-id", "r-1").body(Body::empty()).expect("it is a path")
}

#[tokio::test]
async fn a_handler_knows_who_asks_and_a_role_that_is_too_small_is_told_which_is_needed() {
    let world = World::new();
    insta::assert_snapshot!(world.asks("GET", "/who", Role::Viewer).await, @r#"200 "ann viewer""#);
    insta::assert_snapshot!(world.asks("POST", "/release", Role::Viewer).await, @r#"403 {"code":"forbidden","detail":"this needs the role `releaser`, and yours is `viewer`"}"#);
    insta::assert_snapshot!(world.asks("POST", "/release", Role::Releaser).await, @r#"200 "ann""#);
    insta::assert_snapshot!(world.asks("POST", "/operate", Role::Releaser).await, @r#"403 {"code":"forbidden","detail":"this needs the role `operator`, and yours is `releaser`"}"#);
    insta::assert_snapshot!(world.asks("POST", "/operate", Role::Operator).await, @r#"200 "ann""#);
    insta::assert_snapshot!(world.asks("POST", "/release", Role::Operator).await, @r#"200 "ann""#);
}

#[tokio::test]
async fn without_the_gateways_word_for_this_very_request_nobody_is_let_in() {
    let world = World::new();
    insta::assert_snapshot!(world.sends(request()).await.summary(), @r#"401 {"code":"unauthenticated","detail":"only the gateway may ask this service; ask through it"}"#);

    let signed = || world.gateway.says(request(), "ann", Role::Operator);
    assert_eq!(world.sends(signed()).await.status, 200);

    let mut twice = signed();
    let token = twice.headers()[HEADER].clone();
    twice.headers_mut().append(HEADER, token);
    assert_eq!(world.sends(twice).await.status, 401);

    // Overheard, and used for another request.
    let mut replayed = signed();
    replayed.headers_mut().insert("x-request-id", "r-2".parse().unwrap());
    assert_eq!(world.sends(replayed).await.status, 401);

    for gateway in [TestGateway::before("control"), TestGateway::before("worker")] {
        assert_eq!(world.sends(gateway.says(request(), "ann", Role::Operator)).await.status, 401);
    }
}

#[tokio::test]
async fn what_a_request_is_told_by_is_its_own_id_and_routes_outside_stay_open() {
    let world = World::new();
    let request = Request::get("/any").header("x-request-id", "r-7").body(Body::empty()).unwrap();
    assert_eq!(world.sends(world.gateway.says(request, "ann", Role::Viewer)).await.body, "r-7");
    let open = Request::get("/open").body(Body::empty()).unwrap();
    assert_eq!(world.sends(open).await.body, "open");
    // An unknown route is a 404, not a 401.
    let unknown = Request::get("/nowhere").body(Body::empty()).unwrap();
    assert_eq!(world.sends(unknown).await.status, 404);
}

#[tokio::test]
async fn a_handler_that_asks_who_it_is_outside_of_the_guard_fails_closed() {
    let router = dressed(Router::new().route("/who", get(async |Viewer(who): Viewer| who.subject)));
    assert_eq!(ask(&router, request()).await.status, 500);
}
