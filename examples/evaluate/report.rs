//! The report: one HTML page that needs no other file.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Cursor, Write as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use image::{DynamicImage, GrayImage, RgbImage, imageops};

use crate::datasets::Dataset;
use crate::error::Error;
use crate::metrics::Matte;
use crate::pictures::Frame;
use crate::predictor::Predictor;
use crate::published;
use crate::scores::Results;

/// The longest side of the pictures shown.
const THUMBNAIL: u32 = 360;
const PLOT_WIDTH: f64 = 440.0;
const PLOT_HEIGHT: f64 = 200.0;
/// Room for the mean's caption above, the axis on the left, captions below, and half a dot on the right.
const ABOVE: f64 = 18.0;
const LEFT: f64 = 52.0;
const BELOW: f64 = 24.0;
const RIGHT: f64 = 8.0;

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1f2430; --faint: #8b93a1; --line: #d8dce3; --dot: #2563b0; --mean: #c2410c; --page: #fff }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8ec; --faint: #8b93a1; --line: #3a404b; --dot: #79b0f2; --mean: #fb923c; --page: #16181d } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page); max-width: 1500px; margin: 2rem auto; padding: 0 1.5rem }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums }
th, td { text-align: right; padding: .25rem .9rem; border-bottom: 1px solid var(--line) }
th:first-child, td:first-child { text-align: left; padding-left: 0 }
thead th { border-bottom: 2px solid var(--faint) }
.note { color: var(--faint) }
.plots { display: flex; flex-wrap: wrap; gap: 1.5rem }
figure { margin: 0 }
figcaption { font-weight: 600 }
.plots figure { width: 400px; max-width: 100% }
svg { width: 100%; height: auto; display: block }
svg text { font-size: 11px; fill: var(--faint) }
.case { display: grid; grid-template-columns: repeat(4, minmax(0, 1fr)); gap: .75rem; margin: .5rem 0 1.5rem; max-width: 1480px }
.case img { width: 100%; height: auto; display: block; border: 1px solid var(--line) }
.case figcaption { font-weight: 400; color: var(--faint) }
details table { font-size: 13px }
";

/// The page that a report is written into, piece by piece.
pub struct Report(String);

impl Report {
    /// The head of the page.
    pub fn new(model: &str, device: &str) -> Self {
        let mut page =
            String::from("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
        page += "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";
        let (model, device) = (escaped(model), escaped(device));
        put(
            &mut page,
            format_args!(
                "<title>Mattes of {model}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
            ),
        );
        put(
            &mut page,
            format_args!(
                "<h1>Mattes of {model}</h1>\n<p class=\"note\">Inference on {device}.</p>\n"
            ),
        );
        Self(page)
    }

    /// A dataset's table, plots and pictures; mattes are made again for those shown.
    ///
    /// # Errors
    /// Those of reading and inference.
    pub fn add(
        &mut self,
        dataset: &Dataset,
        results: &Results,
        predictor: &mut Predictor,
    ) -> Result<(), Error> {
        let page = &mut self.0;
        put(page, format_args!("<section>\n<h2>{}</h2>\n", escaped(&dataset.name)));
        let (count, seconds) = (dataset.count(), results.took.as_secs_f64());
        put(
            page,
            format_args!(
                "<p class=\"note\">{count}, {seconds:.1} s with reading and scoring</p>\n"
            ),
        );
        summary(page, results);
        page.push_str("<div class=\"plots\">\n");
        for column in 0..results.metrics.len() {
            plot(page, results, column);
        }
        page.push_str("</div>\n");
        let ranking = results.ranking();
        let cases = match &ranking[..] {
            [] => vec![],
            [only] => vec![("The only one", *only)],
            [best, worst] => vec![("Best", *best), ("Worst", *worst)],
            [best, .., worst] => {
                let median = ranking[(ranking.len() - 1) / 2];
                vec![("Best", *best), ("Median", median), ("Worst", *worst)]
            }
        };
        for (title, index) in cases {
            let entry = &results.entries[index];
            let frame = Frame::read(&dataset.samples[index].frames[entry.shown])?;
            let matte = predictor.matte(&frame.picture)?;
            let name = match dataset.clips {
                true => format!("{}, its worst frame ({})", entry.name, entry.shown + 1),
                false => entry.name.clone(),
            };
            let mad = entry.mad;
            put(
                page,
                format_args!(
                    "<h3>{title}: {} <span class=\"note\">MAD {mad:.4}</span></h3>\n",
                    escaped(&name)
                ),
            );
            case(page, frame, &matte);
        }
        all_entries(page, results);
        page.push_str("</section>\n");
        Ok(())
    }

    /// The end of the page, with what was published.
    pub fn finish(mut self) -> String {
        let page = &mut self.0;
        page.push_str("<section>\n<h2>Published for DAViD</h2>\n<p class=\"note\">Saleh et al., ICCV 2025.</p>\n");
        page.push_str("<table>\n<thead><tr><th>Dataset</th><th>Error</th>");
        for model in published::MODELS {
            put(page, format_args!("<th>{model}</th>"));
        }
        page.push_str("</tr></thead>\n<tbody>\n");
        for row in &published::TABLE {
            put(page, format_args!("<tr><td>{}</td><td>{}</td>", row.dataset, row.metric.label()));
            for value in row.values {
                put(page, format_args!("<td>{}</td>", row.metric.show(value)));
            }
            page.push_str("</tr>\n");
        }
        page.push_str("</tbody>\n</table>\n</section>\n</body>\n</html>\n");
        self.0
    }
}

/// Where a report is written.
pub struct Place {
    /// As it was named.
    path: PathBuf,
    kind: PlaceKind,
}

enum PlaceKind {
    /// A file of this path, which gets its name when all is there.
    File(PathBuf),
    /// A device or a pipe, into which is written as it is.
    Open(File),
}

impl Place {
    /// Finds out where a path leads, before hours are spent on what would be written there.
    ///
    /// # Errors
    /// [`Error::Report`] where nothing could be written.
    pub fn new(path: &Path) -> Result<Self, Error> {
        let fail = |reason| Error::Report { path: path.to_owned(), reason };
        let kind = Self::find(path).map_err(fail)?;
        if let PlaceKind::File(file) = &kind {
            temporary(file).map_err(fail)?;
        }
        Ok(Self { path: path.to_owned(), kind })
    }

    fn find(path: &Path) -> io::Result<PlaceKind> {
        if path.is_dir() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder"));
        }
        let is_plain = match path.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            there => there?.is_file(),
        };
        if is_plain {
            return Ok(PlaceKind::File(path.to_owned()));
        }
        // /dev/stdout may be a file whose shell goes on writing into it.
        let is_of_system = ["/dev", "/proc"].iter().any(|folder| path.starts_with(folder));
        let real = path.canonicalize().ok().filter(|real| real.is_file() && !is_of_system);
        Ok(match real {
            Some(real) => PlaceKind::File(real),
            None => PlaceKind::Open(File::options().append(true).create(true).open(path)?),
        })
    }

    /// Writes a report, into a file all of it or nothing.
    ///
    /// # Errors
    /// [`Error::Report`].
    pub fn write(self, page: &str) -> Result<(), Error> {
        let written = match self.kind {
            PlaceKind::Open(mut file) => file.write_all(page.as_bytes()),
            PlaceKind::File(path) => temporary(&path).and_then(|mut file| {
                file.write_all(page.as_bytes())?;
                file.persist(path)?;
                Ok(())
            }),
        };
        written.map_err(|reason| Error::Report { path: self.path, reason })
    }
}

/// A file in the folder of `path` that goes away unless it is kept.
fn temporary(path: &Path) -> io::Result<tempfile::NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666)); // less the umask
    builder.prefix(".report-").tempfile_in(folder.unwrap_or(Path::new(".")))
}

/// Writing into a string does not fail.
fn put(page: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = page.write_fmt(text);
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe += "&amp;",
            '<' => safe += "&lt;",
            '>' => safe += "&gt;",
            '"' => safe += "&quot;",
            other => safe.push(other),
        }
    }
    safe
}

fn summary(page: &mut String, results: &Results) {
    page.push_str("<table>\n<thead><tr><th></th>");
    for metric in &results.metrics {
        put(page, format_args!("<th>{}</th>", metric.label()));
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    let rows: [(&str, &dyn Fn(usize) -> f64); 2] =
        [("Mean", &|column| results.mean(column)), ("Median", &|column| results.median(column))];
    for (name, value) in rows {
        put(page, format_args!("<tr><td>{name}</td>"));
        for (column, metric) in results.metrics.iter().enumerate() {
            put(page, format_args!("<td>{}</td>", metric.show(value(column))));
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody>\n</table>\n");
}

fn all_entries(page: &mut String, results: &Results) {
    page.push_str("<details><summary>All of them, the worst first</summary>\n<table>\n<thead><tr><th>Name</th>");
    for metric in &results.metrics {
        put(page, format_args!("<th>{}</th>", metric.label()));
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    for index in results.ranking().into_iter().rev() {
        let entry = &results.entries[index];
        put(page, format_args!("<tr><td>{}</td>", escaped(&entry.name)));
        for (metric, value) in results.metrics.iter().zip(&entry.values) {
            put(page, format_args!("<td>{}</td>", metric.show(*value)));
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody>\n</table>\n</details>\n");
}

/// A dot for each sample, in order of their values, and a line at the mean.
fn plot(page: &mut String, results: &Results, column: usize) {
    let metric = results.metrics[column];
    let mut dots: Vec<_> =
        results.entries.iter().map(|entry| (entry.values[column], &entry.name)).collect();
    dots.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let top = scale_end(dots.last().map_or(0.0, |(value, _)| *value));
    let (width, height) = (PLOT_WIDTH - LEFT - RIGHT, PLOT_HEIGHT - ABOVE - BELOW);
    let (left, right) = (LEFT, PLOT_WIDTH - RIGHT);
    let y = |value: f64| ABOVE + height * (1.0 - value / top);
    let x = |rank: usize| left + width * (rank as f64 + 0.5) / dots.len() as f64;
    let mean = results.mean(column);

    put(page, format_args!("<figure><figcaption>{}</figcaption>\n", metric.label()));
    put(
        page,
        format_args!(
            "<svg viewBox=\"0 0 {PLOT_WIDTH} {PLOT_HEIGHT}\" role=\"img\" aria-label=\"{} of each sample\">\n",
            metric.label()
        ),
    );
    for part in 0..=4 {
        let value = top * f64::from(part) / 4.0;
        let at = y(value);
        put(
            page,
            format_args!(
                "<line x1=\"{left}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"var(--line)\"/>"
            ),
        );
        put(
            page,
            format_args!(
                "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n",
                left - 6.0,
                at + 4.0,
                axis_label(value, top)
            ),
        );
    }
    for (rank, (value, name)) in dots.iter().enumerate() {
        put(
            page,
            format_args!(
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"var(--dot)\">",
                x(rank),
                y(*value)
            ),
        );
        put(
            page,
            format_args!("<title>{}: {}</title></circle>\n", escaped(name), metric.show(*value)),
        );
    }
    let at = y(mean);
    put(
        page,
        format_args!(
            "<line x1=\"{left}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"var(--mean)\" stroke-dasharray=\"5 4\"/>"
        ),
    );
    put(
        page,
        format_args!(
            "<text x=\"{}\" y=\"{:.1}\" style=\"fill: var(--mean)\">mean {}</text>\n",
            left + 4.0,
            at - 4.0,
            metric.show(mean)
        ),
    );
    put(
        page,
        format_args!(
            "<text x=\"{left}\" y=\"{}\">best</text><text x=\"{right}\" y=\"{0}\" text-anchor=\"end\">worst</text>\n",
            PLOT_HEIGHT - 6.0
        ),
    );
    page.push_str("</svg></figure>\n");
}

/// The end of a scale that holds `value`: 1, 2, 4 or 8 times a power of ten, so that quarters are short.
fn scale_end(value: f64) -> f64 {
    if !(value > 0.0 && value.is_finite()) {
        return 1.0;
    }
    let decade = 10f64.powf(value.log10().floor());
    let factors = [1.0, 2.0, 4.0, 8.0, 10.0].into_iter();
    factors.map(|factor| factor * decade).find(|&end| end >= value).unwrap_or(10.0 * decade)
}

/// As many digits as tell quarters of `top` apart.
fn axis_label(value: f64, top: f64) -> String {
    let digits = (2.0 - top.log10().floor()).clamp(0.0, 9.0) as usize;
    let text = format!("{value:.digits$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

fn case(page: &mut String, frame: Frame, prediction: &Matte) {
    let size = (prediction.width as u32, prediction.height as u32);
    let gray = |value: &dyn Fn(usize) -> f32| {
        let code = |at: usize| (255.0 * value(at)).round() as u8;
        GrayImage::from_fn(size.0, size.1, |x, y| {
            image::Luma([code(y as usize * prediction.width + x as usize)])
        })
    };
    let truth = &frame.truth;
    let pictures: [(&str, DynamicImage); 4] = [
        ("prediction", gray(&|at| prediction.values[at]).into()),
        ("truth", gray(&|at| truth.values[at]).into()),
        ("difference: red too much, blue too little", difference(prediction, truth).into()),
        ("picture", frame.picture.into()),
    ];
    page.push_str("<div class=\"case\">\n");
    for place in [3, 1, 0, 2] {
        let (title, picture) = &pictures[place];
        put(
            page,
            format_args!(
                "<figure><img alt=\"{title}\" src=\"{}\"><figcaption>{title}</figcaption></figure>\n",
                data_uri(picture)
            ),
        );
    }
    page.push_str("</div>\n");
}

/// Red where the prediction has too much, blue where it has too little, white where it is right.
fn difference(prediction: &Matte, truth: &Matte) -> RgbImage {
    RgbImage::from_fn(prediction.width as u32, prediction.height as u32, |x, y| {
        let at = y as usize * prediction.width + x as usize;
        let difference = prediction.values[at] - truth.values[at];
        let rest = (255.0 * (1.0 - difference.abs())).round() as u8;
        image::Rgb(if difference > 0.0 { [255, rest, rest] } else { [rest, rest, 255] })
    })
}

/// A picture, no larger than is shown, inside of an address.
fn data_uri(picture: &DynamicImage) -> String {
    let small = match picture.width().max(picture.height()) {
        side if side > THUMBNAIL => {
            picture.resize(THUMBNAIL, THUMBNAIL, imageops::FilterType::Triangle)
        }
        _ => picture.clone(),
    };
    let mut jpeg = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(Cursor::new(&mut jpeg), 85);
    // Into memory, and far smaller than any limit of the format.
    if small.into_rgb8().write_with_encoder(encoder).is_err() {
        return String::new();
    }
    format!("data:image/jpeg;base64,{}", BASE64_STANDARD.encode(jpeg))
}
