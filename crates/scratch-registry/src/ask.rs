//! What a test sees and does behind everybody's back, by plain HTTP: tags, manifests, one put in another's place.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use serde_json::Value;

use crate::ScratchRegistry;

/// The kinds of manifests that it is asked for.
const ACCEPTED: &str = "application/vnd.docker.distribution.manifest.v2+json, \
                        application/vnd.oci.image.manifest.v1+json, application/json";

/// A repository of a registry without users and TLS.
#[derive(Debug, Clone, Copy)]
pub struct Shelf<'a> {
    registry: &'a ScratchRegistry,
    path: &'a str,
}

impl ScratchRegistry {
    /// The repository with this path. Asking it panics where the registry does not answer.
    pub fn shelf<'a>(&'a self, path: &'a str) -> Shelf<'a> {
        Shelf { registry: self, path }
    }
}

impl Shelf<'_> {
    /// What a tag leads to, if to anything.
    pub fn digest(&self, tag: &str) -> Option<String> {
        let answer = self.ask("HEAD", &format!("manifests/{tag}"), "", "");
        let mut lines = answer.lines().filter_map(|it| it.split_once(':'));
        let found = lines.find(|(name, _)| name.eq_ignore_ascii_case("docker-content-digest"));
        found.map(|(_, digest)| digest.trim().to_owned())
    }

    /// All tags, sorted.
    pub fn tags(&self) -> Vec<String> {
        let answer = self.ask("GET", "tags/list", "", "");
        let listed: Value = serde_json::from_str(body(&answer)).unwrap_or_default();
        let tags = listed["tags"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let mut tags: Vec<String> = tags.map(str::to_owned).collect();
        tags.sort();
        tags
    }

    /// The manifest under a tag, or with a digest.
    pub fn manifest(&self, at: &str) -> String {
        body(&self.ask("GET", &format!("manifests/{at}"), "", "")).to_owned()
    }

    /// Puts a manifest of docker's kind under a tag, whatever is there.
    pub fn overwrite(&self, tag: &str, manifest: &str) {
        let kind = "application/vnd.docker.distribution.manifest.v2+json";
        let answer = self.ask("PUT", &format!("manifests/{tag}"), kind, manifest);
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    }

    /// Deletes a manifest, and with it every tag that leads there.
    pub fn delete(&self, digest: &str) {
        let answer = self.ask("DELETE", &format!("manifests/{digest}"), "", "");
        assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    }

    /// One request, and all that is answered.
    fn ask(&self, method: &str, tail: &str, kind: &str, body: &str) -> String {
        let (host, path, length) = (self.registry.address(), self.path, body.len());
        let kind = if kind.is_empty() { String::new() } else { format!("content-type: {kind}\r\n") };
        let request = format!(
            "{method} /v2/{path}/{tail} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\naccept: {ACCEPTED}\r\n\
             {kind}content-length: {length}\r\n\r\n{body}"
        );
        let mut stream = TcpStream::connect(host).expect("the registry listens");
        stream.write_all(request.as_bytes()).expect("the registry reads what it is asked");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the registry answers in text");
        answer
    }
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}
