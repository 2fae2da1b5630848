//! The description of the API (`/openapi.json`): what the table of routes says, and what the gateway adds to every answer.

use serde_json::{Value, json};

/// What the gateway may answer on every route, whatever the route itself answers.
const EVERYWHERE: [(&str, &str); 4] = [
    ("400", "The request is malformed: its path, its headers or its body can be read in more than one way."),
    ("414", "The path or the query is too long."),
    ("502", "The service behind the gateway failed, or cannot be reached."),
    ("504", "The service behind the gateway did not answer in time."),
];

/// The headers of answers: name, what it says, and on which status it stands, every one where none is named.
const HEADERS: [(&str, &str, Option<&str>); 5] = [
    ("X-Request-Id", "The id of the request, which the request may bring itself.", None),
    (
        "RateLimit-Policy",
        "How many requests a client may send in how many seconds (draft-ietf-httpapi-ratelimit-headers).",
        None,
    ),
    ("RateLimit", "How many of them are left, and in how many seconds all are again.", None),
    ("WWW-Authenticate", "How to show who asks, and what is wrong with the token (RFC 6750).", Some("401")),
    ("Retry-After", "In how many seconds the next request is let through.", Some("429")),
];

/// The whole document, for the gateway of this version.
pub(crate) fn document(version: &str) -> Value {
    let mut document = api::openapi::document(version);
    for (name, what, _) in HEADERS {
        let schema =
            if name == "Retry-After" { json!({ "type": "integer" }) } else { json!({ "type": "string" }) };
        document["components"]["headers"][name] = json!({ "description": what, "schema": schema });
    }
    let paths = document["paths"].as_object_mut().into_iter().flat_map(|paths| paths.values_mut());
    for operation in paths.filter_map(Value::as_object_mut).flat_map(|path| path.values_mut()) {
        let Some(responses) = operation["responses"].as_object_mut() else { continue };
        for (status, what) in EVERYWHERE {
            responses.entry(status).or_insert_with(|| problem(what));
        }
        for (status, response) in responses {
            let stands = |on: Option<&str>| on.is_none_or(|on| on == status);
            for (name, ..) in HEADERS.iter().filter(|(_, _, on)| stands(*on)) {
                response["headers"][*name] = json!({ "$ref": format!("#/components/headers/{name}") });
            }
        }
    }
    document
}

fn problem(what: &str) -> Value {
    let schema = json!({ "$ref": "#/components/schemas/Problem" });
    json!({ "description": what, "content": { "application/problem+json": { "schema": schema } } })
}
