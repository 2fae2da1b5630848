//! Reading a JSON body field by field, so that everything that is wrong with it is told at once.

use axum::body::HttpBody as _;
use axum::extract::{FromRequest, Request};
use serde_json::{Map, Value};
use service::problem::{FieldError, pointer};
use service::{Problem, extract};
use sha2::{Digest as _, Sha256};

use crate::refusal;

/// A body that is being read. Each field is taken once; what nobody took is a fault, too.
#[derive(Debug)]
pub(crate) struct Fields {
    left: Map<String, Value>,
    faults: Vec<FieldError>,
}

/// In a handler: a JSON body, and what tells this request from another.
#[derive(Debug)]
pub(crate) struct Body {
    value: Value,
    /// SHA-256 of method, path and body; two spellings of the same body are the same.
    pub(crate) request: [u8; 32],
}

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let mut hash = Sha256::new();
        hash.update(request.method().as_str());
        hash.update(b"\0");
        hash.update(request.uri().path());
        hash.update(b"\0");
        let extract::Json(value) = extract::Json::<Value>::from_request(request, state).await?;
        hash.update(value.to_string());
        Ok(Self { value, request: hash.finalize().into() })
    }
}

/// In a handler: a body that may be left out altogether, as a decision's.
#[derive(Debug)]
pub(crate) struct MaybeBody(pub(crate) Fields);

impl<S: Send + Sync> FromRequest<S> for MaybeBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if request.body().is_end_stream() {
            return Ok(Self(Fields { left: Map::new(), faults: Vec::new() }));
        }
        Ok(Self(Body::from_request(request, state).await?.fields()?))
    }
}

impl Body {
    /// The fields of the object that the body is.
    pub(crate) fn fields(self) -> Result<Fields, Problem> {
        match self.value {
            Value::Object(left) => Ok(Fields { left, faults: Vec::new() }),
            other => {
                let detail = format!("expected an object, found {}", kind(&other));
                Err(refusal::invalid(vec![FieldError::body("", detail)]))
            }
        }
    }
}

impl Fields {
    /// A field that must be there.
    pub(crate) fn required<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(Value, &str, &mut Vec<FieldError>) -> Option<T>,
    ) -> Option<T> {
        match self.left.remove(name) {
            Some(value) => read(value, &pointer("", name), &mut self.faults),
            None => {
                self.faults.push(FieldError::body(pointer("", name), "is missing"));
                None
            }
        }
    }

    /// A field that may be left out, or be `null`, which is the same.
    pub(crate) fn optional<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(Value, &str, &mut Vec<FieldError>) -> Option<T>,
    ) -> Option<T> {
        match self.left.remove(name) {
            None | Some(Value::Null) => None,
            Some(value) => read(value, &pointer("", name), &mut self.faults),
        }
    }

    /// A flag that is off when it is left out.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        let read = |value: Value, at: &str, faults: &mut Vec<FieldError>| {
            let flag = value.as_bool();
            if flag.is_none() {
                let detail = format!("expected `true` or `false`, found {}", kind(&value));
                faults.push(FieldError::body(at, detail));
            }
            flag
        };
        self.optional(name, read).unwrap_or(false)
    }

    /// What was read, when nothing is wrong and nothing is left.
    pub(crate) fn finish<T>(mut self, read: Option<T>) -> Result<T, Problem> {
        for name in self.left.keys() {
            self.faults.push(FieldError::body(pointer("", name), "is not known here"));
        }
        match read {
            Some(value) if self.faults.is_empty() => Ok(value),
            _ => Err(refusal::invalid(self.faults)),
        }
    }
}

/// A text of a form.
pub(crate) fn text<T>(
    form: impl FnOnce(&str) -> Result<T, String>,
) -> impl FnOnce(Value, &str, &mut Vec<FieldError>) -> Option<T> {
    move |value, at, faults| {
        let read = match &value {
            Value::String(text) => form(text),
            other => Err(format!("expected a text, found {}", kind(other))),
        };
        read.map_err(|detail| faults.push(FieldError::body(at, detail))).ok()
    }
}

/// What a value is, for people.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
