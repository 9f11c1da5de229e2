//! What `deploy/` and the documentation say about the programs, held against the programs' own `--help`: a flag, subcommand or
//! environment variable that is renamed in the code and forgotten there fails here.
//!
//! The words are found without parsing shell, YAML or Markdown in full: a command is a line that begins with a program's name (after
//! `exec`, `ExecStart=`, a prompt or variables), its words end at a comment, a pipe or a redirection; a Compose service is a block of
//! indented lines that names its container file, which names its program. Programs are asked without an environment, so that nothing
//! set on this machine shows in their help.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The programs of the workspace. All but the first are built by `--workspace` builds alone.
const PROGRAMS: [&str; 4] = ["curvefleet", "curvefleet-coordinator", "curvefleet-worker", "curvefleet-analysis"];
/// How the documentation calls the first program from a checkout.
const FROM_CHECKOUT: &str = "cargo run --release -- ";
/// Variables that no `--help` can name: the log filter, read before the command line is; what a build is told; what tests look for.
const OTHER_VARIABLES: [&str; 8] = [
    "CURVEFLEET_CHAOS_SEED",
    "CURVEFLEET_TOKEN",
    "CURVEFLEET_LOG",
    "CURVEFLEET_GIT_COMMIT",
    "CURVEFLEET_SIMULATION_SEEDS",
    "CURVEFLEET_TEST_DATA",
    "CURVEFLEET_TEST_GARAGE",
    "CURVEFLEET_TEST_POSTGRES",
];

/// A flag that no program has, in a deployed file, would stop a fleet from starting long after the change that broke it. Each file
/// under `deploy/` is read; its programs must be ours, and its flags and variables ones that the program's `--help` names.
#[test]
fn deployed_files_use_only_what_the_programs_have() {
    let mut found = Findings::default();
    let files = files_below(&root().join("deploy"));
    assert!(
        files.len() >= 8,
        "deploy/ holds container files, Compose, Slurm and systemd, but only {files:?} were found"
    );
    for file in &files {
        let text = read(file);
        let uses = deployed(file, &text);
        assert!(!uses.is_empty(), "{}: no use of a curvefleet program was found in it", file.display());
        let flags: usize = uses.iter().map(|used| used.flags().count()).sum();
        let mentioned = flags_outside_comments(&text);
        assert!(
            flags >= mentioned,
            "{}: {mentioned} flags stand in it, but only {flags} were matched to a program",
            file.display()
        );
        uses.iter().for_each(|used| found.check(file, used));
    }
    found.assert_none();
}

/// A reader copies commands from the documentation. Every command in a fenced block or between backticks of README.md,
/// CONTRIBUTING.md, docs/ and the comments of deploy/ and studies/ must name subcommands and flags that exist, and study files that
/// are there.
#[test]
fn documented_commands_exist() {
    let mut found = Findings::default();
    let mut commands = 0;
    for file in documents() {
        let text = read(&file);
        for used in documented(&file, &text) {
            commands += 1;
            found.check(&file, &used);
        }
        for variable in variables(&text) {
            let known =
                PROGRAMS.iter().filter_map(|program| help(program)).any(|help| help.variables.contains(&variable));
            if !known && !OTHER_VARIABLES.contains(&variable.as_str()) {
                found.problems.push(format!("{}: no program has the variable {variable}", file.display()));
            }
        }
    }
    assert!(commands > 30, "only {commands} commands were found in the documentation: is the search broken?");
    found.assert_none();
}

/// The examples of the study file's page are what people start from. Those that begin with `name =` must be whole studies; the
/// others, parts that make one together with the least that is missing.
#[test]
fn documented_studies_are_accepted() {
    let page = root().join("docs/study-file.md");
    let text = read(&page);
    let examples = fenced(&text, "toml");
    assert!(examples.len() >= 5, "only {} examples were found in {}", examples.len(), page.display());
    for example in examples {
        let name = "name = \"example\"\n";
        let data = "[[data]]\nname = \"joints\"\nformat = \"generated\"\n";
        let study = match example.as_str() {
            whole if whole.starts_with("name =") => whole.to_string(),
            part if part.starts_with("[[data]]") => format!("{name}{part}"),
            part if part.starts_with('[') => format!("{name}{data}{part}"),
            keys => format!("{name}{keys}\n{data}"),
        };
        let checked = curvefleet_proto::study::file::parse(&study).and_then(|parsed| parsed.check());
        assert!(checked.is_ok(), "an example of {} is refused: {:?}\n{study}", page.display(), checked.err());
    }
}

/// The README promises two commands; the gate must run those, not others that happen to pass.
#[test]
fn the_gate_runs_the_readmes_two_commands() {
    let (readme, gate) = (read(&root().join("README.md")), read(&root().join(".ci/run")));
    for command in ["cargo run --release -- run studies/quickstart.toml", "cargo test --release --workspace"] {
        assert!(readme.contains(command), "README.md lacks `{command}`");
        assert!(gate.contains(command), ".ci/run lacks `{command}`");
    }
}

/// A program, as a file or a page uses it.
#[derive(Debug)]
struct Use {
    program: String,
    words: Vec<String>,
    variables: Vec<String>,
}

impl Use {
    fn flags(&self) -> impl Iterator<Item = &str> {
        self.words
            .iter()
            .filter(|word| word.starts_with("--") && word.len() > 2)
            .map(|word| word.split('=').next().unwrap_or(word))
    }

    /// The words before the first flag that name a subcommand, such as `data import`.
    fn subcommands(&self) -> Vec<&str> {
        let mut path = Vec::new();
        let mut help = help(&self.program);
        for word in self.words.iter().take_while(|word| !word.starts_with('-')) {
            match &help {
                Some(known) if !known.subcommands.is_empty() => path.push(word.as_str()),
                _ => break,
            }
            help = help_of(&self.program, &path);
        }
        path
    }
}

/// What is wrong, and what could not be looked at.
#[derive(Debug, Default)]
struct Findings {
    problems: Vec<String>,
    absent: BTreeSet<String>,
}

impl Findings {
    fn check(&mut self, file: &Path, used: &Use) {
        let Some(help) = help(&used.program) else {
            self.absent.insert(used.program.clone());
            return;
        };
        let (program, place) = (&used.program, file.display());
        let path = used.subcommands();
        let Some(help) = (if path.is_empty() { Some(help) } else { help_of(program, &path) }) else {
            return self.problems.push(format!("{place}: `{program}` has no subcommand `{}`", path.join(" ")));
        };
        for flag in used.flags().filter(|flag| !help.flags.contains(*flag)) {
            self.problems.push(format!("{place}: `{program} {}` has no flag {flag}", path.join(" ")));
        }
        for variable in &used.variables {
            if !help.variables_anywhere(program).contains(variable) && !OTHER_VARIABLES.contains(&variable.as_str()) {
                self.problems.push(format!("{place}: `{program}` does not read {variable}"));
            }
        }
        for study in used.words.iter().filter_map(|word| word.trim_start_matches('/').strip_prefix("studies/")) {
            if study.ends_with(".toml") && !root().join("studies").join(study).is_file() {
                self.problems.push(format!("{place}: there is no studies/{study}"));
            }
        }
    }

    fn assert_none(self) {
        for program in &self.absent {
            eprintln!("skipped: {program} is not built (`cargo test --release --workspace` builds it)");
        }
        assert!(self.problems.is_empty(), "{}", self.problems.join("\n"));
    }
}

/// What a `--help` names.
#[derive(Debug, Clone, Default)]
struct Help {
    subcommands: BTreeSet<String>,
    flags: BTreeSet<String>,
    variables: BTreeSet<String>,
}

impl Help {
    /// The variables of the program, those of its subcommands included.
    fn variables_anywhere(&self, program: &str) -> BTreeSet<String> {
        let mut all = self.variables.clone();
        for subcommand in help(program).unwrap_or_default().subcommands {
            all.extend(help_of(program, &[&subcommand]).unwrap_or_default().variables);
        }
        all
    }
}

/// The help of a program with the variables of all its subcommands; `None` where it is not built.
fn help(program: &str) -> Option<Help> {
    let mut top = help_of(program, &[])?;
    for subcommand in top.subcommands.clone() {
        let below = help_of(program, &[&subcommand])?;
        top.variables.extend(below.variables);
        for nested in below.subcommands {
            top.variables.extend(help_of(program, &[&subcommand, &nested])?.variables);
        }
    }
    Some(top)
}

/// The help of a program's subcommand; `None` where there is none of that name. Each is asked once.
fn help_of(program: &str, path: &[&str]) -> Option<Help> {
    static KNOWN: std::sync::Mutex<BTreeMap<String, Option<Help>>> = std::sync::Mutex::new(BTreeMap::new());
    let key = format!("{program} {}", path.join(" "));
    let mut known = KNOWN.lock().ok()?;
    known.entry(key).or_insert_with(|| ask(program, path)).clone()
}

fn ask(program: &str, path: &[&str]) -> Option<Help> {
    let file = Path::new(env!("CARGO_BIN_EXE_curvefleet")).with_file_name(program);
    if !file.is_file() {
        return None;
    }
    let output = Command::new(file).args(path).arg("--help").env_clear().output().ok()?;
    if !output.status.success() {
        return None;
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut help = Help::default();
    let mut in_commands = false;
    for line in text.lines() {
        match line {
            "Commands:" => in_commands = true,
            "" => in_commands = false,
            // `help` is clap's own and has no help.
            _ if in_commands => {
                help.subcommands
                    .extend(line.split_whitespace().next().filter(|word| *word != "help").map(str::to_string));
            }
            _ if line.trim_start().starts_with('-') => {
                help.flags
                    .extend(line.split([' ', ',', '[']).filter(|word| word.starts_with("--")).map(str::to_string));
            }
            _ => {}
        }
    }
    // Help is wrapped, so that a name may stand on the line after its bracket.
    let unwrapped = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for after in unwrapped.split("[env: ").skip(1) {
        help.variables.extend(after.split(['=', ']']).next().map(str::to_string));
    }
    Some(help)
}

/// The programs that a file under `deploy/` starts, and what it gives them.
fn deployed(file: &Path, text: &str) -> Vec<Use> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let bare = without_comments(text);
    let mut uses = match name.as_ref() {
        "compose.yaml" => services(file, &bare),
        container if container.starts_with("Containerfile.") => entry_point(file, &bare).into_iter().collect(),
        _ => command_lines(&bare),
    };
    // What stands beside the one command of a unit, a script or an image is for that command.
    if let [only] = uses.as_mut_slice() {
        only.variables = variables(&bare).into_iter().collect();
    }
    uses
}

/// The program that a container file ends in; the package that it builds must be the same.
fn entry_point(file: &Path, text: &str) -> Option<Use> {
    let line = text.lines().find(|line| line.starts_with("ENTRYPOINT"))?;
    let mut words = quoted(line).into_iter();
    let program = words.next()?.rsplit('/').next()?.to_string();
    assert!(PROGRAMS.contains(&program.as_str()), "{}: `{program}` is no program of the workspace", file.display());
    assert!(
        text.lines().any(|line| line.ends_with(&format!("--package {program}"))),
        "{}: does not build {program}",
        file.display()
    );
    Some(Use { program, words: words.collect(), variables: Vec::new() })
}

/// The services of a Compose file: blocks of lines that are indented by more than their name.
fn services(file: &Path, text: &str) -> Vec<Use> {
    let mut blocks: Vec<Vec<&str>> = Vec::new();
    for line in text.lines().skip_while(|line| *line != "services:").skip(1) {
        let indent = line.len() - line.trim_start().len();
        match (indent, blocks.last_mut()) {
            (0, _) if !line.is_empty() => break,
            (2, _) => blocks.push(Vec::new()),
            (_, Some(block)) => block.push(line.trim()),
            (_, None) => {}
        }
    }
    blocks
        .iter()
        .filter_map(|block| {
            let container_file = block.iter().find_map(|line| line.strip_prefix("dockerfile: "))?;
            let image = entry_point(file, &read(&root().join(container_file)))?;
            let command =
                block.iter().find(|line| line.starts_with("command:")).map(|line| quoted(line)).unwrap_or_default();
            let keys = block.iter().filter_map(|line| line.split_once(':')).map(|(key, _)| key.to_string());
            let variables = keys.filter(|key| key.starts_with("CURVEFLEET_")).collect();
            Some(Use { program: image.program, words: command, variables })
        })
        .collect()
}

/// The commands of ours among the lines of a script or a unit.
fn command_lines(text: &str) -> Vec<Use> {
    let joined = text.replace("\\\n", " ");
    joined
        .lines()
        .filter_map(|line| command(line.trim().trim_start_matches("exec ").trim_start_matches("ExecStart=")))
        .collect()
}

/// A line that is a command of ours.
fn command(line: &str) -> Option<Use> {
    let line = line.trim().trim_start_matches("$ ");
    let line = line.strip_prefix(FROM_CHECKOUT).map_or_else(|| line.to_string(), |rest| format!("curvefleet {rest}"));
    let mut words = line.split_whitespace().skip_while(|word| is_assignment(word));
    // What is left with a `=` in it is a unit's setting, such as WorkingDirectory=/var/lib/curvefleet.
    let program = words.next().filter(|word| !word.contains('='))?.rsplit('/').next()?.to_string();
    if !PROGRAMS.contains(&program.as_str()) {
        return None;
    }
    let ends = |word: &&str| matches!(*word, "#" | "|" | ">" | "&" | "&&" | ";" | ">>") || word.starts_with('>');
    let words = words.take_while(|word| !ends(word)).map(|word| word.trim_matches(['"', '\'']).to_string()).collect();
    Some(Use { program, words, variables: Vec::new() })
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_' || c.is_ascii_digit())
    })
}

/// The commands of ours in a page's fenced blocks and between its backticks, or in a file's comments.
fn documented(file: &Path, text: &str) -> Vec<Use> {
    if file.extension().is_some_and(|extension| extension == "md") {
        let blocks = ["sh", "console"].iter().flat_map(|language| fenced(text, language));
        let in_blocks = blocks.flat_map(|block| command_lines(&block));
        let spans = outside_fences(text);
        let in_lines = spans.split('`').skip(1).step_by(2).filter_map(command);
        return in_blocks
            .chain(in_lines)
            .filter(|used| used.program != "curvefleet" || !used.words.is_empty())
            .collect();
    }
    // A comment is prose or, indented by three spaces, a command; through Compose it comes after the name of the service.
    let commands = text.lines().filter_map(|line| line.strip_prefix("#   "));
    commands.filter_map(|line| command(line.rsplit_once(" --rm ").map_or(line, |(_, rest)| rest))).collect()
}

/// The fenced blocks of one language.
fn fenced(text: &str, language: &str) -> Vec<String> {
    let opening = format!("```{language}");
    let mut lines = text.lines();
    let mut blocks = Vec::new();
    while lines.by_ref().any(|line| line == opening) {
        blocks.push(lines.by_ref().take_while(|line| *line != "```").collect::<Vec<_>>().join("\n"));
    }
    blocks
}

/// The text without its fenced blocks, so that the backticks that are left come in pairs.
fn outside_fences(text: &str) -> String {
    let mut inside = false;
    let mut kept = Vec::new();
    for line in text.lines() {
        if line.starts_with("```") {
            inside = !inside;
        } else if !inside {
            kept.push(line);
        }
    }
    kept.join("\n")
}

fn without_comments(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>().join("\n")
}

/// How many words of a file look like flags of ours: long, and not those of apt, cargo, useradd or COPY in a container file.
fn flags_outside_comments(text: &str) -> usize {
    let is_build = |line: &str| ["RUN", "COPY", "&&"].iter().any(|word| line.trim_start().starts_with(word));
    let bare = without_comments(text);
    let lines = bare.lines().filter(|line| !is_build(line));
    lines
        .flat_map(str::split_whitespace)
        .filter(|word| word.trim_matches(['"', '[', ']', ',']).starts_with("--"))
        .count()
}

/// The variables of ours that a text names.
fn variables(text: &str) -> BTreeSet<String> {
    let starts = text.match_indices("CURVEFLEET_").map(|(at, _)| &text[at..]);
    let names = starts.map(|rest| rest.chars().take_while(|c| c.is_ascii_uppercase() || *c == '_').collect::<String>());
    names.filter(|name| name != "CURVEFLEET_").collect()
}

/// The texts between double quotes on a line.
fn quoted(line: &str) -> Vec<String> {
    line.split('"').skip(1).step_by(2).map(str::to_string).collect()
}

/// The repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What a person reads that may hold commands.
fn documents() -> Vec<PathBuf> {
    let pages = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(|name| root().join(name));
    let folders = ["docs", "deploy", "studies"].map(|name| files_below(&root().join(name)));
    let is_text = |file: &PathBuf| file.extension().is_none_or(|extension| extension != "png");
    pages.into_iter().chain(folders.into_iter().flatten()).filter(is_text).collect()
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}
