//! A network for tiles that changes nothing.
#![allow(missing_docs)]

use gstdavidmatte::matting::prelude::*;

/// Gives the coarse mattes of tiles as they are.
pub struct Echo {
    input: Vec<f32>,
    output: Vec<f32>,
}

impl TileNetwork for Echo {
    fn side(&self) -> usize {
        80
    }

    fn batch(&self) -> usize {
        4
    }

    fn input(&mut self) -> &mut [f32] {
        &mut self.input
    }

    fn run(&mut self) -> Result<&[f32], Error> {
        let tiles = self.input.chunks_exact(4 * 80 * 80).zip(self.output.chunks_exact_mut(80 * 80));
        tiles.for_each(|(tile, out)| out.copy_from_slice(&tile[3 * 80 * 80..]));
        Ok(&self.output)
    }
}

impl Echo {
    /// One for a detailer.
    pub fn boxed() -> Box<dyn TileNetwork> {
        Box::new(Self { input: vec![0.0; 4 * 4 * 80 * 80], output: vec![0.0; 4 * 80 * 80] })
    }
}
