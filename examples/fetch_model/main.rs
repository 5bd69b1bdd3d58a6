//! Downloads a known model to where davidmatte finds it:
//!
//! ```sh
//! cargo run --release --example fetch_model -- david-base
//! ```

mod check;
mod download;
mod error;
mod list;
#[path = "../common/own_file.rs"]
mod own_file;
mod size;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use clap::builder::PossibleValuesParser;
use indicatif::{ProgressBar, ProgressStyle};

use download::Part;
use error::Error;
use gstdavidmatte::matting::prelude::KnownModel;
use gstdavidmatte::matting::prelude::model_folders;
use gstdavidmatte::matting::prelude::user_data_folder;
use size::Lengths;

/// Downloads a known model to where davidmatte finds it.
///
/// What broke off is taken up by running the same command again. A model is checked before it gets
/// its name: its size (to a twentieth, as it is published rounded), its SHA-256 (where none is known,
/// that of the first download is recorded beside the file), and that it is a matting network. Proxies are
/// those of ALL_PROXY, HTTPS_PROXY and NO_PROXY.
#[derive(Parser)]
#[command(name = "fetch_model", version)]
struct Arguments {
    /// The model's name
    #[arg(
        value_parser = PossibleValuesParser::new(KnownModel::table().iter().map(|model| model.name.as_str())),
        required_unless_present = "list"
    )]
    name: Option<String>,

    /// List the models that there are, with size, licence, and whether that allows commercial use
    #[arg(long, exclusive = true)]
    list: bool,

    /// Fetch it from this address instead, such as a mirror's
    #[arg(long)]
    url: Option<String>,

    /// Put it here instead of the user's model folder
    #[arg(long)]
    folder: Option<PathBuf>,

    /// Take what has another size than is known for it, such as a converted network
    #[arg(long)]
    any_size: bool,

    /// Fetch it again though it is there
    #[arg(long)]
    force: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fetch_model: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Error> {
    if arguments.list {
        return list::print();
    }
    // clap has checked the name against the same table.
    let known = arguments.name.as_deref().and_then(KnownModel::by_name);
    let Some(model) = known else { return Ok(()) };
    let folder = match &arguments.folder {
        Some(folder) => folder.clone(),
        None => user_data_folder().ok_or(Error::NoFolder)?.join("models"),
    };
    let target = folder.join(&model.file);
    let url = arguments.url.as_deref().or(model.url.as_deref());
    let url = url.ok_or_else(|| Error::NoAddress { name: model.name.clone() })?;
    check::runtime()?;
    if target.exists() && !arguments.force {
        check_present(model, &target)?;
        say(&format!("{} is already there and as it was recorded", target.display()))?;
    } else {
        introduce(model, url, &target)?;
        let lengths = match arguments.any_size {
            true => Lengths::of_any(),
            false => Lengths::of(model),
        };
        fetch(model, url, &lengths, &target)?;
        say(&format!("Fetched {}", target.display()))?;
    }
    say(&format!("Use it with: {}", usage(model, &folder, &target)))
}

fn say(line: &str) -> Result<(), Error> {
    writeln!(std::io::stdout(), "{line}").map_err(Error::Print)
}

/// Name, licence, size and address, before anything is fetched.
fn introduce(model: &KnownModel, url: &str, target: &Path) -> Result<(), Error> {
    say(&format!("{}: {}", model.name, model.about))?;
    let restriction = if model.commercial { "" } else { ", which does not allow commercial use" };
    say(&format!("licence: {}{restriction}", model.licence))?;
    say(&format!("size:    {}", model.size.as_deref().unwrap_or("not known")))?;
    say(&format!("from:    {url}"))?;
    say(&format!("to:      {}", target.display()))
}

/// A pipeline with the model: by its name where that is enough to find it.
fn usage(model: &KnownModel, folder: &Path, target: &Path) -> String {
    let path = target.display().to_string();
    let setting = match model_folders().iter().any(|searched| searched == folder) {
        true => model.name.clone(),
        false => format!("\"{path}\""),
    };
    format!("gst-launch-1.0 v4l2src ! davidmatte model={setting} ! autovideosink")
}

/// Fails where a model that is there is not the one that was fetched.
fn check_present(model: &KnownModel, target: &Path) -> Result<(), Error> {
    check_sum(model, target, target)?;
    Ok(check::load(target, model)?)
}

/// Downloads a model, checks it, and only then gives it its name.
fn fetch(model: &KnownModel, url: &str, lengths: &Lengths, target: &Path) -> Result<(), Error> {
    let folder = target.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)
        .map_err(|reason| Error::Write { path: folder.to_owned(), reason })?;
    let mut part = Part::open(target)?;
    let agent = download::agent(url);
    let downloaded = download::fetch(&agent, url, &mut part, lengths, &progress_bar());
    if let Err(error) = downloaded {
        // Only what can be gone on from is left behind.
        if !matches!(error, Error::BrokenOff { .. }) {
            part.discard();
        }
        return Err(error);
    }
    match check_fetched(model, url, part.path(), target) {
        Ok(sum) => {
            part.become_file(target)?;
            check::record(target, &sum)
        }
        Err(error) => {
            part.discard();
            Err(error)
        }
    }
}

/// The SHA-256 of what was fetched, once all else is found right.
fn check_fetched(
    model: &KnownModel,
    url: &str,
    part: &Path,
    target: &Path,
) -> Result<String, Error> {
    let sum = check_sum(model, part, target)?;
    check::load(part, model).map_err(|reason| Error::NotAModel { url: url.to_owned(), reason })?;
    Ok(sum)
}

/// The SHA-256 of `file`, if it is the one in the table or, without one there, the one recorded
/// for `target`.
fn check_sum(model: &KnownModel, file: &Path, target: &Path) -> Result<String, Error> {
    let found = check::sha256(file)?;
    let record = download::beside(target, "sha256");
    let (expected, origin, remedy) = match &model.sha256 {
        Some(known) => (
            Some(known.to_lowercase()),
            "is known for it".to_owned(),
            "fetch it again with --force".to_owned(),
        ),
        None => (
            check::recorded(target)?,
            format!("was recorded in {}", record.display()),
            format!("remove {} if the model has changed for good", record.display()),
        ),
    };
    match expected {
        Some(expected) if expected != found => {
            Err(Error::Checksum { what: model.name.clone(), found, expected, origin, remedy })
        }
        _ => Ok(found),
    }
}

fn progress_bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    let style =
        "{wide_bar} {decimal_bytes} of {decimal_total_bytes}, {decimal_bytes_per_sec}, {eta} left";
    // The template is as it should be, or the bar keeps its usual looks.
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    bar
}
