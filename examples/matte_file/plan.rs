//! What is made of which input, found out before anything is begun.

use std::ffi::OsString;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::arguments::{Arguments, Kind};
use crate::error::Error;
use crate::format::{Container, Target};
use crate::settings;

/// One input and what is made of it.
#[derive(Clone, Debug)]
pub struct Job {
    pub input: PathBuf,
    /// What OUT asks for, and then what --matte does.
    pub outputs: Vec<Output>,
}

impl Job {
    /// The same with pictures of such numbers.
    #[must_use]
    pub fn with_numbers(&self, numbers: &Range<u64>) -> Self {
        let mut job = self.clone();
        for output in &mut job.outputs {
            if let Target::Sequence(container, pattern) = &output.target {
                output.target = Target::Sequence(*container, pattern.with_numbers(numbers.clone()));
            }
        }
        job
    }
}

/// Something to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    pub target: Target,
    pub kind: Kind,
}

/// All jobs of a command line.
///
/// # Errors
/// Where outputs would get in each other's or an input's way, or cannot hold what they should.
pub fn jobs(arguments: &Arguments) -> Result<Vec<Job>, Error> {
    let jobs = arguments.inputs.iter().map(|input| job(arguments, input));
    let jobs = jobs.collect::<Result<Vec<_>, _>>()?;
    let outputs = || jobs.iter().flat_map(|job| &job.outputs);
    for (at, output) in outputs().enumerate() {
        let path = output.target.path();
        if outputs().take(at).any(|other| is_same(&other.target.path(), &path)) {
            let several = arguments.inputs.len() > 1;
            return Err(match several && !has_place([&arguments.out].into_iter()) {
                true => Error::OneOutput { path: arguments.out.clone() },
                false => Error::SameOutput { path },
            });
        }
        if arguments.inputs.iter().any(|input| writes(&output.target, input)) {
            return Err(Error::OverInput { path });
        }
    }
    Ok(jobs)
}

fn job(arguments: &Arguments, input: &Path) -> Result<Job, Error> {
    let target = Target::parse(&named_after(&arguments.out, input), &arguments.stills)?;
    let kind = settings::kind(arguments, &target)?;
    if arguments.stills.premultiplied
        && (target.container() != Container::Exr || kind != Kind::Cutout)
    {
        let other = format!("{}; only cut-outs in EXR are", arguments.out.display());
        return Err(Error::NoEffect { given: "--premultiplied", other });
    }
    let mut outputs = vec![Output { target, kind }];
    if let Some(matte) = &arguments.matte {
        if kind == Kind::Alpha {
            return Err(Error::NoEffect { given: "--matte", other: "--output alpha".into() });
        }
        let target = Target::parse(&named_after(matte, input), &arguments.stills)?;
        outputs.push(Output { target, kind: Kind::Alpha });
    }
    Ok(Job { input: input.to_owned(), outputs })
}

fn has_place<'a>(mut paths: impl Iterator<Item = &'a PathBuf>) -> bool {
    paths.all(|path| path.to_string_lossy().contains("{}"))
}

/// A path with the input's name, without its ending, for each `{}`.
fn named_after(path: &Path, input: &Path) -> PathBuf {
    let Some(text) = path.to_str() else { return path.to_owned() };
    let mut named = OsString::new();
    for (at, part) in text.split("{}").enumerate() {
        if at > 0 {
            named.push(input.file_stem().unwrap_or_default());
        }
        named.push(part);
    }
    named.into()
}

fn is_same(one: &Path, other: &Path) -> bool {
    match (std::path::absolute(one), std::path::absolute(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}

/// Whether a target would be written over a file.
fn writes(target: &Target, file: &Path) -> bool {
    match target {
        Target::Video(_, path) | Target::Picture(_, path) => settings::same_file(path, file),
        Target::Sequence(_, pattern) => {
            let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
            let name = file.file_name().and_then(|name| name.to_str());
            settings::same_file(&pattern.folder, folder.unwrap_or(Path::new(".")))
                && name.is_some_and(|name| pattern.frame(name).is_some())
        }
    }
}
