//! The record of a release: the same bytes for the same release, and signed by whom it should be.

use std::collections::BTreeMap;

use release::{
    Digest, Record, SigningKey, TrustedKeys,
    record::{self, Accepted, Evidence, SCHEMA, Service, Verdict},
};
use time::macros::datetime;

/// The record of a release of one image.
pub(crate) fn of(service: Service) -> Record {
    let passed = Evidence { verdict: Verdict::Passed, fingerprint: Some("f00d".to_owned()) };
    Record {
        schema: SCHEMA,
        version: Some("1.4.0".to_owned()),
        commit: "c0ffee".repeat(7)[..40].to_owned(),
        created_at: datetime!(2026-03-04 05:06:07 +1),
        services: BTreeMap::from([("gateway".to_owned(), service)]),
        evidence: BTreeMap::from([("fmt".to_owned(), passed)]),
        accepted: Accepted { no_advisories: false, stand_in_bases: vec!["builder".to_owned()] },
    }
}

/// An image as a record tells of it.
pub(crate) fn service(repository: &str, digest: Digest) -> Service {
    Service {
        repository: repository.parse().unwrap(),
        digest,
        built_from: "c0ffee".repeat(7)[..40].to_owned(),
        fingerprint: "f00d".to_owned(),
        sbom: None,
        signed_by: Vec::new(),
    }
}

fn record() -> Record {
    of(service("registry.example/team/gateway", Digest::of(b"")))
}

#[test]
fn a_record_is_written_in_one_way_only() {
    let bytes = record().to_bytes();
    insta::assert_snapshot!(String::from_utf8_lossy(&bytes), @r#"
    {
      "schema": 1,
      "version": "1.4.0",
      "commit": "c0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ff",
      "created_at": "2026-03-04T04:06:07Z",
      "services": {
        "gateway": {
          "repository": "registry.example/team/gateway",
          "digest": "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
          "built_from": "c0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ff",
          "fingerprint": "f00d",
          "sbom": null,
          "signed_by": []
        }
      },
      "evidence": {
        "fmt": {
          "verdict": "passed",
          "fingerprint": "f00d"
        }
      },
      "accepted": {
        "no_advisories": false,
        "stand_in_bases": [
          "builder"
        ]
      }
    }
    "#);
    let read = Record::from_bytes(&bytes).unwrap();
    assert_eq!(read.to_bytes(), bytes);
}

#[test]
fn what_is_no_record_is_refused() {
    let bytes = record().to_bytes();
    let text = String::from_utf8(bytes).unwrap();
    let said = |text: &str| Record::from_bytes(text.as_bytes()).unwrap_err().to_string();
    insta::assert_snapshot!(said(&text.replace("  ", " ")), @"the release record is not in its canonical form: it was changed after it was written");
    insta::assert_snapshot!(said(&text.replace("\"schema\": 1", "\"schema\": 2")), @"the release record has schema 2, this program reads 1; use a newer one");
    insta::assert_snapshot!(said(&text.replace("\"commit\"", "\"comit\"")), @"this is no release record: unknown field `comit`, expected one of `schema`, `version`, `commit`, `created_at`, `services`, `evidence`, `accepted` at line 4 column 9");
    insta::assert_snapshot!(said("[]"), @"this is no release record: invalid length 0, expected struct Schema with 1 element at line 1 column 2");
}

#[test]
fn a_record_is_signed_once_by_each_key_and_a_change_is_noticed() {
    let (ann, bob) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    let trusted = |key: &SigningKey| TrustedKeys::new(vec![key.public().clone()]);
    let bytes = record().to_bytes();
    let first = record::sign(&bytes, "", &ann).unwrap();
    assert_eq!(record::sign(&bytes, &first, &ann).unwrap(), first);
    insta::assert_snapshot!(record::verify(&bytes, &first, &trusted(&bob)).unwrap_err(), @"none of the trusted keys signed this release record: it was changed, or another key signed it; `--key FILE` names those");
    let both = record::sign(&bytes, &first, &bob).unwrap();
    assert_eq!(record::verify(&bytes, &both, &trusted(&ann)).unwrap(), [ann.public().id()]);
    assert_eq!(record::verify(&bytes, &both, &trusted(&bob)).unwrap(), [bob.public().id()]);
    let changed = Record { version: Some("1.4.1".to_owned()), ..record() }.to_bytes();
    assert!(record::verify(&changed, &both, &trusted(&ann)).is_err());
    insta::assert_snapshot!(record::verify(&bytes, "\n", &trusted(&ann)).unwrap_err(), @"`release.json.sig` holds no signature: a line of base64 each");
}
