//! Keys: what openssl makes and reads, passphrases, and what is said of keys that cannot be used.

use std::{fs, path::Path, process::Command};

use release::{Error, PublicKey, SigningKey, TrustedKeys, credentials::Secret};

fn openssl(folder: &Path, arguments: &str) -> bool {
    let mut command = Command::new("openssl");
    command.args(arguments.split(' ')).current_dir(folder).env("IT", "correct horse");
    command.output().unwrap().status.success()
}

fn read(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap()
}

fn secret() -> Secret {
    Secret::new("correct horse")
}

#[test]
fn openssl_verifies_what_is_signed_here() {
    let folder = tempfile::tempdir().unwrap();
    let key = SigningKey::generate().unwrap();
    fs::write(folder.path().join("it"), "it").unwrap();
    fs::write(folder.path().join("it.sig"), key.sign(b"it").unwrap()).unwrap();
    fs::write(folder.path().join("key.pub"), key.public().to_pem()).unwrap();
    assert!(openssl(folder.path(), "dgst -sha256 -verify key.pub -signature it.sig it"));
    fs::write(folder.path().join("it"), "that").unwrap();
    assert!(!openssl(folder.path(), "dgst -sha256 -verify key.pub -signature it.sig it"));
}

#[test]
fn a_key_of_openssls_signs_with_a_passphrase_and_without() {
    let folder = tempfile::tempdir().unwrap();
    assert!(openssl(folder.path(), "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out plain"));
    assert!(openssl(folder.path(), "pkcs8 -topk8 -in plain -passout env:IT -out encrypted"));
    assert!(openssl(folder.path(), "pkey -in plain -pubout -out key.pub"));
    let public = PublicKey::from_pem(&read(folder.path(), "key.pub"), "it").unwrap();
    for (name, passphrase) in [("plain", None), ("encrypted", Some(secret()))] {
        let key = SigningKey::from_pem(&read(folder.path(), name), "it", passphrase.as_ref()).unwrap();
        assert_eq!(key.public(), &public);
        assert!(public.verifies(b"it", &key.sign(b"it").unwrap()));
    }
}

#[test]
fn openssl_opens_a_key_of_ours_with_its_passphrase() {
    let folder = tempfile::tempdir().unwrap();
    let key = SigningKey::generate().unwrap();
    let pem = key.to_pem(Some(&secret())).unwrap();
    fs::write(folder.path().join("key"), pem.reveal()).unwrap();
    assert!(openssl(folder.path(), "pkey -in key -passin env:IT -pubout -out key.pub"));
    assert_eq!(read(folder.path(), "key.pub"), key.public().to_pem());
    let again = SigningKey::from_pem(pem.reveal(), "it", Some(&secret())).unwrap();
    assert_eq!(again.public().id(), key.public().id());
    let said = |passphrase: Option<&Secret>| {
        SigningKey::from_pem(pem.reveal(), "it", passphrase).unwrap_err().to_string()
    };
    insta::assert_snapshot!(said(None), @"the signing key is encrypted; set SLIPWAY_SIGNING_PASSPHRASE, or give `--passphrase-stdin` and the passphrase on standard input");
    insta::assert_snapshot!(said(Some(&Secret::new("wrong"))), @"the passphrase does not open the signing key; correct SLIPWAY_SIGNING_PASSPHRASE");
}

#[test]
fn a_key_comes_from_a_file_or_from_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let key = SigningKey::generate().unwrap();
    let pem = key.to_pem(None).unwrap().reveal().to_owned();
    let find = |pem: Option<String>| {
        SigningKey::find(None, &|name| pem.clone().filter(|_| name == "SLIPWAY_SIGNING_KEY"), None)
    };
    assert_eq!(find(Some(pem.clone())).unwrap().public(), key.public());
    assert_eq!(find(Some(pem.replace('\n', "\\n"))).unwrap().public(), key.public());
    insta::assert_snapshot!(find(None).unwrap_err(), @"no signing key is given; name its file with `--signing-key FILE`, or set SLIPWAY_SIGNING_KEY to its PEM");
    let file = folder.path().join("key");
    fs::write(&file, &pem).unwrap();
    assert_eq!(SigningKey::find(Some(&file), &|_| None, None).unwrap().public(), key.public());
    let gone = SigningKey::find(Some(&folder.path().join("gone")), &|_| None, None).unwrap_err().to_string();
    insta::assert_snapshot!(gone.replace(&folder.path().display().to_string(), "DIR"), @"the signing key in `DIR/gone` cannot be read: No such file or directory (os error 2); name a file that you may read with `--signing-key FILE`");
    assert!(!format!("{key:?}").contains(&pem.lines().nth(1).unwrap()[..20]));
}

#[test]
fn a_key_that_cannot_be_used_is_told_with_what_helps() {
    let folder = tempfile::tempdir().unwrap();
    assert!(openssl(folder.path(), "ecparam -name prime256v1 -genkey -noout -out sec1"));
    assert!(openssl(folder.path(), "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out p384"));
    assert!(openssl(folder.path(), "pkey -in p384 -pubout -out p384.pub"));
    let private = |text: &str| SigningKey::from_pem(text, "it", None).unwrap_err().to_string();
    insta::assert_snapshot!(private(&read(folder.path(), "sec1")), @"it holds no private key in PKCS#8; `openssl pkcs8 -topk8 -in FILE` converts what openssl made");
    insta::assert_snapshot!(private(&read(folder.path(), "p384")), @"it holds a key that is not ECDSA on P-256; `release keys new` makes one");
    insta::assert_snapshot!(private("nothing"), @"it holds no private key in PKCS#8; `release keys new` makes one");
    let public = |text: &str| PublicKey::from_pem(text, "it").unwrap_err().to_string();
    insta::assert_snapshot!(public(&read(folder.path(), "p384.pub")), @"it holds a key that is not ECDSA on P-256; `release keys new` makes one");
    insta::assert_snapshot!(public("nothing"), @"it holds no public key: `-----BEGIN PUBLIC KEY-----` begins one; `release keys public` writes it");
}

#[test]
fn one_file_may_hold_several_trusted_keys() -> Result<(), Error> {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (SigningKey::generate()?, SigningKey::generate()?);
    let file = folder.path().join("trusted.pem");
    fs::write(&file, format!("# until spring\n{}\n{}", old.public().to_pem(), new.public().to_pem()))
        .unwrap();
    let trusted = TrustedKeys::from_files(&[&file])?;
    for key in [&old, &new] {
        assert_eq!(trusted.signer(b"it", &key.sign(b"it")?), Some(key.public()));
    }
    assert_eq!(trusted.signer(b"it", &SigningKey::generate()?.sign(b"it")?), None);
    Ok(())
}
