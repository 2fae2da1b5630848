//! The router and the table of routes in `api` agree.

use std::collections::BTreeSet;

use api::{Method, Part, Place, ROUTES, Role};
use axum::body::Body;
use axum::extract::Request;
use serde_json::json;

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
        let status = async |role: Role| {
            // The stream of events has no end.
            if route.operation == "followEvents" && role >= route.role {
                return 200;
            }
            world.ask(Person("ann", role), request()).await.status.as_u16()
        };
        // Nothing is found, or the empty list is no body: but nobody says that the route does not exist.
        for role in Role::ALL {
            let status = status(role).await;
            if role.covers(route.role) {
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
    let forged = stranger.says(request(), "bob", Role::Operator);
    insta::assert_snapshot!(crate::told(&world.control.send(forged).await), @r#"401 {"code":"unauthenticated","detail":"only the gateway may ask this service; ask through it"}"#);
    let mut old = request();
    old.headers_mut().insert("x-slipway-actor", "bob".parse().unwrap());
    assert_eq!(world.control.send(old).await.status.as_u16(), 401);
}

#[test]
fn the_contract_names_every_kind_of_change_that_the_record_tells() {
    let described: Vec<&str> = api::EVENT_KINDS.iter().map(|(name, _)| *name).collect();
    let told: Vec<&str> = store::events::Kind::ALL.iter().map(|(_, name)| *name).collect();
    assert_eq!(described, told);
}

/// Each route is sent what it cannot take: what is wrong is always told by a JSON pointer into a part of the request.
#[tokio::test]
async fn what_is_wrong_with_a_request_is_pointed_at_in_one_form() {
    let world = World::new().await;
    let odd = json!({ "a/b~c": 1, "version": 1, "commit": [], "images": { "a/b": 1 }, "services": [{}, "x", "x"],
        "protected": "yes", "release": 7, "rollback": 0, "health": "fine", "note": [], "name": "X Y", "role": "king",
        "expires_at": "soon", "sha256": 1, "requires": 1 });
    let mut told = BTreeSet::new();
    for route in &ROUTES {
        let path = route.path.replace("{name}", "staging").replace("{version}", "9.9.9");
        let path = path.replace("{id}", "00000000-0000-0000-0000-000000000000");
        let who = if route.operation == "resolveToken" { Person("gateway", Role::Operator) } else { BOB };
        let mut answers = Vec::new();
        if route.request.is_some() {
            for body in [odd.clone(), json!([]), json!({})] {
                let answer = world.send(who, route.method.as_str(), &path, &[], &body).await;
                let optional = route.path.starts_with("/v1/promotions/") && body == json!({});
                assert_eq!(answer.status == 422, !optional, "{}: {}", route.operation, answer.summary());
                answers.push((body, answer));
            }
        } else if route.parameters.iter().any(|it| it.place == Place::Query) {
            for query in ["?limit=0&cursor=x", "?after=x", "?what=x", "?since=x&until=y"] {
                let request = Request::get(format!("{path}{query}")).body(Body::empty()).unwrap();
                let answer = world.ask(who, request).await;
                assert_eq!(answer.status, 422, "{}: {}", route.operation, answer.summary());
                answers.push((
                    json!({ "limit": 0, "cursor": 0, "after": 0, "what": 0, "since": 0, "until": 0 }),
                    answer,
                ));
            }
        }
        for (sent, answer) in answers {
            let problem: api::Problem = serde_json::from_value(answer.json()).unwrap();
            for error in problem.errors {
                let above = error.pointer.rsplit_once('/').map_or("", |(above, _)| above);
                let known = error.pointer.is_empty() || error.pointer.starts_with('/');
                // What is missing is not there; where it should be, is.
                assert!(known && sent.pointer(above).is_some(), "{}: {error:?}", route.operation);
                assert_eq!(error.part, route.request.is_none().then_some(Part::Query), "{}", route.operation);
                told.insert(error.pointer);
            }
        }
    }
    for pointer in
        ["", "/a~1b~0c", "/images/a~1b", "/services/0", "/services/2", "/limit", "/cursor", "/after", "/what"]
    {
        assert!(told.contains(pointer), "{pointer} of {told:?}");
    }
}
