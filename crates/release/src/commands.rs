//! What each command does: read what it names, ask the library, write the result.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use release::{
    Digest, Error, Logins, Policy, Record, Reference, Registry, Repository, SigningKey, TrustedKeys,
    attach::{self, Document},
    credentials::Secret,
    keys::{KeyError, PASSPHRASE_VARIABLE},
    publish::{Order, Publishing, Refusal, Slipway},
    record, registry,
    sbom::{Contents, Lock},
    sign::{self, Signed},
    verify::{self, Sbom},
};
use serde::Serialize;
use serde_json::json;

use crate::cli::{Access, Attach, Command, Keys, Part, RecordCommand, Signing, Trust};

/// Bytes of a passphrase on standard input; more is none.
const PASSPHRASE_MAX: u64 = 4096;

pub(crate) async fn run(command: Command) -> Result<(), Error> {
    match command {
        Command::Keys(Keys::New { file, passphrase_stdin }) => {
            new_key(&file, passphrase_stdin.then(passphrase_on_stdin).transpose()?)
        }
        Command::Keys(Keys::Public { key }) => write(key.read()?.public().to_pem().as_bytes()),
        Command::Resolve { image, access } => {
            let Some(at) = image.at() else {
                return Err(Error::Usage(format!("`{image}` needs a tag or a digest: write `{image}:TAG`")));
            };
            let client = client(image.repository.registry(), &access)?;
            show(&client.resolve(&image.repository, &at).await?)
        }
        Command::Sbom { image, lock } => {
            let lock = lock.as_deref().map(Lock::read).transpose()?;
            let contents = Contents::read(&image)?;
            write(contents.bom().to_json().as_bytes())?;
            Ok(contents.complete(lock.as_ref())?)
        }
        Command::Sign { image, key, access } => {
            if key.passphrase_stdin && access.password_stdin {
                let told = "standard input holds one secret: give the other one by its variable";
                return Err(Error::Usage(told.to_owned()));
            }
            let (repository, digest) = pinned(&image)?;
            let (client, key) = (client(repository.registry(), &access)?, key.read()?);
            let signed = sign::sign(&client, repository, digest, &key).await?;
            let signed = if signed == Signed::Added { "added" } else { "already" };
            show(&json!({ "image": image.to_string(), "key": key.public().id(), "signed": signed }))
        }
        Command::Attach(Attach::Sbom { image, file, access }) => {
            attach(&image, &Document::sbom(read(&file)?), &access).await
        }
        Command::Attach(Attach::Record { image, file, access }) => {
            let record = read(&file)?;
            Record::from_bytes(&record)?;
            attach(&image, &Document::record(record, read(&beside(&file))?), &access).await
        }
        Command::Record(command) => record_command(command).await,
        Command::Publish { part, order, key, access } => publish(part, &order, &key, &access).await,
        Command::Verify { image: Some(image), identity, without_sbom, trust, access, .. } => {
            let (repository, digest) = pinned(&image)?;
            let sbom = if without_sbom { Sbom::Optional } else { Sbom::Required };
            let policy = Policy { keys: trust.read()?, identity, sbom, ..Policy::default() };
            show(
                &verify::verify(&client(repository.registry(), &access)?, repository, digest, &policy)
                    .await?,
            )
        }
        Command::Verify { image: None, record, trust, access, .. } => {
            let keys = trust.read()?;
            let record = verified_record(&record.unwrap_or_default(), &keys)?;
            let registry = record.services.values().next().map_or("", |it| it.repository.registry());
            show(&verify::images(&client(registry, &access)?, &record, &keys).await?)
        }
    }
}

/// Does one part of publishing; a refusal is told on stdout, too, with its code and its fix.
async fn publish(part: Part, order: &Path, key: &Signing, access: &Access) -> Result<(), Error> {
    let published = async {
        let order = Order::read(order)?;
        let key = key.read()?;
        let trusted = order.trusted(&key)?;
        let (logins, registry) = client_of(&order.registry, access)?;
        let publishing = Publishing {
            registry: &registry,
            logins: &logins,
            order: &order,
            key: &key,
            trusted: &trusted,
            say: &crate::say,
        };
        match part {
            Part::Look => show(&publishing.look().await?)?,
            Part::Push => show(&publishing.push().await?)?,
            Part::Verify => show(&publishing.verify().await?)?,
            Part::Publish => show(&publishing.tag().await?)?,
            Part::Announce => show(&publishing.announce(&Slipway::find(&variable)?).await?)?,
        }
        Ok(())
    };
    let refused: Result<(), Refusal> = published.await;
    let Err(refusal) = refused else { return Ok(()) };
    show(&json!({ "refusals": [&refusal] }))?;
    Err(Error::Refused(refusal))
}

async fn record_command(command: RecordCommand) -> Result<(), Error> {
    match command {
        RecordCommand::Sign { file, key } => {
            let bytes = read(&file)?;
            Record::from_bytes(&bytes)?;
            let signatures = beside(&file);
            let present = fs::read_to_string(&signatures).unwrap_or_default();
            let key = key.read()?;
            let signed = record::sign(&bytes, &present, &key)?;
            put(&signatures, signed.as_bytes())?;
            show(&json!({ "record": Digest::of(&bytes), "key": key.public().id(), "signature": signatures }))
        }
        RecordCommand::Verify { file, trust } => {
            let keys = trust.read()?;
            show(&verified_record(&file, &keys)?)
        }
        RecordCommand::Fetch { image, trust, access } => {
            let (repository, digest) = pinned(&image)?;
            let client = client(repository.registry(), &access)?;
            match verify::record_of(&client, repository, digest, &trust.read()?).await? {
                Some(record) => write(&record.to_bytes()),
                None => Err(Error::Usage(format!("no release record is attached to `{image}`"))),
            }
        }
    }
}

async fn attach(image: &Reference, document: &Document, access: &Access) -> Result<(), Error> {
    let (repository, digest) = pinned(image)?;
    let client = client(repository.registry(), access)?;
    let attached = attach::attach(&client, repository, digest, document).await?;
    show(&json!({ "image": image.to_string(), "attached": attached }))
}

/// A record whose signature beside it is a trusted key's.
fn verified_record(file: &Path, keys: &TrustedKeys) -> Result<Record, Error> {
    let bytes = read(file)?;
    let signatures = String::from_utf8_lossy(&read(&beside(file))?).into_owned();
    record::verify(&bytes, &signatures, keys)?;
    Ok(Record::from_bytes(&bytes)?)
}

fn new_key(file: &Path, passphrase: Option<Secret>) -> Result<(), Error> {
    let key = SigningKey::generate()?;
    let passphrase =
        passphrase.or_else(|| variable(PASSPHRASE_VARIABLE).filter(|it| !it.is_empty()).map(Secret::new));
    let public = with_suffix(file, ".pub");
    for path in [file, &public] {
        if path.exists() {
            return Err(KeyError::Exists(path.display().to_string()).into());
        }
    }
    create(file, 0o600, key.to_pem(passphrase.as_ref())?.reveal().as_bytes())?;
    create(&public, 0o644, key.public().to_pem().as_bytes())?;
    if passphrase.is_none() {
        crate::say(&format!(
            "WARNING: the key in `{}` is NOT encrypted: whoever reads the file signs releases in your name.\n\
             Keep it in a store of secrets, or make one with a passphrase: `release keys new FILE --passphrase-stdin`",
            file.display()
        ));
    }
    let encrypted = passphrase.is_some();
    show(&json!({ "id": key.public().id(), "private": file, "public": public, "encrypted": encrypted }))
}

impl Signing {
    fn read(&self) -> Result<SigningKey, Error> {
        let passphrase = self.passphrase_stdin.then(passphrase_on_stdin).transpose()?;
        SigningKey::find(self.signing_key.as_deref(), &variable, passphrase)
    }
}

impl Trust {
    fn read(&self) -> Result<TrustedKeys, Error> {
        TrustedKeys::from_files(&self.keys)
    }
}

/// A client that asks `registry` with the credentials that the command and the environment name.
fn client(registry: &str, access: &Access) -> Result<Registry, Error> {
    Ok(client_of(registry, access)?.1)
}

/// The same, with the credentials that it asks with.
fn client_of(registry: &str, access: &Access) -> Result<(Logins, Registry), Error> {
    let logins = Logins::find(registry, &access.sources(), &variable, &mut io::stdin().lock())?;
    let insecure = access.insecure_registry.iter().cloned().collect();
    let options = registry::Options { logins: logins.clone(), insecure, ..registry::Options::default() };
    Ok((logins, Registry::new(options)?))
}

/// An image by digest: what a tag names may be another image a moment later.
fn pinned(image: &Reference) -> Result<(&Repository, &Digest), Error> {
    match &image.digest {
        Some(digest) => Ok((&image.repository, digest)),
        None => Err(Error::Usage(format!(
            "`{image}` has no digest, and a tag may name another image tomorrow; `release resolve {image}` tells it"
        ))),
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn passphrase_on_stdin() -> Result<Secret, Error> {
    let mut text = String::new();
    let read = io::stdin().lock().take(PASSPHRASE_MAX).read_to_string(&mut text);
    read.map_err(|error| Error::File { doing: "read", path: "/dev/stdin".into(), error })?;
    match text.trim_end_matches(['\n', '\r']) {
        "" => Err(Error::Usage("standard input holds no passphrase".to_owned())),
        passphrase => Ok(Secret::new(passphrase)),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|error| Error::File { doing: "read", path: path.to_owned(), error })
}

/// Where the signature of a file is.
fn beside(file: &Path) -> PathBuf {
    with_suffix(file, ".sig")
}

fn with_suffix(file: &Path, suffix: &str) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

/// Writes a file that is whole or not there.
fn put(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let failed = |error| Error::File { doing: "write", path: path.to_owned(), error };
    let unfinished = with_suffix(path, &format!(".{}", std::process::id()));
    fs::write(&unfinished, bytes).and_then(|()| fs::rename(&unfinished, path)).map_err(failed)
}

fn create(path: &Path, mode: u32, bytes: &[u8]) -> Result<(), Error> {
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let written = file.and_then(|mut it| it.write_all(bytes).and_then(|()| it.sync_all()));
    written.map_err(|error| Error::File { doing: "write", path: path.to_owned(), error })
}

/// Writes a result as JSON.
fn show(result: &impl Serialize) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(result).unwrap_or_default();
    write(format!("{text}\n").as_bytes())
}

fn write(bytes: &[u8]) -> Result<(), Error> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(bytes).and_then(|()| stdout.flush());
    written.map_err(|error| Error::File { doing: "write", path: "/dev/stdout".into(), error })
}
