//! `bad-bytes`: byte order marks, CR line ends, NUL, and what is not UTF-8, in files that are not applied yet.

use crate::{codes, files::MigrationFile, finding::Finding, plan, project::Project};

pub(crate) fn check(project: &Project) -> Vec<Finding> {
    let mut findings = Vec::new();
    for slot in project.slots() {
        for file in slot.ups.iter().chain(&slot.downs) {
            let checksum_is_settled = slot.applied.is_some();
            findings.extend(
                broken(file).or_else(|| if checksum_is_settled { None } else { carriage_return(file) }),
            );
        }
    }
    findings
}

fn broken(file: &MigrationFile) -> Option<Finding> {
    let what = plan::broken(file)?;
    let (means, fix) = if file.bytes.starts_with(b"\xef\xbb\xbf") {
        (
            "the server answers with a syntax error at the mark (SQLSTATE 42601)",
            strip("1s/^\\xef\\xbb\\xbf//", file),
        )
    } else if file.sql().is_none() {
        ("sqlx refuses the whole directory; nothing can be deployed", "save the file as UTF-8".into())
    } else {
        ("the query is cut off there", "remove the byte".into())
    };
    Some(Finding::new(&codes::BAD_BYTES, format!("the file {what}")).at(&file.path, 1).means(means).fix(fix))
}

fn carriage_return(file: &MigrationFile) -> Option<Finding> {
    let at = file.bytes.iter().position(|byte| *byte == b'\r')?;
    let line = file.bytes[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
    let finding = Finding::new(&codes::BAD_BYTES, "the file has CR line ends")
        .only_warns()
        .at(&file.path, u32::try_from(line).unwrap_or(u32::MAX))
        .means("its checksum depends on how git checks it out: elsewhere the same commit `has been modified`")
        .fix(format!("{}, and `*.sql text eol=lf` in .gitattributes", strip("s/\\r$//", file)));
    Some(finding)
}

fn strip(expression: &str, file: &MigrationFile) -> String {
    format!("sed -i '{expression}' {}", file.path)
}
