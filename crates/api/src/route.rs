//! What a line of the table of routes says, and which line a request belongs to.

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::{PartialSchema as _, ToSchema};

use crate::{ROUTES, Role};

/// The method of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// Reads.
    Get,
    /// Puts something where the path says.
    Put,
    /// Asks for something to be done.
    Post,
    /// Takes something away.
    Delete,
}

/// Who reaches a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposure {
    /// Clients, through the gateway.
    Public,
    /// The gateway itself, and nobody through it.
    Internal,
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// Its method.
    pub method: Method,
    /// Its path, with variables in braces: `/v1/releases/{version}`.
    pub path: &'static str,
    /// The role that it needs.
    pub role: Role,
    /// Who reaches it.
    pub exposure: Exposure,
    /// Its name for generated clients, unique.
    pub operation: &'static str,
    /// What it does, in a sentence.
    pub summary: &'static str,
    /// What the query and the headers may say.
    pub parameters: &'static [Parameter],
    /// The shape of the body that it takes.
    pub request: Option<Shape>,
    /// How it answers, besides the problems that every route may answer with.
    pub answers: &'static [Answer],
}

/// Something that the query or a header may say.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// Where it stands.
    pub place: Place,
    /// What it is for.
    pub what: &'static str,
    /// Its JSON schema, as text.
    pub schema: &'static str,
}

/// Where a parameter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the query.
    Query,
    /// In a header.
    Header,
}

/// One way in which a route answers.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// When it answers so.
    pub what: &'static str,
    /// The shape of the body; a status of 400 and above has that of a problem.
    pub body: Option<Shape>,
    /// The media type of the body.
    pub media_type: &'static str,
}

/// The shape of a body: a type of this crate, as a JSON schema.
#[derive(Clone, Copy)]
pub struct Shape {
    collect: fn(&mut BTreeMap<String, Value>) -> String,
}

/// The line that a request belongs to.
#[derive(Clone, Debug)]
pub enum Found {
    /// This one.
    Route(&'static Route),
    /// The path is known, the method is not: these are.
    OtherMethods(Vec<Method>),
    /// None.
    Nothing,
}

/// The line of the table for a method (`GET`) and the path of a URI, without its query.
///
/// The path is taken as it is: whoever decodes or normalises it does so before, and passes on what it asked about.
pub fn find(method: &str, path: &str) -> Found {
    let of_path: Vec<&'static Route> = ROUTES.iter().filter(|route| route.matches(path)).collect();
    match of_path.iter().find(|route| route.method.as_str() == method) {
        Some(route) => Found::Route(route),
        None if of_path.is_empty() => Found::Nothing,
        None => Found::OtherMethods(of_path.iter().map(|route| route.method).collect()),
    }
}

impl Method {
    /// As it stands in a request.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Put => "PUT",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }
}

impl Route {
    /// The names of the path's variables, in order.
    pub fn variables(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.path.split('/').filter_map(variable)
    }

    /// Whether a path is one of this route: a variable stands for one segment that is not empty.
    fn matches(&self, path: &str) -> bool {
        let mut asked = path.split('/');
        let all = self.path.split('/').all(|known| {
            asked.next().is_some_and(|segment| match variable(known) {
                Some(_) => !segment.is_empty(),
                None => segment == known,
            })
        });
        all && asked.next().is_none()
    }
}

impl Shape {
    /// The shape of a type.
    pub const fn of<T: ToSchema>() -> Self {
        Self { collect: collect::<T> }
    }

    /// The shape of a page of such items.
    pub const fn page_of<T: ToSchema>() -> Self {
        Self { collect: collect_page::<T> }
    }

    /// Adds the schema to those given, with all that it refers to, and returns its name among them.
    pub(crate) fn collect(self, schemas: &mut BTreeMap<String, Value>) -> String {
        (self.collect)(schemas)
    }
}

impl std::fmt::Debug for Shape {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.collect(&mut BTreeMap::new()))
    }
}

fn variable(segment: &'static str) -> Option<&'static str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

fn collect<T: ToSchema>(schemas: &mut BTreeMap<String, Value>) -> String {
    let mut all = Vec::new();
    T::schemas(&mut all);
    all.push((T::name().into_owned(), T::schema()));
    for (name, schema) in all {
        schemas.insert(name, serde_json::to_value(schema).unwrap_or_default());
    }
    T::name().into_owned()
}

/// Each page has a name of its own: by the type's name alone, all of them would be one schema.
fn collect_page<T: ToSchema>(schemas: &mut BTreeMap<String, Value>) -> String {
    let name = format!("{}Page", collect::<T>(schemas));
    schemas.insert(name.clone(), serde_json::to_value(crate::Page::<T>::schema()).unwrap_or_default());
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(method: &str, path: &str) -> String {
        match find(method, path) {
            Found::Route(route) => route.operation.to_owned(),
            Found::OtherMethods(methods) => format!("{methods:?}"),
            Found::Nothing => "nothing".to_owned(),
        }
    }

    #[test]
    fn a_request_belongs_to_the_line_with_its_method_and_its_path() {
        assert_eq!(found("GET", "/v1/releases"), "listReleases");
        assert_eq!(found("GET", "/v1/releases/1.4.0"), "getRelease");
        assert_eq!(found("PATCH", "/v1/releases"), "[Get, Post]");
        for unknown in
            ["", "/", "/v1", "/v1/", "/v1/releases/", "/v1/releases/1.4.0/", "/v1/releases//", "v1/releases"]
        {
            assert_eq!(found("GET", unknown), "nothing", "{unknown}");
        }
    }
}
