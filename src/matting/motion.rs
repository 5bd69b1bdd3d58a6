//! Motion between two frames: dense inverse search.
//!
//! Patches of the later frame are found in the earlier one by Gauss-Newton steps on the mean-free
//! sum of squared differences, from a coarse picture to the fine one (Kroeger, Timofte, Dai and Van
//! Gool, "Fast Optical Flow using Dense Inverse Search", ECCV 2016). Two things are different,
//! because it is a matte that is to be moved:
//!
//! - a patch across the edge of the matte follows what is inside: there the two sides move apart,
//!   and the edge belongs to the person;
//! - where the matte is flat all around, any motion gives the same matte, so none is refined.

// Patches are read several at a time, by row and column.
#![allow(clippy::needless_range_loop)]

use multiversion::multiversion;

/// Side of a patch in samples.
const PATCH: usize = 8;
/// From a patch's origin to its centre.
const HALF: f32 = PATCH as f32 / 2.0;
/// Samples from one patch to the next.
const STEP: usize = 4;
/// Samples that are repeated around a picture, so that patches may reach over its edge.
const BORDER: usize = 12;
/// Side of the cells, in samples of their own level, that are asked whether the matte is flat.
pub const CELL: usize = 8;
/// How much a matte may change in a cell that counts as flat.
const FLAT: f32 = 0.02;
/// What a sample outside the matte weighs in a patch across its edge, beside 1 inside.
const OUTSIDE: f32 = 0.1;
/// Gauss-Newton steps of a patch at most.
const STEPS: usize = 5;
/// A step shorter than this, in samples, is the last.
const SMALL_STEP: f32 = 0.05;
/// Added to the squared gradient of a sample, in codes² per sample²: keeps patches without detail,
/// where noise has gradients of about this size, where they are.
const STIFFNESS: f32 = 0.5;

/// Samples, rightwards and down.
pub type Vector = [f32; 2];
type Patch = [[f32; PATCH]; PATCH];

/// A plane with its edge repeated around it.
#[derive(Clone, Debug)]
pub struct Picture {
    pub width: usize,
    pub height: usize,
    stride: usize,
    data: Vec<f32>,
}

impl Picture {
    pub fn new(width: usize, height: usize) -> Self {
        let stride = width + 2 * BORDER;
        Self { width, height, stride, data: vec![0.0; stride * (height + 2 * BORDER)] }
    }

    #[inline(always)]
    fn start(&self, y: usize) -> usize {
        (y + BORDER) * self.stride + BORDER
    }

    /// Row `y` without what is around it.
    pub fn row(&self, y: usize) -> &[f32] {
        &self.data[self.start(y)..][..self.width]
    }

    /// Row `y` without what is around it.
    pub fn row_mut(&mut self, y: usize) -> &mut [f32] {
        let start = self.start(y);
        &mut self.data[start..][..self.width]
    }

    /// Repeats the edge, after rows were written.
    pub fn extend(&mut self) {
        let (stride, width) = (self.stride, self.width);
        for row in self.data.chunks_exact_mut(stride).skip(BORDER).take(self.height) {
            let (first, last) = (row[BORDER], row[BORDER + width - 1]);
            row[..BORDER].fill(first);
            row[BORDER + width..].fill(last);
        }
        let (top, bottom) = (BORDER * stride, (BORDER + self.height - 1) * stride);
        for y in 0..BORDER {
            self.data.copy_within(top..top + stride, y * stride);
            self.data.copy_within(bottom..bottom + stride, bottom + (y + 1) * stride);
        }
    }

    /// Makes every sample 0.
    pub fn clear(&mut self) {
        self.data.fill(0.0);
    }

    /// The sample nearest to `at`, the edge repeated.
    #[inline(always)]
    pub fn nearest(&self, [x, y]: Vector) -> f32 {
        let index = |v: f32, n: usize| ((v + 0.5).max(0.0) as usize).min(n - 1);
        self.data[self.start(index(y, self.height)) + index(x, self.width)]
    }

    /// The values of three pictures of one size at `at`, linearly, the edge repeated.
    #[inline(always)]
    pub fn at_in_three([a, b, c]: [&Self; 3], [x, y]: Vector) -> [f32; 3] {
        let x = x.clamp(0.0, (a.width - 1) as f32);
        let y = y.clamp(0.0, (a.height - 1) as f32);
        let (left, top) = (x as usize, y as usize);
        let (tx, ty) = (x - left as f32, y - top as f32);
        let start = a.start(top) + left;
        let one = |picture: &Self| {
            let upper = &picture.data[start..][..2];
            let lower = &picture.data[start + picture.stride..][..2];
            let upper = upper[0] + tx * (upper[1] - upper[0]);
            let lower = lower[0] + tx * (lower[1] - lower[0]);
            upper + ty * (lower - upper)
        };
        [one(a), one(b), one(c)]
    }

    /// The sum of the nine samples about one.
    pub fn around(&self, x: usize, y: usize) -> f32 {
        let rows = (0..3)
            .map(|r| &self.data[self.start(y) + r * self.stride + x - self.stride - 1..][..3]);
        rows.flatten().sum()
    }

    /// Fills `half` with means of two by two samples.
    fn halve(&self, half: &mut Self) {
        for y in 0..half.height {
            let start = self.start(2 * y);
            let n = 2 * half.width;
            let (upper, lower) = (&self.data[start..][..n], &self.data[start + self.stride..][..n]);
            halve_rows(upper, lower, half.row_mut(y));
        }
        half.extend();
    }

    /// Where a patch at (x, y) may lie, so that bilinear interpolation stays inside.
    #[inline(always)]
    fn clamped(&self, [x, y]: Vector) -> Vector {
        let most = |n: usize| (n + BORDER - PATCH - 1) as f32 - 0.01;
        let least = -(BORDER as f32);
        [x.clamp(least, most(self.width)), y.clamp(least, most(self.height))]
    }

    /// The patch at `at`, bilinearly.
    #[inline(always)]
    fn sample(&self, at: Vector) -> Patch {
        let [x, y] = self.clamped(at);
        let (x, y) = (x + BORDER as f32, y + BORDER as f32);
        let (column, row) = (x as usize, y as usize);
        let (tx, ty) = (x - column as f32, y - row as f32);
        let mut above = [0.0; PATCH];
        let mut patch = [[0.0; PATCH]; PATCH];
        for r in 0..=PATCH {
            let samples = &self.data[(row + r) * self.stride + column..][..PATCH + 1];
            let mut across = [0.0; PATCH];
            for c in 0..PATCH {
                across[c] = samples[c] + tx * (samples[c + 1] - samples[c]);
            }
            if r > 0 {
                for c in 0..PATCH {
                    patch[r - 1][c] = above[c] + ty * (across[c] - above[c]);
                }
            }
            above = across;
        }
        patch
    }

    /// The patch at whole numbers, and its gradients.
    #[inline(always)]
    fn patch(&self, [x, y]: [usize; 2]) -> [Patch; 3] {
        let mut patches = [[[0.0; PATCH]; PATCH]; 3];
        for r in 0..PATCH {
            let start = (y + r + BORDER) * self.stride + x + BORDER - 1;
            let samples = &self.data[start..][..PATCH + 2];
            let above = &self.data[start + 1 - self.stride..][..PATCH];
            let below = &self.data[start + 1 + self.stride..][..PATCH];
            for c in 0..PATCH {
                patches[0][r][c] = samples[c + 1];
                patches[1][r][c] = 0.5 * (samples[c + 2] - samples[c]);
                patches[2][r][c] = 0.5 * (below[c] - above[c]);
            }
        }
        patches
    }
}

#[multiversion(targets = "simd")]
fn halve_rows(upper: &[f32], lower: &[f32], out: &mut [f32]) {
    let n = out.len();
    let (upper, lower) = (&upper[..2 * n], &lower[..2 * n]);
    for x in 0..n {
        out[x] = 0.25 * (upper[2 * x] + upper[2 * x + 1] + lower[2 * x] + lower[2 * x + 1]);
    }
}

/// A picture and its halves, down to some 16 samples.
#[derive(Clone, Debug)]
pub struct Pyramid(pub Vec<Picture>);

impl Pyramid {
    pub fn new(width: usize, height: usize) -> Self {
        let mut levels = vec![Picture::new(width, height)];
        let (mut width, mut height) = (width, height);
        while width.min(height) >= 24 {
            (width, height) = (width.div_ceil(2), height.div_ceil(2));
            levels.push(Picture::new(width, height));
        }
        Self(levels)
    }

    /// Makes the smaller pictures, after the rows of the first were written.
    pub fn fill(&mut self) {
        self.0[0].extend();
        for level in 1..self.0.len() {
            let (fine, coarse) = self.0.split_at_mut(level);
            fine[level - 1].halve(&mut coarse[0]);
        }
    }
}

/// Where the patches of a level are.
#[derive(Clone, Copy, Debug)]
struct Grid {
    columns: usize,
    rows: usize,
    /// Of the last patch of a row and a column.
    last: [usize; 2],
}

impl Grid {
    fn new(picture: &Picture) -> Self {
        let last = [picture.width, picture.height].map(|n| n.saturating_sub(PATCH));
        let [columns, rows] = last.map(|last| last.div_ceil(STEP) + 1);
        Self { columns, rows, last }
    }

    fn len(&self) -> usize {
        self.columns * self.rows
    }

    #[inline(always)]
    fn origin(&self, column: usize, row: usize) -> [usize; 2] {
        [(column * STEP).min(self.last[0]), (row * STEP).min(self.last[1])]
    }

    /// The patch whose centre is nearest to `at`.
    #[inline(always)]
    fn nearest(&self, [x, y]: Vector) -> usize {
        let index =
            |v: f32, n: usize| (((v - HALF) / STEP as f32 + 0.5).max(0.0) as usize).min(n - 1);
        index(y, self.rows) * self.columns + index(x, self.columns)
    }
}

/// Cells of a level, and whether the matte changes in or next to them.
#[derive(Clone, Debug)]
struct Cells {
    columns: usize,
    rows: usize,
    /// Least and most of the matte in each.
    ranges: Vec<[f32; 2]>,
    mixed: Vec<bool>,
}

impl Cells {
    fn new(picture: &Picture) -> Self {
        let (columns, rows) = (picture.width.div_ceil(CELL), picture.height.div_ceil(CELL));
        Self {
            columns,
            rows,
            ranges: vec![[0.0; 2]; columns * rows],
            mixed: vec![false; columns * rows],
        }
    }

    fn fill(&mut self, mask: &Picture) {
        cell_ranges(mask, self.columns, &mut self.ranges);
        for row in 0..self.rows {
            for column in 0..self.columns {
                let mut range = [f32::INFINITY, f32::NEG_INFINITY];
                for y in row.saturating_sub(1)..(row + 2).min(self.rows) {
                    for x in column.saturating_sub(1)..(column + 2).min(self.columns) {
                        let [least, most] = self.ranges[y * self.columns + x];
                        range = [range[0].min(least), range[1].max(most)];
                    }
                }
                self.mixed[row * self.columns + column] = range[1] - range[0] > FLAT;
            }
        }
    }

    /// Whether the matte changes near `at`.
    #[inline(always)]
    fn is_mixed(&self, [x, y]: Vector) -> bool {
        let index = |v: f32, n: usize| ((v.max(0.0) as usize) / CELL).min(n - 1);
        self.mixed[index(y, self.rows) * self.columns + index(x, self.columns)]
    }
}

#[multiversion(targets = "simd")]
fn cell_ranges(mask: &Picture, columns: usize, ranges: &mut [[f32; 2]]) {
    for (row, ranges) in ranges.chunks_exact_mut(columns).enumerate() {
        for (column, range) in ranges.iter_mut().enumerate() {
            let (mut least, mut most) = ([f32::INFINITY; CELL], [f32::NEG_INFINITY; CELL]);
            for r in 0..CELL {
                // What is beyond the edge repeats it, and the border is wider than a cell.
                let start = (row * CELL + r + BORDER) * mask.stride + column * CELL + BORDER;
                let values = &mask.data[start..][..CELL];
                for c in 0..CELL {
                    least[c] = if values[c] < least[c] { values[c] } else { least[c] };
                    most[c] = if values[c] > most[c] { values[c] } else { most[c] };
                }
            }
            *range = [
                least.iter().fold(f32::INFINITY, |a, &b| a.min(b)),
                most.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b)),
            ];
        }
    }
}

/// What is kept of a level.
#[derive(Clone, Debug)]
struct Level {
    grid: Grid,
    cells: Cells,
    /// Motion of each patch.
    flows: Vec<Vector>,
    /// Whether it was searched for.
    searched: Vec<bool>,
}

/// Finds motion between pictures of one size.
///
/// First the inside of the matte is followed from the earlier picture, where it is known, to the
/// later one; then each patch of the later picture is found in the earlier one, and the motion of
/// the inside is one of those that it may have.
pub struct Search {
    levels: Vec<Level>,
    /// Of the inside of the matte, from the earlier picture to the later one: where each patch of a
    /// level went, not finite for those outside.
    inside: Vec<Vec<Vector>>,
    /// The same motion where it leads to, and backwards: for each patch of the level [`FOLLOW`] of
    /// the later picture.
    follow: Vec<Vector>,
    scratch: Vec<Vector>,
}

impl Search {
    /// For pyramids like `like`.
    pub fn new(like: &Pyramid) -> Self {
        let level = |picture: &Picture| {
            let grid = Grid::new(picture);
            Level {
                grid,
                cells: Cells::new(picture),
                flows: vec![[0.0; 2]; grid.len()],
                searched: vec![false; grid.len()],
            }
        };
        let levels: Vec<Level> = like.0.iter().map(level).collect();
        let inside: Vec<_> = levels.iter().map(|level| vec![NOWHERE; level.grid.len()]).collect();
        let follow = vec![[0.0; 2]; inside[FOLLOW.min(levels.len() - 1)].len()];
        Self { levels, inside, scratch: follow.clone(), follow }
    }

    /// Finds where in `from` each patch of `to` was. `mask` is the matte of `from`.
    ///
    /// The motion found last may be expected to go on: `again` then says by how much it is longer or
    /// shorter now (the ratio of the frames in between), and `since` by how much of it the later
    /// frame of then is later than `from`.
    pub fn run(&mut self, to: &Pyramid, from: &Pyramid, mask: &Pyramid, again: Option<[f32; 2]>) {
        let finest = FOLLOW.min(self.levels.len() - 1);
        for index in (finest..self.levels.len()).rev() {
            let pictures =
                Pictures { to: &from.0[index], from: &to.0[index], mask: &mask.0[index] };
            let (fine, coarse) = self.inside.split_at_mut(index + 1);
            let grids = [&self.levels[index], &self.levels[(index + 1).min(self.levels.len() - 1)]]
                .map(|level| level.grid);
            let expected = again.map(|again| Follow {
                flows: &self.follow,
                grid: self.levels[finest].grid,
                scale: level_scale(index, finest),
                again,
            });
            self.levels[index].cells.fill(&mask.0[index]);
            let near_edge =
                (index == finest && !coarse.is_empty()).then_some(&self.levels[index].cells);
            search_inside(
                pictures,
                grids,
                near_edge,
                coarse.first().map(Vec::as_slice),
                expected,
                &mut fine[index],
            );
        }
        self.turn(finest);
        for index in (0..self.levels.len()).rev() {
            let grid = self.levels[finest].grid;
            let (fine, coarse) = self.levels.split_at_mut(index + 1);
            let level = &mut fine[index];
            if index < finest {
                level.cells.fill(&mask.0[index]);
            }
            let pictures =
                Pictures { to: &to.0[index], from: &from.0[index], mask: &mask.0[index] };
            let follow = Follow {
                flows: &self.follow,
                grid,
                scale: level_scale(index, finest),
                again: [1.0, 0.0],
            };
            search(pictures, coarse.first(), &follow, level, index >= EVERYWHERE);
        }
    }

    /// Turns the motion of the inside around.
    fn turn(&mut self, finest: usize) {
        let grid = self.levels[finest].grid;
        self.follow.fill(NOWHERE);
        for (index, flow) in self.inside[finest].iter().enumerate() {
            if flow[0].is_finite() {
                let origin = grid.origin(index % grid.columns, index / grid.columns);
                let to = [0, 1].map(|i| (origin[i] + PATCH / 2) as f32 + flow[i]);
                self.follow[grid.nearest(to)] = flow.map(|v| -v);
            }
        }
        for _ in 0..SPREAD {
            self.scratch.copy_from_slice(&self.follow);
            for index in 0..grid.len() {
                if self.scratch[index][0].is_finite() {
                    continue;
                }
                let (column, row) = (index % grid.columns, index / grid.columns);
                let (mut sum, mut count) = ([0.0; 2], 0.0);
                for y in row.saturating_sub(1)..(row + 2).min(grid.rows) {
                    for x in column.saturating_sub(1)..(column + 2).min(grid.columns) {
                        let flow = self.scratch[y * grid.columns + x];
                        if flow[0].is_finite() {
                            sum = [sum[0] + flow[0], sum[1] + flow[1]];
                            count += 1.0;
                        }
                    }
                }
                if count > 0.0 {
                    self.follow[index] = sum.map(|v| v / count);
                }
            }
        }
    }

    /// Which share of the picture was found in the earlier one, 0 to 1, among patches with detail in
    /// either; nothing where there are few of them.
    pub fn share_found(&self, to: &Pyramid, from: &Pyramid) -> Option<f32> {
        let index = EVERYWHERE.min(self.levels.len() - 1);
        let Level { grid, flows, .. } = &self.levels[index];
        let [detailed, found] = count_found(&to.0[index], &from.0[index], *grid, flows);
        (detailed * FEW >= grid.len()).then(|| found as f32 / detailed as f32)
    }

    /// Whether the matte that was moved hardly changes near `at`, a place in the earlier picture.
    pub fn is_flat(&self, at: Vector) -> bool {
        !self.levels[0].cells.is_mixed(at)
    }
}

/// The motion of nothing.
const NOWHERE: Vector = [f32::NAN; 2];
/// The level whose patches the motion of the inside is found for at the finest.
const FOLLOW: usize = 1;
/// How many patches of that level the motion of the inside is spread beyond it.
const SPREAD: usize = 6;
/// The least share of a patch that must be inside.
const INSIDE: f32 = 0.15;

/// The finest level that is searched for everything, not only for what moves the matte.
const EVERYWHERE: usize = 2;
/// Variance of a patch with detail, in codes².
const DETAIL: f32 = 16.0;
/// One patch in so many must have detail.
const FEW: usize = 16;
/// Correlation of a patch with itself in another frame, at the least.
const ALIKE: f32 = 0.7;

/// How many patches have detail in either picture, and how many of these look alike, whatever their
/// brightness and contrast.
#[multiversion(targets = "simd")]
fn count_found(to: &Picture, from: &Picture, grid: Grid, flows: &[Vector]) -> [usize; 2] {
    let (mut detailed, mut found) = (0, 0);
    for (index, flow) in flows.iter().enumerate() {
        let origin = grid.origin(index % grid.columns, index / grid.columns);
        let [template, ..] = to.patch(origin);
        let other = from.sample([origin[0] as f32 + flow[0], origin[1] as f32 + flow[1]]);
        let variances = [deviation(&template, &EVEN), deviation(&other, &EVEN)];
        if variances[0].max(variances[1]) < DETAIL {
            continue;
        }
        // var(a − b) = var(a) + var(b) − 2 cov(a, b)
        let between = deviation(&difference(&other, &template), &EVEN);
        let covariance = 0.5 * (variances[0] + variances[1] - between);
        detailed += 1;
        found += usize::from(covariance > ALIKE * (variances[0] * variances[1]).sqrt());
    }
    [detailed, found]
}

/// Samples of level `index` in one of level `finest`.
fn level_scale(index: usize, finest: usize) -> f32 {
    (finest as f32 - index as f32).exp2()
}

/// One level of what is searched.
#[derive(Clone, Copy)]
struct Pictures<'a> {
    to: &'a Picture,
    from: &'a Picture,
    mask: &'a Picture,
}

/// The motion of the inside, for other levels than its own.
#[derive(Clone, Copy)]
struct Follow<'a> {
    flows: &'a [Vector],
    grid: Grid,
    /// Samples of the level at hand in one of its own.
    scale: f32,
    again: [f32; 2],
}

impl Follow<'_> {
    /// The motion at `at`, a place in the later picture of the level at hand.
    #[inline(always)]
    fn at(&self, at: Vector) -> Vector {
        let flow = self.flows[self.grid.nearest([at[0] / self.scale, at[1] / self.scale])];
        [flow[0] * self.scale, flow[1] * self.scale]
    }
}

/// Motions that a patch may start with.
struct Candidates {
    flows: [Vector; 8],
    count: usize,
}

impl Candidates {
    /// Adds one that is not nearly there already.
    #[inline(always)]
    fn add(&mut self, flow: Vector) {
        let mut fresh = flow[0].is_finite() && self.count < self.flows.len();
        for other in &self.flows[..self.count] {
            fresh &= (other[0] - flow[0]).abs() + (other[1] - flow[1]).abs() >= 0.5;
        }
        if fresh {
            self.flows[self.count] = flow;
            self.count += 1;
        }
    }
}

/// Follows the patches of the earlier picture, `pictures.to`, that are inside the matte.
#[multiversion(targets = "simd")]
fn search_inside(
    pictures: Pictures<'_>,
    [grid, coarser_grid]: [Grid; 2],
    near_edge: Option<&Cells>,
    coarser: Option<&[Vector]>,
    expected: Option<Follow<'_>>,
    flows: &mut [Vector],
) {
    for row in 0..grid.rows {
        for column in 0..grid.columns {
            let index = row * grid.columns + column;
            let origin = grid.origin(column, row);
            let [mask, ..] = pictures.mask.patch(origin);
            let weights = weigh(&mask);
            let total = sum(&weights, |_, _| 1.0);
            if total < (OUTSIDE + (1.0 - OUTSIDE) * INSIDE) * (PATCH * PATCH) as f32 {
                flows[index] = NOWHERE;
                continue;
            }
            let centre = [origin[0] as f32 + HALF, origin[1] as f32 + HALF];
            let mut candidates = Candidates { flows: [[0.0; 2]; 8], count: 0 };
            if let (Some(coarser), Some(cells)) = (coarser, near_edge)
                && !cells.is_mixed(centre)
            {
                let flow = coarser[coarser_grid.nearest([centre[0] / 2.0, centre[1] / 2.0])];
                flows[index] = [2.0 * flow[0], 2.0 * flow[1]];
                continue;
            }
            if let Some(coarser) = coarser {
                let at = [centre[0] / 2.0, centre[1] / 2.0];
                for offset in AROUND {
                    let flow =
                        coarser[coarser_grid.nearest([at[0] + offset[0], at[1] + offset[1]])];
                    candidates.add([2.0 * flow[0], 2.0 * flow[1]]);
                }
            }
            if let Some(expected) = expected {
                // What it was when it was seen here, then where it was seen since.
                let [ratio, since] = expected.again;
                let here = expected.at(centre);
                let there = expected.at([centre[0] - since * here[0], centre[1] - since * here[1]]);
                candidates.add([-ratio * here[0], -ratio * here[1]]);
                candidates.add([-ratio * there[0], -ratio * there[1]]);
            }
            if column > 0 {
                candidates.add(flows[index - 1]);
            }
            if row > 0 {
                candidates.add(flows[index - grid.columns]);
            }
            if candidates.count == 0 || coarser.is_none() {
                candidates.add([0.0; 2]);
            }
            flows[index] = find(pictures, origin, &candidates, Weights::Fixed(&weights));
        }
    }
}

/// From the nearest of the coarser patches to those around a patch.
const AROUND: [Vector; 5] = {
    const AWAY: f32 = STEP as f32 / 2.0;
    [[0.0, 0.0], [-AWAY, -AWAY], [AWAY, -AWAY], [-AWAY, AWAY], [AWAY, AWAY]]
};

/// Every sample the same.
const EVEN: Patch = [[1.0; PATCH]; PATCH];

/// What a patch's samples weigh.
enum Weights<'a> {
    Fixed(&'a Patch),
    /// By the matte where the patch was.
    Matte,
}

impl Weights<'_> {
    #[inline(always)]
    fn at(&self, mask: &Picture, at: Vector) -> Patch {
        match self {
            Self::Fixed(weights) => **weights,
            Self::Matte => weigh(&mask.sample(at)),
        }
    }
}

#[multiversion(targets = "simd")]
fn search(
    pictures: Pictures<'_>,
    coarser: Option<&Level>,
    follow: &Follow<'_>,
    level: &mut Level,
    everywhere: bool,
) {
    let grid = level.grid;
    for row in 0..grid.rows {
        for column in 0..grid.columns {
            let index = row * grid.columns + column;
            let origin = grid.origin(column, row);
            let centre = [origin[0] as f32 + HALF, origin[1] as f32 + HALF];
            let mut candidates = Candidates { flows: [[0.0; 2]; 8], count: 0 };
            match coarser {
                Some(coarser) => {
                    let at = [centre[0] / 2.0, centre[1] / 2.0];
                    // At the finest level the neighbours already searched for spread what is needed.
                    let around =
                        if everywhere || follow.scale < 1.5 { &AROUND[..] } else { &AROUND[..1] };
                    for offset in around {
                        let flow = coarser.flows
                            [coarser.grid.nearest([at[0] + offset[0], at[1] + offset[1]])];
                        candidates.add([2.0 * flow[0], 2.0 * flow[1]]);
                    }
                }
                None => candidates.add([0.0; 2]),
            }
            candidates.add(follow.at(centre));
            let mut mixed = false;
            for flow in &candidates.flows[..candidates.count] {
                mixed |= level.cells.is_mixed([centre[0] + flow[0], centre[1] + flow[1]]);
            }
            level.searched[index] = mixed;
            if !mixed && !everywhere {
                level.flows[index] = candidates.flows[0];
                continue;
            }
            if column > 0 {
                candidates.add(level.flows[index - 1]);
            }
            if row > 0 {
                candidates.add(level.flows[index - grid.columns]);
            }
            let weights = if mixed { Weights::Matte } else { Weights::Fixed(&EVEN) };
            level.flows[index] = find(pictures, origin, &candidates, weights);
        }
    }
}

/// The motion of the patch at `origin`.
#[inline(always)]
fn find(
    pictures: Pictures<'_>,
    origin: [usize; 2],
    candidates: &Candidates,
    weights: Weights<'_>,
) -> Vector {
    let [template, mut across, mut down] = pictures.to.patch(origin);
    let at = |flow: Vector| [origin[0] as f32 + flow[0], origin[1] as f32 + flow[1]];
    let mut best = (f32::INFINITY, candidates.flows[0]);
    for &flow in &candidates.flows[..candidates.count] {
        let weights = weights.at(pictures.mask, at(flow));
        let cost = deviation(&difference(&pictures.from.sample(at(flow)), &template), &weights);
        if cost < best.0 {
            best = (cost, flow);
        }
    }
    let weights = weights.at(pictures.mask, at(best.1));
    let total = sum(&weights, |_, _| 1.0);
    let mean =
        [sum(&weights, |r, c| across[r][c]) / total, sum(&weights, |r, c| down[r][c]) / total];
    for r in 0..PATCH {
        for c in 0..PATCH {
            across[r][c] -= mean[0];
            down[r][c] -= mean[1];
        }
    }
    let xx = sum(&weights, |r, c| across[r][c] * across[r][c]) + STIFFNESS * total;
    let yy = sum(&weights, |r, c| down[r][c] * down[r][c]) + STIFFNESS * total;
    let xy = sum(&weights, |r, c| across[r][c] * down[r][c]);
    for r in 0..PATCH {
        for c in 0..PATCH {
            across[r][c] *= weights[r][c];
            down[r][c] *= weights[r][c];
        }
    }
    let determinant = xx * yy - xy * xy;
    let start = best.1;
    let mut flow = start;
    for step in 0..STEPS {
        let difference = difference(&pictures.from.sample(at(flow)), &template);
        let cost = deviation(&difference, &weights);
        if step > 0 && cost >= best.0 {
            break;
        }
        best = (cost, flow);
        let x = sum(&across, |r, c| difference[r][c]);
        let y = sum(&down, |r, c| difference[r][c]);
        let step = [(yy * x - xy * y) / determinant, (xx * y - xy * x) / determinant];
        flow = [flow[0] - step[0], flow[1] - step[1]];
        let longest = |v: Vector| v[0].abs().max(v[1].abs());
        let moved = longest([flow[0] - start[0], flow[1] - start[1]]);
        if moved > PATCH as f32 || longest(step) < SMALL_STEP {
            break;
        }
    }
    best.1
}

#[inline(always)]
fn difference(a: &Patch, b: &Patch) -> Patch {
    let mut difference = [[0.0; PATCH]; PATCH];
    for r in 0..PATCH {
        for c in 0..PATCH {
            difference[r][c] = a[r][c] - b[r][c];
        }
    }
    difference
}

/// Weights for a patch of the matte.
#[inline(always)]
fn weigh(mask: &Patch) -> Patch {
    let mut weights = [[0.0; PATCH]; PATCH];
    for r in 0..PATCH {
        for c in 0..PATCH {
            weights[r][c] = OUTSIDE + (1.0 - OUTSIDE) * mask[r][c].clamp(0.0, 1.0);
        }
    }
    weights
}

/// Σ weight · value, each column by itself first so that it vectorises.
#[inline(always)]
fn sum(weights: &Patch, value: impl Fn(usize, usize) -> f32) -> f32 {
    let mut sums = [0.0; PATCH];
    for r in 0..PATCH {
        for c in 0..PATCH {
            sums[c] += weights[r][c] * value(r, c);
        }
    }
    let mut total = 0.0;
    for sum in sums {
        total += sum;
    }
    total
}

/// Weighted variance of a difference.
#[inline(always)]
fn deviation(difference: &Patch, weights: &Patch) -> f32 {
    let (mut totals, mut firsts, mut seconds) = ([0.0; PATCH], [0.0; PATCH], [0.0; PATCH]);
    for r in 0..PATCH {
        for c in 0..PATCH {
            let (weight, difference) = (weights[r][c], difference[r][c]);
            totals[c] += weight;
            firsts[c] += weight * difference;
            seconds[c] += weight * difference * difference;
        }
    }
    let (mut total, mut first, mut second) = (0.0, 0.0, 0.0);
    for c in 0..PATCH {
        total += totals[c];
        first += firsts[c];
        second += seconds[c];
    }
    (second - first * first / total) / total
}

/// Adds up motion of patches, each where it explains the picture.
pub struct Field {
    pub x: Picture,
    pub y: Picture,
    weight: Picture,
}

impl Field {
    pub fn new(width: usize, height: usize) -> Self {
        let picture = Picture::new(width, height);
        Self { x: picture.clone(), y: picture.clone(), weight: picture }
    }

    /// The motion of the sample nearest to `at`.
    #[inline(always)]
    pub fn at(&self, at: Vector) -> Vector {
        [self.x.nearest(at), self.y.nearest(at)]
    }

    /// Whether some patch explains what is seen at a sample.
    #[inline(always)]
    pub fn explains(&self, x: usize, y: usize) -> bool {
        self.weight.row(y)[x] > EXPLAINED
    }

    /// The motion of each sample: means of the patches over it, by how well they explain it.
    pub fn fill(&mut self, search: &Search, to: [&Picture; 3], from: [&Picture; 3]) {
        fill_field(self, search, to, from);
    }
}

/// What the motion of the inside weighs where no patch explains the picture: as much as one that is
/// wrong by 16 codes.
const UNEXPLAINED: f32 = 1.0 / (16.0 * 16.0 * 16.0 * 16.0);
/// What any motion weighs where there is no other.
const UNKNOWN: f32 = 1e-3 * UNEXPLAINED;
/// What patches that explain a sample weigh at least: one of them, wrong by 12 codes.
const EXPLAINED: f32 = UNEXPLAINED + 1.0 / (12.0 * 12.0 * 12.0 * 12.0);
/// A difference of colours, in codes, that noise may make.
const NOISE: f32 = 4.0;

#[multiversion(targets = "simd")]
fn fill_field(field: &mut Field, search: &Search, to: [&Picture; 3], from: [&Picture; 3]) {
    let Field { x, y, weight } = field;
    let finest = FOLLOW.min(search.levels.len() - 1);
    let follow = Follow {
        flows: &search.follow,
        grid: search.levels[finest].grid,
        scale: level_scale(0, finest),
        again: [1.0, 0.0],
    };
    let Level { grid, flows, searched, .. } = &search.levels[0];
    for top in (0..weight.height).step_by(STEP) {
        for left in (0..weight.width).step_by(STEP) {
            let centre = [left as f32 + STEP as f32 / 2.0, top as f32 + STEP as f32 / 2.0];
            let mut flow = follow.at(centre);
            let mut known = UNEXPLAINED;
            if !flow[0].is_finite() {
                (flow, known) = (flows[grid.nearest(centre)], UNKNOWN);
            }
            for row in top..(top + STEP).min(weight.height) {
                // The border takes what is too much.
                let start = weight.start(row) + left;
                weight.data[start..][..STEP].fill(known);
                x.data[start..][..STEP].fill(flow[0] * known);
                y.data[start..][..STEP].fill(flow[1] * known);
            }
        }
    }
    for index in 0..grid.len() {
        let origin = grid.origin(index % grid.columns, index / grid.columns);
        let flow = flows[index];
        if !searched[index] {
            continue;
        }
        let at = [origin[0] as f32 + flow[0], origin[1] as f32 + flow[1]];
        let mut squares = [[NOISE * NOISE; PATCH]; PATCH];
        for (to, from) in to.iter().zip(&from) {
            let [template, ..] = to.patch(origin);
            let found = from.sample(at);
            for r in 0..PATCH {
                for c in 0..PATCH {
                    let difference = found[r][c] - template[r][c];
                    squares[r][c] += difference * difference;
                }
            }
        }
        let mut weights = [[0.0; PATCH]; PATCH];
        for r in 0..PATCH {
            for c in 0..PATCH {
                weights[r][c] = 1.0 / (squares[r][c] * squares[r][c]);
            }
        }
        for r in 0..PATCH {
            let start = weight.start(origin[1] + r) + origin[0];
            let sums = &mut weight.data[start..][..PATCH];
            for c in 0..PATCH {
                sums[c] += weights[r][c];
            }
            let sums = &mut x.data[start..][..PATCH];
            for c in 0..PATCH {
                sums[c] += weights[r][c] * flow[0];
            }
            let sums = &mut y.data[start..][..PATCH];
            for c in 0..PATCH {
                sums[c] += weights[r][c] * flow[1];
            }
        }
    }
    for row in 0..weight.height {
        let start = weight.start(row);
        let range = start..start + weight.width;
        for ((x, y), weight) in x.data[range.clone()]
            .iter_mut()
            .zip(&mut y.data[range.clone()])
            .zip(&weight.data[range])
        {
            let share = 1.0 / weight;
            *x *= share;
            *y *= share;
        }
    }
    x.extend();
    y.extend();
}
