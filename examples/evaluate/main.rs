//! Scores a model's mattes against true ones:
//!
//! ```sh
//! cargo run --release --example evaluate -- P3M-10k PPM-100 --model david-base --report out.html
//! ```

mod datasets;
mod error;
mod metrics;
mod pictures;
mod predictor;
mod published;
mod report;
mod scores;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use datasets::Dataset;
use error::Error;
use gstdavidmatte::matting::prelude::{Device, SessionOptions};
use predictor::{LookAt, Predictor};
use report::{Place, Report};
use scores::Results;

/// Scores a model's mattes against true ones, as the matting literature does.
///
/// Understood are P3M-10k, PPM-100, VideoMatte (CLIP/com and CLIP/pha with one picture for each
/// frame), a folder of NAME.jpg and NAME.png, and any two folders with the same names in both. A
/// picture whose matte has the same shape in another size is scaled to it. Mattes may have 8 or 16 bits.
#[derive(Parser)]
#[command(name = "evaluate", version)]
struct Arguments {
    /// Folders with datasets
    #[arg(value_name = "DATASET", required_unless_present = "pictures")]
    datasets: Vec<PathBuf>,

    /// Score the pictures of this folder, with --mattes
    #[arg(long, value_name = "FOLDER", requires = "mattes")]
    pictures: Option<PathBuf>,

    /// Their true mattes
    #[arg(long, value_name = "FOLDER", requires = "pictures")]
    mattes: Option<PathBuf>,

    /// Their trimaps, for SAD-T: 0 background, 255 foreground
    #[arg(long, value_name = "FOLDER", requires = "pictures")]
    trimaps: Option<PathBuf>,

    /// Take the datasets for RGBA cut-outs (PhotoMatte85), and compose them over these pictures in turn
    #[arg(long, value_name = "FOLDER", requires = "datasets")]
    backgrounds: Option<PathBuf>,

    /// `builtin`, a known name, or the path of an .onnx file
    #[arg(long, default_value = "builtin")]
    model: String,

    /// Where inference runs
    #[arg(long, value_enum, default_value = "auto")]
    device: DeviceName,

    /// What the network looks at
    #[arg(long, value_enum, default_value = "frame")]
    region: LookAt,

    /// CPU threads of inference, 0 for one on each core
    #[arg(long, default_value_t = 0)]
    threads: usize,

    /// Score only the first pictures or clips of each dataset
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,

    /// Write one HTML page with tables, plots, and the best, median and worst pictures
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,

    /// Print JSON, with the errors of every sample, instead of tables
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum DeviceName {
    Auto,
    Cpu,
    Cuda,
    #[value(name = "tensorrt")]
    TensorRt,
    #[value(name = "openvino")]
    OpenVino,
    #[value(name = "migraphx")]
    MiGraphX,
    #[value(name = "coreml")]
    CoreMl,
    #[value(name = "directml")]
    DirectMl,
    #[value(name = "webgpu")]
    WebGpu,
}

impl From<DeviceName> for Device {
    fn from(name: DeviceName) -> Self {
        match name {
            DeviceName::Auto => Self::Auto,
            DeviceName::Cpu => Self::Cpu,
            DeviceName::Cuda => Self::Cuda,
            DeviceName::TensorRt => Self::TensorRt,
            DeviceName::OpenVino => Self::OpenVino,
            DeviceName::MiGraphX => Self::MiGraphX,
            DeviceName::CoreMl => Self::CoreMl,
            DeviceName::DirectMl => Self::DirectMl,
            DeviceName::WebGpu => Self::WebGpu,
        }
    }
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("evaluate: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Error> {
    let place = arguments.report.as_deref().map(Place::new).transpose()?;
    let datasets = find_datasets(arguments)?;
    let options = SessionOptions {
        device: arguments.device.into(),
        threads: arguments.threads,
        ..Default::default()
    };
    let mut predictor = Predictor::load(&arguments.model, &options, arguments.region)?;
    let results = score(&datasets, &mut predictor)?;
    let scored: Vec<_> = datasets.iter().zip(&results).collect();
    let text = if arguments.json {
        format!("{:#}\n", as_json(&arguments.model, predictor.device(), &scored))
    } else {
        as_tables(&arguments.model, predictor.device(), &scored)
    };
    // Before the report, which may not fit on its disk.
    std::io::stdout().write_all(text.as_bytes())?;
    match place {
        Some(place) => write_report(place, &arguments.model, &datasets, &results, &mut predictor),
        None => Ok(()),
    }
}

fn find_datasets(arguments: &Arguments) -> Result<Vec<Dataset>, Error> {
    let mut found = Vec::new();
    for folder in &arguments.datasets {
        found.extend(datasets::discover(folder, arguments.backgrounds.as_deref())?);
    }
    if let (Some(pictures), Some(mattes)) = (&arguments.pictures, &arguments.mattes) {
        let name = pictures.display().to_string();
        found.push(datasets::pairs(name, pictures, mattes, arguments.trimaps.as_deref())?);
    }
    for dataset in &mut found {
        dataset.samples.truncate(arguments.limit.map_or(usize::MAX, |limit| limit as usize));
    }
    Ok(found)
}

fn score(datasets: &[Dataset], predictor: &mut Predictor) -> Result<Vec<Results>, Error> {
    let frames = |dataset: &Dataset| -> usize {
        dataset.samples.iter().map(|sample| sample.frames.len()).sum()
    };
    let bar = ProgressBar::new(datasets.iter().map(frames).sum::<usize>() as u64);
    let style = "{msg} {wide_bar} {pos}/{len}, {per_sec}, {eta} left";
    // The template is as it should be, or the bar keeps its usual looks.
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    let results = datasets.iter().map(|dataset| {
        bar.set_message(dataset.name.clone());
        Results::of(dataset, predictor, &bar)
    });
    let results = results.collect();
    bar.finish_and_clear();
    results
}

fn write_report(
    place: Place,
    model: &str,
    datasets: &[Dataset],
    results: &[Results],
    predictor: &mut Predictor,
) -> Result<(), Error> {
    let mut page = Report::new(model, predictor.device());
    for (dataset, results) in datasets.iter().zip(results) {
        page.add(dataset, results, predictor)?;
    }
    place.write(&page.finish())
}

fn as_json(model: &str, device: &str, scored: &[(&Dataset, &Results)]) -> Value {
    let published = published::TABLE.iter().map(|row| {
        json!({
            "dataset": row.dataset,
            "metric": row.metric.key(),
            published::MODELS[0]: row.values[0],
            published::MODELS[1]: row.values[1],
        })
    });
    json!({
        "model": model,
        "device": device,
        "results": scored.iter().map(|(dataset, results)| results.to_json(dataset)).collect::<Vec<_>>(),
        "published": published.collect::<Vec<_>>(),
    })
}

fn as_tables(model: &str, device: &str, scored: &[(&Dataset, &Results)]) -> String {
    let mut text = String::new();
    for (dataset, results) in scored {
        text += &format!("{}: {}, {model} on {device}\n", dataset.name, dataset.count());
        let mut rows = vec![vec![String::new()], vec!["mean".into()], vec!["median".into()]];
        for (column, metric) in results.metrics.iter().enumerate() {
            rows[0].push(metric.label().into());
            rows[1].push(metric.show(results.mean(column)));
            rows[2].push(metric.show(results.median(column)));
        }
        text += &table(&rows);
        text.push('\n');
    }
    text += "Published for DAViD (Saleh et al., ICCV 2025), means:\n";
    let mut rows = vec![vec![String::new(), String::new()]];
    rows[0].extend(published::MODELS.map(String::from));
    for row in &published::TABLE {
        let mut cells = vec![row.dataset.to_owned(), row.metric.label().to_owned()];
        cells.extend(row.values.map(|value| row.metric.show(value)));
        rows.push(cells);
    }
    text + &table(&rows)
}

/// Columns as wide as their longest cell, the first to the left and the others to the right.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let length = |cell: &String| cell.chars().count();
    let widths: Vec<_> = (0..columns)
        .map(|column| rows.iter().filter_map(|row| row.get(column)).map(length).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in rows {
        for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            match column {
                0 => text += &format!("  {cell:<width$}"),
                _ => text += &format!("  {cell:>width$}"),
            }
        }
        text.push('\n');
    }
    text
}
