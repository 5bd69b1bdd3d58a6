//! Takes the background away from people in videos and pictures:
//!
//! ```sh
//! cargo run --release --example matte_file -- in.mp4 out.mov
//! ```

mod alpha;
mod amend;
mod arguments;
mod attached;
mod depth;
mod error;
mod filters;
mod format;
mod gate;
mod kept;
mod mp4;
mod note;
#[path = "../common/own_file.rs"]
mod own_file;
mod part;
mod pictures;
mod pipeline;
mod plan;
mod progress;
mod prores;
mod reading;
mod selection;
mod settings;
mod stills;
mod stop;
mod survey;
mod timecode;
mod upright;
mod whole;
mod writing;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use amend::amend;
use arguments::Arguments;
use error::Error;
use format::{Container, Target};
use kept::Kept;
use note::Note;
use part::Part;
use pictures::Pictures;
use pipeline::{Ended, Run, Sink};
use plan::{Job, Output};
use progress::Progress;
use selection::Selection;
use settings::Settings;
use survey::Survey;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let jobs = match begin(&arguments) {
        Ok(jobs) => jobs,
        Err(error) => {
            complain(&error.to_string());
            return ExitCode::from(error.code());
        }
    };
    let mut first = None;
    for job in &jobs {
        match work(&arguments, job) {
            Ok(()) => {}
            Err(Error::Interrupted) => return ExitCode::from(Error::Interrupted.code()),
            Err(error) => {
                complain(&error.to_string());
                first.get_or_insert(error.code());
                if !error.is_of_one_input() {
                    break;
                }
            }
        }
    }
    ExitCode::from(first.unwrap_or(0))
}

fn begin(arguments: &Arguments) -> Result<Vec<Job>, Error> {
    gst::init().map_err(|error| Error::GStreamer(error.to_string()))?;
    gstdavidmatte::plugin_register_static().map_err(|error| Error::GStreamer(error.to_string()))?;
    stop::listen()?;
    plan::jobs(arguments)
}

/// Does one job, whatever state it is in.
fn work(arguments: &Arguments, job: &Job) -> Result<(), Error> {
    let Some(output) = job.outputs.first() else { return Ok(()) };
    check_input(&job.input)?;
    let settings = Settings::new(arguments, output.kind)?;
    let (job, selection, survey) = select(arguments, job)?;
    let job = &job;
    let note = Note::new(job, &settings, &selection, &arguments.stills)?;
    if earlier(arguments, job, &note, &selection)?.is_none() {
        return say_done(job);
    }
    for output in &job.outputs {
        output.target.container().check_elements(&output.target.path())?;
    }
    let survey = survey.map_or_else(|| survey::survey(&job.input), Ok)?;
    check_fit(arguments, job, &survey, &selection)?;
    let sinks = sinks(job, &selection)?;
    // Now that nobody else writes there: another run may have ended since.
    let Some(earlier) = earlier(arguments, job, &note, &selection)? else { return say_done(job) };
    let run = Run {
        job,
        settings: &settings,
        survey: &survey,
        selection: &selection,
        done: earlier.frames,
        with_audio: !arguments.no_audio,
        premultiplied: arguments.stills.premultiplied,
    };
    matte(arguments, &run, note, earlier, sinks)
}

/// The part that is asked for; what finding it took is known already then.
fn select(arguments: &Arguments, job: &Job) -> Result<(Job, Selection, Option<Survey>), Error> {
    if !arguments.part.is_asked_for() {
        return Ok((job.clone(), Selection::whole(&arguments.part), None));
    }
    let survey = survey::survey(&job.input)?;
    let selection = Selection::new(&arguments.part, &job.input, &survey)?;
    Ok((job.with_numbers(&selection.numbers()), selection, Some(survey)))
}

fn say_done(job: &Job) -> Result<(), Error> {
    let path = job.outputs.first().map(|output| output.target.path()).unwrap_or_default();
    say(&format!("{} is already there; nothing is left to resume", path.display()))
}

fn say(line: &str) -> Result<(), Error> {
    writeln!(std::io::stdout(), "{line}").map_err(Error::Print)
}

/// Tells of trouble; a terminal that is gone is none.
fn complain(sentence: &str) {
    let _ = writeln!(std::io::stderr(), "matte_file: {sentence}");
}

/// Fails for an input that cannot be one.
fn check_input(path: &Path) -> Result<(), Error> {
    let unreadable = |reason| Error::Read { path: path.to_owned(), reason };
    let not = |what| Err(Error::NotAFile { path: path.to_owned(), what });
    let metadata = std::fs::metadata(path);
    if metadata.is_err() && format::Pattern::parse(path).is_some() {
        return Err(Error::InputSequence { path: path.to_owned() });
    }
    let metadata = metadata.map_err(unreadable)?;
    match (metadata.is_dir(), metadata.is_file(), metadata.len()) {
        (true, ..) => not("a folder"),
        (_, false, _) => not("no regular file"),
        (.., 0) => not("empty"),
        _ => whole::check(path),
    }
}

/// What an earlier run left to go on with.
#[derive(Default)]
struct Earlier {
    /// Frames that every output has.
    frames: u64,
    /// Their videos.
    videos: Vec<Option<Kept>>,
    /// Whether there is a note of it.
    is_noted: bool,
}

/// What there is to go on with, or nothing where all is done.
fn earlier(
    arguments: &Arguments,
    job: &Job,
    note: &Note,
    selection: &Selection,
) -> Result<Option<Earlier>, Error> {
    let path = Note::path(job);
    let noted = Note::read(&path);
    if arguments.force {
        return Ok(Some(Earlier { is_noted: !matches!(noted, Ok(None)), ..Default::default() }));
    }
    let (mut present, mut missing) = (None, None);
    for output in &job.outputs {
        let is_there = match &output.target {
            Target::Sequence(_, pattern) => !pictures::numbers(pattern)?.is_empty(),
            Target::Video(_, path) | Target::Picture(_, path) => path.symlink_metadata().is_ok(),
        };
        let found = if is_there { &mut present } else { &mut missing };
        found.get_or_insert_with(|| output.target.path());
    }
    match (noted?, present) {
        (None, None) => Ok(Some(Earlier::default())),
        (Some(_), None) => Ok(Some(Earlier { is_noted: true, ..Default::default() })),
        (None, Some(whole)) if arguments.resume => match missing {
            None => Ok(None),
            Some(path) => {
                let reason = format!("it is not there, and {} is whole", whole.display());
                Err(Error::Resume { path, reason })
            }
        },
        (None, Some(path)) => Err(Error::Exists { path }),
        (Some(_), Some(path)) if !arguments.resume => Err(Error::Unfinished { path }),
        (Some(earlier), Some(path)) => match note.differs(&earlier) {
            Some(reason) => Err(Error::Resume { path, reason }),
            None => kept(job, &earlier, selection.number).map(Some),
        },
    }
}

/// What of each output is to be kept; pictures have numbers from `number` on.
fn kept(job: &Job, note: &Note, number: u64) -> Result<Earlier, Error> {
    let mut frames = note.frames;
    for output in &job.outputs {
        if let Target::Sequence(_, pattern) = &output.target {
            let pictures = pictures::present(pattern, number)?;
            frames = Some(frames.map_or(pictures, |frames| frames.min(pictures)));
        }
    }
    let frames = frames.unwrap_or(0);
    let mut videos = Vec::new();
    for (at, output) in job.outputs.iter().enumerate() {
        videos.push(match &output.target {
            Target::Video(container, path) => {
                let caps = note.streams.get(at).and_then(Option::as_deref);
                let fail =
                    |reason: &str| Error::Resume { path: path.clone(), reason: reason.into() };
                let caps = kept::parse_caps(caps.unwrap_or_default(), path)?;
                if Some(frames) != note.frames && !container.is_intra() {
                    return Err(fail("pictures are missing that it has frames for"));
                }
                Some(Kept { path: path.clone(), container: *container, frames, caps })
            }
            _ => None,
        });
    }
    Ok(Earlier { frames, videos, is_noted: true })
}

/// Fails where an output cannot hold what the input has.
fn check_fit(
    arguments: &Arguments,
    job: &Job,
    survey: &Survey,
    selection: &Selection,
) -> Result<(), Error> {
    let path = job.input.clone();
    for output in &job.outputs {
        if let Target::Picture(_, target) = &output.target
            && selection.count(survey.frames) > 1
        {
            return Err(Error::OnePicture { path, target: target.clone() });
        }
    }
    let Some(output) = job.outputs.first() else { return Ok(()) };
    let container = output.target.container();
    let keeps_audio = container.muxer().is_some() && !arguments.no_audio;
    match survey.sounding().find(|audio| keeps_audio && !container.holds_audio(audio)) {
        Some(audio) => {
            let others = [(Container::Mkv, ".mkv"), (Container::Mov, ".mov")].into_iter();
            let mut others =
                others.filter(|(other, _)| survey.sounding().all(|audio| other.holds_audio(audio)));
            let instead = others.next().map(|(_, ending)| ending);
            let (target, audio) = (output.target.path(), audio.name().to_owned());
            Err(Error::Audio { path, target, audio, instead })
        }
        None => Ok(()),
    }
}

/// Mattes an input, and keeps what came of it.
fn matte(
    arguments: &Arguments,
    run: &Run<'_>,
    mut note: Note,
    earlier: Earlier,
    mut sinks: Vec<Sink>,
) -> Result<(), Error> {
    let Run { job, survey, .. } = *run;
    let all = run.selection.count(survey.frames);
    let note_path = Note::path(job);
    let former = former_note(arguments, job);
    begin_sinks(&mut sinks, &earlier, arguments.force)?;
    let only_pictures = sinks.iter().all(|sink| matches!(sink, Sink::Pictures(_)));
    let is_sequence =
        job.outputs.iter().any(|output| matches!(output.target, Target::Sequence(..)));
    // Pictures tell themselves how many there are, even after the power failed.
    let notes_ahead = only_pictures && is_sequence;
    if notes_ahead {
        note.write(&note_path)?;
    }
    let progress = Progress::new(&job.input, all, earlier.frames);
    let ended = run.run(&sinks, &progress);
    let frames_per_second = progress.finish(ended.as_ref().map_or(0, |ended| ended.frames));
    let ended = ended.and_then(|ended| match (ended.frames, ended.early) {
        (0, true) => Err(Error::Interrupted),
        (0, false) => Err(Error::NoFrames { path: job.input.clone() }),
        _ => Ok(ended),
    });
    if ended.is_err() && notes_ahead {
        match former {
            Some(former) => former.write(&note_path)?,
            // Before its folder, which goes with the sinks.
            None => remove(&note_path),
        }
    }
    let ended = ended?;
    for warning in &ended.warnings {
        complain(&format!("{}: {warning}", job.input.display()));
    }
    if !ended.early && ended.frames < all {
        complain(&format!(
            "{}: {} of {} stored frames came out of the decoder; the others are damaged, \
             or left out by an edit list",
            job.input.display(),
            ended.frames,
            all
        ));
    }
    note.frames = Some(ended.frames);
    note.streams.clone_from(&ended.streams);
    // What has its name and no note is taken for whole. A note that is there already tells of frames that are
    // kept, and stays until there are more.
    let is_new = ended.early && !earlier.is_noted;
    if is_new {
        note.write(&note_path)?;
    }
    if let Err(error) = keep(sinks, &ended) {
        if is_new {
            remove(&note_path);
        }
        return Err(error);
    }
    if ended.early && !is_new {
        note.write(&note_path)?;
    }
    conclude(run, &ended, frames_per_second)
}

/// The note of the pictures that come back where a run fails. Those that a run which was killed had put aside have none:
/// its note is of what was to replace them.
fn former_note(arguments: &Arguments, job: &Job) -> Option<Note> {
    let are_aside = job.outputs.iter().any(|output| match &output.target {
        Target::Sequence(_, pattern) => pictures::are_aside(pattern),
        _ => false,
    });
    let note = Note::read(&Note::path(job)).ok().flatten();
    note.filter(|_| !arguments.force || !are_aside)
}

/// Where each output's frames go, kept from other runs.
fn sinks(job: &Job, selection: &Selection) -> Result<Vec<Sink>, Error> {
    let sinks = job.outputs.iter().map(|output| match &output.target {
        Target::Video(_, path) => Ok(Sink::Video(Part::new(path)?, None)),
        target => Ok(Sink::Pictures(Pictures::new(&job.input, target, selection.number)?)),
    });
    sinks.collect()
}

/// Lets outputs go on with what there is, or replace it.
fn begin_sinks(sinks: &mut [Sink], earlier: &Earlier, replaces: bool) -> Result<(), Error> {
    for (at, sink) in sinks.iter_mut().enumerate() {
        match sink {
            Sink::Video(_, kept) => *kept = earlier.videos.get(at).cloned().flatten(),
            Sink::Pictures(pictures) if replaces => pictures.replace()?,
            Sink::Pictures(pictures) => pictures.go_on_from(earlier.frames),
        }
    }
    Ok(())
}

/// Gives everything its name.
fn keep(sinks: Vec<Sink>, ended: &Ended) -> Result<(), Error> {
    for (sink, amendment) in sinks.iter().zip(&ended.amendments) {
        if let Sink::Video(part, _) = sink {
            part.change(|path| amend(path, amendment))?;
            part.sync()?;
        }
    }
    for sink in sinks {
        match sink {
            Sink::Video(part, _) => part.become_file()?,
            Sink::Pictures(pictures) => pictures.keep(!ended.early)?,
        }
    }
    Ok(())
}

/// Tells what was done; of what is whole there is no note.
fn conclude(run: &Run<'_>, ended: &Ended, frames_per_second: f64) -> Result<(), Error> {
    let Run { job, survey, selection, .. } = *run;
    let path = job.outputs.first().map(|output| output.target.path()).unwrap_or_default();
    let frames = ended.frames;
    if ended.early {
        let all = selection.count(survey.frames).max(frames);
        complain(&format!(
            "interrupted; {} holds the first {frames} of {all} frames; go on with --resume",
            path.display()
        ));
        return Err(Error::Interrupted);
    }
    remove(&Note::path(job));
    let unit = if frames == 1 { "frame" } else { "frames" };
    say(&format!("{}: {frames} {unit}, {frames_per_second:.1} a second", path.display()))?;
    // Sound goes with the first output.
    let holds_audio = |output: &Output| output.target.container().muxer().is_some();
    if !job.outputs.first().is_some_and(holds_audio) && survey.sounding().next().is_some() {
        say(&format!(
            "{}: pictures hold no audio, so that of the input is left out",
            path.display()
        ))?;
    }
    Ok(())
}

/// What is not there is not missed.
fn remove(path: &Path) {
    let _ = std::fs::remove_file(path);
}
