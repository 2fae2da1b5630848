//! The router and the table of routes in `api` agree.

use api::{Method, ROUTES, Role};
use axum::body::Body;
use axum::extract::Request;
use service::identity;

use crate::{BOB, Person, World};

#[tokio::test]
async fn every_line_of_the_table_is_served_to_whose_role_suffices_and_to_nobody_else() {
    let world = World::new().await;
    for route in &ROUTES {
        let line = format!("{} {}", route.method.as_str(), route.path);
        let nil = "00000000-0000-0000-0000-000000000000";
        let path = route.path.replace("{id}", nil).replace("{name}", "nowhere").replace("{version}", "9.9.9");
        let request = || {
            let request = Request::builder().method(route.method.as_str()).uri(&path);
            request.header("content-type", "application/json").body(Body::from("[]")).unwrap()
        };
        let status = async |role: identity::Role| {
            // The stream of events has no end.
            if route.operation == "followEvents" && role.name().parse::<Role>().unwrap() >= route.role {
                return 200;
            }
            world.ask(Person("ann", role), request()).await.status.as_u16()
        };
        // Nothing is found, or the empty list is no body: but nobody says that the route does not exist.
        for role in identity::Role::ALL {
            let status = status(role).await;
            if role.name().parse::<Role>().unwrap().covers(route.role) {
                let expected: &[u16] = match (route.method, route.operation) {
                    (_, "resolveToken") => &[403],
                    (Method::Get | Method::Delete, _) => &[200, 404],
                    _ => &[404, 422],
                };
                assert!(expected.contains(&status), "{line} as {role}: {status}");
            } else {
                assert_eq!(status, 403, "{line} as {role}");
            }
        }
        assert_eq!(world.control.send(request()).await.status.as_u16(), 401, "{line} as nobody");
    }
}

#[tokio::test]
async fn what_is_not_in_the_table_does_not_exist() {
    let world = World::new().await;
    insta::assert_snapshot!(crate::told(&world.get("/v1/nothing").await), @r#"404 {"code":"not_found","detail":"`/v1/nothing` does not exist"}"#);
    insta::assert_snapshot!(crate::told(&world.post(BOB, "/v1/audit", &serde_json::json!({})).await), @r#"405 {"code":"method_not_allowed","detail":"this path does not take this method; the `allow` header says which it takes"}"#);
}

#[tokio::test]
async fn nobody_but_the_gateway_is_believed() {
    let world = World::new().await;
    let stranger = service::testing::TestGateway::before("control");
    let request = || Request::get("/v1/releases").body(Body::empty()).unwrap();
    let forged = stranger.says(request(), "bob", identity::Role::Operator);
    insta::assert_snapshot!(crate::told(&world.control.send(forged).await), @r#"401 {"code":"unauthenticated","detail":"only the gateway may ask this service; ask through it"}"#);
    let mut old = request();
    old.headers_mut().insert("x-slipway-actor", "bob".parse().unwrap());
    assert_eq!(world.control.send(old).await.status.as_u16(), 401);
}
