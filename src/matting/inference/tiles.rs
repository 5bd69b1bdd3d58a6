// SPDX-License-Identifier: MIT

//! A network that refines tiles of a matte, as the rest of the matting sees it.

use crate::matting::error::Error;

/// Planes of a tile: blue, green and red in [0, 1], and the coarse matte.
pub const PLANES: usize = 4;

/// Something that refines tiles of a matte.
///
/// [`TileSession`](crate::matting::inference::session::TileSession) runs the network of this library; tests put
/// something simple in its place.
pub trait TileNetwork: Send {
    /// Pixels along the side of what it sees of a tile, around whose middle they lie.
    fn side(&self) -> usize;

    /// Tiles in a run.
    fn batch(&self) -> usize;

    /// The tensor: [`batch`](Self::batch) tiles of four planes each, blue, green, red and the coarse matte, all in
    /// [0, 1] and row by row. It is kept from run to run.
    fn input(&mut self) -> &mut [f32];

    /// Runs on what [`input`](Self::input) holds, and gives the mattes of all tiles in it: for each 72 rows of as many
    /// values, of its 64x64 pixels and four around them. What comes of tiles that were not filled means nothing.
    ///
    /// # Errors
    /// [`Error::Inference`] where the run fails.
    fn run(&mut self) -> Result<&[f32], Error>;

    /// What there is to tell of the last run though it succeeded.
    fn take_warning(&mut self) -> Option<Error> {
        None
    }
}
