//! Frames that an op is tried on before a run, to know what it costs.

use pfs_vec::Element;
use pfs_vec::frame::{Cutter, HEADER, MessageBuilder, Operation, Vector, encode};

/// Components of a trial's vectors: what embeddings of sentences often have.
pub(super) const DIM: usize = 384;
/// Records that are written again and again.
const IDS: u64 = 10_000;

/// Fills `payload` with frame `number`, from 0 on, of a stream that puts vectors of 384 bf16 components: as many as
/// it takes whole, or a part of one. Payloads too short for a part of 64 bytes stay as they are.
///
/// # Panics
/// Never: what is put fits a message.
pub fn trial_frame(number: u64, payload: &mut [u8]) {
    let Some(mut builder) = MessageBuilder::new(b"trial") else { return };
    let room = payload.len().saturating_sub(HEADER);
    let mut bytes = Vec::new();
    for at in 0.. {
        let random = (number << 8 | at).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let value = |at: u64| (random.rotate_left(at as u32) as i32 >> 8) as f32;
        let vector: Vec<f32> = (0..DIM as u64).map(|at| value(at).max(1.0)).collect();
        bytes.clear();
        encode(Element::Bf16, &vector, &mut bytes);
        let put = Operation::Put {
            id: &(random % IDS).to_le_bytes(),
            vector: Vector { element: Element::Bf16, dim: DIM as u16, bytes: &bytes },
            text: "",
            metadata: b"",
            time: 0,
            strength: 1.0,
            confidence: 1.0,
        };
        let before = builder.bytes().len();
        if !builder.push(&put) || builder.bytes().len() * 2 - before > room {
            break;
        }
    }
    let parts = builder.bytes().len().div_ceil(room.max(64)) as u64;
    let mut cutter = Cutter::new(1, 0, payload.len()).behind(number - number % parts);
    let mut part = 0;
    cutter.cut(builder.bytes(), false, |frame| {
        if part == number % parts
            && let Some(front) = payload.get_mut(..frame.len())
        {
            front.copy_from_slice(frame);
        }
        part += 1;
    });
}
