//! The OpenAPI 3.1 document, made out of the table of routes.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::{Answer, Exposure, Parameter, Place, Problem, ROUTES, Role, Route, Shape};

/// What any route may answer with besides: status and when.
const EVERYWHERE: &[(&str, &str)] = &[
    ("401", "Nobody is shown to ask: the token is missing, wrong or expired."),
    ("403", "The role does not suffice."),
    ("429", "Too many requests; `retry-after` says when to come back."),
    ("503", "Something that the service needs is away for now; `retry-after` says when to come back."),
];

/// What a route with a body may answer with besides.
const WITH_BODY: &[(&str, &str)] = &[
    ("400", "The body is not JSON."),
    ("413", "The body is too large."),
    ("415", "The body's content type is not JSON."),
];

/// The document of every public route; `version` is that of the service which serves it.
pub fn document(version: &str) -> Value {
    let mut schemas = BTreeMap::new();
    Shape::of::<Problem>().collect(&mut schemas);
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for route in ROUTES.iter().filter(|route| route.exposure == Exposure::Public) {
        let operation = operation(route, &mut schemas);
        paths.entry(route.path).or_default().insert(route.method.as_str().to_lowercase(), operation);
    }
    if let Some(event) = schemas.get_mut("Event") {
        event["description"] = events(event["description"].as_str().unwrap_or_default()).into();
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Slipway",
            "version": version,
            "description": "The record of releases, of the environments that run them, and of who did what.",
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A signed token (JWT) of a person, or an API token of a machine.",
                },
            },
        },
    })
}

/// What the schema of a change says of itself, with every kind that there is.
fn events(description: &str) -> String {
    let kinds = crate::EVENT_KINDS.iter().map(|(name, what)| format!("\n- `{name}`: {what}"));
    format!("{description}\n\nKinds:\n{}", kinds.collect::<String>())
}

fn operation(route: &Route, schemas: &mut BTreeMap<String, Value>) -> Value {
    let Route { role, operation, summary, .. } = route;
    let noun = route.path.split('/').nth(2).unwrap_or_default();
    let mut parameters: Vec<Value> = route.variables().map(variable).collect();
    parameters.extend(route.parameters.iter().map(parameter));
    let mut described = json!({
        "operationId": operation,
        "summary": summary,
        "description": format!("Needs the role `{role}`{}.", greater(*role)),
        "tags": [noun],
        "x-slipway-role": role,
        "responses": responses(route, schemas),
    });
    if !parameters.is_empty() {
        described["parameters"] = parameters.into();
    }
    if let Some(shape) = route.request {
        let schema = reference(&shape.collect(schemas));
        described["requestBody"] =
            json!({ "required": true, "content": { "application/json": { "schema": schema } } });
    }
    described
}

fn greater(role: Role) -> &'static str {
    if role == Role::Operator { "" } else { " or a greater one" }
}

fn responses(route: &Route, schemas: &mut BTreeMap<String, Value>) -> Value {
    let problems = EVERYWHERE.iter().chain(route.request.map_or(&[][..], |_| WITH_BODY));
    let problem = |what: &str| {
        let schema = reference("Problem");
        json!({ "description": what, "content": { "application/problem+json": { "schema": schema } } })
    };
    let mut responses: BTreeMap<String, Value> =
        problems.map(|(status, what)| ((*status).to_owned(), problem(what))).collect();
    for Answer { status, what, body, media_type } in route.answers {
        let mut described = json!({ "description": what });
        if let Some(shape) = body {
            let schema = reference(&shape.collect(schemas));
            described["content"] = json!({ *media_type: { "schema": schema } });
        }
        responses.insert(status.to_string(), described);
    }
    json!(responses)
}

fn variable(name: &str) -> Value {
    json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string", "minLength": 1 } })
}

fn parameter(parameter: &Parameter) -> Value {
    let Parameter { name, place, what, schema } = parameter;
    let place = match place {
        Place::Query => "query",
        Place::Header => "header",
    };
    let schema: Value = serde_json::from_str(schema).unwrap_or_default();
    json!({ "name": name, "in": place, "description": what, "required": false, "schema": schema })
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn references<'a>(value: &'a Value, into: &mut BTreeSet<&'a str>) {
        match value {
            Value::Object(fields) => {
                into.extend(fields.get("$ref").and_then(Value::as_str));
                fields.values().for_each(|field| references(field, into));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, into)),
            _ => {}
        }
    }

    #[test]
    fn the_document_describes_every_public_route_and_refers_to_nothing_that_it_lacks() {
        let document = document("1.4.0");
        let mut referred = BTreeSet::new();
        references(&document, &mut referred);
        for reference in &referred {
            assert!(document.pointer(&reference[1..]).is_some_and(Value::is_object), "{reference}");
        }
        for route in &ROUTES {
            let pointer =
                format!("/paths/{}/{}", route.path.replace('/', "~1"), route.method.as_str().to_lowercase());
            let public = route.exposure == Exposure::Public;
            assert_eq!(document.pointer(&pointer).is_some(), public, "{}", route.operation);
        }
        for parameter in ROUTES.iter().flat_map(|route| route.parameters) {
            assert!(serde_json::from_str::<Value>(parameter.schema).is_ok(), "{}", parameter.name);
        }
        insta::assert_snapshot!(referred.into_iter().collect::<Vec<_>>().join("\n"), @"
        #/components/schemas/AuditEntry
        #/components/schemas/AuditEntryPage
        #/components/schemas/CreatedToken
        #/components/schemas/Decision
        #/components/schemas/DesiredRelease
        #/components/schemas/DesiredReleasePage
        #/components/schemas/Environment
        #/components/schemas/EnvironmentPage
        #/components/schemas/Event
        #/components/schemas/FieldError
        #/components/schemas/Health
        #/components/schemas/NewObservation
        #/components/schemas/NewPromotion
        #/components/schemas/NewRelease
        #/components/schemas/NewToken
        #/components/schemas/Observation
        #/components/schemas/ObservationPage
        #/components/schemas/Part
        #/components/schemas/Problem
        #/components/schemas/Promotion
        #/components/schemas/PromotionPage
        #/components/schemas/PromotionState
        #/components/schemas/PutEnvironment
        #/components/schemas/Release
        #/components/schemas/ReleasePage
        #/components/schemas/Role
        #/components/schemas/Token
        #/components/schemas/TokenPage
        ");
    }

    #[test]
    fn an_operation_says_role_parameters_bodies_and_problems() {
        let mut document = document("1.4.0");
        let mut operation = document["paths"]["/v1/environments/{name}"]["put"].take();
        let answers = operation["responses"].take();
        let answers = answers.as_object().unwrap().iter().map(|(status, answer)| {
            let media: Vec<_> = answer["content"].as_object().unwrap().keys().cloned().collect();
            format!("{status} {} {}", media.join(","), answer["description"])
        });
        insta::assert_snapshot!(answers.collect::<Vec<_>>().join("\n"), @r#"
        200 application/json "It is as asked for."
        201 application/json "It is recorded."
        400 application/problem+json "The body is not JSON."
        401 application/problem+json "Nobody is shown to ask: the token is missing, wrong or expired."
        403 application/problem+json "The role does not suffice."
        412 application/problem+json "It was changed since: `If-Match` is not its `ETag`."
        413 application/problem+json "The body is too large."
        415 application/problem+json "The body's content type is not JSON."
        422 application/problem+json "A field holds what cannot be accepted."
        428 application/problem+json "It is recorded otherwise, and `If-Match` does not say what it replaces."
        429 application/problem+json "Too many requests; `retry-after` says when to come back."
        503 application/problem+json "Something that the service needs is away for now; `retry-after` says when to come back."
        "#);
        insta::assert_snapshot!(operation, @r##"{"description":"Needs the role `operator`.","operationId":"putEnvironment","parameters":[{"in":"path","name":"name","required":true,"schema":{"minLength":1,"type":"string"}},{"description":"The `ETag` of what is to be replaced; needed where something is.","in":"header","name":"if-match","required":false,"schema":{"type":"string"}}],"requestBody":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/PutEnvironment"}}},"required":true},"responses":null,"summary":"Records an environment, or changes it.","tags":["environments"],"x-slipway-role":"operator"}"##);
    }

    #[test]
    fn a_schema_says_what_is_needed_and_what_may_be_left_out() {
        let document = document("1.4.0");
        let schema = &document["components"]["schemas"]["NewRelease"];
        insta::assert_snapshot!(serde_json::to_string_pretty(schema).unwrap(), @r#"
        {
          "additionalProperties": false,
          "description": "A release to be recorded.",
          "properties": {
            "commit": {
              "description": "The full commit: 40 or 64 lower-case hex digits.",
              "pattern": "^([0-9a-f]{40}|[0-9a-f]{64})$",
              "type": "string"
            },
            "evidence": {
              "description": "Where the release's own record with its evidence lies: a URL, or an artifact by digest.",
              "maxLength": 2048,
              "type": [
                "string",
                "null"
              ]
            },
            "images": {
              "additionalProperties": {
                "type": "string"
              },
              "description": "Per service its image by digest: `registry.example.org/slipway/gateway@sha256:…`.",
              "propertyNames": {
                "type": "string"
              },
              "type": "object"
            },
            "signing_key_id": {
              "description": "Which key signed the images: the SHA-256 of its public key (SPKI, DER) in lower-case hex; absent when nothing did.",
              "pattern": "^[0-9a-f]{64}$",
              "type": [
                "string",
                "null"
              ]
            },
            "version": {
              "description": "A semantic version.",
              "example": "1.4.0",
              "maxLength": 128,
              "type": "string"
            }
          },
          "required": [
            "version",
            "commit",
            "images"
          ],
          "type": "object"
        }
        "#);
    }
}
