//! A certificate authority of one registry's own, made when the registry starts.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// The authority's certificate, in the registry's folder.
pub(crate) const FILE: &str = "ca.pem";

/// Writes the authority's certificate, and the name's with its key; gives the files of the latter two.
pub(crate) fn vouch_for(name: &str, folder: &Path) -> io::Result<(PathBuf, PathBuf)> {
    let made = || -> Result<[String; 3], rcgen::Error> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "the test's own");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(vec![name.to_owned()])?.signed_by(&key, &issuer)?;
        Ok([issuer.pem(), certificate.pem(), key.serialize_pem()])
    };
    let [authority, certificate, key] = made().map_err(io::Error::other)?;
    let files = [FILE, "registry.pem", "registry.key"].map(|it| folder.join(it));
    for (file, text) in files.iter().zip([authority, certificate, key]) {
        fs::write(file, text)?;
    }
    let [_, certificate, key] = files;
    Ok((certificate, key))
}
