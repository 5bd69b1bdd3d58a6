//! The errors of a matte, as the matting literature computes them.
//!
//! | metric | definition | after |
//! |---|---|---|
//! | SAD | Σ\|p − t\| / 1000 over the whole picture at its own size | Rhemann et al., CVPR 2009 |
//! | SAD-T | SAD with p set to 0 and 1 where the trimap is 0 and 255, so that only its unknown part counts | P3M |
//! | MSE, MAD | mean of (p − t)² and of \|p − t\| over all pixels | |
//! | Grad | Σ(‖∇p‖ − ‖∇t‖)² / 1000 | Rhemann et al. |
//! | Conn | Σ\|φ(p) − φ(t)\| / 1000 | Rhemann et al. |
//! | dtSSD | 100 · √mean((Δp − Δt)²), Δ from frame to frame, 0 for a clip's first | Erofeev et al., BMVC 2015; RVM |
//!
//! Grad and Conn leave room, which is filled as the authors' MATLAB code does it, and most that was
//! published after it:
//!
//! - Grad stretches both mattes to [0, 1] first. Its filters are the first derivatives of a Gaussian
//!   with σ = 1.4, cut off where it falls below 0.01 (9 taps), scaled to an L2 norm of 1, and see the
//!   border's pixels repeated. (P3M's script does not stretch, and divides by 10 what filters of unit
//!   sum give, which at an edge comes to about 5 % more.)
//! - Conn goes through the levels 0.1, 0.2, …, 1. At each, Ω is the largest 4-connected part of where
//!   both mattes reach it (of equally large ones, the first from the top left), empty where they
//!   nowhere do. l of a pixel is the level below the first at which it is not in Ω, and 1 where there
//!   is none; d = α − l; φ = 1 − d where d ≥ 0.15, else 1.
//!
//! The benchmark of Rhemann et al. counts Grad and Conn only where its trimap is unknown. Here they
//! count everywhere, as is usual where no trimap is given to the method.

/// Standard deviation of Grad's Gaussian.
const GRADIENT_SIGMA: f64 = 1.4;
/// Where Grad's Gaussian is cut off.
const GRADIENT_EPSILON: f64 = 0.01;
/// Number of Conn's levels above 0.
const CONNECTIVITY_LEVELS: u8 = 10;
/// Smaller differences from the level at which a pixel is still connected do not count in Conn.
const CONNECTIVITY_TOLERANCE: f64 = 0.15;

/// A matte, row by row, 0 for background and 1 for foreground.
#[derive(Clone, Debug, PartialEq)]
pub struct Matte {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `width · height` values.
    pub values: Vec<f32>,
}

/// Σ|p − t| / 1000.
pub fn sad(prediction: &Matte, truth: &Matte) -> f64 {
    sum(prediction, truth, |p, t| (p - t).abs()) / 1000.0
}

/// SAD where the trimap, one byte a pixel, is neither 0 nor 255, and elsewhere that of a prediction
/// that follows the trimap.
pub fn sad_trimap(prediction: &Matte, truth: &Matte, trimap: &[u8]) -> f64 {
    let told = |(p, t): (f64, f64), trimap: u8| match trimap {
        0 => t.abs(),
        255 => (1.0 - t).abs(),
        _ => (p - t).abs(),
    };
    pairs(prediction, truth).zip(trimap).map(|(pair, &trimap)| told(pair, trimap)).sum::<f64>()
        / 1000.0
}

/// Mean of |p − t|.
pub fn mad(prediction: &Matte, truth: &Matte) -> f64 {
    sum(prediction, truth, |p, t| (p - t).abs()) / truth.values.len() as f64
}

/// Mean of (p − t)².
pub fn mse(prediction: &Matte, truth: &Matte) -> f64 {
    sum(prediction, truth, |p, t| (p - t).powi(2)) / truth.values.len() as f64
}

/// 100 · √mean((Δp − Δt)²), for a prediction and a truth with those of the frame before.
pub fn dtssd(prediction: [&Matte; 2], truth: [&Matte; 2]) -> f64 {
    let [before, now] = [0, 1].map(|at| pairs(prediction[at], truth[at]));
    let changes = before.zip(now).map(|((p0, t0), (p1, t1))| ((p1 - p0) - (t1 - t0)).powi(2));
    100.0 * (changes.sum::<f64>() / truth[1].values.len() as f64).sqrt()
}

fn pairs<'a>(a: &'a Matte, b: &'a Matte) -> impl Iterator<Item = (f64, f64)> + 'a {
    a.values.iter().zip(&b.values).map(|(&a, &b)| (f64::from(a), f64::from(b)))
}

fn sum(a: &Matte, b: &Matte, each: impl Fn(f64, f64) -> f64) -> f64 {
    pairs(a, b).map(|(a, b)| each(a, b)).sum()
}

/// Σ(‖∇p‖ − ‖∇t‖)² / 1000.
pub fn gradient_error(prediction: &Matte, truth: &Matte) -> f64 {
    let filters = DerivativeFilters::new(GRADIENT_SIGMA, GRADIENT_EPSILON);
    let [p, t] = [prediction, truth].map(|matte| filters.magnitude(&stretched(matte)));
    let squares = p.iter().zip(&t).map(|(&p, &t)| (f64::from(p) - f64::from(t)).powi(2));
    squares.sum::<f64>() / 1000.0
}

/// The same matte with its least value at 0 and its greatest at 1; a flat one becomes 0.
fn stretched(matte: &Matte) -> Matte {
    let (low, high) = matte
        .values
        .iter()
        .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &v| (low.min(v), high.max(v)));
    let factor = if high > low { 1.0 / (high - low) } else { 0.0 };
    Matte { values: matte.values.iter().map(|v| (v - low) * factor).collect(), ..*matte }
}

/// A Gaussian and its derivative, whose product filters along one axis and across the other.
struct DerivativeFilters {
    smooth: Vec<f64>,
    derive: Vec<f64>,
}

impl DerivativeFilters {
    fn new(sigma: f64, epsilon: f64) -> Self {
        let peak = sigma * (2.0 * std::f64::consts::PI).sqrt();
        let reach = (sigma * (-2.0 * (peak * epsilon).ln()).sqrt()).ceil() as i32;
        let gaussian = |x: f64| (-x * x / (2.0 * sigma * sigma)).exp() / peak;
        let taps = |tap: &dyn Fn(f64) -> f64| unit((-reach..=reach).map(|x| tap(f64::from(x))));
        Self { smooth: taps(&gaussian), derive: taps(&|x| -x * gaussian(x) / (sigma * sigma)) }
    }

    /// The length of the gradient at each pixel.
    fn magnitude(&self, matte: &Matte) -> Vec<f32> {
        let x = down(&along(matte, &self.derive), &self.smooth);
        let y = down(&along(matte, &self.smooth), &self.derive);
        x.values.iter().zip(&y.values).map(|(x, y)| x.hypot(*y)).collect()
    }
}

/// Scaled to an L2 norm of 1. The norm of a product of filters is the product of their norms.
fn unit(taps: impl Iterator<Item = f64>) -> Vec<f64> {
    let taps: Vec<_> = taps.collect();
    let norm = taps.iter().map(|tap| tap * tap).sum::<f64>().sqrt();
    taps.into_iter().map(|tap| tap / norm).collect()
}

/// Where tap `tap` of `taps` at `at` falls on an axis of `length`, whose ends go on without end.
fn place(at: usize, tap: usize, taps: usize, length: usize) -> usize {
    (at + tap).saturating_sub(taps / 2).min(length - 1)
}

/// Filtered along the rows.
fn along(matte: &Matte, taps: &[f64]) -> Matte {
    let filter = |row: &[f32], x: usize| -> f32 {
        let tap =
            |(i, tap): (usize, &f64)| tap * f64::from(row[place(x, i, taps.len(), row.len())]);
        taps.iter().enumerate().map(tap).sum::<f64>() as f32
    };
    let rows = matte.values.chunks_exact(matte.width);
    let values = rows.flat_map(|row| (0..row.len()).map(move |x| filter(row, x))).collect();
    Matte { values, ..*matte }
}

/// Filtered along the columns.
fn down(matte: &Matte, taps: &[f64]) -> Matte {
    let mut values = Vec::with_capacity(matte.values.len());
    let mut sums = vec![0.0f64; matte.width];
    for y in 0..matte.height {
        sums.fill(0.0);
        for (i, tap) in taps.iter().enumerate() {
            let row = place(y, i, taps.len(), matte.height) * matte.width;
            for (sum, value) in sums.iter_mut().zip(&matte.values[row..]) {
                *sum += tap * f64::from(*value);
            }
        }
        values.extend(sums.iter().map(|&sum| sum as f32));
    }
    Matte { values, ..*matte }
}

/// Σ|φ(p) − φ(t)| / 1000.
pub fn connectivity_error(prediction: &Matte, truth: &Matte) -> f64 {
    let connected = connected_levels(prediction, truth);
    let phi = |value: f64, level: f64| {
        let above = value - level;
        1.0 - if above >= CONNECTIVITY_TOLERANCE { above } else { 0.0 }
    };
    let each = |((p, t), level): ((f64, f64), &u8)| {
        let level = f64::from(*level) / f64::from(CONNECTIVITY_LEVELS);
        (phi(p, level) - phi(t, level)).abs()
    };
    pairs(prediction, truth).zip(&connected).map(each).sum::<f64>() / 1000.0
}

/// For each pixel the last level, in tenths, up to which it belongs to what both mattes have connected.
fn connected_levels(prediction: &Matte, truth: &Matte) -> Vec<u8> {
    let both: Vec<f32> =
        prediction.values.iter().zip(&truth.values).map(|(p, t)| p.min(*t)).collect();
    let mut levels = vec![0; both.len()];
    let mut parts = Parts::new(truth.width, both.len());
    for level in 1..=CONNECTIVITY_LEVELS {
        let least = f32::from(level) / f32::from(CONNECTIVITY_LEVELS);
        parts.find(&both, least);
        for (reached, part) in levels.iter_mut().zip(&parts.labels) {
            // A pixel that was not in the part of a level before stays where it was.
            if *part == parts.largest && *part != 0 && *reached + 1 == level {
                *reached = level;
            }
        }
    }
    levels
}

/// The 4-connected parts of a picture where it reaches a level.
struct Parts {
    width: usize,
    /// A number from 1 up for each part, 0 outside.
    labels: Vec<u32>,
    /// The number of the largest part, 0 where there is none.
    largest: u32,
    waiting: Vec<usize>,
}

impl Parts {
    fn new(width: usize, pixels: usize) -> Self {
        Self { width, labels: vec![0; pixels], largest: 0, waiting: Vec::new() }
    }

    fn find(&mut self, values: &[f32], least: f32) {
        self.labels.fill(0);
        self.largest = 0;
        let (mut label, mut most) = (0, 0);
        for start in 0..values.len() {
            if values[start] >= least && self.labels[start] == 0 {
                label += 1;
                let size = self.fill(values, least, start, label);
                if size > most {
                    (self.largest, most) = (label, size);
                }
            }
        }
    }

    /// Labels the part that holds `start`, and returns its size.
    fn fill(&mut self, values: &[f32], least: f32, start: usize, label: u32) -> usize {
        let mut size = 0;
        self.labels[start] = label;
        self.waiting.push(start);
        while let Some(at) = self.waiting.pop() {
            size += 1;
            let x = at % self.width;
            let neighbours = [
                (x > 0).then(|| at - 1),
                (x + 1 < self.width).then_some(at + 1),
                at.checked_sub(self.width),
                Some(at + self.width).filter(|&below| below < values.len()),
            ];
            for next in neighbours.into_iter().flatten() {
                if values[next] >= least && self.labels[next] == 0 {
                    self.labels[next] = label;
                    self.waiting.push(next);
                }
            }
        }
        size
    }
}
