//! The Containerfile as builds and checks know it: its stages, what each says on which line, and what it is made of.

use std::{collections::BTreeMap, fs, path::Path};

/// Where it lies, relative to the workspace's root.
pub(super) const FILE: &str = "Containerfile";
/// The base that is nothing.
pub(super) const SCRATCH: &str = "scratch";

/// The whole file.
#[derive(Debug, Clone, Default)]
pub(super) struct Containerfile {
    /// The defaults of the arguments before the first stage, each with its line.
    pub(super) arguments: BTreeMap<String, (String, u32)>,
    pub(super) stages: Vec<Stage>,
}

/// One `FROM … AS name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stage {
    /// Its name, or its number where it has none.
    pub(super) name: String,
    pub(super) line: u32,
    /// What it begins with, as it is written.
    pub(super) parent: String,
    pub(super) instructions: Vec<Instruction>,
}

/// One instruction, its lines joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Instruction {
    /// In capitals.
    pub(super) name: String,
    pub(super) rest: String,
    /// The line that it begins on.
    pub(super) line: u32,
}

impl Containerfile {
    /// The workspace's; an empty one where it has none.
    pub(super) fn read(root: &Path) -> Self {
        Self::parse(&fs::read_to_string(root.join(FILE)).unwrap_or_default())
    }

    pub(super) fn parse(text: &str) -> Self {
        let mut file = Self::default();
        for instruction in instructions(text) {
            match (instruction.name.as_str(), file.stages.last_mut()) {
                ("FROM", _) => {
                    let name = file.stages.len().to_string();
                    file.stages.extend(stage(&instruction, name));
                }
                ("ARG", None) => {
                    let (name, value) = instruction.rest.split_once('=').unwrap_or((&instruction.rest, ""));
                    file.arguments.insert(name.into(), (unquoted(value), instruction.line));
                }
                (_, Some(stage)) => stage.instructions.push(instruction),
                (_, None) => {}
            }
        }
        file
    }

    pub(super) fn stage(&self, name: &str) -> Option<&Stage> {
        self.stages.iter().find(|it| it.name.eq_ignore_ascii_case(name))
    }

    /// A stage and those that it begins with, the first one first.
    pub(super) fn chain<'a>(&'a self, stage: &'a Stage) -> Vec<&'a Stage> {
        let mut chain = vec![stage];
        while let Some(parent) = self.stage(&chain[0].parent).filter(|it| !chain.contains(it)) {
            chain.insert(0, parent);
        }
        chain
    }

    /// A stage and all that it is made of, also what it only copies from.
    pub(super) fn needed<'a>(&'a self, stage: &'a Stage) -> Vec<&'a Stage> {
        let mut found: Vec<&Stage> = Vec::new();
        let mut waiting = vec![stage];
        while let Some(stage) = waiting.pop() {
            if found.iter().any(|it| it.name == stage.name) {
                continue;
            }
            let sources = stage.instructions.iter().filter_map(Instruction::source);
            waiting.extend(sources.chain([stage.parent.as_str()]).filter_map(|it| self.stage(it)));
            found.push(stage);
        }
        found
    }

    /// The stages that no other one begins with, besides the images: keeping these in the store keeps what all were made
    /// of, so the next build finds it.
    pub(super) fn worth_keeping(&self, images: &[&str]) -> Vec<&str> {
        let names = self.stages.iter().map(|it| it.name.as_str());
        let begun_with = |name: &str| self.stages.iter().any(|it| it.parent == name);
        names.filter(|name| !images.contains(name) && !begun_with(name)).collect()
    }

    /// The text that this was read from, with an instruction more at the beginning of each stage.
    pub(super) fn with_first(&self, text: &str, instruction: &str) -> String {
        let mut written = String::new();
        let mut begins = false;
        for (number, line) in (1_u32..).zip(text.lines()) {
            written += &format!("{line}\n");
            begins |= self.stages.iter().any(|it| it.line == number);
            if begins && !line.trim_end().ends_with('\\') {
                written += &format!("{instruction}\n");
                begins = false;
            }
        }
        written
    }

    /// What a reference to an image says once the arguments' defaults are in it.
    pub(super) fn resolved(&self, reference: &str) -> String {
        let mut text = reference.to_owned();
        for (name, (value, _)) in &self.arguments {
            text = text.replace(&format!("${{{name}}}"), value);
            if text == format!("${name}") {
                text.clone_from(value);
            }
        }
        text
    }
}

impl Stage {
    /// The last line that says something of this stage.
    pub(super) fn last_line(&self) -> u32 {
        self.instructions.last().map_or(self.line, |it| it.line)
    }
}

impl Instruction {
    /// The stage or image that it copies or mounts from.
    pub(super) fn source(&self) -> Option<&str> {
        let words = self.rest.split_whitespace().take_while(|it| it.starts_with("--"));
        words.filter_map(|it| it.strip_prefix("--")).find_map(|flag| match flag.strip_prefix("from=") {
            Some(source) => Some(source),
            None => flag.strip_prefix("mount=")?.split(',').find_map(|it| it.strip_prefix("from=")),
        })
    }

    /// Its words where they are written as a list, which no shell reads.
    pub(super) fn list(&self) -> Option<Vec<String>> {
        serde_json::from_str(self.rest.trim()).ok()
    }

    /// Whether it adds a layer with files.
    pub(super) fn adds_layer(&self) -> bool {
        matches!(self.name.as_str(), "RUN" | "COPY" | "ADD")
    }
}

/// Joins continued lines and leaves out comments.
fn instructions(text: &str) -> Vec<Instruction> {
    let mut found = Vec::new();
    let mut open: Option<(u32, String)> = None;
    for (line, text) in (1_u32..).zip(text.lines()) {
        let text = text.trim();
        if text.starts_with('#') || (text.is_empty() && open.is_none()) {
            continue;
        }
        let (begins, mut joined) = open.take().unwrap_or((line, String::new()));
        let (text, goes_on) = text.strip_suffix('\\').map_or((text, false), |it| (it.trim_end(), true));
        if !joined.is_empty() {
            joined.push(' ');
        }
        joined.push_str(text);
        if goes_on {
            open = Some((begins, joined));
        } else {
            found.extend(instruction(begins, &joined));
        }
    }
    found.extend(open.and_then(|(line, text)| instruction(line, &text)));
    found
}

fn instruction(line: u32, text: &str) -> Option<Instruction> {
    let (name, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (!name.is_empty()).then(|| Instruction { name: name.to_uppercase(), rest: rest.trim().into(), line })
}

fn stage(from: &Instruction, number: String) -> Option<Stage> {
    let mut words = from.rest.split_whitespace().filter(|it| !it.starts_with("--"));
    let parent = words.next()?.to_owned();
    let named = words.next().filter(|it| it.eq_ignore_ascii_case("AS")).and_then(|_| words.next());
    let name = named.map_or(number, str::to_owned);
    Some(Stage { name, line: from.line, parent, instructions: Vec::new() })
}

fn unquoted(text: &str) -> String {
    text.trim().trim_matches(['"', '\'']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "ARG B=x:1\nFROM ${B} AS skeleton\nRUN x; \\\n  # why\n  y\nfrom --platform=linux/amd64 ${B} as deps\n\
                        COPY --from=skeleton /a /b\nFROM deps AS system\nFROM scratch AS runtime\n\
                        FROM runtime AS a-runtime\nCOPY --chown=1 --from=system / /\nENTRYPOINT [\"/a\", \"b\"]\n";

    #[test]
    fn the_last_stages_besides_the_images_are_worth_keeping() {
        let file = Containerfile::parse(TEXT);
        assert_eq!(file.worth_keeping(&["a-runtime"]), ["skeleton", "system"]);
        assert_eq!(file.resolved(&file.stages[0].parent), "x:1");
    }

    #[test]
    fn a_stage_can_begin_with_an_instruction_more() {
        let text = "ARG B=x\nFROM \\\n  ${B} AS one\nRUN a\nfrom scratch\n";
        let written = Containerfile::parse(text).with_first(text, "LABEL x");
        assert_eq!(written, "ARG B=x\nFROM \\\n  ${B} AS one\nLABEL x\nRUN a\nfrom scratch\nLABEL x\n");
    }

    #[test]
    fn an_instruction_of_many_lines_is_known_by_its_first() {
        let file = Containerfile::parse(TEXT);
        let run = &file.stages[0].instructions[0];
        assert_eq!((run.line, run.rest.as_str()), (3, "x; y"));
        let target = file.stage("a-runtime").unwrap();
        assert_eq!((target.line, target.last_line()), (10, 12));
        assert_eq!(target.instructions[1].list().unwrap(), ["/a", "b"]);
    }

    #[test]
    fn a_stage_is_made_of_what_it_begins_with_and_what_it_copies_from() {
        let file = Containerfile::parse(TEXT);
        let target = file.stage("a-runtime").unwrap();
        let names = |stages: Vec<&Stage>| stages.iter().map(|it| it.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(file.chain(target)), ["runtime", "a-runtime"]);
        let mut needed = names(file.needed(target));
        needed.sort();
        assert_eq!(needed, ["a-runtime", "deps", "runtime", "skeleton", "system"]);
    }
}
