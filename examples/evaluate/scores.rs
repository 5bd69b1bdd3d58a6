//! A dataset's errors: of every sample, and their means and medians.

use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use serde_json::{Map, Value, json};

use crate::datasets::{Dataset, Sample};
use crate::error::Error;
use crate::metrics;
use crate::pictures::Frame;
use crate::predictor::Predictor;

/// A column of the results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    Sad,
    SadTrimap,
    Mse,
    Mad,
    MseThousandfold,
    MadThousandfold,
    Gradient,
    Connectivity,
    DtSsd,
}

impl Metric {
    /// As in the tables.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Sad => "SAD",
            Self::SadTrimap => "SAD-T",
            Self::Mse => "MSE",
            Self::Mad => "MAD",
            Self::MseThousandfold => "MSE×1e3",
            Self::MadThousandfold => "MAD×1e3",
            Self::Gradient => "Grad",
            Self::Connectivity => "Conn",
            Self::DtSsd => "dtSSD",
        }
    }

    /// As in JSON.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Sad => "sad",
            Self::SadTrimap => "sad_t",
            Self::Mse => "mse",
            Self::Mad => "mad",
            Self::MseThousandfold => "mse_e3",
            Self::MadThousandfold => "mad_e3",
            Self::Gradient => "grad",
            Self::Connectivity => "conn",
            Self::DtSsd => "dtssd",
        }
    }

    /// A value in as many digits as are usually published.
    pub fn show(self, value: f64) -> String {
        match self {
            Self::Mse | Self::Mad => format!("{value:.4}"),
            _ => format!("{value:.2}"),
        }
    }
}

/// A picture's or a clip's errors.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The sample's name.
    pub name: String,
    /// One for each column.
    pub values: Vec<f64>,
    /// Mean of |p − t|, by which samples are ranked whatever their size.
    pub mad: f64,
    /// The clip's worst frame.
    pub shown: usize,
}

/// A dataset's results.
#[derive(Debug)]
pub struct Results {
    /// The columns.
    pub metrics: Vec<Metric>,
    /// In the dataset's order.
    pub entries: Vec<Entry>,
    /// How long it took, reading and scoring included.
    pub took: Duration,
}

impl Results {
    /// Scores a dataset.
    ///
    /// # Errors
    /// The first file that cannot be read, or failed inference.
    pub fn of(
        dataset: &Dataset,
        predictor: &mut Predictor,
        bar: &ProgressBar,
    ) -> Result<Self, Error> {
        let start = Instant::now();
        let mut columns = Vec::new();
        let mut entries = Vec::with_capacity(dataset.samples.len());
        for sample in &dataset.samples {
            let (metrics, entry) = score(sample, dataset.clips, predictor, bar)?;
            columns = metrics;
            entries.push(entry);
        }
        Ok(Self { metrics: columns, entries, took: start.elapsed() })
    }

    /// The values of one column.
    pub fn column(&self, column: usize) -> Vec<f64> {
        self.entries.iter().map(|entry| entry.values[column]).collect()
    }

    /// The mean of one column; 0 without entries.
    pub fn mean(&self, column: usize) -> f64 {
        mean(&self.column(column))
    }

    /// The median of one column; 0 without entries.
    pub fn median(&self, column: usize) -> f64 {
        let mut values = self.column(column);
        values.sort_by(f64::total_cmp);
        match (values.len() / 2, values.len() % 2) {
            (0, 0) => 0.0,
            (middle, 0) => (values[middle - 1] + values[middle]) / 2.0,
            (middle, _) => values[middle],
        }
    }

    /// Indices of the entries from the best to the worst.
    pub fn ranking(&self) -> Vec<usize> {
        let mut ranking: Vec<_> = (0..self.entries.len()).collect();
        ranking.sort_by(|&a, &b| self.entries[a].mad.total_cmp(&self.entries[b].mad));
        ranking
    }

    /// For programs to read.
    pub fn to_json(&self, dataset: &Dataset) -> Value {
        let object = |value: &dyn Fn(usize) -> f64| -> Map<String, Value> {
            let each = |(column, metric): (usize, &Metric)| {
                (metric.key().to_owned(), json!(value(column)))
            };
            self.metrics.iter().enumerate().map(each).collect()
        };
        let samples: Vec<_> = self
            .entries
            .iter()
            .map(|entry| json!({ "name": entry.name, "errors": object(&|column| entry.values[column]) }))
            .collect();
        json!({
            "dataset": dataset.name,
            "kind": if dataset.clips { "clips" } else { "pictures" },
            "mean": object(&|column| self.mean(column)),
            "median": object(&|column| self.median(column)),
            "samples": samples,
        })
    }
}

fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

/// Scores a sample: for a clip, the means over its frames.
fn score(
    sample: &Sample,
    clip: bool,
    predictor: &mut Predictor,
    bar: &ProgressBar,
) -> Result<(Vec<Metric>, Entry), Error> {
    let mut columns = Vec::new();
    let mut frames = Vec::with_capacity(sample.frames.len());
    let mut mads = Vec::with_capacity(sample.frames.len());
    let mut before = None;
    for files in &sample.frames {
        let frame = Frame::read(files)?;
        let prediction = predictor.matte(&frame.picture)?;
        let truth = &frame.truth;
        let mad = metrics::mad(&prediction, truth);
        let mse = metrics::mse(&prediction, truth);
        let mut errors = vec![(Metric::Sad, metrics::sad(&prediction, truth))];
        if let Some(trimap) = &frame.trimap {
            let value = metrics::sad_trimap(&prediction, truth, trimap.as_raw());
            errors.push((Metric::SadTrimap, value));
        }
        errors.extend(if clip {
            [(Metric::MadThousandfold, 1e3 * mad), (Metric::MseThousandfold, 1e3 * mse)]
        } else {
            [(Metric::Mse, mse), (Metric::Mad, mad)]
        });
        errors.push((Metric::Gradient, metrics::gradient_error(&prediction, truth)));
        errors.push((Metric::Connectivity, metrics::connectivity_error(&prediction, truth)));
        if clip {
            let dtssd = match &before {
                Some((p, t)) if same_size(t, truth) => metrics::dtssd([p, &prediction], [t, truth]),
                Some(_) => {
                    let frame = files.truth().to_owned();
                    return Err(Error::ClipSize { clip: sample.name.clone(), frame });
                }
                None => 0.0,
            };
            errors.push((Metric::DtSsd, dtssd));
        }
        let (names, values): (Vec<_>, Vec<_>) = errors.into_iter().unzip();
        columns = names;
        frames.push(values);
        mads.push(mad);
        before = Some((prediction, frame.truth));
        bar.inc(1);
    }
    let value =
        |column: usize| mean(&frames.iter().map(|values| values[column]).collect::<Vec<_>>());
    let shown = (0..mads.len()).max_by(|&a, &b| mads[a].total_cmp(&mads[b])).unwrap_or(0);
    let values = (0..columns.len()).map(value).collect();
    Ok((columns, Entry { name: sample.name.clone(), values, mad: mean(&mads), shown }))
}

fn same_size(a: &metrics::Matte, b: &metrics::Matte) -> bool {
    (a.width, a.height) == (b.width, b.height)
}
