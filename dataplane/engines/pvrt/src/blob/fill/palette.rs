//! The palette: 1,024 tiles of 256 bytes, of which the first 256 are constants.

use super::Deterministic;

const TILE: usize = 256;
const TILES: u64 = 1024;
const TOKENS: &[u8] = b"{}[]:\", \\n true false null : , \t \r \n ";

/// Puts the palette behind what is there; of a short blob as many whole tiles as fit, then zeros.
pub(super) fn lay(part: &mut Deterministic, size: u64) {
    let room = (size - part.size()).min(TILES * TILE as u64);
    let whole = room / TILE as u64;
    let mut tiles = Vec::with_capacity(whole as usize * TILE);
    for index in 0..whole as usize {
        tiles.extend_from_slice(&tile(index));
    }
    if !tiles.is_empty() {
        part.tile(whole * TILE as u64, tiles);
    }
    part.zeros(room - whole * TILE as u64);
}

/// The tile with that number.
fn tile(index: usize) -> [u8; TILE] {
    let each = |byte: &dyn Fn(usize) -> u8| std::array::from_fn(byte);
    if index < 256 {
        return [index as u8; TILE];
    }
    match index % 6 {
        // A ramp; a step of 0 would be a constant once more.
        0 => each(&|at| (at as u8).wrapping_mul((((index + 1) * 5) as u8).max(1))),
        // Gray code.
        1 => each(&|at| (at ^ at >> 1) as u8),
        2 => shift_register((index * 37 + 1) as u8),
        // Stripes of 255 and 0.
        3 => {
            let period = 2 << (index / 4 % 4);
            each(&|at| if at % period < period / 2 { 0xFF } else { 0 })
        }
        // Little-endian numbers of four bytes.
        4 => each(&|at| ((index * 97 + at / 4) as u32).to_le_bytes()[at % 4]),
        _ => each(&|at| TOKENS[at % TOKENS.len()]),
    }
}

/// States of a linear feedback shift register of 8 bits with taps 0xB8.
fn shift_register(mut state: u8) -> [u8; TILE] {
    std::array::from_fn(|_| {
        state = state >> 1 ^ if state & 1 == 1 { 0xB8 } else { 0 };
        state
    })
}
